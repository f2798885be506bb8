"""Texts to semantic embeddings by a table: a text is the weighted sum of its tokens' rows.

The file is `token_table.safetensors` (docs/bundle-format.md): no graph to run, a few microseconds for a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.bundle import TOKEN_TABLE, TOKENIZER
from edgezsl.errors import BundleError, EngineError, Place
from edgezsl.records import canonical_json
from edgezsl.runtime.text import tokenizer_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle

_FORMAT = "edgezsl-token-table/1"
_LARGEST_INT8 = 127


class TokenTable:
    """A bundle's token table.

    Args:
        tokenizer: A `tokenizers.Tokenizer`; it adds no special tokens.
        rows: `(V, A)` float16, or int8 with `scale`.
        weight: `(V,)` float32, of each token.
        scale: `(V,)` float32: what an int8 row is multiplied by.

    Raises:
        EngineError: When the shapes do not fit each other or the tokenizer.
    """

    def __init__(
        self,
        tokenizer: Any,
        rows: NDArray[Any],
        weight: NDArray[np.float32],
        scale: NDArray[np.float32] | None = None,
    ) -> None:
        tokens = tokenizer.get_vocab_size()
        factor = weight if scale is None else weight * scale if scale.shape == weight.shape else None
        if rows.ndim != 2 or weight.shape != (len(rows),) or factor is None or len(rows) < tokens:  # noqa: PLR2004  # a matrix
            raise EngineError(
                f"the token table is {rows.shape} with weights {weight.shape}",
                code="bad_token_table",
                where=Place(TOKEN_TABLE),
                expected=f"a row and a weight for each of the tokenizer's {tokens} tokens",
                hint="export the model again",
            )
        self._tokenizer = tokenizer
        self._rows = rows
        self._factor = factor.astype(np.float32)

    @classmethod
    def open(cls, bundle: Bundle) -> TokenTable:
        """Load the token table of a bundle.

        Raises:
            BundleError: When the bundle has none, or it is damaged.
            EngineError: When table and tokenizer do not fit.
            MissingExtraError: When the package tokenizers is not installed.
        """
        tokenizer = tokenizer_from(bundle.read(TOKENIZER), str(bundle.folder / TOKENIZER))
        return cls.from_bytes(bundle.read(TOKEN_TABLE), tokenizer, file=str(bundle.folder / TOKEN_TABLE))

    @classmethod
    def from_bytes(cls, data: bytes, tokenizer: Any, *, file: str) -> TokenTable:
        """Return the token table in the bytes of its file.

        Args:
            data: The bytes.
            tokenizer: A `tokenizers.Tokenizer`; it adds no special tokens.
            file: What to call it in errors.

        Raises:
            BundleError: When it is damaged.
            EngineError: When table and tokenizer do not fit.
        """
        tensors = _tensors(data, file)
        return cls(tokenizer, tensors["table"], tensors["weight"], tensors.get("scale"))

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the unit semantic embeddings of `texts`, `(len(texts), A)`; one without a token is zero."""
        sums = np.zeros((len(texts), self._rows.shape[1]), np.float32)
        for row, encoding in enumerate(self._tokenizer.encode_batch(texts)):
            ids = encoding.ids
            sums[row] = self._factor[ids] @ self._rows[ids].astype(np.float32)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        unit_rows: NDArray[np.float32] = sums / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit_rows

    def token_counts(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text has."""
        return [len(encoding.ids) for encoding in self._tokenizer.encode_batch(texts)]

    def close(self) -> None:
        """Release nothing: a table holds no session."""


def table_bytes(rows: NDArray[np.floating], weight: NDArray[np.floating]) -> bytes:
    """Return `token_table.safetensors` with rows `(V, A)` as int8, each with its own scale.

    Args:
        rows: `(V, A)`.
        weight: `(V,)`.
    """
    from safetensors.numpy import save

    scale = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / _LARGEST_INT8
    tensors = {
        "table": np.rint(rows / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "weight": np.ascontiguousarray(weight, np.float32),
    }
    return save(tensors, {"edgezsl": canonical_json({"format": _FORMAT}).decode()})


def _tensors(data: bytes, file: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError) as cause:  # KeyError: a dtype that numpy does not have
        raise BundleError(f"the token table is damaged ({cause})", code="damaged", where=Place(file)) from cause
    kinds = {name: str(array.dtype) for name, array in tensors.items()}
    allowed = (
        {"table": "float16", "weight": "float32"},
        {"table": "int8", "scale": "float32", "weight": "float32"},
    )
    if kinds not in allowed or not all(np.isfinite(tensors[name]).all() for name in kinds):
        raise BundleError(
            f"the token table holds {kinds}",
            code="bad_token_table",
            where=Place(file),
            expected="table float16 and weight float32, or table int8, scale and weight float32, all finite",
            hint="export the model again",
        )
    return tensors
