"""The encoders of `transfer.py`: what each is given, how it learns, and the features that it gives."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgezsl.data.benchmark_sets import rows_by_classes, tinyimagenet
from edgezsl.data.crops import CropLaw
from edgezsl.data.images import PackedImages
from edgezsl.data.pool import CropPool, Crops
from edgezsl.encoders.compact import HEAD, CompactEncoder
from edgezsl.encoders.torch_graph import GraphModule
from edgezsl.zsl.distill import Distiller, Schedule, Stage
from edgezsl.zsl.robustness.attacks import Ball
from edgezsl.zsl.robustness.training import RobustSchedule, fit_against
from edgezsl.zsl.selection import validation_accuracy
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.teacher import Teacher, TeacherAnswers, free_size
from edgezsl.zsl.transfer.fine_tuning import encoded, pixels_in_range, seen_classifier
from edgezsl.zsl.transfer.pupil import feature_space

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = "zsl_tinyimagenet/tinyimagenet_train_300_per_class_webp.npz"
FEATURES = "zsl_tinyimagenet/tinyimagenet_mnv2_u8.npz"
NETWORK = "backbones/mobilenet_v2_ptq_fp32.onnx"
SIDE, TEACHER_SIDE = 64, 128  # pixels: of every encoder that is judged, and of what the pupil is taught by
PER_CLASS = 100  # images
LAW, LAW_SEED = CropLaw(count=2, least_area=0.5), 0
BATCH, STEPS, RATE, DECAY, WARMUP = 128, 1000, 3e-3, 0.02, 40  # of the small encoder
DIM = 64  # of what it is taught
TEACHING = Schedule(
    (Stage(SIDE, BATCH * STEPS),),
    batch=BATCH,
    learning_rate=RATE,
    weight_decay=DECAY,
    warmup=WARMUP,
    feature_weight=4.0,
    answer_weight=0.0,
    class_weight=0.5,
    temperature=1.0,
    logit_scale=20.0,
    jitter=0.0,
)
TUNED_AFTER = "t145"  # of MobileNetV2: seven of 17 blocks follow, and the last convolution
TUNING = RobustSchedule(steps=150, learning_rate=3e-4, decay=DECAY)
TUNING_BATCH = 64
PARTS = (0.5, 1.0)  # of the change, beside none of it
TOLD = 50  # steps between two lines


class Pictures:
    """The pictures of a split of Tiny-ImageNet.

    Args:
        data: The folder of the reference data.
        seed: Of the split.

    Attributes:
        frames: `(N, 64, 64, 3)` uint8, RGB.
        set: Their classes and parts; without features.
        network: An ONNX network of ImageNet, for any size of pictures.
        labelled: Crops of the training classes, with what the teacher says of them.
        unlabelled: Crops of the 91 classes that nothing describes here, likewise; their classes are not told.
    """

    def __init__(self, data: Path, seed: int) -> None:
        packed, known = PackedImages(data / IMAGES), tinyimagenet(data, seed=seed)
        with np.load(data / FEATURES, allow_pickle=False) as file:
            ids, described = file["wnids"], file["clip_index"] >= 0
        self.frames, labels = first_of_each(packed, ids[described].tolist())
        rows = rows_by_classes(labels, known.classes("val"), known.classes("test_unseen"))
        empty = np.zeros((len(labels), 1), np.float32)
        self.set = replace(known, features=empty, labels=labels, rows=rows)
        self.network = free_size((data / NETWORK).read_bytes())
        teacher = Teacher(data / NETWORK, TEACHER_SIDE, threads=1)
        train, others = rows["train"], first_of_each(packed, ids[~described].tolist())[0]
        self.labelled = taught(self.frames[train], np.unique(labels[train], return_inverse=True)[1], teacher)
        self.unlabelled = taught(others, np.full(len(others), -1), teacher)
        self._pool = CropPool([self.labelled], seed=0)

    def draw(self, number: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pixels and classes of a batch of the training classes."""
        batch = self._pool.batch(number, size, SIDE)
        return pixels_in_range(batch.crops), torch.from_numpy(batch.targets)

    def features(self, encoder: nn.Module) -> NDArray[np.float32]:
        """Return the features of all pictures."""
        return np.concatenate(list(encoded(encoder, self.frames)))


@dataclass(frozen=True, slots=True, eq=False)
class _Frames:
    """Frames in memory as an image set."""

    frames: NDArray[np.uint8]
    labels: tuple[str, ...]

    def image(self, index: int) -> NDArray[np.uint8]:
        return self.frames[index]


