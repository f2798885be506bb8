"""What this machine draws, how hot it is and whether it is throttled, where it says so: `PowerMeter`.

A Jetson says what its module draws through its power monitors, an x86 processor what its packages and their memory have
used up (RAPL). A Raspberry Pi says neither. A machine that reports nothing is a reading without figures, never an error.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.runtime import tegrastats
from edgezsl.runtime.rails import find_rails, whole_watts
from edgezsl.runtime.sysfs import read_number, read_text
from edgezsl.runtime.throttling import Throttling, read_throttling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
NOT_REPORTED = "power is not reported by this machine"
ROOT_ALONE = "power is reported by this machine (RAPL), and only root may read it"


@dataclass(frozen=True, slots=True)
class PowerReading:
    """What a machine says of itself at one moment.

    Attributes:
        watts: What is drawn; by RAPL the mean since the reading before, and None in the first one.
        source: What says so, and of what.
        rails: Watts of each rail that is measured.
        celsius: The hottest sensor, in °C, or None.
        hottest: That sensor's name.
        throttling: What slows the machine down, or None where it does not say.
    """

    watts: float | None
    source: str | None
    rails: Mapping[str, float]
    celsius: float | None
    hottest: str | None
    throttling: Throttling | None

    def to_json(self) -> dict[str, Any]:
        """Return the reading as an object."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [] if self.watts is None else [f"{self.watts:.1f} W"]
        parts += [] if self.celsius is None else [f"{self.celsius:.0f} °C"]
        parts += [f"throttled: {', '.join(self.throttling.now)}"] if self.throttling and self.throttling.now else []
        return ", ".join(parts)


class PowerMeter:
    """Reads what a machine says of its power, temperature and throttling. Any thread may read.

    Args:
        root: Where `sys` lies.

    Attributes:
        why_no_watts: In words why power is not reported, or None where it is.
        reports: Whether anything is reported: power, a temperature, or what throttles.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._rails = find_rails(root)
        self._counters = _find_counters(root)
        self._jetson = (root / "etc/nv_tegra_release").is_file()
        self._before: tuple[float, float] | None = None
        self._lock = threading.Lock()
        self.why_no_watts: str | None = None
        first = self.read()
        if first.source is None and first.rails:
            self.why_no_watts = (
                f"power is reported of {', '.join(first.rails)} alone; which make up the whole is not known"
            )
        elif first.source is None:
            self.why_no_watts = ROOT_ALONE if self._counters else NOT_REPORTED
        self.reports = self.why_no_watts is None or first.celsius is not None or first.throttling is not None

    def read(self) -> PowerReading:
        """Return what the machine says now. Takes a few milliseconds; where only `tegrastats` answers, 0.2 s."""
        with self._lock:
            rails = {rail.name: watts for rail in self._rails if (watts := rail.watts()) is not None}
            zones = _zones(self._root)
            if self._jetson and not rails:
                line = tegrastats.one_line()
                rails, zones = tegrastats.rails_of(line), zones or tegrastats.zones_of(line)
            watts, source = whole_watts(rails)
            if source is None:
                watts, source = self._packages_watts()
        hottest = max(zones, key=lambda name: zones[name], default=None)
        celsius = None if hottest is None else zones[hottest]
        return PowerReading(watts, source, rails, celsius, hottest, read_throttling(self._root))

    def _packages_watts(self) -> tuple[float | None, str | None]:
        joules, now_s = self._used_joules(), time.monotonic()
        if joules is None:
            return None, None
        before, self._before = self._before, (now_s, joules)
        source = "RAPL: " + " + ".join(counter.name for counter in self._counters)
        if before is None or now_s <= before[0]:
            return None, source
        return (joules - before[1]) / (now_s - before[0]), source

    def _used_joules(self) -> float | None:
        used = [counter.joules() for counter in self._counters]
        return sum(one for one in used if one is not None) if used and None not in used else None


@dataclass(slots=True)
class _EnergyCounter:
    """A RAPL zone: energy that only grows, in a register that starts anew (Linux, `power/powercap`)."""

    name: str
    folder: Path
    _last_uj: int | None = None
    _turns_uj: int = 0

    def joules(self) -> float | None:
        """Return the energy used since a fixed moment, or None where it may not be read."""
        used = read_number(self.folder / "energy_uj")
        if used is None:
            return None
        if self._last_uj is not None and used < self._last_uj:
            self._turns_uj += read_number(self.folder / "max_energy_range_uj") or self._last_uj
        self._last_uj = used
        return (self._turns_uj + used) / 1e6


def _find_counters(root: Path) -> tuple[_EnergyCounter, ...]:
    """Return the packages, and their memory where it is counted: cores and graphics lie inside a package."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    named = [(read_text(zone / "name"), zone) for zone in zones]
    return tuple(_EnergyCounter(name, zone) for name, zone in named if name.startswith("package-") or name == "dram")


