"""A sound encoder, in float and quantized, and a corpus of defects.

Each defect changes the quantized graph so that TensorRT refuses it, and returns the node at fault, or None.
"""

from __future__ import annotations

import functools

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgezsl.compile.quantize import collect_histograms, quantized_graph
from edgezsl.encoders.graph import portable_encoder
from tests.factories import CONV_SIDE, conv_encoder, conv_facts

FRAME = np.random.RandomState(0).rand(1, 3, CONV_SIDE, CONV_SIDE).astype(np.float32)


@functools.cache
def float_encoder():
    """Return a convolutional encoder as the export writes it."""
    facts = conv_facts()
    return portable_encoder(conv_encoder(), facts.contract, facts.space, "image_encoder.onnx")


@functools.cache
def quantized_encoder():
    """Return the same in INT8, as the export writes it."""
    histograms = {}
    list(collect_histograms(float_encoder(), [FRAME], histograms))
    ranges = {name: one.range("minmax", 100) for name, one in histograms.items()}
    return quantized_graph(float_encoder(), ranges, ())


def named(model, name):
    return next(node for node in model.graph.node if node.name == name)


def first(model, kind):
    return next(node for node in model.graph.node if node.op_type == kind)


def constant(model, name, values):
    """Replace a constant."""
    tensor = next(one for one in model.graph.initializer if one.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def stored(model, name):
    return numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name))


def weight_pair(model, reader):
    """Return the DequantizeLinear that gives a node its weight."""
    wanted = named(model, reader).input[1]
    return next(node for node in model.graph.node if wanted in node.output)


def append(model, node, **constants):
    """Put a node behind the embedding, before anything else reads it: its answer is the graph's."""
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    last = next(one for one in model.graph.node if "embedding" in one.output)
    last.output[0] = "before"
    model.graph.node.append(node)


def unsigned_zero_point(model):
    constant(model, first(model, "QuantizeLinear").input[2], np.uint8(0))
    return first(model, "QuantizeLinear")


def zero_point_off_zero(model):
    constant(model, first(model, "QuantizeLinear").input[2], np.int8(3))
    return first(model, "QuantizeLinear")


def no_zero_point(model):
    del first(model, "QuantizeLinear").input[2]
    return first(model, "QuantizeLinear")


def integer_bias(model):
    zero = first(model, "QuantizeLinear").input[1:3]
    bias = named(model, "stem").input[2]
    constant(model, bias, np.zeros(16, np.int32))
    node = helper.make_node("DequantizeLinear", [bias, *zero], ["float.bias"], name="bias.pair")
    named(model, "stem").input[2] = "float.bias"
    model.graph.node.insert(0, node)
    return node


def integer_convolution(model):
    named(model, "stem").op_type = "QLinearConv"
    return named(model, "stem")


def integer_product(model):
    named(model, "head").op_type = "MatMulInteger"
    return named(model, "head")


def dynamic_quantization(model):
    first(model, "QuantizeLinear").op_type = "DynamicQuantizeLinear"
    return first(model, "DynamicQuantizeLinear")


def scales_along_the_wrong_axis(model):
    pair = weight_pair(model, "second.pointwise")
    channels = stored(model, pair.input[0]).shape[1]
    constant(model, pair.input[1], np.ones(channels, np.float32))
    constant(model, pair.input[2], np.zeros(channels, np.int8))
    next(one for one in pair.attribute if one.name == "axis").i = 1
    return pair


def scales_for_each_channel_of_an_activation(model):
    pair = next(
        one
        for one in model.graph.node
        if one.op_type == "DequantizeLinear" and first(model, "QuantizeLinear").output[0] in one.input
    )
    constant(model, pair.input[1], np.ones(3, np.float32))
    return pair


def quantized_without_dequantizing(model):
    node = first(model, "QuantizeLinear")
    pair = next(one for one in model.graph.node if node.output[0] in one.input)
    pair.op_type = "Cast"
    return node


def dequantized_without_quantizing(model):
    node = first(model, "QuantizeLinear")
    node.op_type = "Cast"
    return next(one for one in model.graph.node if node.output[0] in one.input)


def vendor_operator(model):
    named(model, "stem").domain = "com.microsoft"
    return named(model, "stem")


def opset_16(model):
    model.opset_import[0].version = 16


def opset_21(model):
    model.opset_import[0].version = 21


def pair_in_a_branch(model):
    node = first(model, "QuantizeLinear")
    inner = helper.make_node("QuantizeLinear", node.input, ["inner"], name="inner.pair")
    branch = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("inner", TensorProto.INT8, None)])
    model.graph.node.append(
        helper.make_node("If", ["condition"], ["chosen"], name="if", then_branch=branch, else_branch=branch)
    )
    return inner


def half_scale(model):
    node = first(model, "QuantizeLinear")
    constant(model, node.input[1], np.float16(0.01))
    return node


def scale_of_zero(model):
    node = first(model, "QuantizeLinear")
    constant(model, node.input[1], np.float32(0))
    return node


def integer_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return model.graph.input[0]


def unknown_operator(model):
    node = helper.make_node("Bernoulli", ["before"], ["embedding"], name="dice")
    append(model, node)
    return node


def operator_of_a_later_version(model):
    node = helper.make_node("HannWindow", ["size"], ["window"], name="window")
    append(model, node, size=np.int64(4))
    return node


def shape_from_values(model):
    node = helper.make_node("NonZero", ["before"], ["embedding"], name="where")
    append(model, node)
    return node


def shape_computed_from_the_frame(model):
    cast = helper.make_node("Cast", ["before"], ["shape"], to=TensorProto.INT64)
    node = helper.make_node("Reshape", ["before", "shape"], ["embedding"], name="reshape")
    append(model, cast)
    model.graph.node.append(node)
    return node


def cubic_resize(model):
    node = helper.make_node("Resize", ["before", "", "scales"], ["embedding"], name="resize", mode="cubic")
    append(model, node, scales=np.ones(2, np.float32))
    return node


def new_ir(model):
    model.ir_version = 14


def weights_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def left_metadata(model):
    model.graph.node[0].doc_string = "trace"


DEFECTS = [
    (unsigned_zero_point, "zero_point_type"),
    (zero_point_off_zero, "zero_point_value"),
    (no_zero_point, "zero_point_type"),
    (integer_bias, "integer_constant"),
    (integer_convolution, "integer_operator"),
    (integer_product, "integer_operator"),
    (dynamic_quantization, "integer_operator"),
    (scales_along_the_wrong_axis, "weight_axis"),
    (scales_for_each_channel_of_an_activation, "activation_scale"),
    (quantized_without_dequantizing, "unpaired"),
    (dequantized_without_quantizing, "unpaired"),
    (vendor_operator, "foreign_operator"),
    (opset_16, "opset"),
    (opset_21, "opset"),
    (pair_in_a_branch, "nested_pair"),
    (half_scale, "scale_type"),
    (scale_of_zero, "scale_value"),
    (integer_input, "input_type"),
    (unknown_operator, "unsupported_operator"),
    (operator_of_a_later_version, "unsupported_operator"),
    (shape_from_values, "data_dependent_shape"),
    (shape_computed_from_the_frame, "data_dependent_shape"),
    (cubic_resize, "restricted_operator"),
    (new_ir, "ir_version"),
    (weights_elsewhere, "external_weights"),
    (left_metadata, "metadata"),
]
