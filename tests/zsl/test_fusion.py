from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.zsl.fusion import (
    HeldScores,
    Member,
    WeightedFusion,
    accuracy_weights,
    held_scores,
    side_by_side,
    stacking_weights,
)
from edgezsl.zsl.method import ZeroShotMethod, accuracy, class_scores
from edgezsl.zsl.selection import judge, seen_penalty
from edgezsl.zsl.semantic.class_networks import ClassNetworkSchedule, Dem
from edgezsl.zsl.semantic.latent import Latem
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge
from tests.zsl.worlds import feature_set


def members():
    return (
        Member("prototype-ridge", PrototypeRidge()),
        Member("eszsl", Eszsl()),
        Member("dem", Dem(ClassNetworkSchedule(width=32, epochs=20, learning_rate=0.01))),  # has a bias
    )


def test_the_fold_is_the_weighted_sum_of_scores_in_units_of_their_spread():
    data = feature_set()
    method = WeightedFusion(members(), (0.5, 0.2, 0.3)).fit(*data.of("trainval"), data.semantics)
    assert isinstance(method, ZeroShotMethod)
    expected = 0
    for weight, member in zip((0.5, 0.2, 0.3), members(), strict=True):
        alone = member.method.fit(*data.of("trainval"), data.semantics)
        features, labels = data.of("trainval")
        spread = class_scores(alone, features, data.semantics[np.unique(labels)]).std()
        expected = expected + weight * class_scores(alone, data.features, data.semantics) / spread
    np.testing.assert_allclose(class_scores(method, data.features, data.semantics), expected, atol=1e-9)
    vectors, bias = method.prototypes(data.semantics)
    assert vectors.shape[1] == method.embed(data.features[:1]).shape[1] == 30 + 30 + 30
    assert np.abs(bias).max() > 0


def test_a_member_without_weight_costs_nothing():
    data = feature_set()
    both = [
        WeightedFusion(chosen, weights).fit(*data.of("trainval"), data.semantics)
        for chosen, weights in ((members(), (0.5, 0.5, 0.0)), (members()[:2], (0.5, 0.5)))
    ]
    assert both[0].embed(data.features).shape[1] == 60
    np.testing.assert_array_equal(*(class_scores(one, data.features, data.semantics) for one in both))


def test_each_member_sees_its_own_encoder_and_its_own_descriptions():
    data = feature_set()
    twice = replace(
        data,
        features=np.concatenate([data.features[:, :20], data.features[:, 20:]], axis=1),
        semantics=np.concatenate([data.semantics, data.semantics[:, :4]], axis=1),
    )
    parts = (
        Member("first", PrototypeRidge(), slice(0, 20), slice(0, 12)),
        Member("second", PrototypeRidge(), slice(20, 30), slice(12, 16)),
    )
    method = WeightedFusion(parts, (1.0, 1.0)).fit(*twice.of("trainval"), twice.semantics)
    ruined = twice.features.copy()
    ruined[:, 20:] = 7.0
    scores = [class_scores(part.method, ruined[:, part.features], twice.semantics[:, part.semantics]) for part in parts]
    expected = scores[0] / method.scales_[0] + scores[1] / method.scales_[1]
    np.testing.assert_allclose(class_scores(method, ruined, twice.semantics), expected, atol=1e-12)


def test_a_fused_method_is_judged_and_calibrated_like_any_other():
    data = feature_set(noise=0.3)
    method = WeightedFusion(members()[:2], (0.5, 0.5))
    gamma = seen_penalty(method, data).gamma
    found = judge(method.fit(*data.of("trainval"), data.semantics), data, gamma=gamma)
    assert found.t1 > 0.4, "chance is a sixth"
    assert found.h < found.h_calibrated <= found.h_oracle


def test_what_does_not_fold_is_refused_with_advice():
    with pytest.raises(InputError, match="latem does not fold") as caught:
        WeightedFusion((*members(), Member("latem", Latem())), (0.25,) * 4)
    assert "voting" in caught.value.hint


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.0, 0.0, 0.0)])
def test_weights_are_one_for_each_and_not_all_nothing(weights):
    with pytest.raises(InputError, match="there are 3 members and the weights"):
        WeightedFusion(members(), weights)


def test_scores_of_held_classes_come_from_methods_that_never_saw_them():
    data = feature_set()
    held = held_scores(members()[:2], data)
    features, labels = data.of("val")
    alone = Eszsl().fit(*data.of("train"), data.semantics)
    assert held.scores.shape == (2, len(labels), 4)
    assert held.accuracy((0, 1)) == accuracy(alone, features, labels, data.semantics)
    spread = class_scores(alone, data.of("train")[0], data.semantics[data.classes("train")]).std()
    np.testing.assert_allclose(
        held.scores[1], class_scores(alone, features, data.semantics[data.classes("val")]) / spread
    )


