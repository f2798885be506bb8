"""Generative methods by their names, from settings in one list."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from edgezsl.zsl.generative.adversarial import FeatureWgan, GanZsl, WassersteinSettings
from edgezsl.zsl.generative.ends import FinalClassifier, MeanPrototypes
from edgezsl.zsl.generative.training import FeatureGenerator, GenerativeSchedule, trained
from edgezsl.zsl.generative.variational import AlignedAutoencoders, AlignedSettings, SharedGenerator, SharedSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgezsl.zsl.generative.training import Trainer
    from edgezsl.zsl.space import Settings, Value

_MODELS: Mapping[str, tuple[Callable[..., Any], type | None]] = {
    "gan-zsl": (GanZsl, None),
    "f-clswgan": (FeatureWgan, WassersteinSettings),
    "cada-vae": (AlignedAutoencoders, AlignedSettings),
    "f-vaegan": (SharedGenerator, SharedSettings),
}
GENERATORS = tuple(_MODELS)


def final_classifier(name: str, *, trainer: Trainer = trained, **settings: Value) -> FinalClassifier:
    """Return a generative model that ends in a classifier, not yet fitted.

    Args:
        name: One of `GENERATORS`.
        trainer: What trains it.
        settings: Of the schedule, of the model's losses, and of `FinalClassifier`.
    """
    generator, rest = _generator(name, trainer, settings)
    return FinalClassifier(generator, **rest)  # type: ignore[arg-type]  # checked where it is made


def mean_prototypes(name: str, *, trainer: Trainer = trained, **settings: Value) -> MeanPrototypes:
    """Return a generative model that ends in means of what it generates, not yet fitted.

    Args:
        name: One of `GENERATORS`.
        trainer: What trains it.
        settings: Of the schedule, of the model's losses, and of `MeanPrototypes`.
    """
    generator, rest = _generator(name, trainer, settings)
    return MeanPrototypes(generator, **rest)  # type: ignore[arg-type]  # checked where it is made


def _generator(name: str, trainer: Trainer, settings: Settings) -> tuple[FeatureGenerator, Settings]:
    model, losses = _MODELS[name]
    schedule, rest = _taken(GenerativeSchedule, settings)
    if losses is None:
        return FeatureGenerator(model, schedule, trainer), rest
    chosen, rest = _taken(losses, rest)
    return FeatureGenerator(partial(model, settings=chosen), schedule, trainer), rest


def _taken(kind: type, settings: Settings) -> tuple[Any, Settings]:
    """Return the settings that a dataclass has, as one, and the others."""
    names = {one.name for one in fields(kind)}
    own = {name: value for name, value in settings.items() if name in names}
    return kind(**own), {name: value for name, value in settings.items() if name not in names}
