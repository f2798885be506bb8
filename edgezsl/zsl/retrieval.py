"""Images and sentences in one space: for an image the sentence of its class, for a sentence the images of its class.

The classes are unseen ones, so that no image and no sentence of theirs was fitted on. Scores are those by which classes are
recognised; a method need not be made for retrieval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.metrics import own_ranks
from edgezsl.zsl.method import class_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Method

RECALLS = (1, 5)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Recall both ways, each by the k of recall@k, in [0, 1].

    Attributes:
        images: How many there are.
        sentences: How many there are: one for each class.
        to_sentence: The share of images whose class's sentence is among the k best sentences.
        to_image: The share of sentences for which an image of their class is among the k best images.
        chance_to_sentence: The same for sentences in a random order.
        chance_to_image: The same for images in a random order.
    """

    images: int
    sentences: int
    to_sentence: Mapping[int, float]
    to_image: Mapping[int, float]
    chance_to_sentence: Mapping[int, float]
    chance_to_image: Mapping[int, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        ways = ("to_sentence", "to_image", "chance_to_sentence", "chance_to_image")
        found = {way: {f"recall@{k}": round(value, 6) for k, value in getattr(self, way).items()} for way in ways}
        return {"images": self.images, "sentences": self.sentences, **found}


def retrieval(method: Method, data: FeatureSet, *, part: str = "test_unseen") -> Retrieval:
    """Return the recall of a fitted method on the classes of a part.

    Args:
        method: Fitted on other classes.
        data: The feature set.
        part: Whose rows are images, and whose classes are sentences.
    """
    classes, (features, labels) = data.classes(part), data.of(part)
    scores = class_scores(method, features, data.semantics[classes])
    return recalls(np.asarray(scores), np.searchsorted(classes, labels))


def recalls(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> Retrieval:
    """Return the recall both ways.

    Args:
        scores: `(N, K)`, of images for sentences.
        labels: `(N,)`, columns of `scores`: the sentence of each image; every sentence has an image.
    """
    count, sentences = scores.shape
    ranks = own_ranks(scores, labels)
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = labels[order] == np.arange(sentences)
    own = np.bincount(labels, minlength=sentences)
    return Retrieval(
        count,
        sentences,
        {k: float((ranks < k).mean()) for k in RECALLS},
        {k: float(hits[:k].any(axis=0).mean()) for k in RECALLS},
        {k: min(1.0, k / sentences) for k in RECALLS},
        {k: float(np.mean([_chance(count, images, k) for images in own])) for k in RECALLS},
    )


def _chance(count: int, own: int, k: int) -> float:
    """Return the chance that one of `k` images, drawn without putting back, is among the `own` of `count`."""
    places = np.arange(min(k, count))
    return 1.0 - float(np.prod(np.maximum(count - own - places, 0) / (count - places)))
