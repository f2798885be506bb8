import subprocess
import sys

import numpy as np
import openvino
import pytest

from edgezsl.errors import EngineError
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.golden import check_golden
from edgezsl.runtime.onnx_engine import OnnxEngine
from edgezsl.runtime.openvino_engine import OpenVinoEngine


def test_the_arithmetic_that_it_really_uses_is_what_it_says(small_bundle):
    engine = OpenVinoEngine.open(small_bundle, "fp32", threads=1)
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert engine.precision == ("bf16" if has_bf16 else "fp32")
    assert engine.encoder == "fp32", "its golden answers are those of the file"
    assert f"fp32 file in {engine.precision}" in engine.description
    assert openvino.__version__.split("-")[0] in engine.description
    engine.close()


def test_it_passes_the_golden_test_within_the_tolerance_of_its_arithmetic(small_bundle):
    engine = OpenVinoEngine.open(small_bundle, "fp32", threads=1)
    assert check_golden(engine, small_bundle) >= 0.999
    engine.close()


def test_it_agrees_with_onnx_runtime_on_every_batch(small_bundle):
    pixels = np.random.RandomState(0).uniform(-1, 1, (19, 3, 16, 16)).astype(np.float32)
    pixels += np.linspace(-1, 1, 19, dtype=np.float32)[:, None, None, None]
    engines = [kind.open(small_bundle, "fp32", threads=1) for kind in (OnnxEngine, OpenVinoEngine)]
    first, second = (engine.run(pixels) for engine in engines)
    assert (first * second).sum(axis=1).min() > 0.999
    for engine in engines:
        engine.close()


def test_it_would_take_pixels_of_any_dtype_so_that_we_must_refuse_them(small_bundle):
    engine = open_engine(small_bundle, "openvino", threads=1)
    raw = engine._request.infer({"image": np.zeros((1, 3, 16, 16), np.uint8)})
    assert len(raw) == 1, "OpenVINO refuses other dtypes now: check_pixels may go"
    with pytest.raises(EngineError) as caught:
        engine.run(np.zeros((1, 3, 16, 16), np.uint8))
    assert caught.value.code == "bad_pixels"
    engine.close()


def test_its_exceptions_are_the_built_ins_that_are_mapped():
    kinds = [kind for kind in vars(openvino).values() if isinstance(kind, type) and issubclass(kind, BaseException)]
    assert all(issubclass(kind, (RuntimeError, ValueError, TypeError)) for kind in kinds)


def test_without_openvino_the_extra_is_named(small_bundle):
    program = (
        "import sys; sys.modules['openvino'] = None; from pathlib import Path;"
        "from edgezsl.bundle import Bundle; from edgezsl.errors import MissingExtraError;"
        "from edgezsl.runtime.openvino_engine import OpenVinoEngine\n"
        "try: OpenVinoEngine.open(Bundle.open(Path(sys.argv[1])), 'fp32')\n"
        "except MissingExtraError as error: print(error.hint)"
    )
    command = [sys.executable, "-c", program, str(small_bundle.folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "run: pip install 'edgezsl[openvino]'\n"
