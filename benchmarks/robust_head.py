"""The head of `robustness.py`: which images it is trained, chosen and judged on, and its training against PGD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from builtin_accuracy import tiny_images

from edgezsl.data.images import PackedImages
from edgezsl.encoders.model import IMAGE_ENCODER
from edgezsl.encoders.torch_graph import GraphModule
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.classifier import PixelEncoder, PrototypeClassifier, answers, pixels_of, tensor_of
from edgezsl.zsl.robustness.training import RobustSchedule, fit_against, keep_part

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from report import Report

    from edgezsl import Preprocessor
    from edgezsl.encoders.model import Model
    from edgezsl.prototypes import ClassPrototypes

TRAINING = "zsl_tinyimagenet/tinyimagenet_train_300_per_class_webp.npz"
HEAD_AFTER = "/encoder/features/features.10/Relu_output_0"
SCHEDULE = RobustSchedule(steps=200, learning_rate=1e-3, attacked_share=0.5, attack_steps=2)
BATCH = 64
HELD = 1000  # training images by which the kept part is chosen
PARTS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
CHOSEN_LOSS = 1.5  # points: aimed at where the kept part is chosen
JUDGED = 1000  # validation images
RADIUS = 2.0  # levels of 255


@dataclass(frozen=True, slots=True)
class Images:
    """Pixels `(N, 3, h, w)` in [0, 1] and labels `(N,)`."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]

    def first(self, count: int) -> Images:
        """Return the first ones."""
        return Images(self.pixels[:count], self.labels[:count])


class Pictures:
    """The images, drawn with fixed seeds.

    Args:
        data: The folder of the reference data.
        preprocess: Of the model.
    """

    def __init__(self, data: Path, preprocess: Preprocessor) -> None:
        images, ids = tiny_images(data)
        self.ids = sorted(set(ids))
        chosen = np.random.default_rng(0).permutation(len(images))[:JUDGED]
        labels = np.array([self.ids.index(ids[number]) for number in chosen])
        self.judged = Images(pixels_of([images[number] for number in chosen], preprocess), labels)
        self._preprocess = preprocess
        self._training = PackedImages(data / TRAINING)
        self._labels = np.array([self.ids.index(one) for one in self._training.labels])
        order = np.random.default_rng(1).permutation(len(self._labels))
        self.held = self.training(order[:HELD])
        self._order = order[HELD:]

    def training(self, numbers: NDArray[np.int64]) -> Images:
        """Return training images."""
        return Images(
            pixels_of([self._training.image(int(one)) for one in numbers], self._preprocess), self._labels[numbers]
        )

    def draw(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch of a step."""
        start = number * BATCH % (len(self._order) - BATCH)
        batch = self.training(self._order[start : start + BATCH])
        return tensor_of(batch.pixels), torch.from_numpy(batch.labels)


def classifier_of(model: Model, classes: ClassPrototypes, learned_after: str | None = None) -> PrototypeClassifier:
    """Return what is attacked: the float master, from pixels to logits."""
    graph = GraphModule(model.read(IMAGE_ENCODER), file=IMAGE_ENCODER, learned_after=learned_after)
    encoder = PixelEncoder(graph, model.facts.contract)
    scale = model.facts.space.logit_scale
    return PrototypeClassifier(encoder, classes.vectors, classes.offset, logit_scale=scale).eval()


def clean_accuracy(classifier: torch.nn.Module, images: Images) -> float:
    """Return the accuracy without an attack, in [0, 1]."""
    parts = range(0, len(images.labels), BATCH)
    found = np.concatenate([answers(classifier, images.pixels[start : start + BATCH]) for start in parts])
    return float((found == images.labels).mean())


def hardened(
    model: Model, classes: ClassPrototypes, pictures: Pictures, report: Report, file: Path | None
) -> PrototypeClassifier:
    """Return the classifier with a head that was trained against PGD, or read from `file`, of which a part is kept."""
    classifier = classifier_of(model, classes, HEAD_AFTER)
    weights = classifier.encoder.encoder.weights()  # type: ignore[operator]  # a module's parts are typed as tensors or modules
    before = {name: one.detach().clone() for name, one in weights.items()}
    if file is not None and file.exists():
        with np.load(file) as stored, torch.no_grad():
            for name, one in weights.items():
                one.copy_(torch.from_numpy(stored[name]))
    else:
        for step in fit_against(classifier, pictures.draw, Ball.of_levels(RADIUS), SCHEDULE):
            print(f"  {step.done}/{step.total} loss {step.loss:.3f} attacked {step.attacked_loss:.3f}", flush=True)
        if file is not None:
            np.savez(file, **{name: one.detach().numpy() for name, one in weights.items()})
    shipped = clean_accuracy(classifier_of(model, classes), pictures.held)
    part = keep_part(
        weights,
        before,
        lambda: clean_accuracy(classifier, pictures.held),
        parts=PARTS,
        least=shipped - CHOSEN_LOSS / 100,
    )
    count = sum(one.numel() for one in weights.values())
    report.note(
        f"{count:,} weights behind the 8 x 8 maps learned in {SCHEDULE.steps} steps of {BATCH} images, half the loss of images attacked by "
        f"PGD-{SCHEDULE.attack_steps}; {part:.0%} of the change kept: what costs at most {CHOSEN_LOSS} points on {HELD} held-back images"
    )
    for one in weights.values():
        one.requires_grad = False
    return classifier
