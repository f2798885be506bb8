import numpy as np

from edgezsl.zsl.kernel import KernelRidge, unit


def test_it_solves_the_dual_problem():
    rng = np.random.default_rng(0)
    anchors, targets = unit(rng.standard_normal((12, 5))), rng.standard_normal((12, 3))
    ridge = KernelRidge.fit(anchors, targets, sharpness=2.0, penalty=0.3)
    kernel = np.exp(2.0 * (anchors @ anchors.T - 1))
    assert np.allclose(ridge(anchors), kernel @ np.linalg.inv(kernel + 0.3 * np.eye(12)) @ targets)


def test_an_anchor_of_twice_the_weight_counts_as_two():
    rng = np.random.default_rng(1)
    anchors, targets = unit(rng.standard_normal((6, 4))), rng.standard_normal((6, 2))
    weights = np.array([2.0, 1, 1, 1, 1, 1])
    weighted = KernelRidge.fit(anchors, targets, sharpness=1.0, weights=weights)
    doubled = KernelRidge.fit(anchors[[0, *range(6)]], targets[[0, *range(6)]], sharpness=1.0)
    asked = unit(rng.standard_normal((5, 4)))
    assert np.allclose(weighted(asked), doubled(asked))


def test_a_row_of_zeros_stays_one():
    assert unit(np.zeros((1, 3))).tolist() == [[0, 0, 0]]
