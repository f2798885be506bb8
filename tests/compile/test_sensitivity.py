"""What INT8 hurts is found one group at a time, left in float, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgezsl.compile.calibration import CalibrationSet
from edgezsl.compile.choice import quantize_by_recipe
from edgezsl.compile.quantize import quantized_nodes
from edgezsl.compile.recipe import load_recipe
from edgezsl.compile.sensitivity import left_in_float, node_groups, only
from edgezsl.encoders.graph import load_graph, portable_encoder
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.factories import CONV_DIM, CONV_SIDE, conv_encoder, conv_facts, finished, with_loud_channel

RECIPE = """\
format: edgezsl-recipe/1
name: strict
describes: Minmax and nothing else, so that something has to be left in float
opset: 17
precision_default: int8
quantization: {calibration_images: 12, candidates: [{calibrator: minmax}]}
bounds: {cosine_mean: 0.99, centred_mean: 0.99, top1_agreement: 0.95}
"""


def portable(data):
    facts = conv_facts()
    return portable_encoder(data, facts.contract, facts.space, "x")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "strict.yaml"
    path.write_text(RECIPE)
    return load_recipe(path)


def calibration_frames():
    random = np.random.RandomState(0)
    pixels = 2 * random.rand(12, 3, 4, 4).repeat(8, axis=2).repeat(8, axis=3).astype(np.float32) - 1
    return CalibrationSet("images", pixels, "0" * 64, frozenset(), frozenset())


@pytest.fixture(scope="module")
def calibration():
    return calibration_frames()


def quantized_by(data, recipe, calibration):
    steps = quantize_by_recipe(portable(data), conv_facts().contract, CONV_DIM, recipe, calibration)
    return finished(steps)


def test_a_loud_channel_says_the_same_before_it_is_quantized():
    image = np.random.RandomState(1).rand(1, 3, CONV_SIDE, CONV_SIDE).astype(np.float32)
    rows = [
        OnnxGraph(data, file="x", threads=1).run({"image": image})[0]
        for data in (conv_encoder(), with_loud_channel(conv_encoder()))
    ]
    np.testing.assert_allclose(*rows, atol=1e-5)


def test_what_a_loud_channel_hurts_is_found_and_left_in_float_and_nothing_else(recipe, calibration):
    result, steps = quantized_by(with_loud_channel(conv_encoder()), recipe, calibration)
    worst = max(result.losses, key=result.losses.__getitem__)
    assert worst == "depthwise 1 of 2"
    assert result.plan.keep_float == ("node:first.depthwise",)
    left = quantized_nodes(load_graph(portable(conv_encoder()), "x"), result.plan.keep_float)
    assert [node.name for node in left] == ["stem", "first.pointwise", "second.depthwise", "second.pointwise", "head"]
    first, last = result.trials[0], result.trials[-1]
    assert first.figures["centred_mean"] < recipe.bounds.centred_mean <= last.figures["centred_mean"]
    assert first.plan.keep_float == ()
    assert min(last.bytes, first.bytes, last.p50_ms) > 0
    assert {step.step for step in steps} >= {"looking for what INT8 hurts", "leaving in float what INT8 hurts"}


def test_where_a_plan_of_the_recipe_suffices_nothing_is_searched(recipe, calibration):
    result, _ = quantized_by(conv_encoder(), recipe, calibration)
    assert result.losses == {}
    assert len(result.trials) == 1
    assert result.plan.keep_float == ()


def test_of_plans_that_differ_in_their_ranges_alone_the_nearest_is_taken(tmp_path, calibration):
    far, near = "{calibrator: percentile, percentile: 99}", "{calibrator: minmax}"
    plain = RECIPE.replace("centred_mean: 0.99", "centred_mean: 0.5").replace("cosine_mean: 0.99", "cosine_mean: 0.5")
    (tmp_path / "r.yaml").write_text(
        plain.replace("{calibrator: minmax}", f"{far}, {near}, {{calibrator: minmax, keep_float: [stem]}}")
    )
    result, _ = quantized_by(conv_encoder(), load_recipe(tmp_path / "r.yaml"), calibration)
    figures = [trial.figures["centred_mean"] for trial in result.trials]
    assert 0.5 < figures[0] < figures[1]
    assert result.plan == result.trials[1].plan
    assert len(result.trials) == 2, "what keeps more in float is not tried where less suffices"


def test_a_plan_that_holds_is_kept_though_a_later_one_of_its_group_does_not(tmp_path, calibration):
    plans = "{calibrator: minmax}, {calibrator: percentile, percentile: 90}, {calibrator: minmax, keep_float: [stem]}"
    (tmp_path / "r.yaml").write_text(RECIPE.replace("{calibrator: minmax}", plans).replace("0.99", "0.98"))
    result, _ = quantized_by(conv_encoder(), load_recipe(tmp_path / "r.yaml"), calibration)
    assert result.trials[1].figures["centred_mean"] < 0.98
    assert (result.plan, len(result.trials)) == (result.trials[0].plan, 2)


def test_without_photographs_nothing_competes(tmp_path):
    plans = "{calibrator: percentile, percentile: 99.9}, {calibrator: minmax}"
    (tmp_path / "r.yaml").write_text(RECIPE.replace("{calibrator: minmax}", plans).replace("0.99", "0.5"))
    made = replace(calibration_frames(), kind="generated images")
    result, _ = quantized_by(conv_encoder(), load_recipe(tmp_path / "r.yaml"), made)
    assert len(result.trials) == 1


def test_groups_are_neighbours_of_one_kind_and_hold_every_node_once():
    groups = node_groups(portable(conv_encoder()))
    assert list(groups) == [
        "stem",
        "depthwise 1 of 2",
        "depthwise 2 of 2",
        "convolutions 1 of 2",
        "convolutions 2 of 2",
        "products",
    ]
    names = [name for nodes in groups.values() for name in nodes]
    assert sorted(names) == sorted(node.name for node in quantized_nodes(load_graph(portable(conv_encoder()), "x"), ()))


def test_a_rule_for_one_node_means_that_node_though_its_name_has_wild_characters():
    model = load_graph(portable(conv_encoder()), "x")
    for node, name in zip(
        [node for node in model.graph.node if node.op_type == "Conv"], ("a[0]", "a0", "b*"), strict=False
    ):
        node.name = name
    kept = {node.name for node in quantized_nodes(model, ())} - {
        node.name for node in quantized_nodes(model, only(["a[0]"]))
    }
    assert kept == {"a[0]"}


@pytest.mark.parametrize(("most", "expected"), [(1.0, []), (0.04, ["b"]), (0.02, ["b", "c"]), (0.0, ["b", "c", "a"])])
def test_as_many_groups_are_left_as_the_sum_of_losses_asks_for(most, expected):
    assert left_in_float({"a": 0.01, "b": 0.1, "c": 0.03}, most) == expected
