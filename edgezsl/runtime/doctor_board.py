"""What `doctor` and `devices detect` say of the board: its software, power mode, memory, clocks and sensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.device import cpu_features
from edgezsl.errors import EngineError
from edgezsl.runtime.finding import Finding
from edgezsl.runtime.tensorrt_version import check_tensorrt_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.device import Detection
    from edgezsl.runtime.board import BoardReadings, Clock
    from edgezsl.runtime.power import PowerMeter

LEAST_MEMORY_MIB = 512  # a stream and the child that embeds classes, each with an engine
_SUPPLY = ("under-voltage", "average over-current")  # what a better supply cures


def board_findings(detection: Detection, readings: BoardReadings) -> tuple[Finding, ...]:
    """Return what is known of the board, and of the JetPack on it.

    Args:
        detection: Which board it is.
        readings: How it is set up.
    """
    profile = detection.profile
    detail = f"{profile.name}: {profile.title}; {detection.reason}"
    if profile.status == "unsupported":
        board = Finding("board", "warning", f"{detail}; not supported: {profile.status_reason}")
    else:
        board = Finding("board", "ok", f"{detail}; {profile.status}: {profile.status_reason}")
    if detection.l4t is None:
        return (board,)
    return board, _jetpack_finding(detection.l4t, detection, readings)


def cpu_finding(root: Path = Path("/")) -> Finding:
    """Return what the processor has that changes how fast a network runs.

    Args:
        root: Where `proc` lies.
    """
    features = cpu_features(root)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{usable} of {os.cpu_count()} cores usable; {', '.join(features) or 'no known instruction set'}"
    return Finding("cpu", "ok", detail)


def setup_findings(readings: BoardReadings) -> tuple[Finding, ...]:
    """Return how the board is set up, as far as it says so: memory, TensorRT, power mode, clocks."""
    return (_memory_finding(readings), *_told(readings))


def sensor_findings(meter: PowerMeter) -> tuple[Finding, ...]:
    """Return what the board draws, how hot it is and whether it is throttled, or one finding that it says none of it."""
    if not meter.reports:
        return (Finding("sensors", "unused", "power, temperature and throttling are not reported by this machine"),)
    reading = meter.read()
    watts = None if reading.watts is None else Finding("power", "ok", f"{reading.watts:.1f} W ({reading.source})")
    found = [watts or Finding("power", "missing", meter.why_no_watts or "the power monitor does not answer")]
    if reading.celsius is not None:
        found.append(Finding("temperature", "ok", f"{reading.celsius:.1f} °C at most, of {reading.hottest}"))
    if reading.throttling is None:
        return tuple(found)
    events = {name: count for name, count in reading.throttling.events.items() if count}
    since = f"since it was started: {', '.join(f'{name} {count}' for name, count in events.items())}" if events else ""
    supply = [name for name in _SUPPLY if name in reading.throttling.now or name in events]
    hint = "use a supply and a cable that give what the board needs" if supply else None
    if reading.throttling.now:
        detail = "; ".join(filter(None, (f"in force: {', '.join(reading.throttling.now)}", since)))
        found.append(
            Finding("throttling", "warning", detail, hint or "cool the board better, or take a lower power mode")
        )
    elif supply:
        found.append(Finding("throttling", "warning", since, hint))
    else:
        found.append(Finding("throttling", "ok", f"none now; {since}" if since else "none"))
    return tuple(found)


def _jetpack_finding(l4t: str, detection: Detection, readings: BoardReadings) -> Finding:
    rows = detection.profile.jetpack
    installed = (readings.jetpack or "").partition("+")[0]
    row = detection.profile.jetpack_of(l4t) or next((one for one in rows if one.jetpack == installed), None)
    good = ", ".join(
        one.jetpack for one in rows if not (one.unsupported or one.tensorrt_unsupported or " " in one.jetpack)
    )
    hint = f"flash a JetPack that this board's profile knows: {good}" if good else None
    package = f"; the package nvidia-jetpack is {readings.jetpack}" if readings.jetpack else ""
    if row is None:
        known = f"JetPack {detection.jetpack}" if detection.jetpack else "an unknown JetPack"
        if detection.jetpack_before:
            known = f"probably JetPack {detection.jetpack_before} or a later one"
        kin = any(one.unsupported is None and _major(l4t) in map(_major, one.l4t) for one in rows)
        detail = f"Jetson Linux {l4t}, {known}; not in this board's profile{package}"
        return Finding("jetpack", "warning", detail, None if kin else hint)  # a later revision of one that is known
    detail = f"{row.jetpack}: Jetson Linux {l4t}, CUDA {row.cuda}, TensorRT {row.tensorrt}{package}"
    if row.unsupported:
        return Finding("jetpack", "warning", f"{detail}; not supported: {row.unsupported}", hint)
    if row.tensorrt_unsupported:
        return Finding("jetpack", "warning", f"{detail}; {row.tensorrt_unsupported}", hint)
    return Finding("jetpack", "ok", detail)


def _major(release: str) -> str:
    return release.partition(".")[0]


def _memory_finding(readings: BoardReadings) -> Finding:
    total, free = readings.memory_mib, readings.free_memory_mib
    if total is None or free is None:
        return Finding("memory", "warning", "the system does not say how much memory it has")
    detail = f"{free} of {total} MiB free"
    if free < LEAST_MEMORY_MIB:
        hint = f"end other programs: recognising and embedding classes together need about {LEAST_MEMORY_MIB} MiB"
        return Finding("memory", "warning", detail, hint)
    return Finding("memory", "ok", detail)


def _told(readings: BoardReadings) -> Iterator[Finding]:
    if readings.tensorrt:
        yield _tensorrt_finding(readings.tensorrt)
    if readings.power_mode:
        number, name = readings.power_mode.number, readings.power_mode.name
        yield Finding(
            "power mode", "ok", f"{number}, {name}" if name else f"{number}, which nvpmodel.conf does not name"
        )
    clocks = (*readings.cpu_clocks, *readings.gpu_clocks)
    if clocks:
        held = "all held, as by jetson_clocks" if readings.clocks_held else "free to move"
        yield Finding("clocks", "ok", f"{'; '.join(map(_clock, clocks))}; {held}")


def _tensorrt_finding(version: str) -> Finding:
    try:
        check_tensorrt_version(version)
    except EngineError as fault:
        return Finding("tensorrt on disk", "warning", f"{version}; edgezsl takes {fault.expected}", fault.hint)
    return Finding("tensorrt on disk", "ok", version)


def _clock(clock: Clock) -> str:
    now = "" if clock.now_mhz is None else f"{clock.now_mhz} of "
    return f"{clock.name} {now}{clock.least_mhz}-{clock.most_mhz} MHz ({clock.governor or 'no governor'})"
