import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from edgezsl.zsl.semantic.linear import fit_linear, log_sigmoid, softmax

PENALTY = 0.01


def problem(classes=4, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(120) % classes
    inputs = random.normal(size=(120, 6)) + random.normal(size=(classes, 6))[labels]
    return inputs, labels, np.eye(classes)[labels]


def test_the_softmax_classifier_is_multinomial_logistic_regression():
    inputs, labels, targets = problem()
    found = fit_linear(inputs, targets, loss="softmax", penalty=PENALTY, steps=500)
    known = LogisticRegression(C=1 / (PENALTY * len(labels)), fit_intercept=False, tol=1e-10, max_iter=1000)
    np.testing.assert_allclose(found, known.fit(inputs, labels).coef_.T, atol=1e-4)


def test_sigmoid_predictors_are_logistic_regressions_one_by_one():
    inputs, _, _ = problem()
    targets = (inputs @ np.random.default_rng(1).normal(size=(6, 3)) + 0.5 > 0).astype(float)
    found = fit_linear(inputs, targets, loss="sigmoid", penalty=PENALTY, steps=500)
    known = LogisticRegression(C=1 / (PENALTY * len(inputs)), fit_intercept=False, tol=1e-10, max_iter=1000)
    for column in range(3):
        np.testing.assert_allclose(found[:, column], known.fit(inputs, targets[:, column]).coef_[0], atol=1e-4)


def test_squared_hinge_predictors_are_support_vector_machines():
    inputs, labels, targets = problem()
    found = fit_linear(inputs, targets, loss="squared-hinge", penalty=PENALTY, steps=1000)
    known = LinearSVC(C=1 / (PENALTY * len(labels)), loss="squared_hinge", fit_intercept=False, tol=1e-10, dual=False)
    np.testing.assert_allclose(found, known.fit(inputs, labels).coef_.T, atol=1e-3)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "squared-hinge"])
def test_few_steps_come_near_the_minimum_of_features_of_very_different_size(loss):
    inputs, labels, targets = problem()
    inputs = inputs * np.geomspace(1, 30, 6)
    few, many = (fit_linear(inputs, targets, loss=loss, penalty=PENALTY, steps=steps) for steps in (20, 500))
    rights = [((inputs @ weights).argmax(axis=1) == labels).mean() for weights in (few, many)]
    assert rights[1] > 0.7
    assert abs(rights[0] - rights[1]) < 0.05


def test_large_outputs_do_not_overflow():
    outputs = np.array([[-1e4, 0.0, 1e4]])
    assert log_sigmoid(outputs).tolist() == [[-1e4, -np.log(2), 0.0]]
    assert softmax(outputs).tolist() == [[0.0, 0.0, 1.0]]
