from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.method import accuracy
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.transfer.class_lists import FOREIGN, MOST_LOST, RIGHT, chosen_region, class_lists, mean_gains
from edgezsl.zsl.transfer.refinement import TrustRegion
from tests.zsl.worlds import feature_set

SEEDS = range(3)


def fitted(data, part="trainval"):
    return PrototypeRidge().fit(*data.of(part), data.semantics)


def test_the_right_list_is_the_method_itself():
    data = feature_set()
    first = next(class_lists(fitted(data), data, part="test_unseen", seeds=SEEDS))
    expected = accuracy(fitted(data), *data.of("test_unseen"), data.semantics)
    assert first.wrong == RIGHT
    assert first.accuracy(first.predicted) == pytest.approx(expected)


def test_a_wrong_list_names_classes_that_no_image_is_of_and_is_judged_on_those_it_names_rightly():
    data = feature_set()
    method = fitted(data)
    right, *wrong = class_lists(method, data, part="test_unseen", seeds=SEEDS, wrong=(0.5,))
    seen = method.prototypes(data.semantics[data.classes("trainval")])[0]
    assert len(wrong) == len(SEEDS)
    for one in wrong:
        kept = np.abs(one.predicted - right.predicted).max(axis=1) == 0
        assert kept.sum() == 3  # of six classes
        for name in one.predicted[~kept]:
            assert np.abs(seen - name).max(axis=1).min() < 1e-6
        assert set(one.targets) == set(np.flatnonzero(kept))
        assert len(one.images) == len(right.images)
        assert len(one.judged) == len(right.images) // 2


def test_foreign_images_are_not_those_that_are_judged():
    data = feature_set()
    right, *wrong = class_lists(fitted(data), data, part="test_unseen", seeds=SEEDS, wrong=(FOREIGN,))
    for one in wrong:
        assert len(one.predicted) == len(right.predicted) // 2
        assert len(one.images) + len(one.judged) == len(right.images)
        assert not {row.tobytes() for row in one.images} & {row.tobytes() for row in one.judged}
        assert one.accuracy(one.predicted) > 0.5  # targets fit: the list is easier than the whole one


def test_nothing_is_gained_or_lost_where_nothing_moves():
    data = feature_set()
    gains = mean_gains(class_lists(fitted(data), data, part="test_unseen", seeds=SEEDS), [TrustRegion(0.0)])
    assert sorted(gains) == [RIGHT, 0.25, 0.5, 0.75, FOREIGN]
    assert all(gain[0] == 0 for gain in gains.values())


def test_the_chosen_radius_gains_with_the_right_list_and_hardly_loses_with_a_wrong_one():
    data = feature_set(noise=1.0)
    region = chosen_region(fitted(data, "train"), data, seeds=SEEDS)
    bold = chosen_region(fitted(data, "train"), data, seeds=SEEDS, wrong=())
    assert 0 <= region.radius <= bold.radius
    gains = mean_gains(class_lists(fitted(data, "train"), data, part="val", seeds=SEEDS), [region])
    assert gains[RIGHT][0] >= 0
    assert min(gains.values())[0] >= -MOST_LOST


def test_where_any_move_loses_too_much_none_is_made():
    data = feature_set()
    assert chosen_region(fitted(data, "train"), data, seeds=SEEDS, most_lost=-1.0).radius == 0


def test_the_radius_does_not_depend_on_labels_of_what_is_judged_and_is_not_chosen_by_them():
    data = feature_set(noise=1.0)
    labels = data.labels.copy()
    rows = data.rows["test_unseen"]
    labels[rows] = np.roll(labels[rows], 7)
    method = fitted(data, "train")
    assert chosen_region(method, data, seeds=SEEDS) == chosen_region(method, replace(data, labels=labels), seeds=SEEDS)
    with pytest.raises(InputError, match="chosen by rows that are judged: test_unseen") as caught:
        chosen_region(method, data, seeds=SEEDS, part="test_unseen")
    assert caught.value.code == "leak"


def test_too_few_classes_for_a_wrong_list_are_refused():
    data = feature_set()
    rows = dict(data.rows)
    rows["val"] = rows["val"][data.labels[rows["val"]] < 13]
    with pytest.raises(InputError, match="val has 3 classes"):
        next(class_lists(fitted(data, "train"), replace(data, rows=rows), part="val", seeds=SEEDS))
