"""The calibration set: the pixels that set the ranges of INT8.

From a folder, a glob, a film or a camera of the user's, best of what the device will see; else generated. The manifest
keeps how many there were and their digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.dead_leaves import CALIBRATION_SEED
from edgezsl.compile.pictures import generated_pictures, source_pictures
from edgezsl.errors import Place, SourceError
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.sources import public_name

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from edgezsl.compile.pictures import Kind
    from edgezsl.contract import InputContract

FEWEST = 8  # images: fewer say nothing of a range
FEWEST_SCENES = 20  # photographs: what fewer have in common is no longer what all images have in common


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSet:
    """Images that set the ranges of INT8, as pixels.

    Attributes:
        kind: What they are, in words.
        pixels: `(N, 3, h, w)` in the contract's dtype.
        digest: SHA-256 over the images, 64 hexadecimal digits.
        photographs: What the images came from: nothing may be proved on these.
        images: The digest of each image, for the same reason.
    """

    kind: Kind
    pixels: NDArray[Any]
    digest: str
    photographs: frozenset[str]
    images: frozenset[str]

    @property
    def generated(self) -> bool:
        """Whether these are no photographs."""
        return self.kind.startswith("generated")

    @property
    def few_scenes(self) -> bool:
        """Whether these are too few photographs, a film counting as one, to stand for what a camera will see."""
        return not self.generated and len(self.photographs) < FEWEST_SCENES

    def __str__(self) -> str:
        words = f"{len(self)} {self.kind}"
        if not self.few_scenes:
            return words
        scenes = (
            f"{len(self.photographs)} photographs or films" if len(self.photographs) > 1 else "one photograph or film"
        )
        return (
            f"{words} of {scenes}: ranges may not hold for other scenes; {FEWEST_SCENES} photographs or more are better"
        )

    def __len__(self) -> int:
        return len(self.pixels)


def calibration_set(
    source: str | None, contract: InputContract, count: int
) -> Generator[Progress, None, CalibrationSet]:
    """Read or generate a calibration set; yield progress.

    Args:
        source: What `edgezsl.runtime.sources.open_source` takes, or None for generated images.
        contract: How images become pixels.
        count: How many images to take, at most.

    Returns:
        The set.

    Raises:
        SourceError: When there is no such source, or it gives fewer than 8 images.
        SourceLostError: When a live source goes silent.
        MissingExtraError: When OpenCV is not installed.
    """
    pictures = source_pictures(source, count) if source is not None else generated_pictures(CALIBRATION_SEED, count)
    preprocess = Preprocessor(contract)
    pixels, digests, photographs = [], [], set()
    for number, picture in enumerate(pictures.each, 1):
        pixels.append(preprocess([picture.image]))
        digests.append(picture.digest)
        photographs.add(picture.photograph)
        yield Progress(f"reading {pictures.kind} for calibration", number, pictures.count)
    if len(pixels) < FEWEST:
        raise SourceError(
            f"there are {len(pixels)} images for calibration",
            code="too_few_images",
            where=Place(public_name(source or "generated")),
            expected=f"at least {FEWEST}, of what the camera will see; {count} are used",
            hint="add photographs, or leave --calibration out to use generated images",
        )
    digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return CalibrationSet(pictures.kind, np.concatenate(pixels), digest, frozenset(photographs), frozenset(digests))
