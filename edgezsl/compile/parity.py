"""Parity: does the exported file say what its model says, in every engine that is installed?

The model, as it stands in its directory, is the reference; the bundle is run as a device runs it, through the bundle's
own contract and `open_engine`. What is compared are embeddings, the best class of a vocabulary, and, where images have
labels, how often it is right. A broken bound is a broken export.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.compile.figures import agreement_figures, class_figures, cosines
from edgezsl.compile.latency import latency
from edgezsl.compile.parity_report import EngineParity, ParityReport
from edgezsl.compile.worst import Gallery
from edgezsl.contract import CHANNELS
from edgezsl.errors import EdgezslError
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.engine import GRAPH_ENGINES, installed_engines, open_engine, serving_engines

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.parity_report import Outcome
    from edgezsl.compile.pictures import Pictures
    from edgezsl.compile.recipe import Bounds
    from edgezsl.contract import InputContract
    from edgezsl.manifest import Precision
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine, EngineName

FEWEST_IMAGES, FEWEST_PHOTOGRAPHS = 100, 20
THREADS = 1  # of every engine: figures must not depend on how many cores are free
_TIMED_RUNS, _WARM_UP = 30, 3


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The model that an export is compared with.

    Attributes:
        contract: The model's own: where it differs from the bundle's, the bundle is wrong.
        engine: The model's image encoder as it stands in its directory.
        prototypes: The classes among which the best is looked for, or None.
        vocabulary: What these classes are, in words, or why there are none.
        bytes: Of the encoder in full precision.
    """

    contract: InputContract
    engine: Engine
    prototypes: ClassPrototypes | None
    vocabulary: str
    bytes: int


@dataclass(slots=True)
class _Subject:
    """One precision of the bundle: the engines that serve it, and their answers.

    Attributes:
        engines: By name.
        refused: Why an engine does not serve it, by name.
        answers: Of each engine, image by image.
        gallery: Its worst images.
    """

    engines: dict[str, Engine]
    refused: dict[str, str]
    answers: dict[str, list[NDArray[np.float32]]]
    gallery: Gallery


@dataclass(slots=True)
class _Seen:
    """What was collected image by image, the same for every precision."""

    model: list[NDArray[np.float32]] = field(default_factory=list)
    photographs: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    left_out: int = 0


def measure_parity(
    reference: Reference,
    bundles: Mapping[Precision, Bundle],
    pictures: Pictures,
    used: CalibrationSet | None,
    bounds: Bounds,
    *,
    installed: Sequence[EngineName] | None = None,
) -> Generator[Progress, None, dict[Precision, ParityReport]]:
    """Compare encoders with the model that they were made from, all on the same images; yield progress.

    Args:
        reference: The model.
        bundles: One for each precision, so that what breaks one refuses no other; they share a contract.
        pictures: The images to compare on.
        used: What set the ranges: its images, and those of the same photographs, are left out.
        bounds: What must be reached.
        installed: The engines to compare, or None for every one that is installed.

    Returns:
        A report for each precision.

    Raises:
        EngineError: When the model itself does not run.
    """
    chosen = installed_engines(GRAPH_ENGINES) if installed is None else installed
    subjects = {precision: _subject(bundle, precision, chosen, reference) for precision, bundle in bundles.items()}
    contract = next(iter(bundles.values())).manifest.contract
    try:
        seen = yield from _collect(reference, contract, subjects.values(), pictures, used)
        latencies = {
            precision: {name: _latency(engine, contract) for name, engine in subject.engines.items()}
            for precision, subject in subjects.items()
        }
        own = _latency(reference.engine, reference.contract)
    finally:
        _close(subjects.values())
    skipped: dict[str, str] = {name: "not installed" for name in GRAPH_ENGINES if name not in chosen}
    right = _right_rows(seen.labels, reference.prototypes, skipped, reference.vocabulary)
    held = _held_bounds(bounds, pictures)
    reports = {}
    for precision, subject in subjects.items():
        measured = _measured(subject, seen, reference, right, held, latencies[precision])
        reports[precision] = ParityReport(
            outcome=_outcome(subject, seen, measured.values()),
            precision=precision,
            kind=pictures.kind,
            images=len(seen.model),
            photographs=len(set(seen.photographs)),
            left_out=seen.left_out,
            unreadable=len(pictures.skipped),
            bounds=held,
            engines=measured,
            refused=subject.refused,
            skipped={**skipped, **_unfit(precision, chosen)},
            vocabulary=reference.vocabulary,
            bytes={"model": reference.bytes, "export": _bytes(bundles[precision], precision)},
            model_latency=own,
        )
    return reports


def _close(subjects: Iterable[_Subject]) -> None:
    for engine in (engine for subject in subjects for engine in subject.engines.values()):
        engine.close()


