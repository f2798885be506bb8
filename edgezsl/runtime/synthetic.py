"""A camera without hardware: a moving scene with the frame's number and two checksums burnt into its pixels.

It ships because a test of a stream must know exactly which frame it was given, whether one was dropped, given twice or
torn. The picture depends on the number alone, so that two runs see the same frames.

The mark, in the top left corner: 6 rows of 16 black or white blocks of 8 x 8 pixels; 32 bits frame number, 32 bits
CRC-32 of the number, 32 bits CRC-32 of the picture with the mark blackened; the highest bit first.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import numpy as np

from edgezsl.errors import SourceError, shown
from edgezsl.runtime.sources import Frame, Pace, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BLOCK = 8  # pixels: the block of JPEG and of most video codecs, so that the number survives them
BITS_A_ROW = 16
MARK = (6 * BLOCK, BITS_A_ROW * BLOCK)  # height and width of the mark, pixels
LARGEST_SIDE = 8192  # pixels
COLOURS = ((200, 40, 40), (230, 190, 50), (50, 170, 70), (50, 180, 200), (50, 70, 200), (190, 60, 180))
SPEED = 4  # pixels a frame
_CENTRE = BLOCK // 2
_HALF = 128  # between black and white
_WORD = 32  # bits


@dataclass(frozen=True, slots=True)
class Scene:
    """What a synthetic source shows.

    Attributes:
        width: 128 to 8192 pixels.
        height: 64 to 8192 pixels.
        fps: Frames a second; 0 means that the source waits for its reader.
        frames: How many there are; 0 means that they never end.

    Raises:
        SourceError: When a value is out of its range.
    """

    width: int = 640
    height: int = 480
    fps: float = 30.0
    frames: int = 0

    def __post_init__(self) -> None:
        least = {"width": MARK[1], "height": MARK[0] + 2 * BLOCK}
        for side, smallest in least.items():
            if not smallest <= getattr(self, side) <= LARGEST_SIDE:
                raise _refuse(f"the {side} is {getattr(self, side)}", f"{smallest} to {LARGEST_SIDE} pixels")
        if not (math.isfinite(self.fps) and self.fps >= 0):
            raise _refuse(f"fps is {self.fps}", "a number ≥ 0")
        if self.frames < 0:
            raise _refuse(f"frames is {self.frames}", "an integer ≥ 0")

    @classmethod
    def from_uri(cls, uri: str) -> Scene:
        """Read a scene from `synthetic:?width=640&height=480&fps=60&frames=100`; every option may be absent.

        Raises:
            SourceError: When an option is unknown, stands twice, or its value does not fit.
        """
        query = uri.partition(":")[2].lstrip("/").removeprefix("?")
        kinds = {field.name: float if field.name == "fps" else int for field in fields(cls)}
        found: dict[str, str] = {}
        try:
            found.update(pairs := parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True))
        except ValueError as cause:
            raise _refuse(f"{shown(query)} is not a list of options", "name=value&name=value") from cause
        for name in found:
            if name not in kinds or len(pairs) != len(found):
                raise _refuse(f"the option {shown(name)} is unknown or stands twice", ", ".join(kinds))
        try:
            return cls(**{name: kinds[name](text) for name, text in found.items()})  # type: ignore[arg-type]  # by kinds
        except ValueError as cause:
            if isinstance(cause, SourceError):
                raise
            raise _refuse(f"{shown(query)} holds something that is not a number", "name=number") from cause


def _refuse(message: str, expected: str) -> SourceError:
    return refused("synthetic:", message, code="bad_option", expected=expected)


class SyntheticSource:
    """Gives the frames of a scene, live by a clock of its own or as fast as they are read.

    A live frame's number is the time since the first read times `fps`: a reader that comes late gets the newest frame
    and sees a gap in the numbers.

    Args:
        scene: What to show.
        name: What the source is called.
        waiting: Whether the source waits for its reader whatever the scene's rate.
        clock: Seconds from anywhere, never falling.
        sleep: Waits for so many seconds of `clock`.

    Example:
        >>> source = SyntheticSource(Scene(width=128, height=64, frames=2), waiting=True)
        >>> [read_burnt(frame.image) for frame in iter(source.read, None)]
        [0, 1]
    """

    def __init__(
        self,
        scene: Scene,
        *,
        name: str = "synthetic:",
        waiting: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.scene = scene
        self.name = name
        self.pace: Pace = "waiting" if waiting or not scene.fps else "live"
        self._clock = clock
        self._sleep = sleep
        self._next = 0
        self._started: float | None = None
        self._closed = False
        self._strip = _strip(scene.width)
        self._disc = _disc(min(scene.width, scene.height - MARK[0]) // 2)

    def read(self) -> Frame | None:
        """Return the next frame, or None after the last; a live source waits until it is due."""
        last = self.scene.frames - 1
        if self._closed or self._next > last >= 0:
            return None
        number = self._next if self.pace == "waiting" else self._due()
        if last >= 0:
            number = min(number, last)
        self._next = number + 1
        return Frame(self.picture(number), number, time.time(), None)

    def close(self) -> None:
        """End the source; a second call does nothing."""
        self._closed = True

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return the picture of frame `number`, `(H, W, 3)` uint8 RGB, freshly allocated."""
        height, width = self.scene.height, self.scene.width
        image = np.empty((height, width, 3), np.uint8)
        start = number * SPEED % (len(self._strip) - width)
        image[...] = self._strip[start : start + width]
        side = len(self._disc)
        top = MARK[0] + _bounce(number * SPEED, height - MARK[0] - side)
        left = _bounce(number * SPEED, width - side)
        spot = image[top : top + side, left : left + side]
        np.copyto(spot, 255, where=self._disc)
        _burn(image, number)
        return image

    def _due(self) -> int:
        if self._started is None:
            self._started = self._clock()
        elapsed = self._clock() - self._started
        if elapsed * self.scene.fps < self._next:
            self._sleep(self._next / self.scene.fps - elapsed)
            elapsed = self._clock() - self._started
        return max(self._next, int(elapsed * self.scene.fps))


