"""`doctor`: what is installed, which engines and cameras work, and what to do about the rest.

It knows where Linux keeps what it says about a machine, and what the packages of edgezsl are called. It imports none of
them: `doctor_child.py` does, in a process of its own, so that a package that crashes or hangs is a finding. Nothing here
prints.
"""

from __future__ import annotations

import fcntl
import grp
import os
import platform
import re
import shutil
import struct
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgezsl.device import Detection, cpu_features, detect_profile, read_head
from edgezsl.errors import InputError
from edgezsl.runtime.doctor_probe import Outcome, probe
from edgezsl.runtime.engine import choose_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

State = Literal["ok", "warning", "missing", "broken"]

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x00001001, 0x80000000  # single and multi-planar; "the node's own are told too"
CHILD_LIMIT_S = 60.0  # seconds for all packages together: a slow SD card takes ten
LEAST_MEMORY_MIB = 512  # a stream and the child that embeds classes, each with an engine
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_PACKAGES = {  # import name: what pip calls it, and the extra that brings it (None: edgezsl itself does)
    "numpy": (("numpy",), None),
    "cv2": (_OPENCV, "camera"),
    "onnxruntime": (("onnxruntime", "onnxruntime-gpu"), "runtime"),
    "openvino": (("openvino",), "openvino"),
    "tokenizers": (("tokenizers",), "text"),
    "watchfiles": (("watchfiles",), None),
    "safetensors": (("safetensors",), None),
    "yaml": (("PyYAML",), None),
}
_ENGINES = {"onnx": "onnxruntime", "openvino": "openvino"}
_JETSON_OPENCV = "run: sudo apt install python3-opencv, and use an environment made with --system-site-packages"
_CURES = (  # part of an import's error, and what helps
    ("libGL.so", "run: sudo apt install libgl1, or put opencv-python-headless in place of opencv-python"),
    ("_ARRAY_API", "it was built for an older NumPy; run: pip install 'numpy<2'"),
    ("multiarray", "it was built for another NumPy; run: pip install 'numpy<2'"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: `ok`; `warning`: works, with a limit; `missing`: absent, which may be right; `broken`: there, but fails.
        detail: What was found.
        hint: What to do, as an imperative, or None.
    """

    name: str
    state: State
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything that `doctor` found.

    Attributes:
        profile: The name of the board's profile, or None where there is none for this machine.
        machine: The board, its CPU and memory, Python and edgezsl.
        packages: The packages, each imported beside the others.
        engines: The engines, and which one `--engine auto` takes.
        cameras: Cameras, and what reads and shows video.
    """

    profile: str | None
    machine: tuple[Finding, ...]
    packages: tuple[Finding, ...]
    engines: tuple[Finding, ...]
    cameras: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in order."""
        return (*self.machine, *self.packages, *self.engines, *self.cameras)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl doctor --json` prints."""
        parts = ("machine", "packages", "engines", "cameras")
        return {"profile": self.profile, **{part: [asdict(one) for one in getattr(self, part)] for part in parts}}


def examine(root: Path = Path("/"), *, machine: str | None = None, limit_s: float = CHILD_LIMIT_S) -> DoctorReport:
    """Return the state of this machine. Takes about as long as importing every package once.

    Args:
        root: Where `proc`, `sys`, `dev` and `etc` lie.
        machine: The machine as `uname -m` gives it; None asks the system.
        limit_s: Seconds that a child process may take.
    """
    detection: Detection | None = None
    board: tuple[Finding, ...]
    try:
        detection = detect_profile(root, machine=machine)
        board = _board_findings(detection)
    except (
        InputError
    ) as error:  # no profile for this machine, or a damaged installation: the rest is still worth saying
        board = (Finding("board", "broken", error.message, error.hint),)
    outcomes = probe((*_PACKAGES, *(f"engine:{name}" for name in _ENGINES)), limit_s=limit_s)
    return DoctorReport(
        profile=detection.profile.name if detection else None,
        machine=(*_software_findings(), *board, _cpu_finding(root), _memory_finding(root)),
        packages=tuple(_package_finding(name, outcomes[name], detection) for name in _PACKAGES),
        engines=_engine_findings(outcomes, detection),
        cameras=(*camera_findings(root), *_video_findings(outcomes["cv2"], detection)),
    )


def _software_findings() -> tuple[Finding, ...]:
    python = (
        f"{platform.python_version()}, {platform.python_implementation()}, {platform.system()} {platform.release()}"
    )
    return Finding("edgezsl", "ok", metadata.version("edgezsl")), Finding("python", "ok", python)


def _board_findings(detection: Detection) -> tuple[Finding, ...]:
    profile = detection.profile
    detail = f"{profile.name}: {profile.title}; {detection.reason}"
    if profile.status == "unsupported":
        board = Finding("board", "warning", f"{detail}; not supported: {profile.status_reason}")
    else:
        board = Finding("board", "ok", f"{detail}; {profile.status}: {profile.status_reason}")
    if detection.l4t is None:
        return (board,)
    return board, _jetpack_finding(detection.l4t, detection)


def _jetpack_finding(l4t: str, detection: Detection) -> Finding:
    row = detection.profile.jetpack_of(l4t)
    good = ", ".join(row.jetpack for row in detection.profile.jetpack if not row.unsupported)
    hint = f"flash a JetPack that this board's profile knows: {good}" if good else None
    if row is None:
        known = f"JetPack {detection.jetpack}" if detection.jetpack else "an unknown JetPack"
        return Finding("jetpack", "warning", f"Jetson Linux {l4t}, {known}; not in this board's profile", hint)
    detail = f"{row.jetpack}: Jetson Linux {l4t}, CUDA {row.cuda}, TensorRT {row.tensorrt}"
    if row.unsupported:
        return Finding("jetpack", "warning", f"{detail}; not supported: {row.unsupported}", hint)
    return Finding("jetpack", "ok", detail)


def _cpu_finding(root: Path) -> Finding:
    features = cpu_features(root)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{usable} of {os.cpu_count()} cores usable; {', '.join(features) or 'no known instruction set'}"
    return Finding("cpu", "ok", detail)


def _memory_finding(root: Path) -> Finding:
    said = dict(re.findall(r"^(MemTotal|MemAvailable):\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE))
    if len(said) < 2:  # noqa: PLR2004  # the two that are looked for
        return Finding("memory", "warning", "the system does not say how much memory it has")
    total, free = (int(said[name]) // 1024 for name in ("MemTotal", "MemAvailable"))
    detail = f"{free} of {total} MiB free"
    if free < LEAST_MEMORY_MIB:
        hint = f"end other programs: recognising and embedding classes together need about {LEAST_MEMORY_MIB} MiB"
        return Finding("memory", "warning", detail, hint)
    return Finding("memory", "ok", detail)


def _text(path: Path) -> str:
    return read_head(path, max_bytes=16_384).decode(errors="replace")


def _package_finding(name: str, outcome: Outcome, detection: Detection | None) -> Finding:
    distributions, extra = _PACKAGES[name]
    if outcome.missing:
        return _missing_package(name, extra, detection)
    installed = [f"{one} {version}" for one in distributions if (version := _installed_version(one))]
    if outcome.error:
        cures = [cure for part, cure in _CURES if part in outcome.error]
        again = f"run: pip install --force-reinstall {installed[0].split()[0] if installed else distributions[0]}"
        return Finding(name, "broken", outcome.error, cures[0] if cures else again)
    detail = ", ".join(installed) or f"{outcome.version}, not from pip"
    if len(installed) > 1:
        hint = f"keep one of them: they overwrite each other's files; run: pip uninstall {installed[-1].split()[0]}"
        return Finding(name, "warning", detail, hint)
    return Finding(name, "ok", detail)


def _missing_package(name: str, extra: str | None, detection: Detection | None) -> Finding:
    if extra is None:
        return Finding(name, "broken", "not installed, although edgezsl cannot do without it", "install edgezsl again")
    if name == "openvino" and detection and name not in detection.profile.engines:
        return Finding(name, "missing", "not installed; this board's profile does not use it")
    hint = f"run: pip install 'edgezsl[{extra}]'"
    if name == "cv2" and detection and detection.l4t:
        hint = _JETSON_OPENCV
    return Finding(name, "missing", f"not installed; the extra {extra!r} brings it", hint)


def _installed_version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _engine_findings(outcomes: Mapping[str, Outcome], detection: Detection | None) -> tuple[Finding, ...]:
    findings = [_engine_finding(name, outcomes[f"engine:{name}"]) for name in _ENGINES]
    working = [name for name, found in zip(_ENGINES, findings, strict=True) if found.state == "ok"]
    order = detection.profile.engines if detection else tuple(_ENGINES)
    device = detection.profile.name if detection else "an unknown board"
    try:
        choice = choose_engine("auto", order, working, device)
    except InputError as error:
        return (*findings, Finding("engine auto", "broken", "no engine works", error.hint))
    return (*findings, Finding("engine auto", "ok", f"{choice.name}: {choice.reason}"))


def _engine_finding(engine: str, outcome: Outcome) -> Finding:
    name = f"engine {engine}"
    if outcome.missing:
        return Finding(name, "missing", f"the package {_ENGINES[engine]!r} is not installed")
    if outcome.error:
        return Finding(name, "broken", outcome.error, f"see {_ENGINES[engine]!r} above")
    if not outcome.facts.get("correct"):
        hint = f"do not use it; install another version of {_ENGINES[engine]!r}"
        return Finding(name, "broken", "a network of one node gave a wrong answer", hint)
    places = ", ".join(outcome.facts.get("runs_on", ()))
    return Finding(name, "ok", f"{outcome.version}; offers {places}; a tiny network ran on the CPU")


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
        called = _text(root / "sys/class/video4linux" / node.name / "name").strip() or "unnamed"
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
    shown = "".join(sign for sign in called if sign.isprintable())
    if pictures is False:
        return Finding(f"camera {node}", "missing", f"{shown}; no camera: metadata or a codec, take another number")
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


def _video_findings(opencv: Outcome, detection: Detection | None) -> tuple[Finding, ...]:
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
        hint = f"pip's OpenCV hides JetPack's, which has GStreamer: uninstall it; {_JETSON_OPENCV}"
        video = Finding("opencv video", "warning", video.detail, hint)
    if window and screen:
        return video, gstreamer, Finding("window", "ok", f"{window} on {screen}")
    why = "there is no display" if window else "this OpenCV was built without windows"
    return (
        video,
        gstreamer,
        Finding("window", "missing", why, "leave --window out; --video FILE writes what it would show"),
    )
