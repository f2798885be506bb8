r"""An answer drawn into a frame: the decision and the best classes, in a panel at the lower left.

The number beside a class is its score, with which thresholds are compared; the bar below it is its probability.

Text is OpenCV's. From OpenCV 5 on that is a real font with the scripts of most languages; OpenCV 4 draws ASCII only, so
that there accents are left out (`café` → `cafe`) and other letters are shown by their number (`猫` → `\u732b`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.runtime.events import Recognition, RegionAnswer

NOTHING = "none of these"
_MOST_ROWS = 5
_SHADE = 0.32  # how much of the frame is left under the panel
_WHITE, _GREY, _DIM = (255, 255, 255), (200, 205, 210), (150, 156, 162)
_ACCENT, _IDLE, _TRACK = (64, 201, 130), (120, 126, 132), (70, 76, 82)
_SMALLEST, _LARGEST = 11, 44  # text height, pixels
_BOLD_FROM = 22  # text height, pixels
_LINES_A_FRAME = 22  # lines of text that would fill the frame's height
_HERSHEY_HEIGHT = 30.0  # pixels of a line of text at font scale 1


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the panel.

    Attributes:
        text: At the left.
        value: At the right.
        share: How far the bar under the line reaches, in [0, 1]; None: no bar.
        big: Whether it is the headline.
        colour: Of the text, RGB.
    """

    text: str
    value: str
    share: float | None
    big: bool
    colour: tuple[int, int, int]


def annotated(image: NDArray[np.uint8], answer: Recognition) -> NDArray[np.uint8]:
    """Return a copy of a frame with the answer drawn into it.

    Args:
        image: `(H, W, 3)` uint8 RGB, of any size.
        answer: What was recognised in it.

    Returns:
        `(H, W, 3)` uint8 RGB.

    Raises:
        MissingExtraError: When OpenCV is not installed.
    """
    drawing = _Panel(np.ascontiguousarray(image).copy())
    drawing.draw(_lines(answer), decided=any(region.decision is not None for region in answer.regions))
    return drawing.image


def _lines(answer: Recognition) -> list[_Line]:
    """Return the lines of an answer: for one region with its top list, for several one line each."""
    lines = []
    for region in answer.regions:
        colour = _GREY if region.decision is None else _WHITE
        text = NOTHING if region.decision is None else region.decision
        if len(answer.regions) > 1:
            text = f"{region.region}: {text}"
        lines.append(_Line(text, _score_of(region), None, big=len(answer.regions) == 1, colour=colour))
    if len(answer.regions) == 1:
        top = answer.regions[0].top[:_MOST_ROWS]
        lines += [_Line(one.name, f"{one.score:.2f}", one.probability, big=False, colour=_GREY) for one in top]
    lines.append(_Line(f"revision {answer.revision}", f"{answer.latency_ms:.0f} ms", None, big=False, colour=_DIM))
    return lines


def _score_of(region: RegionAnswer) -> str:
    return next((f"{one.score:.2f}" for one in region.top if one.name == region.decision), "")


class _Panel:
    """Draws lines of text into an image, scaled to it.

    Args:
        image: `(H, W, 3)` uint8 RGB; drawn into.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        try:
            import cv2
        except ImportError as cause:
            raise missing_extra("cv2", "camera", "drawing an answer", cause) from cause
        self._cv2: Any = cv2
        self.image = image
        height, width = image.shape[:2]
        self._text = int(np.clip(min(height, width) / _LINES_A_FRAME, _SMALLEST, _LARGEST))  # pixels
        self._pad = self._text * 2 // 3
        self._width = min(width, max(self._text * 18, width * 2 // 5))

    def draw(self, lines: list[_Line], *, decided: bool) -> None:
        """Draw as many of the lines as the frame has room for, the first ones first."""
        heights = [self._height(line) for line in lines]
        room = self.image.shape[0] - 2 * self._pad
        while len(lines) > 1 and sum(heights) > room:
            lines, heights = lines[:-1], heights[:-1]
        top = max(0, self.image.shape[0] - sum(heights) - 2 * self._pad)
        area = self.image[top:, : self._width]
        area[...] = (area * _SHADE).astype(np.uint8)
        stripe = max(2, self._text // 5)
        area[:, :stripe] = _ACCENT if decided else _IDLE
        below = top + self._pad
        for line, height in zip(lines, heights, strict=True):
            self._line(line, stripe + self._pad, below, height)
            below += height

    def _height(self, line: _Line) -> int:
        return self._text * (23 if line.big else 16) // 10

    def _line(self, line: _Line, left: int, top: int, height: int) -> None:
        font = self._font(line)
        right = self._width - self._pad
        value_width = self._text_width(line.value, font)
        text = self._fitted(line.text, font, right - left - value_width - self._pad)
        baseline = top + height * 7 // 10
        self._write(text, (left, baseline), font, line.colour)
        self._write(line.value, (right - value_width, baseline), font, line.colour)
        if line.share is not None:
            thick = max(1, self._text // 8)
            bar = self.image[top + height - 2 * thick :][:thick]
            bar[:, left:right] = _TRACK
            bar[:, left : left + round((right - left) * float(np.clip(line.share, 0, 1)))] = _ACCENT

    def _font(self, line: _Line) -> tuple[float, int]:
        """Return OpenCV's scale and thickness."""
        size = self._text * 3 // 2 if line.big else self._text
        return size / _HERSHEY_HEIGHT, 2 if line.big and size > _BOLD_FROM else 1

    def _fitted(self, text: str, font: tuple[float, int], room: int) -> str:
        """Return `text`, cut so that it is at most `room` pixels wide."""
        text = self._drawable(text)
        if self._text_width(text, font) <= room:
            return text
        while text and self._text_width(text + "...", font) > room:
            text = text[:-1]
        return text + "..." if text else ""

    def _drawable(self, text: str) -> str:
        text = " ".join(text.split())
        if hasattr(self._cv2, "FontFace"):  # OpenCV 5
            return text.encode("utf-8", "replace").decode()
        plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
        return plain.encode("ascii", "backslashreplace").decode()

    def _text_width(self, text: str, font: tuple[float, int]) -> int:
        (width, _), _ = self._cv2.getTextSize(text, self._cv2.FONT_HERSHEY_SIMPLEX, *font)
        return int(width) if text else 0

    def _write(self, text: str, origin: tuple[int, int], font: tuple[float, int], colour: tuple[int, int, int]) -> None:
        cv2 = self._cv2
        scale, thickness = font
        cv2.putText(self.image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
