import numpy as np
import pytest

from edgezsl.data.feature_set import PARTS, FeatureSet, read_feature_set
from edgezsl.errors import InputError

LABELS = np.repeat(np.arange(5), 4)
ROWS = {
    "train": np.flatnonzero(LABELS < 2),
    "val": np.flatnonzero(LABELS == 2),
    "trainval": np.flatnonzero((LABELS < 3) & (np.arange(20) % 4 < 3)),
    "test_seen": np.flatnonzero((LABELS < 3) & (np.arange(20) % 4 == 3)),
    "test_unseen": np.flatnonzero(LABELS >= 3),
}


def arrays(**changes):
    values = {
        "features": np.arange(60, dtype=np.float16).reshape(20, 3),
        "labels": LABELS.astype(np.int16),
        "semantics": np.eye(5, 4),
        "class_names": np.array(list("abcde")),
        **{f"{part}_loc": rows for part, rows in ROWS.items()},
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def read(tmp_path, **changes):
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    return read_feature_set(tmp_path / "own.npz")


def test_any_modality_comes_in_as_one_file(tmp_path):
    found = read(tmp_path)
    assert (found.name, found.class_names) == ("own", ("a", "b", "c", "d", "e"))
    assert (found.features.dtype, found.labels.dtype, found.semantics.shape) == (np.float32, np.int64, (5, 4))
    assert found.classes("trainval").tolist() == [0, 1, 2]
    features, labels = found.of("val")
    assert labels.tolist() == [2] * 4
    np.testing.assert_array_equal(features, np.arange(24, 36, dtype=np.float32).reshape(4, 3))


def test_classes_may_have_ids_beside_their_names(tmp_path):
    ids = [f"n0000000{number}" for number in range(5)]
    assert read(tmp_path, ids=np.array(ids)).ids == tuple(ids)
    assert read(tmp_path).ids == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": None}, "no feature set"),
        ({"labels": LABELS[:-1]}, "20 features, 19 labels"),
        ({"labels": np.where(LABELS == 4, 9, LABELS)}, "labels up to 9 of 5 classes"),
        ({"val_loc": np.array([8, 20])}, "val has the row 20 of 20"),
        ({"trainval_loc": np.array([0, 12])}, "d of both trainval and test_unseen"),
        ({"train_loc": np.array([0, 8])}, "c of both train and val"),
        ({"val_loc": np.array([16])}, "e of both val and test_unseen"),
        (
            {"features": np.where(np.arange(60).reshape(20, 3) == 31, np.nan, 0)},
            "features that are no numbers, such as row 10",
        ),
        ({"semantics": np.full((5, 4), np.inf)}, "semantics that are no numbers, such as row 0"),
        ({"attributes": np.array(["red", "round"])}, "2 names of attributes"),
        ({"ids": np.array(["n02012849"])}, "1 ids"),
        ({"test_seen_loc": np.array([2, 3])}, "1 rows of both trainval and test_seen"),
        ({"trainval_loc": np.array([0, 1, 4, 5])}, "c in test_seen and not in trainval"),
        ({"test_seen_loc": np.array([3, 19])}, "e in test_seen and not in trainval"),
        ({"labels": LABELS[:, None]}, r"of \(2, 2, 2\) dimensions"),
        ({"val_loc": np.array([[8, 9]])}, "val of 2 dimensions"),
        ({"class_names": np.array(list("abcda"))}, "two classes called 'a'"),
    ],
)
def test_a_set_that_would_leak_or_is_none_is_refused(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        read(tmp_path, **changes)


def test_a_damaged_file_is_refused(tmp_path):
    np.savez(tmp_path / "own.npz", **arrays())
    data = bytearray((tmp_path / "own.npz").read_bytes())
    data[400] ^= 0xFF  # a value of the features, which the archive has a checksum of
    (tmp_path / "own.npz").write_bytes(data)
    with pytest.raises(InputError, match="no feature set"):
        read_feature_set(tmp_path / "own.npz")


def test_a_missing_file_and_one_that_is_no_npz_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_feature_set(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("a")
    with pytest.raises(InputError, match=r"no feature set .it is not an .npz file"):
        read_feature_set(tmp_path / "text.npz")


def test_a_part_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="the parts"):
        FeatureSet("x", np.zeros((20, 3)), LABELS, tuple("abcde"), np.eye(5), {**ROWS, "test": LABELS})
    assert set(ROWS) == set(PARTS)
