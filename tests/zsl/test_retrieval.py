import numpy as np
import pytest

from edgezsl.zsl.method import class_scores
from edgezsl.zsl.retrieval import recalls, retrieval
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from tests.zsl.worlds import feature_set


def test_recall_both_ways_is_what_a_count_by_hand_says():
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.7], [0.95, 0.6, 0.1], [0.1, 0.3, 0.6]])
    labels = np.array([0, 1, 1, 2])
    found = recalls(scores, labels)
    assert found.to_sentence[1] == 3 / 4  # the third image finds the first sentence
    assert found.to_image[1] == pytest.approx(
        1 / 3
    )  # the third image comes before the first, the second before the fourth
    assert found.to_sentence[5] == found.to_image[5] == 1.0
    assert found.chance_to_sentence == {1: 1 / 3, 5: 1.0}
    assert found.chance_to_image[1] == pytest.approx((1 + 2 + 1) / 4 / 3)


def test_chance_is_what_random_scores_reach():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), [2, 3, 4, 5, 6, 7, 8, 9])
    drawn = [recalls(random.random((len(labels), 8)), labels) for _ in range(400)]
    for way in ("to_sentence", "to_image"):
        for k in (1, 5):
            mean = np.mean([getattr(one, way)[k] for one in drawn])
            assert mean == pytest.approx(getattr(drawn[0], f"chance_{way}")[k], abs=0.03)


def test_the_classes_are_unseen_ones_and_recall_at_1_is_the_share_of_images_that_are_right():
    data = feature_set(noise=0.3)
    method = PrototypeRidge().fit(*data.of("trainval"), data.semantics)
    found = retrieval(method, data)
    classes, (features, labels) = data.classes("test_unseen"), data.of("test_unseen")
    best = classes[class_scores(method, features, data.semantics[classes]).argmax(axis=1)]
    assert (found.images, found.sentences) == (len(labels), 6)
    assert found.to_sentence[1] == pytest.approx((best == labels).mean())
    assert found.to_image[1] > 3 * found.chance_to_image[1]
    assert found.to_json()["to_image"]["recall@1"] == pytest.approx(found.to_image[1], abs=1e-6)
