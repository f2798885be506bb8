import numpy as np
import pytest
import torch

from edgezsl.data.pool import Crops
from edgezsl.preprocess import Preprocessor
from edgezsl.zsl.alignment import (
    Alignment,
    CentredEncoder,
    Labelled,
    Words,
    embed_learned,
    embed_photographs,
)
from edgezsl.zsl.kernel import unit
from tests.factories import small_contract

DIM, KINDS, EACH = 32, 60, 10


def world(seed=0, *, likeness=0.8, words_likeness=0.5):
    """Return pictures of classes, their labels, and prototypes by words, each at a likeness to the centers of the classes."""
    rng = np.random.default_rng(seed)
    centers = unit(rng.standard_normal((KINDS, DIM)))
    labels = np.repeat(np.arange(KINDS), EACH)
    noise = unit(rng.standard_normal((len(labels), DIM)))
    rows = likeness * centers[labels] + np.sqrt(1 - likeness**2) * noise
    prototypes = unit(
        words_likeness * centers + np.sqrt(1 - words_likeness**2) * unit(rng.standard_normal((KINDS, DIM)))
    )
    return rows, labels, prototypes


def fitted(rows, labels, prototypes, photographs=None):
    photographs = np.zeros((0, 0)) if photographs is None else photographs
    words = Words(prototypes, prototypes.mean(axis=0))
    return Alignment.fit(Labelled(unit(rows), labels), unit(photographs), words=words, seed=0)


def aligned(rows, alignment):
    identity = torch.nn.Identity()
    return CentredEncoder(identity, alignment)(torch.from_numpy(rows.astype(np.float32))).numpy()


def test_embeddings_are_centred_and_of_length_1():
    rows, labels, prototypes = world()
    rows = unit(rows + 0.5 * unit(np.ones(DIM)))
    alignment = fitted(rows, labels, prototypes)
    found = aligned(rows, alignment)
    assert not alignment.domain_shift.any(), "without photographs there is none"
    assert np.linalg.norm(rows.mean(axis=0)) > 0.3
    assert np.linalg.norm(found.mean(axis=0)) < 0.05
    np.testing.assert_allclose(found.mean(axis=0), alignment.image_mean, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_what_two_sets_of_images_differ_in_is_taken_off():
    rows, labels, prototypes = world()
    sharp = unit(np.eye(DIM)[3])
    small, photographs = unit(rows - 0.3 * sharp), unit(world(1)[0] + 0.7 * sharp)
    alignment = fitted(small, labels, prototypes, photographs)
    assert alignment.domain_shift @ sharp > 0.97
    gap = aligned(photographs, alignment).mean(axis=0) - aligned(small, alignment).mean(axis=0)
    assert np.linalg.norm(photographs.mean(axis=0) - small.mean(axis=0)) > 0.6
    assert np.linalg.norm(gap) < 0.15


def test_the_penalty_lets_words_and_pictures_answer_equally_often():
    rows, labels, prototypes = world()
    alignment = fitted(rows, labels, prototypes)
    found = aligned(rows, alignment)
    shown = np.arange(len(labels)) % EACH < 5
    shift = alignment.text_mean - alignment.image_mean
    pictures = unit(unit(np.stack([found[shown & (labels == kind)].mean(axis=0) for kind in range(KINDS)])) + shift)
    classes = np.where(np.arange(KINDS)[:, None] % 2 == 0, pictures, prototypes)
    scores = found[~shown] @ classes.T

    def share_of_pictures(penalty):
        return np.mean((scores - penalty * (np.arange(KINDS) % 2 == 0)).argmax(axis=1) % 2 == 0)

    assert share_of_pictures(0) > 0.6
    assert share_of_pictures(alignment.example_penalty) == pytest.approx(0.5, abs=0.08)


def test_words_that_win_anyway_cost_pictures_nothing():
    rows, labels, prototypes = world(likeness=0.3, words_likeness=1)
    assert fitted(rows, labels, prototypes).example_penalty == 0


@pytest.mark.parametrize("kept", [EACH // 2, EACH])
def test_where_nothing_can_be_measured_the_penalty_is_0(kept):
    rows, labels, prototypes = world()
    few = labels < 1 if kept == EACH else np.arange(len(labels)) % EACH < kept
    assert fitted(rows[few], labels[few], prototypes).example_penalty == 0


class Brightness(torch.nn.Module):
    """An encoder whose embedding is the mean of each channel."""

    def forward(self, pixels):
        return pixels.mean(dim=(2, 3))


def crops(levels, targets, share):
    images = [np.full((20, 20, 3), level, np.uint8) for level in levels]
    empty = np.zeros((len(images), 1, 4), np.uint16), np.zeros((len(images), 1, 1), np.float16)
    return Crops(images, *empty, np.array(targets, np.int64), share)


def test_of_each_learned_class_some_pictures_are_embedded():
    preprocess = Preprocessor(small_contract())
    learned, photographs = crops([10] * 12 + [40, 90], [3] * 12 + [1, -1], 0.6), crops([200], [-1], 0.2)
    found = embed_learned(Brightness(), [learned, photographs], preprocess=preprocess)
    assert found.labels.tolist() == [1] + [3] * 10, "ten at most"
    assert found.embeddings[0, 0] > found.embeddings[1, 0]


def test_photographs_are_embedded_by_the_share_of_their_set_and_evenly_chosen():
    preprocess = Preprocessor(small_contract())
    learned = crops([10], [0], 0.6)
    others = [crops([0] * 400 + [255] * 400, [-1] * 800, 0.2), crops([100] * 800, [-1] * 800, 0.4)]
    found = embed_photographs(Brightness(), [learned, *others, crops([], [], 0.1)], preprocess=preprocess)[:, 0]
    assert len(found) == 375 + 750
    dark, bright = (found[:375] == found.min()).sum(), (found[:375] == found.max()).sum()
    assert (dark, bright) == (188, 187)
    assert embed_photographs(Brightness(), [learned], preprocess=preprocess).size == 0
