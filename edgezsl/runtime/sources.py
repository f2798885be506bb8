"""Where frames come from: one URI names any source, and one function opens it.

A source gives frames and knows nothing else: it does not sleep until a frame is due, drop, count drops, reconnect or
resize. That is the stream's part. OpenCV's part is `opencv.py`, GStreamer's `gstreamer.py`; each is imported when a
source needs it, and not before.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from edgezsl.errors import Place, SourceError, redacted, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
USUAL_RATE = 30.0  # frames a second, where a source does not say

_ALLOWED = (
    "a path, file:PATH, a camera's number, v4l2:///dev/video0, csi://0, rtsp://…, http://…, https://…, "
    "synthetic:, gst:PIPELINE"
)
_SCHEMES = frozenset({"v4l2", "csi", "gst", "rtsp", "rtsps", "http", "https", "synthetic", "file"})
_LARGEST_IMAGE = 256 * 2**20  # bytes of an encoded image
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_USER_INFO = re.compile(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*:/*).*(?=@)")  # of a URI that is one URL, however it is written
_SECRET = re.compile(
    r"""(?isx)
    ((?<![\w.-])[\w.-]*
      (?:pass|passwd|password|passphrase|pwd|pw|token|secret|key|auth|authorization|credentials?|cookies?|signature)
      \s*=\s* (?:\(\w+\)\s*)?)                # GStreamer may name a type: (string)
    (?:
      \\*" (?:\\.|[^"\\])* "?                   # quoted, the quotes escaped or not
      | ' [^']* '?
      | (?:basic|bearer|digest) \s+ [^&\s]+
      | (?:\\. | &(?![\w.-]+=) | [^&\s])+       # up to a space or the next option of a query
    )"""
)
_GLOB = re.compile(r"[*?\[]")

Pace = Literal["live", "timed", "waiting"]
"""`live`: frames come by themselves and the newest counts. `timed`: a frame is due at its `media_time`, and the newest
counts. `waiting`: the reader pulls, and no frame is dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        image: `(H, W, 3)` uint8 RGB, C-contiguous; nobody else writes to it.
        number: From 0 in its source.
        time: Unix seconds at capture; for a file, when it was read, and for a paced file, when it was due.
        media_time: Seconds into a file, never falling; else None.
        file: The picture's path as the user would write it, without secrets; None where the source is no pictures.
    """

    image: NDArray[np.uint8]
    number: int
    time: float
    media_time: float | None
    file: str | None = None


class FrameSource(Protocol):
    """Gives frames, one by one.

    A source may also have `skipped: Sequence[SourceError]`: why it left something out (see the function `skipped`).

    Attributes:
        name: The URI without credentials, such as `rtsp://***@host/x`.
        pace: Who sets the speed.
    """

    name: str
    pace: Pace

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end; may block.

        Raises:
            SourceLostError: When a live source goes silent, or ends though it should not.
        """

    def close(self) -> None:
        """Free what the source holds; a second call does nothing."""


def skipped(source: FrameSource) -> Sequence[SourceError]:
    """Return what `source` has left out so far because it could not be read, oldest first."""
    left_out: Sequence[SourceError] = getattr(source, "skipped", ())
    return left_out


def public_name(uri: str) -> str:
    """Return what the source that `uri` names is called everywhere: `camera:0`, `file:a.mp4`, `rtsp://***@host/x`.

    Passwords, keys and tokens are replaced by `***`, also those in a query or a pipeline.
    """
    uri = _tidy(uri)
    match _kind(uri):
        case "camera" if uri.isdecimal():
            return f"camera:{int(uri)}"
        case "file":
            return hide_secrets(f"file:{_local_path(uri)}")
        case "gst":
            return hide_secrets("gst:" + uri.removeprefix("gst:").strip())
    return _hidden(uri)


def local_path(uri: str) -> Path | None:
    """Return the path of the file, folder or glob that `uri` names, or None where it names something else."""
    uri = _tidy(uri)
    return Path(_local_path(uri)) if _kind(uri) == "file" else None


