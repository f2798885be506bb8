"""Every method by its name: how it is made, and what may be chosen of it.

The names are those of `edgezsl train --method` and of the tables in `benchmarks/results`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from edgezsl.errors import InputError, shown
from edgezsl.zsl.semantic.bilinear import Bilinear
from edgezsl.zsl.semantic.class_networks import ClassNetworkSchedule, ClassNormalized, Dem
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae
from edgezsl.zsl.space import Choices, LogRange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgezsl.zsl.method import Method
    from edgezsl.zsl.space import Settings, Space, Value

Family = Literal["semantic", "generative", "graph", "few-shot"]
Size = Literal["quick", "full"]


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method that can be trained by its name.

    Attributes:
        name: Of `--method`.
        family: Of methods.
        build: Returns a method, not yet fitted; its keywords are the settings.
        spaces: What may be chosen, by setting.
        quick: Settings of a short run, where they differ: reduced widths and epochs.
        full: Settings of a run of the size of the paper, where they differ.
        seeded: Whether it starts from random numbers, and takes the setting `seed`.
    """

    name: str
    family: Family
    build: Callable[..., Method]
    spaces: Mapping[str, Space]
    quick: Mapping[str, Value] = field(default_factory=dict)
    full: Mapping[str, Value] = field(default_factory=dict)
    seeded: bool = False

    def make(self, settings: Settings, *, size: Size = "full", seed: int = 0) -> Method:
        """Return the method, not yet fitted.

        Args:
            settings: Override those of the size.
            size: Of the run.
            seed: Of methods that start from random numbers.

        Raises:
            InputError: When the method has no such setting.
        """
        fixed = self.quick if size == "quick" else self.full
        seeds: Settings = {"seed": seed} if self.seeded else {}
        try:
            return self.build(**{**fixed, **seeds, **settings})
        except TypeError as cause:
            known = ", ".join(self.spaces)
            message = f"{self.name} does not take all of {shown(', '.join(settings))}"
            raise InputError(message, code="bad_setting", expected=f"settings such as {known}") from cause


def _network(kind: Callable[..., Method], *, scale: float | None = None, **settings: Value) -> Method:
    schedule = ClassNetworkSchedule(**settings)  # type: ignore[arg-type]  # checked where it is made
    return kind(schedule) if scale is None else kind(schedule, scale=scale)


_RATES = Choices((1e-4, 1e-3))
_ENTRIES = (
    MethodEntry("prototype-ridge", "semantic", PrototypeRidge, {"penalty": LogRange(1e-3, 1e3, 13)}),
    MethodEntry("eszsl", "semantic", Eszsl, {"gamma": LogRange(1e-2, 1e3, 6), "lambda_": LogRange(1e-3, 1e2, 6)}),
    MethodEntry("sae", "semantic", Sae, {"lambda_": LogRange(1e-3, 1e3, 13)}),
    *(
        MethodEntry(
            name,
            "semantic",
            partial(Bilinear, name),
            {"margin": Choices((0.05, 0.2)), "learning_rate": LogRange(1e-3, 1e-1, 3)},
            quick={"epochs": 10},
            full={"epochs": 30},
            seeded=True,
        )
        for name in ("devise", "ale", "sje")
    ),
    MethodEntry(
        "dem",
        "semantic",
        partial(_network, Dem),
        {"learning_rate": _RATES, "decay": Choices((1e-4, 1e-2))},
        quick={"width": 512, "epochs": 20},
        full={"width": 1600, "epochs": 60},
        seeded=True,
    ),
    MethodEntry(
        "cn-zsl",
        "semantic",
        partial(_network, ClassNormalized),
        {"learning_rate": _RATES, "scale": Choices((3.0, 5.0)), "decay": Choices((1e-4, 1e-2))},
        quick={"width": 512, "epochs": 20},
        full={"width": 2048, "epochs": 50},
        seeded=True,
    ),
)
METHODS: Mapping[str, MethodEntry] = {entry.name: entry for entry in _ENTRIES}


def method_named(name: str) -> MethodEntry:
    """Return a method's entry.

    Raises:
        InputError: When no method has this name.
    """
    if name not in METHODS:
        raise InputError(
            f"there is no method {shown(name)}", code="unknown_method", expected=f"one of {', '.join(METHODS)}"
        )
    return METHODS[name]
