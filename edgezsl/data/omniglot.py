"""Omniglot: 1,623 handwritten characters of 50 alphabets, twenty drawings each (Lake et al., Science 350, 2015).

Two ways to part it. By alphabets, as its authors did: training sees the characters of 30 alphabets, the test those of 20
others. By characters, as few-shot papers do since Vinyals et al. ("Matching networks for one shot learning", NeurIPS
2016): 1,200 characters drawn at random are for training, and each character turned by 90, 180 and 270 degrees is a class
of its own. Only figures of the second way are comparable with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 28  # pixels, of every few-shot paper
VALIDATION_ALPHABETS = 5
TRAINING_CHARACTERS, VALIDATION_CHARACTERS = 1028, 172  # of the 1,200 that are not for the test


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """Characters with as many drawings each.

    Attributes:
        images: `(C, M, 1, S, S)` float32 in [0, 1], ink is 1.
        names: C names, `Alphabet/characterNN`.
    """

    images: NDArray[np.float32]
    names: tuple[str, ...]

    def select(self, rows: NDArray[np.integer]) -> Characters:
        """Return the characters of these `rows (K,)`."""
        return Characters(self.images[rows], tuple(self.names[row] for row in rows))

    def rotated(self) -> Characters:
        """Return four classes for each character: as it is, and turned by 90, 180 and 270 degrees."""
        turned = [np.rot90(self.images, quarter, axes=(3, 4)) for quarter in range(4)]
        names = [f"{name}@{90 * quarter}" for quarter in range(4) for name in self.names]
        return Characters(np.ascontiguousarray(np.concatenate(turned)), tuple(names))


@dataclass(frozen=True, slots=True, eq=False)
class CharacterSplit:
    """What is learned from, what is chosen by, and what is judged on: no character is in two of them."""

    training: Characters
    validation: Characters
    test: Characters

    @classmethod
    def by_alphabets(cls, folder: Path, *, seed: int = 0) -> CharacterSplit:
        """Return the split of Omniglot's authors, five of the 30 background alphabets held back for validation.

        Training characters are rotated too, as augmentation; validation and test characters are not.

        Args:
            folder: With `images_background.npz` and `images_evaluation.npz`.
            seed: Draws the alphabets for validation.

        Raises:
            InputError: When a file is missing or lacks one of its arrays.
        """
        background = read_characters(folder / "images_background.npz")
        alphabets = np.array([name.split("/")[0] for name in background.names])
        held = np.random.default_rng(seed).permutation(np.unique(alphabets))[:VALIDATION_ALPHABETS]
        for_validation = np.isin(alphabets, held)
        return cls(
            background.select(np.flatnonzero(~for_validation)).rotated(),
            background.select(np.flatnonzero(for_validation)),
            read_characters(folder / "images_evaluation.npz"),
        )

    @classmethod
    def by_characters(cls, folder: Path, *, seed: int = 0) -> CharacterSplit:
        """Return the split of few-shot papers: 1,200 random characters (172 for validation) and the other 423, rotated.

        Args:
            folder: With `images_background.npz` and `images_evaluation.npz`.
            seed: Draws the characters.

        Raises:
            InputError: When a file is missing or lacks one of its arrays.
        """
        parts = [read_characters(folder / f"images_{name}.npz") for name in ("background", "evaluation")]
        both = Characters(np.concatenate([one.images for one in parts]), parts[0].names + parts[1].names)
        order = np.random.default_rng(seed).permutation(len(both.names))
        edges = [TRAINING_CHARACTERS, TRAINING_CHARACTERS + VALIDATION_CHARACTERS]
        return cls(*(both.select(rows).rotated() for rows in np.split(order, edges)))


def read_characters(path: Path) -> Characters:
    """Read an `.npz` of drawings: `bits (N, bytes)` packed, ink 1, `labels (N,)`, `class_names (C,)`, `shape (2,)`.

    A drawing is brought to 28 × 28 by averaging, so that thin strokes stay as grey and do not fall between pixels.

    Raises:
        InputError: When it cannot be read, lacks an array, or characters have different numbers of drawings.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            bits, labels, names = file["bits"], file["labels"].astype(np.int64), file["class_names"].tolist()
            height, width = file["shape"].tolist()
        counts = np.bincount(labels, minlength=len(names))
        order = np.argsort(labels, kind="stable").reshape(len(names), counts[0])
        pixels = np.unpackbits(bits, axis=1, count=height * width).reshape(-1, height, width)
    except (OSError, ValueError, KeyError) as cause:
        raise InputError(
            f"this is no file of drawings ({cause})",
            code="bad_images",
            where=Place(str(path)),
            expected="an .npz with bits, labels, class_names and shape, and as many drawings of each class",
        ) from cause
    small = np.stack([cv2.resize(one.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in pixels])
    return Characters(small[order][:, :, None].astype(np.float32), tuple(names))
