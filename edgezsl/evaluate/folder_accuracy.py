"""How often a bundle is right on photographs whose classes are known: as a device would recognise them, one by one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgezsl.classes import ClassEntry, ClassFile
from edgezsl.errors import InputError, Place, shown
from edgezsl.evaluate.evaluation import Evaluation
from edgezsl.evaluate.progress import Progress
from edgezsl.evaluate.recognition_figures import RecognitionFigures
from edgezsl.evaluate.temperature import TemperatureFit, fitted_temperature
from edgezsl.evaluate.thresholds import FALSE_ACCEPTS, Decisions, Rejection, ThresholdFit, threshold_of_false_accepts
from edgezsl.pack import PACK_SUFFIX
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import scores as scores_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import InputContract
    from edgezsl.runtime.engine import Engine

_FEWEST = 2  # classes to tell apart


class LabelledImage(Protocol):
    """A photograph with the name of its class."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB `(H, W, 3)`."""

    @property
    def label(self) -> str:
        """The name of its class."""

    @property
    def photograph(self) -> str:
        """What names the photograph that it came from, the same for all images that came from one."""


def vocabulary(
    bundle: Bundle,
    labels: Sequence[str],
    *,
    classes: Path | None = None,
    left_out: Collection[str] = (),
    threads: int | None = None,
) -> ClassPrototypes:
    """Return the classes among which photographs are recognised.

    Args:
        bundle: Embeds them.
        labels: Of the photographs: they are the classes where there is no class file.
        classes: A class file, or a class pack (`.safetensors`), or None.
        left_out: Names that are left out, so that their photographs should be rejected.
        threads: Of the encoders.

    Raises:
        InputError: When a name that is to be left out is none of the classes, or fewer than two are left.
        ClassFileError: When the class file breaks its format, or asks for what the bundle does not offer.
        PackError: When the class pack is damaged.
        SpaceMismatchError: When the class pack is of another model.
        EngineError: When the class side does not run.
        MissingExtraError: When a package that the classes need is not installed.
    """
    where = str(classes) if classes is not None else "the labels"
    if classes is not None and classes.suffix == PACK_SUFFIX:
        every = ClassPrototypes.read(classes, bundle.manifest.space)
    else:
        entries = tuple(ClassEntry(name, Place(where)) for name in labels)
        file = ClassFile(where, entries) if classes is None else ClassFile.open(classes)
        with closing(ClassEmbedder(bundle, SemanticCache(), threads=threads)) as embedder:
            every = embedder.embed(file, classes.parent if classes is not None else Path())
    unknown = sorted(set(left_out) - set(every.names))
    if unknown:
        message = f"the class {shown(unknown[0])} cannot be left out: there is none"
        raise InputError(message, code="unknown_class", where=Place(where), expected="a class of the vocabulary")
    kept = [name for name in every.names if name not in left_out]
    if len(kept) < _FEWEST:
        message, expected = f"the vocabulary has {len(kept)} classes", "two classes at least, to tell them apart"
        raise InputError(message, code="no_classes", where=Place(where), expected=expected)
    return every.select(kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """The photographs, scored.

    Attributes:
        scores: `(N, K)` float32, of the classes that may be reported.
        labels: `(N,)`, columns of `scores`; -1 where a photograph's class is not among them.
        halves: `(N,)`: whether something is fitted on it; the others are judged. All images of a photograph are together.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    halves: NDArray[np.bool_]


def folder_accuracy(
    images: Iterable[LabelledImage],
    count: int,
    engine: Engine,
    contract: InputContract,
    prototypes: ClassPrototypes,
    *,
    title: str,
) -> Iterator[Progress | Evaluation]:
    """Recognise labelled photographs; yield how far that is, and last what was found.

    Photographs whose label is not in the vocabulary should be rejected. Temperature and thresholds are fitted on half of the
    photographs of each class and judged on the other half. Negative classes absorb a photograph, and so make it wrong.

    Args:
        images: The photographs.
        count: How many there are, for the progress.
        engine: Embeds them.
        contract: How a photograph becomes pixels.
        prototypes: The vocabulary.
        title: Of the report.

    Yields:
        Steps, and last the evaluation.

    Raises:
        InputError: When there is no photograph, or none whose class is in the vocabulary.
        EngineError: When the engine fails.
        MissingExtraError: When OpenCV is not installed.
    """
    preprocess, rows, labels, photographs = Preprocessor(contract), [], [], []
    for number, one in enumerate(images, 1):
        rows.append(engine.run(preprocess([one.image])))
        labels.append(one.label)
        photographs.append(one.photograph)
        yield Progress("recognising photographs", number, count)
    if not rows:
        raise InputError(f"none of {count} photographs can be read", code="no_images", expected="JPEG or PNG files")
    columns = {name: column for column, name in enumerate(prototypes.names)}
    known = np.array([columns.get(label, -1) for label in labels], np.int64)
    if not (known >= 0).any():
        expected = f"sub-folders named after classes, such as {shown(prototypes.names[0])}"
        message = f"none of {len(labels)} photographs is of a class of the vocabulary"
        raise InputError(
            message, code="no_labels", expected=expected, hint="name the sub-folders as the classes are named"
        )
    scores = scores_of(np.concatenate(rows), prototypes.vectors, prototypes.offset)
    judged = _Judged(scores, known, _halves(labels, photographs))
    yield _evaluation(judged, prototypes, labels, title, engine.description)


def _halves(labels: Sequence[str], photographs: Sequence[str]) -> NDArray[np.bool_]:
    """Return every other photograph of each class: `(N,)`."""
    chosen: dict[str, bool] = {}
    seen: dict[str, int] = {}
    for label, photograph in zip(labels, photographs, strict=True):
        if photograph not in chosen:
            seen[label] = seen.get(label, 0) + 1
            chosen[photograph] = seen[label] % 2 == 0
    return np.array([chosen[photograph] for photograph in photographs])


def _evaluation(
    judged: _Judged, prototypes: ClassPrototypes, labels: Sequence[str], title: str, engine: str
) -> Evaluation:
    inside = judged.labels >= 0
    decided = Decisions.of(judged.scores, judged.labels, prototypes.limits)
    outside = sorted({label for label, known in zip(labels, inside, strict=True) if not known})
    facts = {
        "photographs": f"{len(labels)} of {len(set(labels))} labels",
        "vocabulary": f"{len(prototypes)} classes"
        + (f", {prototypes.negative.sum()} negative" if prototypes.negative.any() else ""),
        "with the thresholds of the class file": _said(decided)
        if np.isfinite(prototypes.limits).any()
        else "it has none",
        "engine": engine,
    }
    both = judged.halves & inside, ~judged.halves & inside
    enough = all(len(np.unique(judged.labels[half])) >= _FEWEST for half in both)
    return Evaluation(
        title=title,
        facts=facts,
        figures=RecognitionFigures.of(judged.scores[inside], judged.labels[inside], prototypes.names),
        rejection=_rejection(judged, tuple(outside)) if outside else None,
        temperature=_temperature(judged, both, prototypes.space.logit_scale) if enough else None,
        thresholds=_thresholds(judged, prototypes.names) if enough else None,
    )


def _said(decided: Decisions) -> str:
    accepted = "" if decided.accepted is None else f"; {100 * decided.accepted:.1f}% of left-out ones accepted"
    return f"{100 * decided.right:.1f}% right, {100 * decided.wrong:.1f}% wrong{accepted}"


def _rejection(judged: _Judged, outside: tuple[str, ...]) -> Rejection:
    best, inside = judged.scores.max(axis=1), judged.labels >= 0
    found, halves = Rejection(outside, best[inside], best[~inside]), judged.halves
    if not (~inside & halves).any() or not (~inside & ~halves).any() or not (inside & ~halves).any():
        return found
    threshold = threshold_of_false_accepts(best[~inside & halves], FALSE_ACCEPTS)
    return found.with_threshold(threshold, best[inside & ~halves], best[~inside & ~halves])


def _temperature(
    judged: _Judged, both: tuple[NDArray[np.bool_], NDArray[np.bool_]], logit_scale: float
) -> TemperatureFit:
    fitted, rest = both
    temperature = fitted_temperature(judged.scores[fitted], judged.labels[fitted])
    on = f"{int(fitted.sum())} photographs, half of each class; before it is that of the model"
    return TemperatureFit.of(
        temperature, judged.scores[rest], judged.labels[rest], before=1 / logit_scale, fitted_on=on
    )


def _thresholds(judged: _Judged, names: tuple[str, ...]) -> ThresholdFit:
    halves = judged.halves, ~judged.halves
    fitted, rest = ((judged.scores[half], judged.labels[half]) for half in halves)
    return ThresholdFit.of(names, fitted, rest)
