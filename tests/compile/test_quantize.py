"""INT8 in the accepted form: what is quantized, what stays in float, and that engines compute it without overflow."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgezsl
from edgezsl.bundle import Bundle
from edgezsl.compile.quantize import activations, collect_histograms, quantized_graph, quantized_nodes
from edgezsl.compile.rules import faults
from edgezsl.encoders.graph import load_graph, portable_encoder
from edgezsl.errors import ModelError
from edgezsl.manifest import Batch
from edgezsl.runtime.onnx_engine import OnnxEngine, OnnxGraph
from edgezsl.runtime.openvino_engine import OpenVinoEngine
from tests.factories import CONV_SIDE, conv_encoder, conv_facts, graph_bytes, small_manifest

CONVOLUTIONS = ["stem", "first.depthwise", "first.pointwise", "second.depthwise", "second.pointwise"]


@pytest.fixture(scope="module")
def encoder():
    facts = conv_facts()
    return portable_encoder(conv_encoder(), facts.contract, facts.space, "image_encoder.onnx")


@pytest.fixture(scope="module")
def pixels():
    return 2 * np.random.RandomState(0).rand(12, 1, 3, CONV_SIDE, CONV_SIDE).astype(np.float32) - 1


@pytest.fixture(scope="module")
def ranges(encoder, pixels):
    histograms = {}
    assert list(collect_histograms(encoder, pixels, histograms)) == list(range(1, 13))
    return {name: histogram.range("minmax", 100) for name, histogram in histograms.items()}


@pytest.fixture(scope="module")
def quantized(encoder, ranges):
    return quantized_graph(encoder, ranges, ())


def model_of(data):
    return load_graph(data, "x")


def producers(model):
    return {output: node for node in model.graph.node for output in node.output}


def float_nodes(model):
    """Return the names of convolutions and products whose first input is not dequantized."""
    made = producers(model)
    return [
        node.name
        for node in model.graph.node
        if node.op_type in {"Conv", "Gemm"}
        and (node.input[0] not in made or made[node.input[0]].op_type != "DequantizeLinear")
    ]


def cosine(a, b):
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def test_every_convolution_and_product_takes_int8_and_nothing_else_does(quantized):
    model = model_of(quantized)
    assert faults(model) == []
    assert float_nodes(model) == []
    readers = {node.op_type for node in model.graph.node if any("DequantizeLinear" in name for name in node.input)}
    assert readers == {"Conv", "Gemm"}


def test_no_output_is_quantized_so_that_what_follows_is_fused_first(quantized):
    made = producers(model_of(quantized))
    for node in model_of(quantized).graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in made:
            assert made[node.input[0]].op_type not in {"Conv", "Gemm"}


def test_weights_have_a_scale_for_each_output_channel_and_biases_stay_float(quantized):
    model = model_of(quantized)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made = producers(model)
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight = made[node.input[1]]
            assert stored[weight.input[0]].dtype == np.int8
            assert stored[weight.input[1]].shape == (len(stored[weight.input[0]]),)
            assert stored[node.input[2]].dtype == np.float32


def test_the_quantized_graph_says_nearly_what_the_whole_one_says(encoder, quantized, pixels):
    graphs = [OnnxGraph(data, file="x", threads=1) for data in (encoder, quantized)]
    for frame in pixels:
        whole, small = (graph.run({"image": frame})[0][0] for graph in graphs)
        assert cosine(whole, small) > 0.98
        assert not np.array_equal(whole, small)


def test_equal_inputs_give_equal_bytes(encoder, ranges, quantized):
    assert quantized_graph(encoder, ranges, ()) == quantized


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (["stem"], ["stem"]),
        (["depthwise"], ["first.depthwise", "second.depthwise"]),
        (["op:Gemm"], ["head"]),
        (["node:second.*"], ["second.depthwise", "second.pointwise"]),
        (["stem", "node:*pointwise"], ["stem", "first.pointwise", "second.pointwise"]),
        (["op:MatMul", "node:nothing"], []),
    ],
)
def test_what_a_rule_keeps_stays_in_float(encoder, ranges, rules, kept):
    assert float_nodes(model_of(quantized_graph(encoder, ranges, rules))) == kept


def test_a_recipe_that_keeps_everything_is_refused(encoder, ranges):
    with pytest.raises(ModelError, match=r"none of \d+ nodes of the image encoder is to be quantized") as caught:
        quantized_graph(encoder, ranges, ["op:Conv", "op:Gemm"])
    assert "--fp32" in caught.value.hint


def test_ranges_are_measured_for_what_quantized_nodes_take(encoder):
    model = model_of(encoder)
    assert [node.name for node in quantized_nodes(model, ())] == [*CONVOLUTIONS, "head"]
    assert activations(model, quantized_nodes(model, ()))[:2] == ["image", "stem.out"]


def loud_encoder():
    """Return a graph whose 8-bit products do not fit 16 bits: full weights and full activations, one channel mean."""
    weight = np.ones((8, 32, 1, 1), np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["wide"], name="stem"),
        helper.make_node("Relu", ["wide"], ["positive"]),
        helper.make_node("Conv", ["positive", "weight"], ["sums"], name="sums"),
        helper.make_node("Conv", ["sums", "last"], ["mixed"], name="mixed"),
        helper.make_node("GlobalAveragePool", ["mixed"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    random = np.random.RandomState(0)
    constants = {
        "stem": random.rand(32, 3, 1, 1).astype(np.float32),
        "weight": weight * np.linspace(0.5, 1, 8, dtype=np.float32)[:, None, None, None],
        "last": random.rand(16, 8, 1, 1).astype(np.float32),
    }
    size = [1, 3, CONV_SIDE, CONV_SIDE]
    return graph_bytes(
        nodes, [("image", TensorProto.FLOAT, size)], [("embedding", TensorProto.FLOAT, [1, 16])], constants
    )


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_int8_products_do_not_overflow_whatever_the_processor(tmp_path, name):
    pytest.importorskip("onnxruntime" if name == "onnx" else name)
    kind = {"onnx": OnnxEngine, "openvino": OpenVinoEngine}[name]
    frame = np.ones((1, 3, CONV_SIDE, CONV_SIDE), np.float32)
    histograms = {}
    list(collect_histograms(loud_encoder(), [frame], histograms))
    data = quantized_graph(loud_encoder(), {name: one.range("minmax", 100) for name, one in histograms.items()}, ())
    facts, encoders = conv_facts(), {"int8": "int8.onnx"}
    space = {"contract": facts.contract, "space": facts.space}
    manifest = small_manifest(**space, precision="int8", image_encoders=encoders, batch=Batch())
    engine = kind.open(Bundle.write(tmp_path / "loud", manifest, {"int8.onnx": data}), "int8", threads=1)
    whole = OnnxGraph(loud_encoder(), file="x", threads=1).run({"image": frame})[0]
    np.testing.assert_allclose(engine.run(frame), whole, rtol=0.03)
    engine.close()


def test_one_module_alone_imports_the_quantization_package():
    package = Path(edgezsl.__file__).parent
    importers = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime.quantization")
    ]
    assert set(importers) == {"compile/quantize.py"}
