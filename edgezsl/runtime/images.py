"""A source of images: files in the order given, each once, for a reader that takes its time."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from edgezsl.errors import SourceError
from edgezsl.runtime.sources import Frame, Pace, hide_secrets, read_image, refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def open_images(paths: Iterable[Path], *, name: str) -> ImagesSource:
    """Open images as a source, and decode the first that can be.

    Raises:
        SourceError: When there is no image, or none can be decoded.
        MissingExtraError: When OpenCV is not installed.
    """
    return ImagesSource(paths, name=name).with_first()


class ImagesSource:
    """A source of image files; files that are no image are left out and named.

    Args:
        paths: The files.
        name: The URI.

    Attributes:
        skipped: Why each file that was left out so far was.
    """

    def __init__(self, paths: Iterable[Path], *, name: str) -> None:
        self._paths = deque(paths)
        self._first: Frame | None = None
        self._count = 0
        self.skipped: list[SourceError] = []
        self.name = name
        self.pace: Pace = "waiting"

    def with_first(self) -> ImagesSource:
        """Return this source once it has given a frame, which the first `read` will return.

        Raises:
            SourceError: When none of the files is an image.
        """
        count = len(self._paths)
        self._first = self.read()
        if self._first is not None:
            return self
        if count == 1:
            raise self.skipped[0]
        message = f"none of {count} files is an image that can be read" if count else "there is no image here"
        cause = self.skipped[0] if self.skipped else None
        expected = "a folder that images lie in, or a glob of them; those in sub-folders: 'FOLDER/*/*.jpg'"
        raise refused(self.name, message, code="no_images", expected=expected) from cause

    def read(self) -> Frame | None:
        """Return the next image that can be decoded, or None after the last."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        while self._paths:
            path = self._paths.popleft()
            try:
                image = read_image(path)
            except SourceError as error:
                self.skipped.append(error)
                continue
            frame = Frame(image, self._count, time.time(), None, hide_secrets(str(path)))
            self._count += 1
            return frame
        return None

    def close(self) -> None:
        """Forget the files that are left; a second call does nothing."""
        self._paths.clear()
        self._first = None
