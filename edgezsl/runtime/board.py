"""How a board is set up at this moment, read from files alone: its software, power mode, memory and clocks.

It knows where a Jetson, a Raspberry Pi and a PC keep what they say of themselves. It imports nothing of NVIDIA's, starts no
program and changes nothing. What a machine does not say is None or empty, never an error. Sensors are in `power.py`.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.device import read_head
from edgezsl.errors import printable
from edgezsl.runtime.packages import PACKAGES
from edgezsl.runtime.sysfs import PAGE, read_number, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST_STATUS = 32 << 20  # bytes; a Jetson with everything installed has about 4 MB
_LARGEST_MODES = 256 << 10  # bytes
_MEMINFO = re.compile(r"^(MemTotal|MemAvailable):\s*(\d+) kB", re.MULTILINE)
_MODE = re.compile(r"pmode:(\d+)")
_NAME = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)\s*>")
_GPU = re.compile(r"gpu|ga10b|gv11b|gp10b|gm20b", re.IGNORECASE)  # 17000000.gpu, 17000000.ga10b, gpu-gpc-0


@dataclass(frozen=True, slots=True)
class PowerMode:
    """What `nvpmodel` set a Jetson to.

    Attributes:
        number: Its number, as `nvpmodel -m` takes it.
        name: Its name in `/etc/nvpmodel.conf`, such as `MAXN_SUPER`, or None.
    """

    number: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that goes up and down, in MHz.

    Attributes:
        name: Which: `cpu 0-3`, or a GPU's device.
        now_mhz: As it is.
        least_mhz: It is not let below.
        most_mhz: It is not let above.
        governor: What decides between the two.
    """

    name: str
    now_mhz: int | None
    least_mhz: int
    most_mhz: int
    governor: str

    @property
    def held(self) -> bool:
        """Whether it is held at one frequency, as `jetson_clocks` does it."""
        return self.least_mhz == self.most_mhz


@dataclass(frozen=True, slots=True)
class BoardReadings:
    """How a board is set up.

    Attributes:
        jetpack: The version of the package `nvidia-jetpack`, such as `6.2.1+b38`, or None: many boards run without it.
        tensorrt: The version of TensorRT's library from apt, or of its Python package, or None.
        power_mode: The Jetson's, or None.
        memory_mib: The machine's, or None.
        free_memory_mib: As much of it as a program could have, or None.
        cpu_clocks: Of each group of cores that share one.
        gpu_clocks: Of an integrated GPU.
    """

    jetpack: str | None
    tensorrt: str | None
    power_mode: PowerMode | None
    memory_mib: int | None
    free_memory_mib: int | None
    cpu_clocks: tuple[Clock, ...]
    gpu_clocks: tuple[Clock, ...]

    @property
    def clocks_held(self) -> bool | None:
        """Whether every clock is held at one frequency, or None where no clock is told."""
        clocks = (*self.cpu_clocks, *self.gpu_clocks)
        return all(clock.held for clock in clocks) if clocks else None

    def to_json(self) -> dict[str, Any]:
        """Return the readings as an object."""
        return {**asdict(self), "clocks_held": self.clocks_held}


def board_readings(root: Path = Path("/")) -> BoardReadings:
    """Return how the board that this process runs on is set up.

    Args:
        root: Where `etc`, `proc`, `sys` and `var` lie.
    """
    versions = _installed_packages(root)
    library = next((version for name, version in versions.items() if name.startswith("libnvinfer")), None)
    memory = dict(_MEMINFO.findall(read_text(root / "proc/meminfo", max_bytes=PAGE)))
    total, free = (int(memory[name]) // 1024 if name in memory else None for name in ("MemTotal", "MemAvailable"))
    return BoardReadings(
        jetpack=versions.get("nvidia-jetpack"),
        tensorrt=library or _python_tensorrt(),
        power_mode=_power_mode(root),
        memory_mib=total,
        free_memory_mib=free,
        cpu_clocks=tuple(_cpu_clocks(root)),
        gpu_clocks=tuple(_gpu_clocks(root)),
    )


def _installed_packages(root: Path) -> dict[str, str]:
    """Return the versions of NVIDIA's packages that dpkg says are installed."""
    status = read_head(root / "var/lib/dpkg/status", max_bytes=_LARGEST_STATUS)
    found = {}
    for start in re.finditer(rb"^Package: (nvidia-jetpack|libnvinfer\d*)$", status, re.MULTILINE):
        end = status.find(b"\n\n", start.end())
        fields = status[start.end() : end if end >= 0 else len(status)].decode("utf-8", "replace")
        version = re.search(r"^Version: (\S+)$", fields, re.MULTILINE)
        if version and re.search(r"^Status: install ok installed$", fields, re.MULTILINE):
            found[start[1].decode()] = printable(version[1])
    return found


def _python_tensorrt() -> str | None:
    for distribution in PACKAGES["tensorrt"][0]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None


def _power_mode(root: Path) -> PowerMode | None:
    said = _MODE.search(read_text(root / "var/lib/nvpmodel/status"))
    if not said:
        return None
    names = dict(_NAME.findall(read_text(root / "etc/nvpmodel.conf", max_bytes=_LARGEST_MODES)))
    number = int(said[1])
    return PowerMode(number, names.get(str(number)))


def _cpu_clocks(root: Path) -> Iterable[Clock]:
    policies = (root / "sys/devices/system/cpu/cpufreq").glob("policy*")
    for policy in sorted(policies, key=lambda path: (len(path.name), path.name)):
        cores = [int(core) for core in read_text(policy / "affected_cpus", max_bytes=PAGE).split() if core.isdecimal()]
        name = f"cpu {cores[0]}" + (f"-{cores[-1]}" if len(cores) > 1 else "") if cores else policy.name
        clock = _clock(name, policy, "scaling_{}_freq", "scaling_governor", per_mhz=1000)
        if clock:
            yield clock


def _gpu_clocks(root: Path) -> Iterable[Clock]:
    for device in sorted((root / "sys/class/devfreq").glob("*")):
        if _GPU.search(device.name):
            clock = _clock(device.name, device, "{}_freq", "governor", per_mhz=1_000_000)
            if clock:
                yield clock


def _clock(name: str, folder: Path, file: str, governor: str, *, per_mhz: int) -> Clock | None:
    now, least, most = (read_number(folder / file.format(word)) for word in ("cur", "min", "max"))
    if least is None or most is None:
        return None
    now_mhz = None if now is None else now // per_mhz
    return Clock(name, now_mhz, least // per_mhz, most // per_mhz, read_text(folder / governor))
