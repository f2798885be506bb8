import numpy as np
import pytest
import torch
from torch import nn

from edgezsl.encoders.torch_graph import GraphModule
from edgezsl.errors import InputError
from edgezsl.preprocess import Preprocessor
from edgezsl.scoring import scores
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.classifier import (
    Ensemble,
    Mirrored,
    PixelEncoder,
    PrototypeClassifier,
    Resized,
    WhiteBoxAttack,
    answers,
    pixels_of,
)
from tests.factories import image_encoder, small_contract

SIZE, D, K = 4, 6, 2


class Linear(nn.Module):
    """Normalised pixels to embeddings by a matrix."""

    def __init__(self, seed=0):
        super().__init__()
        self.register_buffer("weight", torch.randn((3 * SIZE * SIZE, D), generator=torch.Generator().manual_seed(seed)))

    def forward(self, pixels):
        return pixels.flatten(1) @ self.weight


def contract_of(mean, std):
    return small_contract(size=(SIZE, SIZE), mean=(mean,) * 3, std=(std,) * 3)


def linear_classifier(mean=0.5, std=0.5, *, seed=0):
    random = np.random.RandomState(seed)
    encoder = PixelEncoder(Linear(seed), contract_of(mean, std))
    return PrototypeClassifier(encoder, random.normal(size=(K, D)), random.normal(size=K), logit_scale=0.1)


def grey(count=5, seed=0):
    """Pixels far from black and white, so that a whole step is valid."""
    return np.random.RandomState(seed).uniform(0.2, 0.8, (count, 3, SIZE, SIZE)).astype(np.float32)


def check_radius(attack, classifier, std, levels):
    """Hold the change of pixels, and what it does to a margin, against what is worked out by hand for a linear model."""
    pixels, labels = grey(), np.zeros(5, np.int64)
    found = attack(pixels, labels)
    np.testing.assert_allclose(np.abs(found - pixels), levels / 255, atol=1e-6)
    difference = classifier.encoder.encoder.weight @ (classifier.vectors[0] - classifier.vectors[1])
    lost = classifier.logit_scale * levels / 255 / std * float(difference.abs().sum())
    with torch.no_grad():
        before, after = (classifier(torch.from_numpy(one)) for one in (pixels, found))
    margins = (before[:, 0] - before[:, 1]) - (after[:, 0] - after[:, 1])
    np.testing.assert_allclose(margins, lost, rtol=1e-4)


@pytest.mark.parametrize("std", [0.5, 0.225, 1.0])
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_epsilon_is_in_levels_of_pixels_however_a_contract_normalises(name, std):
    classifier = linear_classifier(0.4, std)
    check_radius(WhiteBoxAttack(classifier, Ball.of_levels(2), name, steps=10), classifier, std, 2)


def test_an_attack_on_normalised_pixels_with_a_radius_of_pixels_is_caught():
    """A planted defect: ε/255 is taken off what was normalised already, and is worth ε · std levels."""
    mean, std = 0.5, 0.5
    classifier = linear_classifier(mean, std)
    behind = PrototypeClassifier(
        classifier.encoder.encoder,
        classifier.vectors.numpy(),
        classifier.bias.numpy(),
        logit_scale=classifier.logit_scale,
    )
    inner = WhiteBoxAttack(behind, Ball(2 / 255), "fgsm")

    def wrong(pixels, labels):
        return inner((pixels - np.float32(mean)) / np.float32(std), labels) * np.float32(std) + np.float32(mean)

    with pytest.raises(AssertionError):
        check_radius(wrong, classifier, std, 2)


