"""A virtual camera: it pans and zooms over photographs as a hand would, and its sensor is not perfect.

It is a `FrameSource` like any other, and live: a frame is due at a fixed rate of the wall clock. Like a camera's driver it
holds two frames; an older one that nobody has fetched is gone. So a recogniser that stands still is found out.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import InputError
from edgezsl.runtime.opencv import opencv
from edgezsl.runtime.sources import Frame, Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FRAME_SIZE = (480, 640)  # height, width
NAME = "demo:photographs"
BUFFERS = 2  # frames that wait to be fetched, the newest included
_NOISE = 5.0  # standard deviation of the sensor's noise, of 255
_DRIFT = 0.10  # of the brightness, to either side
_TILT = math.radians(2.5)  # of the hand, to either side
_CLOSEST = 1.5  # times nearer than the largest view that fits
_LEVELS = 256
_MIDDLE = 32  # stands for no noise, where noise is kept as bytes
# The noise for each value of a random byte, as quantiles of a normal distribution: ten times faster than drawing it.
_QUANTILES = np.array(
    [_MIDDLE + round(NormalDist(sigma=_NOISE).inv_cdf((level + 0.5) / _LEVELS)) for level in range(_LEVELS)], np.uint8
)
_TURN = 2 * math.pi


@dataclass(frozen=True, slots=True)
class Sweep:
    """How the camera moves over one photograph: phases of slow waves, in radians.

    Attributes:
        across: Of the pan to left and right.
        along: Of the pan up and down.
        tilt: Of the hand's tilt.
        light: Of the brightness.
        inwards: Whether it moves nearer, or else away.
    """

    across: float
    along: float
    tilt: float
    light: float
    inwards: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Sweep:
        """Return a random sweep."""
        across, along, tilt, light = rng.uniform(0, _TURN, 4).tolist()
        return cls(across, along, tilt, light, inwards=bool(rng.integers(2)))


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A photograph before the camera for a while.

    Attributes:
        image: `(H, W, 3)` uint8 RGB.
        sweep: How the camera moves.
        frames: How many frames it lasts, ≥ 1.
    """

    image: NDArray[np.uint8]
    sweep: Sweep
    frames: int


def view(
    photo: NDArray[np.uint8],
    sweep: Sweep,
    t: float,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = FRAME_SIZE,
) -> NDArray[np.uint8]:
    """Return what the camera sees of a photograph.

    Args:
        photo: `(H, W, 3)` uint8 RGB.
        sweep: How the camera moves.
        t: How far along the sweep, in [0, 1].
        rng: Gives the noise.
        size: Height and width of the frame, pixels.

    Returns:
        `(*size, 3)` uint8 RGB, freshly allocated.

    Raises:
        MissingExtraError: When OpenCV is not installed.
    """
    cv2 = opencv("the virtual camera")
    matrix = placement(photo.shape[:2], sweep, t, size=size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(photo, matrix, size[::-1], flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    light = 1 + _DRIFT * math.sin(_TURN * t / 2 + sweep.light)
    noise = cv2.LUT(np.frombuffer(rng.bytes(seen.size), np.uint8).reshape(seen.shape), _QUANTILES)
    frame: NDArray[np.uint8] = cv2.addWeighted(seen, light, noise, 1, -_MIDDLE)  # saturates, as a sensor does
    return frame


def placement(photo: tuple[int, int], sweep: Sweep, t: float, *, size: tuple[int, int] = FRAME_SIZE) -> NDArray[Any]:
    """Return the affine map from a frame's pixels to a photograph's, (x, y) to (x, y).

    The view moves smoothly with `t`, and its centre always leaves the whole view inside the photograph, but for the
    corners that the tilt brings.

    Args:
        photo: Height and width of the photograph, pixels.
        sweep: How the camera moves.
        t: How far along the sweep, in [0, 1].
        size: Height and width of the frame, pixels.

    Returns:
        `(2, 3)` float64.
    """
    nearness = 0.5 - 0.5 * math.cos(math.pi * (t if sweep.inwards else 1 - t))  # eases in and out
    scale = min(photo[0] / size[0], photo[1] / size[1]) / _CLOSEST**nearness
    room_y, room_x = ((side - scale * seen) / 2 for side, seen in zip(photo, size, strict=True))
    centre_x = photo[1] / 2 + room_x * 0.8 * math.sin(_TURN * t * 0.6 + sweep.across)
    centre_y = photo[0] / 2 + room_y * 0.8 * math.sin(_TURN * t * 0.4 + sweep.along)
    angle = _TILT * math.sin(_TURN * t * 0.5 + sweep.tilt)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return np.array(
        [
            [cos, -sin, centre_x - 0.5 - cos * middle_x + sin * middle_y],
            [sin, cos, centre_y - 0.5 - sin * middle_x - cos * middle_y],
        ]
    )


class VirtualCamera:
    """Shows one shot after the other, live, and ends after the last.

    A frame's number is its due time since the first read times `fps`: who comes more than a frame late misses frames, and
    sees a gap in the numbers. A picture depends on its number and the seed alone.

    Args:
        shots: What to show, in order.
        fps: Frames a second, > 0.
        seed: Of the noise.
        size: Height and width of a frame, pixels.
        clock: Seconds from anywhere, never falling.
        sleep: Waits for so many seconds of `clock`.

    Attributes:
        frames: How many fall due from the first to the last.
        given: How many were fetched.

    Raises:
        InputError: When there is nothing to show, or the rate is not above 0.
    """

    def __init__(
        self,
        shots: Sequence[Shot],
        *,
        fps: float,
        seed: int = 0,
        size: tuple[int, int] = FRAME_SIZE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not shots or fps <= 0:
            raise InputError(f"{len(shots)} shots at {fps:g} frames a second", code="nothing_to_show", expected="more")
        self.name = NAME
        self.pace: Pace = "live"
        self.frames = sum(shot.frames for shot in shots)
        self.given = 0
        self._shots = tuple(shots)
        self._fps = fps
        self._seed = seed
        self._size = size
        self._clock = clock
        self._sleep = sleep
        self._started: float | None = None
        self._next = 0

    def read(self) -> Frame | None:
        """Return the frame that is due, waiting for it, or None after the last."""
        number, late_s = self._due()
        if number >= self.frames:
            return None
        captured = time.time() - late_s
        image = self.picture(number)
        self._next = number + 1
        self.given += 1
        return Frame(image, number, captured, None)

    def close(self) -> None:
        """Show nothing more; a second call does nothing."""
        self._next = self.frames

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return frame `number`, `(H, W, 3)` uint8 RGB."""
        shot, place = self._shot_of(number)
        t = place / max(1, shot.frames - 1)
        return view(shot.image, shot.sweep, t, np.random.default_rng((self._seed, number)), size=self._size)

    def _shot_of(self, number: int) -> tuple[Shot, int]:
        """Return the shot of a frame, and the frame's place in it."""
        for shot in self._shots:
            if number < shot.frames:
                return shot, number
            number -= shot.frames
        raise IndexError(number)

    def _due(self) -> tuple[int, float]:
        """Return the number of the oldest frame that is held, waiting for one, and for how many seconds it has been."""
        if self._started is None:
            self._started = self._clock()
        elapsed = self._clock() - self._started
        if elapsed * self._fps < self._next:
            self._sleep(self._next / self._fps - elapsed)
            elapsed = self._clock() - self._started
        number = max(self._next, int(elapsed * self._fps) - BUFFERS + 1)
        return number, max(0.0, elapsed - number / self._fps)