def _zones(root: Path) -> dict[str, float]:
    """Return the temperature in °C of each sensor that gives one: on a Jetson some never do."""
    zones = {}
    for zone in (root / "sys/class/thermal").glob("thermal_zone*"):
        millidegrees, name = read_number(zone / "temp"), read_text(zone / "type")
        if millidegrees is not None:
            zones[name or zone.name] = millidegrees / 1000
    for monitor in () if zones else (root / "sys/class/hwmon").glob("hwmon*"):
        if read_text(monitor / "name") in _CPU_SENSORS:
            for file in monitor.glob("temp*_input"):
                millidegrees = read_number(file)
                if millidegrees is not None:
                    zones[read_text(file.with_name(file.name.replace("input", "label"))) or file.name] = (
                        millidegrees / 1000
                    )
    return {name: celsius for name, celsius in zones.items() if tegrastats.COLDEST < celsius < tegrastats.HOTTEST}


@dataclass(frozen=True, slots=True)
class PowerSummary:
    """What a machine said over a stretch of time.

    Attributes:
        seconds: How long the stretch was.
        watts: The mean, or None where power is not reported.
        source: What said so, and of what.
        celsius: The hottest sensor's most, or None.
        throttled: Every cause that was in force, or that came up, in the stretch; None where the machine does not say.
    """

    seconds: float
    watts: float | None
    source: str | None
    celsius: float | None
    throttled: tuple[str, ...] | None

    def __str__(self) -> str:
        parts = [] if self.watts is None else [f"{self.watts:.1f} W on average ({self.source})"]
        parts += [] if self.celsius is None else [f"at most {self.celsius:.0f} °C"]
        if self.throttled is not None:
            parts.append(f"throttled: {', '.join(self.throttled)}" if self.throttled else "not throttled")
        return ", ".join(parts)


@dataclass(slots=True)
class _Sums:
    """What a sampler has gathered."""

    start_s: float
    last_s: float
    first_events: Mapping[str, int] = field(default_factory=dict)
    last_events: Mapping[str, int] = field(default_factory=dict)
    joules: float = 0.0
    measured_s: float = 0.0
    source: str | None = None
    celsius: float | None = None
    causes: dict[str, None] | None = None


class PowerSampler:
    """Reads a meter again and again in a thread of its own, beside what is measured. Use it as a context manager.

    Where the machine reports nothing there is no thread.

    Args:
        meter: The meter.
        interval_s: Between two readings.

    Attributes:
        latest: The latest reading in words; empty where the machine reports nothing.
    """

    def __init__(self, meter: PowerMeter, *, interval_s: float) -> None:
        self.latest = ""
        self._meter = meter
        self._interval_s = interval_s
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="edgezsl.power", daemon=True)
        self._sums = _Sums(time.monotonic(), time.monotonic())

    def __enter__(self) -> PowerSampler:
        self._take(first=True)
        if self._meter.reports:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> PowerSummary:
        """Stop reading, and return what was read. Calling it again returns the same."""
        if not self._ending.is_set():
            self._ending.set()
            if self._meter.reports:
                self._thread.join()
            self._take()
        sums = self._sums
        causes = None
        if sums.causes is not None:
            more = [name for name, count in sums.last_events.items() if count > sums.first_events.get(name, 0)]
            causes = tuple(dict.fromkeys((*sums.causes, *more)))
        watts = sums.joules / sums.measured_s if sums.measured_s else None
        return PowerSummary(sums.last_s - sums.start_s, watts, sums.source, sums.celsius, causes)

    def _sample(self) -> None:
        while not self._ending.wait(self._interval_s):
            self._take()

    def _take(self, *, first: bool = False) -> None:
        """Read once. A reading stands for the time since the one before: RAPL's is the mean of just that."""
        sums, reading = self._sums, self._meter.read()
        self.latest = str(reading)
        now_s = time.monotonic()
        if first:
            sums.start_s = now_s
        elif reading.watts is not None:
            sums.joules += reading.watts * (now_s - sums.last_s)
            sums.measured_s += now_s - sums.last_s
            sums.source = reading.source
        sums.last_s = now_s
        if reading.celsius is not None:
            sums.celsius = reading.celsius if sums.celsius is None else max(sums.celsius, reading.celsius)
        if reading.throttling is not None:
            sums.causes = {**(sums.causes or {}), **dict.fromkeys(reading.throttling.now)}
            sums.last_events = reading.throttling.events
            if first:
                sums.first_events = reading.throttling.events
