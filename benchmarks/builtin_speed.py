"""What the built-in model costs on one core, beside MobileNetV2 in full precision, in one run.

    EDGEZSL_DATA=DIR python benchmarks/builtin_speed.py [--bundle DIR] [--beside DIR ...] [--json FILE]

`--beside` are other bundles, by default the reference one: MobileNetV2, 224 x 224, fp32. Encoders take turns, frame by
frame, so that they share whatever else the machine does; memory is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cold_start import starts
from report import Report

from edgezsl import Bundle, ClassEmbedder, ClassFile, open_engine
from edgezsl.classes import ClassEntry
from edgezsl.errors import NOWHERE
from edgezsl.runtime.engine import installed_engines
from edgezsl.runtime.text import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgezsl import Engine

ROOT = Path(__file__).resolve().parent.parent
WARM_UP, RUNS, STARTS = 10, 200, 5
WORDS = 200
MOST_TEXT_MS = 1.0
CLASSES = b"[bottle, cup, car, person walking, dog]\n"
# Loads an encoder and runs it; its peak memory is what a device needs beside the frames.
PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from edgezsl import Bundle, open_engine
bundle = Bundle.open(Path(sys.argv[1]))
engine = open_engine(bundle, sys.argv[2], threads=1)
height, width = bundle.manifest.contract.size
for _ in range(20):
    engine.run(np.zeros((1, 3, height, width), np.float32))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def latencies(report: Report, bundles: Sequence[Bundle]) -> None:
    """Time one frame through each encoder and engine, one thread, in turns."""
    report.section(f"one frame, one thread, {RUNS} runs in turns")
    arms: dict[str, tuple[Engine, np.ndarray]] = {}
    for bundle in bundles:
        height, width = bundle.manifest.contract.size
        pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, height, width)).astype(np.float32)
        for engine in installed_engines():
            arms[named(bundle, engine)] = (open_engine(bundle, engine, threads=1), pixels)
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(WARM_UP + RUNS):
        for name, (engine, pixels) in arms.items():
            start = time.perf_counter()
            engine.run(pixels)
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - start))
    for name, times in taken.items():
        report.add(f"{name}: median", statistics.median(times), "ms")
        report.add(f"{name}: 95th percentile", float(np.percentile(times, 95)), "ms")


def memories(report: Report, bundles: Sequence[Bundle]) -> None:
    """Measure the peak memory of a process that runs each encoder."""
    report.section("peak memory of a process with the encoder, one thread")
    for bundle in bundles:
        for engine in installed_engines():
            command = [sys.executable, "-c", PROGRAM, str(bundle.folder), engine]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            report.add(f"{named(bundle, engine)}: peak memory", int(done.stdout) / 1024, "MiB")


def texts(report: Report, bundle: Bundle) -> None:
    """Time the class side: classes that were never met, by name and one sentence, on one thread."""
    report.section("class side, one thread")
    embedder = ClassEmbedder(bundle, SemanticCache(), threads=1)
    fresh = (
        ClassEntry(
            f"red box number {number}", NOWHERE, descriptions=(f"a small red box with the number {number} on it",)
        )
        for number in range(10 * WORDS)
    )
    embedder.embed(ClassFile("warm", (next(fresh),)), Path())
    times = []
    for _ in range(9):
        entries = tuple(next(fresh) for _ in range(WORDS))
        start = time.perf_counter()
        embedder.embed(ClassFile("timed", entries), Path())
        times.append(1000 * (time.perf_counter() - start) / (2 * WORDS))
    report.add("a class text, tokens to prototype", statistics.median(times), "ms", most=MOST_TEXT_MS)


def named(bundle: Bundle, engine: str) -> str:
    """Return what an arm is called."""
    manifest = bundle.manifest
    return f"{manifest.name} {manifest.precision}, {manifest.contract.size[0]} px, {engine}"


def main() -> None:
    """Measure and print; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="default: the built-in one")
    parser.add_argument("--beside", type=Path, nargs="*", default=[ROOT / "build" / "reference"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report = Report("What the built-in model costs on one core")
    bundles = [Bundle.open(folder) for folder in (asked.bundle, *asked.beside)]
    latencies(report, bundles)
    memories(report, bundles)
    texts(report, bundles[0])
    classes = ClassEmbedder(bundles[0], SemanticCache()).embed(ClassFile.parse(CLASSES, file="classes.yaml"), Path())
    starts(report, bundles[0], classes, CLASSES, STARTS)
    raise SystemExit(report.finish(asked.json))


if __name__ == "__main__":
    main()
