"""Where images come from, which photograph each is of, and what calibration takes of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgezsl.compile.calibration import FEWEST, calibration_set
from edgezsl.compile.dead_leaves import dead_leaves
from edgezsl.compile.pictures import folder_pictures, generated_pictures, photograph_of, source_pictures, spread
from edgezsl.errors import SourceError
from edgezsl.evaluate.progress import Progress
from tests.factories import conv_facts, finished

cv2 = pytest.importorskip("cv2")
CONTRACT = conv_facts().contract


def save(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((20, 30, 3), number, np.uint8))


@pytest.fixture
def photographs(tmp_path):
    """Twelve photographs in two sub-folders, and what lies beside photographs."""
    for number in range(12):
        save(tmp_path / ("cat" if number % 2 else "dog") / f"{number:02d}.png", 10 * number)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "dog" / "broken.jpg").write_bytes(b"no image either")
    return tmp_path


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 24))
    for number in range(60):
        writer.write(np.full((24, 32, 3), 4 * number, np.uint8))
    writer.release()
    return path


def calibrated(source, count):
    """Return a calibration set and the progress on the way."""
    return finished(calibration_set(source, CONTRACT, count))


def test_a_folder_gives_every_image_below_it_and_names_what_is_none(photographs):
    pictures = folder_pictures(photographs)
    images = list(pictures.each)
    assert (pictures.count, len(images)) == (13, 12)
    assert [fault.code for fault in pictures.skipped] == ["not_an_image"]
    assert len({picture.photograph for picture in images}) == 12
    assert pictures.labels == ()


def test_the_sub_folders_are_labels_where_asked_and_loose_images_have_none(photographs):
    save(photographs / "loose.png", 200)
    pictures = folder_pictures(photographs, labels=True)
    assert pictures.labels == ("cat", "dog")
    assert {picture.label for picture in pictures.each} == {"cat", "dog"}


def test_fewer_images_are_spread_evenly_over_all(photographs):
    assert spread(list("abcdefghij"), 5) == list("acegi")
    assert spread(list("abc"), 5) == list("abc")
    assert sum(picture.image.size > 0 for picture in source_pictures(str(photographs), 4).each) == 4


def test_a_film_is_one_photograph_and_its_frames_are_spread_to_its_end(film):
    pictures = source_pictures(str(film), 10)
    images = list(pictures.each)
    assert pictures.kind == "frames"
    assert len(images) == pictures.count == 10
    assert len({picture.photograph for picture in images}) == 1
    levels = [picture.image.mean() for picture in images]
    assert levels[0] < 30
    assert levels[-1] > 200


def test_a_glob_gives_files_and_a_live_source_every_tenth_frame(photographs):
    globbed = list(source_pictures(str(photographs / "cat" / "*.png"), 3).each)
    assert len({picture.photograph for picture in globbed}) == 3
    live = source_pictures("synthetic:?width=160&height=120&fps=0&frames=0", 3)
    assert len(list(live.each)) == 3


def test_crops_of_one_photograph_share_its_name(tmp_path):
    crops = {photograph_of(tmp_path / name) for name in ("a__1.png", "a__2.png", "b.png", "a.png")}
    assert len(crops) == 3
    assert photograph_of(tmp_path / "a__1.png") == photograph_of(tmp_path / "a__2.jpg")


def test_a_generated_image_is_a_photograph_by_itself_and_is_called_generated():
    pictures = generated_pictures(40, 2)
    images = list(pictures.each)
    assert pictures.kind == "generated images"
    assert [picture.photograph for picture in images] == ["seed 40", "seed 41"]
    np.testing.assert_array_equal(images[0].image, dead_leaves(40))


def test_calibration_keeps_pixels_their_digest_and_what_they_came_from(photographs):
    used, steps = calibrated(str(photographs), 12)
    assert used.pixels.shape == (len(used), 3, *CONTRACT.size)
    assert used.pixels.dtype == np.float32
    assert len(used.photographs) == len(used.images) == len(used)
    assert steps[0] == Progress("reading images for calibration", 1, 12)
    assert calibrated(str(photographs), 12)[0].digest == used.digest
    save(photographs / "cat" / "01.png", 255)
    assert calibrated(str(photographs), 12)[0].digest != used.digest


def test_one_film_is_said_to_be_one_scene(film, photographs):
    one, several, generated = (calibrated(source, 8)[0] for source in (str(film), str(photographs), None))
    assert one.few_scenes
    assert "of one photograph or film" in str(one)
    assert "8 photographs or films" in str(several)
    assert not generated.few_scenes
    assert str(generated) == "8 generated images"


def test_a_folder_that_is_not_there_is_said_to_be_absent(tmp_path):
    with pytest.raises(SourceError, match="there is no such folder"):
        folder_pictures(tmp_path / "none")


def test_without_a_source_calibration_is_generated_and_says_so():
    used, _ = calibrated(None, FEWEST)
    assert (used.kind, len(used)) == ("generated images", FEWEST)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(SourceError, match="no image here") as caught:
        calibrated(str(tmp_path), 10)
    assert caught.value.code == "no_images"
    assert caught.value.hint


def test_too_few_images_are_refused_with_their_number(tmp_path):
    for number in range(FEWEST - 1):
        save(tmp_path / f"{number}.png", number)
    with pytest.raises(SourceError, match="7 images for calibration") as caught:
        calibrated(str(tmp_path), 10)
    assert caught.value.expected.startswith("at least 8")


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError):
        calibrated(str(tmp_path / "none.mp4"), 10)
