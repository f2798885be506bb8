import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper, shape_inference

from edgezsl.encoders.graph import with_half_weights
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.torch_graph import OPERATORS, GraphModule, with_weights
from edgezsl.errors import ModelError
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.factories import IR_VERSION, OPSET, graph_bytes, image_encoder, small_contract

IMAGE, TOKENS = (2, 4, 7, 6), (2, 5, 8)


def weights(*shape):
    return np.random.RandomState(sum(shape)).normal(size=shape).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


POSITIVE = np.abs(weights(4)) + 0.1
# Operator, shape of x, what follows x among the inputs, attributes.
CASES = [
    ("Add", TOKENS, [weights(8)], {}),
    ("Sub", TOKENS, [weights(5, 1)], {}),
    ("Mul", TOKENS, [weights(8)], {}),
    ("Div", TOKENS, [np.abs(weights(8)) + 1], {}),
    ("Pow", TOKENS, [np.float32(2)], {}),
    ("Erf", TOKENS, [], {}),
    ("Tanh", TOKENS, [], {}),
    ("Relu", TOKENS, [], {}),
    ("Sigmoid", TOKENS, [], {}),
    ("HardSwish", TOKENS, [], {}),
    ("HardSigmoid", TOKENS, [], {}),
    ("HardSigmoid", TOKENS, [], {"alpha": 1 / 6, "beta": 0.5}),
    ("Clip", TOKENS, [np.float32(0), np.float32(0.5)], {}),
    ("Clip", TOKENS, [np.float32(0.1)], {}),
    ("Softmax", TOKENS, [], {"axis": 1}),
    ("Conv", IMAGE, [weights(3, 4, 3, 3), weights(3)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("Conv", IMAGE, [weights(3, 4, 3, 3)], {"pads": [0, 1, 2, 1], "dilations": [2, 1]}),
    ("Conv", IMAGE, [weights(4, 1, 3, 3), weights(4)], {"group": 4}),
    ("BatchNormalization", IMAGE, [weights(4), weights(4), weights(4), POSITIVE], {"epsilon": 1e-3}),
    ("LayerNormalization", TOKENS, [weights(8), weights(8)], {"axis": -1, "epsilon": 1e-3}),
    ("MaxPool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("GlobalAveragePool", IMAGE, [], {}),
    ("MatMul", TOKENS, [weights(8, 3)], {}),
    ("Gemm", (2, 8), [weights(3, 8), weights(3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (8, 2), [weights(8, 3)], {"transA": 1}),
    ("ReduceMean", IMAGE, [], {"axes": [2, 3], "keepdims": 0}),
    ("ReduceSum", IMAGE, [whole(1)], {"keepdims": 1}),
    ("ReduceL2", TOKENS, [], {"axes": [-1]}),
    ("Reshape", TOKENS, [whole(0, -1, 4)], {}),
    ("Flatten", IMAGE, [], {}),
    ("Transpose", TOKENS, [], {"perm": [2, 0, 1]}),
    ("Squeeze", (2, 1, 3, 1), [whole(1)], {}),
    ("Squeeze", (2, 1, 3, 1), [], {}),
    ("Unsqueeze", TOKENS, [whole(0, -1)], {}),
    ("Concat", TOKENS, [weights(2, 1, 8)], {"axis": 1}),
    ("Gather", TOKENS, [whole(4, -2)], {"axis": 1}),
    ("Gather", TOKENS, [np.array(3)], {"axis": 2}),
    ("Slice", TOKENS, [whole(1, 0), whole(2**40, -1), whole(1, 2), whole(2, 3)], {}),
    ("Slice", TOKENS, [whole(0), whole(1)], {}),
    ("Expand", (2, 1, 8), [whole(5, 1)], {}),
    ("Cast", TOKENS, [], {"to": TensorProto.FLOAT}),
    ("Identity", TOKENS, [], {}),
]
WITHOUT_CASE = {"Sqrt", "Shape", "Constant"}  # below


def single(kind, shape, others, attributes):
    names = [f"given_{number}" for number in range(len(others))]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *names], ["y"], **attributes)],
        "one operator",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, others, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return shape_inference.infer_shapes(model).SerializeToString()


def both(data, values):
    with torch.no_grad():
        ours = GraphModule(data, file="test")(torch.from_numpy(values)).numpy()
    (name,) = OnnxGraph(data, file="test", threads=1).inputs
    return ours, OnnxGraph(data, file="test", threads=1).run({name: values})[0]


@pytest.mark.parametrize(("kind", "shape", "others", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_an_operator_gives_what_onnx_runtime_gives(kind, shape, others, attributes):
    ours, theirs = both(single(kind, shape, others, attributes), weights(*shape))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert ours.shape == theirs.shape


def test_a_length_by_hand_and_shapes_that_are_computed():
    """unit(x) as some exporters write it: the root of a sum of squares, expanded to the shape of x."""
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceSum", ["square", "axis"], ["sum"], keepdims=1),
        helper.make_node("Sqrt", ["sum"], ["length"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Expand", ["length", "shape"], ["wide"]),
        helper.make_node("Constant", [], ["two"], value=helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])),
        helper.make_node("Div", ["x", "wide"], ["unit"]),
        helper.make_node("Mul", ["unit", "two"], ["y"]),
    ]
    ends = [("x", TensorProto.FLOAT, ["N", 8])], [("y", TensorProto.FLOAT, ["N", 8])]
    ours, theirs = both(graph_bytes(nodes, *ends, {"axis": whole(1)}), weights(3, 8))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 2, atol=1e-6)


def test_every_operator_has_a_case():
    assert set(OPERATORS) == {case[0] for case in CASES} | WITHOUT_CASE


def test_the_built_in_encoder_gives_what_onnx_runtime_gives():
    model = Model.open()
    pixels = np.random.RandomState(1).uniform(-1, 1, (3, 3, *model.facts.contract.size)).astype(np.float32)
    ours, theirs = both(model.read(IMAGE_ENCODER), pixels)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences():
    """Along random directions, in float64, through every layer of the built-in encoder; small pictures are enough for that."""
    encoder = GraphModule(Model.open().read(IMAGE_ENCODER), file=IMAGE_ENCODER).double()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand((1, 3, 32, 32), generator=generator, dtype=torch.float64)
    weight = torch.randn(encoder(pixels).shape, generator=generator, dtype=torch.float64)
    asked = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((encoder(asked) * weight).sum(), asked)
    for _ in range(3):
        direction, step = torch.randn(pixels.shape, generator=generator, dtype=torch.float64), 1e-7
        ahead, behind = ((encoder(pixels + sign * step * direction) * weight).sum() for sign in (1, -1))
        assert float((ahead - behind) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_the_weights_follow_the_module_and_do_not_change():
    module = GraphModule(image_encoder(small_contract()), file="small")
    assert not list(module.parameters())
    assert {one.dtype for one in module.double().buffers()} <= {torch.float64, torch.int64}


def layers():
    """Two layers with a rectifier between: y = W2 relu(W1 x + b1)."""
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["middle"]),
        helper.make_node("MatMul", ["middle", "second"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "fixed"], ["y"]),
    ]
    constants = {"first": weights(5, 4), "bias": weights(5), "second": weights(5, 3), "fixed": weights(3)}
    ends = [("x", TensorProto.FLOAT, ["N", 4])], [("y", TensorProto.FLOAT, ["N", 3])]
    return with_half_weights(graph_bytes(nodes, *ends, constants))


def test_what_is_learned_are_the_layers_behind_a_tensor():
    data = layers()
    assert not GraphModule(data, file="test").weights()
    module = GraphModule(data, file="test", learned_after="middle")
    assert set(module.weights()) == {"second"}
    assert set(GraphModule(data, file="test", learned_after="hidden").weights()) == {"second"}
    module(torch.ones(2, 4)).sum().backward()
    (weight,) = module.parameters()
    assert weight is module.weights()["second"]
    assert float(weight.grad.abs().sum()) > 0


def test_what_was_learned_goes_back_into_the_graph():
    module = GraphModule(layers(), file="test", learned_after="middle")
    with torch.no_grad():
        module.weights()["second"].copy_(torch.arange(15).reshape(5, 3))
    data, values = with_weights(layers(), module.weights()), weights(6, 4)
    written, theirs = both(data, values)
    np.testing.assert_allclose(written, theirs, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(values)).numpy(), written, rtol=1e-3, atol=1e-3)
    assert len(data) == len(layers()), "stored as they were"


def test_a_tensor_that_is_not_there_is_refused():
    with pytest.raises(ModelError, match="'somewhere'"):
        GraphModule(layers(), file="test", learned_after="somewhere")


def test_an_operator_without_a_gradient_is_refused_by_its_name():
    data = graph_bytes(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        [("x", TensorProto.FLOAT, ["N", 4])],
        [("y", TensorProto.INT8, ["N", 4])],
        {"scale": np.float32(0.1), "zero": np.int8(0)},
    )
    with pytest.raises(ModelError, match="QuantizeLinear") as caught:
        GraphModule(data, file="encoder.onnx")
    assert caught.value.code == "no_gradient"


def test_padding_without_numbers_is_refused():
    data = single("Conv", IMAGE, [weights(3, 4, 3, 3)], {"auto_pad": "SAME_UPPER"})
    with pytest.raises(ModelError, match="SAME_UPPER"):
        GraphModule(data, file="test")(torch.zeros(IMAGE))
