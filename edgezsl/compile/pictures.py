"""The images that an export is calibrated on and proved on: photographs of the user's, or generated ones.

Each image knows the photograph that it came from, so that nothing is proved on what it was calibrated on. One image
file is one photograph, all frames of one video are one, and crops of one share the file name up to `__`.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from edgezsl.compile import dead_leaves
from edgezsl.errors import Place, SourceError
from edgezsl.runtime.sources import IMAGE_SUFFIXES, local_path, open_source, public_name, read_image, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.runtime.sources import FrameSource

T = TypeVar("T")
Kind = Literal["generated images", "images", "frames"]
CROP_MARK = "__"  # in a file name: what follows it names a crop of one photograph
_IMAGES = f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))}"
LIVE_STRIDE = 10  # of a camera or stream one frame in so many is kept


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One image.

    Attributes:
        image: `(H, W, 3)` uint8 RGB.
        photograph: What names the photograph that it came from, the same for all images that came from one.
        label: The name of its class, or empty.
        file: Where it was read from, or None for a generated image or a frame.
    """

    image: NDArray[np.uint8]
    photograph: str
    label: str = ""
    file: Path | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of shape and pixels, 64 hexadecimal digits."""
        shape = " ".join(map(str, self.image.shape)).encode()
        return hashlib.sha256(shape + b"\n" + np.ascontiguousarray(self.image).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A set of images that are read one by one, once.

    Attributes:
        kind: What they are, in words for reports.
        count: How many there are, unreadable ones included.
        each: The images.
        labels: Every label among them, each once, or none.
        skipped: Grows by the reason of each image that could not be read.
    """

    kind: Kind
    count: int
    each: Iterator[Picture]
    labels: tuple[str, ...] = ()
    skipped: Sequence[SourceError] = ()


def generated_pictures(first_seed: int, count: int) -> Pictures:
    """Return the dead leaves images of `count` seeds; each seed counts as one photograph.

    Raises:
        MissingExtraError: When OpenCV is not installed, as soon as an image is read.
    """
    seeds = range(first_seed, first_seed + count)
    each = (Picture(dead_leaves.dead_leaves(seed), f"seed {seed}") for seed in seeds)
    return Pictures("generated images", count, each)


def folder_pictures(folder: Path, *, labels: bool = False, most: int | None = None) -> Pictures:
    """Return the images in a folder and its sub-folders, in the order of their paths.

    Args:
        folder: The folder.
        labels: Whether the first sub-folder on an image's path is its label.
        most: How many to take, spread evenly over all; None takes every one.

    Raises:
        SourceError: When there is no image.
        MissingExtraError: When OpenCV is not installed.
    """
    if not folder.is_dir():
        where, hint = Place(public_name(str(folder))), "correct the path, or make the folder"
        raise SourceError(
            "there is no such folder", code="not_found", where=where, expected="a folder of images", hint=hint
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if labels:
        paths = [path for path in paths if path.parent != folder]
    chosen = paths if most is None else spread(paths, most)
    if not chosen:
        hint = "choose a folder of photographs" if not labels else "give each class a sub-folder of its photographs"
        where = Place(public_name(str(folder)))
        raise SourceError("there is no image here", code="no_images", where=where, expected=_IMAGES, hint=hint)
    unread: list[SourceError] = []

    def label_of(path: Path) -> str:
        return path.relative_to(folder).parts[0] if labels else ""

    def read() -> Iterator[Picture]:
        for path in chosen:
            try:
                image = read_image(path)
            except SourceError as fault:
                unread.append(fault)
                continue
            yield Picture(image, photograph_of(path), label_of(path), path)

    return Pictures("images", len(chosen), read(), tuple(dict.fromkeys(filter(None, map(label_of, chosen)))), unread)


def source_pictures(uri: str, most: int) -> Pictures:
    """Return frames of any source, spread evenly over it.

    A folder gives its images and those of its sub-folders. A film or a glob is read to its end. A camera or stream
    gives one frame in ten.

    Args:
        uri: What `edgezsl.runtime.sources.open_source` takes.
        most: How many to take.

    Raises:
        SourceError: When there is no such source, or it gives no image.
        SourceLostError: When a live source goes silent.
        MissingExtraError: When OpenCV is needed and not installed.
    """
    path = local_path(uri)
    if path is not None and path.is_dir():
        return folder_pictures(path, most=most)
    if path is None:
        return Pictures("frames", most, _live_frames(open_source(uri), most))
    # Nobody knows a film's length before its end, and its frames do not fit the memory: it is read twice.
    count = sum(1 for _ in _frames(open_source(uri, as_fast_as_possible=True)))
    source = open_source(uri, as_fast_as_possible=True)
    wanted = set(spread(range(count), most))
    each = (picture for number, picture in enumerate(_frames(source)) if number in wanted)
    return Pictures("frames", len(wanted), each, skipped=skipped(source))


def photograph_of(path: Path) -> str:
    """Return what names the photograph that an image file came from: its path, up to the mark of a crop."""
    name, mark, _ = path.name.partition(CROP_MARK)
    return str(path.resolve().with_name(name)) if mark else str(path.resolve())


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` of the items, spread evenly, in their order."""
    if len(items) <= most:
        return items
    return [items[index * len(items) // most] for index in range(most)]


def _frames(source: FrameSource) -> Iterator[Picture]:
    """Yield every frame of a source, and close it."""
    try:
        for frame in iter(source.read, None):
            yield Picture(frame.image, photograph_of(Path(frame.file)) if frame.file else source.name)
    finally:
        source.close()


def _live_frames(source: FrameSource, most: int) -> Iterator[Picture]:
    """Yield one frame in ten of a source that may never end."""
    yield from itertools.islice(_frames(source), 0, most * LIVE_STRIDE, LIVE_STRIDE)
