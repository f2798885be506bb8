"""Generated images with the statistics of photographs, for where there are no photographs.

The dead leaves model: opaque shapes fall on one another until the image is covered, their sizes by a law that looks
the same at every scale (Lee, Mumford and Huang, "Occlusion models for natural images: a statistical study of a
scale-invariant dead leaves model", International Journal of Computer Vision 41, 2001). The shapes here are textured,
shaded and coloured, so that a network's layers see edges, gradients and textures in every colour. They are not
photographs, and whatever reports about them must say so. One seed makes one image, and counts as one photograph.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.runtime.opencv import opencv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import RandomState
    from numpy.typing import NDArray

CALIBRATION_SEED, PARITY_SEED, GOLDEN_SEED = 0, 1_000_000, 2_000_000  # where the seeds of each set begin

SIZES = ((192, 256), (256, 192), (224, 224), (162, 288), (160, 240), (240, 180))  # (H, W), in pixels
_SMALLEST, _LARGEST = 0.03, 0.8  # radius of a leaf, as a share of the shorter side of the image
_FEWEST, _MOST = 40, 200  # leaves on top of the first, which covers everything
_TEXTURES, _PLAIN = 16, 7  # kinds of surface with a texture; how often, against these, there is none
_SIDE, _TEXTURE_SEED = 384, 3_000_000
_NOISE = 0  # the texture that is white noise
_CORNERS = 24  # of what stands for an ellipse
_GREY = 127.5


def dead_leaves(seed: int) -> NDArray[np.uint8]:
    """Return the image of a seed, `(H, W, 3)` uint8 RGB, of one of `SIZES`: the same one every time.

    Raises:
        MissingExtraError: When OpenCV is not installed.
    """
    cv2 = opencv("making images")
    random = np.random.RandomState(seed)
    height, width = SIZES[seed % len(SIZES)]
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = _leaf(random, _palette(random), height, width)
    palette = _palette(random)
    for radius in _radii(random, min(height, width)):
        corners = _outline(random, radius, (height, width))
        left, top, across, down = cv2.boundingRect(corners)
        left, top, right, bottom = max(left, 0), max(top, 0), min(left + across, width), min(top + down, height)
        if left >= right or top >= bottom:
            continue
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [corners - (left, top)], 255, lineType=cv2.LINE_AA)
        share = mask[..., None] * np.float32(1 / 255)
        under = canvas[top:bottom, left:right]
        under += share * (_leaf(random, palette, *mask.shape) - under)
    return _exposed(random, canvas, cv2)


def images(first_seed: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of `count` seeds, from `first_seed` on."""
    return (dead_leaves(seed) for seed in range(first_seed, first_seed + count))


def _radii(random: RandomState, side: int) -> NDArray[np.float64]:
    """Return radii in pixels by the density r⁻³, the one law under which the image looks alike at every scale."""
    count = int(_FEWEST * (_MOST / _FEWEST) ** random.uniform())
    low, high = _SMALLEST**-2, _LARGEST**-2
    radii: NDArray[np.float64] = side * (low - random.uniform(size=count) * (low - high)) ** -0.5
    return radii


def _outline(random: RandomState, radius: float, size: tuple[int, int]) -> NDArray[np.int32]:
    """Return the corners `(n, 2)` of an ellipse, a rectangle or a polygon, as x and y, anywhere on the image."""
    kind = random.randint(3)
    turn, flat = random.uniform(0, 2 * np.pi), random.uniform(0.35, 1)
    count = (_CORNERS, 4, random.randint(3, 9))[kind]
    angles = np.arange(count) * (2 * np.pi / count)
    reach = random.uniform(0.5, 1.2, count) if kind == 2 else np.ones(count)  # noqa: PLR2004  # the polygon
    across, down = radius * reach * np.cos(angles), flat * radius * reach * np.sin(angles)
    centre = random.uniform(0, 1, 2) * size[::-1]
    x = centre[0] + across * np.cos(turn) - down * np.sin(turn)
    y = centre[1] + across * np.sin(turn) + down * np.cos(turn)
    return np.asarray(np.stack([x, y], axis=1).round(), np.int32)


