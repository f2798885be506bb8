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
    weights = {
        "stem.w": random.randn(8, 3, 3, 3),
        "stem.b": random.randn(8),
        "one.w": random.randn(8, 8, 1, 1),
        "two.w": random.randn(8, 8, 3, 3),
        "last.w": random.randn(4, 8, 1, 1),
    }
    for name in ("stem.w", "stem.b", "one.w", "two.w"):
        weights[name][:4] /= 100
    for name in ("one.w", "two.w", "last.w"):
        weights[name][:, :4] /= unread

    def convolution(name, given, made, *, pads=0, weight=None):
        inputs = [given, weight or f"{name}.w", *(["stem.b"] if name == "stem" else [])]
        return helper.make_node("Conv", inputs, [made], name=name, pads=[pads] * 4)

    settings = {"alpha": 0.1} if activation == "LeakyRelu" else {}
    nodes = [
        convolution("stem", "image", "a", pads=1),
        helper.make_node(activation, ["a"], ["b"], **settings),
        convolution("one", "b", "c"),
        helper.make_node("Add", ["b", "c"], ["d"]),
        convolution("two", "d", "e", pads=1, weight="one.w" if shared else None),
        helper.make_node("Add", ["d", "e"], ["f"]),
        convolution("last", "f", "g"),
        helper.make_node("GlobalAveragePool", ["g"], ["end"]),
    ]
    if shared:
        nodes[4].attribute[0].ints[:] = [0] * 4
        del weights["two.w"]
    results = [(name, TensorProto.FLOAT, [1, 4, 1, 1] if name == "end" else [1, 8, 32, 32]) for name in outputs]
    constants = {name: value.astype(np.float32) for name, value in weights.items()}
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
