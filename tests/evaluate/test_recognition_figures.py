import json

import numpy as np
import pytest

from edgezsl.evaluate.recognition_figures import RecognitionFigures

NAMES = ("cat", "dog", "cow", "horse", "goat", "hen")


def figures():
    """Return figures of three cats, of which two are taken for dogs, two dogs and one cow, all of them right."""
    labels = np.array([0, 0, 0, 1, 1, 2])
    best = np.array([0, 1, 1, 1, 1, 2])
    return RecognitionFigures.of(np.eye(6)[best] + 0.5 * np.eye(6)[labels], labels, NAMES)


def test_classes_count_the_same_and_images_are_counted_beside():
    found = figures()
    assert found.images == 6
    assert found.top[1] == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert found.top[5] == 1.0
    assert found.right.value == pytest.approx(4 / 6)
    assert found.macro_f1 == pytest.approx((0.5 + 2 / 3 + 1) / 3)
    np.testing.assert_array_equal(found.per_class, [1 / 3, 1, 1, np.nan, np.nan, np.nan])


def test_the_best_five_of_five_classes_say_nothing_and_are_left_out():
    found = RecognitionFigures.of(np.eye(5), np.arange(5), NAMES[:5])
    assert set(found.top) == {1}


def test_mistakes_come_the_largest_share_first_and_name_only_what_happened():
    (mistake,) = figures().mistakes(5)
    assert (mistake.own, mistake.taken, mistake.images) == ("cat", "dog", 2)
    assert mistake.share == pytest.approx(2 / 3)


def test_the_object_is_json_and_a_class_without_images_is_null():
    found = json.loads(json.dumps(figures().to_json(), allow_nan=False))
    assert found["per_class"]["cow"] == {"images": 1, "right": 1.0}
    assert found["per_class"]["hen"] == {"images": 0, "right": None}
    assert found["confusion"][0] == [1, 2, 0, 0, 0, 0]
