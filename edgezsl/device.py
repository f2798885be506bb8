"""Device profiles: what is known of a board, and which board this is.

It knows the format of `devices/*.yaml` and where Linux names the board. It measures nothing, loads no engine and
decides nothing: a profile says which engines a board prefers, the caller takes one that is installed.
"""

from __future__ import annotations

import os
import platform
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from edgezsl.catalogue import entries, load_entry
from edgezsl.errors import Place, ProfileError, shown
from edgezsl.records import Fields

FORMAT = "edgezsl-device/1"
KNOWN_ENGINES = ("onnx", "openvino", "tensorrt")  # a profile may name engines that this version does not have

Arch = Literal["aarch64", "x86_64"]
Status = Literal["measured", "built", "untested", "unsupported"]

_FIGURES = ("memory_mib", "compute_capability", "jetpack")  # none of them stands without a source
_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}  # what other systems call the two
_L4T = re.compile(rb"#\s*R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3}){0,3})")
_LONGEST_MODEL = 128  # characters
_X86 = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM = {"asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve"}
_CPU_FEATURES = {**{name: name for name in _X86}, **_ARM}  # the kernel's word in /proc/cpuinfo: ours


@dataclass(frozen=True, slots=True)
class Source:
    """Where something in a profile comes from.

    Attributes:
        what: The field, such as `memory_mib`.
        where: A public document: title or URL.
    """

    what: str
    where: str


@dataclass(frozen=True, slots=True)
class CameraExample:
    """A source that works, or should work, on a board.

    Attributes:
        uri: As `--source` takes it.
        note: What it is for.
    """

    uri: str
    note: str


@dataclass(frozen=True, slots=True)
class JetPack:
    """One release of NVIDIA's software for Jetson boards.

    Attributes:
        jetpack: Its version.
        l4t: The releases of Jetson Linux in it, such as `36.4.3`; `35` stands for every 35.x.
        cuda: CUDA's version.
        tensorrt: TensorRT's version.
        python: The version of the system's Python.
        unsupported: Why edgezsl does not support it, or None.
    """

    jetpack: str
    l4t: tuple[str, ...]
    cuda: str
    tensorrt: str
    python: str
    unsupported: str | None


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What is known of a board: one row of the catalogue `devices/`.

    Attributes:
        name: Its name on the command line.
        title: Its name for people.
        family: The group of boards that share their software.
        arch: The machine as `uname -m` gives it.
        engines: Engines, the preferred first; the first that is installed is taken.
        engines_reason: Why in this order.
        threads: Threads of the engine, or None for all cores.
        status: `measured`: figures from our benchmarks on the board; `built`: our tests run on it; `untested`: written
            from documents only; `unsupported`: see `status_reason`.
        status_reason: Why that status.
        memory_mib: The least memory that the board is sold with, in MiB, or None where that says nothing.
        compute_capability: The GPU's, such as `8.7`, or None.
        cameras: Sources for this board.
        models: Parts of the name in the device tree by which it is recognised, in any case.
        files: Files whose presence recognises it. Without `models` and `files` it stands in for its whole `arch`.
        jetpack: The releases of JetPack for it.
        sources: Where its figures come from.
        notes: What else a user should know.
    """

    name: str
    title: str
    family: str
    arch: Arch
    engines: tuple[str, ...]
    engines_reason: str
    threads: int | None
    status: Status
    status_reason: str
    memory_mib: int | None
    compute_capability: str | None
    cameras: tuple[CameraExample, ...]
    models: tuple[str, ...]
    files: tuple[str, ...]
    jetpack: tuple[JetPack, ...]
    sources: tuple[Source, ...]
    notes: tuple[str, ...]

    def jetpack_of(self, l4t: str) -> JetPack | None:
        """Return the first release of JetPack here that holds a release of Jetson Linux, or None."""
        fits = (row for row in self.jetpack if any(f"{l4t}.".startswith(f"{known}.") for known in row.l4t))
        return next(fits, None)

    @classmethod
    def from_fields(cls, fields: Fields) -> DeviceProfile:
        """Read a profile.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of its range, or a figure has no
                source.
        """
        fields.one_of("format", (FORMAT,))
        detect = fields.inner("detect")
        profile = cls(
            name=_spelled(fields, "name", fields.text("name"), r"[a-z0-9][a-z0-9-]{0,63}", "such as 'my-board-2'"),
            title=fields.text("title"),
            family=fields.text("family"),
            arch=fields.one_of("arch", get_args(Arch)),
            engines=_engines(fields),
            engines_reason=fields.text("engines_reason"),
            threads=fields.count("threads", None, least=1),
            status=fields.one_of("status", get_args(Status)),
            status_reason=fields.text("status_reason"),
            memory_mib=fields.count("memory_mib", None, least=1),
            compute_capability=_spelled(
                fields, "compute_capability", fields.text("compute_capability", None), r"\d{1,2}\.\d", "such as '8.7'"
            ),
            cameras=tuple(CameraExample(**_texts(row, "uri", "note")) for row in _rows(fields, "cameras")),
            models=detect.texts("models", ()),
            files=detect.texts("files", ()),
            jetpack=tuple(_jetpack_row(row) for row in _rows(fields, "jetpack")),
            sources=tuple(Source(**_texts(row, "what", "where")) for row in _rows(fields, "sources")),
            notes=fields.texts("notes", ()),
        )
        detect.done()
        fields.done()
        sourced = {source.what for source in profile.sources}
        for figure in _FIGURES:
            if getattr(profile, figure) and figure not in sourced:
                message = f"nothing under `sources` says where {figure} comes from"
                raise fields.refuse(figure, message, code="no_source", expected=f"a source with `what: {figure}`")
        return profile

    def to_json(self) -> dict[str, Any]:
        """Return the profile as a JSON object."""
        return {"format": FORMAT, **asdict(self, dict_factory=_lists)}


@dataclass(frozen=True, slots=True)
class Detection:
    """Which board this is, and how we know.

    Attributes:
        profile: Its profile, or the one that stands in for an unknown board.
        reason: What it was recognised by, as a clause.
        l4t: The release of Jetson Linux, such as `36.4.3`, or None.
        jetpack: The version of JetPack that holds it, or None.
        model: The board's name in the device tree, or None.
    """

    profile: DeviceProfile
    reason: str
    l4t: str | None
    jetpack: str | None
    model: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl devices detect --json` prints."""
        return {**asdict(self), "profile": self.profile.name}


