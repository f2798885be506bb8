"""What a board draws, by its own power monitors: which rails there are, and which of them are the whole.

A Jetson has INA3221 monitors (and Thor an INA238 at its input) that Linux shows as `hwmon`; `tegrastats` prints the same.
Which rails make up the whole depends on the board: where that is not known here, none is claimed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.runtime.sysfs import read_number, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# The whole: the first row whose rails are all there. VDD_IN: the module of an Orin Nano or Orin NX; POM_5V_IN: of the first
# Nano; VIN: a Thor with its carrier, by its INA238. An AGX Orin has no such rail: those at the module's input are added up.
# Its VDDQ_VDD2_1V8AO is left out: records show it at 5 V, so behind VIN_SYS_5V0, and it would count twice. A Thor whose
# INA238 is not read is added up likewise. From documents and records of others: none of it was checked on a board.
WHOLE = (
    ("VDD_IN",),
    ("VIN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
)
_CHANNEL = re.compile(r"in(\d+)_label")
_NO_RAILS = re.compile(r"NC|.*\bshunt\b.*", re.IGNORECASE)  # not connected; `sum of shunt voltages`
_INPUT_MONITOR = "ina238"


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply line that is measured.

    Attributes:
        name: As the board calls it.
        files: One that gives microwatts, or two that give millivolts and milliamperes.
    """

    name: str
    files: tuple[Path, ...]

    def watts(self) -> float | None:
        """Return what it draws, or None where its monitor does not answer."""
        values = [read_number(file) for file in self.files]
        if None in values:
            return None
        first, *others = (value for value in values if value is not None)
        return first * others[0] / 1e6 if others else first / 1e6


def find_rails(root: Path) -> tuple[Rail, ...]:
    """Return the rails that a board measures.

    Args:
        root: Where `sys` lies.
    """
    return tuple(rail for monitor in sorted((root / "sys/class/hwmon").glob("hwmon*")) for rail in _rails_of(monitor))


def whole_watts(rails: Mapping[str, float]) -> tuple[float | None, str | None]:
    """Return what the whole draws, and in words which rails say so; None where that is not known of these rails.

    Args:
        rails: Watts by the names of rails.
    """
    for row in WHOLE:
        if all(name in rails for name in row):
            return sum(rails[name] for name in row), " + ".join(row)
    return None, None


def _rails_of(monitor: Path) -> Iterator[Rail]:
    kind = read_text(monitor / "name")
    if kind == _INPUT_MONITOR and (monitor / "power1_input").is_file():
        yield Rail("VIN", (monitor / "power1_input",))
    if kind != "ina3221":
        return
    for label in sorted(monitor.glob("in*_label")):
        channel, name = _CHANNEL.fullmatch(label.name), read_text(label)
        # Channels 4 to 7 are voltages across shunts, and their sum: no current of their own, or one that counts twice.
        if channel and name and int(channel[1]) <= 3 and not _NO_RAILS.fullmatch(name):  # noqa: PLR2004
            yield Rail(name, (monitor / f"in{channel[1]}_input", monitor / f"curr{channel[1]}_input"))
