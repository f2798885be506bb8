import pytest
import torch

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.errors import InputError

CLASSES, EACH = 7, 6


def numbered():
    """Images of one number each: class and place can be read from it."""
    return torch.arange(CLASSES * EACH, dtype=torch.float32).view(CLASSES, EACH, 1)


def test_an_episode_has_its_law_s_classes_and_images():
    episode = Episodes(numbered(), EpisodeLaw(ways=4, shots=2, queries=3), seed=0).draw(0, tasks=5)
    assert episode.support.shape == (5, 4, 2, 1)
    assert episode.query.shape == (5, 4, 3, 1)
    assert episode.targets().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_no_image_is_learned_from_and_judged_on_and_no_class_comes_twice():
    episodes = Episodes(numbered(), EpisodeLaw(ways=5, shots=3, queries=3), seed=1)
    for number in range(20):
        episode = episodes.draw(number)
        both = torch.cat([episode.support, episode.query], dim=2)[0, :, :, 0]
        assert len(set(both.flatten().tolist())) == both.numel()
        owners = both // EACH
        assert (owners == owners[:, :1]).all(), "a row of an episode is one class"
        assert len(set(owners[:, 0].tolist())) == 5


def test_an_episode_depends_on_seed_and_number_alone():
    law = EpisodeLaw(ways=3, shots=1, queries=2)
    ahead = Episodes(numbered(), law, seed=3)
    ahead.draw(0)
    assert torch.equal(ahead.draw(8).query, Episodes(numbered(), law, seed=3).draw(8).query)
    assert not torch.equal(ahead.draw(8).query, ahead.draw(9).query)
    assert not torch.equal(ahead.draw(8).query, Episodes(numbered(), law, seed=4).draw(8).query)


@pytest.mark.parametrize("law", [EpisodeLaw(8, 1, 1), EpisodeLaw(2, 4, 3)])
def test_too_few_images_are_refused_with_what_is_needed(law):
    with pytest.raises(InputError, match=f"no {law.ways}-way {law.shots}-shot episode") as fault:
        Episodes(numbered(), law, seed=0)
    assert fault.value.expected == f"at least {law.ways} classes of {law.shots + law.queries} images"
