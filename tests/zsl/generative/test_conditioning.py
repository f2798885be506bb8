import numpy as np
import torch

from edgezsl.zsl.generative.conditioning import Centring, Description
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import class_means


def test_conditions_keep_the_angles_and_the_relative_distances_of_seen_classes():
    semantics = np.random.default_rng(0).normal(size=(7, 30))
    description = Description(semantics)
    assert description.width == 6, "seven points less their mean span six directions"
    found = description(torch.from_numpy(semantics.astype(np.float32))).numpy()
    centred = unit(semantics) - unit(semantics).mean(axis=0)
    ratio = (found @ found.T) / (centred @ centred.T)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    np.testing.assert_allclose(np.square(found).mean(), 1, rtol=1e-4)


def test_what_no_seen_class_differs_in_says_nothing_of_an_unseen_one():
    semantics = np.random.default_rng(0).normal(size=(5, 9))
    semantics[:, 8] = 0
    description = Description(semantics)
    first, other = torch.ones(1, 9), torch.ones(1, 9)
    other[0, 8] = -1
    assert torch.allclose(description(first), description(other), atol=1e-5)


def test_a_single_seen_class_and_equal_ones_have_no_direction():
    for semantics in (np.ones((1, 4)), np.ones((3, 4))):
        description = Description(semantics)
        assert description.width == 0
        assert description(torch.ones(2, 4)).shape == (2, 0)


def test_centred_rows_are_of_one_length_and_less_the_mean_of_classes_not_of_rows():
    random = np.random.default_rng(1)
    rows, labels = random.normal(size=(40, 3)) + 5, np.array([0] * 30 + [1] * 10)
    found = Centring(torch.from_numpy(rows.astype(np.float32)), labels)(torch.from_numpy(rows.astype(np.float32)))
    expected = unit(rows - class_means(rows, labels)[1].mean(axis=0))
    np.testing.assert_allclose(unit(found.numpy()), expected, atol=1e-5)
    np.testing.assert_allclose(found.norm(dim=1), found.norm(dim=1)[0].item(), rtol=1e-5)
