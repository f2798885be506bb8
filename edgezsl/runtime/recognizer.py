"""Recognition: an engine, a contract, and one reference to the classes.

The reference is read once for each frame and replaced in one assignment, so that a frame is answered by one class set,
whole, however often it is swapped meanwhile.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.events import ClassScore, RegionAnswer
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.contract import InputContract
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine

TOP_K = 5
WHOLE_FRAME = "frame"
SHORT_DIGEST = 12  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Answer:
    """What one frame shows, and which class set says so.

    Attributes:
        revision: The class set's revision, from 1.
        classes: The first 12 hexadecimal digits of its pack's digest.
        regions: One answer for each region.
    """

    revision: int
    classes: str
    regions: tuple[RegionAnswer, ...]


@dataclass(frozen=True, slots=True)
class _Serving:
    """A class set and its revision, as one value: together they are swapped, together they are read."""

    prototypes: ClassPrototypes
    revision: int
    digest: str


class Recognizer:
    """Recognises what a frame shows.

    Args:
        engine: The image encoder.
        contract: What it takes.
        prototypes: The first class set, revision 1.
        top_k: How many classes an answer lists.

    Example:
        >>> import numpy as np
        >>> from edgezsl import ClassPrototypes, ClassRow, EmbeddingSpace, FunctionEngine, InputContract
        >>> contract = InputContract((2, 2), "squash", "area", (0, 0, 0), (1, 1, 1), "float32", "pixels", "embedding")
        >>> space = EmbeddingSpace("c0ffee00", 3, "dot")
        >>> colours = [ClassRow(n, v) for n, v in zip(["red", "green", "blue"], np.eye(3, dtype=np.float32))]
        >>> classes = ClassPrototypes.from_rows(colours, space)
        >>> recognizer = Recognizer(FunctionEngine(lambda p: p.mean(axis=(2, 3))), contract, classes)
        >>> green = np.zeros((4, 4, 3), np.uint8)
        >>> green[..., 1] = 255
        >>> recognizer.recognize(green).regions[0].decision
        'green'
    """

    def __init__(
        self, engine: Engine, contract: InputContract, prototypes: ClassPrototypes, *, top_k: int = TOP_K
    ) -> None:
        self._engine = engine
        self._preprocess = Preprocessor(contract)
        self._top_k = top_k
        self._swapping = threading.Lock()
        self._serving = _Serving(prototypes, 1, prototypes.digest[:SHORT_DIGEST])

    @property
    def prototypes(self) -> ClassPrototypes:
        """The class set that answers now."""
        return self._serving.prototypes

    @property
    def revision(self) -> int:
        """The revision of the class set that answers now."""
        return self._serving.revision

    def swap(self, prototypes: ClassPrototypes) -> int:
        """Answer with another class set from the next frame on, from any thread.

        Args:
            prototypes: The new set, of the same space.

        Returns:
            Its revision.

        Raises:
            SpaceMismatchError: When its space is another; the set before goes on answering.
        """
        self._serving.prototypes.space.check_same(prototypes.space, "the new class set")
        digest = prototypes.digest[:SHORT_DIGEST]
        with self._swapping:
            revision = self._serving.revision + 1
            self._serving = _Serving(prototypes, revision, digest)
        return revision

    def recognize(self, image: NDArray[np.uint8]) -> Answer:
        """Return what a frame shows.

        Args:
            image: `(H, W, 3)` uint8 RGB.

        Raises:
            ContractError: When the array is not a frame.
            EngineError: When the engine fails.
        """
        serving = self._serving  # once: everything below belongs to this class set
        embeddings = self._engine.run(self._preprocess([image]))
        prototypes = serving.prototypes
        rows = scores(embeddings, prototypes.vectors, prototypes.offset)
        regions = tuple(self._region(WHOLE_FRAME, row, prototypes) for row in rows)
        return Answer(serving.revision, serving.digest, regions)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _region(self, name: str, row: NDArray[np.float32], prototypes: ClassPrototypes) -> RegionAnswer:
        ranking = rank(row, prototypes.space, limits=prototypes.limits, negative=prototypes.negative, k=self._top_k)
        names = prototypes.names
        listed = zip(ranking.top, ranking.scores, ranking.probabilities, strict=True)
        top = tuple(ClassScore(names[index], float(score), float(share)) for index, score, share in listed)
        return RegionAnswer(name, None if ranking.decision is None else names[ranking.decision], top)
