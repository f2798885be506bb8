"""The feature sets of Xian et al., "Zero-shot learning: a comprehensive evaluation", TPAMI 2018, as their authors gave them out.

Two MATLAB files a set: `res101.mat` with the features of a ResNet-101, and `att_splits.mat` with class vectors and splits. Both count
from 1. They are not part of this project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.data.feature_set import PARTS, FeatureSet
from edgezsl.errors import InputError, Place, first_line, missing_extra

if TYPE_CHECKING:
    from pathlib import Path

FEATURES, SPLITS = "res101.mat", "att_splits.mat"


def read_xlsa17(folder: Path) -> FeatureSet:
    """Return the proposed split of a set, such as the folder `CUB`.

    Args:
        folder: Holds `res101.mat` and `att_splits.mat`.

    Raises:
        InputError: When a file cannot be read, or lacks an array.
        MissingExtraError: When SciPy, which reads MATLAB files, is not installed.
    """
    features, splits = (_arrays(folder / name) for name in (FEATURES, SPLITS))
    try:
        names = tuple(str(np.ravel(one)[0]) for one in np.ravel(splits["allclasses_names"]))
        return FeatureSet(
            folder.name.lower(),
            features["features"].T.astype(np.float32),
            features["labels"].ravel().astype(np.int64) - 1,
            names,
            splits["att"].T.astype(np.float32),
            {part: splits[f"{part}_loc"].ravel().astype(np.int64) - 1 for part in PARTS},
        )
    except KeyError as cause:
        needed = f"features and labels; att, allclasses_names and {', '.join(f'{part}_loc' for part in PARTS)}"
        raise _unreadable(folder, f"{cause} is missing", needed) from cause


def _arrays(path: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError as cause:
        raise missing_extra("scipy", "train", "reading MATLAB files", cause) from cause
    try:
        arrays: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError) as cause:  # the last: a file of MATLAB 7.3
        raise _unreadable(path, first_line(cause), "a MATLAB file of version 5, as the authors gave it out") from cause
    return arrays


def _unreadable(path: Path, reason: str, expected: str) -> InputError:
    where = Place(str(path))
    return InputError(f"the set cannot be read ({reason})", code="bad_features", where=where, expected=expected)
