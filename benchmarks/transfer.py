"""What is worth bringing to unseen classes: features, fine-tuned layers, a pupil of a larger encoder, or unlabelled images?

    python benchmarks/transfer.py --data $EDGEZSL_DATA --json benchmarks/results/x86-avx2/transfer.json

Pictures of Tiny-ImageNet as every encoder is given them, 64 x 64: encoders learn from the training classes, settings are chosen on
validation classes, prototype-ridge behind each encoder is fitted on all seen classes, unseen ones are judged once. The pupil alone also
looks at pictures of other classes, unlabelled: it needs no more than its teacher, which looks at them at 128 x 128. MobileNetV2 was
trained on all classes of ImageNet: the unseen ones are unseen to what is fitted here. Then features of every set, as they are: refinement on the unlabelled images that are judged, with right and with wrong class lists. Transductive
figures count for no bar of the table of methods.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from report import Report
from transfer_encoders import SIDE, Pictures, distilled, fine_tuned, from_nothing, pretrained

from edgezsl.data.benchmark_sets import cub50, flo, tinyimagenet
from edgezsl.evaluate.intervals import bootstrap_interval
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import trials
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.space import grid_of
from edgezsl.zsl.transfer.class_lists import FOREIGN, RIGHT, WRONG, chosen_region, class_lists, mean_gains
from edgezsl.zsl.transfer.refinement import refined_prototypes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.transfer.refinement import TrustRegion

SPLITS = 5  # of Tiny-ImageNet's classes
DRAWS = range(100, 120)  # of wrong names; other ones than a radius is chosen by
MOST_LOST = 1.0  # points
SETS: dict[str, Callable[[Path], list[FeatureSet]]] = {
    "flo, sentences": lambda data: [flo(data)],
    "cub50, sentences": lambda data: [cub50(data)],
    "cub50, attributes": lambda data: [cub50(data, semantics="attributes")],
    "tinyimagenet, clip": lambda data: [tinyimagenet(data, seed=seed) for seed in range(SPLITS)],
}
ENCODERS: dict[str, Callable[[Pictures], NDArray[np.float32]]] = {
    "none: a small encoder, trained on the training classes": from_nothing,
    "feature transfer: MobileNetV2 of ImageNet as it is": pretrained,
    "fine-tuning: its last layers, trained on the training classes": fine_tuned,
    "distillation: the small encoder, taught by MobileNetV2 as it is": distilled,
}


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """What one encoder reaches on a split.

    Attributes:
        by_class: Accuracy of each unseen class, in [0, 1].
        refined: The same with prototypes that followed the unlabelled images that are judged.
        val_t1: T1 on the validation classes, in [0, 1].
        region: The trust region that validation classes chose.
    """

    by_class: NDArray[np.float64]
    refined: NDArray[np.float64]
    val_t1: float
    region: TrustRegion


def main() -> int:
    """Measure transfer and refinement, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the reference data")
    parser.add_argument("--splits", type=int, default=1, help="of Tiny-ImageNet's classes, for encoders")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    torch.set_num_threads(1)
    report = Report("Transfer to unseen classes: encoders behind one method, and refinement on unlabelled images")
    start = time.process_time()
    report_encoders(report, options.data, options.splits)
    report.note(f"encoders: {(time.process_time() - start) / 60:.1f} minutes of one core")
    for name, read in SETS.items():
        report_refinement(report, name, read(options.data))
    report.note(f"all: {(time.process_time() - start) / 60:.1f} minutes of one core")
    return report.finish(options.json)


def report_encoders(report: Report, data: Path, splits: int) -> None:
    """Report each kind of transfer against none, on the same pictures of the same classes."""
    runs: list[dict[str, Transfer]] = []
    report.section(f"Tiny-ImageNet, {SIDE} x {SIDE}, 20 unseen of 109 classes, {splits} of five splits")
    for seed in range(splits):
        runs.append({})
        pictures = Pictures(data, seed)
        for name, features_of in ENCODERS.items():
            begin = time.process_time()
            runs[-1][name] = reached(replace(pictures.set, features=features_of(pictures)))
            print(f"  split {seed}, {name}: {time.process_time() - begin:.0f} s", flush=True)
    names = list(runs[0])
    none = joined([run[names[0]].by_class for run in runs])
    for name in names:
        own = [run[name] for run in runs]
        report.add(f"{name}, val T1", 100 * float(np.mean([one.val_t1 for one in own])), "%")
        report.add(f"{name}, T1", 100 * float(joined([one.by_class for one in own]).mean()), "%")
    for name in names[1:]:
        add_gain(report, f"{name}, against none", joined([run[name].by_class for run in runs]) - none, least=0)
    report.section("The same, refined on the unlabelled images that are judged")
    for name in names:
        own = [run[name] for run in runs]
        gain = joined([one.refined for one in own]) - joined([one.by_class for one in own])
        radii = ", ".join(f"{one.region.radius:g}" for one in own)
        add_gain(report, f"{name}: radius {radii}, gain", gain, **({"least": 0} if name == names[0] else {}))