def test_weights_are_not_chosen_by_what_is_judged():
    with pytest.raises(InputError, match="chosen by rows that are judged: test_unseen"):
        held_scores(members(), feature_set(), part="test_unseen")


def noisy_scores(spreads, seed=0, rows=400, classes=5):
    """Return scores of members that are right up to noise of their own."""
    random = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    scores = [np.eye(classes)[targets] + spread * random.normal(size=(rows, classes)) for spread in spreads]
    return HeldScores(np.array(scores), targets)


def test_weights_by_accuracy_are_the_best_of_all_tenths():
    held = noisy_scores((1.0, 1.5, 3.0))
    found = accuracy_weights(held)
    assert sum(found) == pytest.approx(1)
    every = [(a / 10, b / 10, (10 - a - b) / 10) for a in range(11) for b in range(11 - a)]
    reached = [per_class_accuracy(np.tensordot(one, held.scores, 1).argmax(axis=1), held.targets) for one in every]
    assert held.accuracy(found) == max(reached)
    assert found[0] > found[1] > found[2]


def test_of_equally_good_weights_those_in_the_middle_are_taken():
    held = noisy_scores((0.0, 0.0))
    assert held.accuracy((0.0, 1.0)) == 1
    assert accuracy_weights(held) == (0.5, 0.5)


def test_stacking_finds_the_likeliest_weights():
    """Noise of one spread and independent: by Bayes the weights go as 1 / spread², here 1 and 1 / 4, at that very size."""
    held = noisy_scores((1.0, 2.0), rows=20000)
    np.testing.assert_allclose(stacking_weights(held), (1.0, 0.25), atol=0.05)


def test_stacking_turns_a_member_round_that_is_always_wrong():
    held = noisy_scores((1.0, 1.0))
    turned = HeldScores(held.scores * np.array([1, -1])[:, None, None], held.targets)
    np.testing.assert_allclose(stacking_weights(turned), stacking_weights(held) * np.array([1, -1]), atol=1e-4)


def test_every_class_counts_as_much_in_stacking():
    held = noisy_scores((1.0, 1.5), rows=500)
    some = np.flatnonzero((held.targets > 0) | (np.arange(500) < 100))  # a fifth of the rows of class 0
    few = HeldScores(held.scores[:, some], held.targets[some])
    shares = few.shares()
    assert shares.sum() == pytest.approx(1)
    assert [shares[few.targets == one].sum() for one in range(5)] == pytest.approx([0.2] * 5)


def test_sets_of_the_same_rows_stand_side_by_side():
    data = feature_set()
    other = replace(data, name="other", semantics=data.semantics[:, :5], features=data.features[:, :7])
    joined, columns = side_by_side([data, other], side="semantics")
    assert joined.semantics.shape[1] == 17
    np.testing.assert_array_equal(joined.semantics[:, columns[1]], other.semantics)
    np.testing.assert_array_equal(joined.features, data.features)
    joined, columns = side_by_side([data, other], side="features")
    np.testing.assert_array_equal(joined.features[:, columns[0]], data.features)
    np.testing.assert_array_equal(joined.features[:, columns[1]], other.features)


def test_sets_of_other_rows_do_not():
    data = feature_set()
    order = np.arange(len(data.labels))[::-1]
    other = replace(data, name="other", labels=data.labels[order], rows={k: order[v] for k, v in data.rows.items()})
    with pytest.raises(InputError, match="other has other rows or classes than world"):
        side_by_side([data, other], side="features")


def test_members_that_know_half_each_are_better_together():
    reached = []
    for seed in range(4):
        data = feature_set(noise=0.8, seed=seed)
        halves = slice(0, 15), slice(15, 30)
        parts = tuple(Member(str(half), PrototypeRidge(), half) for half in halves)
        weights = accuracy_weights(held_scores(parts, data))
        fused = WeightedFusion(parts, weights).fit(*data.of("trainval"), data.semantics)
        features, labels = data.of("test_unseen")
        alone = [
            accuracy(PrototypeRidge().fit(*_half(data, half)), features[:, half], labels, data.semantics)
            for half in halves
        ]
        reached.append([accuracy(fused, features, labels, data.semantics), *alone])
    fused, *alone = np.mean(reached, axis=0)
    assert fused > max(alone) + 0.05


def _half(data, half):
    features, labels = data.of("trainval")
    return features[:, half], labels, data.semantics
