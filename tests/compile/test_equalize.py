"""Channels brought to like magnitudes: no answer changes, and what one scale for a tensor lost is not lost."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgezsl.compile import equalize
from edgezsl.compile.equalize import equalized_graph
from edgezsl.compile.inner import inner_values
from edgezsl.compile.recipe import load_recipe
from edgezsl.encoders.graph import load_graph
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.compile.test_sensitivity import CONV_DIM, RECIPE, calibration_frames, portable, quantized_by
from tests.factories import conv_encoder, graph_bytes, with_loud_channel

RANDOM = np.random.RandomState(0)
FRAMES = [RANDOM.randn(1, 3, 32, 32).astype(np.float32) for _ in range(6)]


@pytest.fixture
def recipe(tmp_path):
    def of(*, equalize):
        path = tmp_path / "strict.yaml"
        more = ", {calibrator: minmax, equalize: true}" if equalize else ""
        path.write_text(RECIPE.replace("{calibrator: minmax}", "{calibrator: minmax}" + more))
        return load_recipe(path)

    return of


@pytest.fixture(scope="module")
def calibration():
    return calibration_frames()


def answers(data):
    graph = OnnxGraph(data, file="x", threads=1)
    return np.concatenate([graph.run({"image": frame})[0] for frame in FRAMES])


def spread(data, name):
    """Return how many times as loud the loudest channel of a tensor is as the quietest that is not silent."""
    loudest = 0.0
    for held in inner_values(load_graph(data, "x"), [name], FRAMES):
        loudest = np.maximum(loudest, np.abs(held[name]).max(axis=(0, 2, 3)))
    return loudest.max() / loudest[loudest > 0].min()


def weights_of(data):
    return {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(data).graph.initializer}


def residual(*, activation="Relu", outputs=("end",), shared=False, unread=1):
    """Return stem → activation → two blocks on a residual → mean.

    Its first channels are 100 times as quiet as the others, and `unread` times as little read.
    """
    random = np.random.RandomState(1)
    values = {
        "stem.w": random.randn(8, 3, 3, 3),
        "stem.b": random.randn(8),
        "one.w": random.randn(8, 8, 1, 1),
        "two.w": random.randn(8, 8, 3, 3),
        "last.w": random.randn(4, 8, 1, 1),
    }
    for name in ("stem.w", "stem.b", "one.w", "two.w"):
        values[name][:4] /= 100
    for name in ("one.w", "two.w", "last.w"):
        values[name][:, :4] /= unread

    def layer(name, given, made, *, pads=0, weight=None):
        inputs = [given, weight or f"{name}.w", *(["stem.b"] if name == "stem" else [])]
        return helper.make_node("Conv", inputs, [made], name=name, pads=[pads] * 4)

    settings = {"alpha": 0.1} if activation == "LeakyRelu" else {}
    nodes = [
        layer("stem", "image", "a", pads=1),
        helper.make_node(activation, ["a"], ["b"], **settings),
        layer("one", "b", "c"),
        helper.make_node("Add", ["b", "c"], ["d"]),
        layer("two", "d", "e", pads=1, weight="one.w" if shared else None),
        helper.make_node("Add", ["d", "e"], ["f"]),
        layer("last", "f", "g"),
        helper.make_node("GlobalAveragePool", ["g"], ["end"]),
    ]
    if shared:
        nodes[4].attribute[0].ints[:] = [0] * 4
        del values["two.w"]
    results = [(name, TensorProto.FLOAT, [1, 4, 1, 1] if name == "end" else [1, 8, 32, 32]) for name in outputs]
    constants = {name: one.astype(np.float32) for name, one in values.items()}
    return graph_bytes(nodes, [("image", TensorProto.FLOAT, [1, 3, 32, 32])], results, constants)


@pytest.mark.parametrize(
    "data",
    [portable(with_loud_channel(conv_encoder())), residual(), residual(activation="LeakyRelu")],
    ids=["depthwise", "residual", "leaky"],
)
def test_no_answer_changes_by_a_bit(data):
    made = equalized_graph(data, FRAMES)
    assert made != data
    np.testing.assert_array_equal(answers(made), answers(data))


def test_channels_come_to_like_magnitudes():
    loud = portable(with_loud_channel(conv_encoder()))
    assert spread(loud, "stem.out") > 400
    assert spread(equalized_graph(loud, FRAMES), "stem.out") < 20
    assert spread(residual(), "f") > 30
    assert spread(equalized_graph(residual(), FRAMES), "f") < spread(residual(), "f") / 3


def weights(outside, inside, side=1):
    """Return random weights whose output channels differ in magnitude a hundredfold."""
    values = RANDOM.randn(outside, inside, side, side)
    return (values * 10 ** RANDOM.uniform(-2, 0, (outside, 1, 1, 1))).astype(np.float32)


def convolution(name, given, made, *more, **settings):
    return helper.make_node("Conv", [given, f"{name}.w", *more], [made], name=name, **settings)


def between(*nodes, branch=None, **constants):
    """Return stem → `nodes`, from tensor `a` to tensor `z` → a last convolution → mean."""
    known = {"stem.w": weights(8, 3, 3), "stem.b": RANDOM.randn(8), "last.w": weights(4, 8), **constants}
    given = [convolution("stem", "image", "a", "stem.b"), *nodes, convolution("last", "z", "y")]
    given.append(helper.make_node("GlobalAveragePool", ["y"], ["mean" if branch else "end"]))
    if branch:
        shape = helper.make_tensor_value_info("q", TensorProto.FLOAT, None)
        inner = [*branch, helper.make_node("ReduceMean", ["p"], ["q"], name="inner", axes=[0, 1, 2, 3], keepdims=1)]
        graph = helper.make_graph(inner, "branch", [], [shape])
        given.append(helper.make_node("If", ["yes"], ["chosen"], name="if", then_branch=graph, else_branch=graph))
        given.append(helper.make_node("Add", ["mean", "chosen"], ["end"]))
        known["yes"] = np.ones((), bool)
    known = {name: np.asarray(value, bool if name == "yes" else np.float32) for name, value in known.items()}
    results = [("end", TensorProto.FLOAT, [1, 4, 1, 1])]
    return graph_bytes(given, [("image", TensorProto.FLOAT, [1, 3, 32, 32])], results, known)


def node(operator, *given, made="z", **settings):
    return helper.make_node(operator, list(given), [made], name=f"{operator}.{made}", **settings)


PAD = {"pads": [1] * 4}
EIGHT = RANDOM.randn(1, 8, 1, 1)
SCALED = {
    "ReLU": between(node("Relu", "a")),
    "LeakyReLU of a negative slope": between(node("LeakyRelu", "a", alpha=-0.3)),
    "pooling": between(node("AveragePool", "a", kernel_shape=[3, 3], count_include_pad=1, **PAD)),
    "depthwise": between(node("Relu", "a", made="b"), convolution("d", "b", "z", group=8), **{"d.w": weights(8, 1, 3)}),
    "depthwise in a residual": between(
        convolution("d", "a", "b", group=8, **PAD), node("Add", "a", "b"), **{"d.w": weights(8, 1, 3)}
    ),
    "dense in a residual": between(
        convolution("d", "a", "b", **PAD), node("Add", "a", "b"), **{"d.w": weights(8, 8, 3)}
    ),
    "a tensor and itself": between(node("Add", "a", "a")),
    "a pooled operand": between(
        node("GlobalAveragePool", "a", made="b"),
        convolution("d", "b", "c"),
        node("Add", "a", "c"),
        **{"d.w": weights(8, 8)},
    ),
    "dead channels": between(
        node("Relu", "a"), **{"stem.w": weights(8, 3, 3) * np.eye(8)[:4].sum(0)[:, None, None, None]}
    ),
}
KEPT = {
    "Clip": between(node("Clip", "a", "low", "high"), low=0.0, high=6.0),
    "Mul": between(node("Mul", "a", "a")),
    "Softplus": between(node("Softplus", "a")),
    "a constant operand": between(node("Add", "a", "c"), c=EIGHT),
    "a constant behind Identity": between(node("Identity", "c", made="d"), node("Add", "a", "d"), c=EIGHT),
    "a constant behind ReLU": between(node("Relu", "c", made="d"), node("Add", "a", "d"), c=EIGHT),
    "a grouped reader": between(convolution("g", "a", "b", group=2), node("Sigmoid", "b"), **{"g.w": weights(8, 4)}),
    "one channel over many": between(
        convolution("d", "image", "b"), node("Add", "a", "b"), **{"d.w": weights(1, 3, 3)}
    ),
    "a branch that reads the tensor": between(node("Relu", "a"), branch=[node("Sigmoid", "z", made="p")]),
    "a branch that reads the weights": between(node("Relu", "a"), branch=[node("Sigmoid", "last.w", made="p")]),
}


@pytest.mark.parametrize("name", [*SCALED, *KEPT])
def test_answers_stay_to_the_bit_and_only_what_may_be_rescaled_is(name):
    data = {**SCALED, **KEPT}[name]
    made = equalized_graph(data, FRAMES)
    np.testing.assert_array_equal(answers(made), answers(data))
    before, after = weights_of(data), weights_of(made)
    assert {one: values.shape for one, values in after.items()} == {one: values.shape for one, values in before.items()}
    changed = [one for one in before if not np.array_equal(before[one], after[one])]
    assert bool(changed) == (name in SCALED)


def test_a_tensor_that_is_always_0_gets_no_endless_factor():
    data = between(node("Relu", "a"), **{"stem.w": weights(8, 3, 3) * 0, "stem.b": np.zeros(8)})
    assert all(np.isfinite(values).all() for values in weights_of(equalized_graph(data, FRAMES)).values())


def test_a_bias_that_two_layers_share_stays():
    data = between(convolution("d", "image", "b", "stem.b"), node("Add", "a", "b"), **{"d.w": weights(8, 3, 3)})
    made = equalized_graph(data, FRAMES)
    np.testing.assert_array_equal(answers(made), answers(data))
    assert np.array_equal(weights_of(made)["stem.b"], weights_of(data)["stem.b"])


@pytest.mark.parametrize("activation", ["Sigmoid", "Tanh", "HardSwish"])
def test_nothing_is_rescaled_across_a_step_that_is_not_homogeneous(activation):
    data = residual(activation=activation, unread=1000)
    np.testing.assert_array_equal(answers(equalized_graph(data, FRAMES)), answers(data))
    before, after = weights_of(data), weights_of(equalized_graph(data, FRAMES))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_an_error_in_what_counts_as_homogeneous_is_seen(monkeypatch):
    monkeypatch.setattr(equalize, "_HOMOGENEOUS", equalize._HOMOGENEOUS | {"Sigmoid"})
    data = residual(activation="Sigmoid", unread=1000)
    assert np.abs(answers(equalized_graph(data, FRAMES)) - answers(data)).max() > 1e-3


def test_a_tensor_that_others_see_and_weights_that_others_use_stay():
    seen = residual(outputs=("end", "d"))
    before, after = weights_of(seen), weights_of(equalized_graph(seen, FRAMES))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    shared = residual(shared=True)
    np.testing.assert_array_equal(answers(equalized_graph(shared, FRAMES)), answers(shared))
    assert np.array_equal(weights_of(shared)["one.w"], weights_of(equalized_graph(shared, FRAMES))["one.w"])


def test_a_loud_channel_costs_an_equalized_network_no_float_node(recipe, calibration):
    loud = with_loud_channel(conv_encoder())
    plain, _ = quantized_by(loud, recipe(equalize=False), calibration)
    made, steps = quantized_by(loud, recipe(equalize=True), calibration)
    assert plain.plan.keep_float == ("node:first.depthwise",)
    assert (made.plan.keep_float, made.plan.equalize, made.losses) == ((), True, {})
    assert [trial.plan.equalize for trial in made.trials] == [False, True]
    assert str(made.plan).startswith("equalized, ")
    assert made.encoder != portable(loud)
    assert "equalizing channels" in {step.step for step in steps}
    assert answers(made.encoder).shape == (len(FRAMES), CONV_DIM)
