from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from edgezsl.contract import EmbeddingSpace
from edgezsl.errors import PackError, SpaceMismatchError
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.records import sha256_hex
from tests.factories import colour_prototypes, small_space

DOT = EmbeddingSpace("c0ffee00", 3, "dot")
COSINE = EmbeddingSpace("c0ffee00", 3, "cosine")


def make(space=DOT, **changes):
    """Return two classes, with changes."""
    parts = {
        "names": ("a", "b"),
        "vectors": np.eye(2, 3, dtype=np.float32),
        "space": space,
        "bias": np.zeros(2, np.float32),
        "thresholds": np.full(2, np.nan, np.float32),
        "seen": np.array([True, False]),
        "negative": np.zeros(2, np.bool_),
    }
    return ClassPrototypes(**{**parts, **changes})


def refusal(call):
    with pytest.raises(PackError) as caught:
        call()
    return caught.value


def changed(index, value, array):
    """Return a copy of an array with one element replaced."""
    array = np.array(array)
    array[index] = value
    return array


ARRAYS = ("vectors", "bias", "thresholds", "seen", "negative", "offset", "limits")


def test_a_set_never_changes():
    prototypes = make()
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(prototypes, name)[0] = 1
    with pytest.raises(FrozenInstanceError):
        prototypes.names = ("c", "d")
    with pytest.raises(FrozenInstanceError):
        prototypes.reject = 0.5


def test_an_array_that_was_taken_over_can_no_longer_be_written_by_its_giver():
    vectors = np.eye(2, 3, dtype=np.float32)
    prototypes = make(vectors=vectors)
    assert prototypes.vectors is vectors, "a matrix of gigabytes is not copied"
    with pytest.raises(ValueError, match="read-only"):
        vectors[0, 0] = 2


@pytest.mark.parametrize(
    ("space", "changes", "code", "field"),
    [
        (DOT, {"names": ()}, "no_classes", "names"),
        (DOT, {"names": ("a", "")}, "bad_name", "names[1]"),
        (DOT, {"names": ("a\nb", "c")}, "bad_name", "names[0]"),
        (DOT, {"names": ("a", "a")}, "duplicate_name", "names[1]"),
        (DOT, {"names": ("caf\u00e9", "cafe\u0301")}, "duplicate_name", "names[1]"),
        (DOT, {"names": ("a", " a ")}, "duplicate_name", "names[1]"),
        (DOT, {"names": ("a",)}, "bad_shape", "vectors"),
        (DOT, {"vectors": np.eye(2, 4, dtype=np.float32)}, "bad_shape", "vectors"),
        (DOT, {"vectors": np.eye(3, dtype=np.float32)}, "bad_shape", "vectors"),
        (DOT, {"vectors": np.ones(6, np.float32)}, "bad_shape", "vectors"),
        (DOT, {"vectors": np.eye(2, 3)}, "bad_shape", "vectors"),
        (DOT, {"vectors": np.eye(2, 3, dtype=">f4")}, "bad_shape", "vectors"),
        (DOT, {"bias": np.zeros(3, np.float32)}, "bad_shape", "bias"),
        (DOT, {"bias": np.zeros((2, 1), np.float32)}, "bad_shape", "bias"),
        (DOT, {"thresholds": np.zeros(2)}, "bad_shape", "thresholds"),
        (DOT, {"seen": np.zeros(2, np.uint8)}, "bad_shape", "seen"),
        (DOT, {"negative": np.zeros(1, np.bool_)}, "bad_shape", "negative"),
        (DOT, {"vectors": changed((1, 2), np.nan, np.eye(2, 3, dtype=np.float32))}, "bad_row", "vectors[1]"),
        (DOT, {"vectors": changed((0, 2), -np.inf, np.eye(2, 3, dtype=np.float32))}, "bad_row", "vectors[0]"),
        (DOT, {"vectors": changed(1, 0, np.eye(2, 3, dtype=np.float32))}, "bad_row", "vectors[1]"),
        (COSINE, {"vectors": changed((1, 1), 1.01, np.eye(2, 3, dtype=np.float32))}, "bad_row", "vectors[1]"),
        (COSINE, {"vectors": changed((0, 0), 0.99, np.eye(2, 3, dtype=np.float32))}, "bad_row", "vectors[0]"),
        (DOT, {"bias": np.array([0, np.nan], np.float32)}, "bad_row", "bias[1]"),
        (DOT, {"bias": np.array([3e38, 0], np.float32)}, "bad_row", "bias[0]"),
        (DOT, {"thresholds": np.array([0, np.inf], np.float32)}, "bad_row", "thresholds[1]"),
        (DOT, {"reject": np.nan}, "bad_value", "reject"),
        (DOT, {"reject": 1e39}, "bad_value", "reject"),
        (DOT, {"seen_penalty": -0.1}, "bad_value", "seen_penalty"),
        (DOT, {"seen_penalty": np.inf}, "bad_value", "seen_penalty"),
        (DOT, {"seen_penalty": 1e39}, "bad_value", "seen_penalty"),
    ],
)
def test_a_set_is_checked_at_birth(space, changes, code, field):
    error = refusal(lambda: make(space, **changes))
    assert (error.code, error.where.field) == (code, field)
    assert error.expected


def test_a_row_that_is_refused_is_named():
    error = refusal(lambda: make(vectors=changed((1, 2), np.nan, np.eye(2, 3, dtype=np.float32))))
    assert "'b'" in str(error)


