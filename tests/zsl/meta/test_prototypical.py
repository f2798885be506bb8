import numpy as np
import pytest
import torch

from edgezsl.data.episodes import Episode, EpisodeLaw, Episodes
from edgezsl.zsl.meta.convnet import ConvEncoder, conv_classifier
from edgezsl.zsl.meta.prototypical import (
    ProtoNetSchedule,
    confidence,
    embed,
    fit_prototypical,
    nearest_prototypes,
    prototypical_loss,
    rows_of_examples,
)


def strokes(classes=8, each=10, seed=0):
    """Characters of one random pattern of blocks each, drawn with noise."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, 1, 1, 4, 4, generator=generator).round()
    patterns = patterns.repeat_interleave(7, 3).repeat_interleave(7, 4)
    return (patterns + 0.8 * torch.randn(classes, each, 1, 28, 28, generator=generator)).clamp(0, 1)


def test_a_matrix_with_a_bias_scores_as_the_squared_distance_to_the_mean():
    generator = torch.Generator().manual_seed(0)
    examples, rows = torch.randn(6, 4, 5, generator=generator), torch.randn(30, 5, generator=generator)
    vectors, bias = rows_of_examples(examples)
    distance = -torch.cdist(rows, examples.mean(1)).square()
    folded = 2 * (rows @ vectors.T + bias)
    torch.testing.assert_close(folded - folded[:, :1], distance - distance[:, :1], rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_distances():
    """Algorithm 1 of the paper, by hand: identity as the embedding."""
    support = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[5.0, 1.0], [5.0, 3.0]]])[None]
    query = torch.tensor([[[1.0, 1.0]], [[3.0, 1.0]]])[None]
    loss, right = prototypical_loss(torch.nn.Identity(), Episode(support, query))
    squared = np.array([[1.0, 17.0], [5.0, 5.0]])  # of each query to (1, 0) and (5, 2)
    expected = [-np.log(np.exp(-row[target]) / np.exp(-row).sum()) for target, row in enumerate(squared)]
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)
    assert right.item() in {0.5, 1.0}  # the second is a tie


def test_training_teaches_what_makes_a_class_and_test_time_is_deterministic():
    torch.manual_seed(0)
    encoder = ConvEncoder(8)
    episodes = Episodes(strokes(classes=40), EpisodeLaw(ways=8, shots=2, queries=3), seed=0)
    told = list(fit_prototypical(encoder, episodes, ProtoNetSchedule(60, learning_rate=0.003), every=20))
    assert [step.done for step in told] == [20, 40, 60]
    assert told[-1].loss < told[0].loss / 2
    others = strokes(seed=9)
    rows = embed(encoder, others.flatten(0, 1))
    torch.testing.assert_close(embed(encoder, others[0, :1]), rows[:1], rtol=1e-4, atol=1e-5)
    episode = Episodes(rows.view(8, 10, -1), EpisodeLaw(ways=5, shots=3, queries=5), seed=1).draw(0)
    assert (nearest_prototypes(episode) == episode.targets()).float().mean() > 0.8


def test_the_interval_is_that_of_the_mean():
    mean, half = confidence(torch.tensor([0.2, 0.4, 0.6, 0.8]))
    assert mean == pytest.approx(0.5)
    assert half == pytest.approx(1.96 * np.std([0.2, 0.4, 0.6, 0.8], ddof=1) / 2)


def test_strides_and_pooling_give_embeddings_of_the_same_width():
    images = strokes(classes=3, each=2).flatten(0, 1)
    torch.manual_seed(0)
    strided, pooled = (conv_classifier(3, 8, strided=strided) for strided in (True, False))
    assert strided(images).shape == pooled(images).shape == (6, 3)
    assert strided[0](images).shape == (6, 8)
    maps = strided[0].blocks[:4](images)
    assert maps.shape == (6, 8, 2, 2)
    torch.testing.assert_close(strided[0](images), maps.mean((2, 3)))
