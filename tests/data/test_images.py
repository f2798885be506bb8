import cv2
import numpy as np
import pytest

from edgezsl.data.images import PackedImages, PictureFiles
from edgezsl.errors import EdgezslError, InputError


def encoded(colour):
    image = np.full((8, 10, 3), colour, np.uint8)
    return cv2.imencode(".webp", image[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1]


def write_packed(path, *colours):
    files = [encoded(colour) for colour in colours]
    offsets = np.cumsum([0, *(len(file) for file in files)])
    wnids = np.array(["n01", "n02"])
    np.savez(path, webp=np.concatenate(files), offsets=offsets, labels=np.arange(len(files)) % 2, wnids=wnids)


def test_packed_images_are_rgb_and_in_their_order(tmp_path):
    write_packed(tmp_path / "a.npz", (255, 0, 0), (0, 0, 255))
    images = PackedImages(tmp_path / "a.npz")
    assert tuple(images.labels) == ("n01", "n02")
    assert images.image(0).shape == (8, 10, 3)
    assert images.image(0)[0, 0].tolist() == [255, 0, 0]
    assert images.image(1)[0, 0].tolist() == [0, 0, 255]


def test_an_archive_without_the_arrays_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(InputError, match="webp") as caught:
        PackedImages(tmp_path / "a.npz")
    assert caught.value.code == "bad_images"


def test_a_damaged_packed_image_is_named_by_its_number(tmp_path):
    data = np.frombuffer(b"no image at all", np.uint8)
    np.savez(tmp_path / "a.npz", webp=data, offsets=np.array([0, len(data)]), labels=[0], wnids=np.array(["n01"]))
    with pytest.raises(EdgezslError) as caught:
        PackedImages(tmp_path / "a.npz").image(0)
    assert "a.npz[0]" in str(caught.value)


def test_a_folder_gives_its_pictures_sorted_with_their_labels(tmp_path):
    for name in ("b_two.png", "a_one.png", "notes.txt"):
        (tmp_path / name).write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    images = PictureFiles.of_folder(tmp_path, lambda path: path.name.partition("_")[0])
    assert images.labels == ("a", "b")
    assert images.image(1).shape == (4, 4, 3)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        PictureFiles.of_folder(tmp_path, str)
    assert caught.value.code == "no_images"
