"""The class pack, `classes.safetensors`: its header, its tensors, and what a reader checks before it allocates.

The format is docs/bundle-format.md, section "Class pack". This module knows bytes and shapes; what the numbers mean is
`edgezsl.prototypes`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import PackError, Place, shown
from edgezsl.records import Fields, canonical_json, parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACK_FORMAT = "edgezsl-classes/1"
LARGEST_PACK = 4 << 30  # bytes
PACK_SUFFIX = ".safetensors"
LARGEST_HEADER = 64 << 20  # bytes
_DTYPES = {"vectors": "F32", "bias": "F32", "thresholds": "F32", "seen": "U8", "negative": "U8"}


@dataclass(frozen=True, slots=True)
class PackHeader:
    """What a class pack says of itself, without its numbers.

    Attributes:
        names: K names.
        space: The id of its embedding space.
        dim: D.
        reject: The set's threshold, or None.
        seen_penalty: γ.
    """

    names: tuple[str, ...]
    space: str
    dim: int
    reject: float | None
    seen_penalty: float

    def to_bytes(self, tensors: dict[str, NDArray[Any]]) -> bytes:
        """Return a pack of this header and `tensors`: equal sets give equal bytes in every process.

        Args:
            tensors: `vectors (K, D)`, `bias (K,)`, `thresholds (K,)` float32, `seen (K,)`, `negative (K,)` bool.
        """
        from safetensors.numpy import save

        # Row by row: safetensors writes the bytes of a transposed array in the order in which they lie in memory.
        rows = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        stored = {name: array.view(np.uint8) if array.dtype == np.bool_ else array for name, array in rows.items()}
        header = {
            "format": PACK_FORMAT,
            "names": self.names,
            "space": self.space,
            "reject": self.reject,
            "seen_penalty": self.seen_penalty,
        }
        # One metadata key only: several come out in random order, and the digest with them.
        return save(stored, {"edgezsl": canonical_json(header).decode()})

    @classmethod
    def from_bytes(cls, data: bytes, *, file: str) -> PackHeader:
        """Read the header of a pack, checking it against the file's length before anything is allocated.

        Raises:
            PackError: When the header is damaged, or is not that of a class pack.
        """
        tensors = _tensor_table(data, file)
        metadata = Fields(tensors.pop("__metadata__", None), Place(file, field="__metadata__"), PackError)
        text = metadata.text("edgezsl")
        metadata.done()
        known = parse_json(text.encode(), file=file, error=PackError, max_bytes=LARGEST_HEADER)
        fields = Fields(known, Place(file, field="edgezsl"), PackError)
        form = fields.text("format")
        if form != PACK_FORMAT:
            raise fields.refuse("format", f"the format is {shown(form)}", code="unknown_format", expected=PACK_FORMAT)
        names, space = fields.texts("names"), fields.text("space")
        reject, penalty = fields.number("reject", None), fields.number("seen_penalty")
        fields.done()
        dim = _check_tensor_table(tensors, len(names), file)
        return cls(names, space, dim, reject, penalty)


def _tensor_table(data: bytes, file: str) -> dict[str, Any]:
    place = Place(file)
    if len(data) < struct.calcsize("<Q"):
        raise PackError(f"the pack has only {len(data)} bytes", code="truncated", where=place)
    (length,) = struct.unpack_from("<Q", data)
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise PackError(f"the header claims {length} bytes of a file of {len(data)}", code="bad_header", where=place)
    table = parse_json(data[8 : 8 + length], file=file, error=PackError, max_bytes=LARGEST_HEADER)
    if not isinstance(table, dict):
        raise PackError(f"the header is {shown(table)}", code="bad_header", where=place, expected="a JSON object")
    return table


def _check_tensor_table(tensors: dict[str, Any], count: int, file: str) -> int:
    """Check the names, types and shapes of the tensors; return D."""
    dim = 0
    table = Fields(tensors, Place(file), PackError)
    for name, dtype in _DTYPES.items():
        tensor = table.inner(name)
        found, shape = tensor.text("dtype"), tensor.counts("shape")
        tensor.counts("data_offsets")
        tensor.done()
        if name == "vectors":
            dim = shape[-1] if shape else 0
        wanted = (count, dim) if name == "vectors" else (count,)
        if found != dtype or shape != wanted or not dim:
            message = f"{name} is {shown(found)} {shown(list(shape))}"
            raise table.refuse(name, message, code="bad_shape", expected=f"{dtype} {list(wanted)}")
    table.done()
    return dim


def load_tensors(data: bytes, file: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a pack whose header has been read, as read-only arrays.

    Raises:
        PackError: When the tensors overlap, leave holes, or end before or after the file does, or a flag is not 0 or 1.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except SafetensorError as cause:
        raise PackError(f"the pack is damaged ({cause})", code="damaged", where=Place(file)) from cause
    for name in ("seen", "negative"):
        if tensors[name].max(initial=0) > 1:
            message = f"{name} holds the value {tensors[name].max()}"
            raise PackError(message, code="bad_value", where=Place(file, field=name), expected="0 or 1")
        tensors[name] = tensors[name].astype(np.bool_)
    return tensors
