from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edgezsl.errors import SourceError, SourceLostError
from edgezsl.runtime.opencv import CaptureSource
from edgezsl.runtime.sources import local_path, open_source, public_name, read_image, skipped
from edgezsl.runtime.synthetic import Scene, SyntheticSource, read_burnt
from tests.fakes import Capture
from tests.runtime.servers import file_server, mjpeg_server

if TYPE_CHECKING:
    from collections.abc import Iterator

RED, GREEN, BLUE = (200, 20, 20), (20, 180, 20), (20, 20, 200)


def write_image(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (48, 64)) -> Path:
    image = np.full((*size, 3), colour[::-1], np.uint8)
    done, data = cv2.imencode(path.suffix, image)
    assert done
    path.write_bytes(data.tobytes())
    return path


def write_video(path: Path, frames: int = 12, fps: float = 25.0, fourcc: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), fps, (160, 96))
    scene = SyntheticSource(Scene(width=160, height=96))
    for number in range(frames):
        writer.write(scene.picture(number)[..., ::-1].copy())
    writer.release()
    return path


def read_all(source) -> list:
    frames = list(iter(source.read, None))
    source.close()
    return frames


def read_until_lost(source) -> SourceLostError:
    with pytest.raises(SourceLostError) as caught:
        read_all(source)
    source.close()
    return caught.value


