"""Recipes: how models of one family are exported. One YAML file of `export/` each, read strictly.

A recipe says what is built and what it must reach. It does not say how the steps work: that is the code of this folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from edgezsl.catalogue import load_entry
from edgezsl.compile.quantize import KEEP_RULES
from edgezsl.compile.ranges import Calibrator
from edgezsl.encoders.graph import WRITTEN_OPSETS
from edgezsl.errors import Place, RecipeError, shown
from edgezsl.records import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgezsl.manifest import Precision

FORMAT = "edgezsl-recipe/1"
# What may be asked for; `int8_fp16` comes beside `int8`, and `int8_dynamic` only where the recipe allows it.
EXPORTED: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8_dynamic")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEEP = re.compile(r"stem|depthwise|op:[A-Za-z]+|node:.+")
_FULL_PERCENT = 100.0
_MOST_NAMED = 3  # rules in the words for a plan


@dataclass(frozen=True, slots=True)
class QuantizationPlan:
    """One way to quantize.

    Attributes:
        calibrator: How a range is chosen from a histogram (`edgezsl.compile.ranges`).
        percentile: Of the calibrator `percentile`, above 0 and at most 100; else 100.
        keep_float: What stays in float (`edgezsl.compile.quantize.quantized_nodes`).
        equalize: Whether channels are brought to like magnitudes first (`edgezsl.compile.equalize`).
    """

    calibrator: Calibrator
    percentile: float = _FULL_PERCENT
    keep_float: tuple[str, ...] = ()
    equalize: bool = False

    def __str__(self) -> str:
        how = f"{self.calibrator} {self.percentile:g}" if self.calibrator == "percentile" else self.calibrator
        more = len(self.keep_float) - _MOST_NAMED
        named = [*self.keep_float[:_MOST_NAMED], *([f"{more} more nodes"] if more > 0 else [])]
        prepared = "equalized, " if self.equalize else ""
        return f"{prepared}{how}, {' and '.join(named) or 'nothing'} in float"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an exported file must reach against its model, each in [0, 1].

    Attributes:
        cosine_mean: Mean cosine of the embeddings.
        centred_mean: The same after the mean embedding of the model is subtracted from both.
        top1_agreement: Share of images with the same best class.
    """

    cosine_mean: float
    centred_mean: float
    top1_agreement: float

    def to_json(self) -> dict[str, float]:
        """Return the bounds by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How models of one family are exported.

    Attributes:
        name: Its name, and its file's.
        describes: For which models it is, in a sentence.
        opset: The ONNX opset of a model that is exported to ONNX first; one that is ONNX already keeps its own, 17 or 18.
        precision_default: What is exported when no precision is asked for.
        plans: Ways to quantize, the preferred first. Of neighbours that differ in how ranges are chosen alone the nearest counts.
        calibration_images: How many images set the INT8 ranges.
        dynamic: Whether `int8_dynamic` may be asked for: it helps where most of the work is matrix products.
        bounds: What an exported file must reach.
        training: How the model itself is trained, as it stands in the file: read elsewhere. Empty for most.
    """

    name: str
    describes: str
    opset: int
    precision_default: Precision
    plans: tuple[QuantizationPlan, ...]
    calibration_images: int
    bounds: Bounds
    dynamic: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Fields) -> Recipe:
        """Read a recipe.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of its range.
        """
        fields.one_of("format", (FORMAT,))
        name = fields.text("name")
        if not _NAME.fullmatch(name):
            raise fields.refuse("name", f"{shown(name)} does not fit", code="bad_value", expected="such as 'my-net'")
        quantization = fields.inner("quantization")
        recipe = cls(
            name=name,
            describes=fields.text("describes"),
            opset=_opset(fields),
            precision_default=fields.one_of("precision_default", EXPORTED),
            plans=_plans(quantization),
            calibration_images=quantization.count("calibration_images", least=1),
            bounds=_bounds(fields.inner("bounds")),
            dynamic=quantization.flag("dynamic", default=False),
            training=_training(fields),
        )
        quantization.done()
        fields.done()
        return recipe


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a recipe of the catalogue by its name, or one that the user wrote, by its path.

    Args:
        name_or_path: `convnet`, or a path: a `Path`, or a string with a `/` or the ending `.yaml`.

    Raises:
        RecipeError: When there is no such recipe, or it breaks its format.
    """
    value, path = load_entry("export", name_or_path, called="recipe", code="unknown_recipe", error=RecipeError)
    return Recipe.from_fields(Fields(value, Place(str(path)), RecipeError))


def _opset(fields: Fields) -> int:
    opset = fields.count("opset")
    low, high = WRITTEN_OPSETS
    if not low <= opset <= high:
        raise fields.refuse("opset", f"the opset is {opset}", code="bad_value", expected=f"{low} to {high}")
    return opset


def _plans(fields: Fields) -> tuple[QuantizationPlan, ...]:
    rows = fields.take("candidates")
    if not isinstance(rows, list) or not rows:
        raise fields.refuse("candidates", f"{shown(rows)} is no list", code="wrong_type", expected="at least one plan")
    return tuple(
        _plan(Fields(row, fields.place(f"candidates[{index}]"), RecipeError)) for index, row in enumerate(rows)
    )


def _plan(row: Fields) -> QuantizationPlan:
    calibrator = row.one_of("calibrator", get_args(Calibrator))
    percentile = row.number("percentile", None)
    if (percentile is not None) != (calibrator == "percentile"):
        message = f"the calibrator is {calibrator} and the percentile {shown(percentile)}"
        raise row.refuse("percentile", message, code="bad_value", expected="a percentile for 'percentile' only")
    if percentile is not None and not 0 < percentile <= _FULL_PERCENT:
        raise row.refuse("percentile", f"it is {percentile}", code="bad_value", expected="above 0, at most 100")
    keep = row.texts("keep_float", ())
    for rule in keep:
        if not _KEEP.fullmatch(rule):
            raise row.refuse("keep_float", f"the rule {shown(rule)}", code="bad_value", expected=KEEP_RULES)
    equalize = row.flag("equalize", default=False)
    row.done()
    return QuantizationPlan(calibrator, _FULL_PERCENT if percentile is None else percentile, keep, equalize)


def _bounds(fields: Fields) -> Bounds:
    bounds = Bounds(*(fields.number(name) for name in Bounds.__slots__))
    fields.done()
    for name, value in bounds.to_json().items():
        if not 0 <= value <= 1:
            raise fields.refuse(name, f"the bound is {value}", code="bad_value", expected="0 to 1")
    return bounds


def _training(fields: Fields) -> Mapping[str, Any]:
    training = fields.take("training", {})
    if not isinstance(training, dict):
        message = f"{shown(training)} is no mapping"
        raise fields.refuse("training", message, code="wrong_type", expected="fields, `name: value`")
    return training
