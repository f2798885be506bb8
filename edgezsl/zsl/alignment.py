"""Fitting a trained visual encoder to its class side: what all images share is taken off, and pictures lose to words.

A mean that all images share lies nearer to some prototypes than to others, which then answer for everything
(Radovanović et al., "Hubs in space", JMLR 2010; for zero-shot learning Dinu et al., ICLR 2015 workshop). Sets of images
of different sharpness have different means; their difference says nothing of what an image shows either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.data.pool import Crops
    from edgezsl.preprocess import Preprocessor

EXAMPLES = 5  # pictures of a class by pictures, when the penalty is measured
_PICTURES = 10  # of each class that are looked at
_PHOTOGRAPHS = 750  # of the set with the largest share
_VOCABULARY, _VOCABULARIES = 40, 20
_HALVINGS = 12  # of the interval [0, 1] in which the penalty is looked for
_BATCH = 64


class CentredEncoder(nn.Module):
    """A visual encoder without what all images share: unit(y - (y·s)s) of y = x - c.

    Args:
        encoder: Pixels to unit embeddings x `(N, D)`.
        alignment: Gives the center c and the domain shift s.
    """

    def __init__(self, encoder: nn.Module, alignment: Alignment) -> None:
        super().__init__()
        self.encoder = encoder
        self.center: Tensor
        self.shift: Tensor
        self.register_buffer("center", torch.tensor(alignment.center, dtype=torch.float32))
        self.register_buffer("shift", torch.tensor(alignment.domain_shift, dtype=torch.float32))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings `(N, D)` of pixels `(N, 3, S, S)`."""
        centred = self.encoder(pixels) - self.center
        # Not a matrix product: one of those would become INT8, and D products save nothing.
        along = (centred * self.shift).sum(dim=1, keepdim=True)
        return functional.normalize(centred - along * self.shift, dim=1)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Embeddings `(N, D)`, unit, and the class of each, `(N,)`."""

    embeddings: NDArray[np.floating]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Words:
    """Prototypes by words.

    Attributes:
        prototypes: `(C, D)`, unit: of the known classes.
        mean: `(D,)`: the mean one of everyday names.
    """

    prototypes: NDArray[np.float32]
    mean: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How images and words of a model meet.

    Attributes:
        center: `(D,)`: half-way between the mean embeddings of small images and of photographs, taken off every embedding.
        domain_shift: `(D,)`: unit direction from the one mean to the other, taken off too; zeros without photographs.
        image_mean: `(D,)`: the mean embedding of small images after that.
        text_mean: `(D,)`: the mean prototype of everyday names.
        example_penalty: What a class by pictures loses of its score.
    """

    center: NDArray[np.float32]
    domain_shift: NDArray[np.float32]
    image_mean: NDArray[np.float32]
    text_mean: NDArray[np.float32]
    example_penalty: float

    @classmethod
    def fit(cls, learned: Labelled, photographs: NDArray[np.float32], *, words: Words, seed: int) -> Alignment:
        """Return how images and words of a model meet, as measured on them.

        Args:
            learned: Pictures of classes that the visual encoder learned.
            photographs: `(M, D)` unit: what it says of pictures of another kind; M may be 0.
            words: The class side.
            seed: Chooses the vocabularies by which the penalty is measured. Without two classes that have more than
                `EXAMPLES` pictures nothing can be measured, and the penalty is 0.
        """
        means = [rows.mean(axis=0) for rows in (learned.embeddings, photographs) if len(rows)]
        center = np.mean(means, axis=0).astype(np.float32)
        domain_shift = unit(means[-1] - means[0]).astype(np.float32)
        centred = learned.embeddings - center
        centred = unit(centred - (centred @ domain_shift)[:, None] * domain_shift)
        image_mean = centred.mean(axis=0)
        halves = tuple(
            _halves(Labelled(centred, learned.labels), shift=words.mean - image_mean, words=words, seed=seed)
        )
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS if halves else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if _share_of_pictures(halves, middle) > 1 / 2 else (low, middle)
        image_mean, text_mean = (mean.astype(np.float32) for mean in (image_mean, words.mean))
        return cls(center, domain_shift, image_mean, text_mean, example_penalty=round(low, 3))


