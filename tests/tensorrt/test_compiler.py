"""Our exports, and our builder of plans, meet NVIDIA's own parser and builder (see compiler.py for what that says)."""

from __future__ import annotations

import onnx
import pytest

from edgezsl.bundle import Bundle
from edgezsl.compile.draft import make_draft
from edgezsl.compile.recipe import load_recipe
from edgezsl.compile.rules import verdicts
from edgezsl.encoders.model import Model
from edgezsl.errors import EngineError, ModelError
from edgezsl.manifest import Batch
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.compile.graph_defects import DEFECTS, FRAME, float_encoder, integer_bias, quantized_encoder
from tests.encoders.sources import small_clip_source
from tests.factories import CONV_SIDE, finished
from tests.tensorrt.compiler import Order, built, bundle_orders
from tests.tensorrt.graph_mutants import mutants

pytestmark = pytest.mark.tensorrt
# What this parser takes and our rules refuse: they are for TensorRT 10.3 on a board, for ONNX Runtime, and for what is fast.
STRICTER = {
    "unsigned_zero_point",
    "no_zero_point",
    "scales_along_the_wrong_axis",
    "vendor_operator",
    "opset_16",
    "opset_21",
    "cubic_resize",
    "new_ir",
    "left_metadata",
}


@pytest.fixture
def quantized():
    return quantized_encoder()


def order(folder, data, **changes):
    path = folder / "image_encoder.onnx"
    path.write_bytes(data)
    return Order(str(path), "image", (CONV_SIDE, CONV_SIDE), **changes)


def test_the_model_that_comes_with_edgezsl_is_built():
    (answer,) = built(*bundle_orders(Bundle.open()).values())
    assert (answer.error, answer.plan_bytes > 1e6) == ("", True)


def test_a_vision_transformer_in_each_precision_is_built_for_any_number_of_frames(tmp_path):
    source = small_clip_source(layers=2)
    model = Model.from_modules(tmp_path / "model", source, opset=17)
    precisions = ("fp32", "fp16", "int8", "int8_fp16")
    sizes = Batch(1, 2, 4)
    draft, _ = finished(make_draft(model, load_recipe("vit"), precisions, batch=sizes, calibration=None, uint8=False))
    orders = bundle_orders(draft.write(tmp_path / "bundle", precisions))
    answers = built(*(orders[precision] for precision in precisions))
    assert [answer.error for answer in answers] == [""] * 4
    assert all(answer.plan_bytes > 0 and answer.steps > 0 for answer in answers)


@pytest.mark.parametrize("change", [change for change, _ in DEFECTS], ids=lambda change: change.__name__)
def test_what_the_parser_refuses_our_rules_refused_before(tmp_path, quantized, change):
    model = onnx.load_from_string(quantized)
    change(model)
    assert refused_by_our_rules(model.SerializeToString())
    (answer,) = built(order(tmp_path, model.SerializeToString()))
    assert (answer.code == "bad_graph") == (change.__name__ not in STRICTER), answer
    if answer.code:
        assert answer.error.startswith("TensorRT's parser does not take the graph: ")


def refused_by_our_rules(data):
    try:
        return all(said.startswith("refused: ") for said in verdicts(data).values())
    except ModelError:  # no valid ONNX at all
        return True


def runs_in_onnx_runtime(data):
    try:
        return bool(OnnxGraph(data, file="a mutant", threads=1).run({"image": FRAME}))
    except EngineError:
        return False


def test_whatever_our_rules_and_onnx_runtime_take_is_built(tmp_path, quantized):
    """As every export does: it keeps the rules, and ONNX Runtime has proved it."""
    orders, changes = [], []
    for number, (change, data) in enumerate(mutants((float_encoder(), quantized), seed=0, count=300)):
        if not refused_by_our_rules(data) and runs_in_onnx_runtime(data):
            folder = tmp_path / str(number)
            folder.mkdir()
            orders.append(order(folder, data))
            changes.append(change)
    assert len(orders) > 40, "of 300 mutants some are only other networks"
    refused = [(change, answer.error) for change, answer in zip(changes, built(*orders), strict=True) if answer.error]
    assert refused == []


def test_the_node_that_the_parser_does_not_take_is_named(tmp_path, quantized):
    model = onnx.load_from_string(quantized)
    integer_bias(model)
    (answer,) = built(order(tmp_path, model.SerializeToString()))
    assert "node 'bias.pair' (DequantizeLinear, number 0)" in answer.error
    assert "input has type Int32" in answer.error


def test_what_was_measured_is_taken_up_by_the_next_build(tmp_path, quantized):
    cache = tmp_path / "timing.cache"
    cache.touch()
    first, next_one = built(*[order(tmp_path, quantized, cache=str(cache))] * 2)
    assert [one.error for one in (first, next_one)] == ["", ""]
    assert not next_one.fresh_cache
    assert cache.stat().st_size == next_one.cache_bytes > 0


def test_a_build_that_is_asked_to_stop_stops_and_leaves_no_plan(tmp_path, quantized):
    whole, stopped = built(order(tmp_path, quantized), order(tmp_path, quantized, stop_after=3))
    assert stopped.code == "build_failed"
    assert stopped.steps < whole.steps


def test_a_plan_that_cannot_be_loaded_for_want_of_a_gpu_is_said_in_a_sentence(tmp_path, quantized):
    (answer,) = built(order(tmp_path, quantized, load=True))
    assert answer.code == "build_failed"
    assert answer.error.startswith("TensorRT does not load the plan it built")
