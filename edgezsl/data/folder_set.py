"""Folders of photographs as feature sets: a sub-folder is a class, and a visual encoder gives the features.

What an encoder said of a picture is kept in a file named after what it depends on: the encoder, and the bytes of every picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from edgezsl.data.feature_set import FeatureSet
from edgezsl.data.images import PictureFiles
from edgezsl.errors import InputError, Place, SourceError, shown
from edgezsl.files import file_digest, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_HELD_CLASSES = 0.2  # of the seen classes, that settings are chosen by
_JUDGED_ROWS = 0.2  # of the pictures of a seen class
_FEWEST_CLASSES = 4  # two to fit and two to choose by
_BATCH = 16


@dataclass(frozen=True, slots=True)
class EncoderOfFeatures:
    """What gives the features of a picture.

    Attributes:
        digest: Of everything that decides them.
        embed: RGB uint8 pictures to features `(N, F)` float32.
    """

    digest: str
    embed: Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class FolderFeatures:
    """The features of a folder.

    Attributes:
        features: `(N, F)`.
        names: The label of each row: the name of its sub-folder.
        skipped: Pictures that are none, by their path, with the reason.
    """

    features: NDArray[np.float32]
    names: tuple[str, ...]
    skipped: dict[str, str]


def folder_features(
    folder: Path, encoder: EncoderOfFeatures, cache: Path | None
) -> Iterator[tuple[int, int] | FolderFeatures]:
    """Yield how many pictures of how many were embedded, and last the features.

    Args:
        folder: Its sub-folders are the classes.
        encoder: Gives the features.
        cache: Where features are kept, or None.

    Raises:
        InputError: When there is no picture in a sub-folder.
    """
    files = PictureFiles.of_folder(folder, lambda path: path.relative_to(folder).parts[0])
    inside = [number for number, path in enumerate(files.paths) if path.parent != folder]
    if not inside:
        expected = "a sub-folder for each class, named after it"
        raise InputError(
            f"none of {len(files.paths)} pictures lies in a sub-folder",
            code="no_images",
            where=Place(str(folder)),
            expected=expected,
        )
    kept = None if cache is None else cache / f"{_digest(files, inside, encoder)}.npz"
    found = None if kept is None else _kept(kept)
    if found is not None:
        yield found
        return
    rows: list[NDArray[np.float32]] = []
    names: list[str] = []
    skipped: dict[str, str] = {}
    for start in range(0, len(inside), _BATCH):
        pictures = [(files.labels[number], *_picture(files, number)) for number in inside[start : start + _BATCH]]
        read = [(label, picture) for label, picture, _ in pictures if picture is not None]
        names += [label for label, _ in read]
        skipped |= {str(files.paths[inside[start + at]]): why for at, (_, _, why) in enumerate(pictures) if why}
        if read:
            rows.append(encoder.embed([picture for _, picture in read]))
        yield min(start + _BATCH, len(inside)), len(inside)
    if not rows:
        raise InputError(
            "no picture can be read", code="no_images", where=Place(str(folder)), got=next(iter(skipped.values()))
        )
    found = FolderFeatures(np.concatenate(rows), tuple(names), skipped)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        why = np.array([*skipped.items()], np.str_).reshape(-1, 2)
        whole = BytesIO()
        np.savez(whole, features=found.features, names=np.array(found.names), skipped=why)
        write_durably(kept, whole.getvalue())
    yield found


def _picture(files: PictureFiles, number: int) -> tuple[NDArray[np.uint8] | None, str]:
    """Return a picture, or None and why it is none."""
    try:
        return files.image(number), ""
    except SourceError as fault:
        return None, fault.message


def _digest(files: PictureFiles, inside: Sequence[int], encoder: EncoderOfFeatures) -> str:
    whole = hashlib.sha256(encoder.digest.encode())
    for number in inside:
        whole.update(f"{files.labels[number]}\0{file_digest(files.paths[number])}\0".encode())
    return whole.hexdigest()


def _kept(path: Path) -> FolderFeatures | None:
    """Return what an earlier run kept, or None where there is nothing, or nothing that can be read."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return FolderFeatures(file["features"], tuple(file["names"].tolist()), dict(file["skipped"].tolist()))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None


def folder_set(
    name: str,
    found: FolderFeatures,
    describe: Callable[[Sequence[str]], NDArray[np.float32]],
    *,
    unseen: Sequence[str] = (),
    seed: int = 0,
) -> FeatureSet:
    """Return features as a set that a method can be fitted and judged on.

    A fifth of the seen classes is held back to choose by, and where there are unseen classes a fifth of the pictures of every seen
    class is judged beside them.

    Args:
        name: What reports call it.
        found: The features.
        describe: Names of classes to semantic embeddings `(C, A)`.
        unseen: Classes that are judged and not fitted on.
        seed: Chooses what is held back.

    Raises:
        InputError: When a class of `unseen` has no folder, or there are too few classes.
    """
    names = sorted(set(found.names))
    missing = [one for one in unseen if one not in names]
    if missing:
        known = ", ".join(names[:5])
        raise InputError(
            f"there is no folder {shown(missing[0])}",
            code="unknown_class",
            where=Place(name),
            expected=f"one of {known}, …",
        )
    index = {one: number for number, one in enumerate(names)}
    labels = np.array([index[one] for one in found.names])
    random = np.random.default_rng(seed)
    judged = np.array([index[one] for one in unseen], np.int64)
    seen = random.permutation(np.setdiff1d(np.arange(len(names)), judged))
    if len(seen) < _FEWEST_CLASSES:
        message = f"there are {len(seen)} classes to learn from"
        raise InputError(
            message, code="too_few_classes", where=Place(name), expected=f"{_FEWEST_CLASSES} sub-folders at least"
        )
    held = seen[: max(2, round(_HELD_CLASSES * len(seen)))]
    is_judged = np.zeros(len(labels), bool)
    if len(judged):
        for label in seen:
            own = random.permutation(np.flatnonzero(labels == label))
            is_judged[own[: int(_JUDGED_ROWS * len(own))]] = True
    is_unseen, is_held = np.isin(labels, judged), np.isin(labels, held)
    parts = {
        "train": ~is_unseen & ~is_held & ~is_judged,
        "val": is_held & ~is_judged,
        "trainval": ~is_unseen & ~is_judged,
        "test_seen": is_judged,
        "test_unseen": is_unseen,
    }
    rows = {part: np.flatnonzero(chosen) for part, chosen in parts.items()}
    return FeatureSet(name, found.features, labels, tuple(names), describe(names), rows)