@contextmanager
def privileges_dropped() -> Iterator[None]:
    """Run as nobody where the tests run as root, to whom nothing is forbidden."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def video(tmp_path) -> Path:
    return write_video(tmp_path / "a.mp4")


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("b.png", GREEN), ("a.png", RED), ("c.jpg", BLUE)):
        write_image(folder / name, colour)
    (folder / "notes.txt").write_text("not an image\n")
    return folder


def refusal(uri: str, **options) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_source(uri, **options)
    return caught.value


# Video files


def test_a_video_gives_every_frame_in_order_with_its_media_time(video):
    source = open_source(str(video))
    frames = read_all(source)
    assert (source.name, source.pace) == (f"file:{video}", "timed")
    assert [read_burnt(frame.image, exact=False) for frame in frames] == list(range(12))
    assert [frame.number for frame in frames] == list(range(12))
    assert [round(frame.media_time, 3) for frame in frames] == [round(number / 25, 3) for number in range(12)]
    assert source.read() is None


def test_a_video_as_fast_as_possible_waits_for_its_reader(video):
    assert open_source(str(video), as_fast_as_possible=True).pace == "waiting"


def test_reading_a_video_does_not_sleep_until_a_frame_is_due(tmp_path):
    source = open_source(str(write_video(tmp_path / "slow.mp4", frames=8, fps=1.0)))
    started = time.monotonic()
    frames = read_all(source)
    assert frames[-1].media_time == pytest.approx(7.0)
    assert time.monotonic() - started < frames[-1].media_time


def test_frames_are_rgb_and_contiguous(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), RED[::-1], np.uint8))
    writer.release()
    (frame,) = read_all(open_source(str(tmp_path / "red.avi")))
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    assert np.abs(frame.image[24, 32].astype(int) - RED).max() < 12


def test_media_time_never_falls_in_a_stream_without_timestamps(tmp_path):
    pictures = [cv2.imencode(".jpg", np.full((48, 64, 3), shade, np.uint8))[1].tobytes() for shade in (0, 90, 180)]
    (tmp_path / "raw.mjpeg").write_bytes(b"".join(pictures))
    times = [frame.media_time for frame in read_all(open_source(str(tmp_path / "raw.mjpeg")))]
    assert len(times) == 3
    assert times == sorted(set(times))


def test_media_time_goes_on_where_a_recording_starts_its_clock_again(tmp_path):
    part = write_video(tmp_path / "part.ts", frames=10).read_bytes()
    (tmp_path / "two.ts").write_bytes(part + part)
    times = [frame.media_time for frame in read_all(open_source(str(tmp_path / "two.ts")))]
    assert [round(seconds, 3) for seconds in times] == [round(number / 25, 3) for number in range(20)]


@pytest.mark.parametrize("form", ["{path}", "file:{path}", "file://{path}"])
def test_a_file_may_be_written_as_a_path_or_a_uri(video, form):
    source = open_source(form.format(path=video))
    assert source.name == f"file:{video}"
    source.close()


def test_a_relative_path_is_called_what_the_user_wrote(video, monkeypatch):
    monkeypatch.chdir(video.parent)
    source = open_source("file:a.mp4")
    assert source.name == "file:a.mp4"
    source.close()


def test_a_file_whose_name_looks_like_a_scheme_is_a_file(video, monkeypatch):
    monkeypatch.chdir(video.parent)
    shutil.copy(video, "take:2.mp4")
    assert len(read_all(open_source("take:2.mp4"))) == 12


def test_ffmpeg_takes_no_path_for_a_protocol(video, monkeypatch):
    monkeypatch.chdir(video.parent)
    Path("concat:a.mp4").write_text("no video")
    assert refusal("concat:a.mp4").code == "not_a_video"


def test_a_video_cut_in_the_middle_of_a_frame_gives_the_frames_before(tmp_path):
    whole = write_video(tmp_path / "whole.avi", frames=30, fourcc="MJPG")
    (tmp_path / "cut.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < len(read_all(open_source(str(tmp_path / "cut.avi")))) < 30


def test_closing_twice_and_reading_after_it_is_harmless(video):
    source = open_source(str(video))
    source.close()
    source.close()
    assert source.read() is None


# Files that are no video


def test_a_missing_file_is_refused(tmp_path):
    error = refusal(str(tmp_path / "absent.mp4"))
    assert error.code == "no_such_file"
    assert error.where.file == f"file:{tmp_path / 'absent.mp4'}"
    assert error.hint


@pytest.mark.parametrize("name", ["text.mp4", "text.jpg", "text", "text.avi"])
def test_text_under_any_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("this is text\n" * 50)
    assert refusal(str(tmp_path / name)).code in {"not_a_video", "not_an_image"}


@pytest.mark.parametrize("name", ["empty.mp4", "empty.png"])
def test_an_empty_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    assert refusal(str(tmp_path / name)).code == "empty_file"


def test_a_video_of_which_no_frame_can_be_decoded_is_refused(video):
    data = bytearray(video.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 40_000] = bytes(min(40_000, len(data) - start))
    video.write_bytes(data)
    assert refusal(str(video)).code == "not_a_video"


def test_a_named_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    error = refusal(str(tmp_path / "pipe.mp4"))
    assert error.code == "not_a_file"
    assert "named pipe" in error.message


def test_a_device_is_no_file():
    assert refusal("/dev/zero").code == "not_a_file"


def test_a_file_that_may_not_be_read_is_refused(video):
    video.parent.chmod(0o755)
    open_source(str(video)).close()  # whatever is imported late is imported now
    video.chmod(0)
    with privileges_dropped():
        assert refusal(str(video)).code == "no_permission"


def test_a_name_that_is_not_utf8_is_refused_before_opencv_crashes_on_it(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    Path(path).write_bytes(b"anything")
    assert refusal(path).code == "bad_name"


# Images


def test_a_folder_gives_its_images_in_the_order_of_their_names(photos):
    source = open_source(str(photos))
    frames = read_all(source)
    assert (source.name, source.pace) == (f"file:{photos}", "waiting")
    assert [frame.number for frame in frames] == [0, 1, 2]
    for frame, colour in zip(frames, (RED, GREEN, BLUE), strict=True):
        assert np.abs(frame.image[20, 20].astype(int) - colour).max() < 12
        assert frame.media_time is None
    assert [frame.file for frame in frames] == [f"{photos}/{name}" for name in ("a.png", "b.png", "c.jpg")]
    assert skipped(source) == []


def test_a_picture_is_called_as_the_user_would_write_it(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    for uri in ("photos", "file:photos/", "photos/a*.png", "photos/a.png"):
        assert read_all(open_source(uri))[0].file == "photos/a.png"


def test_a_frame_of_a_video_has_no_file_of_its_own(video):
    assert read_all(open_source(str(video)))[0].file is None


def test_a_glob_gives_what_matches(photos):
    assert len(read_all(open_source(f"{photos}/*.png"))) == 2
    assert len(read_all(open_source(f"file:{photos.parent}/**/*.jpg"))) == 1


def test_a_relative_glob_works(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert len(read_all(open_source("photos/?.png"))) == 2


def test_one_image_is_a_source_of_one_frame(photos):
    assert len(read_all(open_source(str(photos / "a.png")))) == 1


def test_images_that_cannot_be_read_are_left_out_and_named(photos):
    whole = (photos / "c.jpg").read_bytes()
    (photos / "aa.jpg").write_bytes(whole[:20])
    (photos / "ab.png").touch()
    (photos / "ac.png").mkdir()
    os.mkfifo(photos / "ad.png")
    (photos / "ae.png").symlink_to(photos / "nowhere.png")
    source = open_source(str(photos))
    assert len(read_all(source)) == 3
    assert [(error.where.file, error.code) for error in skipped(source)] == [
        (f"file:{photos}/aa.jpg", "not_an_image"),
        (f"file:{photos}/ab.png", "empty_file"),
        (f"file:{photos}/ac.png", "not_a_file"),
        (f"file:{photos}/ad.png", "not_a_file"),
        (f"file:{photos}/ae.png", "no_such_file"),
    ]


def test_an_image_that_disappears_on_the_way_is_left_out(photos):
    source = open_source(str(photos))
    (photos / "b.png").unlink()
    assert len(read_all(source)) == 2
    assert [error.code for error in skipped(source)] == ["no_such_file"]


def test_an_image_whose_name_is_not_utf8_is_read_all_the_same(photos):
    shutil.copy(os.fsencode(photos / "a.png"), os.fsencode(photos) + b"/\xff.png")
    assert len(read_all(open_source(str(photos)))) == 4


def test_a_folder_or_glob_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image\n")
    assert refusal(str(tmp_path)).code == "no_images"
    assert refusal(f"{tmp_path}/*.jpg").code == "no_images"


def test_a_folder_of_broken_images_is_refused(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("not an image")
    error = refusal(str(tmp_path))
    assert error.code == "no_images"
    assert "2 files" in error.message


def test_one_image_is_read_as_rgb(photos):
    assert np.array_equal(read_image(photos / "a.png")[0, 0], RED)
    with pytest.raises(SourceError):
        read_image(photos / "notes.txt")


def test_grey_and_deep_images_become_rgb_of_eight_bits(tmp_path):
    for name, image in (("grey.png", np.full((8, 8), 77, np.uint8)), ("deep.png", np.full((8, 8, 3), 77 << 8, "u2"))):
        (tmp_path / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
        read = read_image(tmp_path / name)
        assert (read.shape, read.dtype) == ((8, 8, 3), np.uint8)
        assert np.abs(read.astype(int) - 77).max() <= 1


# Cameras and URIs


@pytest.mark.parametrize("uri", ["99", "camera:99", "v4l2:///dev/video99", "v4l2:/dev/video99"])
def test_a_camera_that_is_not_there_is_refused(uri):
    error = refusal(uri)
    assert error.code == "no_such_camera"
    assert "/dev/video99" in error.message


def test_a_device_or_file_that_is_no_camera_is_refused(video):
    assert refusal("v4l2:///dev/null").code == "not_a_camera"
    assert refusal(f"v4l2://{video}").code == "not_a_camera"


@pytest.mark.parametrize(
    "uri", ["", "  ", "ftp://host/a.mp4", "rtmp://host/live", "usb:0", "camera:", "camera:x", "a\0b"]
)
def test_a_uri_that_means_nothing_is_refused_with_what_is_allowed(uri):
    error = refusal(uri)
    assert error.code in {"no_source", "unknown_scheme"}
    for allowed in ("file:PATH", "v4l2://", "csi://", "rtsp://", "http://", "synthetic:", "gst:"):
        assert allowed in error.expected


@pytest.mark.parametrize("uri", ["rtsp:///path", "http://", "rtsp://host:99999/x", "http://[::1/x", "csi://front"])
def test_a_broken_url_is_refused(uri):
    assert refusal(uri).code == "bad_url"


def test_what_python_says_of_a_broken_url_is_not_told_for_it_quotes_the_password():
    error = refusal("rtsp://admin:hush#1@host/x")
    assert error.code == "bad_url"
    assert error.__suppress_context__
    assert "%23" in error.hint


def test_a_time_out_must_be_positive(video):
    assert refusal(str(video), timeout_s=0).code == "bad_timeout"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("0", "camera:0"),
        ("camera:0", "camera:0"),
        ("Camera:7 ", "camera:7"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
        ("a.mp4", "file:a.mp4"),
        ("file:a.mp4", "file:a.mp4"),
        ("file:///srv/a.mp4", "file:/srv/a.mp4"),
        ("rtsp://user:pass@host/x", "rtsp://***@host/x"),
        ("http://host/video?user=a&password=b&fps=5", "http://host/video?user=a&password=***&fps=5"),
        (
            "rtspsrc location=rtsp://u:p@h user-pw=s3 ! fakesink",
            "gst:rtspsrc location=rtsp://***@h user-pw=*** ! fakesink",
        ),
        ('gst:souphttpsrc extra-token="a b" ! jpegdec', "gst:souphttpsrc extra-token=*** ! jpegdec"),
    ],
)
def test_the_name_of_a_source_holds_no_secret(uri, name):
    assert public_name(uri) == name


@pytest.mark.parametrize(
    "uri",
    [
        "RTSP://admin:hush@127.0.0.1:9/x",
        " rtsp://admin:hush@127.0.0.1:9/x",
        "\tHttp://admin:hush@127.0.0.1:9/x\n",
        "rtsp://admin:hush#1@127.0.0.1:9/x",
        "rtsp://admin:1#hush@127.0.0.1:9/x",
        "http://127.0.0.1:9/hush@127.0.0.1:9/x",
        "rtsp://admin:1?hush@127.0.0.1:9/x",
        "rtsp://admin:hu/hush@127.0.0.1:9/x",
        "rtsp://admin:two hush@127.0.0.1:9/x",
        "rtsp:///admin:hush@127.0.0.1/x",
        "rtsp:/admin:hush@127.0.0.1/x",
        "rtsp:admin:hush@127.0.0.1/x",
        "rtsp://[admin:hush@127.0.0.1/x",
        "rtsp://admin:hush\N{FULLWIDTH COLON}@127.0.0.1/x",
        "admin:hush@127.0.0.1/x",
        "srt://127.0.0.1:9?passphrase=hush",
        "rtsp://admin:hush\udcff@127.0.0.1:9/x",
        "rtsp:admin:hush\udcff@127.0.0.1:9/x",
        "rtsp://admin:hush\0@127.0.0.1:9/x",
        "file:rtsp://admin:hush@127.0.0.1/x",
        "photos/rtsp://admin:hush@127.0.0.1/x",
        "photos/**a/token=hush",
        "v4l2://admin:hush@127.0.0.1/x",
        "csi://admin:hush@0",
        "http://127.0.0.1:9/x?password=a@hush&fps=5",
        "http://127.0.0.1:9/x?password=a&hush",
        "gst:srtsrc uri=srt://127.0.0.1:9 passphrase=hush ! nothing",
        """souphttpsrc extra-headers='h,Authorization="Basic hush"' ! nothing""",
        'souphttpsrc extra-headers="h,Authorization=(string)\\"Basic hush\\"" ! nothing',
        "souphttpsrc extra-headers=h,Authorization=Basic\\ hush ! nothing",
        "rtspsrc user-pw='two hush' ! nothing",
        "rtspsrc user-pw='two \"hush' ! nothing",
        "rtspsrc user-pw=two\\ hush ! nothing",
        'rtspsrc user-pw="two \\"hush" ! nothing',
        "rtspsrc user-pw = hush ! nothing",
        "rtspsrc user-pw=(string)hush ! nothing",
        "GST:rtspsrc location=RTSP://admin:a/hush@127.0.0.1:9/x ! nothing",
    ],
)
def test_a_password_stands_neither_in_a_name_nor_in_an_error_however_it_is_written(uri):
    with pytest.raises((SourceError, SourceLostError)) as caught:
        open_source(uri, timeout_s=2)
    said = [public_name(uri), str(caught.value), json.dumps(caught.value.to_json())]
    assert [text for text in said if "hush" in text] == []


def test_the_name_of_a_file_holds_no_secret(photos):
    secret = photos / "token=hush"
    secret.mkdir()
    write_image(secret / "a.png", RED)
    (secret / "b.png").touch()
    source = open_source(str(secret))
    (frame,) = read_all(source)
    said = [source.name, frame.file, *(str(error) for error in skipped(source))]
    assert len(said) == 3
    assert not any("hush" in text for text in said)


def test_a_server_that_does_not_answer_is_named_unless_it_may_be_part_of_a_password():
    for uri, shows in (("rtsp://admin:p@127.0.0.1:9/x", True), ("rtsp://127.0.0.1:9/word@127.0.0.1/x", False)):
        with pytest.raises(SourceLostError) as caught:
            open_source(uri, timeout_s=2)
        assert ("127.0.0.1 port 9" in caught.value.message) == shows
        assert ("%2F" in caught.value.hint) != shows


def test_a_scheme_may_be_written_in_capitals_and_with_spaces_around_it(video, monkeypatch):
    monkeypatch.chdir(video.parent)
    assert len(read_all(open_source(" FILE:a.mp4\n"))) == 12
    assert open_source("Synthetic:?frames=1").name == "synthetic:?frames=1"
    shutil.copy(video, " RTSP:a.mp4")
    assert open_source(" RTSP:a.mp4").name == "file: RTSP:a.mp4"


@pytest.mark.parametrize(
    ("uri", "path"),
    [("a.mp4", "a.mp4"), ("FILE:///srv/a.mp4", "/srv/a.mp4"), ("photos/*.jpg", "photos/*.jpg"), ("0", None)]
    + [(uri, None) for uri in ("rtsp://host/a.mp4", "v4l2:///dev/video0", "filesrc location=a ! decodebin")],
)
def test_only_a_uri_of_a_file_folder_or_glob_has_a_path(uri, path):
    assert local_path(uri) == (None if path is None else Path(path))


# Captures of OpenCV


def test_a_pipeline_inside_opencv_that_ends_has_ended_and_is_not_lost():
    capture = Capture(2)
    source = CaptureSource(capture, name="gst:a", pace="live", timeout_s=60, may_end=True).with_first()
    assert [frame.number for frame in read_all(source)] == [0, 1]
    assert capture.released


def test_a_pipeline_inside_opencv_that_ends_before_its_first_frame_is_refused():
    capture = Capture(0)
    with pytest.raises(SourceError, match="before its first frame"):
        CaptureSource(capture, name="gst:a", pace="live", timeout_s=60, may_end=True).with_first()
    assert capture.released


def test_a_camera_that_ends_is_lost():
    source = CaptureSource(Capture(2), name="camera:0", pace="live", timeout_s=60).with_first()
    assert read_until_lost(source).code == "ended"


# HTTP


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    scene = SyntheticSource(Scene(width=160, height=96))
    return [cv2.imencode(".jpg", scene.picture(number)[..., ::-1])[1].tobytes() for number in range(40)]


def test_an_mjpeg_stream_gives_its_frames(pictures):
    with mjpeg_server(pictures) as url:
        source = open_source(url)
        numbers = [read_burnt(source.read().image, exact=False) for _ in range(10)]
        assert (source.pace, source.read().media_time) == ("live", None)
        source.close()
    assert numbers == list(range(numbers[0], numbers[0] + 10))


def test_a_stream_that_falls_silent_is_lost(pictures):
    with mjpeg_server(pictures, "stall") as url:
        source = open_source(url, timeout_s=0.5)
        error = read_until_lost(source)
    assert error.code == "silent"
    assert "0.5 s" in error.message


def test_a_stream_that_ends_is_lost(pictures):
    with mjpeg_server(pictures, "close") as url:
        assert read_until_lost(open_source(url, timeout_s=20)).code == "ended"


def test_a_server_that_sends_nothing_is_lost():
    with mjpeg_server([], "stall") as url, pytest.raises(SourceLostError):
        open_source(url, timeout_s=0.5)


def test_a_server_that_refuses_is_lost_and_its_password_is_not_shown():
    with pytest.raises(SourceLostError) as caught:
        open_source("http://user:secret@127.0.0.1:9/x", timeout_s=2)
    assert caught.value.code == "no_connection"
    assert "refused" in caught.value.message
    assert "secret" not in str(caught.value)


def test_a_server_that_gives_no_video_is_lost(tmp_path):
    (tmp_path / "page.html").write_text("<html>not a camera</html>")
    with file_server(tmp_path / "page.html") as url, pytest.raises(SourceLostError, match="gives no video"):
        open_source(url, timeout_s=2)


def test_a_video_file_behind_http_keeps_its_pace_and_ends(tmp_path):
    with file_server(write_video(tmp_path / "a.avi", fourcc="MJPG")) as url:
        source = open_source(url, timeout_s=20)
        assert source.pace == "timed"
        assert len(read_all(source)) == 12
