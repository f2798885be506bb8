"""How fast models are on this machine: bundles, precisions and engines in one run, interleaved.

Absolute times belong to the machine, its load and its versions: the report names them, and ratios within one report
are what to quote.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgezsl.device import cpu_features
from edgezsl.errors import InputError, shown
from edgezsl.evaluate.cold_start import ColdStart, cold_start
from edgezsl.evaluate.frame_power import FramePower, frame_power
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.runtime.engine import GRAPH_ENGINES, installed_engines, open_engine, serving_engines
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import EmbeddingSpace, InputContract
    from edgezsl.runtime.engine import Engine, EngineName
    from edgezsl.runtime.power import PowerMeter

Preprocess: TypeAlias = "Callable[[Sequence[NDArray[np.uint8]]], NDArray[Any]]"
FRAME_SIZE = (720, 1280)
WARM_UP = 3  # rounds that are not counted


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An image encoder that is timed.

    Attributes:
        name: What it is called in the report.
        engine: It, loaded.
        contract: How a frame becomes its pixels.
        space: Where it puts them.
        cold: What a new process with it costs, or None where that was not measured.
        preprocess: How its own library turns frames into pixels, or None where that is done by the contract.
    """

    name: str
    engine: Engine
    contract: InputContract
    space: EmbeddingSpace
    cold: ColdStart | None = None
    preprocess: Preprocess | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage takes.

    Attributes:
        stage: What was timed.
        p50_ms: Median.
        p95_ms: 95th percentile.
        least_ms: Minimum.
        runs: How often it ran.
        share: Of the median of the first stage of its kind; 1 for that itself.
    """

    stage: str
    p50_ms: float
    p95_ms: float
    least_ms: float
    runs: int
    share: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Return the timing as an object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a benchmark found.

    Attributes:
        machine: What it ran on.
        cpu_features: The features that decide which arithmetic is fast.
        precisions: The arithmetic inside each subject, by its name.
        colds: What a new process with each subject costs, by its name.
        timings: Each stage.
        powers: What the machine drew for each subject's frames, by its name; empty where the machine reports nothing.
        power_missing: In words why no power is given, or None.
    """

    machine: str
    cpu_features: tuple[str, ...]
    precisions: dict[str, str] = field(default_factory=dict)
    colds: dict[str, ColdStart] = field(default_factory=dict)
    timings: tuple[Timing, ...] = ()
    powers: dict[str, FramePower] = field(default_factory=dict)
    power_missing: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object."""
        return {
            "machine": self.machine,
            "cpu_features": list(self.cpu_features),
            "precisions": self.precisions,
            "cold_starts": {name: cold.to_json() for name, cold in self.colds.items()},
            "timings": [timing.to_json() for timing in self.timings],
            "power": {name: power.to_json() for name, power in self.powers.items()},
            "power_missing": self.power_missing,
        }


def open_subjects(
    bundle: Bundle,
    engines: Sequence[EngineName] | None,
    precisions: Sequence[str],
    *,
    threads: int | None,
    cold: bool,
    plans: Path | None = None,
    called: str | None = None,
) -> Iterator[Subject]:
    """Open the encoders of a bundle in every engine; yield each as it is ready.

    Args:
        bundle: The bundle.
        engines: The engines, or None for every installed one that runs the bundle's own file and that a precision is for.
        precisions: Of its encoders: names, or none for the one that runs by itself.
        threads: Of each engine, or None for all cores.
        cold: Whether to start a new process with each, too.
        plans: Where TensorRT's plans lie, or None for the usual place.
        called: What the bundle is called in the report, beside its digest, or None for its name.

    Yields:
        The subjects.

    Raises:
        EngineError: When an engine refuses an encoder, or disagrees with its golden answers.
        InputError: When the bundle has no such precision, or it is not for a named engine.
        MissingExtraError: When an engine is not installed.
    """
    manifest = bundle.manifest
    for precision in precisions or (manifest.precision,):
        fit = [one for one in installed_engines(GRAPH_ENGINES) if one in serving_engines(precision)]
        for name in fit if engines is None else engines:
            engine = open_engine(bundle, name, threads=threads, precision=precision, plans=plans)
            started = cold_start(bundle.folder, name, precision, threads=threads, plans=plans) if cold else None
            size = manifest.contract.size[0]
            name_of_it = f"{called or manifest.name} ({bundle.digest[:6]}) {size} px, {engine.description}"
            yield Subject(name_of_it, engine, manifest.contract, manifest.space, started)


def bench(
    subjects: Sequence[Subject], *, runs: int, classes: int, meter: PowerMeter | None = None
) -> Iterator[int | BenchReport]:
    """Time preprocessing, each encoder, scoring, and each one's whole path; yield progress, then the report.

    Stages take turns, and each runs twice at its turn: the second is timed. Where the machine says what it draws, each
    subject then answers frames alone for some seconds.

    Args:
        subjects: What to compare, one at least; they are closed at the end.
        runs: How often each stage runs.
        classes: K of the scored matrix.
        meter: What says what the machine draws, or None: nobody is asked.

    Yields:
        The number of rounds and stretches done, and last the report.

    Raises:
        EngineError: When an engine fails.
        InputError: When two subjects are called alike: one would hide the other.
    """
    names = [one.name for one in subjects]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        hint = "name each bundle, engine and precision once"
        raise InputError(f"{shown(twice)} is to be timed twice", code="named_twice", hint=hint)
    stages = _stages(subjects, classes)
    taken: dict[tuple[str, str], list[float]] = {key: [] for key in stages}
    try:
        for round_number in range(WARM_UP + runs):
            for key, run in stages.items():
                run()  # not timed: the threads of the engine before it may still wait in a loop, on the same cores
                start = time.perf_counter()
                run()
                taken[key].append((time.perf_counter() - start) * 1000)
            yield round_number + 1
        powers: dict[str, FramePower] = {}
        if meter is not None and meter.reports:
            for name in names:
                powers[name] = frame_power(stages["whole frame", name], meter)
                yield WARM_UP + runs + len(powers)
    finally:
        for subject in subjects:
            subject.engine.close()
    firsts: dict[str, float] = {}
    timings = []
    for (kind, name), values in taken.items():
        p50, p95 = (float(value) for value in np.percentile(values[WARM_UP:], [50, 95]))
        share, least = p50 / firsts.setdefault(kind, p50), min(values[WARM_UP:])
        stage = f"{kind}: {name}"
        timings.append(Timing(stage, round(p50, 3), round(p95, 3), round(least, 3), runs, round(share, 3)))
    yield BenchReport(
        machine=f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        cpu_features=cpu_features(),
        precisions={one.name: one.engine.precision for one in subjects},
        colds={one.name: one.cold for one in subjects if one.cold},
        timings=tuple(timings),
        powers=powers,
        power_missing=None if meter is None else meter.why_no_watts,
    )


def _stages(subjects: Sequence[Subject], classes: int) -> dict[tuple[str, str], Callable[[], object]]:
    """Return what is timed, by kind and name; stages of one kind are compared with each other."""
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (*FRAME_SIZE, 3), np.uint8)
    stages: dict[tuple[str, str], Callable[[], object]] = {}
    for subject in subjects:
        preprocess = subject.preprocess or Preprocessor(subject.contract)
        pixels = preprocess([frame])
        score = _scoring(subject.space, classes, random)
        rows = subject.engine.run(pixels)
        run = subject.engine.run
        stages.setdefault(("preprocess", _preprocessing(subject)), _bound(preprocess, [frame]))
        stages.setdefault(("score", f"{classes} classes of {subject.space.dim} values"), _bound(score, rows))
        stages["engine", subject.name] = _bound(run, pixels)
        stages["whole frame", subject.name] = _whole(frame, preprocess, run, score)
    return stages


def _preprocessing(subject: Subject) -> str:
    """Return in words how a frame becomes pixels."""
    contract = subject.contract
    size = f"{FRAME_SIZE[1]}x{FRAME_SIZE[0]} to {contract.size[1]}x{contract.size[0]}, {contract.resize}"
    exact = ", exact" if contract.exact_resize else ""
    by = ", its library's own" if subject.preprocess else ""
    return f"{size}, {contract.interpolation}{exact}{by}"


def _bound(call: Callable[[Any], object], value: object) -> Callable[[], object]:
    return lambda: call(value)


def _whole(
    frame: NDArray[np.uint8],
    preprocess: Preprocess,
    run: Callable[[NDArray[Any]], NDArray[np.float32]],
    score: Callable[[NDArray[np.float32]], object],
) -> Callable[[], object]:
    return lambda: score(run(preprocess([frame])))


def _scoring(
    space: EmbeddingSpace, classes: int, random: np.random.RandomState
) -> Callable[[NDArray[np.float32]], object]:
    """Return the scoring of embeddings against so many random classes."""
    vectors = random.randn(classes, space.dim).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = ClassPrototypes.from_rows([ClassRow(f"class {row}", one) for row, one in enumerate(vectors)], space)

    def score(embeddings: NDArray[np.float32]) -> object:
        row = scores(embeddings, known.vectors, known.offset)[0]
        return rank(row, known.space, limits=known.limits, negative=known.negative, k=5)

    return score
