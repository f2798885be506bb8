"""The images on which an export is farthest from its model: what a person looks at first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.figures import cosines
from edgezsl.evaluate.document import small_jpeg
from edgezsl.scoring import scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgezsl.compile.pictures import Picture
    from edgezsl.contract import InputContract
    from edgezsl.prototypes import ClassPrototypes

SHOWN = 6
_KEPT = 24  # by cosine, as they pass; the worst *centred* are chosen among them when the mean is known
_WIDTH = 144  # pixels of a picture in the report


@dataclass(frozen=True, slots=True, eq=False)
class WorstImage:
    """An image on which an export is far from its model.

    Attributes:
        name: Of its file or source, without folders.
        label: The name of its class, or empty.
        centred: The centred cosine of the two embeddings.
        model: The best class by the model, or empty where there are no classes.
        export: The best class by the export.
        taken: The image as the model's preprocessing and as the bundle's gives it, both JPEG.
    """

    name: str
    label: str
    centred: float
    model: str
    export: str
    taken: tuple[bytes, bytes]

    def to_json(self) -> dict[str, Any]:
        """Return the object that the report holds: everything but the pictures."""
        return {
            "name": self.name,
            "label": self.label,
            "centred": round(self.centred, 6),
            "model": self.model,
            "export": self.export,
        }


@dataclass(frozen=True, slots=True)
class _Candidate:
    cosine: float
    number: int
    name: str
    label: str
    taken: tuple[bytes, bytes]


@dataclass(slots=True)
class Gallery:
    """Keeps the worst images of each engine while all pass by, so that not all have to stay in memory.

    Attributes:
        model: The model's contract.
        bundle: The bundle's.
    """

    model: InputContract
    bundle: InputContract
    _kept: dict[str, list[_Candidate]] = field(default_factory=dict)
    _count: int = 0

    def offer(self, picture: Picture, pixels: tuple[NDArray[Any], NDArray[Any]], found: Mapping[str, float]) -> None:
        """Look at an image.

        Args:
            picture: The image.
            pixels: `(1, 3, h, w)`, as the model takes it and as the bundle takes it.
            found: The cosine of each engine's embedding to the model's.
        """
        number, self._count = self._count, self._count + 1
        taken: tuple[bytes, bytes] | None = None
        for engine, cosine in found.items():
            kept = self._kept.setdefault(engine, [])
            if len(kept) == _KEPT and cosine >= kept[-1].cosine:
                continue
            taken = taken or (
                small_jpeg(image_of(pixels[0][0], self.model), width=_WIDTH),
                small_jpeg(image_of(pixels[1][0], self.bundle), width=_WIDTH),
            )
            name = picture.photograph.rpartition("/")[2]
            kept.append(_Candidate(cosine, number, name, picture.label, taken))
            kept.sort(key=lambda one: (one.cosine, one.number))
            del kept[_KEPT:]

    def worst(
        self,
        engine: str,
        model: NDArray[np.float32],
        export: NDArray[np.float32],
        prototypes: ClassPrototypes | None,
    ) -> tuple[WorstImage, ...]:
        """Return the images of lowest centred cosine, the worst first.

        Args:
            engine: Its name.
            model: `(N, D)` float32, every image that was offered, in order.
            export: `(N, D)` float32.
            prototypes: The classes, or None.
        """
        kept = self._kept.get(engine, [])
        rows = [one.number for one in kept]
        if not rows:
            return ()
        mean = model.astype(np.float64).mean(axis=0) if len(model) > 1 else 0.0
        centred = cosines(model[rows] - mean, export[rows] - mean)
        order = np.argsort(centred, kind="stable")[:SHOWN]
        said = [_best(embeddings[rows], prototypes) for embeddings in (model, export)]
        return tuple(
            WorstImage(
                kept[index].name,
                kept[index].label,
                float(centred[index]),
                said[0][index],
                said[1][index],
                kept[index].taken,
            )
            for index in order
        )


def image_of(pixels: NDArray[Any], contract: InputContract) -> NDArray[np.uint8]:
    """Return the image `(h, w, 3)` uint8 that pixels `(3, h, w)` were made from by a contract."""
    image = np.moveaxis(pixels, 0, -1)
    if contract.dtype == "uint8":
        return np.ascontiguousarray(image, np.uint8)
    levels = np.rint(255 * (image * np.asarray(contract.std) + np.asarray(contract.mean)))
    result: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return result


def _best(embeddings: NDArray[np.float32], prototypes: ClassPrototypes | None) -> list[str]:
    if prototypes is None:
        return [""] * len(embeddings)
    rows = scores(embeddings, prototypes.vectors, prototypes.offset).argmax(axis=1)
    return [prototypes.names[row] for row in rows]
