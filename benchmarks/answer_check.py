"""Whether answers are whole: every name, score and digest from the one class set that their revision was given.

Each score is computed again, in float64, from the frame and the matrix. The frame is made again from its number, which
is all that a synthetic picture depends on. Nothing of the library's own scoring is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.recognizer import SHORT_DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine
    from edgezsl.runtime.events import Recognition

LARGEST_ERROR = 1e-5  # of a score


@dataclass(slots=True)
class Faults:
    """What was wrong with the answers.

    Attributes:
        checked: Answers looked at.
        of_no_set: Answers of a revision that nobody swapped in.
        foreign_names: Answers with a name that is not of their revision's set.
        wrong_digests: Answers that name another pack than their revision's.
        wrong_scores: Answers with a score off by more than 1e-5, or that do not list the best classes.
        worst_error: The largest error of a score of a class that is in the set.
    """

    checked: int = 0
    of_no_set: int = 0
    foreign_names: int = 0
    wrong_digests: int = 0
    wrong_scores: int = 0
    worst_error: float = 0.0


class Embeddings:
    """The engine's own embedding of each frame of a synthetic stream, by number."""

    def __init__(self, engine: Engine, contract: InputContract, picture: Callable[[int], NDArray[np.uint8]]) -> None:
        self._engine = engine
        self._preprocess = Preprocessor(contract)
        self._picture = picture

    def __call__(self, number: int) -> NDArray[np.float64]:
        """Return the embedding `(D,)` of frame `number`."""
        return self._engine.run(self._preprocess([self._picture(number)]))[0].astype(np.float64)


def check(
    answers: Iterable[Recognition],
    served: Mapping[int, ClassPrototypes],
    embedding: Callable[[int], NDArray[np.float64]],
) -> Faults:
    """Return what is wrong with `answers`.

    Args:
        answers: The answers.
        served: The class set of each revision, as it was handed over.
        embedding: Gives the embedding `(D,)` of a frame by its number.
    """
    matrices = {id(chosen): chosen.vectors.astype(np.float64) for chosen in served.values()}
    faults = Faults()
    for answer in answers:
        faults.checked += 1
        chosen = served.get(answer.revision)
        if chosen is None:
            faults.of_no_set += 1
            continue
        faults.wrong_digests += answer.classes != chosen.digest[:SHORT_DIGEST]
        region = answer.regions[0]
        names = {one.name for one in region.top} | ({region.decision} if region.decision else set())
        faults.foreign_names += not names <= set(chosen.names)
        scores = matrices[id(chosen)] @ embedding(answer.frame) + chosen.bias - chosen.seen_penalty * chosen.seen
        right = dict(zip(chosen.names, scores, strict=True))
        errors = [abs(one.score - right[one.name]) for one in region.top if one.name in right]
        best = np.sort(scores)[::-1][: len(region.top)]
        errors += [abs(one.score - score) for one, score in zip(region.top, best, strict=True)]
        faults.wrong_scores += bool(max(errors) > LARGEST_ERROR)
        faults.worst_error = max(faults.worst_error, *errors)
    return faults
