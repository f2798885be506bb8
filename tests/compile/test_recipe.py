"""Recipes: every file of the catalogue, and what is refused in one."""

from __future__ import annotations

import pytest

from edgezsl.catalogue import entries
from edgezsl.compile.recipe import QuantizationPlan, load_recipe
from edgezsl.errors import InputError, RecipeError

PLAIN = """\
format: edgezsl-recipe/1
name: mine
describes: A recipe of a test
opset: 17
precision_default: int8
quantization:
  calibration_images: 16
  candidates:
    - {calibrator: percentile, percentile: 99.9, keep_float: [stem, "node:*head*"]}
    - {calibrator: minmax}
bounds: {cosine_mean: 0.99, centred_mean: 0.98, top1_agreement: 0.95}
"""


def recipe_of(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_recipe(path)


@pytest.mark.parametrize("path", entries("export"), ids=lambda path: path.stem)
def test_every_recipe_of_the_catalogue_is_one_and_carries_its_files_name(path):
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.describes
    assert recipe.plans[0].keep_float == ()  # everything in INT8 is tried first


def test_a_recipe_is_read_from_a_file_of_ones_own(tmp_path):
    recipe = recipe_of(PLAIN, tmp_path)
    assert recipe.plans == (
        QuantizationPlan("percentile", 99.9, ("stem", "node:*head*")),
        QuantizationPlan("minmax", 100.0, ()),
    )
    assert str(recipe.plans[0]) == "percentile 99.9, stem and node:*head* in float"
    assert recipe.calibration_images == 16
    assert recipe.bounds.to_json() == {"cosine_mean": 0.99, "centred_mean": 0.98, "top1_agreement": 0.95}
    assert recipe.training == {}


def test_a_training_section_is_passed_on_as_it_stands(tmp_path):
    recipe = recipe_of(PLAIN + "training:\n  epochs: 3\n  stages: [{rate: 0.1}]\n", tmp_path)
    assert recipe.training == {"epochs": 3, "stages": [{"rate": 0.1}]}


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("opset: 17", "opset: 9", "opset"),
        ("name: mine", "name: My Net", "name"),
        ("precision_default: int8", "precision_default: bf16", "precision_default"),
        ("recipe/1", "recipe/2", "format"),
        ("describes: A recipe of a test\n", "", "describes"),
        ("opset: 17", "opset: 17\nsurprise: 1", "surprise"),
        ("percentile: 99.9,", "percentile: 0,", "quantization.candidates[0].percentile"),
        ("percentile: 99.9,", "", "quantization.candidates[0].percentile"),
        ("minmax}", "minmax, percentile: 99}", "quantization.candidates[1].percentile"),
        ("minmax}", "guess}", "quantization.candidates[1].calibrator"),
        ("[stem,", "[stems,", "quantization.candidates[0].keep_float"),
        ("minmax}", "minmax, equalize: 3}", "quantization.candidates[1].equalize"),
        ("calibration_images: 16", "calibration_images: 16\n  dynamic: often", "quantization.dynamic"),
        ("calibration_images: 16", "calibration_images: 0", "quantization.calibration_images"),
        ("cosine_mean: 0.99", "cosine_mean: 1.5", "bounds.cosine_mean"),
        (", top1_agreement: 0.95", "", "bounds.top1_agreement"),
        ("bounds:", "training: 3\nbounds:", "training"),
    ],
)
def test_a_field_that_is_wrong_is_refused_by_name(tmp_path, old, new, field):
    assert old in PLAIN
    with pytest.raises(RecipeError) as caught:
        recipe_of(PLAIN.replace(old, new), tmp_path)
    assert caught.value.where.field == field
    assert caught.value.hint


def test_a_recipe_without_plans_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="at least one plan"):
        recipe_of(
            PLAIN[: PLAIN.index("    - {")].replace("candidates:", "candidates: []") + PLAIN[PLAIN.index("bounds") :],
            tmp_path,
        )


def test_a_name_that_is_no_recipe_lists_those_that_are():
    with pytest.raises(InputError, match="convnet") as caught:
        load_recipe("convent")
    assert caught.value.code == "unknown_recipe"
