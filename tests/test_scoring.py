from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgezsl.contract import LARGEST_SCALE, EmbeddingSpace
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.scoring import probabilities, rank, scores, top_rows

SCORES = st.floats(-10, 10, width=32)
FEW = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])  # so that most scores are tied
MANY_CLASSES = (1, 2, 5, 8, 9, 255, 256, 257, 300, 1000)


def space(**changes):
    return EmbeddingSpace(**{"id": "c0ffee00", "dim": 3, "similarity": "dot", **changes})


def ranked(row, *, limits=None, negative=None, k=5, **of_space):
    """Rank a row of scores, without thresholds and negatives where none are given; as lists, and an array of shares."""
    row = np.asarray(row, np.float32)
    found = rank(
        row,
        space(**of_space),
        limits=np.full(len(row), -np.inf, np.float32) if limits is None else np.asarray(limits, np.float32),
        negative=np.zeros(len(row), np.bool_) if negative is None else np.asarray(negative, np.bool_),
        k=k,
    )
    shares = np.array(found.probabilities)
    return replace(found, top=list(found.top), scores=list(found.scores), probabilities=shares)


def softmax64(row, scale=1.0):
    """Return the softmax of a row, in float64 and by the definition."""
    logits = scale * np.asarray(row, np.float64)
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


# --- the score ---


@given(st.integers(0, 4), st.integers(1, 30), st.integers(1, 20), st.integers(0, 2**31 - 1))
def test_scores_are_the_products_plus_the_offset(count, classes, dim, seed):
    random = np.random.RandomState(seed)
    embeddings, vectors = random.randn(count, dim), random.randn(classes, dim)
    offset = random.randn(classes)
    found = scores(*(array.astype(np.float32) for array in (embeddings, vectors, offset)))
    assert found.shape == (count, classes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, embeddings @ vectors.T + offset, atol=1e-4)


def test_scores_of_one_frame_are_its_row_among_many():
    random = np.random.RandomState(0)
    embeddings, vectors = random.randn(5, 64).astype(np.float32), random.randn(40, 64).astype(np.float32)
    offset = random.randn(40).astype(np.float32)
    together = scores(embeddings, vectors, offset)
    for row, embedding in zip(together, embeddings, strict=True):
        np.testing.assert_allclose(scores(embedding[None], vectors, offset)[0], row, atol=1e-5)


def test_scoring_writes_to_none_of_its_arguments():
    embeddings, vectors, offset = np.ones((1, 3), np.float32), np.eye(3, dtype=np.float32), np.ones(3, np.float32)
    for array in (embeddings, vectors, offset):
        array.flags.writeable = False
    row = scores(embeddings, vectors, offset)[0]
    row.flags.writeable = False
    assert ranked(row, negative=[True, False, False]).top == [1, 2]


def test_the_seen_penalty_is_taken_from_seen_classes_only():
    rows = [ClassRow("seen", np.array([1, 0, 0]), bias=0.5, seen=True), ClassRow("unseen", np.array([1, 0, 0]))]
    prototypes = ClassPrototypes.from_rows(rows, space(), seen_penalty=0.75)
    row = scores(np.array([[1, 0, 0]], np.float32), prototypes.vectors, prototypes.offset)[0]
    assert row.tolist() == [0.75, 1.0]


# --- the order ---


@pytest.mark.parametrize("classes", MANY_CLASSES)
@given(data=st.data())
def test_the_top_is_that_of_a_stable_sort(classes, data):
    row = data.draw(arrays(np.float32, classes, elements=SCORES | FEW, fill=FEW))
    k = data.draw(st.integers(0, min(classes, 20)))
    assert list(top_rows(row, k)) == np.argsort(-row, kind="stable")[:k].tolist()


@pytest.mark.parametrize("classes", MANY_CLASSES)
@pytest.mark.parametrize("k", [1, 5, 12])
def test_of_equal_scores_the_smaller_index_comes_first(classes, k):
    k = min(k, classes)
    assert ranked(np.zeros(classes), k=k).top == list(range(k))
    row = np.zeros(classes)
    row[-1] = 1
    assert ranked(row, k=k).top == [classes - 1, *range(k - 1)]
    assert ranked(np.zeros(classes)).decision == 0


def test_there_are_no_more_in_the_top_than_classes():
    assert ranked([0.1, 0.3, 0.2], k=5).top == [1, 2, 0]


def test_the_top_s_scores_are_the_row_s():
    ranking = ranked([0.1, 0.3, 0.2], k=2)
    assert ranking.scores == np.array([0.3, 0.2], np.float32).tolist()


# --- the decision ---


def test_the_best_class_is_decided_on():
    assert ranked([0.1, 0.3, 0.2]).decision == 1


def test_a_score_below_its_threshold_is_none_of_these_and_one_that_reaches_it_is_not():
    row = np.array([0.25, 0.5], np.float32)
    assert ranked(row, limits=[-np.inf, 0.5]).decision == 1
    assert ranked(row, limits=[-np.inf, np.nextafter(np.float32(0.5), np.float32(1))]).decision is None


def test_the_second_best_class_is_not_decided_on_when_the_best_misses_its_threshold():
    ranking = ranked([0.25, 0.5], limits=[0.0, 0.75])
    assert ranking.decision is None
    assert ranking.top == [1, 0], "what it might be is still reported"


