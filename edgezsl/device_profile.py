"""The profile of a board: one YAML file of `devices/` each, read strictly.

It knows the format and nothing else: no board is recognised here and no file is looked for (`edgezsl.device`). A profile
measures nothing and decides nothing; whoever reads it does.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from edgezsl.contract import PixelType
from edgezsl.device_rows import (
    CameraExample,
    JetPack,
    KnownPowerMode,
    Measurement,
    ModelAdvice,
    Module,
    PayingPrecision,
    Source,
)
from edgezsl.errors import ProfileError, shown
from edgezsl.records import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "edgezsl-device/1"
KNOWN_ENGINES = ("onnx", "openvino", "tensorrt")  # a profile may name engines that this version does not have

Arch = Literal["aarch64", "x86_64"]
Status = Literal["measured", "built", "untested", "unsupported"]
Dla = Literal["none", "present-unused", "unknown"]

_FIGURES = ("memory_mib", "modules", "compute_capability", "jetpack", "power_modes", "dla")  # none without a source
_NOTHING = (None, (), "unknown")
_RANGE = 2  # ends
_KIN = 2  # leading numbers that the revisions of one release of Jetson Linux share

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What is known of a board: one row of the catalogue `devices/`.

    Attributes:
        name: Its name on the command line.
        title: Its name for people.
        family: The group of boards that share their software.
        arch: The machine as `uname -m` gives it.
        engines: Engines, the preferred first; the first that is installed is taken.
        engines_reason: Why in this order.
        threads: Threads of the engine, or None for all cores.
        precisions: What pays on its engines, the best first; empty where nothing is known.
        input_type: What pixels its graphs take: `float32`, normalised before, or `uint8`, as they are.
        opsets: The lowest and the highest ONNX opset that its engines take, or None where any that we write will do.
        status: `measured`: figures from our benchmarks on the board; `built`: our tests run on it; `untested`: written
            from documents only; `unsupported`: see `status_reason`.
        status_reason: Why that status.
        modules: What it is sold as.
        memory_mib: The least memory that the board is sold with, in MiB, or None where that says nothing.
        compute_capability: The GPU's, such as `8.7`, or None.
        dla: Whether the board has NVIDIA's accelerator for convolutions, which edgezsl does not use.
        dla_reason: Why it has none, or why it is not used.
        power_modes: What its power can be set to.
        cameras: Sources for this board.
        recommended: Families of models for it.
        models: Parts of the name in the device tree by which it is recognised, in any case.
        files: Files whose presence recognises it. Without `models` and `files` it stands in for its whole `arch`.
        jetpack: The releases of JetPack for it.
        measured: Figures from our own benchmarks.
        sources: Where its figures come from.
        notes: What else a user should know.
    """

    name: str
    title: str
    family: str
    arch: Arch
    engines: tuple[str, ...]
    engines_reason: str
    threads: int | None
    precisions: tuple[PayingPrecision, ...]
    input_type: PixelType
    opsets: tuple[int, ...] | None
    status: Status
    status_reason: str
    modules: tuple[Module, ...]
    memory_mib: int | None
    compute_capability: str | None
    dla: Dla
    dla_reason: str | None
    power_modes: tuple[KnownPowerMode, ...]
    cameras: tuple[CameraExample, ...]
    recommended: tuple[ModelAdvice, ...]
    models: tuple[str, ...]
    files: tuple[str, ...]
    jetpack: tuple[JetPack, ...]
    measured: tuple[Measurement, ...]
    sources: tuple[Source, ...]
    notes: tuple[str, ...]

    @property
    def most_memory_mib(self) -> int | None:
        """The most memory that the board is sold with, in MiB, as far as that is known."""
        sizes = (self.memory_mib, *(module.memory_mib for module in self.modules))
        return max((size for size in sizes if size is not None), default=None)

    def jetpack_of(self, l4t: str) -> JetPack | None:
        """Return the first release of JetPack here that holds a release of Jetson Linux, or None."""
        fits = (row for row in self.jetpack if any(f"{l4t}.".startswith(f"{known}.") for known in row.l4t))
        return next(fits, None)

    def jetpack_before(self, l4t: str) -> JetPack | None:
        """Return the release of JetPack here that holds the nearest earlier revision of a release of Jetson Linux, or None.

        Earlier revisions agree in major and minor version: `39.2.1` comes before `39.2.2`, and nothing before `40.0`.
        """
        wanted = _numbers(l4t)
        known = [(_numbers(release), row) for row in self.jetpack for release in row.l4t]
        kin = [(release, row) for release, row in known if release[:_KIN] == wanted[:_KIN] and release < wanted]
        return max(kin, key=lambda one: one[0])[1] if kin else None

    @classmethod
    def from_fields(cls, fields: Fields) -> DeviceProfile:
        """Read a profile.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of its range, fields contradict each
                other, or a figure has no source.
        """
        fields.one_of("format", (FORMAT,))
        detect = fields.inner("detect")
        profile = cls(
            name=_spelled(fields, "name", fields.text("name"), r"[a-z0-9][a-z0-9-]{0,63}", "such as 'my-board-2'"),
            title=fields.text("title"),
            family=fields.text("family"),
            arch=fields.one_of("arch", get_args(Arch)),
            engines=_engines(fields),
            engines_reason=fields.text("engines_reason"),
            threads=fields.count("threads", None, least=1),
            precisions=_rows(fields, "precisions", PayingPrecision.from_fields),
            input_type=fields.one_of("input_type", get_args(PixelType), "float32"),
            opsets=_opsets(fields),
            status=fields.one_of("status", get_args(Status)),
            status_reason=fields.text("status_reason"),
            modules=_rows(fields, "modules", Module.from_fields),
            memory_mib=fields.count("memory_mib", None, least=1),
            compute_capability=_spelled(
                fields, "compute_capability", fields.text("compute_capability", None), r"\d{1,2}\.\d", "such as '8.7'"
            ),
            dla=fields.one_of("dla", get_args(Dla), "unknown"),
            dla_reason=fields.text("dla_reason", None),
            power_modes=_rows(fields, "power_modes", KnownPowerMode.from_fields),
            cameras=_rows(fields, "cameras", CameraExample.from_fields),
            recommended=_rows(fields, "recommended", ModelAdvice.from_fields),
            models=detect.texts("models", ()),
            files=detect.texts("files", ()),
            jetpack=_rows(fields, "jetpack", JetPack.from_fields),
            measured=_rows(fields, "measured", Measurement.from_fields),
            sources=_rows(fields, "sources", Source.from_fields),
            notes=fields.texts("notes", ()),
        )
        detect.done()
        fields.done()
        profile._check(fields)
        return profile

    def to_json(self) -> dict[str, Any]:
        """Return the profile as a JSON object."""
        return {"format": FORMAT, **asdict(self, dict_factory=_lists)}

    def _check(self, fields: Fields) -> None:
        """Check what no field shows by itself."""
        sourced = {source.what for source in self.sources}
        for figure in _FIGURES:
            if getattr(self, figure) not in _NOTHING and figure not in sourced:
                message = f"nothing under `sources` says where {figure} comes from"
                raise fields.refuse(figure, message, code="no_source", expected=f"a source with `what: {figure}`")
        known = [module.memory_mib for module in self.modules]
        if known and self.memory_mib is not None and self.memory_mib != min(size or 0 for size in known):
            message = f"the least memory is {self.memory_mib}, and the modules have {shown(known)}"
            expected = "the least of the modules' memory; null where one of them is unknown"
            raise fields.refuse("memory_mib", message, code="bad_value", expected=expected)
        if (self.dla == "unknown") != (self.dla_reason is None):
            raise fields.refuse("dla_reason", "dla and its reason go together", code="missing_key", expected="both")
        if bool(self.measured) != (self.status == "measured"):
            message = f"the status is {self.status} and there are {len(self.measured)} rows under `measured`"
            raise fields.refuse("status", message, code="bad_value", expected="`measured` with rows, else another")
        if len({row.precision for row in self.precisions}) != len(self.precisions):
            raise fields.refuse("precisions", "a precision stands twice", code="bad_value", expected="each once")


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def _lists(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}


