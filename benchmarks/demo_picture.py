"""A picture of the demo: what `edgezsl demo` shows and says, before the class file is edited and after it.

    python benchmarks/demo_picture.py [--bundle DIR] [--out FILE]

Every frame and every word under it comes out of one run of the demo; nothing is chosen by hand.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from edgezsl.classes import ClassFile
from edgezsl.demo.photographs import find_photographs
from edgezsl.demo.record import DemoReport, Still, called
from edgezsl.demo.script import script_of
from edgezsl.demo.show import DemoSettings, run_demo

if TYPE_CHECKING:
    from collections.abc import Mapping

OUT = Path(__file__).resolve().parent.parent / "docs" / "demo.webp"
SECONDS = 24.0
INK, SOFT, RIGHT, WRONG, SWAP = "#1b2026", "#59636e", "#1a7f4b", "#c62f2f", "#b45309"
WIDTH, HEIGHT, DOTS = 11.0, 4.2, 100  # inches, dots an inch
LEFT, EDGE = 0.19, 0.012  # of the width: the class file, the margin
FLOORS, PICTURE = (0.63, 0.085), 0.335  # of the height: where the frames of the two rows begin, and how high they are
QUALITY = 82


def show(bundle: Path | None) -> DemoReport:
    """Run the demo to its end."""
    photographs, missing = find_photographs()
    settings = DemoSettings(bundle=bundle, seconds=SECONDS, missing=missing)
    *_, report = run_demo(settings, script_of(photographs))
    if not isinstance(report, DemoReport):
        raise SystemExit("the demo ended without a report")
    return report


def stills_of(report: DemoReport) -> Mapping[tuple[str, bool], Still]:
    """Return a frame for each photograph, by its title and whether the edited classes answered it."""
    return {(one.seen.title, one.seen.answer.revision > 1): one for one in reversed(report.stills)}


def draw(report: DemoReport) -> Figure:
    """Draw two rows: the class file and what it made of each photograph, before its edit and after it."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS, facecolor="white")
    stills = stills_of(report)
    step = (1 - LEFT) / len(report.script.scenes)
    for edited, text, floor in zip((False, True), (report.script.before, report.script.after), FLOORS, strict=True):
        class_file(figure, text, floor + PICTURE, edited=edited)
        for number, scene in enumerate(report.script.scenes):
            axes = figure.add_axes((LEFT + number * step, floor, step - EDGE, PICTURE))
            one_still(axes, stills[scene.title, edited])
    swap = report.swap
    if swap is not None:
        sentence = (
            f"classes.yaml is edited while the camera runs: {swap.swapped_s - swap.edited_s:.1f} s later the answers are "
            f"in the new classes; {len(report.lost)} of {report.counts.due} frames lost"
        )
        figure.text(EDGE, 0.505, sentence, color=SWAP, fontsize=10.5, weight="bold", va="center")
        figure.add_artist(Line2D([EDGE, 1 - EDGE], [0.462, 0.462], color=SWAP, linewidth=1.2))
    return figure


def class_file(figure: Figure, text: str, top: float, *, edited: bool) -> None:
    """Write what the class file reports, one name a line, and what it does not."""
    entries = ClassFile.parse(text.encode(), file="classes.yaml").entries
    names = [f"- {one.name}" for one in entries if not one.negative]
    negative = [one.name for one in entries if one.negative]
    title = "classes.yaml, edited" if edited else "classes.yaml"
    figure.text(EDGE, top, title, color=INK, fontsize=9.5, weight="bold", va="top")
    lines = "\n".join([*names, *(f"- ({name}: negative)" for name in negative)])
    figure.text(EDGE, top - 0.055, lines, color=INK, fontsize=8, family="monospace", va="top", linespacing=1.2)


def one_still(axes: Any, still: Still) -> None:
    """Draw a frame, and what was said of it."""
    frame = np.asarray(Image.open(io.BytesIO(still.jpeg)))
    left = (frame.shape[1] - frame.shape[0]) // 2
    axes.imshow(frame[:, left : left + frame.shape[0]], aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    said = called(still.seen.decision)
    colour = WRONG if not still.seen.right else SOFT if still.seen.decision is None else RIGHT
    axes.set_xlabel(said, color=colour, fontsize=10.5, weight="bold", labelpad=4)


def main() -> None:
    """Run it and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    report = show(asked.bundle)
    figure = draw(report)
    figure.savefig(asked.out, format="webp", pil_kwargs={"quality": QUALITY, "method": 6})
    print(f"{asked.out}: {asked.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
