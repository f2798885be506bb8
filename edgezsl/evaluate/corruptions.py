"""Frames as bad cameras and thin links give them: noise, defocus and JPEG, in five severities that others have measured with.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019: the severities
are those of ImageNet-C, made for frames of 224 x 224. A radius of 10 pixels is much more in a smaller frame: bring frames to 224
first, where figures are to be laid beside others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edgezsl.errors import InputError, shown
from edgezsl.runtime.opencv import opencv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Corruption = Literal["noise", "blur", "jpeg"]
SEVERITIES = (1, 2, 3, 4, 5)
SIDE = 224  # pixels: of the frames that the severities are made for
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, of the range of pixels
_BLUR = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))  # radius of the disc and σ of its edge, in pixels
_JPEG = (25, 18, 15, 10, 7)  # quality
CORRUPTIONS: Mapping[Corruption, str] = {
    "noise": "Gaussian noise of every value",
    "blur": "a lens out of focus: the mean over a disc",
    "jpeg": "JPEG of low quality",
}
_LEVELS = 255


def corrupted(frame: NDArray[np.uint8], kind: Corruption, *, severity: int, seed: int) -> NDArray[np.uint8]:
    """Return a frame `(H, W, 3)` uint8 RGB as it looks when something is wrong.

    Args:
        frame: `(H, W, 3)` uint8 RGB.
        kind: What is wrong.
        severity: 1 to 5.
        seed: Of the noise; blur and JPEG draw nothing.

    Raises:
        InputError: When there is no such kind or severity.
        MissingExtraError: When OpenCV is not installed.
    """
    if kind not in CORRUPTIONS or severity not in SEVERITIES:
        raise InputError(
            f"there is no corruption {shown(kind)} of severity {severity}",
            code="unknown_corruption",
            expected=f"{', '.join(CORRUPTIONS)}, severity {SEVERITIES[0]} to {SEVERITIES[-1]}",
        )
    level = severity - 1
    match kind:
        case "noise":
            return _noisy(frame, _NOISE[level], seed)
        case "blur":
            return _blurred(frame, *_BLUR[level])
        case "jpeg":
            return _compressed(frame, _JPEG[level])


def _noisy(frame: NDArray[np.uint8], deviation: float, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal(frame.shape, np.float32)
    return np.clip(np.rint(frame + _LEVELS * deviation * noise), 0, _LEVELS).astype(np.uint8)


def _blurred(frame: NDArray[np.uint8], radius: int, edge: float) -> NDArray[np.uint8]:
    cv2 = opencv("blurring a frame")
    reach = radius + 2  # beyond the soft edge
    line = np.arange(-reach, reach + 1)
    disc = (np.hypot(line, line[:, None]) <= radius).astype(np.float32)
    soft = cv2.GaussianBlur(disc, (3, 3), sigmaX=edge)
    blurred: NDArray[np.uint8] = cv2.filter2D(frame, -1, soft / soft.sum())
    return blurred


def _compressed(frame: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    cv2 = opencv("compressing a frame")
    encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    decoded: NDArray[np.uint8] = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return decoded
