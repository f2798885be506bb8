"""Texts to semantic embeddings: the bundle's tokenizer and text encoder, and a memory of what was encoded before.

The only module that imports `tokenizers`; its exceptions end here.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.bundle import TEXT_ENCODER, TOKENIZER
from edgezsl.errors import EngineError, PackError, Place, missing_extra
from edgezsl.files import read_regular, write_durably
from edgezsl.records import canonical_json, parse_json
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text_cleaning import text_cleaner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.manifest import TextCleaning

_BATCH = 32  # texts at once
_LARGEST_CACHE = 1 << 30  # bytes
_MOST_CACHED = 200_000  # texts


class TextEncoder:
    """A bundle's text encoder.

    Args:
        tokenizer: A `tokenizers.Tokenizer` with padding and truncation as the model wants them.
        graph: `input_ids` and optionally `attention_mask` `(N, L)` int64 → `(N, A)`.
        cleaning: What is done to a text before the tokenizer.

    Raises:
        MissingExtraError: When the package ftfy is needed and not installed.
    """

    def __init__(self, tokenizer: Any, graph: OnnxGraph, cleaning: TextCleaning = "none") -> None:
        self._tokenizer = tokenizer
        self._graph = graph
        self._clean = text_cleaner(cleaning)

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int | None = None) -> TextEncoder:
        """Load the text encoder of a bundle.

        Raises:
            BundleError: When the bundle has none.
            EngineError: When tokenizer or graph do not load.
            MissingExtraError: When the package tokenizers, or ftfy where the model needs it, is not installed.
        """
        place = str(bundle.folder / TEXT_ENCODER)
        tokenizer = tokenizer_from(bundle.read(TOKENIZER), str(bundle.folder / TOKENIZER))
        graph = OnnxGraph(bundle.read(TEXT_ENCODER), file=place, threads=threads)
        return cls(tokenizer, graph, bundle.manifest.semantics.text_cleaning)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the unit semantic embeddings of `texts`, `(len(texts), A)` float32.

        Raises:
            EngineError: When the encoder fails.
        """
        # Texts of like length share a batch, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        parts = [
            self._encode_batch([texts[row] for row in order[at : at + _BATCH]]) for at in range(0, len(order), _BATCH)
        ]
        rows = np.concatenate(parts)
        result = np.empty_like(rows)
        result[order] = rows
        return result

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text has before truncation, special tokens included."""
        free = type(self._tokenizer).from_str(self._tokenizer.to_str())
        free.no_truncation()
        free.no_padding()
        return [len(encoding.ids) for encoding in free.encode_batch([self._clean(text) for text in texts])]

    def close(self) -> None:
        """Release the graph."""
        self._graph.close()

    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch([self._clean(text) for text in texts])
        inputs = {"input_ids": np.array([encoding.ids for encoding in encodings], np.int64)}
        if "attention_mask" in self._graph.inputs:
            inputs["attention_mask"] = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        rows = np.asarray(self._graph.run(inputs)[0], np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit_rows: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit_rows


class SemanticCache:
    """Semantic embeddings by text, for one bundle; optionally kept in a file from one process to the next.

    Args:
        file: Where to keep them, or None. A file that cannot be read is started anew: it is only a memory.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.exists():
            self._known = _read_cache(file)

    def lookup(
        self, texts: Iterable[str], encode: Callable[[list[str]], NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the embedding of each text, encoding those that are new.

        Args:
            texts: Any texts, repeats allowed.
            encode: Takes n texts, returns `(n, A)` float32.
        """
        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self._known]
        if new:
            if len(self._known) + len(new) > _MOST_CACHED:
                self._known = {text: self._known[text] for text in wanted if text in self._known}
            self._known.update(zip(new, encode(new), strict=True))
            if self._file is not None:
                with contextlib.suppress(OSError):  # a full disk costs the memory, not the classes
                    _write_cache(self._file, self._known)
        return {text: self._known[text] for text in wanted}


def tokenizer_from(data: bytes, file: str) -> Any:
    """Return the `tokenizers.Tokenizer` of a `tokenizer.json`.

    Raises:
        EngineError: When it does not load.
        MissingExtraError: When the package tokenizers is not installed.
    """
    try:
        import tokenizers
    except ImportError as cause:
        raise missing_extra("tokenizers", "text", "embedding the words of a class", cause) from cause
    try:
        return tokenizers.Tokenizer.from_str(data.decode())
    except Exception as cause:  # the binding raises Exception itself, and nothing more precise
        raise EngineError(f"the tokenizer does not load ({cause})", code="bad_tokenizer", where=Place(file)) from cause


def _write_cache(file: Path, known: dict[str, NDArray[np.float32]]) -> None:
    from safetensors.numpy import save

    texts = canonical_json(list(known)).decode()
    write_durably(file, save({"vectors": np.stack(list(known.values()))}, {"texts": texts}))


def _read_cache(file: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError, safe_open

    try:
        read_regular(file, max_bytes=_LARGEST_CACHE, error=PackError, follow=False)
        with safe_open(file, "numpy") as tensors:
            texts = parse_json(
                tensors.metadata()["texts"].encode(), file=str(file), error=PackError, max_bytes=_LARGEST_CACHE
            )
            return dict(zip(texts, tensors.get_tensor("vectors"), strict=True))
    except (SafetensorError, PackError, KeyError, TypeError, ValueError):
        return {}
