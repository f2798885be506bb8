"""What the demo shows, and what should be said of it: photographs, a class file, and the same file after its edit.

The photographs pass once before the edit and once after it, in the reverse order: so the last one stays before the
camera while its class file changes, and its answer changes with it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.demo.camera import Shot, Sweep
from edgezsl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgezsl.demo.photographs import Photograph

BEFORE = """\
classes:
  - cat
  - dog
  - flower
  - building
  - rocket
  # Negative: absorbs what it fits, is never reported.
  - name: person
    negative: true
    synonyms: [a man or woman, people]
    descriptions: ["the face of a person"]
  - name: crockery
    negative: true
    synonyms: [cup and saucer, tableware]
"""
AFTER = """\
# A picture whose best score is below this is none of these.
reject: 0.16
classes:
  # Finer words in place of cat, flower and building.
  - tabby cat
  - tiger
  - dahlia
  - daisy
  - name: pagoda
    synonyms: [temple, tower]
  - bridge
  # New.
  - name: espresso
    descriptions: ["a cup of strong black coffee"]
  # No longer reported.
  - {name: rocket, negative: true}
"""
# For each photograph, by its title: what should be said before the edit and after it; None is "none of these".
RIGHT_ANSWERS = {
    "a cat's face": ("cat", "tabby cat"),
    "an orange dahlia": ("flower", "dahlia"),
    "a Chinese pagoda": ("building", "pagoda"),
    "an astronaut": (None, None),
    "a rocket": ("rocket", None),
    "a cup of coffee": (None, "espresso"),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A photograph, and what should be said of it.

    Attributes:
        photograph: What is shown.
        before: The right decision by the first class file; None: "none of these".
        after: The right decision by the edited one.
    """

    photograph: Photograph
    before: str | None
    after: str | None

    @property
    def title(self) -> str:
        """What the photograph shows."""
        return self.photograph.title

    def expected(self, revision: int) -> str | None:
        """Return the right decision by the class set of a revision: 1 is the first file, what follows the edited one."""
        return self.before if revision == 1 else self.after


@dataclass(frozen=True, slots=True)
class Script:
    """What the demo shows.

    Attributes:
        scenes: In order, each at least once before the edit and once after it.
        before: The class file, its text.
        after: The same file after its edit.
    """

    scenes: tuple[Scene, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which frame shows what.

    Attributes:
        scenes: The scene of each shot, in the order in which they are shown.
        lengths: How many frames each shot has.
    """

    scenes: tuple[Scene, ...]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, script: Script, *, seconds: float, fps: float) -> Timeline:
        """Spread the scenes of a script evenly: there and back, the last one twice as long.

        Raises:
            InputError: When there is no scene, or less than one frame for each.
        """
        turns = 2 * len(script.scenes)
        each = round(seconds * fps / turns) if turns else 0
        if each < 1:
            raise InputError(
                f"{seconds:g} s at {fps:g} frames a second are not enough for {len(script.scenes)} scenes",
                code="too_short",
                expected="at least one frame for each, before the edit and after it",
                hint="show it for longer",
            )
        lengths = [each] * (turns - 1)
        lengths[len(script.scenes) - 1] *= 2
        return cls((*script.scenes, *script.scenes[-2::-1]), tuple(lengths))

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return sum(self.lengths)

    @property
    def edit_at(self) -> int:
        """The frame from which on the class file may be edited: half-way, in the middle of a shot."""
        return self.frames // 2

    @property
    def middles(self) -> tuple[int, ...]:
        """The number of the frame in the middle of each shot."""
        ends = accumulate(self.lengths)
        return tuple(end - (length + 1) // 2 for end, length in zip(ends, self.lengths, strict=True))

    def shot_at(self, number: int) -> int:
        """Return which shot shows frame `number`, from 0."""
        return bisect_right(list(accumulate(self.lengths)), number)

    def shots(self, *, seed: int) -> tuple[Shot, ...]:
        """Return the shots for the camera, each with a random sweep."""
        rng = np.random.default_rng(seed)
        pairs = zip(self.scenes, self.lengths, strict=True)
        return tuple(Shot(scene.photograph.image, Sweep.drawn(rng), length) for scene, length in pairs)


def script_of(photographs: Sequence[Photograph]) -> Script:
    """Return the script for these photographs, out of those that `photographs.CREDITS` lists."""
    scenes = tuple(Scene(one, *RIGHT_ANSWERS[one.title]) for one in photographs)
    return Script(scenes, BEFORE, AFTER)
