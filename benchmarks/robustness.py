"""How much of the built-in model's accuracy is left under attack and on bad pictures, and what training against an attack saves?

    EDGEZSL_DATA=DIR python benchmarks/robustness.py [--head FILE] [--json FILE]

The float master is attacked, all of it known: pixels of Tiny-ImageNet's validation images, 200 classes by name, synonyms and gloss. The
head is what follows the 8 x 8 maps; it is trained on training images, some of which are held back to choose how much of the change is
kept. FILE of `--head` keeps it.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from builtin_accuracy import PHOTOGRAPHS, Judged, best, words_of
from report import Report
from robust_head import RADIUS, Images, Pictures, classifier_of, clean_accuracy, hardened

from edgezsl import Preprocessor, open_engine
from edgezsl.data.benchmark_sets import flo
from edgezsl.data.wordnet import WordNet
from edgezsl.encoders.model import Model
from edgezsl.evaluate.corruptions import CORRUPTIONS, SEVERITIES, SIDE, corrupted
from edgezsl.evaluate.intervals import share_interval
from edgezsl.evaluate.robustness import robust_accuracy
from edgezsl.runtime.sources import read_image
from edgezsl.zsl.method import accuracy
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.robustness.attacks import LEVELS, Ball
from edgezsl.zsl.robustness.classifier import (
    Ensemble,
    Mirrored,
    PrototypeClassifier,
    WhiteBoxAttack,
    answers,
)
from edgezsl.zsl.robustness.head import RobustHead
from edgezsl.zsl.robustness.training import RobustSchedule
from edgezsl.zsl.selection import trials
from edgezsl.zsl.space import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from edgezsl.evaluate.robustness import RobustAccuracy
    from edgezsl.prototypes import ClassPrototypes

FEW = 256  # images that every attack is tried on
RADII = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # levels of 255
LONG_RADII = (0.5, 1.0, 2.0)
MOST_LOST = 3.0  # points
REACH = 0.3  # of the attack on features, in the length of an embedding
SHORT = RobustSchedule(steps=200)
HEADS = {
    "prototype-ridge alone": RobustHead(reach=0, schedule=RobustSchedule(steps=1, learning_rate=0)),
    "a head": RobustHead(reach=0, schedule=SHORT),
    "a head, L2": RobustHead(reach=0, schedule=replace(SHORT, decay=1.0)),
    "a head, L1": RobustHead(reach=0, schedule=replace(SHORT, l1=100.0)),
    "a head, dropout": RobustHead(reach=0, dropout=0.5, schedule=SHORT),
    "a head, mixup": RobustHead(reach=0, schedule=replace(SHORT, mixup=0.4)),
    "a head, PGD": RobustHead(reach=REACH, schedule=SHORT),
}


def attacked(
    classifier: torch.nn.Module,
    images: Images,
    levels: float,
    *,
    steps: int = 20,
    target: torch.nn.Module | None = None,
    answer: Callable[[NDArray[np.float32]], NDArray[np.int64]] | None = None,
) -> RobustAccuracy:
    """Return what is left under FGSM (0 steps) or PGD of `target`, the classifier itself unless told, judged by `answer`."""
    attack = WhiteBoxAttack(target or classifier, Ball.of_levels(levels), "pgd" if steps else "fgsm", max(1, steps))
    return left_of(classifier, attack, images, answer)


def left_of(
    classifier: torch.nn.Module,
    attack: WhiteBoxAttack,
    images: Images,
    answer: Callable[[NDArray[np.float32]], NDArray[np.int64]] | None = None,
) -> RobustAccuracy:
    """Return what an attack leaves, judged by the classifier or by `answer`."""
    judge = answer or partial(answers, classifier)
    *_, last = robust_accuracy(judge, attack, images.pixels, images.labels)
    return last


def add_attacked(report: Report, name: str, found: RobustAccuracy, **bars: float) -> float:
    """Report a robust accuracy in per cent, and return it."""
    low, high = 100 * found.robust.low, 100 * found.robust.high
    report.add(f"{name} [{low:.1f}, {high:.1f}]", 100 * found.robust.value, "%", **bars)
    return 100 * found.robust.value


def report_attacks(report: Report, classifier: torch.nn.Module, images: Images) -> None:
    """Report each attack at each radius: longer attacks and larger radii must not leave more."""
    report.section(f"The model as it is, {len(images.labels)} images, per cent [95% interval]")
    clean = 100 * clean_accuracy(classifier, images)
    report.add("clean", clean, "%")
    rises, before = [], {"FGSM": clean, "PGD-20": clean, "PGD-100": clean}
    for levels in RADII:
        left = {}
        for name, steps in {"FGSM": 0, "PGD-20": 20, "PGD-100": 100}.items():
            if steps <= 20 or levels in LONG_RADII:
                left[name] = add_attacked(
                    report, f"{name}, ε = {levels:g}/255", attacked(classifier, images, levels, steps=steps)
                )
        order = list(left.values())
        rises += [second - first for first, second in pairwise(order)]
        rises += [value - before[name] for name, value in left.items() if name != "FGSM"]
        before |= left
    report.add("most by which a longer attack or a larger radius left more", max(0.0, *rises), "points", most=0)
    report.add("PGD-20 at the largest radius", before["PGD-20"], "%", most=0)


def report_head(report: Report, shipped: torch.nn.Module, robust: torch.nn.Module, images: Images) -> None:
    """Report the trained head beside the model as it is."""
    report.section(f"A head trained against PGD, {len(images.labels)} images that it was not trained on, PGD-20")
    clean = {name: 100 * clean_accuracy(one, images) for name, one in (("as it is", shipped), ("trained", robust))}
    for name, value in clean.items():
        report.add(f"clean, {name}", value, "%")
    report.add("what the head costs without an attack", clean["as it is"] - clean["trained"], "points", most=MOST_LOST)
    for levels in (1.0, RADIUS):
        found = {name: attacked(one, images, levels) for name, one in (("as it is", shipped), ("trained", robust))}
        left = {name: add_attacked(report, f"PGD-20, ε = {levels:g}/255, {name}", one) for name, one in found.items()}
        # Where nothing is left of the model as it is, one image stands for it.
        ratio = left["trained"] / max(left["as it is"], 100 / len(images.labels))
        wanted = {"least": 1.5} if levels == RADIUS else {}
        report.add(f"trained over as it is, at least one image, ε = {levels:g}/255", ratio, "x", **wanted)
        apart = found["trained"].robust.low - found["as it is"].robust.high
        report.note(f"intervals at ε = {levels:g}/255 {'apart' if apart > 0 else 'overlap'}")


def report_ensembles(report: Report, shipped: torch.nn.Module, robust: torch.nn.Module, images: Images) -> None:
    """Report ensembles, attacked through one member and as a whole."""
    report.section(f"Single against ensemble (mean of logits), {len(images.labels)} images, PGD-20 at ε = 1/255")
    ensembles = {
        "the picture and its mirror image": Ensemble([shipped, Mirrored(shipped)]),
        "the model and the trained one": Ensemble([shipped, robust]),
        "the trained one alone": robust,
    }
    add_attacked(report, "single, attacked", attacked(shipped, images, 1.0))
    for name, ensemble in ensembles.items():
        report.add(f"{name}: clean", 100 * clean_accuracy(ensemble.eval(), images), "%")
        add_attacked(report, f"{name}: attack on the single model", attacked(ensemble, images, 1.0, target=shipped))
        add_attacked(report, f"{name}: attack on all of it", attacked(ensemble, images, 1.0))


def report_device(
    report: Report, judged: Judged, classes: ClassPrototypes, shipped: torch.nn.Module, images: Images
) -> None:
    """Report what the INT8 bundle says of frames that were made to fool the float master: rounded to whole levels, as a frame is."""
    engine, preprocess = open_engine(judged.bundle, "onnx"), Preprocessor(judged.bundle.manifest.contract)

    def answer(pixels: NDArray[np.float32]) -> NDArray[np.int64]:
        frames = np.rint(LEVELS * pixels.transpose(0, 2, 3, 1)).astype(np.uint8)
        return best(engine.run(preprocess(list(frames))), classes).astype(np.int64)

    report.section(f"The INT8 bundle, given frames that fool the float master, {len(images.labels)} images")
    for levels in (1.0, 2.0):
        found = attacked(shipped, images, levels, answer=answer)
        add_attacked(report, f"INT8, PGD-20 on fp32, ε = {levels:g}/255", found)
        report.note(f"INT8 without an attack: {100 * found.clean.value:.1f}%")
    engine.close()


def report_corruptions(report: Report, judged: Judged, data: Path, wordnet: WordNet) -> None:
    """Report noise, blur and JPEG in five severities, of photographs at the side that the severities are made for."""
    paths = sorted((data / PHOTOGRAPHS).iterdir())
    classes = judged.prototypes(words_of([path.name.partition("_")[0] for path in paths], wordnet, gloss=True))
    frames = [squared(read_image(path)) for path in paths]

    def share(pictures: Sequence[NDArray[np.uint8]]) -> int:
        return int((best(judged.embed(pictures), classes) == np.arange(len(pictures))).sum())

    report.section(
        f"Bad pictures: {len(frames)} photographs of {len(frames)} classes, {SIDE} x {SIDE}, through the INT8 bundle"
    )
    report.note("it learned from these photographs, though not from their labels")
    report.add("as they are", 100 * share(frames) / len(frames), "%")
    for kind, what in CORRUPTIONS.items():
        for severity in SEVERITIES:
            bad = [corrupted(frame, kind, severity=severity, seed=number) for number, frame in enumerate(frames)]
            right = share(bad)
            found = share_interval(right, len(frames))
            report.add(
                f"{what}, severity {severity} [{100 * found.low:.1f}, {100 * found.high:.1f}]", 100 * found.value, "%"
            )


def squared(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the centre of a frame, at the side that the severities are made for."""
    import cv2

    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    centre = frame[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    resized: NDArray[np.uint8] = cv2.resize(centre, (SIDE, SIDE), interpolation=how)
    return resized


def report_features(report: Report, data: Path) -> None:
    """Report heads on features: what each way of training does to unseen classes, attacked and not."""
    features = flo(data)
    images, labels = features.of("test_unseen")
    classes = np.unique(labels)
    report.section(
        f"Heads on features: Oxford Flowers, {len(classes)} unseen classes, attack on embeddings, reach {REACH:g}"
    )
    attack_length = RobustHead(reach=REACH)
    entry = method_named("prototype-ridge")
    chosen = max(trials(entry.make, grid_of(entry.spaces), features), key=lambda trial: trial.val_t1).settings
    report.note(f"prototype-ridge with {chosen}, chosen on validation classes")
    for name, method in HEADS.items():
        method.inner = entry.make(chosen)
        method.fit(*features.of("trainval"), features.semantics)
        vectors, bias = method.prototypes(features.semantics[classes])
        classifier = PrototypeClassifier(method.head_, vectors, bias, logit_scale=method.logit_scale).eval()
        inputs = method.inner.embed(images).astype(np.float32)
        attack = WhiteBoxAttack(classifier, attack_length.ball(inputs.shape[1]))
        found = left_of(classifier, attack, Images(inputs, np.searchsorted(classes, labels)))
        report.add(f"{name}: T1", 100 * accuracy(method, images, labels, features.semantics), "%")
        add_attacked(report, f"{name}: rows that stay right under PGD-20", found)


def main() -> int:
    """Train, attack and corrupt, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, help="an .npz: the trained head is read from it, or kept in it")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data, wordnet = Path(os.environ["EDGEZSL_DATA"]), WordNet.read(options.wordnet)
    report = Report("What is left of the built-in model under attack and on bad pictures?")
    model, judged = Model.open(), Judged.open(None)
    pictures = Pictures(data, Preprocessor(model.facts.contract))
    classes = judged.prototypes(words_of(pictures.ids, wordnet, gloss=True))
    shipped, few = classifier_of(model, classes), pictures.judged.first(FEW)
    report_features(report, data)
    report_corruptions(report, judged, data, wordnet)
    robust = hardened(model, classes, pictures, report, options.head)
    report_head(report, shipped, robust, pictures.judged)
    report_attacks(report, shipped, few)
    report_ensembles(report, shipped, robust, few)
    report_device(report, judged, classes, shipped, few)
    report.add("processor time of it", time.process_time() / 60, "min")
    return report.finish(options.json)


if __name__ == "__main__":
    raise SystemExit(main())
