import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import accuracy
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge
from edgezsl.zsl.shots import KAPPAS, ExampleDraw, chosen_kappa, shot_accuracies, with_examples
from tests.zsl.worlds import feature_set

SEEDS = range(10)


def test_a_description_counts_as_kappa_examples():
    """By hand: (2 · (1, 0) + 3 · (0, 1)) / 5 = (0.4, 0.6)."""
    found = with_examples(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), count=3, kappa=2.0)
    np.testing.assert_allclose(found, unit(np.array([[0.4, 0.6]])))


def test_without_examples_it_is_the_description_and_with_many_it_is_they():
    predicted, means = np.array([[0.6, 0.8]]), np.array([[0.5, 0.0]])
    np.testing.assert_allclose(with_examples(predicted, np.full((1, 2), np.nan), count=0, kappa=3.0), predicted)
    np.testing.assert_allclose(with_examples(predicted, means, count=10**6, kappa=3.0), [[1, 0]], atol=1e-5)
    np.testing.assert_allclose(with_examples(predicted, means, count=1, kappa=0.0), [[1, 0]])


def test_examples_are_not_judged_and_every_other_row_is():
    targets = np.repeat([0, 1, 2], [7, 5, 9])
    draw = ExampleDraw.of(targets, 4, seed=0)
    assert draw.examples.shape == (3, 4)
    assert (targets[draw.examples] == np.arange(3)[:, None]).all()
    assert sorted([*draw.examples.ravel(), *draw.judged]) == list(range(len(targets)))
    assert not np.array_equal(ExampleDraw.of(targets, 4, seed=1).examples, draw.examples)


def test_a_class_whose_rows_would_all_be_examples_is_refused():
    with pytest.raises(InputError, match="5 rows of each class are examples, one class has 5"):
        ExampleDraw.of(np.repeat([0, 1], [5, 9]), 5, seed=0)


def test_accuracies_are_what_a_count_by_hand_says():
    data = feature_set()
    method = PrototypeRidge().fit(*data.of("trainval"), data.semantics)
    found = shot_accuracies(method, data, part="test_unseen", kappas=(0.0, 2.0), seeds=[3], shots=(0, 2, 4))
    assert found.shape == (1, 3, 2)
    features, labels = data.of("test_unseen")
    classes, targets = np.unique(labels, return_inverse=True)
    draw = ExampleDraw.of(targets, 4, seed=3)
    rows, predicted = method.embed(features), method.prototypes(data.semantics[classes])[0]
    right = np.zeros(len(classes))
    for row in draw.judged:
        cosines = []
        for one in range(len(classes)):
            examples = rows[draw.examples[one, :2]]
            prototype = 2.0 * predicted[one] + examples.sum(axis=0)
            cosines.append(rows[row] @ prototype / np.linalg.norm(prototype))
        right[targets[row]] += np.argmax(cosines) == targets[row]
    assert found[0, 1, 1] == pytest.approx(np.mean(right / np.bincount(targets[draw.judged])))


def test_no_shots_are_the_method_itself_on_the_rows_that_are_judged():
    data = feature_set()
    method = PrototypeRidge().fit(*data.of("trainval"), data.semantics)
    found = shot_accuracies(method, data, part="test_unseen", kappas=(1.0,), seeds=[0], shots=(0, 3))
    features, labels = data.of("test_unseen")
    judged = ExampleDraw.of(np.unique(labels, return_inverse=True)[1], 3, seed=0).judged
    assert found[0, 0, 0] == accuracy(method, features[judged], labels[judged], data.semantics)


def test_examples_help_and_a_description_helps_where_they_are_few():
    data = feature_set(noise=1.0)
    method = PrototypeRidge().fit(*data.of("train"), data.semantics)
    kappa = chosen_kappa(method, data, seeds=SEEDS)
    assert kappa in KAPPAS
    found = shot_accuracies(method, data, part="test_unseen", kappas=(0.0, kappa), seeds=SEEDS, shots=(0, 1, 4)).mean(
        axis=0
    )
    assert found[2, 1] > found[0, 1] + 0.03
    assert found[1, 1] > found[1, 0] + 0.03


def test_kappa_is_not_chosen_by_what_is_judged():
    data = feature_set()
    method = PrototypeRidge().fit(*data.of("train"), data.semantics)
    with pytest.raises(InputError, match="chosen by rows that are judged: test_unseen"):
        chosen_kappa(method, data, seeds=SEEDS, part="test_unseen")


def test_a_method_whose_prototypes_lie_elsewhere_is_refused():
    data = feature_set()
    method = Eszsl().fit(*data.of("trainval"), data.semantics)
    with pytest.raises(InputError, match="scores of Eszsl are no cosines"):
        shot_accuracies(method, data, part="test_unseen", kappas=(1.0,), seeds=[0], shots=(0, 1))