def test_any_length_is_allowed_where_the_space_is_no_cosine():
    assert len(make(vectors=100 * np.eye(2, 3, dtype=np.float32))) == 2


def test_rounding_is_no_reason_to_refuse_a_unit_row():
    rows = np.random.RandomState(0).randn(2, 3)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert len(make(COSINE, vectors=rows.astype(np.float16).astype(np.float32))) == 2


def test_rows_become_a_set_in_their_order():
    rows = [
        ClassRow("b", np.array([0, 1, 0], np.float32), bias=0.5, threshold=0.25),
        ClassRow("a", np.array([1, 0, 0], np.float32), seen=True, negative=True),
    ]
    prototypes = ClassPrototypes.from_rows(iter(rows), DOT, reject=0.1, seen_penalty=0.2)
    assert prototypes.names == ("b", "a")
    assert len(prototypes) == 2
    assert np.array_equal(prototypes.vectors, [[0, 1, 0], [1, 0, 0]])
    assert np.array_equal(prototypes.bias, np.array([0.5, 0], np.float32))
    assert np.array_equal(prototypes.thresholds, np.array([0.25, np.nan], np.float32), equal_nan=True)
    assert prototypes.seen.tolist() == prototypes.negative.tolist() == [False, True]
    assert (prototypes.reject, prototypes.seen_penalty) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "no_classes"),
        ([ClassRow("a", np.ones(4, np.float32))], "bad_shape"),
        ([ClassRow("a", np.ones((3, 2), np.float32))], "bad_shape"),
        ([ClassRow("a", np.ones(3)), ClassRow("b", np.ones(2))], "bad_shape"),
        ([ClassRow("a", np.array([1e39, 0, 0]))], "bad_row"),
        ([ClassRow("a", np.ones(3), bias=1e39)], "bad_row"),
        ([ClassRow("a", np.ones(3), threshold=-1e39)], "bad_row"),
    ],
)
def test_rows_that_make_no_set_are_refused(rows, code):
    assert refusal(lambda: ClassPrototypes.from_rows(rows, DOT)).code == code


def test_what_scoring_adds_is_the_bias_less_the_penalty_of_seen_classes():
    prototypes = make(bias=np.array([0.5, 0.5], np.float32), seen_penalty=0.25)
    assert prototypes.offset.tolist() == [0.25, 0.5]
    assert prototypes.offset.dtype == np.float32


def test_a_threshold_of_its_own_beats_the_set_s_and_none_is_none():
    own = np.array([0.5, np.nan], np.float32)
    assert make(thresholds=own.copy(), reject=0.25).limits.tolist() == [0.5, 0.25]
    assert make(thresholds=own.copy()).limits.tolist() == [0.5, -np.inf]
    assert make(thresholds=own.copy()).limits.dtype == np.float32


def test_a_set_is_named_by_the_digest_of_its_pack():
    prototypes = make()
    assert prototypes.digest == sha256_hex(prototypes.to_bytes())
    assert prototypes.digest == make().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"names": ("a", "c")},
        {"names": ("b", "a")},
        {"vectors": np.eye(2, 3, dtype=np.float32)[::-1].copy()},
        {"bias": np.full(2, 0.1, np.float32)},
        {"thresholds": np.full(2, 0.1, np.float32)},
        {"seen": np.zeros(2, np.bool_)},
        {"negative": np.ones(2, np.bool_)},
        {"reject": 0.0},
        {"seen_penalty": 0.1},
        {"space": EmbeddingSpace("c0ffee01", 3, "dot")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_digest_tells_any_two_sets_apart(changes):
    assert make(**changes).digest != make().digest


def test_equal_numbers_of_other_python_types_make_an_equal_pack():
    pack = make(reject=1.0, seen_penalty=0.0).to_bytes()
    assert make(reject=1, seen_penalty=0).to_bytes() == pack
    assert make(reject=np.float32(1), seen_penalty=-0.0).to_bytes() == pack


def test_select_takes_rows_by_name_in_the_order_asked_for():
    chosen = colour_prototypes(reject=0.1, seen_penalty=0.2).select(["blue", "red"])
    expected = colour_prototypes("blue", "red", reject=0.1, seen_penalty=0.2)
    assert chosen.to_bytes() == expected.to_bytes()


@pytest.mark.parametrize(
    ("names", "code"), [([], "no_classes"), (["red", "mauve"], "unknown_class"), (["red", "red"], "duplicate_name")]
)
def test_select_refuses_what_is_not_there_or_asked_for_twice(names, code):
    assert refusal(lambda: colour_prototypes().select(names)).code == code


def test_extend_appends_rows_and_keeps_reject_and_penalty_of_the_first():
    first = colour_prototypes("red", reject=0.1, seen_penalty=0.2)
    both = first.extend(colour_prototypes("blue", reject=0.9, seen_penalty=0.9))
    assert both.to_bytes() == colour_prototypes("red", "blue", reject=0.1, seen_penalty=0.2).to_bytes()
    assert len(first) == 1, "the first set is as it was"


def test_extend_refuses_a_name_that_stands_in_both():
    assert refusal(lambda: colour_prototypes("red").extend(colour_prototypes("red"))).code == "duplicate_name"


def test_extend_refuses_another_space():
    other = colour_prototypes("blue", space=small_space(id="c0ffee00"))
    with pytest.raises(SpaceMismatchError):
        colour_prototypes("red").extend(other)
