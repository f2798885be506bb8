import os
from pathlib import Path

import numpy as np
import pytest

from edgezsl.data.omniglot import SIDE, Characters, CharacterSplit, read_characters
from edgezsl.errors import InputError


def written(path, names, *, each=3, side=56):
    """Drawings whose ink is a block: character c has its block in row c."""
    pixels = np.zeros((len(names), each, side, side), np.uint8)
    for number in range(len(names)):
        pixels[number, :, 2 * number : 2 * number + 2, : side // 2] = 1
    flat = pixels.reshape(-1, side * side)
    labels = np.repeat(np.arange(len(names)), each).astype(np.int16)
    mixed = np.random.default_rng(0).permutation(len(labels))
    np.savez(
        path,
        bits=np.packbits(flat, axis=1)[mixed],
        labels=labels[mixed],
        class_names=names,
        shape=np.array([side, side]),
    )
    return path


def test_drawings_come_out_by_character_however_they_lie_in_the_file(tmp_path):
    found = read_characters(written(tmp_path / "a.npz", [f"A/{number}" for number in range(5)]))
    assert found.images.shape == (5, 3, 1, SIDE, SIDE)
    assert found.names == ("A/0", "A/1", "A/2", "A/3", "A/4")
    for number in range(5):
        assert (found.images[number, :, 0, number, : SIDE // 2] == 1).all()
        assert found.images[number].sum() == 3 * SIDE // 2


def test_a_turned_character_is_a_class_of_its_own():
    image = np.zeros((1, 2, 1, 3, 3), np.float32)
    image[:, :, :, 0, 2] = 1
    turned = Characters(image, ("A/1",)).rotated()
    assert turned.names == ("A/1@0", "A/1@90", "A/1@180", "A/1@270")
    corners = [tuple(np.argwhere(one[0, 0])[0].tolist()) for one in turned.images]
    assert corners == [(0, 2), (0, 0), (2, 0), (2, 2)]


@pytest.mark.parametrize("what", ["text", "unequal", "lacking"])
def test_what_is_no_file_of_drawings_is_refused_by_name(tmp_path, what):
    path = tmp_path / "images_background.npz"
    if what == "text":
        path.write_text("no archive")
    elif what == "lacking":
        np.savez(path, bits=np.zeros((1, 4), np.uint8))
    else:
        arrays = {"bits": np.zeros((3, 8), np.uint8), "labels": np.array([0, 0, 1]), "class_names": ["A/1", "A/2"]}
        np.savez(path, **arrays, shape=np.array([8, 8]))
    with pytest.raises(InputError, match="this is no file of drawings") as fault:
        CharacterSplit.by_alphabets(tmp_path)
    assert str(path) in str(fault.value)


@pytest.mark.data
def test_the_two_ways_to_part_the_real_characters_share_none():
    folder = Path(os.environ["EDGEZSL_DATA"]) / "omniglot"
    split = CharacterSplit.by_alphabets(folder)
    alphabets = [{name.split("/")[0] for name in part.names} for part in (split.training, split.validation, split.test)]
    assert [len(part) for part in alphabets] == [25, 5, 20]
    assert not alphabets[0] & alphabets[1] | alphabets[0] & alphabets[2] | alphabets[1] & alphabets[2]
    split = CharacterSplit.by_characters(folder)
    characters = [
        {name.split("@")[0] for name in part.names} for part in (split.training, split.validation, split.test)
    ]
    assert [len(part) for part in characters] == [1028, 172, 423]
    assert len(set.union(*characters)) == 1623
    assert [len(part.images) for part in (split.training, split.validation, split.test)] == [4112, 688, 1692]
