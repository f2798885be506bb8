import numpy as np
import pytest
import torch
from torch import nn

from edgezsl.errors import InputError
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_scores
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.training import RobustSchedule, fit_against
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.transfer.fine_tuning import encoded, pixels_in_range, seen_classifier
from edgezsl.zsl.transfer.pupil import feature_space

CLASSES, SEEN, SIDE = 8, 6, 4


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(per_class=12, seed=0):
    """Return pictures of one noisy colour for each class, with the colour as the description."""
    random = np.random.default_rng(seed)
    colours = random.integers(30, 226, (CLASSES, 3))
    labels = np.repeat(np.arange(CLASSES), per_class)
    noise = random.integers(-25, 26, (len(labels), SIDE, SIDE, 3))
    return (colours[labels][:, None, None] + noise).astype(np.uint8), labels, colours / 255 - 0.5


class Encoder(nn.Module):
    """One layer that stays as it is, and one that learns."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 12, 1).requires_grad_(False)  # noqa: FBT003  # PyTorch's name for it is no keyword
        self.last = nn.Linear(12, 10)

    def forward(self, pixels):
        return self.last(self.first(pixels).relu().mean((2, 3)))


def features_of(encoder, frames):
    return np.concatenate(list(encoded(encoder, frames)))


def test_features_come_in_order_whatever_the_batch():
    frames = np.random.default_rng(0).integers(0, 256, (300, SIDE, SIDE, 3), np.uint8)
    encoder = Encoder().train()
    found = features_of(encoder, frames)
    assert not encoder.training
    with torch.no_grad():
        np.testing.assert_allclose(found, encoder(pixels_in_range(frames)).numpy(), atol=1e-6)
    np.testing.assert_allclose(pixels_in_range(frames)[0, :, 1, 2], frames[0, 1, 2] / 127.5 - 1, atol=1e-6)


def test_the_classifier_that_is_trained_starts_as_prototype_ridge():
    frames, labels, semantics = pictures()
    encoder = Encoder()
    features = features_of(encoder, frames)
    method = PrototypeRidge().fit(features[labels < SEEN], labels[labels < SEEN], semantics)
    classifier = seen_classifier(encoder, method, semantics[:SEEN], logit_scale=20.0)
    with torch.no_grad():
        logits = classifier(pixels_in_range(frames)).numpy()
    np.testing.assert_allclose(logits, 20 * class_scores(method, features, semantics[:SEEN]), atol=1e-3)


def test_what_may_learn_learns_and_the_rest_stays():
    frames, labels, semantics = pictures()
    encoder = Encoder()
    first, last = encoder.first.weight.clone(), encoder.last.weight.clone()
    seen = labels < SEEN
    method = PrototypeRidge().fit(features_of(encoder, frames[seen]), labels[seen], semantics)
    classifier = seen_classifier(encoder, method, semantics[:SEEN])
    inputs, targets = pixels_in_range(frames[seen]), torch.from_numpy(labels[seen])
    schedule = RobustSchedule(steps=20, learning_rate=1e-2)
    steps = list(fit_against(classifier, lambda _: (inputs, targets), Ball(0), schedule, every=1))
    assert steps[-1].loss < 0.9 * steps[0].loss
    assert not torch.equal(encoder.last.weight, last)
    torch.testing.assert_close(encoder.first.weight, first, rtol=0, atol=0)


def test_a_space_of_features_holds_their_leading_directions():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    plane = unit(np.linalg.qr(random.normal(size=(9, 2)))[0].T)
    features = random.normal(size=(4, 2))[labels] * 5 @ plane + 3 + 0.01 * random.normal(size=(100, 9))
    space = feature_space(features.astype(np.float32), labels, dim=2)
    np.testing.assert_allclose(space.projection.T @ space.projection, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(plane @ space.projection @ space.projection.T, plane, atol=1e-2)
    wanted = unit((features - space.mean) @ space.projection)
    assert ((wanted @ space.rows.T).argmax(axis=1) == labels).all()
    logits = features @ space.classifier.T + space.bias
    distances = np.square(features[:, None] - space.classifier[None]).sum(axis=2)
    np.testing.assert_array_equal(logits.argmax(axis=1), distances.argmin(axis=1))


def test_a_space_of_more_directions_than_there_are_is_refused():
    with pytest.raises(InputError, match="have no 11 directions"):
        feature_space(np.zeros((20, 10), np.float32), np.zeros(20, np.int64), dim=11)