def _outcome(subject: _Subject, seen: _Seen, measured: Iterable[EngineParity]) -> Outcome:
    """Return what came out: a refusal needs no images to count, a bound does."""
    if subject.refused:
        return "broken"
    if len(seen.model) < FEWEST_IMAGES or len(set(seen.photographs)) < FEWEST_PHOTOGRAPHS:
        return "too_few"
    return "broken" if any(engine.broken for engine in measured) else "passed"


def _bytes(bundle: Bundle, precision: Precision) -> int:
    return bundle.manifest.files[bundle.manifest.image_encoders[precision]].bytes


def _measured(
    subject: _Subject,
    seen: _Seen,
    reference: Reference,
    right: NDArray[np.intp] | None,
    held: Mapping[str, float],
    latencies: Mapping[str, dict[str, float]],
) -> dict[str, EngineParity]:
    """Return how well each engine says what the model says."""
    found = {}
    for name, engine in subject.engines.items() if seen.model else ():
        model, export = np.concatenate(seen.model), np.concatenate(subject.answers[name])
        figures = agreement_figures(model, export)
        figures |= class_figures(model, export, reference.prototypes, right, seen.photographs)
        judged = {
            **figures,
            "top1_agreement": figures.get("top1_high", 1.0),
        }  # a share of few images is known so well only
        broken = tuple(bound for bound, least in held.items() if judged.get(bound, least) < least)
        worst = subject.gallery.worst(name, model, export, reference.prototypes)
        found[name] = EngineParity(engine.description, figures, broken, latencies[name], worst)
    return found


def _held_bounds(bounds: Bounds, pictures: Pictures) -> dict[str, float]:
    """Return the bounds that images of this kind are held to.

    A generated image shows nothing that has a name: its best class wins by a hair, and changes with a rounding.
    """
    dropped = {"top1_agreement"} if pictures.kind.startswith("generated") else set()
    return {name: least for name, least in bounds.to_json().items() if name not in dropped}


def _subject(bundle: Bundle, precision: str, installed: Sequence[EngineName], reference: Reference) -> _Subject:
    """Open the engines that serve a precision, and note why others do not."""
    engines: dict[str, Engine] = {}
    refused: dict[str, str] = {}
    for name in installed:
        if name not in serving_engines(precision):
            continue
        try:
            engines[name] = open_engine(bundle, name, threads=THREADS, precision=precision)
        except EdgezslError as fault:  # one engine's refusal is a finding, not the end
            refused[name] = fault.message + (f", expected {fault.expected}" if fault.expected else "")
    gallery = Gallery(reference.contract, bundle.manifest.contract)
    return _Subject(engines, refused, {name: [] for name in engines}, gallery)


def _unfit(precision: str, installed: Sequence[EngineName]) -> dict[str, str]:
    """Return why an engine is not asked for a precision, by its name."""
    return {name: f"not for {precision}" for name in installed if name not in serving_engines(precision)}


def _collect(
    reference: Reference,
    contract: InputContract,
    subjects: Collection[_Subject],
    pictures: Pictures,
    used: CalibrationSet | None,
) -> Generator[Progress, None, _Seen]:
    ours, theirs = Preprocessor(reference.contract), Preprocessor(contract)
    seen = _Seen()
    for number, picture in enumerate(pictures.each, 1):
        if used is not None and (picture.photograph in used.photographs or picture.digest in used.images):
            seen.left_out += 1
        else:
            pixels = ours([picture.image]), theirs([picture.image])
            seen.model.append(reference.engine.run(pixels[0]))
            for subject in subjects:
                for name, engine in subject.engines.items():
                    subject.answers[name].append(engine.run(pixels[1]))
                rows = subject.answers.items()
                found = {name: float(cosines(seen.model[-1], given[-1])[0]) for name, given in rows}
                subject.gallery.offer(picture, pixels, found)
            seen.photographs.append(picture.photograph)
            seen.labels.append(picture.label)
        yield Progress(f"comparing on {pictures.kind}", number, pictures.count)
    return seen


def _right_rows(
    labels: Sequence[str], prototypes: ClassPrototypes | None, skipped: dict[str, str], vocabulary: str
) -> NDArray[np.intp] | None:
    """Return the row of each image's own class, -1 where it has none; None where no image has one."""
    if prototypes is None:
        skipped["top1_agreement"] = vocabulary
        return None
    if not any(labels):
        skipped["accuracy"] = "the images have no labels"
        return None
    rows = {name: row for row, name in enumerate(prototypes.names)}
    return np.array([rows.get(label, -1) for label in labels])


def _latency(engine: Engine, contract: InputContract) -> dict[str, float]:
    return latency(engine, (1, CHANNELS, *contract.size), warm_up=_WARM_UP, runs=_TIMED_RUNS) | {"threads": THREADS}
