"""Every method by its name: how it is made, and what may be chosen of it.

The names are those of `edgezsl train --method` and of the tables in `benchmarks/results`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from math import isfinite, prod
from typing import TYPE_CHECKING, Literal, TypeAlias

from edgezsl.errors import InputError, shown
from edgezsl.zsl.generative.named import final_classifier, mean_prototypes
from edgezsl.zsl.knowledge.node_classifier import GRAPH_METHODS
from edgezsl.zsl.meta.described import DescribedProtoNet
from edgezsl.zsl.robustness.head import robust_head
from edgezsl.zsl.semantic.bilinear import Bilinear
from edgezsl.zsl.semantic.class_networks import ClassNetworkSchedule, ClassNormalized, Dem
from edgezsl.zsl.semantic.latent import Latem
from edgezsl.zsl.semantic.predictors import Conse, Dap, Sync
from edgezsl.zsl.semantic.ridge import Eszsl, PrototypeRidge, Sae
from edgezsl.zsl.semantic.whitened import Whitened, whitened_ridge
from edgezsl.zsl.space import Choices, LogRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edgezsl.zsl.method import Method
    from edgezsl.zsl.space import Settings, Space, Value

Family = Literal["semantic", "generative", "graph", "few-shot"]
Size = Literal["quick", "full"]
FitEach: TypeAlias = "Callable[..., Iterator[Method]]"


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method that can be trained by its name.

    Attributes:
        name: Of `--method`.
        family: Of methods.
        build: Returns a method, not yet fitted; its keywords are the settings.
        spaces: What may be chosen, by setting.
        quick: Settings of a short run, where they differ: reduced widths and epochs, and what is not chosen then.
        full: Settings of a run of the size of the paper, where they differ.
        seeded: Whether it starts from random numbers, and takes the setting `seed`.
        weighings: Settings that say how much unseen classes count beside seen ones, and change nothing among either; what `build`
            returns has `weighed`, which gives the same method with others of them and is not fitted again.
        fit_each: Takes methods, `features`, `labels` and `semantics`; fits one after the other as `fit` does and yields it, so that
            what does not depend on their settings is computed once. None where that is nothing.
    """

    name: str
    family: Family
    build: Callable[..., Method]
    spaces: Mapping[str, Space]
    quick: Mapping[str, Value] = field(default_factory=dict)
    full: Mapping[str, Value] = field(default_factory=dict)
    seeded: bool = False
    weighings: Mapping[str, Space] = field(default_factory=dict)
    fit_each: FitEach | None = None

    def fixed(self, size: Size) -> Mapping[str, Value]:
        """Return the settings that a run of this size does not choose."""
        return self.quick if size == "quick" else self.full

    def open_spaces(self, given: Mapping[str, Value], size: Size) -> dict[str, Space]:
        """Return the spaces of settings that are neither given nor, in a run of this size, fixed."""
        fixed = {**self.fixed(size), **given}
        return {name: space for name, space in self.spaces.items() if name not in fixed}

    def grid_size(self, given: Mapping[str, Value], size: Size) -> int:
        """Return of how many points the grid of `open_spaces` is."""
        return prod(len(space.grid()) for space in self.open_spaces(given, size).values())

    def make(self, settings: Settings, *, size: Size = "full", seed: int = 0) -> Method:
        """Return the method, not yet fitted.

        Args:
            settings: Override those of the size.
            size: Of the run.
            seed: Of methods that start from random numbers.

        Raises:
            InputError: When the method has no such setting, or a value is of another kind or out of range.
        """
        if "seed" in settings:
            message, hint = f"{self.name} has no setting seed", "give it as --seed; edgezsl eval counts --seeds"
            raise InputError(
                message, code="bad_setting", expected=f"settings such as {', '.join(self.spaces)}", hint=hint
            )
        for name, value in settings.items():
            self._check(name, value)
        fixed = self.fixed(size)
        seeds: Settings = {"seed": seed} if self.seeded else {}
        try:
            return self.build(**{**fixed, **seeds, **settings})
        except TypeError as cause:
            refused = [name for name in settings if not self._takes({**fixed, **seeds, name: settings[name]})]
            message = f"{self.name} does not take {shown(', '.join(refused or settings))}"
            expected = f"settings such as {', '.join(self.spaces)}"
            raise InputError(message, code="bad_setting", expected=expected) from cause

    def _check(self, name: str, value: Value) -> None:
        """Check a value against those that a search or the size of a run would give; what neither knows is left to the method."""
        space = self.spaces.get(name)
        usual = space.grid()[0] if space is not None else self.fixed("full").get(name, self.fixed("quick").get(name))
        if usual is None:
            return
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(usual, bool | str):
            fits, expected = type(value) is type(usual), "true or false" if isinstance(usual, bool) else "a word"
        elif isinstance(usual, int):
            fits, expected = isinstance(value, int) and number and value >= 1, "a whole number ≥ 1"
        else:
            positive = isinstance(space, LogRange)
            fits = number and isfinite(value) and (value > 0 if positive else value >= 0)  # type: ignore[arg-type, operator]  # a number
            expected = "a number > 0" if positive else "a number ≥ 0"
        if not fits:
            raise InputError(f"{name} of {self.name} is {shown(value)}", code="bad_setting", expected=expected)

    def _takes(self, settings: Settings) -> bool:
        try:
            self.build(**settings)
        except TypeError:
            return False
        except InputError:  # the setting is one of its own, and its value is not
            return True
        return True


