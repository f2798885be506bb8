"""What turns a board into a station: a service, its settings, its folders, its versions, and a script that a person can read.

The texts are templates in `devices/provision/`; here stands only what differs from board to board. Nothing is installed:
the script does that, on the board, when somebody runs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from edgezsl.catalogue import catalogue_folder
from edgezsl.device import require_supported
from edgezsl.errors import InputError, Place, ProfileError, printable, shown
from edgezsl.files import write_durably
from edgezsl.runtime.sources import local_path, source_kind

if TYPE_CHECKING:
    from pathlib import Path

    from edgezsl.device_profile import DeviceProfile
    from edgezsl.device_rows import JetPack

SCRIPT = "install.sh"
SETTINGS = "edgezsl.env"
TEMPLATES = ("edgezsl.service", SETTINGS, "edgezsl.tmpfiles", "classes.yaml", SCRIPT)
CONSTRAINTS = "constraints.txt"

_TOKEN = re.compile(r"@([A-Z][A-Z0-9_]*)@")
_ARGUS = re.compile(r"\bnvarguscamerasrc\b", re.IGNORECASE)
_LIBCAMERA = "libcamerasrc"
_NETWORK = re.compile(r"\b(?:rtsps?|https?|rtmps?|srt|tcp|udp)://|\b(?:rtsp|udp|tcpclient)src\b", re.IGNORECASE)
# gst-plugins-bad holds the parsers of H.264 and H.265, and NVIDIA's decoders for graphics cards (gst-inspect-1.0 names the plug-in).
_OF_BAD = re.compile(r"\b(?:h26[45]parse|nvh26[45]\w*)\b")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._+-]*")
_MODES = {SCRIPT: 0o755, SETTINGS: 0o600}  # settings may hold a camera's password
# ProtectHome= and PrivateTmp= hide these from the service.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  # named to be refused
_APART = ("tensorrt",)  # extras whose libraries come from another index than the rest


@dataclass(frozen=True, slots=True)
class Provision:
    """The files for one station, and what they were written for.

    Attributes:
        board: The device profile's name.
        source: The camera's URI, credentials included: for the settings, not for a log.
        jetpack: The major version of JetPack, such as `6`; None where the board has none.
        extras: Of edgezsl, for pip.
        without_plans: The releases of JetPack among them whose TensorRT is not used, each with the reason.
        files: The text of each file, by its name.
    """

    board: str
    source: str
    jetpack: str | None
    extras: str
    without_plans: tuple[str, ...]
    files: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write the files into a folder that does not exist yet, or is empty.

        Raises:
            InputError: When something lies there, or it cannot be written.
        """
        place = Place(str(folder))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                hint = "give a new folder: what was edited there is not overwritten"
                raise InputError("this folder is not empty", code="exists", where=place, hint=hint)
            for name, text in self.files.items():
                write_durably(folder / name, text.encode(), mode=_MODES.get(name, 0o644))
        except FileExistsError as cause:
            raise InputError("this is a file", code="exists", where=place, hint="give a new or empty folder") from cause
        except OSError as cause:
            message = f"the files cannot be written ({cause.strerror})"
            raise InputError(message, code="unwritable", where=place, hint="choose another folder") from cause


def provision(
    profile: DeviceProfile, *, source: str | None = None, jetpack: str | None = None, bundle: str | None = None
) -> Provision:
    """Return the files that make a station of a board.

    Args:
        profile: The board.
        source: The camera's URI, as `edgezsl run --source` takes it; None takes the profile's first.
        jetpack: The major version of JetPack, needed where the board can have several.
        bundle: The absolute path that the model's folder has on the board; None is the model of edgezsl.

    Raises:
        ProfileError: When the board is not supported, or nothing is known of its camera or this JetPack.
        InputError: When source or bundle cannot stand in the settings, or the templates are missing.
    """
    require_supported(profile)
    source = _source(profile, source)
    if bundle is not None:
        if not _PLAIN_PATH.fullmatch(bundle):
            message = f"the bundle on the board is {shown(bundle)}"
            expected = "an absolute path of letters, digits and / . _ + -"
            raise InputError(message, code="bad_path", expected=expected, hint="such as /var/lib/edgezsl/bundles/mine")
        _check_visible("the bundle", bundle)
    rows = _rows(profile, jetpack)
    major = _major(rows[0]) if rows else None
    extras = [f"jetpack{major}"] if major else _extras(profile)
    argus = source_kind(source) == "csi" or bool(_ARGUS.search(source))
    values = {
        **_words(profile, major),
        "SOURCE": _setting(source),
        "RUN_OPTIONS": _setting(f"--bundle {bundle}" if bundle else ""),
        "WANTS": "network-online.target" if _NETWORK.search(source) else "",
        "PRIVATE_TMP": "no" if argus else "yes",
        "BEFORE": "" if rows or "tensorrt" not in profile.engines else "-+/usr/bin/nvidia-modprobe -c 0 -u",
        "ARCH": quote(profile.arch),
        "EXTRAS": quote(",".join(extra for extra in extras if extra not in _APART)),
        "APART": quote(",".join(extra for extra in extras if extra in _APART)),
        "PYTHON": quote(rows[0].python if rows else ""),
        "L4T": quote(_releases(rows)),
        "PLANS": "yes" if "tensorrt" in profile.engines else "no",
        "BUNDLE": quote(bundle or ""),
        "PACKAGES": " ".join(_packages(source, jetson=bool(rows))),
    }
    files = {name: _filled(name, values) for name in TEMPLATES}
    files[CONSTRAINTS] = _template(f"constraints-jetpack{major}.txt" if major else "constraints-device.txt")
    too_old = tuple(f"JetPack {row.jetpack}: {row.tensorrt_unsupported}" for row in rows if row.tensorrt_unsupported)
    return Provision(profile.name, source, major, ",".join(extras), too_old, files)


