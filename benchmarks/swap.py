"""Does swapping classes ever mix two sets, cost a frame, or hold the stream up?

Method. A station runs on a synthetic stream of 60 FPS, or slower where the engine is, with two class sets that share
no name; stretches with swaps alternate with stretches without. First classes go through the public `swap()` from another
thread, several times in every frame, then through atomic replacement of the watched pack. Each answer is then computed
again in float64 from its frame and its revision's matrix. Last, a class file of 1,000 classes and one of 5 are edited
while a stream of 30 FPS runs, with the bundle's own text encoder. A slow answer may also be the machine's fault: worst
gaps are printed for the stretches without swaps too, and how long tasks waited for a processor.

Bars. No answer with a foreign name, digest or score (within 1e-5); no more frames missing and no more long gaps than
without swaps, by Fisher's exact test; no gap above 2 frame periods; p95 from rename to the first answer of the new classes <= 1.0 s. `--defect two-reads` puts in a
recognizer that reads its reference twice: this benchmark must fail it.

    python benchmarks/swap.py [--bundle build/reference] [--quick] [--only PART] [--defect two-reads] [--json FILE]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from answer_check import LARGEST_ERROR, Embeddings, Faults, check
from class_edits import edit_class_files
from live_station import LiveStation, add_flow, scene, sustained_fps, uri
from report import Report

from edgezsl.bundle import Bundle
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.recognizer import WHOLE_FRAME, Answer, Recognizer
from edgezsl.runtime.synthetic import SyntheticSource
from edgezsl.station import StationSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace
    from edgezsl.station import Station

ROOT = Path(__file__).resolve().parent.parent
FPS = 60.0
CLASSES = 20  # in each of the two sets
PARTS = ("call", "file", "edits")


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is done.

    Attributes:
        swaps: Through the public call.
        swaps_a_frame: How many of them in one frame period.
        replacements: Of the watched pack.
        stretches: With swaps; as many and one more without.
        quiet_s: How long one without is.
        edits: Of each class file.
        classes: In the large class file.
    """

    swaps: int = 10_000
    swaps_a_frame: int = 5
    replacements: int = 200
    stretches: int = 4
    quiet_s: float = 8.0
    edits: int = 100
    classes: int = 1000


QUICK = Amounts(swaps=600, swaps_a_frame=20, replacements=4, stretches=2, quiet_s=0.4, edits=2, classes=30)


