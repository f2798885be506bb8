"""Lines of text by the same matrix: a class is a row, a line is an embedding, a score is their product.

Both sides are texts, so that they meet where the bundle's text encoder puts texts; its semantic map, which leads on to images, is left
out. Texts share a large part of their embedding, whatever they are about. It is measured with ordinary sentences when a recognizer
is opened and taken off lines and classes alike, as the mean is in Mu and Viswanath, "All-but-the-top: simple and effective
postprocessing for word representations", ICLR 2018. A score is the cosine of what is left: benchmarks/text_topics.py measures it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.bundle import TEXT_ENCODER, TOKEN_TABLE, TOKENIZER
from edgezsl.contract import EmbeddingSpace
from edgezsl.errors import InputError
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.runtime.embedder import ClassEmbedder, unit
from edgezsl.runtime.events import TIME_DIGITS, ClassScore, RegionAnswer
from edgezsl.runtime.recognizer import SHORT_DIGEST, TOP_K
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassFile
    from edgezsl.manifest import Manifest
    from edgezsl.runtime.text import TextEncoder
    from edgezsl.runtime.text_lines import Note, TextLine
    from edgezsl.runtime.token_table import TokenTable

WHOLE_LINE = "line"
LOGIT_SCALE = 10.0  # of the probabilities; the least cross-entropy on topics that no figure is given of
ORDINARY = (
    "I had a cup of coffee this morning before the rain began.",
    "She wrote a letter to her brother last week.",
    "The train was late again, and nobody knew why.",
    "We walked along the river until it was dark.",
    "He asked whether there was anything left to do.",
    "They will open the new shop on Monday.",
    "It is not easy to say what he meant by that.",
    "Please call me when you get home.",
    "The children were playing in the garden behind the house.",
    "There is a small window above the door.",
    "You can find the answer on the next page.",
    "My neighbour has a new car, and it is red.",
    "What would you do if you had more time?",
    "The road to the village was closed for two days.",
    "I do not think that this will work.",
    "She put the book back on the table and left.",
)


@dataclass(frozen=True, slots=True)
class TextRecognition:
    """The answer to one line.

    Attributes:
        line: Its number, from 1.
        time: When it had been read, Unix seconds.
        source: Where lines come from.
        classes: The first 12 hexadecimal digits of the class set's digest.
        latency_ms: From `time` to the answer.
        notes: What is odd about the line; one with `empty_line` or `unknown_words` has no scores.
        region: The decision and the best classes.
    """

    line: int
    time: float
    source: str
    classes: str
    latency_ms: float
    notes: tuple[Note, ...]
    region: RegionAnswer

    def to_json(self) -> dict[str, Any]:
        """Return the line of type `recognition`, as docs/other-modalities.md describes it."""
        return {
            "type": "recognition",
            "line": self.line,
            "time": round(self.time, TIME_DIGITS),
            "source": self.source,
            "revision": 1,
            "classes": self.classes,
            "latency_ms": round(self.latency_ms, 3),
            "notes": list(self.notes),
            "regions": [self.region.to_json()],
        }


class TextRecognizer:
    """Says which class a text belongs to. Open it with `TextRecognizer.open`.

    Args:
        encoder: The text encoder or token table of a bundle.
        common: `(A,)`: what all texts share.
        prototypes: The classes, `(K, A)`, less what all texts share.
        top_k: How many classes an answer lists, ≥ 1.

    Raises:
        InputError: When `top_k` is less.
    """

    def __init__(
        self,
        encoder: TextEncoder | TokenTable,
        common: NDArray[np.float32],
        prototypes: ClassPrototypes,
        *,
        top_k: int = TOP_K,
    ) -> None:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", code="bad_value", expected="at least 1")
        self.prototypes = prototypes
        self._encoder = encoder
        self._common = common
        self._top_k = top_k
        self._digest = prototypes.digest[:SHORT_DIGEST]
        self._negative = prototypes.negative if prototypes.negative.any() else None

    @classmethod
    def open(
        cls, bundle: Bundle, class_file: ClassFile, *, threads: int | None = None, top_k: int = TOP_K
    ) -> TextRecognizer:
        """Embed classes that are given by words, and return their recognizer.

        Args:
            bundle: Gives the text encoder; nothing else of it is used.
            class_file: Names, thresholds and negative classes count; the seen penalty is one of images, and does not.
            threads: Threads of the text encoder.
            top_k: How many classes an answer lists, ≥ 1.

        Raises:
            ClassFileError: When a class is not given by words, or the model knows none of them.
            BundleError: When the bundle has no text encoder.
            EngineError: When the text encoder fails.
            MissingExtraError: When the package tokenizers is not installed.
        """
        embedder = ClassEmbedder(bundle, SemanticCache(), threads=threads)
        semantics = embedder.semantics(class_file)
        common = embedder.text_encoder().encode(list(ORDINARY)).mean(axis=0)
        rows = [
            ClassRow(entry.name, unit(row - common), threshold=entry.threshold, negative=entry.negative)
            for entry, row in zip(class_file.entries, semantics, strict=True)
        ]
        space = text_space(bundle.manifest, semantics.shape[1])
        prototypes = ClassPrototypes.from_rows(rows, space, reject=class_file.reject)
        return cls(embedder.text_encoder(), common, prototypes, top_k=top_k)

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the embeddings `(N, A)` of texts, each of length 1, or of zeros where no word is known."""
        rows = self._encoder.encode(texts)
        known = rows.any(axis=1, keepdims=True)
        apart = (rows - self._common) * known
        embeddings: NDArray[np.float32] = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-12)
        return embeddings.astype(np.float32)

    def recognize(self, text: str) -> RegionAnswer | None:
        """Return what a text is about, or None where no word of it is known.

        Raises:
            EngineError: When the text encoder fails.
        """
        embedding = self.embed([text])
        if not embedding.any():
            return None
        prototypes = self.prototypes
        (row,) = scores(embedding, prototypes.vectors, None)
        ranking = rank(row, prototypes.space, limits=prototypes.limits, negative=self._negative, k=self._top_k)
        names = prototypes.names
        listed = zip(ranking.top, ranking.scores, ranking.probabilities, strict=True)
        top = tuple(ClassScore(names[index], score, share) for index, score, share in listed)
        return RegionAnswer(WHOLE_LINE, None if ranking.decision is None else names[ranking.decision], top)

    def answers(self, lines: Iterable[TextLine], *, source: str) -> Iterator[TextRecognition]:
        """Yield one answer for each line, as soon as it has come.

        Args:
            lines: The lines.
            source: What to call where they come from.

        Raises:
            EngineError: When the text encoder fails.
        """
        for line in lines:
            read, start = time.time(), time.perf_counter()
            found = None if "empty_line" in line.notes else self.recognize(line.text)
            notes: tuple[Note, ...] = line.notes
            if found is None and "empty_line" not in notes:
                notes = (*notes, "unknown_words")
            region = found or RegionAnswer(WHOLE_LINE, None, ())
            latency_ms = 1e3 * (time.perf_counter() - start)
            yield TextRecognition(line.number, read, source, self._digest, latency_ms, notes, region)

    def close(self) -> None:
        """Release the text encoder."""
        self._encoder.close()


def text_space(manifest: Manifest, dim: int) -> EmbeddingSpace:
    """Return the space in which a bundle's texts are compared with texts: another one than that of its images.

    Args:
        manifest: Of the bundle.
        dim: A.
    """
    files = {
        name: manifest.files[name].sha256 for name in (TEXT_ENCODER, TOKEN_TABLE, TOKENIZER) if name in manifest.files
    }
    digest = sha256_hex(canonical_json({"files": files, "common": list(ORDINARY)}))
    return EmbeddingSpace(digest, dim, "cosine", logit_scale=LOGIT_SCALE)
