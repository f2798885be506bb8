"""Graphs in the portable form: what is brought into it, what is refused, and weights at half their size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter

from edgezsl.encoders.graph import (
    IR_VERSION,
    load_graph,
    opset_of,
    portable_encoder,
    with_batch,
    with_full_weights,
    with_half_weights,
)
from edgezsl.errors import ModelError
from edgezsl.manifest import Batch
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.factories import CONV_SIDE, conv_encoder, conv_facts, graph_bytes, two_outputs

FILE = "image_encoder.onnx"


def portable(data, **changes):
    facts = conv_facts()
    return portable_encoder(data, changes.get("contract", facts.contract), changes.get("space", facts.space), FILE)


def refusal(data, **changes):
    with pytest.raises(ModelError) as caught:
        portable(data, **changes)
    assert caught.value.where.file == FILE
    assert caught.value.hint
    return caught.value


def rewritten(change, data=None):
    """Return a graph after `change` was done to it."""
    model = onnx.load_from_string(data or conv_encoder())
    change(model)
    return model.SerializeToString()


def weights(data):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(data).graph.initializer}


def test_weights_that_float16_represents_come_back_exactly():
    full = conv_encoder()
    half = with_half_weights(full)
    assert with_full_weights(half) == with_full_weights(full)
    assert weights(with_full_weights(half)).keys() == weights(full).keys()
    for name, values in weights(full).items():
        np.testing.assert_array_equal(weights(with_full_weights(half))[name], values)


def test_half_weights_are_half_the_size_and_biases_are_whole():
    half = weights(with_half_weights(conv_encoder()))
    assert half["stem.weight__half"].dtype == np.float16
    assert half["stem.bias"].dtype == np.float32
    count = sum(values.size for values in half.values())
    assert len(with_half_weights(conv_encoder())) < 3 * count + 4000


def test_half_weights_compute_the_same_embeddings():
    pixels = np.random.RandomState(0).rand(2, 3, CONV_SIDE, CONV_SIDE).astype(np.float32)
    answers = [
        OnnxGraph(data, file="x", threads=1).run({"image": pixels})[0]
        for data in (conv_encoder(), with_half_weights(conv_encoder()))
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


def test_a_weight_that_float16_cannot_hold_stays_as_it_is():
    def enlarge(model):
        tensor = next(one for one in model.graph.initializer if one.name == "stem.weight")
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e6), "stem.weight"))

    half = weights(with_half_weights(rewritten(enlarge)))
    assert half["stem.weight"].dtype == np.float32
    assert "first.pointwise.weight__half" in half


def test_a_half_weight_that_is_used_as_it_is_too_is_kept_beside_its_full_one():
    nodes = [
        helper.make_node("Cast", ["w"], ["full"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["w"], ["other"]),
        helper.make_node("Add", ["x", "full"], ["y"]),
    ]
    outputs = [("y", TensorProto.FLOAT, [2]), ("other", TensorProto.FLOAT16, [2])]
    data = graph_bytes(nodes, [("x", TensorProto.FLOAT, [2])], outputs, {"w": np.ones(2, np.float16)})
    assert set(weights(with_full_weights(data))) == {"w", "full"}


def test_the_portable_form_has_no_metadata_and_the_versions_that_it_says():
    def litter(model):
        model.ir_version = 8
        model.producer_name, model.doc_string = "somebody", "/home/somebody/model.py"
        model.metadata_props.add(key="trace", value="/home/somebody")
        model.graph.node[0].doc_string = "/home/somebody"
        model.graph.node[0].metadata_props.add(key="trace", value="/home/somebody")
        model.graph.initializer[0].doc_string = "somebody"
        model.graph.input[0].doc_string = "somebody"
        model.graph.node[1].name = ""

    data = portable(rewritten(litter, with_half_weights(conv_encoder())))
    model = load_graph(data, FILE)
    assert b"somebody" not in data
    assert (model.ir_version, opset_of(model)) == (IR_VERSION, 17)
    assert [entry.domain for entry in model.opset_import] == [""]
    assert all(node.name for node in model.graph.node)
    assert "Cast" not in {node.op_type for node in model.graph.node}
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


@pytest.mark.parametrize(("opset", "written"), [(13, 17), (16, 17), (18, 18), (19, 18)])
def test_a_graph_of_another_opset_is_turned_into_the_nearest_that_is_written_and_says_the_same(opset, written):
    image = np.random.RandomState(0).rand(1, 3, CONV_SIDE, CONV_SIDE).astype(np.float32)
    source = onnx.load_from_string(conv_encoder())
    if opset >= 18:  # axes became an input
        source = version_converter.convert_version(source, opset)
    source.opset_import[0].version = opset
    data = portable(source.SerializeToString())
    assert opset_of(load_graph(data, FILE)) == written
    before, after = (OnnxGraph(one, file=FILE, threads=1).run({"image": image})[0] for one in (conv_encoder(), data))
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-6)


def test_a_graph_whose_opset_cannot_be_turned_is_refused_with_what_to_do():
    node = helper.make_node("Gelu", ["image"], ["embedding"])
    shape = [1, 3, CONV_SIDE, CONV_SIDE]
    tensors = [("image", TensorProto.FLOAT, shape)], [("embedding", TensorProto.FLOAT, shape)]
    fault = refusal(graph_bytes([node], *tensors, {}, opset=20))
    assert fault.code == "bad_opset"
    assert "opset 20" in fault.message
    assert fault.expected == "17 or 18"


@pytest.mark.parametrize(("batch", "dim"), [(Batch(4, 4, 4), 4), (Batch(1, 2, 8), "N")])
def test_the_batch_is_fixed_or_free_as_asked(batch, dim):
    model = load_graph(with_batch(portable(conv_encoder()), batch), FILE)
    for value in (model.graph.input[0], model.graph.output[0]):
        axis = value.type.tensor_type.shape.dim[0]
        assert dim == (axis.dim_value or axis.dim_param)


@pytest.mark.parametrize("data", [b"", b"name: not a graph\n" * 20, b"\xff" * 64, b"\x08\x0a"])
def test_a_file_that_is_no_onnx_graph_is_refused(data):
    assert refusal(data).code == "not_onnx"


def foreign_operator(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[1].op_type, model.graph.node[1].domain = "Gelu", "com.microsoft"


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    tensor.ClearField("raw_data")


def cut_off(model):
    model.graph.node[0].input[0] = "nothing"


def old_opset(model):
    model.opset_import[0].version = 12


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (foreign_operator, "bad_graph", "com.microsoft"),
        (external, "bad_graph", "another file"),
        (cut_off, "bad_graph", "no valid ONNX graph"),
        (old_opset, "bad_opset", "opset 12"),
    ],
)
def test_a_graph_that_cannot_be_exported_is_refused_and_says_why(change, code, words):
    fault = refusal(rewritten(change))
    assert fault.code == code
    assert words in str(fault)


def test_a_graph_with_two_outputs_is_refused():
    fault = refusal(two_outputs())
    assert fault.code == "unfit_graph"
    assert "outputs ['embedding', 'raw']" in str(fault)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size", (64, 64), "'image' is float (N, 3, 32, 32)"),
        ("dtype", "uint8", "'image' is float"),
        ("output", "features", "outputs ['embedding']"),
    ],
)
def test_a_contract_that_does_not_fit_the_graph_is_refused(field, value, words):
    fault = refusal(conv_encoder(), contract=replace(conv_facts().contract, **{field: value}))
    assert fault.code == "unfit_graph"
    assert words in str(fault)


def test_a_space_of_another_dimension_is_refused():
    assert "'embedding' is float (N, 16)" in str(refusal(conv_encoder(), space=replace(conv_facts().space, dim=8)))
