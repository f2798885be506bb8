"""Distillation of a large network into a small visual encoder whose embeddings lie beside class prototypes.

The pupil is pulled to the teacher's features, projected into the space of its classifier rows (Romero et al.,
"FitNets", ICLR 2015), to the teacher's probabilities (Hinton et al., "Distilling the knowledge in a neural network",
2015), and to the rows of the classes that are known. So its embeddings can be scored against any row of that space,
also against one that a text was mapped to. Few images suffice where crops are many and the teacher answers each
(Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn
from torch.nn import functional

from edgezsl.files import write_durably
from edgezsl.records import canonical_json
from edgezsl.zsl.data_parallel import ALONE, Processes, with_shared_batches
from edgezsl.zsl.shaping import shaping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.data.pool import CropBatch, CropPool

_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class TeacherSpace:
    """The space of a teacher's classifier rows, and what its features become in it.

    Attributes:
        mean: `(F,)`, subtracted from features.
        projection: `(F, D)`, orthonormal columns: the leading directions of the rows.
        rows: `(C, D)` unit rows, one for each known class.
        classifier: `(C, F)`, the teacher's own rows of those classes.
        bias: `(C,)`.
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    rows: NDArray[np.float32]
    classifier: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        features: NDArray[np.floating],
        classifier: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        dim: int,
        power: float,
    ) -> TeacherSpace:
        """Return the space of D = `dim` dimensions.

        Args:
            features: `(N, F)` of images of known classes.
            classifier: `(C, F)`, C ≥ `dim`.
            bias: `(C,)`.
            dim: D.
            power: How far rows are turned towards pictures (`edgezsl.zsl.shaping`).
        """
        mean = features.mean(axis=0, dtype=np.float64)
        shaped = (classifier - classifier.mean(axis=0, dtype=np.float64)) @ shaping(features, power)
        projection = np.linalg.svd(shaped, full_matrices=False)[2][:dim].T
        rows = shaped @ projection
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        parts = (mean, projection, rows, classifier, bias)
        return cls(*(np.ascontiguousarray(part, np.float32) for part in parts))


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the schedule.

    Attributes:
        side: Of the crops, pixels.
        samples: Crops looked at.
    """

    side: int
    samples: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a pupil learns.

    Attributes:
        stages: One after the other, small crops first (Touvron et al., "Fixing the train-test resolution discrepancy",
            NeurIPS 2019).
        batch: Crops in a step.
        learning_rate: The highest, after `warmup` steps; then half a cosine down to 0.
        weight_decay: Of AdamW.
        warmup: Steps.
        feature_weight: Of the distance to the teacher's features.
        answer_weight: Of the divergence from the teacher's probabilities.
        class_weight: Of the cross-entropy where the class is known.
        temperature: Of the teacher's probabilities.
        logit_scale: Of the pupil's.
        jitter: The largest relative change of brightness, contrast and saturation.
    """

    stages: tuple[Stage, ...]
    batch: int
    learning_rate: float
    weight_decay: float
    warmup: int
    feature_weight: float
    answer_weight: float
    class_weight: float
    temperature: float
    logit_scale: float
    jitter: float

    def steps(self) -> list[tuple[int, int]]:
        """Return (number, side) of every step."""
        sides = [stage.side for stage in self.stages for _ in range(stage.samples // self.batch)]
        return list(enumerate(sides))

    def rate(self, step: int, total: int) -> float:
        """Return the learning rate of a step."""
        warm = min(1.0, (step + 1) / self.warmup)
        return float(self.learning_rate * warm * 0.5 * (1 + np.cos(np.pi * step / total)))


@dataclass(frozen=True, slots=True)
class DistillStep:
    """How far a run is.

    Attributes:
        step: Steps done.
        total: Steps of the schedule.
        loss: Running mean of the whole loss.
        agreement: Running mean cosine to the teacher.
    """

    step: int
    total: int
    loss: float
    agreement: float


class Distiller:
    """Trains a pupil; a checkpoint is a safetensors file of weights and the optimizer's moments.

    Args:
        pupil: Pixels `(N, 3, S, S)` to unit embeddings `(N, D)`.
        space: Where it shall embed.
        schedule: The schedule.
        seed: Of the jitter.
        processes: Those that share each batch; the first of them writes the checkpoint, and all read it.
    """

    def __init__(
        self, pupil: nn.Module, space: TeacherSpace, schedule: Schedule, *, seed: int, processes: Processes = ALONE
    ) -> None:
        pupil = with_shared_batches(pupil, processes).to(processes.device)
        self.pupil = pupil.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub knows no memory format
        self.schedule = schedule
        self.step = 0
        self._seed, self._processes = seed, processes
        self._own = processes.share_of(schedule.batch)
        self._space = {name: self._tensor(getattr(space, name)) for name in TeacherSpace.__slots__}
        groups = [
            {"params": [one for one in pupil.parameters() if one.ndim > 1], "weight_decay": schedule.weight_decay},
            {"params": [one for one in pupil.parameters() if one.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, schedule.learning_rate, fused=True)

    def run(self, pool: CropPool, checkpoint: Path, *, every: int) -> Iterator[DistillStep]:
        """Train from where the checkpoint is to the end; yields, and writes the checkpoint, every `every` steps.

        Raises:
            TransientError: When another of the processes has ended.
        """
        if checkpoint.exists():
            self.restore(checkpoint)
        steps = self.schedule.steps()
        self.pupil.train()
        losses: list[tuple[float, float]] = []
        for batch in pool.batches(steps[self.step :], self.schedule.batch, self._own):
            losses.append(self._learn(batch, len(steps)))
            self.step += 1
            if self.step % every == 0 or self.step == len(steps):
                if self._processes.is_first:
                    self.keep(checkpoint)
                loss, agreement = self._processes.mean(torch.tensor(losses, dtype=torch.float64).mean(0)).tolist()
                losses.clear()
                yield DistillStep(self.step, len(steps), loss, agreement)

    def keep(self, checkpoint: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"pupil.{name}": value for name, value in self.pupil.state_dict().items()}
        for name, parameter in self.pupil.named_parameters():
            state = self._optimizer.state[parameter]
            tensors |= {f"{key}.{name}": state[key] for key in ("exp_avg", "exp_avg_sq", "step")}
        whole = {name: value.contiguous() for name, value in tensors.items()}
        write_durably(checkpoint, save(whole, {"edgezsl": canonical_json({"step": self.step}).decode()}))

    def restore(self, checkpoint: Path) -> None:
        """Go on from a checkpoint of the same schedule."""
        with safe_open(checkpoint, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            self.step = json.loads(file.metadata()["edgezsl"])["step"]
        self.pupil.load_state_dict(
            {name.removeprefix("pupil."): value for name, value in tensors.items() if name.startswith("pupil.")}
        )
        for name, parameter in self.pupil.named_parameters():
            state = {key: tensors[f"{key}.{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter).copy_(state[key])
            self._optimizer.state[parameter] = state | {"step": state["step"].to(parameter.device)}

    def _learn(self, batch: CropBatch, total: int) -> tuple[float, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step, total)
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.step)
        changes = light_changes(self.schedule.batch, self.schedule.jitter, generator)[:, self._own]
        pixels = jittered(self._tensor(batch.crops), changes.to(self._processes.device))
        loss, agreement = self._loss(self.pupil(pixels), batch)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._processes.average_gradients(self.pupil)
        self._optimizer.step()
        return loss.item(), agreement.item()

    def _loss(self, embeddings: Tensor, batch: CropBatch) -> tuple[Tensor, Tensor]:
        space, schedule = self._space, self.schedule
        answers, targets = self._tensor(batch.answers), self._tensor(batch.targets)
        wanted = functional.normalize((answers - space["mean"]) @ space["projection"], dim=1)
        agreement = (embeddings * wanted).sum(1).mean()
        teacher = ((answers @ space["classifier"].T + space["bias"]) / schedule.temperature).softmax(1)
        logits = (schedule.logit_scale * embeddings @ space["rows"].T).log_softmax(1)
        divergence = functional.kl_div(logits, teacher, reduction="batchmean")
        loss = schedule.feature_weight * (1 - agreement) + schedule.answer_weight * divergence
        known = targets >= 0
        share = known.double().mean()
        everywhere = self._processes.mean(share)  # a mean over the known of all shares is no mean of the means of each
        if known.any():
            weight = schedule.class_weight * (share / everywhere).item()
            loss = loss + weight * functional.nll_loss(logits[known], targets[known])
        return loss, agreement

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._processes.device)


def light_changes(count: int, jitter: float, generator: torch.Generator) -> Tensor:
    """Return what `jittered` does to `count` crops: factors `(4, count, 1, 1, 1)`, at most `jitter` from 1."""
    return 1 + jitter * (2 * torch.rand(4, count, 1, 1, 1, generator=generator) - 1)


def jittered(crops: Tensor, change: Tensor) -> Tensor:
    """Return pixels `(N, 3, S, S)` in [-1, 1] of `crops (N, S, S, 3)` uint8, light and colour changed for each.

    Args:
        crops: RGB.
        change: Of saturation, brightness, contrast and, less 1 and halved, of the level: `(4, N, 1, 1, 1)`.
    """
    pixels = crops.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    grey = pixels.mean(1, keepdim=True)
    pixels = grey + (pixels - grey) * change[0]
    level = pixels.mean((1, 2, 3), keepdim=True)
    pixels = level * change[1] + (pixels - level) * change[2] + (change[3] - 1) / 2
    return pixels.clamp_(-1, 1).contiguous(memory_format=torch.channels_last)


def known_targets(labels: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Return for each label its index in `known`, or -1."""
    index = {name: number for number, name in enumerate(known)}
    return np.array([index.get(label, -1) for label in labels], np.int64)
