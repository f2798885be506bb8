"""The golden set of a bundle: generated frames, with the answers by which every engine is tested before it serves."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.bundle import LEAST_GOLDEN_FRAMES, GoldenSet
from edgezsl.compile.dead_leaves import GOLDEN_SEED, images
from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.runtime.golden import golden_embeddings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract
    from edgezsl.manifest import Batch, Precision

_PROTOTYPES = 8
_WHOLE = 8  # one frame in so many keeps its size


def golden_set(
    encoders: Mapping[Precision, bytes], contract: InputContract, dim: int, batch: Batch, *, unit: bool
) -> GoldenSet:
    """Return the golden set of image encoders.

    The frames are of several sizes and shapes, so that an engine's resizing is tested with it. The prototypes are
    embeddings of some of the frames.

    Args:
        encoders: The ONNX file of each precision.
        contract: How frames become pixels.
        dim: D.
        batch: Frames at once.
        unit: Whether prototypes have length 1.

    Raises:
        EngineError: When an encoder does not run.
        MissingExtraError: When ONNX Runtime or OpenCV is not installed.
    """
    frames = _frames()
    embeddings: dict[str, NDArray[np.float32]] = {
        precision: golden_embeddings(encoder_engine(data, contract, dim, batch), contract, frames)
        for precision, data in sorted(encoders.items())
    }
    first = embeddings.get("fp32", next(iter(embeddings.values())))
    prototypes = first[:_PROTOTYPES]
    if unit:
        prototypes = prototypes / np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), np.float32(1e-12))
    return GoldenSet(frames, embeddings, prototypes, _scores(first, prototypes))


@functools.cache
def _frames() -> tuple[NDArray[np.uint8], ...]:
    """Return the frames: most of half the size, since every device carries them, some whole, so that they are shrunk."""
    whole = images(GOLDEN_SEED, LEAST_GOLDEN_FRAMES)
    return tuple(frame if number % _WHOLE == 0 else _halved(frame) for number, frame in enumerate(whole))


def _halved(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
    quarters = frame[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return np.asarray(quarters.mean(axis=(1, 3)).round(), np.uint8)


def _scores(embeddings: NDArray[np.float32], prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(embeddings @ prototypes.T, np.float32)
