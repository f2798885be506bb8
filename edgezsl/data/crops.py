"""Random crops of images, drawn once from a seed so that a teacher's answers to them can be kept.

Szegedy et al., "Going deeper with convolutions", CVPR 2015: an area and an aspect ratio are drawn, the box is placed
anywhere inside the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CropLaw:
    """How crops are drawn.

    Attributes:
        count: Crops of each image; the first is the largest centred square.
        least_area: Of the image, 0 to 1; the area is drawn uniformly between it and 1.
        ratio: The largest aspect ratio; its logarithm is drawn uniformly.
    """

    count: int
    least_area: float
    ratio: float = 4 / 3


def crop_boxes(height: int, width: int, law: CropLaw, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return `(count, 4)` boxes: top, left, height, width in pixels, each inside the image."""
    side = min(height, width)
    area = rng.uniform(law.least_area, 1, law.count) * height * width
    stretch = np.exp(rng.uniform(-np.log(law.ratio), np.log(law.ratio), law.count) / 2)
    tall = np.clip(np.sqrt(area) / stretch, 1, height).round().astype(int)
    wide = np.clip(np.sqrt(area) * stretch, 1, width).round().astype(int)
    top = (rng.uniform(0, 1, law.count) * (height - tall + 1)).astype(int)
    left = (rng.uniform(0, 1, law.count) * (width - wide + 1)).astype(int)
    boxes = np.stack([top, left, tall, wide], axis=1)
    boxes[0] = (height - side) // 2, (width - side) // 2, side, side
    return boxes.astype(np.uint16)


def cut(image: NDArray[np.uint8], box: NDArray[np.uint16], side: int) -> NDArray[np.uint8]:
    """Return the box of an image as `(side, side, 3)`: averaged when it shrinks, bicubic when it grows."""
    top, left, tall, wide = (int(number) for number in box)
    part = image[top : top + tall, left : left + wide]
    shrinks = min(tall, wide) > side
    resized = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)
