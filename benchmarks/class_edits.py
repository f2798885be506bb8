"""How soon an edited class file answers, and whether the stream notices: the third part of `swap.py`.

Each edit is an atomic replacement, as a careful editor saves. Words are embedded by the bundle's own text encoder, in
the station's child process. Every edit brings names that were never embedded before.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
from live_station import LiveStation, add_flow

from edgezsl.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from report import Report

    from edgezsl.station import StationSettings

FPS = 30.0
SLOWEST_S = 1.0
FEW = 5
QUIET_S = 5.0
PAUSE_S = 0.1  # between an edit's first answer and the next edit, off the beat of the frames


def edit_class_files(
    report: Report,
    settings: Callable[[Path, float], StationSettings],
    folder: Path,
    *,
    edits: int,
    classes: int,
) -> None:
    """Edit a class file of 5 classes, all of them, and one of many, one of them.

    Args:
        report: Where figures go.
        settings: Gives the station's settings for a class file and a rate.
        folder: Where class files may be written.
        edits: How often each is edited.
        classes: How many the large one has.
    """
    names = known_names(settings(folder, FPS).bundle, classes)
    new = iter(range(10**9))

    def one_changed() -> list[str]:
        number = next(new)
        names[number * 7 % len(names)] = f"red thing {number}"
        return names

    def all_changed() -> list[str]:
        return [f"blue thing {next(new)}" for _ in range(FEW)]

    for what, write, count in (("edits of 5", all_changed, FEW), (f"edits of {classes}", one_changed, classes)):
        report.section(f"{edits} edits of a classes.yaml of {count} classes at {FPS:g} FPS")
        path = folder / what.replace(" ", "-") / "classes.yaml"
        path.parent.mkdir()
        write_class_file(path, write())
        run_edits(report, settings(path, FPS), what, write, edits)


def run_edits(report: Report, settings: StationSettings, what: str, write: Callable[[], list[str]], edits: int) -> None:
    """Edit the class file that `settings` names so many times while its station runs, and report."""
    ready = settings.classes.parent.with_suffix(".ready")
    taken: list[float] = []
    expected = {1: set(read_names(settings.classes))}
    with LiveStation(settings) as live:

        def edit() -> None:
            for _ in range(edits):
                names = write()
                expected[len(expected) + 1] = set(names)
                write_class_file(ready, names)
                start = time.monotonic()
                ready.replace(settings.classes)
                first = live.wait_for_revision(len(expected))
                if first is not None:
                    taken.append(first - start)
                time.sleep(PAUSE_S)

        quiet_s = QUIET_S * min(1, edits / 100)
        live.segment(lambda: time.sleep(quiet_s), busy=False)
        live.segment(edit, busy=True)
        live.segment(lambda: time.sleep(quiet_s), busy=False)
    foreign = sum(
        not {one.name for one in answer.regions[0].top} <= expected.get(answer.revision, set())
        for answer in live.recorder.answers
    )
    report.add(f"{what}: edits answered", len(taken), least=edits)
    report.add(f"{what}: answers with a name that is not of their revision's set", foreign, most=0)
    p50, p95 = np.percentile(taken, [50, 95]).tolist() if taken else (None, None)
    report.add(f"{what}: rename to first answer, p50", p50, "s", most=SLOWEST_S)
    report.add(f"{what}: rename to first answer, p95", p95, "s", most=SLOWEST_S)
    report.add(f"{what}: rename to first answer, worst", max(taken, default=None), "s")
    add_flow(report, live, FPS, what)


def known_names(bundle: Path, count: int) -> list[str]:
    """Return `count` class names: those that the bundle knows, then made-up ones."""
    known = list(dict.fromkeys(Bundle.open(bundle).manifest.seen_classes))[:count]
    return known + [f"green thing {number}" for number in range(count - len(known))]


def write_class_file(path: Path, names: Sequence[str]) -> None:
    """Write a class file in its long form. A JSON string is a YAML string too."""
    path.write_text("classes:\n" + "".join(f"  - name: {json.dumps(name)}\n" for name in names), encoding="utf-8")


def read_names(path: Path) -> list[str]:
    """Return the names that `write_class_file` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [json.loads(line.partition(": ")[2]) for line in lines]