def source_kind(uri: str) -> str:
    """Return what kind of source `uri` names, without looking for it: `camera`, `v4l2`, `csi`, `gst`, `rtsp`, `file` and so on.

    Raises:
        SourceError: When its scheme is unknown.
    """
    tidy = _tidy(uri)
    kind = _kind(tidy)
    if kind not in _SCHEMES and not tidy.isdecimal():
        message = f"the scheme {kind!r} is unknown"
        raise refused(public_name(uri), message, code="unknown_scheme", expected=_ALLOWED)
    return kind


def hide_secrets(text: str) -> str:
    """Return `text` with what looks like a password, key or token replaced by `***`, rather too much than too little."""
    return redacted(_SECRET.sub(r"\1***", text))  # in this order: an @ in an option's value ends no user's name


def refused(name: str, message: str, *, code: str, expected: str | None = None, hint: str | None = None) -> SourceError:
    """Return the error for a source that cannot be opened, for the caller to raise."""
    return SourceError(message, code=code, where=Place(name), expected=expected, hint=hint)


def open_source(uri: str, *, as_fast_as_possible: bool = False, timeout_s: float = 5.0) -> FrameSource:
    """Open the source that `uri` names, and wait for its first frame.

    Spaces around a URI and the case of its scheme mean nothing, unless there is a file of exactly this name.

    Args:
        uri: A camera's number (`0`) or device (`v4l2:///dev/video0`, `csi://0` on a Jetson), a stream (`rtsp://`, or
            `http://` with MJPEG), a video file, an image, a folder or glob of images (a path, or `file:` and a path),
            a GStreamer pipeline (`gst:` and a pipeline, or any text with ` ! `), or `synthetic:?width=640&height=480`.
        as_fast_as_possible: Whether a file waits for its reader instead of keeping its own pace.
        timeout_s: How long a live source may be silent, in seconds.

    Returns:
        The source; the caller closes it.

    Raises:
        SourceError: When there is no such source, it may not be read, it is not what its URI says, or the URI means
            nothing.
        SourceLostError: When a server or camera refuses, or gives no frame in time.
        MissingExtraError: When OpenCV is needed and not installed.
    """
    name, kind = _checked_name(uri, timeout_s), source_kind(uri)
    uri = _tidy(uri)
    match kind:
        case "camera" | "v4l2":
            from edgezsl.runtime.opencv import open_camera

            device = f"/dev/video{int(uri)}" if kind == "camera" else _local_path(uri)
            return open_camera(device, name=name, timeout_s=timeout_s)
        case "gst" | "csi":
            from edgezsl.runtime.gstreamer import csi_pipeline, open_pipeline

            pipeline = csi_pipeline(uri) if kind == "csi" else uri.removeprefix("gst:")
            return open_pipeline(pipeline, name=name, timeout_s=timeout_s)
        case "rtsp" | "rtsps" | "http" | "https":
            from edgezsl.runtime.opencv import open_stream

            return open_stream(uri, name=name, timeout_s=timeout_s, as_fast_as_possible=as_fast_as_possible)
        case "synthetic":
            from edgezsl.runtime.synthetic import Scene, SyntheticSource

            return SyntheticSource(Scene.from_uri(uri), name=name, waiting=as_fast_as_possible)
        case _:
            return _open_path(_local_path(uri), name, as_fast_as_possible=as_fast_as_possible)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image file, turned upright where its EXIF says so, as `(H, W, 3)` uint8 RGB.

    Raises:
        SourceError: When there is no such file, it may not be read, or it is damaged or no image.
        MissingExtraError: When OpenCV is not installed.
    """
    name = hide_secrets(f"file:{path}")
    _check_readable(path, name)
    if path.stat().st_size > _LARGEST_IMAGE:
        raise refused(name, "the file is too large for an image", code="too_large", expected="at most 256 MiB")
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise refused(name, "the image cannot be read", code="not_an_image") from cause
    return decode_image(data, name=name)


def decode_image(data: bytes | memoryview, *, name: str) -> NDArray[np.uint8]:
    """Return an encoded image, turned upright where its EXIF says so, as `(H, W, 3)` uint8 RGB.

    Args:
        data: JPEG, PNG, WebP or whatever else OpenCV reads.
        name: What to call it in errors.

    Raises:
        SourceError: When it is damaged or no image.
        MissingExtraError: When OpenCV is not installed.
    """
    import numpy as np

    from edgezsl.runtime.opencv import opencv

    cv2 = opencv("an image")
    try:
        # Not cv2.imread: on a name that is not UTF-8 it crashes the interpreter.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as cause:
        raise refused(name, "the image cannot be read", code="not_an_image") from cause
    if image is None:
        raise refused(name, "the file is damaged or no image", code="not_an_image", expected="JPEG, PNG or the like")
    rgb: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def _tidy(uri: str) -> str:
    """Return `uri` without spaces around it, its scheme in lower case and a camera as its number; a file's name stays as it is."""
    if os.path.lexists(uri):
        return uri
    bare = uri.strip()
    found = _SCHEME.match(bare)
    tidy = bare if found is None else found[1].lower() + bare[found.end(1) :]
    number = tidy.removeprefix("camera:")  # as `public_name` calls it
    return number if number.isascii() and number.isdecimal() else tidy


