"""Sentence embeddings that are computed once and kept on disk: a table of texts and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgezsl.encoders.minilm import VOCABULARY, WEIGHTS_SHA256, WIDTH
from edgezsl.files import write_durably
from edgezsl.records import canonical_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.encoders.minilm import SentenceEncoder


class Sentences:
    """What a sentence encoder says, kept in a folder.

    Args:
        folder: Where; made when it is first needed.
        encoder: The encoder.
    """

    def __init__(self, folder: Path, encoder: SentenceEncoder) -> None:
        self._folder = folder
        self._encoder = encoder
        self._tokenizer = type(encoder.tokenizer).from_str(encoder.tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
        """Yield (texts done, None), and at the end the unit embeddings `(N, 384)`."""
        file = self._file("texts", list(texts))
        if not file.exists():
            rows = np.zeros((len(texts), WIDTH), np.float32)
            done = 0
            for indices, part in self._encoder.encode(texts):
                rows[indices] = part
                done += len(indices)
                yield done, None
            self._keep(file, rows)
        yield len(texts), np.load(file, allow_pickle=False)

    def tokens_alone(self) -> NDArray[np.float32]:
        """Return the encoder's answer to each token alone, `(V, 384)`."""
        file = self._file("tokens", [])
        if not file.exists():
            rows = np.zeros((VOCABULARY, WIDTH), np.float32)
            for indices, part in self._encoder.tokens_alone():
                rows[indices] = part
            self._keep(file, rows)
        answers: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return answers

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the token ids of each text, no special tokens among them."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        unknown = self._tokenizer.token_to_id("[UNK]")
        return [np.array(one.ids or [unknown], np.int64) for one in encoded]

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return how often each token occurs in the texts, `(V,)`."""
        return np.bincount(np.concatenate(self.tokens(texts)), minlength=VOCABULARY)

    def _file(self, kind: str, texts: list[str]) -> Path:
        digest = sha256_hex(canonical_json([WEIGHTS_SHA256, texts]))
        return self._folder / f"{kind}-{digest[:16]}.npy"

    def _keep(self, file: Path, rows: NDArray[np.float32]) -> None:
        import io

        self._folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        write_durably(file, buffer.getvalue())