def embed_learned(encoder: nn.Module, sets: Sequence[Crops], *, preprocess: Preprocessor) -> Labelled:
    """Return what an encoder says of some whole pictures of every learned class.

    Args:
        encoder: Pixels to unit embeddings `(N, D)`.
        sets: Image sets; those with a known class are looked at.
        preprocess: Pictures to its pixels.
    """
    pictures: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for crops in sets:
        for label in np.unique(crops.targets[crops.targets >= 0]):
            chosen = np.flatnonzero(crops.targets == label)[:_PICTURES]
            pictures += [crops.images[number] for number in chosen]
            labels += [label] * len(chosen)
    return Labelled(_embed(encoder, pictures, preprocess), np.array(labels))


def embed_photographs(encoder: nn.Module, sets: Sequence[Crops], *, preprocess: Preprocessor) -> NDArray[np.float32]:
    """Return what an encoder says of whole pictures of the sets of which no class is learned, `(M, D)`.

    Args:
        encoder: Pixels to unit embeddings `(N, D)`.
        sets: Image sets; of each without a known class as many pictures as its share of a batch says, evenly chosen.
        preprocess: Pictures to its pixels.
    """
    others = [crops for crops in sets if len(crops.images) and crops.share and (crops.targets < 0).all()]
    largest = max((crops.share for crops in others), default=1.0)
    pictures: list[NDArray[np.uint8]] = []
    for crops in others:
        count = min(len(crops.images), round(_PHOTOGRAPHS * crops.share / largest))
        pictures += [crops.images[number * len(crops.images) // count] for number in range(count)]
    return _embed(encoder, pictures, preprocess)


def _embed(encoder: nn.Module, pictures: Sequence[NDArray[np.uint8]], preprocess: Preprocessor) -> NDArray[np.float32]:
    if not pictures:
        return np.zeros((0, 0), np.float32)
    with torch.no_grad():
        rows = [
            encoder(torch.from_numpy(preprocess(pictures[start : start + _BATCH]))).numpy()
            for start in range(0, len(pictures), _BATCH)
        ]
    return np.concatenate(rows)


def _halves(
    learned: Labelled, shift: NDArray[np.floating], *, words: Words, seed: int
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Return, for random vocabularies half by pictures, the best score of each half for each image of those classes."""
    embeddings, labels = learned.embeddings, learned.labels
    kinds = np.array([kind for kind in np.unique(labels) if (labels == kind).sum() > EXAMPLES])
    if len(kinds) < 2:  # noqa: PLR2004  # one class for each half
        return
    shown = np.concatenate([np.flatnonzero(labels == kind)[:EXAMPLES] for kind in kinds])
    others = np.setdiff1d(np.arange(len(labels)), shown)
    means = [embeddings[shown[labels[shown] == kind]].mean(axis=0) for kind in kinds]
    by_pictures = unit(unit(np.stack(means)) + shift)
    rng = np.random.default_rng(seed)
    for _ in range(_VOCABULARIES):
        chosen = rng.permutation(len(kinds))[:_VOCABULARY]
        asked = embeddings[others[np.isin(labels[others], kinds[chosen])]]
        pictures, named = chosen[::2], chosen[1::2]
        yield (asked @ by_pictures[pictures].T).max(axis=1), (asked @ words.prototypes[kinds[named]].T).max(axis=1)


def _share_of_pictures(halves: tuple[tuple[NDArray[np.floating], NDArray[np.floating]], ...], penalty: float) -> float:
    return float(np.mean([np.mean(pictures - penalty > words) for pictures, words in halves]))
