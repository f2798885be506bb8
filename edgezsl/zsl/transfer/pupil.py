"""Distillation of features alone: what a smaller encoder is to learn where nothing is known but images of seen classes.

A teacher's classifier rows are left aside. They are of all classes that it knows, unseen ones among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError
from edgezsl.zsl.distill import TeacherSpace
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_means

if TYPE_CHECKING:
    from numpy.typing import NDArray


def feature_space(features: NDArray[np.floating], labels: NDArray[np.integer], *, dim: int) -> TeacherSpace:
    """Return the space of the D = `dim` directions along which a teacher's features differ most.

    Its rows are the means of the classes, and its classifier is the nearest mean.

    Args:
        features: `(N, F)` of images of seen classes.
        labels: `(N,)`.
        dim: D, at most the smaller one of N and F.

    Raises:
        InputError: When there are fewer directions.
    """
    if not 1 <= dim <= min(features.shape):
        rows, width = features.shape
        raise InputError(
            f"{rows} rows of {width} features have no {dim} directions",
            code="bad_setting",
            expected=f"at most {min(rows, width)}",
        )
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    projection = np.linalg.eigh(centred.T @ centred)[1][:, : -dim - 1 : -1]
    means = class_means(features, labels)[1]
    parts = (mean, projection, unit((means - mean) @ projection), means, -0.5 * np.square(means).sum(axis=1))
    return TeacherSpace(*(np.ascontiguousarray(part, np.float32) for part in parts))
