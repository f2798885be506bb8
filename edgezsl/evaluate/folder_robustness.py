"""What bad frames and attacks leave of a model's accuracy on labelled photographs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import InputError, shown
from edgezsl.evaluate.corruptions import CORRUPTIONS, SEVERITIES, SIDE, corrupted
from edgezsl.evaluate.intervals import share_interval
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.scoring import scores

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from edgezsl.contract import InputContract
    from edgezsl.evaluate.folder_accuracy import LabelledImage
    from edgezsl.evaluate.intervals import Interval
    from edgezsl.evaluate.robustness import RobustAccuracy
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class Robustness:
    """Shares of images that are right, in [0, 1], of those whose class is in the vocabulary.

    Attributes:
        corrupted: By what is wrong with the frames, for every severity; the first entry of each is without it.
        attacked: Without and under an attack, by what is attacked.
        attack: Which attack, in words.
    """

    corrupted: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    attacked: Mapping[str, RobustAccuracy] = field(default_factory=dict)
    attack: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        return {
            "corrupted": {kind: [one.to_json() for one in shares] for kind, shares in self.corrupted.items()},
            "attack": self.attack,
            "attacked": {
                name: {"images": one.done, "clean": one.clean.to_json(), "robust": one.robust.to_json()}
                for name, one in self.attacked.items()
            },
        }


def corruption_accuracy(
    images: Iterable[LabelledImage],
    count: int,
    engine: Engine,
    contract: InputContract,
    prototypes: ClassPrototypes,
) -> Generator[Progress, None, dict[str, tuple[Interval, ...]]]:
    """Recognise photographs as bad cameras and thin links give them; yield how far that is.

    Each is brought to the size that the severities are made for, corrupted, and then recognised as any frame is.

    Args:
        images: The photographs; those whose label is not in the vocabulary are left out.
        count: How many there are, for the progress.
        engine: Embeds them.
        contract: How a frame becomes pixels.
        prototypes: The vocabulary.

    Returns:
        The share that is right by what is wrong, without it and for every severity.

    Raises:
        InputError: When no photograph's class is in the vocabulary.
        EngineError: When the engine fails.
        MissingExtraError: When OpenCV is not installed.
    """
    sized, preprocess = Preprocessor(replace(contract, size=(SIDE, SIDE))), Preprocessor(contract)
    rows = {name: row for row, name in enumerate(prototypes.names)}
    right, judged = np.zeros((len(CORRUPTIONS), 1 + len(SEVERITIES)), np.int64), 0
    for number, one in enumerate(images, 1):
        if one.label in rows:
            frame = sized.resized(one.image)
            frames = [frame] + [
                corrupted(frame, kind, severity=level, seed=number) for kind in CORRUPTIONS for level in SEVERITIES
            ]
            embeddings = np.concatenate([engine.run(preprocess([each])) for each in frames])
            hits = scores(embeddings, prototypes.vectors, prototypes.offset).argmax(axis=1) == rows[one.label]
            right[:, 0] += hits[0]
            right[:, 1:] += hits[1:].reshape(len(CORRUPTIONS), len(SEVERITIES))
            judged += 1
        yield Progress("recognising corrupted photographs", number, count)
    if not judged:
        message = f"none of {count} photographs is of a class of the vocabulary"
        raise InputError(message, code="no_labels", expected=f"a sub-folder named {shown(prototypes.names[0])}, or so")
    return {
        kind: tuple(share_interval(int(count), judged) for count in counts)
        for kind, counts in zip(CORRUPTIONS, right, strict=True)
    }
