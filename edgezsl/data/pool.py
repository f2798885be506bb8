"""Batches of crops for training, drawn from several image sets that are held in memory.

What a batch holds depends on the seed and the number of the step alone, so that a run which was cut off goes on with
the batches that it would have had.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.data.crops import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Crops:
    """An image set in memory, the crops of its images, and what is known of each.

    Attributes:
        images: RGB uint8 `(H, W, 3)` each.
        boxes: `(images, crops, 4)` uint16: top, left, height, width.
        answers: `(images, crops, F)` float16: the teacher's features of each crop.
        targets: `(images,)` int64: the index of the class, or -1 where it is not known.
        share: Of a batch, before the shares are made to add up to 1.
    """

    images: Sequence[NDArray[np.uint8]]
    boxes: NDArray[np.uint16]
    answers: NDArray[np.float16]
    targets: NDArray[np.int64]
    share: float


@dataclass(frozen=True, slots=True)
class CropBatch:
    """A batch.

    Attributes:
        crops: `(N, S, S, 3)` uint8 RGB.
        answers: `(N, F)` float32.
        targets: `(N,)` int64, -1 where the class is not known.
    """

    crops: NDArray[np.uint8]
    answers: NDArray[np.float32]
    targets: NDArray[np.int64]


class CropPool:
    """Draws batches from sets of crops, half of the crops mirrored.

    Args:
        sets: The sets.
        seed: Of everything that is drawn.
    """

    def __init__(self, sets: Sequence[Crops], *, seed: int) -> None:
        self._sets = [one for one in sets if len(one.images)]
        shares = np.array([one.share for one in self._sets], np.float64)
        self._edges = np.cumsum(shares / shares.sum())
        self._seed = seed

    def batch(self, step: int, size: int, side: int, rows: slice = _ALL) -> CropBatch:
        """Return the `rows` of batch `step` of `size` crops, `side` pixels wide and high."""
        rng = np.random.default_rng((self._seed, step))
        chosen = np.searchsorted(self._edges, rng.random(size) * self._edges[-1])
        spots, mirrored = rng.random((size, 2))[rows], (rng.random(size) < 1 / 2)[rows]
        chosen = chosen[rows]
        crops = np.empty((len(chosen), side, side, 3), np.uint8)
        answers, targets = [], []
        for row, number in enumerate(chosen):
            one = self._sets[number]
            image = int(spots[row, 0] * len(one.images))
            box = int(spots[row, 1] * one.boxes.shape[1])
            crop = cut(one.images[image], one.boxes[image, box], side)
            crops[row] = crop[:, ::-1] if mirrored[row] else crop
            answers.append(one.answers[image, box])
            targets.append(one.targets[image])
        return CropBatch(crops, np.stack(answers).astype(np.float32), np.array(targets, np.int64))

    def answers(self, count: int) -> NDArray[np.float32]:
        """Return the teacher's features `(count, F)` of a sample of crops, drawn as a batch is."""
        rng = np.random.default_rng((self._seed, count, 1))
        chosen = np.searchsorted(self._edges, rng.random(count) * self._edges[-1])
        spots = rng.random((count, 2))
        rows = []
        for row, number in enumerate(chosen):
            one = self._sets[number]
            rows.append(one.answers[int(spots[row, 0] * len(one.images)), int(spots[row, 1] * one.boxes.shape[1])])
        return np.stack(rows).astype(np.float32)

    def batches(self, steps: Sequence[tuple[int, int]], size: int, rows: slice = _ALL) -> Iterator[CropBatch]:
        """Return the `rows` of the batches of `steps`, (number, side) each, one prepared while the one before is used."""
        with ThreadPoolExecutor(1) as ahead:
            waiting = None
            for step, side in steps:
                following = ahead.submit(self.batch, step, size, side, rows)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()
