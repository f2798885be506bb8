"""An attack on the pixels of labelled photographs, through the float graph of a model directory: bundles carry no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.encoders.model import IMAGE_ENCODER
from edgezsl.encoders.torch_graph import GraphModule
from edgezsl.errors import InputError, shown
from edgezsl.evaluate.progress import Progress
from edgezsl.evaluate.robustness import robust_accuracy
from edgezsl.preprocess import Preprocessor
from edgezsl.zsl.robustness.attacks import LEVELS, Ball
from edgezsl.zsl.robustness.classifier import (
    Ensemble,
    Mirrored,
    PixelEncoder,
    PrototypeClassifier,
    WhiteBoxAttack,
    answers,
    pixels_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import nn

    from edgezsl.compile.pictures import Pictures
    from edgezsl.encoders.model import Model
    from edgezsl.evaluate.robustness import RobustAccuracy
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.zsl.robustness.classifier import AttackName


@dataclass(frozen=True, slots=True)
class AttackSettings:
    """Which attack.

    Attributes:
        name: `fgsm` or `pgd`.
        epsilon: ε, how far each value of a pixel may be changed, in levels of 255.
        steps: Of PGD.
    """

    name: AttackName
    epsilon: float = 2.0
    steps: int = 20

    def __str__(self) -> str:
        steps = f" of {self.steps} steps" if self.name == "pgd" else ""
        return f"{self.name.upper()}{steps}, ε = {self.epsilon:g}/{LEVELS}, on pixels, with the weights known"


def attacked_accuracy(
    model: Model, prototypes: ClassPrototypes, pictures: Pictures, settings: AttackSettings
) -> Generator[Progress, None, dict[str, RobustAccuracy]]:
    """Attack a model on photographs, alone and as an ensemble with its look into a mirror; yield how far that is.

    Args:
        model: Its image encoder is attacked.
        prototypes: The vocabulary; photographs of other classes are left out.
        pictures: The photographs.
        settings: Which attack.

    Returns:
        What is right without and under the attack, by what is attacked.

    Raises:
        InputError: When no photograph's class is in the vocabulary, or ε is negative.
        ModelError: When no gradient is known through the model's graph.
        MissingExtraError: When onnx or OpenCV is not installed.
    """
    rows = {name: row for row, name in enumerate(prototypes.names)}
    known = [picture for picture in pictures.each if picture.label in rows]
    if not known:
        message = f"none of {pictures.count} photographs is of a class of the vocabulary"
        raise InputError(message, code="no_labels", expected=f"a sub-folder named {shown(prototypes.names[0])}, or so")
    contract = model.facts.contract
    inputs = pixels_of([picture.image for picture in known], Preprocessor(contract))
    labels = np.array([rows[picture.label] for picture in known], np.int64)
    graph = GraphModule(model.read(IMAGE_ENCODER), file=str(model.folder / IMAGE_ENCODER))
    encoder, scale = PixelEncoder(graph, contract), prototypes.space.logit_scale
    alone = PrototypeClassifier(encoder, prototypes.vectors, prototypes.offset, logit_scale=scale)
    members: dict[str, nn.Module] = {
        "the model": alone,
        "ensemble with its mirror image": Ensemble([alone, Mirrored(alone)]),
    }
    found = {}
    for name, member in members.items():
        member.eval()
        attack = WhiteBoxAttack(member, Ball.of_levels(settings.epsilon), settings.name, settings.steps)
        for step in robust_accuracy(partial(answers, member), attack, inputs, labels):
            found[name] = step
            yield Progress(f"attacking {name}", step.done, step.total)
    return found
