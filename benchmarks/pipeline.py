"""What does everything around the engine cost: the loop, preprocessing, the start, and scoring many classes?

Method. Arms of one comparison take turns in one process, and medians are compared. The loop answers 300 frames of a film,
1280 x 720, held in memory, five times over, with an engine of one thread; the bare engine takes the same pixels, prepared. Preprocessing
stands beside Pillow's and numpy's on the same frames. Imports and starts are new processes each time, with warm disk
and byte code. Scoring stands beside the bare product of the same matrix and vector.

Bars. Whole loop >= 0.95 of the bare engine's rate on two cores; preprocessing <= 1/3 of Pillow's time; `import edgezsl`
<= 1.2 x `import numpy`; start to first answer from a ready pack on ONNX Runtime <= 1.0 s and <= 200 MiB; scoring with
top 5 and probabilities <= 1.25 x the bare product from 10,000 classes on, without a second matrix.

    EDGEZSL_DATA=DIR python benchmarks/pipeline.py [--bundle build/reference] [--quick] [--only PART] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from cold_start import imports, starts
from PIL import Image
from report import Report
from scoring_cost import scoring

from edgezsl.bundle import Bundle
from edgezsl.classes import ClassFile
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.engine import installed_engines, open_engine
from edgezsl.runtime.reader import FrameReader
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.sinks import JsonLinesSink
from edgezsl.runtime.sources import Frame, Pace, open_source
from edgezsl.runtime.stream import Stream
from edgezsl.runtime.text import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine, EngineName
    from edgezsl.runtime.sources import FrameSource

ROOT = Path(__file__).resolve().parent.parent
FILM = "photos_video/bottle-detection.mp4"
SIZE = (1280, 720)  # width, height
CLASSES = b"- bottle\n- car\n- person walking\n- dog\n- cup\n"
CORES = 2
TURN = 60  # frames; arms that take turns this often share whatever else the machine does
LEAST_SHARE = 0.95
PILLOW_SHARE = 1 / 3
PARTS = ("loop", "preprocess", "import", "start", "scoring")


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is done.

    Attributes:
        frames: Of the film.
        rounds: Of each arm of the loop; the median counts.
        preprocessed: Frames that are preprocessed.
        imports: Of each package.
        starts: Of each kind.
        classes: Numbers of classes that are scored.
        scored_s: Seconds of scoring for each number.
    """

    frames: int = 300
    rounds: int = 5
    preprocessed: int = 100
    imports: int = 31
    starts: int = 7
    classes: tuple[int, ...] = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
    scored_s: float = 6.0


QUICK = Amounts(20, 1, 10, 3, 1, (10, 10_000), 0.3)


class HeldFrames:
    """A source of frames that lie in memory, for a reader that takes its time."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self.name = "memory"
        self.pace: Pace = "waiting"
        self._images = iter(enumerate(images))

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last."""
        number, image = next(self._images, (0, None))
        return None if image is None else Frame(image, number, time.time(), None)

    def close(self) -> None:
        """Do nothing."""


def main() -> int:
    """Run the parts that are asked for and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "build" / "reference")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="a little of each: whether it works, not how well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    film = Path(os.environ.get("EDGEZSL_DATA", "")) / FILM
    if not film.is_file():
        sys.exit(f"there is no {film}; set EDGEZSL_DATA to the folder of the reference data")
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    amounts = QUICK if options.quick else Amounts()
    report = Report("pipeline: what does everything around the engine cost?")
    bundle, parts = Bundle.open(options.bundle), options.only or PARTS
    classes = ClassEmbedder(bundle, SemanticCache()).embed(ClassFile.parse(CLASSES, file="classes.yaml"), Path())
    if {"loop", "preprocess"} & set(parts):
        images = held_images(film, amounts.frames)
        if "preprocess" in parts:
            preprocessing(report, bundle.manifest.contract, images[: amounts.preprocessed])
        if "loop" in parts:
            LoopRun(report, bundle, classes, amounts).run(images, film)
    if "import" in parts:
        imports(report, amounts.imports)
    if "start" in parts:
        starts(report, bundle, classes, CLASSES, amounts.starts)
    if "scoring" in parts:
        scoring(report, amounts.classes, amounts.scored_s)
    return report.finish(options.json)


def held_images(film: Path, count: int) -> list[NDArray[np.uint8]]:
    """Return the first frames of a film, 1280 x 720 RGB."""
    source = open_source(str(film), as_fast_as_possible=True)
    images: list[NDArray[np.uint8]] = []
    while len(images) < count and (frame := source.read()) is not None:
        images.append(cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_LINEAR))
    source.close()
    assert len(images) == count, f"{film} has only {len(images)} frames"
    return images


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some frames, once prepared and once as a source.

    Attributes:
        pixels: For the bare engine, `(1, 3, h, w)` each.
        opened: Opens the source for the whole loop.
    """

    pixels: list[NDArray[Any]]
    opened: Callable[[], FrameSource]


