"""Parity: does the exported file say what its model says, in every engine that is installed?

The model, as it stands in its directory, is the reference; the bundle is run as a device runs it, through the bundle's
own contract and `open_engine`. What is compared are embeddings, the best class of a vocabulary, and, where images have
labels, how often it is right. A broken bound is a broken export.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.compile.figures import agreement_figures, class_figures, cosines
from edgezsl.compile.progress import Progress
from edgezsl.compile.worst import Gallery
from edgezsl.errors import EdgezslError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.engine import ENGINES, installed_engines, open_engine

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.pictures import Pictures
    from edgezsl.compile.recipe import Bounds
    from edgezsl.compile.worst import WorstImage
    from edgezsl.contract import InputContract
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine, EngineName

Outcome = Literal["passed", "too_few", "broken"]
FEWEST_IMAGES, FEWEST_PHOTOGRAPHS = 100, 20
REFERENCE_ENGINE = "onnx"  # whose figures stand in the manifest: it is always there
THREADS = 1  # of every engine: figures must not depend on how many cores are free
_TIMED_RUNS, _WARM_UP = 30, 3


@dataclass(frozen=True, slots=True)
class EngineParity:
    """What one engine said.

    Attributes:
        description: Engine, version, threads and arithmetic.
        figures: By name: `cosine_mean`, `cosine_min`, `cosine_worst1` (the first percentile), the same three `centred`,
            and where they could be measured `top1_agreement`, `accuracy`, `model_accuracy`, `drop`, `drop_low` and
            `drop_high` (model less export, and its 95% interval).
        broken: The bounds that do not hold, by name.
        latency: Of one frame: `p50_ms`, `p95_ms`, `runs`, `threads`.
        worst: The images on which it is farthest from the model.
    """

    description: str
    figures: Mapping[str, float]
    broken: tuple[str, ...]
    latency: Mapping[str, float]
    worst: tuple[WorstImage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that the report holds."""
        return {
            "description": self.description,
            "figures": dict(self.figures),
            "broken": list(self.broken),
            "latency": dict(self.latency),
            "worst": [one.to_json() for one in self.worst],
        }


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was compared, and what came out.

    Attributes:
        outcome: `passed`; `broken`: a bound does not hold, or an engine refuses the file; `too_few`: fewer than 100
            images or 20 photographs, which proves nothing either way.
        precision: Of the exported file.
        kind: What the images were, in words: generated ones are no photographs.
        images: How many.
        photographs: How many photographs they came from.
        left_out: Images not used, because calibration had used them or their photograph.
        unreadable: Files that are no image.
        bounds: What had to be reached; on generated images that is not the agreement of decisions.
        engines: What each engine said.
        refused: Engines that are installed and do not serve the bundle, and why.
        skipped: What was not measured, and why: engines that are not installed, figures without classes or labels.
        vocabulary: The classes among which the best was looked for, in words.
        bytes: Of the image encoder: `model` in full precision, and `export`.
    """

    outcome: Outcome
    precision: str
    kind: str
    images: int
    photographs: int
    left_out: int
    unreadable: int
    bounds: Mapping[str, float]
    engines: Mapping[str, EngineParity]
    refused: Mapping[str, str]
    skipped: Mapping[str, str]
    vocabulary: str
    bytes: Mapping[str, int]

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the reference engine, with the number of images: what a manifest keeps."""
        known = self.engines.get(REFERENCE_ENGINE)
        generated = self.images if self.kind.startswith("generated") else 0
        counts = {"images": self.images, "photographs": self.photographs, "generated_images": generated}
        return {**(known.figures if known else {}), **counts}

    def to_json(self) -> dict[str, Any]:
        """Return the content of the report file."""
        return {
            "format": "edgezsl-parity/1",
            "outcome": self.outcome,
            "precision": self.precision,
            "images": {
                "kind": self.kind,
                "count": self.images,
                "photographs": self.photographs,
                "left_out": self.left_out,
                "unreadable": self.unreadable,
            },
            "bounds": dict(self.bounds),
            "engines": {name: engine.to_json() for name, engine in self.engines.items()},
            "refused": dict(self.refused),
            "skipped": dict(self.skipped),
            "vocabulary": self.vocabulary,
            "bytes": dict(self.bytes),
        }


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
class _Answers:
    """What was collected image by image."""

    gallery: Gallery
    model: list[NDArray[np.float32]] = field(default_factory=list)
    export: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    photographs: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    left_out: int = 0


