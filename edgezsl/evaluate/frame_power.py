"""What one frame costs in energy: a subject runs alone for a stretch, because what draws power at a moment has no name.

The sensors see a whole board, or a whole processor: what else runs on it, and what it draws idle, is part of the figure.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.runtime.power import PowerSampler, PowerSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgezsl.runtime.power import PowerMeter

SETTLE_S = 1.0  # not measured: clocks rise, and a sensor's mean still holds what ran before
STRETCH_S = 3.0
_INTERVAL_S = 0.1  # between readings; one takes a few milliseconds


@dataclass(frozen=True, slots=True)
class FramePower:
    """What a machine drew while one subject answered frames, one after another.

    Attributes:
        frames: How many it answered.
        summary: What the machine said meanwhile.
    """

    frames: int
    summary: PowerSummary

    @property
    def joules_per_frame(self) -> float | None:
        """Energy for each frame, in joules, or None where power is not reported."""
        watts = self.summary.watts
        return None if watts is None else watts * self.summary.seconds / self.frames

    def __str__(self) -> str:
        joules, summary = self.joules_per_frame, self.summary
        energy = "" if joules is None else f"{joules:.3g} J a frame, "
        return (
            f"{energy}{summary}; {self.frames / summary.seconds:.1f} frames a second alone for {summary.seconds:.1f} s"
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        summary, joules = self.summary, self.joules_per_frame
        return {
            "watts": None if summary.watts is None else round(summary.watts, 3),
            "joules_per_frame": None if joules is None else round(joules, 6),
            "source": summary.source,
            "celsius": summary.celsius,
            "throttled": None if summary.throttled is None else list(summary.throttled),
            "frames": self.frames,
            "seconds": round(summary.seconds, 3),
        }


def frame_power(
    answer: Callable[[], object], meter: PowerMeter, *, settle_s: float = SETTLE_S, stretch_s: float = STRETCH_S
) -> FramePower:
    """Answer frames for a stretch, and return what the machine drew.

    Args:
        answer: Answers one frame.
        meter: What is read meanwhile.
        settle_s: Seconds before it, which are not measured.
        stretch_s: Seconds that are measured.
    """
    until = time.monotonic() + settle_s
    while time.monotonic() < until:
        answer()
    frames = 0
    with PowerSampler(meter, interval_s=_INTERVAL_S) as sampler:
        until = time.monotonic() + stretch_s
        while not frames or time.monotonic() < until:
            answer()
            frames += 1
        return FramePower(frames, sampler.end())
