import numpy as np
import pytest
import torch

from edgezsl.errors import ModelError
from edgezsl.zsl.method import ZeroShotMethod
from edgezsl.zsl.methods import METHODS, method_named
from edgezsl.zsl.sides import check_folds, sides_of
from tests.zsl.worlds import feature_set, small


@pytest.mark.parametrize("name", METHODS)
def test_the_sides_of_a_method_say_what_the_method_says(name):
    data = feature_set()
    method = method_named(name).make(small(name), size="quick")
    if not isinstance(method, ZeroShotMethod) or getattr(method, "retrains", False):
        with pytest.raises(ModelError, match="no row to a class"):
            sides_of(method)
        return
    sides = sides_of(method.fit(*data.of("trainval"), data.semantics))
    with torch.no_grad():
        embeddings = sides.image(torch.from_numpy(data.features)).numpy()
        answer = sides.classes(torch.from_numpy(data.semantics))
    vectors, bias = (part.numpy() for part in answer) if sides.biased else (answer.numpy(), 0.0)
    known_vectors, known_bias = method.prototypes(data.semantics)
    np.testing.assert_allclose(
        embeddings @ vectors.T + bias, method.embed(data.features) @ known_vectors.T + known_bias, atol=1e-4
    )
    if sides.similarity == "cosine":
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_method_that_does_not_fold_is_refused_with_the_nearest_that_does():
    class Voting:
        nearest_folded = "fusion by weighted average"

    with pytest.raises(ModelError, match="Voting gives no row to a class") as caught:
        sides_of(Voting())
    assert "fusion by weighted average" in caught.value.hint


@pytest.mark.parametrize("entry", METHODS.values(), ids=lambda entry: entry.name)
def test_whether_a_method_folds_is_known_before_it_is_fitted(entry):
    method, folds = entry.make({}), entry.name not in {"latem", "gan-zsl", "f-clswgan", "cada-vae", "f-vaegan"}
    if folds:
        check_folds(method, entry.name)
    else:
        with pytest.raises(ModelError, match=f"{entry.name} gives no row"):
            check_folds(method, entry.name)


def test_a_class_without_any_attribute_has_the_same_row_on_both_sides():
    data = feature_set()
    method = method_named("dap").make({}).fit(*data.of("trainval"), data.semantics)
    nothing = np.zeros((1, data.semantics.shape[1]), np.float32)
    with torch.no_grad():
        vectors, bias = sides_of(method).classes(torch.from_numpy(nothing))
    known_vectors, known_bias = method.prototypes(nothing)
    np.testing.assert_allclose(vectors.numpy(), known_vectors, atol=1e-6)
    np.testing.assert_allclose(bias.numpy(), known_bias, atol=1e-4)