class TwoReads(Recognizer):
    """The seeded defect: names are read when a frame is embedded, the matrix when it is scored."""

    def embed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings of a frame, and remember which names stood then."""
        self._first = self._serving
        return super().embed(pixels)

    def answer(self, embeddings: NDArray[np.float32]) -> Answer:
        """Return an answer of two class sets, where a swap came between the two readings."""
        first, second = self._first, self._serving
        row = second.prototypes.vectors @ embeddings[0] + second.prototypes.offset
        return Answer(first.revision, first.digest, (self._region(WHOLE_FRAME, row, first),))


def main() -> int:
    """Run the parts that are asked for and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "reference")
    parser.add_argument("--engine", default="onnx")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--defect", choices=["two-reads"])
    parser.add_argument("--quick", action="store_true", help="a few swaps and edits: whether it works, not how well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    amounts = QUICK if options.quick else Amounts()
    report = Report("swap: does swapping classes mix two sets, cost a frame, or hold the stream up?")
    with tempfile.TemporaryDirectory(prefix="edgezsl-swap-") as folder:
        part = SwapRun(report, options, amounts, Path(folder))
        for name in options.only or PARTS:
            {"call": part.through_the_call, "file": part.through_the_file, "edits": part.edits}[name]()
    return report.finish(options.json)


class SwapRun:
    """The parts of the benchmark on one bundle."""

    def __init__(self, report: Report, options: argparse.Namespace, amounts: Amounts, folder: Path) -> None:
        self.report = report
        self.amounts = amounts
        self.folder = folder
        self._options = options
        self._bundle = Bundle.open(options.bundle)
        self._sets = tuple(
            random_set(side, self._bundle.manifest.space, seed) for seed, side in enumerate(("one", "other"))
        )
        self._engine = open_engine(self._bundle, options.engine, threads=options.threads)
        reference = Recognizer(self._engine, self._bundle.manifest.contract, self._sets[0])
        self._fps = sustained_fps(reference, FPS)
        report.note(f"{self._bundle.manifest.name}, {self._engine.description}, {self._fps:g} FPS")

    def through_the_call(self) -> None:
        """Swap through the public `swap()`, from another thread than the stream's."""
        self.report.section(f"{self.amounts.swaps} swaps through swap()")
        pack = self.folder / "call.safetensors"
        self._sets[1].write(pack)
        served = {1: self._sets[1]}
        interval_s = 1 / self._fps / self.amounts.swaps_a_frame
        with self._live(pack) as live:
            recognizer, chance = live.station.recognizer, random.Random(0)

            def swap_many() -> None:
                for _ in range(self.amounts.swaps // self.amounts.stretches):
                    chosen = self._sets[(len(served) + 1) % 2]
                    served[recognizer.swap(chosen)] = chosen
                    time.sleep(interval_s * chance.uniform(0.2, 1.8))

            self._alternate(live, swap_many)
        self.report.add("call: swaps", len(served) - 1, least=self.amounts.swaps)
        self.report.add("call: least swaps between two answers", least_swaps(live), least=1)
        add_flow(self.report, live, self._fps, "call")
        self._add_faults("call", live, served)

    def through_the_file(self) -> None:
        """Swap through atomic replacement of the watched pack."""
        self.report.section(f"{self.amounts.replacements} swaps through atomic replacement of the watched pack")
        pack, ready = self.folder / "watched" / "classes.safetensors", self.folder / "ready.safetensors"
        pack.parent.mkdir()
        self._sets[1].write(pack)
        served, taken = {1: self._sets[1]}, []
        with self._live(pack) as live:

            def replace_many() -> None:
                for _ in range(self.amounts.replacements // self.amounts.stretches):
                    chosen = self._sets[(len(served) + 1) % 2]
                    ready.write_bytes(chosen.to_bytes())
                    start = time.monotonic()
                    ready.replace(pack)
                    served[len(served) + 1] = chosen
                    first = live.wait_for_revision(len(served))
                    if first is not None:
                        taken.append(first - start)

            self._alternate(live, replace_many)
        self.report.add("file: replacements answered", len(taken), least=self.amounts.replacements)
        if taken:
            self.report.add("file: rename to first answer, p50", float(np.percentile(taken, 50)), "s")
            self.report.add("file: rename to first answer, p95", float(np.percentile(taken, 95)), "s")
        add_flow(self.report, live, self._fps, "file")
        self._add_faults("file", live, served)

    def edits(self) -> None:
        """Edit class files while a stream runs."""
        edit_class_files(
            self.report, self._settings, self.folder, edits=self.amounts.edits, classes=self.amounts.classes
        )

    def _settings(self, classes: Path, fps: float) -> StationSettings:
        return StationSettings(
            source=uri(fps),
            classes=classes,
            bundle=self._options.bundle,
            engine=self._options.engine,
            threads=self._options.threads,
        )

    def _live(self, pack: Path) -> LiveStation:
        return LiveStation(self._settings(pack, self._fps), recognizer=two_reads if self._options.defect else None)

    def _alternate(self, live: LiveStation, work: Any) -> None:
        for _ in range(self.amounts.stretches):
            live.segment(lambda: time.sleep(self.amounts.quiet_s), busy=False)
            live.segment(work, busy=True)
        live.segment(lambda: time.sleep(self.amounts.quiet_s), busy=False)

    def _add_faults(self, what: str, live: LiveStation, served: dict[int, ClassPrototypes]) -> None:
        picture = SyntheticSource(scene(self._fps)).picture
        embeddings = Embeddings(self._engine, self._bundle.manifest.contract, picture)
        add_faults(self.report, what, check(live.recorder.answers, served, embeddings))


def add_faults(report: Report, what: str, faults: Faults) -> None:
    """Add to the report what is wrong with the answers: all of them were checked."""
    report.add(f"{what}: answers, each computed again from frame and matrix", faults.checked, least=1)
    report.add(f"{what}: answers of a revision that was never swapped in", faults.of_no_set, most=0)
    report.add(f"{what}: answers with a name that is not of their revision's set", faults.foreign_names, most=0)
    report.add(f"{what}: answers with another set's digest", faults.wrong_digests, most=0)
    report.add(f"{what}: answers with a wrong score, or not the best classes", faults.wrong_scores, most=0)
    report.add(f"{what}: largest error of a score", float(faults.worst_error), most=LARGEST_ERROR)


def random_set(side: str, space: EmbeddingSpace, seed: int) -> ClassPrototypes:
    """Return a class set of random rows, whose names nobody else has."""
    vectors = np.random.RandomState(seed).randn(CLASSES, space.dim).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return ClassPrototypes.from_rows([ClassRow(f"{side} {row}", vector) for row, vector in enumerate(vectors)], space)


def two_reads(station: Station) -> TwoReads:
    """Return the defective recognizer for a station."""
    engine = open_engine(station.bundle, "onnx")
    return TwoReads(engine, station.bundle.manifest.contract, station.recognizer.prototypes)


def least_swaps(live: LiveStation) -> int:
    """Return how many swaps lay between two answers at least, while classes were swapped."""
    answers, times = live.recorder.answers, live.recorder.times
    least = [
        after.revision - before.revision
        for segment in live.segments
        if segment.busy
        for before, after, start, end in zip(answers, answers[1:], times, times[1:], strict=False)
        if segment.start <= start and end <= segment.end
    ]
    return min(least, default=0)


if __name__ == "__main__":
    sys.exit(main())
