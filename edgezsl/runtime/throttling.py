"""Whether a board runs slower than it was set to, because it is hot or its supply gives too little.

Each kind of board says so in its own way; some of them only that it has happened since it was started.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.runtime.sysfs import read_number, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The bits of a Raspberry Pi's `get_throttled` (vcgencmd's documentation); 16 further up: it has happened since the start.
_PI_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_PI_SINCE_START = 16
_PI_FILES = ("sys/devices/platform/soc/soc:firmware/get_throttled", "sys/devices/platform/*/*:firmware/get_throttled")
# A Jetson's over-current events (Jetson Linux Developer Guide, "Power and Performance"): number, meaning.
_JETSON_EVENTS = {1: "under-voltage", 2: "average over-current", 3: "instantaneous over-current"}


@dataclass(frozen=True, slots=True)
class Throttling:
    """What slows a board down.

    Attributes:
        now: The causes in force.
        events: How often each has happened since the machine was started; a Raspberry Pi counts to one.
    """

    now: tuple[str, ...]
    events: Mapping[str, int]


def read_throttling(root: Path) -> Throttling | None:
    """Return what slows this board down, or None where it does not say.

    Args:
        root: Where `sys` lies.
    """
    parts = [part for part in (_jetson(root), _alerts(root), _pi(root), _x86(root)) if part is not None]
    if not parts:
        return None
    events: dict[str, int] = {}
    for part in parts:
        events.update(part.events)
    return Throttling(tuple(dict.fromkeys(cause for part in parts for cause in part.now)), events)


def _jetson(root: Path) -> Throttling | None:
    for monitor in (root / "sys/class/hwmon").glob("hwmon*"):
        if read_text(monitor / "name") == "soctherm_oc":
            counts = {name: read_number(monitor / f"oc{n}_event_cnt") for n, name in _JETSON_EVENTS.items()}
            return Throttling((), {name: count for name, count in counts.items() if count is not None})
    return None


def _alerts(root: Path) -> Throttling | None:
    """Return the alerts of a Jetson's thermal framework: `cpu-throttle-alert` and kin."""
    states: dict[str, int] = {}
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind, state = read_text(device / "type"), read_number(device / "cur_state")
        if kind.endswith("-throttle-alert") and state is not None:
            name = f"{kind.removesuffix('-throttle-alert')} too hot"
            states[name] = max(state, states.get(name, 0))
    return Throttling(tuple(name for name, state in states.items() if state), {}) if states else None


def _pi(root: Path) -> Throttling | None:
    for pattern in _PI_FILES:
        for file in root.glob(pattern):
            with contextlib.suppress(ValueError):
                bits = int(read_text(file), 16)
                now = tuple(name for bit, name in _PI_BITS.items() if bits >> bit & 1)
                past = {name: bits >> bit + _PI_SINCE_START & 1 for bit, name in _PI_BITS.items()}
                return Throttling(now, past)
    for monitor in (root / "sys/class/hwmon").glob("hwmon*"):  # a kernel without the Raspberry Pi's own file
        if read_text(monitor / "name") == "rpi_volt":
            alarm = read_number(monitor / "in0_lcrit_alarm")
            return None if alarm is None else Throttling(("under-voltage",) if alarm else (), {})
    return None


def _x86(root: Path) -> Throttling | None:
    folders = [one for one in (root / "sys/devices/system/cpu").glob("cpu*") if re.fullmatch(r"cpu\d+", one.name)]
    counts = [read_number(folder / "thermal_throttle/core_throttle_count") for folder in folders]
    told = [count for count in counts if count is not None]
    return Throttling((), {"cpu too hot": sum(told)}) if told else None
