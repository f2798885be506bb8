"""Class prototypes: the matrix that says what a device recognises, and the file that carries it.

A class is a row. `ClassPrototypes` is checked once, at birth, and never changes: a swap replaces the whole object.
It knows nothing of the text or the pictures that its rows were made from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import PackError, Place, SpaceMismatchError, shown
from edgezsl.files import read_regular, write_durably
from edgezsl.names import canonical_name, name_fault
from edgezsl.pack import LARGEST_PACK, PackHeader, load_tensors
from edgezsl.records import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.contract import EmbeddingSpace

UNIT_TOLERANCE = 1e-3  # a row's length may differ from 1 by this much under cosine
_LARGEST_SCORE = 1e30  # what is added to a score or compared with one: finite in float32, and so are sums of a few


@dataclass(frozen=True, slots=True, eq=False)
class ClassRow:
    """One class, as a row of the matrix.

    Attributes:
        name: The class's name.
        vector: `(D,)`, of length 1 where the space is cosine.
        bias: Added to the similarity.
        threshold: The least score at which the class is decided on, or None.
        seen: Whether the class was seen in training.
        negative: Whether the class absorbs, and is never reported.
    """

    name: str
    vector: NDArray[np.float32]
    bias: float = 0.0
    threshold: float | None = None
    seen: bool = False
    negative: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClassPrototypes:
    """A set of classes as a matrix. All arrays are read-only; row k of each belongs to `names[k]`.

    The arrays given are taken over, not copied, and made read-only: keep no writable view of them.

    Attributes:
        names: K unique names.
        vectors: `(K, D)` float32, finite; of length 1 where the space is cosine.
        space: The embedding space that the rows live in.
        bias: `(K,)` float32, added to the similarity.
        thresholds: `(K,)` float32; NaN where the class has none of its own.
        seen: `(K,)` bool: the class was seen in training, and pays `seen_penalty`.
        negative: `(K,)` bool: the class absorbs, and is never reported.
        reject: The threshold of every class that has none of its own, or None.
        seen_penalty: γ ≥ 0 of calibrated stacking (Chao et al., ECCV 2016, equation 2), in units of score.
        offset: `(K,)` float32, `bias - seen_penalty * seen`: what scoring adds.
        limits: `(K,)` float32, the threshold in force for each class; `-inf` where there is none.

    Raises:
        PackError: When a shape, a name or a value breaks these rules.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    space: EmbeddingSpace
    bias: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    seen: NDArray[np.bool_]
    negative: NDArray[np.bool_]
    reject: float | None = None
    seen_penalty: float = 0.0
    offset: NDArray[np.float32] = field(init=False, repr=False)
    limits: NDArray[np.float32] = field(init=False, repr=False)
    _digest: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        _check_names(self.names)
        _check_shapes(self)
        _check_values(self)
        # Plain floats: 1 and 1.0, and -0.0 and 0.0, are equal and must give equal packs.
        self._set("seen_penalty", float(self.seen_penalty) + 0.0)
        self._set("reject", None if self.reject is None else float(self.reject) + 0.0)
        fallback = -np.inf if self.reject is None else self.reject
        self._set("offset", self.bias - np.float32(self.seen_penalty) * self.seen)
        self._set("limits", np.where(np.isnan(self.thresholds), np.float32(fallback), self.thresholds))
        for array in (self.vectors, self.bias, self.thresholds, self.seen, self.negative, self.offset, self.limits):
            array.flags.writeable = False

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def from_rows(
        cls, rows: Iterable[ClassRow], space: EmbeddingSpace, *, reject: float | None = None, seen_penalty: float = 0.0
    ) -> ClassPrototypes:
        """Return the set of `rows`, in their order.

        Raises:
            PackError: When they do not make a valid set.
        """
        kept = list(rows)
        if not kept:
            _check_names(())
        lengths = {len(row.vector) for row in kept} - {space.dim}
        if lengths:
            raise _refuse(
                "vectors", f"a row has {lengths.pop()} values", f"{space.dim}, the space's dimension", "bad_shape"
            )
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused as that
            vectors = np.array([row.vector for row in kept], np.float32)
            bias = np.array([row.bias for row in kept], np.float32)
            thresholds = np.array([np.nan if row.threshold is None else row.threshold for row in kept], np.float32)
        return cls(
            tuple(row.name for row in kept),
            vectors,
            space,
            bias,
            thresholds,
            np.array([row.seen for row in kept], np.bool_),
            np.array([row.negative for row in kept], np.bool_),
            reject,
            seen_penalty,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def digest(self) -> str:
        """SHA-256 of the class pack, 64 hexadecimal digits: computed when first asked for."""
        if not self._digest:
            self._set("_digest", sha256_hex(self.to_bytes()))
        return self._digest

    def select(self, names: Sequence[str]) -> ClassPrototypes:
        """Return the rows of `names`, in that order.

        Raises:
            PackError: When a name is not among them.
        """
        index = {name: row for row, name in enumerate(self.names)}
        unknown = [name for name in names if name not in index]
        if unknown:
            raise PackError(
                f"there is no class {shown(unknown[0])}", code="unknown_class", expected="one of the set's names"
            )
        rows = [index[name] for name in names]
        return self._with_rows(names, *(array[rows] for array in self._columns()))

    def extend(self, other: ClassPrototypes) -> ClassPrototypes:
        """Return these rows followed by those of `other`; reject and seen penalty stay this set's.

        Raises:
            SpaceMismatchError: When the spaces differ.
            PackError: When a name stands in both.
        """
        self.space.check_same(other.space, "the other class set")
        pairs = zip(self._columns(), other._columns(), strict=True)
        return self._with_rows((*self.names, *other.names), *(np.concatenate(pair) for pair in pairs))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.vectors, self.bias, self.thresholds, self.seen, self.negative

    def _with_rows(self, names: Sequence[str], vectors: NDArray[np.float32], *columns: Any) -> ClassPrototypes:
        bias, thresholds, seen, negative = columns
        return ClassPrototypes(
            tuple(names), vectors, self.space, bias, thresholds, seen, negative, self.reject, self.seen_penalty
        )

    def to_bytes(self) -> bytes:
        """Return the class pack: equal sets give equal bytes in every process."""
        header = PackHeader(self.names, self.space.id, self.space.dim, self.reject, self.seen_penalty)
        return header.to_bytes(
            {
                "vectors": self.vectors,
                "bias": self.bias,
                "thresholds": self.thresholds,
                "seen": self.seen,
                "negative": self.negative,
            }
        )

    def write(self, path: Path) -> None:
        """Write the class pack durably.

        Raises:
            PackError: When the file cannot be written.
        """
        try:
            write_durably(path, self.to_bytes())
        except OSError as cause:
            place = Place(str(path))
            raise PackError(
                f"the pack cannot be written ({cause.strerror})",
                code="not_writable",
                where=place,
                hint="write it into a folder that is there and yours: --out",
            ) from cause

    @classmethod
    def from_bytes(cls, data: bytes, space: EmbeddingSpace, *, file: str) -> ClassPrototypes:
        """Return the prototypes of a class pack.

        Args:
            data: The pack.
            space: The space of the model that will use it.
            file: What to call the pack in errors.

        Raises:
            PackError: When the pack is damaged or breaks a rule.
            SpaceMismatchError: When it was made for another space.
        """
        pack = PackHeader.from_bytes(data, file=file)
        if (pack.space, pack.dim) != (space.id, space.dim):
            raise SpaceMismatchError(
                f"the pack lives in the embedding space {shown(pack.space[:12])} (D={pack.dim}), this model in {space}",
                code="space_mismatch",
                where=Place(file),
                hint="embed the classes again with this model: edgezsl embed --bundle DIR classes.yaml, or --model DIR on a graph",
            )
        tensors = load_tensors(data, file)
        try:
            pack_set = cls(
                pack.names,
                tensors["vectors"],
                space,
                tensors["bias"],
                tensors["thresholds"],
                tensors["seen"],
                tensors["negative"],
                pack.reject,
                pack.seen_penalty,
            )
        except PackError as fault:
            fault.where = Place(file, field=fault.where.field)
            raise
        pack_set._set("_digest", sha256_hex(data))
        return pack_set

    @classmethod
    def read(cls, path: Path, space: EmbeddingSpace) -> ClassPrototypes:
        """Read a class pack from a file.

        Raises:
            PackError: When the file cannot be read, is damaged or breaks a rule.
            SpaceMismatchError: When it was made for another space.
        """
        return cls.from_bytes(read_regular(path, max_bytes=LARGEST_PACK, error=PackError), space, file=str(path))


def _refuse(field: str, message: str, expected: str, code: str = "bad_value") -> PackError:
    return PackError(message, code=code, where=Place(field=field), expected=expected)


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise _refuse("names", "the set holds 0 classes", "at least 1", "no_classes")
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        fault = name_fault(name)
        if fault:
            raise _refuse(f"names[{row}]", f"the class name {shown(name)} {fault}", "a visible name", "bad_name")
        first = rows.setdefault(canonical_name(name), row)
        if first != row:
            raise _refuse(
                f"names[{row}]", f"the name {shown(name)} stands in row {first} too", "unique names", "duplicate_name"
            )


def _check_shapes(prototypes: ClassPrototypes) -> None:
    count, dim = len(prototypes.names), prototypes.space.dim
    wanted: dict[str, tuple[int, ...]] = {
        "vectors": (count, dim),
        "bias": (count,),
        "thresholds": (count,),
        "seen": (count,),
        "negative": (count,),
    }
    for name, shape in wanted.items():
        array: NDArray[Any] = getattr(prototypes, name)
        kind = np.bool_ if name in {"seen", "negative"} else np.float32
        if array.shape != shape or array.dtype != kind:
            message = f"{name} is {array.dtype} {array.shape}"
            raise _refuse(name, message, f"{np.dtype(kind)} {shape}", "bad_shape")


def _check_values(prototypes: ClassPrototypes) -> None:
    names, vectors = prototypes.names, prototypes.vectors
    # einsum, not linalg.norm: no second copy of the matrix. NaN and infinity anywhere in a row reach its sum.
    squared = np.einsum("kd,kd->k", vectors, vectors)
    _check_rows(np.isfinite(squared), names, "vectors", "is not finite")
    _check_rows(squared > 0, names, "vectors", "is zero")
    if prototypes.space.similarity == "cosine":
        _check_rows(np.abs(squared - 1) <= 2 * UNIT_TOLERANCE, names, "vectors", "has a length other than 1")
    _check_rows(np.abs(prototypes.bias) <= _LARGEST_SCORE, names, "bias", "is not within ±1e30")
    _check_rows(~np.isinf(prototypes.thresholds), names, "thresholds", "is infinite")
    if prototypes.reject is not None and not abs(prototypes.reject) <= _LARGEST_SCORE:
        raise _refuse("reject", f"reject is {prototypes.reject}", "a finite number or none")
    if not 0 <= prototypes.seen_penalty <= _LARGEST_SCORE:
        raise _refuse("seen_penalty", f"seen_penalty is {prototypes.seen_penalty}", "a finite number ≥ 0")


def _check_rows(good: NDArray[np.bool_], names: tuple[str, ...], field_name: str, fault: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise _refuse(
            f"{field_name}[{row}]", f"{field_name} of the class {shown(names[row])} {fault}", "finite values", "bad_row"
        )
