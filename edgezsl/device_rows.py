"""The rows of a device profile: what stands in its lists, and how each is read.

Every row is read from its fields; the caller checks that none is left over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from edgezsl.errors import shown

if TYPE_CHECKING:
    from edgezsl.records import Fields

# What every recipe exports; the other precisions come beside one of them, or by a recipe's leave.
PlainPrecision = Literal["fp32", "fp16", "int8"]

_L4T = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,3}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where something in a profile comes from.

    Attributes:
        what: The field, such as `memory_mib`.
        where: A public document: title or URL.
    """

    what: str
    where: str

    @classmethod
    def from_fields(cls, row: Fields) -> Source:
        """Read a row of `sources`."""
        return cls(row.text("what"), row.text("where"))


@dataclass(frozen=True, slots=True)
class Module:
    """What a board is sold as.

    Attributes:
        name: As its maker names it.
        memory_mib: Its memory in MiB, or None where no document that we know gives it.
    """

    name: str
    memory_mib: int | None

    @classmethod
    def from_fields(cls, row: Fields) -> Module:
        """Read a row of `modules`."""
        return cls(row.text("name"), row.count("memory_mib", None, least=1))


@dataclass(frozen=True, slots=True)
class PayingPrecision:
    """A precision that pays on a board.

    Attributes:
        precision: Which.
        reason: Why, and whether that was measured.
    """

    precision: PlainPrecision
    reason: str

    @classmethod
    def from_fields(cls, row: Fields) -> PayingPrecision:
        """Read a row of `precisions`."""
        return cls(row.one_of("precision", get_args(PlainPrecision)), row.text("reason"))


@dataclass(frozen=True, slots=True)
class KnownPowerMode:
    """A mode that a board's power can be set to.

    Attributes:
        name: As the board names it, such as `MAXN_SUPER`.
        watts: What the name promises, or None where the mode has no such limit. It caps clocks; nothing is metered.
        nvpmodel: Its number, as `nvpmodel -m` takes it, or None where that is not known.
        where: On which module or release, or None: on all of them.
    """

    name: str
    watts: int | None
    nvpmodel: int | None
    where: str | None

    @classmethod
    def from_fields(cls, row: Fields) -> KnownPowerMode:
        """Read a row of `power_modes`."""
        watts, number = row.count("watts", None, least=1), row.count("nvpmodel", None)
        return cls(row.text("name"), watts, number, row.text("where", None))


@dataclass(frozen=True, slots=True)
class CameraExample:
    """A source that works, or should work, on a board.

    Attributes:
        uri: As `--source` takes it.
        note: What it is for.
    """

    uri: str
    note: str

    @classmethod
    def from_fields(cls, row: Fields) -> CameraExample:
        """Read a row of `cameras`."""
        return cls(row.text("uri"), row.text("note"))


@dataclass(frozen=True, slots=True)
class ModelAdvice:
    """A family of models for a board.

    Attributes:
        recipe: The recipe of the family, a name of the catalogue `export/`.
        batch: Frames at once.
        reason: Why, and whether that was measured.
    """

    recipe: str
    batch: int
    reason: str

    @classmethod
    def from_fields(cls, row: Fields) -> ModelAdvice:
        """Read a row of `recommended`."""
        return cls(row.text("recipe"), row.count("batch", least=1), row.text("reason"))


@dataclass(frozen=True, slots=True)
class JetPack:
    """One release of NVIDIA's software for Jetson boards.

    Attributes:
        jetpack: Its version.
        l4t: The releases of Jetson Linux in it, such as `36.4.3`; `35` stands for every 35.x; empty: not known.
        cuda: CUDA's version.
        tensorrt: TensorRT's version.
        python: The version of the system's Python.
        unsupported: Why edgezsl does not support it, or None.
        tensorrt_unsupported: Why edgezsl does not use its TensorRT, though it runs there on the CPU, or None.
    """

    jetpack: str
    l4t: tuple[str, ...]
    cuda: str
    tensorrt: str
    python: str
    unsupported: str | None
    tensorrt_unsupported: str | None

    @classmethod
    def from_fields(cls, row: Fields) -> JetPack:
        """Read a row of `jetpack`."""
        l4t = row.texts("l4t")
        if not all(map(_L4T.fullmatch, l4t)):
            message = f"the releases of Jetson Linux are {shown(list(l4t))}"
            raise row.refuse("l4t", message, code="bad_value", expected='numbers, such as ["36.4.3"] or ["35"]')
        return cls(
            jetpack=row.text("jetpack"),
            l4t=l4t,
            cuda=row.text("cuda"),
            tensorrt=row.text("tensorrt"),
            python=row.text("python"),
            unsupported=row.text("unsupported", None),
            tensorrt_unsupported=row.text("tensorrt_unsupported", None),
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure that one of our own benchmarks gave on a machine of this kind.

    Attributes:
        result: The file below `benchmarks/results/`, whose folder names the machine.
        figure: The figure's name in it.
        value: Its value, rounded.
        unit: Its unit.
    """

    result: str
    figure: str
    value: float
    unit: str

    @classmethod
    def from_fields(cls, row: Fields) -> Measurement:
        """Read a row of `measured`."""
        return cls(row.text("result"), row.text("figure"), row.number("value"), row.text("unit"))
