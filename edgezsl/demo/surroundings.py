"""Where the demo ran: model, engine, machine, versions. Every figure in its report belongs to these."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl import __version__
from edgezsl.device import read_head

if TYPE_CHECKING:
    from edgezsl.station import Station

_PACKAGES = ("numpy", "onnxruntime", "openvino", "opencv-python", "opencv-python-headless", "tokenizers")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the demo ran.

    Attributes:
        model: The bundle's name.
        licence: Its licence: the id, and what else it says.
        engine: What ran it, and why.
        machine: CPU and cores, in words.
        system: Operating system and Python.
        versions: Of edgezsl and the packages that computed, by name.
        command: What was typed.
        next_command: What to type next.
    """

    model: str
    licence: str
    engine: str
    machine: str
    system: str
    versions: dict[str, str]
    command: str
    next_command: str

    @classmethod
    def of(cls, station: Station, *, command: str, next_command: str) -> Surroundings:
        """Look around, from a station that is open."""
        manifest = station.bundle.manifest
        return cls(
            model=manifest.name,
            licence=". ".join(part for part in (manifest.licence.id, manifest.licence.notice) if part),
            engine=station.engine,
            machine=f"{cpu_name()}, {len(os.sched_getaffinity(0))} cores for this process",
            system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            versions={"edgezsl": __version__, **_installed()},
            command=command,
            next_command=next_command,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        return {name: getattr(self, name) for name in self.__slots__}


def cpu_name(root: Path = Path("/")) -> str:
    """Return what the CPU calls itself, or its architecture where it does not say.

    Args:
        root: Where `proc` lies.
    """
    text = read_head(root / "proc/cpuinfo", max_bytes=65_536).decode("utf-8", "replace")
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _installed() -> dict[str, str]:
    wanted = {name: _version(name) for name in _PACKAGES}
    return {name: number for name, number in wanted.items() if number}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