def read_burnt(image: NDArray[np.uint8], *, exact: bool = True) -> int:
    """Return the frame number that is burnt into a picture of a synthetic source.

    Args:
        image: `(H, W, 3)` uint8 RGB, of the size that the source gave.
        exact: Whether the rest of the picture must be unchanged too. False for a picture that went through a lossy
            codec: then the number alone is checked.

    Raises:
        SourceError: When a checksum does not match: the picture is torn, changed, or has no mark.
    """
    height, width = MARK
    if image.ndim != 3 or image.shape[0] < height or image.shape[1] < width:  # noqa: PLR2004  # (H, W, 3)
        raise _refuse(f"a picture of shape {image.shape} has no mark", f"at least {MARK} pixels")
    mark = image[:height, :width]
    number, check, picture = np.packbits(mark[_CENTRE::BLOCK, _CENTRE::BLOCK, 1] > _HALF).view(">u4").tolist()
    if check != _crc(number):
        raise refused("synthetic:", f"the checksum of frame number {number} does not match", code="torn_frame")
    if exact:
        rest = image.copy()
        rest[:height, :width] = 0
        if picture != zlib.crc32(rest.data) or (mark != _mark(number, picture)).any():
            raise refused("synthetic:", f"the picture of frame {number} is not the one burnt in", code="torn_frame")
    return int(number)


def _burn(image: NDArray[np.uint8], number: int) -> None:
    height, width = MARK
    image[:height, :width] = 0
    image[:height, :width] = _mark(number, zlib.crc32(image.data))


def _mark(number: int, picture: int) -> NDArray[np.uint8]:
    """Return the mark, `(48, 128, 1)`, of a frame whose picture without it has the CRC-32 `picture`."""
    words = np.array([number % 2**_WORD, _crc(number), picture], ">u4")
    bits = np.unpackbits(words.view(np.uint8)).reshape(-1, BITS_A_ROW) * np.uint8(255)
    mark: NDArray[np.uint8] = bits.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[..., None]
    return mark


def _crc(number: int) -> int:
    return zlib.crc32((number % 2**_WORD).to_bytes(4, "big"))


def _strip(width: int) -> NDArray[np.uint8]:
    """Return one line of colours blending into each other, `(L, 3)`, that repeats after L - `width` pixels."""
    stops = np.array([*COLOURS, COLOURS[0]], np.float32)
    places = np.linspace(0, len(COLOURS), len(COLOURS) * width, endpoint=False)
    line = np.stack([np.interp(places, range(len(stops)), stops[:, channel]) for channel in range(3)], axis=1)
    return np.concatenate([line, line[:width]]).astype(np.uint8)


def _disc(side: int) -> NDArray[np.bool_]:
    """Return a mask `(side, side, 1)` with a disc in it."""
    along = np.arange(side) - (side - 1) / 2
    disc: NDArray[np.bool_] = (along[:, None] ** 2 + along**2 <= (side / 2) ** 2)[..., None]
    return disc


def _bounce(distance: int, span: int) -> int:
    """Return where something is that has gone `distance` to and fro over 0 … `span`."""
    if span <= 0:
        return 0
    place = distance % (2 * span)
    return min(place, 2 * span - place)
