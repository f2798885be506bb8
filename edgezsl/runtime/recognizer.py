"""Recognition: an engine, a contract, and one reference to the classes.

The reference is read once for each frame and replaced in one assignment, so that a frame is answered by one class set,
whole, however often it is swapped meanwhile.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import ContractError, EngineError, InputError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.events import ClassScore, RegionAnswer
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace, InputContract
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
    # None where it would change nothing: looked for once, not in every frame.
    offset: NDArray[np.float32] | None
    negative: NDArray[np.bool_] | None

    @classmethod
    def of(cls, prototypes: ClassPrototypes, revision: int) -> _Serving:
        offset = prototypes.offset if prototypes.offset.any() else None
        negative = prototypes.negative if prototypes.negative.any() else None
        return cls(prototypes, revision, prototypes.digest[:SHORT_DIGEST], offset, negative)


class Recognizer:
    """Recognises what a frame shows.

    Args:
        engine: The image encoder.
        contract: What it takes.
        prototypes: The first class set, revision 1.
        top_k: How many classes an answer lists, ≥ 1.
        space: Where the engine's embeddings live, `bundle.manifest.space`. Give it whenever it is known: an engine
            cannot say it, and scores across two spaces mean nothing. None: that of `prototypes`, unchecked.

    Raises:
        InputError: When `top_k` is less.
        ContractError: When the engine takes pixels of another dtype than the contract's.
        SpaceMismatchError: When the prototypes live in another space than `space`.

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
        self,
        engine: Engine,
        contract: InputContract,
        prototypes: ClassPrototypes,
        *,
        top_k: int = TOP_K,
        space: EmbeddingSpace | None = None,
    ) -> None:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", code="bad_value", expected="at least 1")
        _check_dtype(engine, contract)
        if space is not None:
            space.check_same(prototypes.space, "the class set")
        self._engine = engine
        self._preprocess = Preprocessor(contract)
        self._top_k = top_k
        self._running = threading.Lock()  # not every engine runs twice at once
        self._swapping = threading.Lock()
        self._serving = _Serving.of(prototypes, 1)

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
        new = _Serving.of(prototypes, 0)  # before the lock: the digest of a large set takes a while
        with self._swapping:
            revision = self._serving.revision + 1
            self._serving = replace(new, revision=revision)
        return revision

    def recognize(self, image: NDArray[np.uint8]) -> Answer:
        """Return what a frame shows.

        Args:
            image: `(H, W, 3)` uint8 RGB.

        Raises:
            ContractError: When the array is not a frame.
            EngineError: When the engine fails.
        """
        return self.answer(self.embed(self.prepare(image)))

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the pixels of a frame for `embed`: work that may be done ahead, in any thread.

        Args:
            image: `(H, W, 3)` uint8 RGB.

        Returns:
            `(1, 3, h, w)` in the contract's dtype.

        Raises:
            ContractError: When the array is not a frame.
        """
        return self._preprocess([image])

    def embed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings of a prepared frame for `answer`; threads take turns.

        Args:
            pixels: `(N, 3, h, w)`, from `prepare`.

        Returns:
            `(N, D)` float32, finite.

        Raises:
            EngineError: When the engine fails, gives values that are not finite, or the pixels are not what it takes.
        """
        with self._running:
            embeddings = self._engine.run(pixels)
        _check_embeddings(embeddings, len(pixels), self._serving.prototypes.space.dim)  # of every set's space
        return embeddings

    def answer(self, embeddings: NDArray[np.float32]) -> Answer:
        """Return what an embedded frame shows, by the class set that answers now.

        Args:
            embeddings: `(N, D)` float32, from `embed`.
        """
        serving = self._serving  # once: everything below belongs to this class set
        rows = scores(embeddings, serving.prototypes.vectors, serving.offset)
        regions = tuple(self._region(WHOLE_FRAME, row, serving) for row in rows)
        return Answer(serving.revision, serving.digest, regions)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _region(self, name: str, row: NDArray[np.float32], serving: _Serving) -> RegionAnswer:
        prototypes = serving.prototypes
        ranking = rank(row, prototypes.space, limits=prototypes.limits, negative=serving.negative, k=self._top_k)
        names = prototypes.names
        listed = zip(ranking.top, ranking.scores, ranking.probabilities, strict=True)
        top = tuple(ClassScore(names[index], score, share) for index, score, share in listed)
        return RegionAnswer(name, None if ranking.decision is None else names[ranking.decision], top)


def _check_dtype(engine: Engine, contract: InputContract) -> None:
    if engine.dtype != contract.dtype:
        raise ContractError(
            f"the engine takes {engine.dtype} pixels ({engine.description})",
            code="bad_dtype",
            expected=f"{contract.dtype}, the contract's dtype",
            hint="take the engine and the contract of one bundle",
        )


def _check_embeddings(embeddings: NDArray[np.float32], count: int, dim: int) -> None:
    # A score that is not finite would rank anything anywhere. One product is the cheapest look at every value.
    if embeddings.shape != (count, dim) or not math.isfinite(np.vdot(embeddings, embeddings)):
        raise EngineError(
            f"the engine gave embeddings {embeddings.shape}, or values that are not finite",
            code="bad_embeddings",
            expected=f"finite values {(count, dim)}",
            hint="start again; if it comes back take another engine, `edgezsl doctor` lists them",
        )
