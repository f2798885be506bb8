"""A feature set by what a person types: the name of a benchmark set, or a file of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.data.benchmark_sets import awa1, cub50, flo, tinyimagenet
from edgezsl.data.feature_set import read_feature_set
from edgezsl.data.xlsa17 import FEATURES, SPLITS, read_xlsa17
from edgezsl.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgezsl.data.feature_set import FeatureSet

TINY_SPLITS = 5  # of Tiny-ImageNet's classes
SUFFIX = ".npz"
_SETS: Mapping[str, Callable[[Path], FeatureSet]] = {
    "flo": flo,
    "cub50": cub50,
    "cub50:attributes": partial(cub50, semantics="attributes"),
    "awa1": awa1,
    "awa1:proposed": partial(awa1, split="proposed"),
    **{f"tinyimagenet:{seed}": partial(tinyimagenet, seed=seed) for seed in range(TINY_SPLITS)},
}


def feature_set_named(text: str, folder: Path | None) -> FeatureSet:
    """Return one feature set, named as it was asked for, with a dash for the colon.

    Args:
        text: The path of a generic `.npz`, a folder of the MATLAB files that `read_xlsa17` takes, or `flo`, `cub50`, `cub50:attributes`, `awa1`, `awa1:proposed` or
            `tinyimagenet:N` with the number of a split; `tinyimagenet` alone is its first split.
        folder: The folder of the reference data; a file needs none.

    Raises:
        InputError: When there is no such set or file, or no folder.
    """
    if text.endswith(SUFFIX):
        return read_feature_set(Path(text))
    if _is_xlsa17(text):
        return read_xlsa17(Path(text))
    name = f"{text}:0" if text == "tinyimagenet" else text
    if name not in _SETS:
        raise _unknown(text)
    if folder is None:
        message = f"{shown(text)} is a set of the reference data, and its folder is not known"
        raise InputError(message, code="no_folder", hint="give it: --folder or EDGEZSL_DATA")
    return replace(_SETS[name](folder), name=name.replace(":", "-"))


def names_features(text: str) -> bool:
    """Return whether a text is a set's name, or a feature set's file or folder, and no folder of photographs."""
    named = text.endswith(SUFFIX) or text in ("tinyimagenet", *_SETS)
    return _is_xlsa17(text) or (named and not Path(text).is_dir())


def _is_xlsa17(text: str) -> bool:
    return (Path(text) / FEATURES).is_file()


def _unknown(text: str) -> InputError:
    expected = f"FILE{SUFFIX}, or one of {', '.join(_SETS)}"
    if Path(text).is_dir():
        message = f"{shown(text)} is a folder, and search and eval --method take features, no photographs"
        hint = f"edgezsl train --method takes photographs; a folder with {FEATURES} and {SPLITS} is taken for features"
        return InputError(message, code="unknown_data", expected=expected, hint=hint)
    if Path(text).is_file():
        message = f"{shown(text)} is a file, and no feature set by its name"
        return InputError(message, code="unknown_data", expected=expected)
    return InputError(
        f"there is no folder, file or feature set {shown(text)}",
        code="unknown_data",
        expected=f"{expected}; to train a method, a folder of photographs too",
    )


def splits_named(text: str, folder: Path | None) -> tuple[FeatureSet, ...]:
    """Return every split of a feature set: five of `tinyimagenet`, which share their features, else one.

    Args:
        text: As of `feature_set_named`.
        folder: The folder of the reference data; a file needs none.

    Raises:
        InputError: When there is no such set or file, or no folder.
    """
    if text != "tinyimagenet":
        return (feature_set_named(text, folder),)
    first = feature_set_named("tinyimagenet:0", folder)
    others = (feature_set_named(f"tinyimagenet:{seed}", folder) for seed in range(1, TINY_SPLITS))
    return (first, *(replace(one, features=first.features) for one in others))
