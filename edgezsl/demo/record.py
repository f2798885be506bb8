"""What the demo found, as values: every answer, the swap, and whether what was promised holds.

Pure: nothing here reads a clock or a disk. Times are seconds since the first frame was captured, unless a name says
otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.runtime.overlay import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edgezsl.demo.script import Script
    from edgezsl.demo.surroundings import Surroundings
    from edgezsl.runtime.events import ClassScore, Recognition

NEAR_S = 1.0  # before the edit and after the swap: frames that were lost then count as lost at the swap
_MOST_NAMED = 8  # lost frames that a sentence names
_NO_SWAP = "no frame was answered by the edited class file; if it was not refused, a longer show gives it more time"


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame: what was shown, and what was said.

    Attributes:
        shot: Which shot, from 0.
        title: What the photograph shows.
        expected: The right decision by the class set that answered; None: "none of these".
        answer: What was said.
    """

    shot: int
    title: str
    expected: str | None
    answer: Recognition

    @property
    def decision(self) -> str | None:
        """What was said; None: "none of these"."""
        return self.answer.regions[0].decision

    @property
    def top(self) -> tuple[ClassScore, ...]:
        """The best classes."""
        return self.answer.regions[0].top

    @property
    def right(self) -> bool:
        """Whether the right thing was said."""
        return self.decision == self.expected

    @property
    def answered_at(self) -> float:
        """When it was said, Unix seconds."""
        return self.answer.time + self.answer.latency_ms / 1000


