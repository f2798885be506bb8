"""Feature sets: what a zero-shot method is fitted and judged on, whatever the features are of.

Features are those of a visual encoder, or of anything else that has classes with descriptions. Rows are parted as in Xian
et al., "Zero-shot learning: a comprehensive evaluation", TPAMI 2018: unseen classes are judged on, never chosen by; some seen
classes are held back to choose by. Rows of `train` and `val` together are those of all seen classes, test rows of seen
classes included, as in the split files of that paper: figures of seen classes are for the rows of `trainval` alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from edgezsl.data.array_file import open_arrays
from edgezsl.errors import InputError, Place, shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

PARTS = ("train", "val", "trainval", "test_seen", "test_unseen")
# No class may be of both.
_APART = (("trainval", "test_unseen"), ("train", "val"), ("train", "test_unseen"), ("val", "test_unseen"))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSet:
    """Features with labels, descriptions of their classes, and how rows are parted.

    Attributes:
        name: What reports call it.
        features: `(N, F)` float32.
        labels: `(N,)` int64, each a row of `class_names` and of `semantics`.
        class_names: C names.
        semantics: `(C, A)` float32: attributes, or embeddings of sentences.
        rows: Row numbers by part: `train`, `val`, `trainval`, `test_seen`, `test_unseen`.
        attributes: A names of what the columns of `semantics` say, where they are attributes, or none.
        ids: C ids of the classes in WordNet or another graph, where names alone do not say which thing is meant, or none.
    """

    name: str
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    semantics: NDArray[np.float32]
    rows: Mapping[str, NDArray[np.int64]]
    attributes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_arrays(Place(self.name))
        self._check_parts(Place(self.name))

    def _check_arrays(self, where: Place) -> None:
        count, classes = len(self.labels), len(self.class_names)
        shapes = (self.features.ndim, self.labels.ndim, self.semantics.ndim)
        if shapes != (2, 1, 2):
            raise _refuse(f"features, labels and semantics of {shapes} dimensions", "2, 1 and 2", where)
        if len(set(self.class_names)) != classes:
            twice = next(name for name in self.class_names if self.class_names.count(name) > 1)
            raise _refuse(f"two classes called {shown(twice)}", "a name for each class", where)
        if len(self.features) != count or len(self.semantics) != classes:
            raise _refuse(f"{len(self.features)} features, {count} labels", "one label for each row", where)
        if self.attributes and len(self.attributes) != self.semantics.shape[1]:
            expected = f"{self.semantics.shape[1]}, one for each column of semantics"
            raise _refuse(f"{len(self.attributes)} names of attributes", expected, where)
        if self.ids and len(self.ids) != classes:
            raise _refuse(f"{len(self.ids)} ids", f"{classes}, one for each class", where)
        for name, values in (("features", self.features), ("semantics", self.semantics)):
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                raise _refuse(f"{name} that are no numbers, such as row {row}", "finite values", where)
        if count and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise _refuse(f"labels up to {self.labels.max()} of {classes} classes", "rows of class_names", where)

    def _check_parts(self, where: Place) -> None:
        if set(self.rows) != set(PARTS):
            raise _refuse(f"the parts {', '.join(sorted(self.rows))}", ", ".join(PARTS), where)
        for part, rows in self.rows.items():
            if rows.ndim != 1:
                raise _refuse(f"{part} of {rows.ndim} dimensions", "a list of rows", where)
            if len(rows) and not 0 <= rows.min() <= rows.max() < len(self.labels):
                raise _refuse(f"{part} has the row {rows.max()} of {len(self.labels)}", "rows from 0", where)
        for seen, unseen in _APART:
            both = np.intersect1d(self.classes(seen), self.classes(unseen))
            if len(both):
                names = ", ".join(self.class_names[one] for one in both[:3])
                raise _refuse(f"{names} of both {seen} and {unseen}", "classes of one of the two", where)
        both = np.intersect1d(self.rows["trainval"], self.rows["test_seen"])
        if len(both):
            raise _refuse(
                f"{len(both)} rows of both trainval and test_seen", "rows to learn from or to judge by", where
            )
        strange = np.setdiff1d(self.classes("test_seen"), self.classes("trainval"))
        if len(strange):
            names = ", ".join(self.class_names[one] for one in strange[:3])
            raise _refuse(f"{names} in test_seen and not in trainval", "seen classes", where)

    def classes(self, part: str) -> NDArray[np.int64]:
        """Return the classes of a part, ascending `(K,)`."""
        return np.unique(self.labels[self.rows[part]])

    def digest(self) -> str:
        """Return the SHA-256 of features, labels, semantics, names and parts, hexadecimal."""
        whole = hashlib.sha256("\0".join(self.class_names).encode())
        arrays: list[NDArray[Any]] = [self.features, self.labels, self.semantics, *(self.rows[part] for part in PARTS)]
        for values in arrays:
            whole.update(f"{values.shape}{values.dtype.str}".encode())
            whole.update(np.ascontiguousarray(values).tobytes())
        return whole.hexdigest()

    def of(self, part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return features `(n, F)` and labels `(n,)` of a part."""
        rows = self.rows[part]
        return self.features[rows], self.labels[rows]


def read_feature_set(path: Path) -> FeatureSet:
    """Read the generic `.npz` by which any modality can come in.

    It holds `features (N, F)`, `labels (N,)`, `semantics (C, A)`, `class_names (C,)`, and row numbers from 0 under `train_loc`,
    `val_loc`, `trainval_loc`, `test_seen_loc` and `test_unseen_loc`; and `attributes (A,)`, names, where classes have attributes,
    and `ids (C,)`, for methods on a graph, where names do not say which of its nodes a class is.

    Raises:
        InputError: When it cannot be read, lacks an array, or a class is of parts that exclude each other.
    """
    try:
        with open_arrays(path) as file:
            return FeatureSet(
                path.stem,
                file["features"].astype(np.float32),
                file["labels"].astype(np.int64),
                tuple(file["class_names"].tolist()),
                file["semantics"].astype(np.float32),
                {part: file[f"{part}_loc"].astype(np.int64) for part in PARTS},
                tuple(file["attributes"].tolist()) if "attributes" in file else (),
                tuple(file["ids"].tolist()) if "ids" in file else (),
            )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, BadZipFile) as cause:
        expected = (
            f"an .npz with features, labels, semantics, class_names and {', '.join(f'{part}_loc' for part in PARTS)}"
        )
        message = f"this is no feature set ({cause})"
        raise InputError(message, code="bad_features", where=Place(str(path)), expected=expected) from cause


def _refuse(got: str, expected: str, where: Place) -> InputError:
    return InputError(f"there are {got}", code="bad_features", where=where, expected=expected)
