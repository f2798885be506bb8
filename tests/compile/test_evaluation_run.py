"""A bundle and a model directory on a folder of photographs: labels are read from sub-folders, and both answer alike."""

from __future__ import annotations

import numpy as np
import pytest

from edgezsl.compile.evaluation_run import FolderSettings, evaluate_folder
from edgezsl.errors import InputError, SourceError
from edgezsl.evaluate.evaluation import Evaluation
from tests.factories import colour_frame, write_conv_model

cv2 = pytest.importorskip("cv2")


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])


def found_of(settings):
    *_, found = evaluate_folder(settings)
    assert isinstance(found, Evaluation)
    return found


def test_sub_folders_are_labels_and_what_cannot_be_read_is_left_out_and_counted(small_bundle, tmp_path):
    for name in ("red", "green", "blue"):
        for number in range(4):
            write(tmp_path / name / f"{number}.png", colour_frame(name))
    (tmp_path / "red" / "broken.png").write_bytes(b"no image")
    found = found_of(FolderSettings(tmp_path, small_bundle.folder, engine="onnx", threads=1))
    assert found.figures.images == 12
    assert found.figures.top[1] == 1.0
    assert found.facts["unreadable"] == "1 files, which are left out"
    assert found.title == f"colours on {tmp_path.name}"


def test_a_folder_without_labels_is_refused(small_bundle, tmp_path):
    write(tmp_path / "red.png", colour_frame("red"))
    with pytest.raises(SourceError, match="there is no image here") as caught:
        found_of(FolderSettings(tmp_path, small_bundle.folder))
    assert "sub-folder" in caught.value.hint


def test_a_model_directory_is_judged_in_full_precision_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    write_conv_model(tmp_path / "model")
    random = np.random.RandomState(0)
    for name in ("cat", "dog"):
        for number in range(2):
            write(tmp_path / "images" / name / f"{number}.png", random.randint(0, 256, (24, 24, 3)).astype(np.uint8))
    steps = list(
        evaluate_folder(FolderSettings(tmp_path / "images", model=tmp_path / "model", engine="onnx", threads=1))
    )
    found = steps[-1]
    assert found.figures.images == 4
    assert found.facts["model"].startswith("convolutions, fp32: ")
    assert all(step.total >= step.done >= 0 for step in steps[:-1])
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A model directory, and photographs of noise under two labels."""
    folder = tmp_path_factory.mktemp("noise")
    write_conv_model(folder / "model")
    random = np.random.RandomState(0)
    for name in ("cat", "dog"):
        for number in range(6):
            image = random.randint(0, 256, (6, 6, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            write(folder / "images" / name / f"{number}.png", image)
    return folder


def attacked(folder, epsilon):
    from edgezsl.compile.attack_run import AttackSettings

    attack = AttackSettings("pgd", epsilon, steps=10)
    return found_of(FolderSettings(folder / "images", model=folder / "model", engine="onnx", threads=1, attack=attack))


def test_an_attack_of_no_reach_changes_nothing_and_a_large_one_leaves_little(noise):
    none, large = attacked(noise, 0.0), attacked(noise, 64.0)
    alone = none.robustness.attacked["the model"]
    assert alone.clean.value == pytest.approx(none.figures.right.value)
    assert alone.robust_right == alone.clean_right > 0
    assert large.robustness.attacked["the model"].robust_right < alone.clean_right
    assert set(large.robustness.attacked) == {"the model", "ensemble with its mirror image"}
    assert large.to_json()["robustness"]["attack"] == "PGD of 10 steps, ε = 64/255, on pixels, with the weights known"


def test_a_bundle_cannot_be_attacked(small_bundle, tmp_path):
    from edgezsl.compile.attack_run import AttackSettings

    with pytest.raises(InputError, match="carries no gradient") as caught:
        found_of(FolderSettings(tmp_path, small_bundle.folder, attack=AttackSettings("fgsm")))
    assert "--model DIR" in caught.value.hint


def test_corrupted_photographs_are_recognised_where_that_is_asked(small_bundle, tmp_path):
    for name in ("red", "blue"):
        write(tmp_path / name / "0.png", colour_frame(name))
    found = found_of(FolderSettings(tmp_path, small_bundle.folder, engine="onnx", threads=1, corruptions=True))
    assert found.robustness.corrupted["jpeg"][5].value == 1.0
    assert found.robustness.attacked == {}