def first_of_each(packed: PackedImages, ids: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the first pictures of each of some classes, and the number of the class of each."""
    every = np.array([ids.index(one) if one in ids else -1 for one in packed.labels])
    chosen = np.concatenate([np.flatnonzero(every == one)[:PER_CLASS] for one in range(len(ids))])
    return np.stack([packed.image(int(one)) for one in chosen]), every[chosen]


def taught(frames: NDArray[np.uint8], targets: NDArray[np.int64], teacher: Teacher) -> Crops:
    """Return crops of frames with the teacher's features."""
    images = _Frames(frames, ("",) * len(frames))
    with tempfile.TemporaryDirectory() as folder:
        answers = TeacherAnswers("pictures", images, teacher, LAW, Path(folder), seed=LAW_SEED)
        for done in answers.compute():
            if done % 1600 == 0:
                print(f"    the teacher's answers to crops of {done} of {len(frames)} pictures", flush=True)
        return Crops(frames, np.array(answers.boxes), np.array(answers.features), targets, 0.5)


def pooled(encoder: CompactEncoder) -> nn.Module:
    """Return what a small encoder holds before its projection: pixels to features `(N, 768)`."""
    return nn.Sequential(encoder.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def from_nothing(pictures: Pictures) -> NDArray[np.float32]:
    """Return the features of a small encoder that was trained to tell the training classes apart."""
    torch.manual_seed(0)
    encoder = pooled(CompactEncoder(DIM))
    classifier = nn.Sequential(encoder, nn.Linear(HEAD, len(pictures.set.classes("train"))))
    schedule = RobustSchedule(steps=STEPS, learning_rate=RATE, decay=DECAY)
    learn(classifier.to(memory_format=torch.channels_last), pictures, schedule, BATCH)
    return pictures.features(encoder)


def pretrained(pictures: Pictures) -> NDArray[np.float32]:
    """Return the features of MobileNetV2 as it is."""
    return pictures.features(GraphModule(pictures.network, file=NETWORK))


def fine_tuned(pictures: Pictures) -> NDArray[np.float32]:
    """Return the features of MobileNetV2 whose last layers learned, as much of the change kept as is best on validation classes."""
    encoder = GraphModule(pictures.network, file=NETWORK, learned_after=TUNED_AFTER)
    found = [pictures.features(encoder)]
    before = {name: one.detach().clone() for name, one in encoder.weights().items()}
    train = pictures.set.rows["train"]
    method = PrototypeRidge().fit(found[0][train], pictures.set.labels[train], pictures.set.semantics)
    classifier = seen_classifier(encoder, method, pictures.set.semantics[pictures.set.classes("train")])
    learn(classifier, pictures, TUNING, TUNING_BATCH)
    after = {name: one.detach().clone() for name, one in encoder.weights().items()}
    for part in PARTS:
        with torch.no_grad():
            for name, one in encoder.weights().items():
                one.copy_(before[name] + part * (after[name] - before[name]))
        found.append(pictures.features(encoder))
    reached = [validation_accuracy(PrototypeRidge(), replace(pictures.set, features=one)) for one in found]
    for part, val_t1 in zip((0.0, *PARTS), reached, strict=True):
        print(f"    {part:.0%} of the change: val T1 {100 * val_t1:.1f}%", flush=True)
    return found[int(np.argmax(reached))]


def distilled(pictures: Pictures) -> NDArray[np.float32]:
    """Return the features of a small encoder that was taught MobileNetV2's, by pictures of the training classes and unlabelled ones."""
    torch.manual_seed(0)
    pupil, labelled = CompactEncoder(DIM), pictures.labelled
    space = feature_space(labelled.answers[:, 0].astype(np.float32), labelled.targets, dim=DIM)
    distiller = Distiller(pupil, space, TEACHING, seed=0)
    pool = CropPool([labelled, pictures.unlabelled], seed=0)
    with tempfile.TemporaryDirectory() as folder:
        for step in distiller.run(pool, Path(folder) / "pupil.safetensors", every=TOLD):
            print(f"    {step.step}/{step.total} loss {step.loss:.3f} cosine {step.agreement:.3f}", flush=True)
    return pictures.features(pooled(pupil))


def learn(classifier: nn.Module, pictures: Pictures, schedule: RobustSchedule, batch: int) -> None:
    """Train a classifier on the training classes."""
    for step in fit_against(classifier, lambda number: pictures.draw(number, batch), Ball(0), schedule, every=TOLD):
        print(f"    {step.done}/{step.total} loss {step.loss:.3f}", flush=True)
