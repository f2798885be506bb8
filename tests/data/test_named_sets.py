import os
from pathlib import Path

import numpy as np
import pytest

from edgezsl.data.benchmark_sets import tinyimagenet
from edgezsl.data.named_sets import feature_set_named, names_features, splits_named
from edgezsl.errors import InputError
from tests.data.test_xlsa17 import written


def test_a_file_needs_no_folder(tmp_path):
    parts = dict.fromkeys(("val_loc", "test_seen_loc", "test_unseen_loc"), np.zeros(0, int))
    np.savez(
        tmp_path / "own.npz",
        features=np.ones((2, 3)),
        labels=[0, 1],
        semantics=np.ones((2, 4)),
        class_names=["a", "b"],
        train_loc=[0, 1],
        trainval_loc=[0, 1],
        **parts,
    )
    found = feature_set_named(str(tmp_path / "own.npz"), None)
    assert (found.name, found.class_names) == ("own", ("a", "b"))
    (split,) = splits_named(str(tmp_path / "own.npz"), None)
    assert split.class_names == found.class_names


@pytest.mark.parametrize(
    ("text", "code"), [("roses", "unknown_data"), ("tinyimagenet:5", "unknown_data"), ("flo", "no_folder")]
)
def test_a_set_that_is_not_known_or_not_found_is_refused(text, code):
    with pytest.raises(InputError) as caught:
        feature_set_named(text, None)
    assert caught.value.code == code


def test_a_folder_or_file_that_is_no_feature_set_is_told_from_one_that_is_absent(tmp_path):
    (tmp_path / "world.csv").touch()
    for name, said in ((".", "is a folder, and search"), ("world.csv", "is a file"), ("photoz", "no folder, file or")):
        with pytest.raises(InputError, match=said) as caught:
            feature_set_named(str(tmp_path / name), None)
        assert "FILE.npz, or one of flo" in caught.value.expected


def test_the_option_for_the_folder_of_a_set_is_named():
    with pytest.raises(InputError) as caught:
        feature_set_named("flo", None)
    assert "--folder or EDGEZSL_DATA" in caught.value.hint


@pytest.mark.data
def test_five_splits_of_tiny_imagenet_share_their_features():
    folder = Path(os.environ["EDGEZSL_DATA"])
    splits = splits_named("tinyimagenet", folder)
    assert [one.name for one in splits] == [f"tinyimagenet-{seed}" for seed in range(5)]
    assert all(one.features is splits[0].features for one in splits)
    alone = tinyimagenet(folder, seed=3)
    np.testing.assert_array_equal(splits[3].labels, alone.labels)
    np.testing.assert_array_equal(splits[3].features[::1000], alone.features[::1000])
    np.testing.assert_array_equal(splits[3].rows["test_unseen"], alone.rows["test_unseen"])


def test_a_folder_of_the_authors_matlab_files_is_a_feature_set(tmp_path):
    folder = written(tmp_path)
    assert names_features(str(folder))
    assert feature_set_named(str(folder), None).name == "sun"
    (folder / "res101.mat").unlink()
    assert not names_features(str(folder))
