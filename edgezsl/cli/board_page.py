"""What `edgezsl devices` prints for people: the list of boards, and the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.cli.say import say, say_facts, say_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgezsl.device_profile import DeviceProfile

_GIB = 1024  # MiB


def say_boards(profiles: Sequence[DeviceProfile]) -> None:
    """Print the list of boards."""
    rows = ((one.name, one.status, _sizes(one) or "-", ", ".join(one.engines), one.title) for one in profiles)
    say_table(["name", "status", "memory", "engines", "board"], rows, whole=("name", "status"))


def say_board(profile: DeviceProfile) -> None:
    """Print what is known of a board: facts first, then a table for each list, last where it all comes from."""
    say(f"{profile.name}: {profile.title}")
    say("")
    say_facts(_facts(profile))
    for title, columns, rows in _tables(profile):
        if rows:
            say(f"\n{title}")
            say_table(columns, rows, whole=columns[:1])
    for title, lines in (
        ("cameras, as --source takes them", [(row.note, row.uri) for row in profile.cameras]),
        ("notes", [("-", note) for note in profile.notes]),
        ("sources", [(source.what, source.where) for source in profile.sources]),
    ):
        if lines:
            say(f"\n{title}")
            _say_cameras(lines) if title.startswith("cameras") else say_facts(lines)


def _facts(profile: DeviceProfile) -> Iterator[tuple[str, str]]:
    yield "status", f"{profile.status}: {profile.status_reason}"
    yield "family", f"{profile.family}, {profile.arch}"
    yield "recognised", _recognised(profile)
    yield "engines", f"{', '.join(profile.engines)}: {profile.engines_reason}"
    yield "threads", str(profile.threads or "all cores")
    yield (
        "pixels",
        f"{profile.input_type}, {'normalised before the graph' if profile.input_type == 'float32' else 'as they are'}",
    )
    if profile.opsets:
        yield "opsets", f"{profile.opsets[0]} to {profile.opsets[1]}"
    if memory := _sizes(profile):
        yield "memory", memory
    if profile.compute_capability:
        yield "compute", f"capability {profile.compute_capability}"
    if profile.dla != "unknown":
        yield "DLA", f"{profile.dla.replace('-', ', ')}: {profile.dla_reason}"


def _tables(profile: DeviceProfile) -> Iterator[tuple[str, list[str], Sequence[Sequence[object]]]]:
    yield "modules", ["name", "memory"], [(one.name, _memory(one.memory_mib)) for one in profile.modules]
    yield "precisions that pay", ["precision", "why"], [(row.precision, row.reason) for row in profile.precisions]
    advice = [(row.recipe, row.batch, row.reason) for row in profile.recommended]
    yield "recommended models", ["recipe", "batch", "why"], advice
    modes = [
        (_or_dash(row.nvpmodel), row.name, _or_dash(row.watts), row.where or "every module")
        for row in profile.power_modes
    ]
    yield "power modes", ["nvpmodel -m", "name", "watts", "where"], modes
    releases = [
        (
            row.jetpack,
            ", ".join(row.l4t) or "-",
            row.cuda,
            row.tensorrt,
            row.python,
            row.unsupported or row.tensorrt_unsupported or "-",
        )
        for row in profile.jetpack
    ]
    yield "JetPack", ["JetPack", "L4T", "CUDA", "TensorRT", "Python", "not supported"], releases
    for result in dict.fromkeys(row.result for row in profile.measured):
        figures = [(row.figure, f"{row.value:g} {row.unit}") for row in profile.measured if row.result == result]
        yield f"measured, benchmarks/results/{result}", ["figure", "value"], figures


def _say_cameras(lines: Sequence[tuple[str, str]]) -> None:
    """Print each source below what it is for, on one line, so that it can be copied."""
    for note, uri in lines:
        say_facts([("-", note)])
        say(f"   {uri}")


def _recognised(profile: DeviceProfile) -> str:
    if profile.models:
        return f"by {' or '.join(map(repr, profile.models))} in the device tree's model"
    if profile.files:
        return f"by {' and '.join(f'/{file}' for file in profile.files)}"
    return f"stands in for every {profile.arch} without a profile of its own"


def _sizes(profile: DeviceProfile) -> str:
    """Return the sizes of memory that are known, such as `4 or 8 GB`, or nothing."""
    sizes = sorted({size for size in (profile.memory_mib, *(one.memory_mib for one in profile.modules)) if size})
    if len(sizes) > 1 and not any(size % _GIB for size in sizes):
        return f"{', '.join(str(size // _GIB) for size in sizes[:-1])} or {_memory(sizes[-1])}"
    return " or ".join(map(_memory, sizes))


def _memory(mib: int | None) -> str:
    if mib is None:
        return "not known"
    return f"{mib // _GIB} GB" if mib % _GIB == 0 else f"{mib} MiB"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
