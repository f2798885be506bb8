"""Sets of labelled images on disk, read one image at a time.

An image is RGB uint8 `(H, W, 3)`. A set gives its images by number, always in the same order, so that a crop named by
(image, box) is the same pixels in every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgezsl.errors import InputError, Place
from edgezsl.runtime.sources import decode_image, read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class ImageSet(Protocol):
    """A numbered set of images."""

    @property
    def labels(self) -> Sequence[str]:
        """The label of each image: a word of the set, such as a WordNet id, or empty where it has none."""
        ...

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return image `index`, RGB uint8 `(H, W, 3)`."""
        ...


class PackedImages:
    """Encoded images end to end in one `.npz`: `webp` (bytes), `offsets (N + 1,)`, `labels (N,)` into `wnids`.

    Args:
        path: The file.

    Raises:
        InputError: When the file cannot be read or lacks one of the four arrays.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                self._data, self._offsets = file["webp"], file["offsets"].astype(np.int64)
                self.labels: Sequence[str] = tuple(file["wnids"][file["labels"]].tolist())
        except (OSError, ValueError, KeyError) as cause:
            raise InputError(
                f"this is no file of packed images ({cause})",
                code="bad_images",
                where=Place(str(path)),
                expected="an .npz with webp, offsets, labels and wnids",
            ) from cause
        self._name = str(path)

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return image `index`, RGB uint8 `(H, W, 3)`.

        Raises:
            SourceError: When its bytes are no image.
        """
        begin, end = self._offsets[index : index + 2]
        return decode_image(self._data[begin:end].data, name=f"{self._name}[{index}]")


@dataclass(frozen=True)
class PictureFiles:
    """Image files, one label each.

    Attributes:
        paths: The files.
        labels: One for each file.
    """

    paths: tuple[Path, ...]
    labels: Sequence[str]

    @classmethod
    def of_folder(cls, folder: Path, label: Callable[[Path], str]) -> PictureFiles:
        """Return every picture under `folder`, sorted by its path.

        Args:
            folder: Searched with its sub-folders.
            label: Gives the label of a file from its path.

        Raises:
            InputError: When there is no picture.
        """
        paths = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES))
        if not paths:
            raise InputError(
                "there is no picture in this folder",
                code="no_images",
                where=Place(str(folder)),
                expected=f"files that end in {', '.join(sorted(PICTURES))}",
            )
        return cls(paths, tuple(label(path) for path in paths))

    def image(self, index: int) -> NDArray[np.uint8]:
        """Return image `index`, RGB uint8 `(H, W, 3)`.

        Raises:
            SourceError: When the file is no image.
        """
        return read_image(self.paths[index])
