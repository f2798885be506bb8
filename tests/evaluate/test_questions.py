import json
import math
from itertools import combinations

import numpy as np
import pytest

from edgezsl.evaluate.questions import (
    Hubness,
    Nearness,
    SemanticGap,
    class_similarity,
    measured_growth,
    skewness,
    spearman,
)


@pytest.mark.parametrize("levels", [1000, 4], ids=["all different", "many equal"])
def test_rank_correlation_equals_that_of_scipy(levels):
    stats = pytest.importorskip("scipy.stats")
    first, second = np.random.default_rng(0).integers(0, levels, (2, 60))
    assert spearman(first, first + second) == pytest.approx(stats.spearmanr(first, first + second).statistic)


def test_of_a_constant_or_of_two_values_no_correlation_is_known():
    assert math.isnan(spearman(np.ones(5), np.arange(5.0)))
    assert math.isnan(spearman(np.arange(2.0), np.arange(2.0)))


def test_skewness_equals_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).poisson(3, 50)
    assert skewness(values) == pytest.approx(stats.skew(values))
    assert skewness(np.full(4, 7)) == 0.0


def test_similarity_is_the_cosine_after_what_all_have_in_common_is_taken_off():
    rows = np.random.default_rng(0).normal(size=(4, 3)) + 100
    centred = rows - rows.mean(axis=0)
    found = class_similarity(rows)
    for i, j in combinations(range(4), 2):
        cosine = centred[i] @ centred[j] / np.linalg.norm(centred[i]) / np.linalg.norm(centred[j])
        assert found[i, j] == pytest.approx(cosine)


def test_a_rotated_world_has_no_semantic_gap_and_a_shuffled_one_has():
    random = np.random.default_rng(0)
    semantics = random.normal(size=(30, 8))
    rotation = np.linalg.qr(random.normal(size=(8, 8)))[0]
    none = SemanticGap.of(semantics @ rotation + 5, semantics)
    assert none.correlation.value == pytest.approx(1)
    wide = SemanticGap.of(random.permutation(semantics), semantics)
    assert wide.correlation.low < 0 < wide.correlation.high
    assert len(wide.visual) == 30 * 29 // 2


def test_occurrences_are_counted_as_by_hand_and_a_hub_skews_them():
    scores = np.array([[3, 2, 1, 0], [3, 0, 2, 1], [3, 1, 0, 2], [3, 2, 1, 0]], np.float64)
    found = Hubness.of(scores, "abcd", k=2)
    assert found.occurrences.tolist() == [4, 2, 1, 1]
    assert found.expected == 2
    assert found.skewness == pytest.approx((8 + 0 - 1 - 1) / 4 / 1.5**1.5)


def test_smaller_choices_lie_inside_larger_ones_and_draws_differ():
    labels = np.repeat(np.arange(6), 5)
    chosen = []

    def keep(rows):
        chosen.append(set(rows.tolist()))
        return len(rows) / len(labels)

    points = list(measured_growth(keep, labels, classes=[2, 4, 6], images=[1, 3, 5], draws=2))
    assert [(one.kind, one.count, one.draw) for one in points[:6]] == [
        *(("classes", count, 0) for count in (2, 4, 6)),
        *(("images", count, 0) for count in (1, 3, 5)),
    ]
    for draw in (chosen[:6], chosen[6:]):
        assert draw[0] < draw[1] < draw[2] == set(range(30))
        assert draw[3] < draw[4] < draw[5] == set(range(30))
        assert len({labels[row] for row in draw[0]}) == 2
        assert np.bincount(labels[sorted(draw[4])]).tolist() == [3] * 6
    assert chosen[0] != chosen[6]
    assert chosen[3] != chosen[9]
    assert points[0].accuracy == pytest.approx(10 / 30)


def test_a_class_with_fewer_images_than_asked_for_gives_all_it_has():
    labels = np.array([0, 1, 1, 1])
    found = []
    list(measured_growth(lambda rows: found.append(rows.tolist()) or 0.0, labels, classes=[], images=[2], draws=1))
    assert 0 in found[0]
    assert len(found[0]) == 3


def test_the_nearest_seen_class_is_found_and_what_is_nearer_is_recognised_better():
    seen = np.array([True, False, True, False, False, False])
    semantics = np.array([[1, 0.0], [0.9, 0.1], [-1, 0], [-0.8, 0.6], [0.0, 1], [0.1, -1]])
    names = ("red", "pink", "blue", "navy", "green", "brown")
    found = Nearness.of(names, semantics, seen, np.array([0.9, 0.6, 0.2, 0.3]))
    assert found.names == ("pink", "navy", "green", "brown")
    assert found.nearest[:2] == ("red", "blue")
    np.testing.assert_allclose(found.similarity, [0.9 / np.hypot(0.9, 0.1), 0.8, 0, 0.1 / np.hypot(0.1, 1)])
    assert found.correlation.value == pytest.approx(1)


def test_a_class_without_images_is_left_out_of_the_correlation_and_of_the_object():
    seen = np.array([True, True, False, False, False, False])
    semantics = np.random.default_rng(0).normal(size=(6, 3))
    found = Nearness.of("abcdef", semantics, seen, np.array([0.1, np.nan, 0.5, 0.2]))
    assert math.isfinite(found.correlation.value)
    assert set(json.loads(json.dumps(found.to_json(), allow_nan=False))["classes"]) == {"c", "e", "f"}