def load_profile(name_or_path: str | Path) -> DeviceProfile:
    """Return a profile of the catalogue by its name, or one that the user wrote, by its path.

    Args:
        name_or_path: `jetson-orin-nano`, or a path: a `Path`, or a string with a `/` or the ending `.yaml`.

    Raises:
        ProfileError: When there is no such profile, or it breaks its format.
        InputError: When the catalogue is missing from the installation.
    """
    value, path = load_entry(
        "devices", name_or_path, called="device profile", code="unknown_profile", error=ProfileError
    )
    return DeviceProfile.from_fields(Fields(value, Place(str(path)), ProfileError))


def all_profiles() -> tuple[DeviceProfile, ...]:
    """Return every profile of the catalogue, by name.

    Raises:
        ProfileError: When one breaks its format.
        InputError: When the catalogue is missing from the installation.
    """
    return tuple(load_profile(path) for path in entries("devices"))


def detect_profile(root: Path = Path("/"), *, machine: str | None = None) -> Detection:
    """Return the profile of the board that this process runs on.

    The files that it reads may hold anything; that is never an error, only a board that is not recognised.

    Args:
        root: Where `etc`, `proc` and `dev` lie.
        machine: The machine as `uname -m` gives it; None asks the system.

    Raises:
        ProfileError: When no profile exists for this kind of machine, such as a 32-bit Arm.
        InputError: When the catalogue is missing from the installation, or damaged.
    """
    machine = machine or platform.machine()
    arch = _MACHINES.get(machine.lower(), machine)
    model = _model(read_head(root / "proc/device-tree/model", max_bytes=4 * _LONGEST_MODEL))
    release = _L4T.search(read_head(root / "etc/nv_tegra_release", max_bytes=4096))
    l4t = f"{release[1].decode()}.{release[2].decode()}" if release else None
    every = all_profiles()
    profiles = [profile for profile in every if profile.arch == arch]
    if not profiles:
        raise ProfileError(
            f"there is no device profile for the machine {shown(machine)}",
            code="unknown_machine",
            hint=f"install a 64-bit system ({' or '.join(get_args(Arch))}), or give the path of a profile of your own",
        )
    profile, reason = _recognised(profiles, root, model, l4t)
    rows = (one.jetpack_of(l4t) for one in (profile, *every) if l4t)
    row = next((row for row in rows if row), None)
    return Detection(profile, reason, l4t, row.jetpack if row else None, model)


