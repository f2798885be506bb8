import numpy as np
import pytest
from scipy.io import savemat

from edgezsl.data.xlsa17 import read_xlsa17
from edgezsl.errors import InputError

LABELS = np.repeat(np.arange(1, 5), 3)  # from 1, as MATLAB counts


def written(tmp_path, **changes):
    """Write a set of four classes in the authors' shapes: one image a column, names in cells, rows from 1."""
    folder = tmp_path / "SUN"
    folder.mkdir()
    savemat(folder / "res101.mat", {"features": np.arange(24.0).reshape(2, 12), "labels": LABELS[:, None]})
    names = np.array(["abbey", "bakery", "cabin", "dam"], dtype=object)[:, None]
    splits = {
        "att": np.arange(12.0).reshape(3, 4),
        "allclasses_names": names,
        "train_loc": np.array([[1], [2], [3]]),
        "val_loc": np.array([[4], [5], [6]]),
        "trainval_loc": np.array([[1], [2], [4], [5]]),
        "test_seen_loc": np.array([[3], [6]]),
        "test_unseen_loc": np.arange(7, 13)[:, None],
    }
    savemat(
        folder / "att_splits.mat", {name: value for name, value in {**splits, **changes}.items() if value is not None}
    )
    return folder


def test_rows_count_from_zero_and_images_are_rows(tmp_path):
    found = read_xlsa17(written(tmp_path))
    assert found.name == "sun"
    assert found.class_names == ("abbey", "bakery", "cabin", "dam")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_array_equal(found.features[0], [0, 12])
    np.testing.assert_array_equal(found.semantics[1], [1, 5, 9])
    assert found.rows["test_seen"].tolist() == [2, 5]
    assert found.classes("test_unseen").tolist() == [2, 3]


def test_a_missing_array_is_named(tmp_path):
    with pytest.raises(InputError, match="'val_loc' is missing"):
        read_xlsa17(written(tmp_path, val_loc=None))


def test_a_file_that_is_no_matlab_file_is_refused(tmp_path):
    folder = written(tmp_path)
    (folder / "res101.mat").write_bytes(b"no MATLAB" * 40)
    with pytest.raises(InputError, match="the set cannot be read") as caught:
        read_xlsa17(folder)
    assert "MATLAB file of version 5" in caught.value.expected


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_xlsa17(tmp_path / "CUB")