def _rows(fields: Fields, name: str, read: Callable[[Fields], Row]) -> tuple[Row, ...]:
    rows = fields.take(name, [])
    if not isinstance(rows, list):
        raise fields.refuse(name, f"{shown(rows)} is not a list", code="wrong_type", expected="a list")
    found = []
    for index, value in enumerate(rows):
        row = Fields(value, fields.place(f"{name}[{index}]"), ProfileError)
        found.append(read(row))
        row.done()
    return tuple(found)


def _engines(fields: Fields) -> tuple[str, ...]:
    engines = fields.texts("engines")
    if not engines or len(set(engines)) != len(engines) or set(engines) - set(KNOWN_ENGINES):
        expected = f"each at most once, out of {', '.join(KNOWN_ENGINES)}"
        raise fields.refuse("engines", f"the engines are {shown(engines)}", code="unknown_value", expected=expected)
    return engines


def _opsets(fields: Fields) -> tuple[int, ...] | None:
    value = fields.take("opsets", None)
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == _RANGE and all(type(end) is int for end in value)):
        raise fields.refuse("opsets", f"the opsets are {shown(value)}", code="wrong_type", expected="such as [17, 18]")
    if not 1 <= value[0] <= value[1]:
        raise fields.refuse("opsets", f"the opsets are {shown(value)}", code="bad_value", expected="the lower first")
    return tuple(value)


def _spelled(fields: Fields, name: str, value: str | None, pattern: str, expected: str) -> Any:
    if value is not None and not re.fullmatch(pattern, value):
        raise fields.refuse(name, f"{shown(value)} does not fit", code="bad_value", expected=expected)
    return value