def cpu_features(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the instruction sets of the CPU that change how fast a network runs, in a fixed order.

    x86: `avx2`, `avx512_vnni`, `avx_vnni`, `avx512_bf16`, `amx_int8` and kin. Arm: `neon`, `dotprod`, `i8mm`, `bf16`.

    Args:
        root: Where `proc` lies.
    """
    text = read_head(root / "proc/cpuinfo", max_bytes=65_536).decode("ascii", "replace")
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    words = set(found[1].split()) if found else set()
    return tuple(ours for kernels, ours in _CPU_FEATURES.items() if kernels in words)


def read_head(path: Path, *, max_bytes: int) -> bytes:
    """Return the first bytes of a regular file, or none where it cannot be read: never an error, never a wait."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(max_bytes) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


def _recognised(
    profiles: list[DeviceProfile], root: Path, model: str | None, l4t: str | None
) -> tuple[DeviceProfile, str]:
    name = (model or "").lower()
    for profile in profiles:
        if any(part.lower() in name for part in profile.models):
            return profile, f"the device tree names the board {shown(model)}"
        if profile.files and all((root / file).exists() for file in profile.files):
            return profile, f"there is /{profile.files[0]}"
    profile = next(one for one in profiles if not one.models and not one.files)
    if l4t or "jetson" in name:
        known = ", ".join(filter(None, (model, l4t and f"Jetson Linux {l4t}")))
        return profile, f"this is a Jetson without a profile of its own ({known}); this one stands in"
    if model:
        return profile, f"no profile knows the board {shown(model)}; this one stands in for every {profile.arch}"
    return profile, f"no file names the board; its processor is {profile.arch}"


def _model(data: bytes) -> str | None:
    # A NUL ends the name; whatever else a broken device tree holds must not reach a terminal.
    text = data.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(sign for sign in text if sign.isprintable()).strip()[:_LONGEST_MODEL] or None


def _lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}


def _rows(fields: Fields, name: str) -> list[Fields]:
    rows = fields.take(name, [])
    if not isinstance(rows, list):
        raise fields.refuse(name, f"{shown(rows)} is not a list", code="wrong_type", expected="a list")
    return [Fields(row, fields.place(f"{name}[{index}]"), ProfileError) for index, row in enumerate(rows)]


def _texts(row: Fields, *names: str) -> dict[str, str]:
    values = {name: row.text(name) for name in names}
    row.done()
    return values


def _jetpack_row(row: Fields) -> JetPack:
    l4t, unsupported = row.texts("l4t"), row.text("unsupported", None)
    return JetPack(l4t=l4t, unsupported=unsupported, **_texts(row, "jetpack", "cuda", "tensorrt", "python"))


def _engines(fields: Fields) -> tuple[str, ...]:
    engines = fields.texts("engines")
    if not engines or len(set(engines)) != len(engines) or set(engines) - set(KNOWN_ENGINES):
        expected = f"each at most once, out of {', '.join(KNOWN_ENGINES)}"
        raise fields.refuse("engines", f"the engines are {shown(engines)}", code="unknown_value", expected=expected)
    return engines


def _spelled(fields: Fields, name: str, value: str | None, pattern: str, expected: str) -> Any:
    if value is not None and not re.fullmatch(pattern, value):
        raise fields.refuse(name, f"{shown(value)} does not fit", code="bad_value", expected=expected)
    return value
