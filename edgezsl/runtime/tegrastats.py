"""`tegrastats`: what a Jetson's own program says of power and temperature, for where Linux's files are not to be read.

In a container that hides `/sys/class/hwmon` it may still be there. It is started, asked for one line, and ended.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import time

from edgezsl.errors import printable

INTERVAL_MS = 100
LIMIT_S = 3.0  # for its first line
_LONGEST_LINE = 8192  # bytes
# JetPack 5 and 6 print `VDD_IN 4761mW/4778mW` (now/mean), JetPack 4 `POM_5V_IN 4122/3107`, later ones a third figure, the most.
_RAIL = re.compile(r"\b((?:VDD|VIN|POM|VDDQ|CPU|GPU|SOC|CV|SYS5V)[A-Z0-9_]*) (\d+)(?:mW)?/\d+")
_ZONE = re.compile(r"\b([A-Za-z][A-Za-z0-9_]*)@(-?\d+(?:\.\d+)?)C")
COLDEST, HOTTEST = -40.0, 150.0  # °C: beyond, it is a sensor that does not answer; a PMIC's 100 °C is a constant
_CONSTANT = "PMIC"


def rails_of(line: str) -> dict[str, float]:
    """Return the watts of each rail that a line of `tegrastats` gives."""
    return {name: int(milliwatts) / 1000 for name, milliwatts in _RAIL.findall(line)}


def zones_of(line: str) -> dict[str, float]:
    """Return the temperature in °C of each zone that a line of `tegrastats` gives."""
    zones = {name: float(celsius) for name, celsius in _ZONE.findall(line) if name != _CONSTANT}
    return {name: celsius for name, celsius in zones.items() if COLDEST < celsius < HOTTEST}


def one_line(limit_s: float = LIMIT_S) -> str:
    """Return a line of `tegrastats`, or an empty one where there is no such program, or it says nothing in time.

    Args:
        limit_s: Seconds to wait.
    """
    program = shutil.which("tegrastats")
    if program is None:
        return ""
    command = [program, "--interval", str(INTERVAL_MS)]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return ""
    with process:
        try:
            return _first_line(process, limit_s)
        finally:
            process.kill()


def _first_line(process: subprocess.Popen[bytes], limit_s: float) -> str:
    if process.stdout is None:
        return ""
    until, said = time.monotonic() + limit_s, b""
    while b"\n" not in said and len(said) < _LONGEST_LINE:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        part = process.stdout.read1(_LONGEST_LINE) if ready else b""  # type: ignore[attr-defined]  # it is buffered
        if not part:
            break
        said += part
    line = said.partition(b"\n")[0].decode("ascii", "replace")
    return printable(line)
