import numpy as np
import pytest
import torch

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.data.warps import AffineWarp


def blob() -> torch.Tensor:
    image = torch.zeros(1, 1, 28, 28)
    image[..., 8:14, 12:20] = 1
    return image


def test_a_warp_of_nothing_changes_nothing():
    warp = AffineWarp(0, 0, 0, 0)
    torch.testing.assert_close(warp(blob(), np.random.default_rng(0)), blob())


@pytest.mark.parametrize("quarter", [1, 3])
def test_a_turn_is_a_turn(quarter):
    class Extreme(np.random.Generator):
        def uniform(self, low, high, size):
            return np.full(size, low if quarter == 1 else high, dtype=float)

    found = AffineWarp(90, 0, 0, 0)(blob(), Extreme(np.random.PCG64(0)))
    torch.testing.assert_close(found, torch.rot90(blob(), -quarter, dims=(2, 3)))


def test_each_picture_has_its_own_warp_and_keeps_most_of_its_ink():
    found = AffineWarp()(blob().repeat(50, 1, 1, 1), np.random.default_rng(0))
    assert len({one.numpy().tobytes() for one in found}) == 50
    ink = found.sum(dim=(1, 2, 3)) / blob().sum()
    assert ink.min() > 0.7
    assert ink.max() < 1.4


def test_episodes_warp_what_they_draw_and_draw_the_same_again():
    images = torch.rand(6, 4, 1, 28, 28)
    plain, warped = (Episodes(images, EpisodeLaw(5, 1, 2), seed=3, augment=one) for one in (None, AffineWarp()))
    first, again, straight = warped.draw(7), warped.draw(7), plain.draw(7)
    assert first.query.shape == straight.query.shape
    assert torch.equal(first.query, again.query)
    assert not torch.allclose(first.query, straight.query)
    still = Episodes(images, EpisodeLaw(5, 1, 2), seed=3, augment=AffineWarp(0, 0, 0, 0)).draw(7)
    torch.testing.assert_close(still.support, straight.support)
