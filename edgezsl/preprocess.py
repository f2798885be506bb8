"""Frames to pixels, by the input contract alone.

Whether a frame is dark or bright, from a file or a camera, never changes what is done to it. Resizing is OpenCV's,
but for Pillow's antialiased filters where a contract asks for them exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import ContractError, missing_extra, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract

_RADIUS = {"bilinear": 1.0, "bicubic": 2.0}  # of Pillow's filters, in source pixels at scale 1
_BICUBIC_A = -0.5  # Pillow's; OpenCV's is -0.75
_LEVELS = 255
_LEAST_REST = 1.4  # how far a frame is still shrunk after it was reduced by a whole number


class Preprocessor:
    """Turns frames into the pixels that an image encoder takes.

    Args:
        contract: What the encoder takes.

    Raises:
        MissingExtraError: When OpenCV is not installed.
    """

    def __init__(self, contract: InputContract) -> None:
        self.contract = contract
        self._cv2 = _opencv()
        mean = np.asarray(contract.mean, np.float32)
        std = np.asarray(contract.std, np.float32)
        self._scale = (1 / (_LEVELS * std)).astype(np.float32)
        self._shift = (-mean / std).astype(np.float32)
        self._padding = tuple(round(_LEVELS * value) for value in contract.mean)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        """Return the pixels of N frames.

        Args:
            frames: N frames, each `(H, W, 3)` uint8 RGB, of any and of different sizes.

        Returns:
            `(N, 3, h, w)` in the contract's dtype, freshly allocated.

        Raises:
            ContractError: When an array is not a frame.
        """
        pixels = np.empty((len(frames), CHANNELS, *self.contract.size), self.contract.dtype)
        for frame, slot in zip(frames, pixels, strict=True):
            self._fill(slot, self.resized(frame))
        return pixels

    def resized(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame at the contract's size.

        Args:
            frame: `(H, W, 3)` uint8 RGB.

        Returns:
            `(h, w, 3)` uint8 RGB.

        Raises:
            ContractError: When the array is not a frame.
        """
        _check_frame(frame)
        match self.contract.resize:
            case "squash":
                return self._scaled(frame, self.contract.size)
            case "letterbox":
                return self._letterboxed(frame)
            case "shortest_edge_crop":
                return self._cropped(frame)

    def _fill(self, slot: NDArray[Any], image: NDArray[np.uint8]) -> None:
        planes = self._cv2.split(image)
        if self.contract.dtype == "uint8":
            slot[...] = planes
            return
        for plane, target, scale, shift in zip(planes, slot, self._scale, self._shift, strict=True):
            np.multiply(plane, scale, out=target)
            np.add(target, shift, out=target)

    def _cropped(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self.contract.size
        if self.contract.exact_resize:  # as the training side does it: the whole frame first, then the centre
            # In integers: `int(224 / 55 * 55)` is 223.
            rows, columns = frame.shape[:2]
            wide = height * columns >= width * rows
            whole = (height, height * columns // rows) if wide else (width * rows // columns, width)
            scaled = self._scaled(frame, whole)
            top, left = round((whole[0] - height) / 2), round((whole[1] - width) / 2)
            return scaled[top : top + height, left : left + width]
        # The centre first: only the pixels that are kept are resized.
        factor = min(frame.shape[0] / height, frame.shape[1] / width)
        kept = max(1, round(factor * height)), max(1, round(factor * width))
        top, left = (frame.shape[0] - kept[0]) // 2, (frame.shape[1] - kept[1]) // 2
        return self._scaled(frame[top : top + kept[0], left : left + kept[1]], (height, width))

    def _letterboxed(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self.contract.size
        factor = min(height / frame.shape[0], width / frame.shape[1])
        fitted = max(1, round(factor * frame.shape[0])), max(1, round(factor * frame.shape[1]))
        canvas = np.empty((height, width, CHANNELS), np.uint8)
        canvas[...] = self._padding
        top, left = (height - fitted[0]) // 2, (width - fitted[1]) // 2
        canvas[top : top + fitted[0], left : left + fitted[1]] = self._scaled(frame, fitted)
        return canvas

    def _scaled(self, frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        if frame.shape[:2] == size:
            return frame
        kind = self.contract.interpolation
        if self.contract.exact_resize and kind in _RADIUS:
            return pillow_resize(frame, size, kind)
        smaller = min(frame.shape[0], size[0]), min(frame.shape[1], size[1])
        if kind != "nearest" and smaller not in {size, frame.shape[:2]}:
            # One side shrinks and one grows: INTER_AREA would skip pixels, so the side that shrinks goes first, alone.
            frame = self._scaled(frame, smaller)
        shrinking = frame.shape[0] > size[0] or frame.shape[1] > size[1]
        # INTER_LINEAR and INTER_CUBIC skip pixels when shrinking: aliasing moves an embedding to cosine 0.94 and less.
        flag = {
            "nearest": self._cv2.INTER_NEAREST_EXACT,
            "area": self._cv2.INTER_AREA if shrinking else self._cv2.INTER_LINEAR,
            "bilinear": self._cv2.INTER_AREA if shrinking else self._cv2.INTER_LINEAR,
            "bicubic": self._cv2.INTER_AREA if shrinking else self._cv2.INTER_CUBIC,
        }[kind]
        if flag == self._cv2.INTER_AREA and kind != "bicubic":
            frame = self._reduced(frame, size)
        resized: NDArray[np.uint8] = self._cv2.resize(frame, size[::-1], interpolation=flag)
        return resized

    def _reduced(self, frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the frame shrunk by a whole number, where one divides its sides and is well below the whole factor.

        OpenCV averages blocks of whole pixels many times faster than parts of pixels: 720 to 224 lines take 0.57 ms
        instead of 1.31, 2160 lines 2.5 instead of 9.9. And two means in a row are nearer to Pillow's triangle filter
        than one (least cosine 0.998 instead of 0.996 on a MobileNetV2), though not to its bicubic one.
        """
        (height, width), (rows, columns) = frame.shape[:2], size
        most = int(min(height / rows, width / columns) / _LEAST_REST)
        whole = next((n for n in range(most, 1, -1) if height % n == 0 and width % n == 0), 1)
        if whole == 1 or (height % rows == 0 and width % columns == 0):
            return frame
        reduced: NDArray[np.uint8] = self._cv2.resize(
            frame, (width // whole, height // whole), interpolation=self._cv2.INTER_AREA
        )
        return reduced


def pillow_resize(frame: NDArray[np.uint8], size: tuple[int, int], kind: str) -> NDArray[np.uint8]:
    """Resize as Pillow does: a separable filter that widens when shrinking, rounded to 8 bits after each direction.

    Args:
        frame: `(H, W, 3)` uint8.
        size: `(h, w)` in pixels.
        kind: `bilinear` or `bicubic`.

    Returns:
        `(h, w, 3)` uint8, within one level of Pillow's own result. Rows come first, as in Pillow up to 12: Pillow 13
        takes columns first where that is less work, which is seen only where `bicubic` enlarges.
    """
    rows = _filtered(frame.swapaxes(0, 1), size[1], kind).swapaxes(0, 1)
    return np.ascontiguousarray(_filtered(rows, size[0], kind))


def _filtered(image: NDArray[np.uint8], length: int, kind: str) -> NDArray[np.uint8]:
    """Resample axis 0 of `(L, M, 3)` to `length`."""
    if image.shape[0] == length:
        return image
    first, weights = _filter_taps(image.shape[0], length, kind)
    total = np.zeros((length, *image.shape[1:]), np.float32)
    for tap in range(weights.shape[1]):
        source = np.minimum(first + tap, image.shape[0] - 1)  # beyond the edge the weight is 0
        total += weights[:, tap, None, None] * image[source]
    return np.clip(np.floor(total + 0.5), 0, _LEVELS).astype(np.uint8)


def _filter_taps(source: int, target: int, kind: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the first source index `(target,)` and the weights `(target, taps)` of each output pixel."""
    scale = source / target
    stretch = max(scale, 1.0)
    support = _RADIUS[kind] * stretch
    centres = (np.arange(target) + 0.5) * scale
    first = np.maximum(np.floor(centres - support + 0.5), 0).astype(np.intp)
    last = np.minimum(np.floor(centres + support + 0.5), source).astype(np.intp)
    index = first[:, None] + np.arange(int((last - first).max()))
    distance = np.abs((index - centres[:, None] + 0.5) / stretch)
    weights = np.where(index < last[:, None], _kernel(distance, kind), 0)
    return first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _kernel(x: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    if kind == "bilinear":
        return np.maximum(1 - x, 0)
    a = _BICUBIC_A  # Keys, "Cubic convolution interpolation", 1981, equation 4
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < _RADIUS["bicubic"], far, 0))


def _check_frame(frame: NDArray[np.uint8]) -> None:
    if not isinstance(frame, np.ndarray):
        raise ContractError(f"{shown(frame)} is not a frame", code="bad_frame", expected="an array")
    if frame.dtype != np.uint8 or frame.ndim != CHANNELS or frame.shape[2] != CHANNELS or 0 in frame.shape:
        raise ContractError(
            f"an array of {frame.dtype} {shown(frame.shape)} is not a frame",
            code="bad_frame",
            expected="RGB uint8 (H, W, 3), not empty",
        )


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as cause:
        raise missing_extra("cv2", "camera", "preprocessing a frame", cause) from cause
    return cv2