def _network(kind: Callable[..., Method], *, scale: float | None = None, **settings: Value) -> Method:
    schedule = ClassNetworkSchedule(**settings)  # type: ignore[arg-type]  # checked where it is made
    return kind(schedule) if scale is None else kind(schedule, scale=scale)


def _generative(
    name: str,
    space: dict[str, Space],
    *,
    quick: dict[str, Value],
    full: dict[str, Value],
    classifier: dict[str, Value] | None = None,
) -> tuple[MethodEntry, MethodEntry]:
    """Return a generative model with both ends: the classifier of its paper, and means, which fold a new class in."""
    quick = {"width": 256, "learning_rate": 1e-3, **quick}
    return (
        MethodEntry(
            name,
            "generative",
            partial(final_classifier, name),
            space,
            quick={**quick, **(classifier or {})},
            full={**full, **(classifier or {})},
            seeded=True,
            weighings={"prior": LogRange(5, 500, 5)},
        ),
        MethodEntry(
            f"{name}-mean", "generative", partial(mean_prototypes, name), space, quick=quick, full=full, seeded=True
        ),
    )


_RATES = Choices((1e-4, 1e-3))
_ENTRIES = (
    MethodEntry(
        "prototype-ridge",
        "semantic",
        PrototypeRidge,
        {"penalty": LogRange(1e-3, 1e3, 13)},
        fit_each=PrototypeRidge.fit_each,
    ),
    MethodEntry(
        "eszsl",
        "semantic",
        Eszsl,
        {"gamma": LogRange(1e-2, 1e3, 6), "lambda_": LogRange(1e-3, 1e2, 6)},
        fit_each=Eszsl.fit_each,
    ),
    MethodEntry(
        "wccn-ridge",
        "semantic",
        whitened_ridge,
        {"power": Choices((0.5, 1.0)), "shrinkage": LogRange(0.1, 100, 7), "penalty": LogRange(1e-3, 10, 9)},
        fit_each=Whitened.fit_each,
    ),
    MethodEntry("sae", "semantic", Sae, {"lambda_": LogRange(1e-3, 1e3, 13)}, fit_each=Sae.fit_each),
    MethodEntry(
        "conse",
        "semantic",
        Conse,
        {"top": Choices((1, 5, 10, 100)), "penalty": LogRange(1e-6, 1e-3, 4), "centred": Choices((False, True))},
        quick={"steps": 20},
        full={"steps": 100},
        fit_each=Conse.fit_each,
    ),
    MethodEntry("dap", "semantic", Dap, {"penalty": LogRange(1e-4, 1e-2, 3)}, quick={"steps": 6}, full={"steps": 30}),
    MethodEntry(
        "sync",
        "semantic",
        Sync,
        {"penalty": LogRange(1e-4, 1e-1, 4), "bandwidth": LogRange(0.1, 10, 5)},
        quick={"steps": 20},
        full={"steps": 100},
        fit_each=Sync.fit_each,
    ),
    MethodEntry(
        "latem",
        "semantic",
        Latem,
        {"maps": Choices((2, 4)), "margin": Choices((0.05, 0.2)), "learning_rate": LogRange(1e-3, 1e-2, 2)},
        quick={"epochs": 5, "maps": 2, "margin": 0.05},
        full={"epochs": 30},
        seeded=True,
    ),
    *(
        MethodEntry(
            name,
            "semantic",
            partial(Bilinear, name),
            {"margin": Choices((0.05, 0.2)), "learning_rate": LogRange(1e-3, 1e-1, 3)},
            quick={"epochs": 10, "margin": 0.05},
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
        quick={"width": 512, "epochs": 20, "learning_rate": 1e-4},
        full={"width": 1600, "epochs": 60},
        seeded=True,
    ),
    MethodEntry(
        "cn-zsl",
        "semantic",
        partial(_network, ClassNormalized),
        {"learning_rate": _RATES, "scale": Choices((3.0, 5.0)), "decay": Choices((1e-4, 1e-2))},
        quick={"width": 512, "epochs": 20, "scale": 3.0, "decay": 1e-2},
        full={"width": 2048, "epochs": 50},
        seeded=True,
    ),
    MethodEntry(
        "protonet",
        "few-shot",
        DescribedProtoNet,
        {"learning_rate": _RATES, "decay": Choices((1e-5, 1e-2))},
        quick={"dim": 256, "episodes": 300, "decay": 1e-5},
        full={"episodes": 2000},
        seeded=True,
    ),
    *_generative(
        "gan-zsl",
        {"learning_rate": Choices((3e-4, 1e-3))},
        quick={"epochs": 8},
        full={"width": 4096, "epochs": 60},
    ),
    *_generative(
        "f-clswgan",
        {"classification": Choices((0.1, 1.0))},
        quick={"epochs": 6, "critic_steps": 1, "classification": 1.0},
        full={"width": 4096, "epochs": 60, "critic_steps": 5, "learning_rate": 1e-4},
    ),
    *_generative(
        "cada-vae",
        {"divergence": Choices((0.05, 0.25))},
        quick={"epochs": 12, "learning_rate": 3e-3, "divergence": 0.25},
        full={"width": 1560, "epochs": 100, "learning_rate": 1.5e-4},
        classifier={"classifier_rate": 1e-2},
    ),
    *_generative(
        "f-vaegan",
        {"adversary": Choices((3.0, 10.0))},
        quick={"epochs": 5, "critic_steps": 1, "noise": 128, "adversary": 3.0},
        full={"width": 4096, "epochs": 60, "critic_steps": 5, "noise": 128, "learning_rate": 1e-4},
    ),
    MethodEntry(
        "robust-head",
        "semantic",
        robust_head,
        {"penalty": LogRange(1e-3, 1, 4), "reach": Choices((0.0, 0.3))},
        quick={"steps": 60, "reach": 0.0, "dropout": 0.5, "l1": 100.0},
        full={"steps": 200, "dropout": 0.5, "l1": 100.0},
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
        raise _unknown(name)
    return METHODS[name]


def _unknown(name: str) -> InputError:
    if name in GRAPH_METHODS:
        message, expected = f"{name} is no method on features and descriptions alone", f"one of {', '.join(METHODS)}"
        hint = f"edgezsl train --method {name} fits it, on a graph"
    else:
        message = f"there is no method {shown(name)}"
        expected = f"one of {', '.join(METHODS)}; to train: {', '.join(GRAPH_METHODS)} too"
        near = get_close_matches(name.lower(), (*METHODS, *GRAPH_METHODS), n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/methods.md says what each of them is"
    return InputError(message, code="unknown_method", expected=expected, hint=hint)