@dataclass(frozen=True, slots=True)
class Still:
    """A frame that is kept for the report.

    Attributes:
        seen: What was said of it.
        jpeg: The frame, encoded.
        at_swap: Whether it is the last one before the swap or the first one after it.
    """

    seen: Seen
    jpeg: bytes
    at_swap: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """One shot as one class set saw it.

    Attributes:
        shot: Which shot, from 0.
        title: What the photograph shows.
        revision: Of the class set.
        expected: The right decision; None: "none of these".
        said: The decision that was made most often.
        frames: How many were answered.
        right: How many of them rightly.
        score: Mean score of the best class, over these frames.
        begin_s: When its first frame was captured.
        end_s: When its last one was.
    """

    shot: int
    title: str
    revision: int
    expected: str | None
    said: str | None
    frames: int
    right: int
    score: float
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Swap:
    """The change of the class set.

    Attributes:
        revision: Of the new set.
        edited_s: When the class file was replaced.
        swapped_s: When the new set was taken.
        gap: Time between the last answer of the old set and the first one of the new, in frame periods.
        last_before: Number of the last frame that the old set answered.
        first_after: Number of the first frame that the new one answered.
    """

    revision: int
    edited_s: float
    swapped_s: float
    gap: float
    last_before: int
    first_after: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many frames there were.

    Attributes:
        due: Fell due at the camera.
        given: Were fetched from it in time.
        dropped: Of these, were dropped because a newer one had come.
    """

    due: int
    given: int
    dropped: int


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo found.

    Attributes:
        script: What was shown.
        fps: Frames a second of the camera.
        counts: How many frames it had.
        seen: Every frame that was answered, in order.
        edited_at: When the class file was replaced, Unix seconds; None: it was not.
        swapped_at: When the new class set was taken, Unix seconds; None: it was not.
        refusals: What was said against the edited file, if anything.
        stills: Frames for the report.
        missing: Photographs that were not found.
        surroundings: Model, machine and versions.
    """

    script: Script
    fps: float
    counts: Counts
    seen: tuple[Seen, ...]
    edited_at: float | None
    swapped_at: float | None
    refusals: tuple[str, ...]
    stills: tuple[Still, ...]
    missing: tuple[str, ...]
    surroundings: Surroundings
    lost: tuple[int, ...] = field(init=False)
    """Numbers of the frames that fell due at the camera and got no answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lost", lost_frames(self.counts.due, (one.answer.frame for one in self.seen)))

    @property
    def measured_fps(self) -> float:
        """Frames answered per second."""
        span = self.seen[-1].answered_at - self.seen[0].answered_at if self.seen else 0.0
        return (len(self.seen) - 1) / span if span > 0 else 0.0

    @property
    def latencies_ms(self) -> NDArray[np.float64]:
        """`(N,)`: from capture to answer, of every answered frame."""
        return np.array([one.answer.latency_ms for one in self.seen])

    @property
    def gaps(self) -> NDArray[np.float64]:
        """`(N - 1,)`: time from each answer to the next, in frame periods."""
        return np.diff([one.answered_at for one in self.seen]) * self.fps

    @property
    def swap(self) -> Swap | None:
        """The change of the class set, or None where no frame was answered by a new one."""
        for old, new in pairwise(self.seen):
            if new.answer.revision != old.answer.revision and self.edited_at and self.swapped_at:
                gap = (new.answered_at - old.answered_at) * self.fps
                edited, swapped = self.edited_at - self.began, self.swapped_at - self.began
                return Swap(new.answer.revision, edited, swapped, gap, old.answer.frame, new.answer.frame)
        return None

    @property
    def began(self) -> float:
        """When the first frame was captured, Unix seconds."""
        return self.seen[0].answer.time if self.seen else 0.0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Each shot as each class set saw it, in order."""
        return tuple(
            _segment(list(group), self.began)
            for _, group in groupby(self.seen, lambda one: (one.shot, one.answer.revision))
        )

    @property
    def faults(self) -> tuple[str, ...]:
        """What did not hold, in one sentence each; empty: every frame was answered, and the classes were swapped."""
        found = [f"the edited class file was refused: {refusal}" for refusal in self.refusals]
        if self.swap is None:
            found.append(_NO_SWAP)
        if self.lost:
            found.append(_lost_sentence(self))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the report as the object that `edgezsl demo --json` prints."""
        swap = self.swap
        p50, p95 = np.percentile(self.latencies_ms, [50, 95]).tolist() if self.seen else (None, None)
        return {
            "segments": [{name: getattr(one, name) for name in Segment.__slots__} for one in self.segments],
            "swap": None if swap is None else {name: getattr(swap, name) for name in Swap.__slots__},
            "frames": {name: getattr(self.counts, name) for name in Counts.__slots__}
            | {"answered": len(self.seen), "lost": list(self.lost)},
            "fps": self.measured_fps,
            "camera_fps": self.fps,
            "latency_ms": {"p50": p50, "p95": p95},
            "longest_gap": float(self.gaps.max(initial=0.0)),
            "faults": list(self.faults),
            "missing": list(self.missing),
            "surroundings": self.surroundings.to_json(),
        }


def lost_frames(due: int, answered: Iterable[int]) -> tuple[int, ...]:
    """Return the numbers of the frames out of 0 … `due` - 1 that were not answered.

    Example:
        >>> lost_frames(5, [0, 1, 3])
        (2, 4)
    """
    return tuple(sorted(set(range(due)) - set(answered)))


def called(decision: str | None) -> str:
    """Return a decision in words."""
    return NOTHING if decision is None else decision


def _segment(seen: list[Seen], began: float) -> Segment:
    first, last = seen[0], seen[-1]
    return Segment(
        shot=first.shot,
        title=first.title,
        revision=first.answer.revision,
        expected=first.expected,
        said=Counter(one.decision for one in seen).most_common(1)[0][0],
        frames=len(seen),
        right=sum(one.right for one in seen),
        score=float(np.mean([one.top[0].score for one in seen])),
        begin_s=first.answer.time - began,
        end_s=last.answer.time - began,
    )


def _lost_sentence(report: DemoReport) -> str:
    lost, counts = report.lost, report.counts
    named = ", ".join(map(str, lost[:_MOST_NAMED])) + (", …" if len(lost) > _MOST_NAMED else "")
    sentence = (
        f"{len(lost)} of the camera's {counts.due} frames got no answer (frame {named}): "
        f"not fetched in time: {counts.due - counts.given}, overtaken by a newer one: {counts.dropped}"
    )
    swap = report.swap
    if swap is None:
        return sentence
    begin, end = (swap.edited_s - NEAR_S) * report.fps, (swap.swapped_s + NEAR_S) * report.fps
    near = sum(begin <= number <= end for number in lost)
    return f"{sentence}; within {NEAR_S:g} s of the swap: {near}"
