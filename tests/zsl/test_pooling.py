import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.zsl.pooling import pooled


def test_a_mean_is_that_of_directions_whatever_the_order_of_parts():
    parts = np.array([[3.0, 0.0], [0.0, 0.5], [0.0, 2.0]])
    names, rows = pooled(parts, np.array([9, 4, 9]))
    assert names.tolist() == [4, 9]
    np.testing.assert_allclose(rows, [[0, 1], [np.sqrt(0.5), np.sqrt(0.5)]], atol=1e-6)


def test_attention_is_a_softmax_of_agreement_with_the_mean_of_a_clip():
    parts = np.random.default_rng(0).normal(size=(7, 5)) + 1
    (row,) = pooled(parts, np.zeros(7, int), how="attention", sharpness=4.0)[1]
    directions = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    mean = directions.mean(axis=0)
    logits = 4.0 * directions @ mean / np.linalg.norm(mean)
    weights = np.exp(logits) / np.exp(logits).sum()
    wanted = weights @ directions
    np.testing.assert_allclose(row, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_attention_without_sharpness_is_the_mean():
    parts, groups = np.random.default_rng(1).normal(size=(20, 6)) + 0.5, np.arange(20) % 3
    flat = pooled(parts, groups, how="attention", sharpness=0.0)[1]
    np.testing.assert_allclose(flat, pooled(parts, groups)[1], atol=1e-6)


def test_a_cut_to_something_else_moves_attention_less_than_the_mean():
    random = np.random.default_rng(2)
    action, other = np.eye(8)[0], np.eye(8)[1]
    frames = np.concatenate([np.tile(action, (6, 1)), np.tile(other, (2, 1))]) + 0.05 * random.normal(size=(8, 8))
    mean, attention = (pooled(frames, np.zeros(8, int), how=how)[1][0] for how in ("mean", "attention"))
    assert mean @ action < 0.97
    assert attention @ action > 0.995


@pytest.mark.parametrize(("parts", "groups"), [(np.ones((2, 3)), [0]), (np.ones((0, 3)), [])])
def test_parts_and_groups_belong_together(parts, groups):
    with pytest.raises(InputError) as caught:
        pooled(parts, np.array(groups, int))
    assert caught.value.code == "bad_features"


def test_parts_that_cancel_each_other_out_are_refused_by_name():
    with pytest.raises(InputError, match="group 7"):
        pooled(np.array([[1.0, 0], [-1, 0], [0, 1]]), np.array([7, 7, 8]))
