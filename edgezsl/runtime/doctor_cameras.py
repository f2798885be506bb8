"""What `doctor` says of cameras, and of what reads and shows video."""

from __future__ import annotations

import fcntl
import grp
import os
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.errors import printable
from edgezsl.runtime.finding import Finding
from edgezsl.runtime.sysfs import read_text

if TYPE_CHECKING:
    from edgezsl.device import Detection
    from edgezsl.runtime.doctor_probe import Outcome

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x00001001, 0x80000000  # single and multi-planar; "the node's own are told too"
_JETSON_OPENCV = "run: sudo apt install python3-opencv, and use an environment made with --system-site-packages"


def camera_findings(root: Path = Path("/")) -> tuple[Finding, ...]:
    """Return what is known of every video device, or one finding that there is none.

    The driver is asked whether a node gives pictures or is metadata or a codec; none is started.

    Args:
        root: Where `dev` and `sys` lie.
    """
    nodes = sorted((root / "dev").glob("video*"), key=lambda node: (len(node.name), node.name))
    if not nodes:
        hint = "plug in a camera; in a container pass it with --device /dev/video0; or take an rtsp:// or file: source"
        return (Finding("camera", "missing", "there is no /dev/video*", hint),)
    findings = []
    for node in nodes:
        called = read_text(root / "sys/class/video4linux" / node.name / "name") or "unnamed"
        group = None if os.access(node, os.R_OK | os.W_OK) else _group(node)
        pictures = None if group else _asked(node)
        findings.append(camera_finding(f"/dev/{node.name}", called, barred_by=group, pictures=pictures))
    return tuple(findings)


def camera_finding(node: str, called: str, *, barred_by: str | None, pictures: bool | None = None) -> Finding:
    """Return the finding for one video device.

    Args:
        node: Its path.
        called: Its name, as the driver gives it.
        barred_by: The group that may open it, where this user may not; else None.
        pictures: Whether its driver says that it gives pictures, or None where it does not say.
    """
    shown = printable(called)
    if pictures is False:
        return Finding(f"camera {node}", "unused", f"{shown}; no camera: metadata or a codec, take another number")
    if barred_by is None:
        return Finding(f"camera {node}", "ok", f"{shown}; gives pictures" if pictures else shown)
    hint = f"run: sudo usermod -aG {barred_by} $USER, then log in again"
    return Finding(f"camera {node}", "broken", f"{shown}; this user may not open it, the group {barred_by} may", hint)


def gives_pictures(capability: bytes) -> bool:
    """Return whether a video device captures, by its `struct v4l2_capability` (linux/videodev2.h), 104 bytes."""
    of_driver, of_node = struct.unpack_from("=II", capability, 84)
    return bool((of_node if of_driver & _DEVICE_CAPS else of_driver) & _VIDEO_CAPTURE)


def _asked(node: Path) -> bool | None:
    try:
        device = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return gives_pictures(fcntl.ioctl(device, _QUERYCAP, bytes(104)))
    except OSError:
        return None
    finally:
        os.close(device)


def _group(node: Path) -> str:
    try:
        return grp.getgrgid(node.stat().st_gid).gr_name
    except (KeyError, OSError):
        return "video"


def video_findings(opencv: Outcome, detection: Detection | None) -> tuple[Finding, ...]:
    """Return what reads and shows video.

    Args:
        opencv: How OpenCV's import went.
        detection: The board, or None where it is not known.
    """
    launcher = shutil.which("gst-launch-1.0")
    if launcher:
        gstreamer = Finding("gst-launch-1.0", "ok", launcher)
    else:
        hint = "run: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good"
        gstreamer = Finding("gst-launch-1.0", "missing", "not installed; GStreamer pipelines may need it", hint)
    screen = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if opencv.missing or opencv.error:
        return gstreamer, Finding("window", "missing", "without OpenCV there is none", "see 'cv2' above")
    window, reads = opencv.facts.get("window"), opencv.facts.get("gstreamer")
    abilities = [word for word in ("ffmpeg", "v4l2", "gstreamer") if opencv.facts.get(word)]
    video = Finding("opencv video", "ok", f"reads through {', '.join(abilities) or 'nothing'}")
    if detection and detection.l4t and not reads:
        places = [place for place in opencv.facts.get("places", ())[1:] if "dist-packages" in place]
        hint = f"this OpenCV has no GStreamer, JetPack's has; {_JETSON_OPENCV}"
        if places:
            hint = f"pip's OpenCV hides JetPack's in {places[0]}, which has GStreamer: see 'cv2' above"
        video = Finding("opencv video", "warning", video.detail, hint)
    if window and screen:
        return video, gstreamer, Finding("window", "ok", f"{window} on {screen}")
    hint = "leave --window out; --video FILE writes what it would show"
    if screen:
        return video, gstreamer, Finding("window", "missing", "this OpenCV was built without windows", hint)
    return video, gstreamer, Finding("window", "unused", "there is no display", hint)
