import pytest
import torch
from torch import nn

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.zsl.generative.images import (
    DiscriminatorFeatures,
    ImageDiscriminator,
    ImageGanSchedule,
    ImageGenerator,
    fit_image_gan,
)
from edgezsl.zsl.meta.prototypical import embed, nearest_prototypes

CLASSES = 300


def moved_strokes(classes, each=10, seed=0):
    """Characters of one random pattern of blocks each, drawn at different places."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, 5, 5, generator=generator).round()
    patterns = patterns.repeat_interleave(4, 1).repeat_interleave(4, 2)
    images = torch.zeros(classes, each, 1, 28, 28)
    for one, pattern in zip(images, patterns, strict=True):
        for drawing in one:
            down, across = torch.randint(0, 9, (2,), generator=generator).tolist()
            drawing[0, down : down + 20, across : across + 20] = pattern
    return images


def networks(classes, seed=0):
    torch.manual_seed(seed)
    return ImageGenerator(classes, noise=8, channels=8), ImageDiscriminator(classes, channels=8)


def few_shot_accuracy(encoder, images):
    rows = embed(encoder, images.flatten(0, 1)).unflatten(0, images.shape[:2])
    episode = Episodes(rows, EpisodeLaw(ways=5, shots=1, queries=5), seed=0).draw(0, tasks=200)
    return (nearest_prototypes(episode) == episode.targets()).float().mean().item()


@pytest.fixture(scope="module")
def trained():
    generator, discriminator = networks(CLASSES)
    images = moved_strokes(CLASSES)
    schedule = ImageGanSchedule(200, batch=32, learning_rate=0.003)
    told = list(fit_image_gan(generator, discriminator, images, schedule))
    return generator, discriminator, images, told


def test_what_a_discriminator_learned_knows_new_characters_better_than_pixels_or_chance_weights(trained):
    others = moved_strokes(20, seed=9)
    learned = few_shot_accuracy(DiscriminatorFeatures(trained[1]), others)
    untrained = few_shot_accuracy(DiscriminatorFeatures(networks(CLASSES)[1]), others)
    pixels = few_shot_accuracy(nn.Flatten(), others)
    assert learned > untrained + 0.08
    assert learned > pixels + 0.03


def test_a_generated_image_is_nearest_to_the_class_that_was_asked_for():
    images = moved_strokes(4, each=1).expand(4, 10, 1, 28, 28)
    generator, discriminator = networks(4)
    schedule = ImageGanSchedule(120, batch=16, learning_rate=0.003)
    assert [step.done for step in fit_image_gan(generator, discriminator, images, schedule)] == [100, 120]
    classes = torch.arange(4).repeat(10)
    with torch.no_grad():
        made = generator(torch.randn(40, 8, generator=torch.Generator().manual_seed(1)), classes)
    assert made.shape == (40, 1, 28, 28)
    assert 0 <= made.min() <= made.max() <= 1
    nearest = torch.cdist(made.flatten(1), images[:, 0].flatten(1)).argmin(1)
    assert (nearest == classes).float().mean() > 0.7


def test_features_are_of_length_one_and_do_not_depend_on_other_images(trained):
    encoder = DiscriminatorFeatures(trained[1])
    rows = embed(encoder, trained[2][0])
    assert rows.shape == (10, (8 + 16 + 32) * 16)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(10))
    torch.testing.assert_close(embed(encoder, trained[2][0, :1]), rows[:1], rtol=1e-4, atol=1e-5)


def test_without_classes_only_the_two_networks_play(trained):
    generator, discriminator = networks(1)
    images = moved_strokes(20).flatten(0, 1)[None]
    before = discriminator.classes.weight.clone()
    told = list(fit_image_gan(generator, discriminator, images, ImageGanSchedule(40, batch=16)))
    assert torch.equal(discriminator.classes.weight, before)
    assert told[-1].accuracy > 0.6
