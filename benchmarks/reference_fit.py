"""What the reference bundle is fitted from, and how: ImageNet's class names to the rows of a network's own classifier.

A class's row is its classifier row, made comparable with pictures, and kernel ridge regression carries it from the
text space into the image space, so that any words get a row. It knows the files of `$EDGEZSL_DATA` and numpy; it writes
nothing. Used by `reference_bundle.py`, and by `reference_accuracy.py`, which leaves classes out before it fits.

No photograph of a class that any of the ten seeds leaves out is looked at here: mean, covariance and the constants of
`RECIPE` come from the other classes with a photograph (`development_photographs`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.classes import ClassEntry
from edgezsl.errors import NOWHERE
from edgezsl.runtime.embedder import class_texts, unit
from edgezsl.zsl.kernel import KernelRidge
from edgezsl.zsl.kernel import unit as unit_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.runtime.text import TextEncoder

SEEDS = range(10)
LEFT_OUT = 50  # classes that a seed removes before fitting
NETWORK = "backbones/mobilenet_v2_ptq_fp32.onnx"
LABELS = "backbones/imagenet_labels.txt"
WNIDS = "wordnet_graph/imagenet_testsets.json"
PHOTOGRAPHS = "imagenet1k_samples/images"
# The last bits of a solve depend on how many threads BLAS has; a bundle's bytes must not. Costs 1e-8 in cosine.
COEFFICIENT_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices of the fit, made by `reference_accuracy.py --select` on the development classes.

    Attributes:
        templates: Prompt templates.
        sharpness: γ of the kernel `exp(γ (cos - 1))` between two texts.
        penalty: λ of the ridge.
        power: p of the image-side shaping `(C / mean eigenvalue + 1)^p`, C the covariance of features. A classifier row
            points where its class differs from the others, not where its pictures lie. Half the way to the latter costs
            3.5 points on seen classes, nothing on unseen ones, and puts classes by words and by pictures on an equal
            footing (`mixture` in reference_accuracy.py: 47% against 23%).
        logit_scale: The scale of least cross-entropy.
    """

    templates: tuple[str, ...] = ("{}", "a photo of a {}.")
    sharpness: float = 6.0
    penalty: float = 0.1
    power: float = 0.5
    logit_scale: float = 20.0


RECIPE = Recipe()


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph of the samples: its file, and the index of its class among the 1,000."""

    path: Path
    class_index: int


def class_names(data: Path) -> list[tuple[str, ...]]:
    """Return the names of each of the 1,000 classes, the usual one first."""
    lines = (data / LABELS).read_text(encoding="utf-8").splitlines()[1:]  # line 0 is the background
    return [tuple(name.strip() for name in line.split(",")) for line in lines]


def photographs(data: Path) -> list[Photograph]:
    """Return the photographs in the order of their classes; the class is the one of the file name's wnid."""
    wnids = sorted(json.loads((data / WNIDS).read_text(encoding="utf-8"))["ilsvrc1k"])
    index = {wnid: number for number, wnid in enumerate(wnids)}
    paths = sorted((data / PHOTOGRAPHS).iterdir())
    return [Photograph(path, index[path.name.partition("_")[0]]) for path in paths]


def left_out_classes(known: Iterable[int], seed: int) -> NDArray[np.intp]:
    """Return the 50 of the `known` class indices that `seed` removes before fitting."""
    return np.random.RandomState(seed).permutation(np.array(sorted(known), np.intp))[:LEFT_OUT]


def development_photographs(data: Path) -> list[Photograph]:
    """Return the photographs of classes that no seed leaves out."""
    every = photographs(data)
    known = [photograph.class_index for photograph in every]
    tested = np.concatenate([left_out_classes(known, seed) for seed in SEEDS])
    return [photograph for photograph in every if photograph.class_index not in tested]


def class_semantics(names: Sequence[tuple[str, ...]], encoder: TextEncoder, templates: Sequence[str]) -> NDArray[Any]:
    """Return one unit row `(len(names), A)` for each class, by the rule of docs/classes-file.md."""
    texts = [class_texts(ClassEntry(first, NOWHERE, synonyms=tuple(rest)), templates) for first, *rest in names]
    rows = encoder.encode([text for of_class in texts for text in of_class])
    ends = np.cumsum([len(of_class) for of_class in texts])
    return np.stack([unit(part.mean(axis=0)) for part in np.split(rows, ends[:-1])])


def class_targets(classifier: NDArray[Any], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit rows `(K, D)` to regress on: classifier rows less their mean, shaped.

    Args:
        classifier: `(K, D)`, rows of the classes that are known.
        shape: `(D, D)` of `edgezsl.zsl.shaping`.
    """
    return unit_rows((classifier - classifier.mean(axis=0, dtype=np.float64)) @ shape)


def semantic_map(semantics: NDArray[Any], targets: NDArray[Any], recipe: Recipe = RECIPE) -> KernelRidge:
    """Return the map from unit `semantics (K, A)` to `targets (K, D)`."""
    fitted = KernelRidge.fit(semantics, targets, sharpness=recipe.sharpness, penalty=recipe.penalty)
    return replace(fitted, coefficients=fitted.coefficients.round(COEFFICIENT_DIGITS))
