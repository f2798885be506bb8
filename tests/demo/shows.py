"""A small show: plain colours before the camera, and the colour bundle of `tests/factories.py` that tells them apart."""

from __future__ import annotations

import numpy as np

from edgezsl.demo.photographs import Credit, Photograph
from edgezsl.demo.record import Counts, DemoReport, Seen, Still
from edgezsl.demo.script import Scene, Script
from edgezsl.demo.surroundings import Surroundings
from edgezsl.runtime.events import ClassScore, Recognition, RegionAnswer
from tests.factories import COLOURS

BEFORE = "classes:\n  - red\n  - green\n  - {name: blue, negative: true}\n  - {name: yellow}\n"
AFTER = (
    "classes:\n  - {name: scarlet, attributes: {reddish: 1, greenish: -1, bluish: -1, bright: 0.5}}\n"
    "  - {name: green, negative: true}\n  - blue\n  - yellow\n"
)
RIGHT_ANSWERS = {
    "red": ("red", "scarlet"),
    "green": ("green", None),
    "yellow": ("yellow", "yellow"),
    "blue": (None, "blue"),
}


def scene(colour, before, after):
    """Return a scene of one colour."""
    credit = Credit(
        f"something {colour}", "colours", "colours", f"{colour}.png", "a test", "CC0", "https://example.org/"
    )
    return Scene(Photograph(credit, np.full((60, 80, 3), COLOURS[colour], np.uint8)), before, after)


def colour_script(*, before=BEFORE, after=AFTER) -> Script:
    """Return the script of the colours."""
    return Script(tuple(scene(colour, *answers) for colour, answers in RIGHT_ANSWERS.items()), before, after)


def seen(number, *, shot=0, revision=1, title="something red", decision="red", expected="red", late_ms=10.0, fps=10.0):
    """Return the answer to frame `number` of a camera that began at 1000 s."""
    top = (ClassScore("red", 0.5, 0.6), ClassScore("green", 0.25, 0.4))
    answer = Recognition(
        number, 1000 + number / fps, None, "demo:", revision, "0", None, 0, late_ms,
        (RegionAnswer("frame", decision, top),),
    )  # fmt: skip
    return Seen(shot, title, expected, answer)


def report(frames, **changes) -> DemoReport:
    """Return a report of these answers, by a camera that gave them all at 10 frames a second."""
    values = {
        "script": colour_script(),
        "fps": 10.0,
        "counts": Counts(len(frames), len(frames), 0),
        "seen": tuple(frames),
        "edited_at": 1000.45,
        "swapped_at": 1000.55,
        "refusals": (),
        "stills": tuple(Still(one, b"\xff\xd8", at_swap=False) for one in frames[:1]),
        "missing": (),
        "surroundings": Surroundings(
            "colours", "Apache-2.0", "by hand", "one core", "Linux", {"edgezsl": "0.1.0"}, "edgezsl demo", "edgezsl run"
        ),
    }
    return DemoReport(**{**values, **changes})
