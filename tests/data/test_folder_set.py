import cv2
import numpy as np
import pytest

from edgezsl.data.folder_set import EncoderOfFeatures, folder_features


@pytest.fixture
def photographs(tmp_path):
    """Two classes of two pictures."""
    for number, label in enumerate(("cat", "cat", "dog", "dog")):
        folder = tmp_path / "photographs" / label
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8, 3), 40 * number, np.uint8))
    return tmp_path / "photographs"


def brightness(calls):
    """Return an encoder whose one feature is how bright a picture is, and which counts what it was shown."""

    def embed(pictures):
        calls.append(len(pictures))
        return np.array([[one.mean()] for one in pictures], np.float32)

    return EncoderOfFeatures("ab" * 32, embed)


def last(steps):
    *_, found = steps
    return found


@pytest.mark.parametrize("part", [slice(0, -40), slice(0, 0), slice(0, 60), slice(30, None)])
def test_kept_features_that_cannot_be_read_are_made_anew(photographs, tmp_path, part):
    calls = []
    first = last(folder_features(photographs, brightness(calls), tmp_path / "cache"))
    again = last(folder_features(photographs, brightness(calls), tmp_path / "cache"))
    assert calls == [4]
    np.testing.assert_array_equal(first.features, again.features)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[part])
    third = last(folder_features(photographs, brightness(calls), tmp_path / "cache"))
    assert calls == [4, 4]
    np.testing.assert_array_equal(first.features, third.features)
    assert third.names == ("cat", "cat", "dog", "dog")
    assert len(list((tmp_path / "cache").iterdir())) == 1
