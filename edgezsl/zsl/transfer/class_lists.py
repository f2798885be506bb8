"""Right and wrong class lists: what refinement on unlabelled images gains with the first and loses with the others.

A list is wrong where names of classes that are in the images are replaced by names of classes that are not. Lists are made of classes
that are held back, and the radius of the trust region is chosen by them; they are made of test classes to be judged, and no other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError, Place
from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.zsl.method import cosine_sides
from edgezsl.zsl.selection import rows_to_choose_by
from edgezsl.zsl.transfer.refinement import TrustRegion, refined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Rows, ZeroShotMethod

RIGHT, FOREIGN = 0.0, 1.0  # shares of names that are wrong
WRONG = (0.25, 0.5, 0.75, FOREIGN)
RADII = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)  # radians
MOST_LOST = 0.005  # of T1, where a radius is chosen
_LEAST_CLASSES = 4


@dataclass(frozen=True, slots=True, eq=False)
class ClassList:
    """Prototypes of a list, the unlabelled images that they may follow, and the images that it is judged on.

    Attributes:
        wrong: Share of the names that no image belongs to, in [0, 1].
        predicted: From descriptions, at length 1 `(K, D)`.
        images: Embeddings at length 1 `(N, D)`.
        judged: Embeddings `(J, D)` of images of listed classes: those among `images`; where there are none, others.
        targets: `(J,)`, rows of `predicted`.
    """

    wrong: float
    predicted: Rows
    images: Rows
    judged: Rows
    targets: NDArray[np.int64]

    def accuracy(self, prototypes: Rows) -> float:
        """Return the mean over classes of top-1 accuracy among all that are listed, in [0, 1]."""
        return per_class_accuracy((self.judged @ prototypes.T).argmax(axis=1), self.targets)

    def gain(self, region: TrustRegion) -> float:
        """Return what refinement gains, or, where it is negative, loses, in [-1, 1]."""
        return self.accuracy(refined(self.predicted, self.images, region)) - self.accuracy(self.predicted)


def class_lists(
    method: ZeroShotMethod, data: FeatureSet, *, part: str, seeds: Sequence[int], wrong: Iterable[float] = WRONG
) -> Iterator[ClassList]:
    """Yield the right list of a part's classes, and for each share and seed a wrong one.

    With a share below 1, as many names are replaced by names of classes that the method was fitted on, and the images stay. With 1, half
    of the classes are listed, and the unlabelled images are those of the other half.

    Args:
        method: Fitted; its scores are cosines.
        data: The feature set.
        part: `val`, the method being fitted on `train`; or `test_unseen`, it being fitted on `trainval`.
        seeds: Of the draws of wrong names.
        wrong: Shares.

    Raises:
        InputError: When scores of the method are no cosines, or the part has fewer than four classes.
    """
    features, labels = data.of(part)
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < _LEAST_CLASSES:
        message = f"{part} has {len(classes)} classes"
        raise InputError(message, code="too_few_classes", where=Place(data.name), expected=f"at least {_LEAST_CLASSES}")
    fitted = data.classes("train" if part == "val" else "trainval")
    images, vectors = cosine_sides(method, features, data.semantics[np.concatenate([classes, fitted])])
    # Twice as fast as in float64, and far finer than what is looked at.
    images, vectors = images.astype(np.float32), vectors.astype(np.float32)
    predicted, others = vectors[: len(classes)], vectors[len(classes) :]
    yield ClassList(RIGHT, predicted, images, images, targets)
    for share in wrong:
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(classes))
            if share == FOREIGN:
                yield _foreign(predicted, images, targets, order[: len(classes) // 2])
            else:
                gone = order[: max(1, round(share * len(classes)))]
                names = np.random.default_rng(seed).permutation(len(others))[: len(gone)]
                yield _replaced(share, predicted, images, targets, gone=gone, names=others[names])


def _replaced(
    share: float, predicted: Rows, images: Rows, targets: NDArray[np.int64], *, gone: NDArray[np.int64], names: Rows
) -> ClassList:
    """Return a list where classes that are in the images have given way to others; without as many others, it is shorter."""
    listed = predicted.copy()
    listed[gone[: len(names)]] = names
    kept = ~np.isin(targets, gone)
    return ClassList(share, listed, images, images[kept], targets[kept])


def _foreign(predicted: Rows, images: Rows, targets: NDArray[np.int64], listed: NDArray[np.int64]) -> ClassList:
    """Return a list of classes none of which is in the unlabelled images."""
    own = np.isin(targets, listed)
    names = np.sort(listed)
    return ClassList(FOREIGN, predicted[names], images[~own], images[own], np.searchsorted(names, targets[own]))


def mean_gains(lists: Iterable[ClassList], regions: Sequence[TrustRegion]) -> dict[float, NDArray[np.float64]]:
    """Return by share of wrong names what each region gains in the mean over lists, `(R,)`."""
    found: dict[float, list[list[float]]] = {}
    for one in lists:
        found.setdefault(one.wrong, []).append([one.gain(region) for region in regions])
    return {wrong: np.mean(gains, axis=0) for wrong, gains in found.items()}


def chosen_region(
    method: ZeroShotMethod,
    data: FeatureSet,
    *,
    seeds: Sequence[int] = range(5),
    wrong: Sequence[float] = WRONG,
    most_lost: float = MOST_LOST,
    part: str = "val",
) -> TrustRegion:
    """Return the region that gains most with the right list of those with which no kind of wrong list loses more than it may.

    Args:
        method: Fitted on the training classes alone; its scores are cosines.
        data: The feature set.
        seeds: Of the draws of wrong names.
        wrong: Shares of wrong names to look at; none: the right list alone decides.
        most_lost: Of T1, in the mean over the lists of a share.
        part: Whose rows choose.

    Raises:
        InputError: When `part` holds rows that are judged, or as `class_lists` does.
    """
    rows_to_choose_by(data, part)
    regions = [TrustRegion(radius) for radius in RADII]
    gains = mean_gains(class_lists(method, data, part=part, seeds=seeds, wrong=wrong), regions)
    right = gains.pop(RIGHT)
    lost = np.max([-one for one in gains.values()], axis=0) if gains else np.zeros(len(regions))
    return regions[int(np.where(lost <= most_lost, right, -np.inf).argmax())]