def measure_parity(
    reference: Reference,
    bundle: Bundle,
    precision: str,
    pictures: Pictures,
    used: CalibrationSet | None,
    bounds: Bounds,
    *,
    installed: Sequence[EngineName] | None = None,
) -> Generator[Progress, None, ParityReport]:
    """Compare a bundle with its model; yield progress.

    Args:
        reference: The model.
        bundle: The bundle, whose engines must pass its golden test.
        precision: Which of its encoders.
        pictures: The images to compare on.
        used: What set the ranges: its images, and those of the same photographs, are left out.
        bounds: What must be reached.
        installed: The engines to compare, or None for every one that is installed.

    Returns:
        The report.

    Raises:
        EngineError: When the model itself does not run.
    """
    chosen = installed_engines() if installed is None else installed
    engines, refused, skipped = _open_engines(bundle, precision, chosen)
    try:
        answers = yield from _collect(reference, bundle.manifest.contract, engines, pictures, used)
        latencies = {name: _latency(engine, reference.contract) for name, engine in engines.items()}
        descriptions = {name: engine.description for name, engine in engines.items()}
    finally:
        for engine in engines.values():
            engine.close()
    held = _held_bounds(bounds, pictures)
    right = _right_rows(answers.labels, reference.prototypes, skipped, reference.vocabulary)
    measured = {
        name: _engine_parity(name, answers, reference, right, held, (descriptions[name], latencies[name]))
        for name in (engines if answers.model else ())
    }
    few = len(answers.model) < FEWEST_IMAGES or len(set(answers.photographs)) < FEWEST_PHOTOGRAPHS
    failed = bool(refused) or any(engine.broken for engine in measured.values())
    return ParityReport(
        outcome="too_few" if few else "broken" if failed else "passed",
        precision=precision,
        kind=pictures.kind,
        images=len(answers.model),
        photographs=len(set(answers.photographs)),
        left_out=answers.left_out,
        unreadable=len(pictures.skipped),
        bounds=held,
        engines=measured,
        refused=refused,
        skipped=skipped,
        vocabulary=reference.vocabulary,
        bytes={"model": reference.bytes, "export": bundle.manifest.files[_encoder(bundle, precision)].bytes},
    )


def _engine_parity(
    name: str,
    answers: _Answers,
    reference: Reference,
    right: NDArray[np.intp] | None,
    held: Mapping[str, float],
    found: tuple[str, dict[str, float]],
) -> EngineParity:
    """Return how well one engine says what the model says; `found` is its description and its latency."""
    model, export = np.concatenate(answers.model), np.concatenate(answers.export[name])
    figures = agreement_figures(model, export)
    figures |= class_figures(model, export, reference.prototypes, right, answers.photographs)
    broken = tuple(bound for bound, least in held.items() if figures.get(bound, least) < least)
    worst = answers.gallery.worst(name, model, export, reference.prototypes)
    return EngineParity(found[0], figures, broken, found[1], worst)


def _held_bounds(bounds: Bounds, pictures: Pictures) -> dict[str, float]:
    """Return the bounds that images of this kind are held to.

    A generated image shows nothing that has a name: its best class wins by a hair, and changes with a rounding.
    """
    dropped = {"top1_agreement"} if pictures.kind.startswith("generated") else set()
    return {name: least for name, least in bounds.to_json().items() if name not in dropped}


def _open_engines(
    bundle: Bundle, precision: str, installed: Sequence[EngineName]
) -> tuple[dict[str, Engine], dict[str, str], dict[str, str]]:
    """Return the engines that serve the bundle, why others refuse it, and which are not installed."""
    engines: dict[str, Engine] = {}
    refused: dict[str, str] = {}
    skipped: dict[str, str] = {name: "not installed" for name in ENGINES if name not in installed}
    for name in installed:
        try:
            engines[name] = open_engine(bundle, name, threads=THREADS, precision=precision)
        except EdgezslError as fault:  # noqa: PERF203  # one engine's refusal is a finding, not the end
            refused[name] = fault.message
    return engines, refused, skipped


def _collect(
    reference: Reference,
    contract: InputContract,
    engines: Mapping[str, Engine],
    pictures: Pictures,
    used: CalibrationSet | None,
) -> Generator[Progress, None, _Answers]:
    ours, theirs = Preprocessor(reference.contract), Preprocessor(contract)
    answers = _Answers(Gallery(reference.contract, contract), export={name: [] for name in engines})
    for number, picture in enumerate(pictures.each, 1):
        if used is not None and (picture.photograph in used.photographs or picture.digest in used.images):
            answers.left_out += 1
        else:
            pixels = ours([picture.image]), theirs([picture.image])
            answers.model.append(reference.engine.run(pixels[0]))
            for name, engine in engines.items():
                answers.export[name].append(engine.run(pixels[1]))
            found = {name: float(cosines(answers.model[-1], rows[-1])[0]) for name, rows in answers.export.items()}
            answers.gallery.offer(picture, pixels, found)
            answers.photographs.append(picture.photograph)
            answers.labels.append(picture.label)
        yield Progress(f"comparing on {pictures.kind}", number, pictures.count)
    return answers


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
    pixels = np.zeros((1, 3, *contract.size), engine.dtype)
    taken = []
    for _ in range(_WARM_UP + _TIMED_RUNS):
        start = time.perf_counter()
        engine.run(pixels)
        taken.append((time.perf_counter() - start) * 1000)
    p50, p95 = np.percentile(taken[_WARM_UP:], [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "runs": _TIMED_RUNS, "threads": THREADS}


def _encoder(bundle: Bundle, precision: str) -> str:
    return bundle.manifest.image_encoders[precision]
