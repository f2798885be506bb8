"""Half precision says what full precision says, keeps its tensors' types, and survives what float16 cannot hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from edgezsl.compile.export import ExportSettings, export
from edgezsl.compile.half import KEPT_OPS, LARGEST_SAFE, half_graph, largest_magnitudes
from edgezsl.compile.quantize import collect_histograms, quantized_graph
from edgezsl.compile.rules import faults
from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.encoders.graph import load_graph, portable_encoder
from edgezsl.encoders.model import Model
from edgezsl.manifest import Batch
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.encoders.sources import small_clip_source
from tests.factories import conv_encoder, conv_facts, graph_bytes, with_loud_channel

FRAMES = 2 * np.random.RandomState(0).rand(8, 1, 3, 4, 4).repeat(8, axis=3).repeat(8, axis=4).astype(np.float32) - 1


def portable(data):
    facts = conv_facts()
    return portable_encoder(data, facts.contract, facts.space, "x")


def least_cosine(data, other):
    graphs = [OnnxGraph(one, file="x", threads=1) for one in (data, other)]
    rows = [[graph.run({"image": frame})[0][0] for graph in graphs] for frame in FRAMES]
    return min(float(np.nan_to_num(a @ b)) for a, b in rows)


def quantized(data):
    histograms = {}
    list(collect_histograms(data, FRAMES, histograms))
    return quantized_graph(data, {name: one.range("minmax", 100) for name, one in histograms.items()}, ())


def types_of(model):
    return {one.name: one.data_type for one in model.graph.initializer}


def test_half_precision_says_the_same_at_half_the_size():
    full = portable(conv_encoder())
    half = half_graph(full, largest_magnitudes(full, FRAMES))
    assert least_cosine(full, half) > 0.999
    model = load_graph(half, "x")
    types = types_of(model)
    assert {types[f"{name}.weight"] for name in ("stem", "first.pointwise", "head")} == {TensorProto.FLOAT16}
    for value in (model.graph.input[0], model.graph.output[0]):
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT


def test_what_float16_cannot_hold_stays_in_float32():
    full = portable(with_loud_channel(conv_encoder(), factor=1e6))
    largest = largest_magnitudes(full, FRAMES)
    assert largest["stem.out"] > 65504 > LARGEST_SAFE > largest["first.depthwise.out"]
    naive = convert_float_to_float16(load_graph(full, "x"), keep_io_types=True).SerializeToString()
    assert least_cosine(full, naive) < 0.95
    half = half_graph(full, largest)
    assert least_cosine(full, half) > 0.999
    assert types_of(load_graph(half, "x"))["second.pointwise.weight"] == TensorProto.FLOAT16


def test_the_length_of_an_embedding_is_computed_in_float32():
    full = portable(conv_encoder())
    model = load_graph(half_graph(full, {}), "x")
    made = {name: node for node in model.graph.node for name in node.output}
    for kind in ("ReduceL2", "Div"):
        node = next(node for node in model.graph.node if node.op_type == kind)
        for name in node.input:
            to = next((one.i for one in made[name].attribute if one.name == "to"), TensorProto.FLOAT)
            assert to == TensorProto.FLOAT
    assert "ReduceL2" in KEPT_OPS


def attention_scale():
    """Return a graph that divides by the root of a length, as PyTorch writes attention, and then normalises as it does."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Slice", ["shape", "from", "to"], ["width"]),
        helper.make_node("Cast", ["width"], ["scale"], to=TensorProto.FLOAT),
        helper.make_node("Sqrt", ["scale"], ["root"], name="root"),
        helper.make_node("Div", ["image", "root"], ["scaled"], name="scaled"),
        helper.make_node("ReduceL2", ["scaled"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Clip", ["length", "least"], ["safe"], name="safe"),
        helper.make_node("Shape", ["scaled"], ["rows"]),
        helper.make_node("Expand", ["safe", "rows"], ["lengths"], name="lengths"),
        helper.make_node("Div", ["scaled", "lengths"], ["embedding"], name="last"),
    ]
    constants = {"from": np.array([1]), "to": np.array([2]), "least": np.float32(1e-12)}
    tensors = [("image", TensorProto.FLOAT, [1, 8])], [("embedding", TensorProto.FLOAT, [1, 8])]
    return graph_bytes([node if node.name else named(node) for node in nodes], *tensors, constants)


def named(node):
    node.name = node.output[0]
    return node


def test_a_cast_of_an_integer_is_no_detour_and_a_length_is_clipped_in_float32():
    model = load_graph(half_graph(attention_scale(), {}), "x")
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    made = {node.name: node for node in model.graph.node}
    assert types[made["root"].input[0]] == TensorProto.FLOAT
    for name in ("safe", "lengths"):
        assert types[made[name].output[0]] == TensorProto.FLOAT
    image = np.random.RandomState(0).rand(1, 8).astype(np.float32)
    rows = [
        OnnxGraph(one, file="x", threads=1).run({"image": image})[0]
        for one in (attention_scale(), model.SerializeToString())
    ]
    np.testing.assert_allclose(*rows, atol=1e-3)


def norms_with_a_cast_between():
    """Return two normalisations with a cast of float32 to float32 between them, as OpenCLIP's are, and a sum."""
    nodes = [
        helper.make_node("LayerNormalization", ["image", "gain"], ["first"], name="first"),
        helper.make_node("Cast", ["first"], ["same"], name="same", to=TensorProto.FLOAT),
        helper.make_node("LayerNormalization", ["same", "gain"], ["second"], name="second"),
        helper.make_node("Mul", ["second", "gain"], ["scaled"], name="scaled"),
        helper.make_node("Cast", ["scaled"], ["again"], name="again", to=TensorProto.FLOAT),
        helper.make_node("LayerNormalization", ["again", "gain"], ["third"], name="third"),
        helper.make_node("Add", ["third", "image"], ["embedding"], name="last"),
    ]
    tensors = [("image", TensorProto.FLOAT, [1, 8])], [("embedding", TensorProto.FLOAT, [1, 8])]
    return graph_bytes(nodes, *tensors, {"gain": np.linspace(0.5, 2, 8, dtype=np.float32)})


def test_a_cast_that_changed_nothing_leads_a_normalisation_to_float32():
    full = norms_with_a_cast_between()
    half = half_graph(full, {})
    onnx.checker.check_model(load_graph(half, "x"), full_check=True)
    made = {node.name: node for node in load_graph(half, "x").graph.node}
    assert made["second"].input[0] == made["first"].output[0], "it reads the other's float32 result itself"
    image = np.random.RandomState(0).rand(1, 8).astype(np.float32)
    rows = [OnnxGraph(one, file="x", threads=1).run({"image": image})[0] for one in (full, half)]
    np.testing.assert_allclose(*rows, atol=5e-3)


def test_pairs_keep_their_scales_in_float32_with_casts_around_them_and_break_no_rule():
    full = portable(conv_encoder())
    int8 = quantized(full)
    mixed = half_graph(int8, largest_magnitudes(full, FRAMES))
    model = load_graph(mixed, "x")
    stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert pairs
    assert {stored[node.input[1]].dtype for node in pairs} == {np.dtype(np.float32)}
    assert stored["stem.bias"].dtype == np.float16
    for row in ROWS:
        assert faults(model, row) == []
    assert least_cosine(int8, mixed) > 0.999


def test_a_pair_around_a_loud_tensor_leaves_its_reader_in_float32():
    full = portable(with_loud_channel(conv_encoder(), factor=1e6))
    model = load_graph(half_graph(quantized(full), largest_magnitudes(full, FRAMES)), "x")
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    readers = {node.name: made[node.input[0]] for node in model.graph.node if node.op_type == "Conv"}
    assert readers["first.depthwise"] == "DequantizeLinear"
    assert readers["second.depthwise"] == "Cast"


def test_equal_inputs_give_equal_bytes():
    full = portable(conv_encoder())
    largest = largest_magnitudes(full, FRAMES)
    assert half_graph(full, largest) == half_graph(full, largest)


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_magnitudes_are_those_of_every_tensor(value):
    nodes = [onnx.helper.make_node("Add", ["image", "by"], ["more"]), onnx.helper.make_node("Neg", ["more"], ["out"])]
    tensors = [("image", TensorProto.FLOAT, [1, 2])], [("out", TensorProto.FLOAT, [1, 2])]
    data = graph_bytes(nodes, *tensors, {"by": np.array([[value, 0]], np.float32)})
    assert largest_magnitudes(data, [np.array([[1, -2]], np.float32)]) == {
        "more": max(1 + value, 2),
        "out": max(1 + value, 2),
    }


def test_a_vision_transformer_for_any_number_of_frames_is_exported_and_run(tmp_path):
    """ONNX Runtime's transformer to its own layout died of it, and the process with it."""
    source = small_clip_source(layers=2)
    model = Model.from_modules(tmp_path / "model", source, opset=17)
    settings = ExportSettings(model.folder, tmp_path / "bundle", precision="fp16", batch=Batch(1, 1, 2))
    *_, result = export(settings)
    engine = open_engine(result.bundle, "onnx", threads=1)
    pixels = np.random.RandomState(0).rand(2, 3, *model.facts.contract.size).astype(np.float32)
    np.testing.assert_allclose(engine.run(pixels)[1], engine.run(pixels[1:])[0], atol=1e-3)