def _hidden(uri: str) -> str:
    """Return a URI without secrets, also one whose slashes are wrong."""
    return _USER_INFO.sub(r"\1***", hide_secrets(uri.strip()))


def _kind(uri: str) -> str:
    """Return `camera`, `gst`, `file` for every path, or the scheme."""
    if uri.isascii() and uri.isdecimal():
        return "camera"
    if uri.startswith("gst:") or (" ! " in uri and not uri.startswith("file:")):
        return "gst"
    found = _SCHEME.match(uri)
    return "file" if found is None or os.path.lexists(uri) else found[1]


def _local_path(uri: str) -> str:
    """Return the path in `file:a`, `file:/a`, `file:///a`, `v4l2:///dev/video0` or a bare path."""
    if _kind(uri) == "file" and not uri.startswith("file:"):
        return uri
    path = uri.partition(":")[2]
    return path[2:] if path.startswith("///") else path


def _checked_name(uri: str, timeout_s: float) -> str:
    try:
        uri.encode()
    except UnicodeEncodeError as cause:  # OpenCV crashes the interpreter on such a name
        raise refused(
            ascii(_hidden(uri)), "the name holds bytes that are not UTF-8", code="bad_name", hint="rename the file"
        ) from cause
    if not uri.strip() or "\0" in uri:
        hidden = shown(_hidden(uri))
        raise refused(hidden, f"{hidden} names no source", code="no_source", expected=_ALLOWED)
    name = public_name(uri)
    if timeout_s <= 0:
        raise refused(name, f"the time-out is {timeout_s} s", code="bad_timeout", expected="a number > 0")
    return name


def _open_path(text: str, name: str, *, as_fast_as_possible: bool) -> FrameSource:
    from edgezsl.runtime.images import open_images
    from edgezsl.runtime.opencv import open_video

    path = Path(text)
    if _is_folder(path):
        return open_images(_images_in(path, name), name=name)
    if not os.path.lexists(text) and _GLOB.search(text):
        return open_images(_matching(path, name), name=name)
    _check_readable(path, name)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return open_images([path], name=name)
    return open_video(text, name=name, waiting=as_fast_as_possible)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # opening it as a file says why
        return False


def _images_in(folder: Path, name: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as cause:
        raise refused(name, f"the folder cannot be read ({cause.strerror})", code="no_permission") from cause


def _matching(pattern: Path, name: str) -> list[Path]:
    start = Path(pattern.anchor)
    try:
        return sorted(start.glob(str(pattern.relative_to(start))))
    except ValueError as cause:
        reason = hide_secrets(str(cause))
        raise refused(name, f"this is no glob ({reason})", code="bad_glob", expected="such as photos/*.jpg") from cause


def _check_readable(path: Path, name: str) -> None:
    """Check that `path` is a file with something in it. A pipe in its place is refused unopened: it may block."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise refused(name, f"this is {_file_type(mode)}", code="not_a_file", expected="a regular file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as cause:
        code, hint = {
            FileNotFoundError: ("no_such_file", "check the path"),
            PermissionError: ("no_permission", "change its mode or owner"),
        }.get(type(cause), ("unreadable", None))
        raise refused(name, f"the file cannot be read: {cause.strerror}", code=code, hint=hint) from cause
    if empty:
        raise refused(name, "the file is empty", code="empty_file", expected="a video or an image")


def _file_type(mode: int) -> str:
    names = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")