@pytest.mark.parametrize(
    ("own", "reject", "decision"), [(0.4, 0.9, 0), (0.9, 0.1, None), (None, 0.9, None), (None, 0.1, 0)]
)
def test_a_class_s_own_threshold_beats_reject(own, reject, decision):
    prototypes = ClassPrototypes.from_rows(
        [ClassRow("a", np.array([0.5, 0, 0]), threshold=own)], space(), reject=reject
    )
    row = scores(np.array([[1, 0, 0]], np.float32), prototypes.vectors, prototypes.offset)[0]
    ranking = rank(row, space(), limits=prototypes.limits, negative=prototypes.negative, k=1)
    assert ranking.decision == decision


def test_a_negative_class_is_never_reported_however_good_it_is():
    ranking = ranked([0.9, 0.1, 0.8, 0.2], negative=[True, False, True, False])
    assert ranking.top == [3, 1]
    assert ranking.decision is None


def test_a_negative_class_absorbs_only_with_a_strictly_higher_score():
    assert ranked([0.5, 0.5], negative=[True, False]).decision == 1
    assert ranked([np.nextafter(np.float32(0.5), np.float32(1)), 0.5], negative=[True, False]).decision is None
    assert ranked([0.4, 0.5], negative=[True, False]).decision == 1


def test_a_negative_class_needs_no_threshold_to_absorb():
    assert ranked([0.9, 0.5], negative=[True, False], limits=[2.0, 0.0]).decision is None


def test_where_every_class_is_negative_nothing_is_reported():
    ranking = ranked([0.9, 0.5], negative=[True, True])
    assert ranking.decision is None
    assert len(ranking.top) == len(ranking.scores) == len(ranking.probabilities) == 0


@pytest.mark.parametrize("classes", [3, 300])
@given(data=st.data())
def test_top_and_decision_follow_the_rules_for_any_scores(classes, data):
    row = data.draw(arrays(np.float32, classes, elements=SCORES | FEW, fill=FEW))
    limits = data.draw(arrays(np.float32, classes, elements=FEW | st.just(-np.inf), fill=FEW))
    negative = data.draw(arrays(np.bool_, classes))
    ranking = ranked(row, limits=limits, negative=negative, k=3)
    positive = [index for index in np.argsort(-row, kind="stable") if not negative[index]]
    assert ranking.top == positive[:3]
    best = positive[0] if positive else None
    absorbed = best is not None and any(row[index] > row[best] for index in np.flatnonzero(negative))
    kept = best is not None and not absorbed and row[best] >= limits[best]
    assert ranking.decision == (best if kept else None)


# --- the probability ---


@given(arrays(np.float32, st.integers(1, 400), elements=SCORES, fill=SCORES), st.floats(0.01, 200))
def test_softmax_agrees_with_its_definition_in_float64(row, scale):
    found = np.array(probabilities(row, space(logit_scale=scale), row.tolist(), peak=float(row.max())))
    np.testing.assert_allclose(found, softmax64(row, scale), rtol=2e-3, atol=1e-6)
    assert found.sum() == pytest.approx(1, abs=1e-5)


@given(arrays(np.float32, st.integers(1, 50), elements=SCORES), st.floats(0.01, 200), st.floats(-20, 20))
def test_sigmoid_is_taken_class_by_class_with_scale_and_bias(row, scale, bias):
    of_space = space(activation="sigmoid", logit_scale=scale, logit_bias=bias)
    logits = scale * row.astype(np.float64) + bias
    np.testing.assert_allclose(
        probabilities(row, of_space, row.tolist(), peak=float(row.max())),
        1 / (1 + np.exp(-np.clip(logits, -700, 700))),
        atol=1e-9,
    )


def test_negative_classes_take_their_share_of_a_softmax():
    row = [2.0, 1.0, 0.0]
    ranking = ranked(row, negative=[True, False, False])
    np.testing.assert_allclose(ranking.probabilities, softmax64(row)[[1, 2]], rtol=1e-5)
    assert ranking.probabilities.sum() < 0.5


def test_a_common_bias_of_the_logits_does_not_change_a_softmax():
    row = [0.3, 0.1]
    assert ranked(row, logit_bias=5.0).probabilities.tolist() == ranked(row).probabilities.tolist()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("scale", [100.0, 1e4, LARGEST_SCALE])
@pytest.mark.parametrize("row", [[1.0, -1.0, 0.5], [1e6, -1e6, 0.0], [0.0, 0.0, 0.0]])
def test_a_large_logit_scale_does_not_overflow(activation, scale, row):
    found = ranked(row, activation=activation, logit_scale=scale, logit_bias=-10.0).probabilities
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_probabilities_stand_in_the_order_of_the_top():
    ranking = ranked([0.1, 0.3, 0.2], logit_scale=10.0)
    np.testing.assert_allclose(ranking.probabilities, softmax64([0.1, 0.3, 0.2], 10)[[1, 2, 0]], rtol=1e-5)


def test_the_threshold_is_compared_with_the_score_and_never_with_the_probability():
    ranking = ranked([0.2, 0.1], limits=[0.5, 0.5], logit_scale=100.0)
    assert ranking.probabilities[0] > 0.99
    assert ranking.decision is None
