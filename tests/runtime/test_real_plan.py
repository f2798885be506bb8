"""A plan, built, proved, run and refused, where a GPU and TensorRT are: the one test that needs both."""

from __future__ import annotations

import numpy as np
import pytest

from edgezsl.bundle import Bundle
from edgezsl.compile.plan_run import Compiled, CompileSettings, compile_bundle
from edgezsl.errors import EngineError
from edgezsl.runtime.engine import open_engine

pytestmark = pytest.mark.gpu


def test_a_plan_is_built_proved_run_and_refused_where_it_was_cut_off(tmp_path):
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    *_, compiled = compile_bundle(CompileSettings(plans=tmp_path))
    assert isinstance(compiled, Compiled)
    bundle = Bundle.open()
    engine = open_engine(bundle, "tensorrt", plans=tmp_path)  # which holds it to the golden set
    assert engine.description.startswith("tensorrt ")
    frame = np.random.RandomState(0).rand(1, 3, *bundle.manifest.contract.size).astype(np.float32)
    once, again = engine.run(frame), engine.run(frame)  # the second by the graph that the first was made into
    np.testing.assert_array_equal(once, again)
    reference = open_engine(bundle, "onnx")
    assert float((once * reference.run(frame)).sum()) > 0.99
    engine.close()
    engine.close()
    (plan,) = tmp_path.glob("*/*.plan")
    plan.write_bytes(plan.read_bytes()[:-1])
    with pytest.raises(EngineError) as caught:
        open_engine(bundle, "tensorrt", plans=tmp_path)
    assert caught.value.code == "truncated_plan"
