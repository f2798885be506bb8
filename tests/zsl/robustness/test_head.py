import numpy as np
import pytest
import torch

from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.robustness.classifier import PrototypeClassifier, WhiteBoxAttack, answers
from edgezsl.zsl.robustness.head import RobustHead, robust_head
from edgezsl.zsl.robustness.training import RobustSchedule
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from tests.zsl.semantic.test_ridge import SEEN, world

QUICK = RobustSchedule(steps=80, learning_rate=1e-2, attacked_share=1.0)


@pytest.fixture(scope="module")
def seen():
    features, labels, semantics = world()
    rows = labels < SEEN
    return features[rows], labels[rows], semantics


def classifier_of(method, semantics):
    vectors, bias = method.prototypes(semantics)
    return PrototypeClassifier(method.head_, vectors, bias, logit_scale=method.logit_scale).eval()


def test_the_head_folds_into_the_embedding(seen):
    features, labels, semantics = seen
    method = RobustHead(schedule=RobustSchedule(steps=5), dropout=0.2).fit(features, labels, semantics)
    with torch.no_grad():
        inputs = torch.from_numpy(method.inner.embed(features).astype(np.float32))
        logits = classifier_of(method, semantics)(inputs).numpy()
    np.testing.assert_allclose(method.logit_scale * class_scores(method, features, semantics), logits, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(method.embed(features), axis=1), 1, atol=1e-9)


def test_a_head_that_learned_nothing_changes_nothing(seen):
    features, labels, semantics = seen
    method = RobustHead(schedule=RobustSchedule(steps=1, learning_rate=0.0)).fit(features, labels, semantics)
    inner = PrototypeRidge().fit(features, labels, semantics)
    np.testing.assert_allclose(method.embed(features), inner.embed(features), atol=1e-6)
    np.testing.assert_array_equal(method.prototypes(semantics)[0], inner.prototypes(semantics)[0])


def test_a_head_trained_against_an_attack_is_right_more_often_under_it(seen):
    features, labels, semantics = seen
    left = []
    for reach in (0.0, 0.5):
        method = RobustHead(reach=reach, schedule=QUICK).fit(features, labels, semantics)
        inputs = method.inner.embed(features).astype(np.float32)
        ball = RobustHead(reach=0.5).ball(inputs.shape[1])
        classifier = classifier_of(method, semantics[:SEEN])
        left.append((answers(classifier, WhiteBoxAttack(classifier, ball)(inputs, labels)) == labels).mean())
    assert left[1] > left[0] + 0.05


def test_unseen_classes_are_still_recognised():
    features, labels, semantics = world()
    rows = labels < SEEN
    method = RobustHead(schedule=RobustSchedule(steps=50)).fit(features[rows], labels[rows], semantics)
    assert accuracy(method, features[~rows], labels[~rows], semantics) > 0.5, "chance is a quarter"


def test_the_reach_of_an_attack_is_the_length_of_its_longest_change():
    assert RobustHead(reach=0.2).ball(400).epsilon * np.sqrt(400) == pytest.approx(0.2)


def test_a_head_takes_its_settings_by_name():
    method = robust_head(penalty=0.5, reach=0.1, dropout=0.3, mixup=0.4, l1=0.5, steps=7, seed=3)
    assert method.inner.penalty == 0.5
    assert (method.reach, method.dropout) == (0.1, 0.3)
    assert method.schedule == RobustSchedule(steps=7, mixup=0.4, l1=0.5, decay=0.1, seed=3)
    with pytest.raises(TypeError):
        robust_head(depth=3)
