import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.contract import LARGEST_DIM, LARGEST_SCALE, LARGEST_SIDE, EmbeddingSpace, InputContract
from edgezsl.errors import BundleError, ContractError, Place, SpaceMismatchError
from edgezsl.records import Fields, canonical_json, parse_json
from tests.factories import small_contract, small_space

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-6, 1e6)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)

CONTRACTS = st.builds(
    InputContract,
    size=st.tuples(st.integers(1, LARGEST_SIDE), st.integers(1, LARGEST_SIDE)),
    resize=st.sampled_from(["shortest_edge_crop", "squash", "letterbox"]),
    interpolation=st.sampled_from(["area", "bilinear", "bicubic", "nearest"]),
    mean=st.tuples(FINITE, FINITE, FINITE),
    std=st.tuples(POSITIVE, POSITIVE, POSITIVE),
    dtype=st.sampled_from(["float32", "uint8"]),
    input=WORDS,
    output=WORDS,
    exact_resize=st.booleans(),
)


def spaces():
    """Return spaces with and without means."""

    def of_dim(dim):
        mean = st.lists(FINITE, min_size=dim, max_size=dim).map(tuple)
        return st.builds(
            EmbeddingSpace,
            id=st.text("0123456789abcdef", min_size=8, max_size=64),
            dim=st.just(dim),
            similarity=st.sampled_from(["cosine", "dot"]),
            logit_scale=POSITIVE,
            logit_bias=st.floats(-LARGEST_SCALE, LARGEST_SCALE),
            activation=st.sampled_from(["softmax", "sigmoid"]),
        ).flatmap(
            lambda space: st.just(space) | st.builds(lambda a, b: replace(space, image_mean=a, text_mean=b), mean, mean)
        )

    return st.integers(1, 5).flatmap(of_dim)


def read_back(kind, value):
    """Return what a value is after it was written to JSON and read again."""
    data = canonical_json(value.to_json())
    parsed = parse_json(data, file="f", error=BundleError, max_bytes=1 << 20)
    return kind.from_fields(Fields(parsed, Place("f"), BundleError))


@given(CONTRACTS)
def test_a_contract_reads_back_as_itself(contract):
    assert read_back(InputContract, contract) == contract


@given(spaces())
def test_a_space_reads_back_as_itself_to_the_last_figure(space):
    back = read_back(EmbeddingSpace, space)
    assert back == space
    assert back.to_json() == space.to_json()


def test_contract_and_space_never_change():
    with pytest.raises(FrozenInstanceError):
        small_contract().resize = "squash"
    with pytest.raises(FrozenInstanceError):
        small_space().logit_scale = 1.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", (0, 16)),
        ("size", (16, LARGEST_SIDE + 1)),
        ("size", (16,)),
        ("size", (16.5, 16)),
        ("mean", (0.5, 0.5)),
        ("mean", (0.5, 0.5, math.nan)),
        ("mean", (0.5, 0.5, math.inf)),
        ("std", (0.5, 0.5, 0.0)),
        ("std", (0.5, 0.5, -1.0)),
        ("std", (0.5, 0.5, math.nan)),
        ("resize", "stretch"),
        ("interpolation", "lanczos"),
        ("dtype", "float64"),
        ("layout", "NHWC"),
        ("input", ""),
        ("output", ""),
    ],
)
def test_a_contract_is_checked_at_birth(field, value):
    with pytest.raises(ContractError) as caught:
        small_contract(**{field: value})
    assert caught.value.code == "bad_contract"
    assert caught.value.where.field
    assert caught.value.expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "c0ffee"),
        ("id", "C0FFEE00"),
        ("id", "not hexadecimal"),
        ("dim", 0),
        ("dim", LARGEST_DIM + 1),
        ("similarity", "euclidean"),
        ("activation", "tanh"),
        ("logit_scale", 0.0),
        ("logit_scale", -1.0),
        ("logit_scale", math.nan),
        ("logit_scale", 2 * LARGEST_SCALE),
        ("logit_bias", math.nan),
        ("logit_bias", -math.inf),
        ("image_mean", None),
        ("text_mean", (0.0,)),
        ("text_mean", (math.nan,) * 6),
    ],
)
def test_a_space_is_checked_at_birth(field, value):
    with pytest.raises(ContractError) as caught:
        small_space(**{field: value})
    assert caught.value.code == "bad_contract"
    assert caught.value.where.field


@pytest.mark.parametrize(
    ("value", "error", "code"),
    [
        ({"size": [16.5, 16]}, BundleError, "wrong_type"),
        ({"size": [16]}, ContractError, "bad_contract"),
        ({"size": "16x16"}, BundleError, "wrong_type"),
        ({"resize": "stretch"}, ContractError, "bad_contract"),
        ({"mean": [0, 0, "0"]}, BundleError, "wrong_type"),
        ({"exact_resize": 1}, BundleError, "wrong_type"),
        ({"channels": 3}, BundleError, "unknown_key"),
    ],
)
def test_a_fault_in_a_contract_is_found_in_its_file_and_field(value, error, code):
    fields = Fields({**small_contract().to_json(), **value}, Place("manifest.json", field="contract"), BundleError)
    with pytest.raises(error) as caught:
        InputContract.from_fields(fields)
    assert caught.value.code == code
    assert caught.value.where == Place("manifest.json", field=f"contract.{next(iter(value))}")


def test_a_fault_in_a_space_is_found_in_its_file_and_field():
    fields = Fields({**small_space().to_json(), "dim": 0}, Place("manifest.json", field="space"), BundleError)
    with pytest.raises(ContractError) as caught:
        EmbeddingSpace.from_fields(fields)
    assert caught.value.where == Place("manifest.json", field="space.dim")


def test_spaces_are_equal_by_encoder_dimension_and_similarity_alone():
    space = small_space()
    assert space == small_space(logit_scale=1.0, activation="sigmoid", image_mean=None, text_mean=None)
    assert hash(space) == hash(small_space(logit_bias=1.0))
    assert space != small_space(id="c0ffee00")
    assert space != small_space(similarity="dot")
    assert space != EmbeddingSpace(space.id, 7, "cosine")
    assert space != "colours"


def test_another_space_is_refused_with_both_spaces_and_the_command_that_helps():
    other = small_space(id="c0ffee00", similarity="dot")
    with pytest.raises(SpaceMismatchError) as caught:
        small_space().check_same(other, "the pack")
    assert "the pack lives in the embedding space c0ffee00 (D=6, dot)" in str(caught.value)
    assert str(small_space()) in str(caught.value)
    assert "edgezsl embed" in caught.value.hint


def test_the_example_shift_leads_from_images_to_texts_and_needs_both_means():
    space = small_space(image_mean=(1.0,) * 6, text_mean=(3.0,) * 6)
    assert np.array_equal(space.example_shift, np.full(6, 2, np.float32))
    assert small_space(image_mean=None, text_mean=None).example_shift is None