def _source(profile: DeviceProfile, source: str | None) -> str:
    if source is None:
        if not profile.cameras:
            message = f"the profile {profile.name} names no camera"
            raise ProfileError(message, code="no_camera", hint="give one with --camera or --source")
        source = profile.cameras[0].uri
    if not source.strip() or not source.isprintable():
        message = "the source is empty, or holds a sign that cannot be printed"
        raise InputError(message, code="bad_source", hint="give it on one line, as for edgezsl run --source")
    kind, path = source_kind(source), local_path(source)
    if path is not None:
        if path.is_relative_to("/dev"):
            message = f"the source is {shown(str(path))}, a device, and a path names a file"
            raise InputError(message, code="unfit_source", hint=f"a camera is --source v4l2://{path}")
        _check_visible("the source", str(path))
    if (kind == "csi" or _ARGUS.search(source)) and not profile.jetpack:
        message = f"csi:// and nvarguscamerasrc are a Jetson's, and {profile.name} is none"
        own = next((camera.uri for camera in profile.cameras if _LIBCAMERA in camera.uri), None)
        hint = f"take --source '{own}'" if own else f"its own sources: edgezsl devices show {profile.name}"
        raise InputError(message, code="unfit_source", hint=hint)
    return source


def _check_visible(what: str, path: str) -> None:
    """Refuse a path that the service cannot see: it starts in a folder of its own, and other people's are hidden from it."""
    hidden = next((folder for folder in _HIDDEN if f"{path}/".startswith(f"{folder}/")), None)
    if path.startswith("/") and hidden is None:
        return
    why = f"{hidden} is hidden from the service" if hidden else "the service starts in a folder of its own"
    raise InputError(
        f"{what} is {shown(path)}, and {why}",
        code="bad_path",
        expected="an absolute path that the service can read",
        hint="put it below /var/lib/edgezsl",
    )


def _rows(profile: DeviceProfile, jetpack: str | None) -> list[JetPack]:
    """Return the releases of the major version of JetPack that is meant; none where the board has no JetPack."""
    supported = [row for row in profile.jetpack if row.unsupported is None]
    jetpack = jetpack.partition(".")[0] if jetpack else None  # 6.2 is a 6
    majors = sorted({_major(row) for row in supported})
    if jetpack is None and len(majors) > 1:
        message = f"{profile.name} can have JetPack {' or '.join(majors)}"
        hint = f"say which: --jetpack {majors[0]}; on the board, edgezsl devices detect knows it"
        raise ProfileError(message, code="which_jetpack", hint=hint)
    rows = [row for row in supported if jetpack in {None, _major(row)}]
    if not rows and (jetpack is not None or profile.jetpack):
        why = next((row.unsupported for row in profile.jetpack if row.unsupported and jetpack == _major(row)), None)
        message = f"{profile.name} is not supported with JetPack {jetpack}" + (f": {why}" if why else "")
        expected = f"JetPack {' or '.join(majors)}" if majors else "no JetPack: the board has none"
        raise ProfileError(
            message, code="unsupported_jetpack", expected=expected, hint=f"see edgezsl devices show {profile.name}"
        )
    return rows


def _releases(rows: list[JetPack]) -> str:
    """Return the major releases of Jetson Linux in rows of JetPack, as a pattern; empty where there are no rows."""
    known = sorted({release.split(".")[0] for row in rows for release in row.l4t})
    return "|".join(known or ["[0-9]+"] if rows else [])


def _major(row: JetPack) -> str:
    return row.jetpack.split(".")[0]


def _extras(profile: DeviceProfile) -> list[str]:
    """Return the extras of a board without JetPack; ONNX Runtime is a choice of its own."""
    return ["camera", "text", *(name for name in ("openvino", "tensorrt") if name in profile.engines)]


def _words(profile: DeviceProfile, major: str | None) -> dict[str, str]:
    """Return what stands in comments: on one line, whatever a profile of the user's own holds."""
    system = f"JetPack {major}" if major else f"Debian or Ubuntu on {profile.arch}"
    return {"TITLE": printable(profile.title), "BOARD": profile.name, "SYSTEM": system}


def _packages(source: str, *, jetson: bool) -> list[str]:
    packages = ["python3-venv"]
    packages += ["python3-opencv", "python3-libnvinfer"] if jetson else ["libgl1", "libglib2.0-0"]
    if jetson or source_kind(source) == "gst":
        packages += ["gstreamer1.0-tools", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good"]
    if _OF_BAD.search(source):
        packages.append("gstreamer1.0-plugins-bad")
    if _LIBCAMERA in source:
        packages.append("gstreamer1.0-libcamera")
    return packages


def _setting(value: str) -> str:
    """Return a value in double quotes, as systemd reads it in an environment file."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _filled(name: str, values: dict[str, str]) -> str:
    """Return a template with its tokens replaced; no line ends in a space where a value is empty."""
    text = _TOKEN.sub(lambda token: values[token[1]], _template(name))
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _template(name: str) -> str:
    path = catalogue_folder("devices") / "provision" / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as cause:
        message = f"the template cannot be read ({cause.strerror})"
        hint = "install edgezsl again, or a version that knows this JetPack"
        raise InputError(message, code="template_missing", where=Place(str(path)), hint=hint) from cause
