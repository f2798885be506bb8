"""Device profiles: what is known of a board, and which board this is.

It knows where profiles lie and where Linux names the board; the format of a profile is `device_profile.py`'s. It measures
nothing, loads no engine and decides nothing: a profile says which engines a board prefers, the caller takes one that is
installed.
"""

from __future__ import annotations

import os
import platform
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edgezsl.catalogue import entries, load_entry
from edgezsl.device_profile import Arch, DeviceProfile
from edgezsl.errors import Place, ProfileError, printable, shown
from edgezsl.records import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICE_VARIABLE = "EDGEZSL_DEVICE"
_MACHINES = {"arm64": "aarch64", "amd64": "x86_64"}  # what other systems call the two
_L4T = re.compile(rb"#\s*R(\d{1,3})\s*\(release\),\s*REVISION:\s*(\d{1,3}(?:\.\d{1,3}){0,3})")
_LONGEST_MODEL = 128  # characters
_X86 = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "avx512_bf16", "amx_bf16", "amx_int8")
_ARM = {"asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve"}
_CPU_FEATURES = {**{name: name for name in _X86}, **_ARM}  # the kernel's word in /proc/cpuinfo: ours


@dataclass(frozen=True, slots=True)
class Detection:
    """Which board this is, and how we know.

    Attributes:
        profile: Its profile, or the one that stands in for an unknown board.
        reason: What it was recognised by, as a clause.
        l4t: The release of Jetson Linux, such as `36.4.3`, or None.
        jetpack: The version of JetPack that holds it, or None.
        jetpack_before: Where no profile knows the release: the JetPack that holds the revision before it, or None.
        model: The board's name in the device tree, or None.
    """

    profile: DeviceProfile
    reason: str
    l4t: str | None
    jetpack: str | None
    jetpack_before: str | None
    model: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl devices detect --json` prints."""
        return {**asdict(self), "profile": self.profile.name}


def load_profile(name_or_path: str | Path) -> DeviceProfile:
    """Return a profile of the catalogue by its name, or one that the user wrote, by its path.

    Args:
        name_or_path: `jetson-orin-nano`, or a path: a `Path`, or a string with a `/` or the ending `.yaml`.

    Raises:
        ProfileError: When there is no such profile, it breaks its format, or one of the catalogue has not its file's name.
        InputError: When the catalogue is missing from the installation.
    """
    value, path = load_entry(
        "devices", name_or_path, called="device profile", code="unknown_profile", error=ProfileError
    )
    fields = Fields(value, Place(str(path)), ProfileError)
    profile = DeviceProfile.from_fields(fields)
    if profile.name != path.stem and path in entries("devices"):  # a user's own file may be called anything
        message = f"the profile is called {shown(profile.name)}, and its file is not"
        raise fields.refuse("name", message, code="bad_value", expected=f"{path.stem!r}, as in the file's name")
    return profile


def require_supported(profile: DeviceProfile) -> None:
    """Refuse a board that edgezsl cannot run on.

    Raises:
        ProfileError: When the profile's status is `unsupported`.
    """
    if profile.status == "unsupported":
        raise ProfileError(
            f"{profile.title} is not supported: {profile.status_reason}",
            code="unsupported_board",
            expected="a board that is supported",
            hint="edgezsl devices lists them",
        )


def all_profiles() -> tuple[DeviceProfile, ...]:
    """Return every profile of the catalogue, by name.

    Raises:
        ProfileError: When one breaks its format.
        InputError: When the catalogue is missing from the installation.
    """
    return tuple(load_profile(path) for path in entries("devices"))


def detect_profile(
    root: Path = Path("/"), *, machine: str | None = None, environment: Mapping[str, str] = os.environ
) -> Detection:
    """Return the profile of the board that this process runs on.

    The files that it reads may hold anything; that is never an error, only a board that is not recognised.

    Args:
        root: Where `etc`, `proc` and `dev` lie.
        machine: The machine as `uname -m` gives it; None asks the system.
        environment: Its `EDGEZSL_DEVICE`, a profile's name or path, is believed: a container does not see the device tree.

    Raises:
        ProfileError: When no profile exists for this kind of machine, such as a 32-bit Arm, or `EDGEZSL_DEVICE` names none.
        InputError: When the catalogue is missing from the installation, or damaged.
    """
    machine = machine or platform.machine()
    arch = machine_arch(machine)
    model = _model(read_head(root / "proc/device-tree/model", max_bytes=4 * _LONGEST_MODEL))
    l4t = jetson_linux(root)
    every = all_profiles()
    told = environment.get(DEVICE_VARIABLE)
    if told:
        return _detection(_told(told), f"{DEVICE_VARIABLE} says so", l4t, model, every)
    profiles = [profile for profile in every if profile.arch == arch]
    if not profiles:
        raise ProfileError(
            f"there is no device profile for the machine {shown(machine)}",
            code="unknown_machine",
            hint=f"install a 64-bit system ({' or '.join(get_args(Arch))}), or give the path of a profile of your own",
        )
    profile, reason = _recognised(profiles, root, model, l4t)
    return _detection(profile, reason, l4t, model, every)


def machine_arch(machine: str | None = None) -> str:
    """Return what kind of machine this is, in the words of a profile's `arch`, or in the system's where no profile has it.

    Args:
        machine: The machine as `uname -m` gives it; None asks the system.
    """
    machine = machine or platform.machine()
    return _MACHINES.get(machine.lower(), machine)


def jetson_linux(root: Path = Path("/")) -> str | None:
    """Return the release of Jetson Linux, such as `36.4.3`, or None where this is no Jetson.

    Args:
        root: Where `etc` lies.
    """
    release = _L4T.search(read_head(root / "etc/nv_tegra_release", max_bytes=4096))
    return f"{release[1].decode()}.{release[2].decode()}" if release else None


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
            # None, and no error: a sensor that sleeps answers "try again".
            return file.read(max_bytes) or b"" if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


def _told(name_or_path: str) -> DeviceProfile:
    try:
        return load_profile(name_or_path)
    except ProfileError as fault:
        fault.message = f"the environment variable {DEVICE_VARIABLE} names a board, and {fault.message}"
        raise


def _detection(
    profile: DeviceProfile, reason: str, l4t: str | None, model: str | None, every: tuple[DeviceProfile, ...]
) -> Detection:
    exact: list[str] = []
    before: list[str] = []
    if l4t:  # the board's own profile first: a release may be known to another's
        exact = [row.jetpack for one in (profile, *every) if (row := one.jetpack_of(l4t))]
        before = [row.jetpack for one in (profile, *every) if (row := one.jetpack_before(l4t))]
    return Detection(
        profile=profile,
        reason=reason,
        l4t=l4t,
        jetpack=exact[0] if exact else None,
        jetpack_before=before[0] if before and not exact else None,
        model=model,
    )


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
    return printable(text).strip()[:_LONGEST_MODEL] or None