def test_pixels_that_are_normalised_by_the_module_are_those_of_the_preprocessor():
    contract = small_contract(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    frames = [np.random.RandomState(seed).randint(0, 256, (20 + seed, 30, 3), np.uint8) for seed in range(3)]
    preprocess = Preprocessor(contract)
    pixels = pixels_of(frames, preprocess)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1
    normalised = PixelEncoder(nn.Identity(), contract)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(normalised, preprocess(frames), atol=1e-5)


def test_an_encoder_that_takes_levels_is_given_levels():
    contract = small_contract(dtype="uint8")
    encoder = PixelEncoder(GraphModule(image_encoder(contract), file="small"), contract)
    like = PixelEncoder(GraphModule(image_encoder(small_contract()), file="small"), small_contract())
    pixels = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (2, 3, 16, 16)) / np.float32(255)).float()
    torch.testing.assert_close(encoder(pixels), like(pixels), atol=1e-2, rtol=0)


def test_logits_are_the_scores_of_a_device_times_the_scale():
    random = np.random.RandomState(0)
    embeddings, vectors = (random.normal(size=(count, D)).astype(np.float32) for count in (7, 3))
    offset = random.normal(size=3).astype(np.float32)
    classifier = PrototypeClassifier(nn.Identity(), vectors, offset, logit_scale=20.0)
    expected = 20 * scores(embeddings, vectors, offset)
    np.testing.assert_allclose(classifier(torch.from_numpy(embeddings)), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(answers(classifier, embeddings), expected.argmax(axis=1))


def test_an_ensemble_is_the_weighted_mean_of_its_members():
    one, other = linear_classifier(seed=0), linear_classifier(seed=1)
    pixels = torch.from_numpy(grey())
    mean, uneven = Ensemble([one, other]), Ensemble([one, other], [1, 3])
    torch.testing.assert_close(mean(pixels), (one(pixels) + other(pixels)) / 2)
    torch.testing.assert_close(uneven(pixels), (one(pixels) + 3 * other(pixels)) / 4)


@pytest.mark.parametrize(("count", "weights"), [(0, None), (2, [1.0]), (2, [1.0, 0.0])])
def test_an_ensemble_without_weights_for_its_members_is_refused(count, weights):
    with pytest.raises(InputError, match="one weight"):
        Ensemble([linear_classifier()] * count, weights)


def test_an_ensemble_is_hurt_most_by_an_attack_on_all_of_it():
    """Linear members of two classes: the gradient of the mean is the worst direction, that of one member is not."""
    members = [linear_classifier(seed=0), linear_classifier(seed=1)]
    whole, pixels, labels = Ensemble(members), grey(), np.zeros(5, np.int64)

    def margins(target):
        found = WhiteBoxAttack(target, Ball.of_levels(4), "fgsm")(pixels, labels)
        logits = whole(torch.from_numpy(found))
        return logits[:, 0] - logits[:, 1]

    assert (margins(whole) < margins(members[0])).all()


def test_a_mirror_swaps_left_and_right_and_another_size_is_resized():
    inner, pixels = linear_classifier(), torch.from_numpy(grey())
    torch.testing.assert_close(Mirrored(inner)(pixels), inner(torch.from_numpy(grey()[..., ::-1].copy())))
    twice = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert Resized(inner, (SIZE, SIZE))(twice).shape == (5, K)
    flat = torch.full((1, 3, 9, 7), 0.3)
    torch.testing.assert_close(Resized(inner, (SIZE, SIZE))(flat), inner(torch.full((1, 3, SIZE, SIZE), 0.3)))


def test_the_same_seed_gives_the_same_attack():
    random = np.random.RandomState(0)
    bent = nn.Sequential(PixelEncoder(Linear(), contract_of(0.5, 0.5)), nn.SiLU(), nn.Linear(D, D), nn.SiLU())
    classifier = PrototypeClassifier(bent, random.normal(size=(K, D)), np.zeros(K), logit_scale=1.0)
    ball = Ball.of_levels(30)
    runs = [WhiteBoxAttack(classifier, ball, steps=1, seed=seed)(grey(), np.zeros(5, np.int64)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 0


@pytest.mark.parametrize(("name", "steps"), [("cw", 10), ("pgd", 0)])
def test_an_attack_that_does_not_exist_is_refused(name, steps):
    with pytest.raises(InputError, match="fgsm, or pgd"):
        WhiteBoxAttack(linear_classifier(), Ball(0.1), name, steps)
