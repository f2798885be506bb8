"""How fast a bundle is on this machine: each stage and each engine in one run, interleaved.

Absolute times belong to the machine, its load and its versions: the report names them, and ratios within one report
are what to quote.
"""

from __future__ import annotations

import platform
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.device import cpu_features
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.runtime.engine import open_engine
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.runtime.engine import Engine, EngineName

FRAME_SIZE = (720, 1280)
WARM_UP = 3  # rounds that are not counted


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage takes.

    Attributes:
        stage: What was timed.
        p50_ms: Median.
        p95_ms: 95th percentile.
        least_ms: Minimum.
        runs: How often it ran.
    """

    stage: str
    p50_ms: float
    p95_ms: float
    least_ms: float
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Return the timing as an object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What a benchmark found.

    Attributes:
        bundle: The bundle's name.
        machine: What it ran on.
        cpu_features: The features that decide which arithmetic is fast.
        load_s: Seconds to load and prove each engine.
        timings: Each stage.
        peak_mib: Peak memory of the process.
    """

    bundle: str
    machine: str
    cpu_features: tuple[str, ...]
    load_s: dict[str, float]
    timings: tuple[Timing, ...]
    peak_mib: float

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object."""
        return {
            "bundle": self.bundle,
            "machine": self.machine,
            "cpu_features": list(self.cpu_features),
            "load_s": self.load_s,
            "timings": [timing.to_json() for timing in self.timings],
            "peak_mib": self.peak_mib,
        }


def bench(
    bundle: Bundle, engines: Sequence[EngineName], *, runs: int, threads: int | None, classes: int
) -> Iterator[int | BenchReport]:
    """Time preprocessing, each engine, scoring, and each engine's whole path; yield progress, then the report.

    Args:
        bundle: The bundle.
        engines: The engines to compare.
        runs: How often each stage runs.
        threads: Threads of each engine, or None for all cores.
        classes: K of the scored matrix.

    Yields:
        The number of rounds done, and last the report.

    Raises:
        EngineError: When an engine refuses the model or disagrees with its golden answers.
        MissingExtraError: When an engine is not installed.
    """
    load_s: dict[str, float] = {}
    opened: dict[str, Engine] = {}
    for name in engines:
        start = time.perf_counter()
        opened[name] = open_engine(bundle, name, threads=threads)
        load_s[name] = round(time.perf_counter() - start, 3)
    stages = _stages(bundle, opened, classes)
    taken: dict[str, list[float]] = {stage: [] for stage in stages}
    for round_number in range(WARM_UP + runs):
        for stage, run in stages.items():
            start = time.perf_counter()
            run()
            taken[stage].append((time.perf_counter() - start) * 1000)
        yield round_number + 1
    timings = tuple(_timing(stage, values[WARM_UP:]) for stage, values in taken.items())
    for engine in opened.values():
        engine.close()
    peak_mib = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    machine = f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
    yield BenchReport(bundle.manifest.name, machine, cpu_features(), load_s, timings, peak_mib)


def _stages(bundle: Bundle, engines: dict[str, Engine], classes: int) -> dict[str, Callable[[], object]]:
    random = np.random.RandomState(0)
    frame = random.randint(0, 256, (*FRAME_SIZE, 3), np.uint8)
    preprocess = Preprocessor(bundle.manifest.contract)
    pixels = preprocess([frame])
    prototypes = _random_prototypes(bundle, classes, random)
    embedding = prototypes.vectors[:1]

    def score(embeddings: NDArray[np.float32]) -> None:
        row = scores(embeddings, prototypes.vectors, prototypes.offset)[0]
        rank(row, prototypes.space, limits=prototypes.limits, negative=prototypes.negative, k=5)

    stages: dict[str, Callable[[], object]] = {
        f"preprocess {FRAME_SIZE[1]}x{FRAME_SIZE[0]}": lambda: preprocess([frame]),
        f"score {classes} classes": lambda: score(embedding),
    }
    for engine in engines.values():
        stages[f"engine: {engine.description}"] = lambda engine=engine: engine.run(pixels)  # type: ignore[misc]  # bound now
        stages[f"whole frame: {engine.description}"] = lambda engine=engine: score(engine.run(preprocess([frame])))  # type: ignore[misc]  # bound now
    return stages


def _random_prototypes(bundle: Bundle, classes: int, random: np.random.RandomState) -> ClassPrototypes:
    vectors = random.randn(classes, bundle.manifest.space.dim).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [ClassRow(f"class {row}", vector) for row, vector in enumerate(vectors)]
    return ClassPrototypes.from_rows(rows, bundle.manifest.space)


def _timing(stage: str, values: list[float]) -> Timing:
    p50, p95 = np.percentile(values, [50, 95])
    return Timing(stage, round(float(p50), 3), round(float(p95), 3), round(min(values), 3), len(values))
