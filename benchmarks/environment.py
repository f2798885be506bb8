"""What a figure was measured on: the processor, its features, the versions and the load. Printed with every figure."""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgezsl.device import cpu_features

PACKAGES = (
    *("edgezsl", "numpy", "onnxruntime", "openvino", "opencv-python", "pillow"),
    *("tokenizers", "safetensors", "pyyaml", "watchfiles"),
)


def environment() -> dict[str, Any]:
    """Return the machine, the versions of what was measured, the command, the day, and the load when this was called."""
    return {
        "command": _command(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu_features": list(cpu_features()),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "load_1min": round(os.getloadavg()[0], 2),
    }


def sentence(found: dict[str, Any]) -> str:
    """Return what `environment` found as lines for a person."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores ({found['machine']}; {' '.join(found['cpu_features'])}), load "
        f"{found['load_1min']}\n{found['system']}, Python {found['python']}, {versions}"
    )


def _command() -> str:
    """Return what was typed, from the project's folder, without where the figures were written."""
    words = sys.argv[1:]
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def _cpu_name() -> str:
    named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="ascii"), re.MULTILINE)
    return named[1] if named else "unnamed processor"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