def _palette(random: RandomState) -> NDArray[np.float64]:
    """Return 8 colours `(8, 3)`: a photograph has few, mostly dull ones around a common light, and some that glow."""
    light = random.uniform(0.85, 1.1, 3)
    grey = 255 * random.beta(1.3, 1.3, (8, 1))
    glow = random.beta(0.7, 3, (8, 1)) * 120
    return (grey + glow * random.uniform(-1, 1, (8, 3))) * light


def _leaf(random: RandomState, palette: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """Return the surface `(height, width, 3)` of one leaf: a colour, shaded across, with a texture or none."""
    colour = palette[random.randint(len(palette))] + random.normal(0, 10, 3)
    down, across = random.normal(0, 30, 2).astype(np.float32)
    shade = (down * _ramp(height))[:, None] + across * _ramp(width)
    kind, amount = random.randint(-_PLAIN, _TEXTURES), np.float32(random.gamma(2, 12))
    if kind >= 0:
        shade += amount * _piece(random, kind, height, width)
    return np.asarray(colour.astype(np.float32) + shade[..., None], np.float32)


@functools.cache
def _ramp(length: int) -> NDArray[np.float32]:
    """Return `length` values from -1 to 1."""
    return np.linspace(-1, 1, length, dtype=np.float32)


def _piece(random: RandomState, kind: int, height: int, width: int) -> NDArray[np.float32]:
    """Return a piece `(height, width)` of a texture, from anywhere in it."""
    top, left = int(random.uniform() * (_SIDE - height + 1)), int(random.uniform() * (_SIDE - width + 1))
    return _textures()[kind][top : top + height, left : left + width]


@functools.cache
def _textures() -> tuple[NDArray[np.float32], ...]:
    """Return textures `(side, side)` of mean 0 and deviation 1: clouds of every roughness, stripes, and checks."""
    random = np.random.RandomState(_TEXTURE_SEED)
    frequency = np.fft.fftfreq(_SIDE)
    distance = np.hypot(frequency[:, None], frequency)
    distance[0, 0] = 1
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    made = []
    for number in range(_TEXTURES):
        if number % 4 == 3:  # noqa: PLR2004  # every fourth is regular
            turn, period = random.uniform(0, np.pi), random.uniform(3, 24)
            field = np.sin((x * np.cos(turn) + y * np.sin(turn)) * (2 * np.pi / period))
            if number % 8 == 7:  # noqa: PLR2004  # and every second of these a grid
                field = np.sign(field * np.sin((y * np.cos(turn) - x * np.sin(turn)) * (2 * np.pi / period)))
        else:
            spectrum = np.fft.fft2(random.normal(size=distance.shape)) / distance ** random.uniform(0.3, 2)
            spectrum[0, 0] = 0
            field = np.fft.ifft2(spectrum).real
        if number == _NOISE:
            field = random.normal(size=distance.shape)
        made.append(((field - field.mean()) / field.std()).astype(np.float32))
    return tuple(made)


def _exposed(random: RandomState, canvas: NDArray[np.float32], cv2: Any) -> NDArray[np.uint8]:
    """Return what a camera makes of a scene: out of focus a little, too dark or too bright, with noise."""
    blur, contrast = random.uniform(0.1, 0.9), random.uniform(0.65, 1.4)
    seen = cv2.GaussianBlur(canvas, (0, 0), blur)
    seen = np.float32(contrast) * seen + np.float32(_GREY * (1 - contrast) + random.normal(0, 22))
    noise = np.float32(random.gamma(1.5, 2.5))
    seen += noise * np.stack([_piece(random, _NOISE, *seen.shape[:2]) for _ in range(3)], axis=-1)
    return np.asarray(np.clip(np.rint(seen), 0, 255), np.uint8)