def add_gain(report: Report, name: str, gain: NDArray[np.float64], **bars: float) -> None:
    """Report the mean of gains of classes with the interval of classes drawn again, in points."""
    found = bootstrap_interval(lambda rows: float(100 * gain[rows].mean()), len(gain))
    report.add(f"{name} [{found.low:.1f}, {found.high:.1f}]", found.value, "pts", **bars)


def joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return accuracies of the classes of all splits."""
    return np.concatenate(parts)


def reached(data: FeatureSet) -> Transfer:
    """Choose penalty and trust region on validation classes, fit on all seen classes, and judge."""
    method, val_t1 = chosen_method(data)
    region = chosen_region(method.fit(*data.of("train"), data.semantics), data)
    method.fit(*data.of("trainval"), data.semantics)
    features, labels = data.of("test_unseen")
    classes, targets = np.unique(labels, return_inverse=True)
    semantics, rows = data.semantics[classes], method.embed(features)
    sides = (method.prototypes(semantics)[0], refined_prototypes(method, semantics, features, region))
    plain, moved = (by_class((rows @ prototypes.T).argmax(axis=1), targets) for prototypes in sides)
    return Transfer(plain, moved, val_t1, region)


def by_class(predicted: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return top-1 accuracy of each class `(K,)`, in [0, 1]."""
    return np.bincount(targets, predicted == targets) / np.bincount(targets)


def chosen_method(data: FeatureSet) -> tuple[PrototypeRidge, float]:
    """Return prototype-ridge, not yet fitted, with the penalty that is best on validation classes, and what it reaches there."""
    entry = method_named("prototype-ridge")
    tried = trials(entry.make, grid_of(entry.spaces), data, fit_each=entry.fit_each)
    best = max(tried, key=lambda trial: trial.val_t1)
    return PrototypeRidge(float(best.settings["penalty"])), best.val_t1


def report_refinement(report: Report, name: str, splits: Sequence[FeatureSet]) -> None:
    """Report refinement of a set's prototypes with right and wrong lists, wary and bold."""
    report.section(f"{name}: refined on the unlabelled images that are judged")
    gains: dict[str, list[dict[float, float]]] = {"wary": [], "bold": []}
    radii: dict[str, list[float]] = {"wary": [], "bold": []}
    inductive = []
    for data in splits:
        method = chosen_method(data)[0].fit(*data.of("train"), data.semantics)
        regions = {"wary": chosen_region(method, data), "bold": chosen_region(method, data, wrong=())}
        lists = list(
            class_lists(method.fit(*data.of("trainval"), data.semantics), data, part="test_unseen", seeds=DRAWS)
        )
        found = mean_gains(lists, list(regions.values()))
        inductive.append(lists[0].accuracy(lists[0].predicted))
        for number, (kind, region) in enumerate(regions.items()):
            gains[kind].append({wrong: 100 * float(of[number]) for wrong, of in found.items()})
            radii[kind].append(region.radius)
    plain = 100 * float(np.mean(inductive))
    report.add(f"{name}: inductive, T1", plain, "%")
    for kind, of_splits in gains.items():
        mean = {wrong: float(np.mean([one[wrong] for one in of_splits])) for wrong in (RIGHT, *WRONG)}
        shown = ", ".join(f"{radius:g}" for radius in radii[kind])
        report.add(f"{name}: {kind}, radius {shown}, T1", plain + mean[RIGHT], "%")
        report.add(f"{name}: {kind}, gain with the right list", mean[RIGHT], "pts")
        for wrong in WRONG:
            title = "no image of a listed class" if wrong == FOREIGN else f"{wrong:.0%} of the names wrong"
            bars = {"least": -MOST_LOST} if kind == "wary" else {}
            report.add(f"{name}: {kind}, {title}, gain", mean[wrong], "pts", **bars)


if __name__ == "__main__":
    raise SystemExit(main())
