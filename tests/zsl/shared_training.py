"""One process of a training of a toy pupil: `torchrun` starts several, a test starts one.

Arguments: the folder to write to, steps, and the rank that is killed before its third batch, or -1.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgezsl.data.pool import CropPool, Crops
from edgezsl.errors import EdgezslError
from edgezsl.zsl.data_parallel import ALONE, Processes, processes_of_torchrun
from edgezsl.zsl.distill import Distiller, Schedule, Stage, TeacherSpace

CLASSES, FEATURES, DIM, IMAGES, BATCH, SIDE = 6, 10, 4, 16, 8, 32


class ToyPupil(nn.Module):
    """Pixels to unit embeddings; in double precision, where AdamW makes no step of what is rounding alone."""

    def __init__(self) -> None:
        super().__init__()
        layers = [
            nn.Conv2d(3, 8, 5, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
        ]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, DIM)).double()

    def forward(self, pixels: Tensor) -> Tensor:
        return nn.functional.normalize(self.features(pixels.double()), dim=1).float()


def toy_space() -> TeacherSpace:
    random = np.random.default_rng(0)
    classifier = random.standard_normal((CLASSES, FEATURES)).astype(np.float32)
    bias = np.zeros(CLASSES, np.float32)
    return TeacherSpace.fit(random.random((200, FEATURES)), classifier, bias, dim=DIM, power=0.5)


def toy_pool() -> CropPool:
    """Return crops of noise; the class of two thirds of them is not known, so that shares of a batch know unequally many."""
    random = np.random.default_rng(1)
    targets = np.where(np.arange(IMAGES) % 3 == 0, np.arange(IMAGES) % CLASSES, -1)
    crops = Crops(
        images=[random.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(IMAGES)],
        boxes=np.tile(np.array([0, 0, SIDE, SIDE], np.uint16), (IMAGES, 1, 1)),
        answers=(3 * random.standard_normal((IMAGES, 1, FEATURES))).astype(np.float16),
        targets=targets,
        share=1.0,
    )
    return CropPool([crops], seed=0)


def toy_schedule(steps: int) -> Schedule:
    return Schedule(
        stages=(Stage(SIDE, BATCH * steps),),
        batch=BATCH,
        learning_rate=3e-3,
        weight_decay=0.02,
        warmup=2,
        feature_weight=4.0,
        answer_weight=1.0,
        class_weight=0.5,
        temperature=1.5,
        logit_scale=20.0,
        jitter=0.3,
    )


def train(folder: Path, steps: int, processes: Processes = ALONE, *, killed: int = -1) -> None:
    """Train, write the checkpoint and this process's weights, and print how far it is from the first process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    distiller = Distiller(ToyPupil(), toy_space(), toy_schedule(steps), seed=0, processes=processes)
    for step in distiller.run(toy_pool(), folder / "checkpoint.safetensors", every=2):
        if processes.is_first:
            print(step.step, round(step.loss, 4), flush=True)  # noqa: T201  # what the test reads
        if processes.rank == killed:
            os.kill(os.getpid(), signal.SIGKILL)
    weights = {name: value.contiguous() for name, value in distiller.pupil.state_dict().items()}
    save_file(weights, folder / f"weights.{processes.rank}.safetensors")


if __name__ == "__main__":
    try:
        with processes_of_torchrun() as joined:
            train(Path(sys.argv[1]), int(sys.argv[2]), joined, killed=int(sys.argv[3]))
    except EdgezslError as fault:
        sys.exit(f"edgezsl: {fault}")