class LoopRun:
    """The whole loop beside the bare engine."""

    def __init__(self, report: Report, bundle: Bundle, classes: ClassPrototypes, amounts: Amounts) -> None:
        self._report = report
        self._bundle = bundle
        self._classes = classes
        self._amounts = amounts

    def run(self, images: list[NDArray[np.uint8]], film: Path) -> None:
        """Compare the two for each engine: with one thread from memory, then with decoding, with and without a core left."""
        preprocess = Preprocessor(self._bundle.manifest.contract)
        pixels = [preprocess([image]) for image in images]
        parts = [slice(start, start + TURN) for start in range(0, len(images), TURN)]
        held = [Stretch(pixels[part], lambda part=part: HeldFrames(images[part])) for part in parts]  # type: ignore[misc]  # bound now
        decoded = [Stretch(pixels, lambda: open_source(str(film), as_fast_as_possible=True))]
        size = f"{len(images)} frames of {SIZE[0]}x{SIZE[1]}"
        for name in installed_engines():
            self._report.section(f"whole loop beside the bare engine: {name}, {size} in turns of {TURN}")
            self._compare(name, f"{name}, 1 thread", held, threads=1, least=LEAST_SHARE)
        for name in installed_engines():
            self._report.section(f"the same with decoding, on {CORES} cores: {name}, {size}")
            self._compare(name, f"{name}, decoding, all threads", decoded, threads=None, least=None)
            self._compare(name, f"{name}, decoding, one core left", decoded, threads=CORES - 1, least=None)

    def _compare(
        self, name: EngineName, what: str, stretches: list[Stretch], *, threads: int | None, least: float | None
    ) -> None:
        engine = open_engine(self._bundle, name, threads=threads)
        recognizer = Recognizer(engine, self._bundle.manifest.contract, self._classes)
        bare, whole = [], []
        for _ in range(self._amounts.rounds):
            turns = [(bare_s(engine, one.pixels), *loop_s(recognizer, one.opened)) for one in stretches]
            bare_seconds, loop_seconds, answered = (sum(column) for column in zip(*turns, strict=True))
            bare.append(sum(len(one.pixels) for one in stretches) / bare_seconds)
            whole.append(answered / loop_seconds)
        engine.close()
        self._report.add(f"{what}: bare engine", statistics.median(bare), "FPS")
        self._report.add(f"{what}: whole loop", statistics.median(whole), "FPS")
        share = statistics.median(whole) / statistics.median(bare)
        self._report.add(f"{what}: whole loop, share of the bare rate", share, least=least)


def bare_s(engine: Engine, pixels: list[NDArray[Any]]) -> float:
    """Return the seconds in which the engine embeds prepared frames."""
    start = time.perf_counter()
    for one in pixels:
        engine.run(one)
    return time.perf_counter() - start


def loop_s(recognizer: Recognizer, opened: Callable[[], FrameSource]) -> tuple[float, int]:
    """Return the seconds in which a stream answers every frame, its start and end included, and how many there were."""
    reader = FrameReader(opened, "benchmark", prepare=recognizer.prepare)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as lines:
        stream = Stream(reader, recognizer, [JsonLinesSink(lines, lines.name, owned=False)])  # type: ignore[arg-type]  # a text file
        start = time.perf_counter()
        summary = stream.run()
        taken = time.perf_counter() - start
    assert summary.dropped == 0
    return taken, summary.answered


def preprocessing(report: Report, contract: InputContract, images: list[NDArray[np.uint8]]) -> None:
    """Compare preprocessing with Pillow's resize, crop and numpy's normalisation, frame by frame, one thread each."""
    report.section(f"preprocessing {SIZE[0]}x{SIZE[1]}, {len(images)} frames, one thread each")
    preprocess, threads = Preprocessor(contract), cv2.getNumThreads()
    cv2.setNumThreads(1)
    arms: dict[str, Callable[[NDArray[np.uint8]], object]] = {
        "ours": lambda image: preprocess([image]),
        "pillow": lambda image: by_pillow(image, contract),
        "cropped": lambda image: by_pillow(image, contract, crop_first=True),
    }
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for image in [*images[:3], *images]:
        for name, arm in arms.items():
            start = time.perf_counter()
            arm(image)
            taken[name].append((time.perf_counter() - start) * 1000)
    cv2.setNumThreads(threads)
    ours, pillow, cropped = (statistics.median(taken[name][3:]) for name in arms)
    report.add("preprocessing, median", ours, "ms")
    report.add("Pillow's resize, crop, numpy's normalisation, median", pillow, "ms")
    report.add("the same where Pillow resizes only what is kept, median", cropped, "ms")
    report.add("preprocessing, share of Pillow's", ours / pillow, most=PILLOW_SHARE)
    report.add("preprocessing, share of Pillow's where it resizes only what is kept", ours / cropped)


def by_pillow(image: NDArray[np.uint8], contract: InputContract, *, crop_first: bool = False) -> NDArray[np.float32]:
    """Return the pixels `(1, 3, h, w)` as a training transform makes them: Pillow's bilinear filter, then the centre."""
    height, width = contract.size
    picture = Image.fromarray(image)
    if crop_first:
        side = min(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        box = (left, top, left + side, top + side)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, box)
    else:
        factor = max(width / picture.width, height / picture.height)
        whole = round(picture.width * factor), round(picture.height * factor)
        left, top = (whole[0] - width) // 2, (whole[1] - height) // 2
        picture = picture.resize(whole, Image.Resampling.BILINEAR).crop((left, top, left + width, top + height))
    values = np.asarray(picture, np.float32)
    values = (values / 255 - np.float32(contract.mean)) / np.float32(contract.std)
    return np.ascontiguousarray(values.transpose(2, 0, 1))[None]


if __name__ == "__main__":
    sys.exit(main())
