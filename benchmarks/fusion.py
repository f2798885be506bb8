"""Is a fusion of methods, encoders or kinds of descriptions better than the best of its members?

    python benchmarks/fusion.py --folder $EDGEZSL_DATA --json benchmarks/results/x86-avx2/fusion.json

Members take the settings that are best on validation classes; weights are fitted there, too, and the single member that fusion is
compared with is the best one there. Test classes are looked at once. Differences in T1 are paired: both are judged on the same
rows, and the interval is that of classes drawn again. Fused rows count for no bar of the table of methods.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from report import Report

from edgezsl.data.benchmark_sets import awa1, cub50, flo, tinyimagenet
from edgezsl.evaluate.intervals import bootstrap_interval
from edgezsl.zsl.fusion import (
    HeldScores,
    Member,
    accuracy_weights,
    held_scores,
    side_by_side,
    stacking_weights,
)
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import trials
from edgezsl.zsl.space import grid_of
from edgezsl.zsl.voting import (
    hard_votes,
    network_scores,
    sharpness_of,
    soft_votes,
    stacking_network,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Rows
    from edgezsl.zsl.space import Settings

METHODS = ("prototype-ridge", "eszsl", "sae", "conse", "sync", "cn-zsl")
SOURCES = ("prototype-ridge", "sync", "cn-zsl")  # of each encoder or kind of description that is fused
# Not chosen here, so that the run is short: a table of all methods chooses them.
FIXED: dict[str, Settings] = {"cn-zsl": {"scale": 5.0, "decay": 1e-4}}
SPLITS = 5  # of Tiny-ImageNet's classes
WANTED = 2  # sets where a fusion is to be better


@dataclass(frozen=True, slots=True)
class Subject:
    """What is fused.

    Attributes:
        name: Of the set, and of what is fused where that is not methods.
        data: The sets of which it is one; a bar counts each once.
        methods: Of each part.
        splits: Returns one joined feature set for each split, with each part's own set, its name and columns.
    """

    name: str
    data: str
    methods: tuple[str, ...]
    splits: Callable[[Path], Sequence[Joined]]


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A feature set with the columns of all parts.

    Attributes:
        whole: It.
        parts: Name, own feature set, and its columns of the features and of the descriptions.
    """

    whole: FeatureSet
    parts: tuple[tuple[str, FeatureSet, slice, slice], ...]

    @classmethod
    def alone(cls, data: FeatureSet) -> Joined:
        """Return a set that has one part: itself."""
        return cls(data, (("", data, slice(None), slice(None)),))


def sources(data: Path) -> list[Joined]:
    """Return CUB-50 with both kinds of descriptions."""
    kinds = [cub50(data, semantics=kind) for kind in ("attributes", "sentences")]
    whole, columns = side_by_side(kinds, side="semantics")
    names = ("attributes", "sentences")
    parts = zip(names, kinds, columns, strict=True)
    return [Joined(whole, tuple((name, own, slice(None), part) for name, own, part in parts))]


def encoders(data: Path) -> list[Joined]:
    """Return CUB-50 with both encoders and sentences."""
    kinds = [cub50(data, encoder=kind) for kind in ("imagenet", "birds")]
    whole, columns = side_by_side(kinds, side="features")
    parts = zip(("imagenet", "birds"), kinds, columns, strict=True)
    return [Joined(whole, tuple((name, own, part, slice(None)) for name, own, part in parts))]


SUBJECTS = (
    Subject("flo", "flo", METHODS, lambda data: [Joined.alone(flo(data))]),
    Subject("cub50, sentences", "cub50", METHODS, lambda data: [Joined.alone(cub50(data))]),
    Subject("cub50, attributes", "cub50", METHODS, lambda data: [Joined.alone(cub50(data, semantics="attributes"))]),
    Subject("cub50, attributes and sentences", "cub50", SOURCES, sources),
    Subject("cub50, two encoders", "cub50", SOURCES, encoders),
    Subject("awa1", "awa1", METHODS, lambda data: [Joined.alone(awa1(data))]),
    Subject(
        "tinyimagenet",
        "tinyimagenet",
        METHODS,
        lambda data: [Joined.alone(tinyimagenet(data, seed=seed)) for seed in range(SPLITS)],
    ),
)


def main() -> int:
    """Fuse on every set, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the reference data")
    parser.add_argument("--data", default=None, help="sets, separated by commas; default: all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    wanted = options.data.split(",") if options.data else [subject.data for subject in SUBJECTS]
    report = Report(
        "Fusion of zero-shot methods against the best member, both chosen on validation classes, quick sizes"
    )
    better = set()
    for subject in SUBJECTS:
        if subject.data in wanted:
            report.section(subject.name)
            runs = [run(joined, subject.methods) for joined in subject.splits(options.folder)]
            if tell(report, subject, runs):
                better.add(subject.data)
    report.section("Bar")
    report.add(
        "sets where the weighted average beats the best member, the whole interval above 0", len(better), least=WANTED
    )
    return report.finish(options.json)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was reached on one split.

    Attributes:
        val_t1: By method, members and fusions, in [0, 1].
        test: Accuracy of each unseen class by method, members first.
        best: The member that validation chose.
        weights: By fusion that folds, of each member.
    """

    val_t1: dict[str, float]
    test: dict[str, NDArray[np.float64]]
    best: str
    weights: dict[str, dict[str, float]]


def run(joined: Joined, methods: Sequence[str]) -> Run:
    """Choose members and weights on validation classes, fit all members once more on all seen classes, and judge."""
    members, val_t1 = [], {}
    for part, own, features, semantics in joined.parts:
        for method in methods:
            name = f"{method} {part}".strip()
            settings, val_t1[name] = chosen(method, own)
            members.append(Member(name, method_named(method).make(settings, size="quick"), features, semantics))
    best = max(val_t1, key=val_t1.__getitem__)
    names = [member.name for member in members]
    held = held_scores(members, joined.whole)
    weights = {"weighted average": accuracy_weights(held), "linear stacking": stacking_weights(held)}
    fusions = fusions_of(held, weights)
    val_t1 |= {
        name: HeldScores(fuse(held.scores)[None], held.targets).accuracy((1.0,)) for name, fuse in fusions.items()
    }
    judged = judged_scores(members, joined.whole)
    test = {name: by_class(one, judged.targets) for name, one in zip(names, judged.scores, strict=True)}
    test |= {name: by_class(fuse(judged.scores), judged.targets) for name, fuse in fusions.items()}
    return Run(val_t1, test, best, {name: dict(zip(names, of, strict=True)) for name, of in weights.items()})


def chosen(name: str, data: FeatureSet) -> tuple[Settings, float]:
    """Return the settings of a method that are best on validation classes, and what they reach there."""
    entry = method_named(name)
    given = {"normalized": False} if (name, data.name) == ("eszsl", "awa1") else FIXED.get(name, {})
    spaces = {setting: space for setting, space in entry.spaces.items() if setting not in given}
    found = trials(
        lambda settings: entry.make(settings, size="quick"),
        ({**given, **one} for one in grid_of(spaces)),
        data,
        fit_each=entry.fit_each,
    )
    best = max(found, key=lambda trial: trial.val_t1)
    return best.settings, best.val_t1


def fusions_of(held: HeldScores, weights: dict[str, tuple[float, ...]]) -> dict[str, Callable[[Rows], Rows]]:
    """Return every fusion as what it makes of members' scores `(M, N, K)`: as the classes of that name do."""
    sharpness, network = sharpness_of(held), stacking_network(held)

    def weighted(of: Sequence[float]) -> Callable[[Rows], Rows]:
        return lambda scores: np.tensordot(of, scores, 1)

    return {
        **{name: weighted(of) for name, of in weights.items()},
        "equal weights": weighted((1.0,) * len(held.scores)),
        "network stacking": lambda scores: network_scores(network, scores),
        "soft voting": lambda scores: soft_votes(scores, sharpness),
        "hard voting": hard_votes,
    }


def judged_scores(members: Sequence[Member], data: FeatureSet) -> HeldScores:
    """Fit members on all seen classes, and return their scores for the unseen ones."""
    features, labels = data.of("test_unseen")
    classes, targets = np.unique(labels, return_inverse=True)
    scores = []
    for member in members:
        scale = member.fit(*data.of("trainval"), data.semantics)
        scores.append(member.scores(features, data.semantics[classes]) / scale)
    return HeldScores(np.array(scores), targets)


def by_class(scores: Rows, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return top-1 accuracy of each class `(K,)`, in [0, 1]."""
    return np.bincount(targets, scores.argmax(axis=1) == targets) / np.bincount(targets)


def tell(report: Report, subject: Subject, runs: Sequence[Run]) -> bool:
    """Report a subject, and return whether the weighted average is better than the best member with 95%."""
    single = np.concatenate([one.test[one.best] for one in runs])
    mean = {name: np.mean([one.val_t1[name] for one in runs]) for name in runs[0].val_t1}
    for name in runs[0].test:
        report.add(f"{subject.name}: {name}, val T1", 100 * float(mean[name]), "%")
        report.add(f"{subject.name}: {name}, T1", 100 * float(np.mean([one.test[name].mean() for one in runs])), "%")
    chosen_names = ", ".join(dict.fromkeys(one.best for one in runs))
    report.add(f"{subject.name}: best member by validation ({chosen_names}), T1", 100 * float(single.mean()), "%")
    above = False
    fusions = [name for name in runs[0].test if name not in runs[0].weights["linear stacking"]]
    for name in fusions:
        gain = 100 * (np.concatenate([one.test[name] for one in runs]) - single)
        interval = bootstrap_interval(lambda rows, gain=gain: float(gain[rows].mean()), len(gain))  # type: ignore[misc]
        title = f"{subject.name}: {name} against it [{interval.low:.1f}, {interval.high:.1f}]"
        report.add(title, interval.value, "pts")
        above |= name == "weighted average" and interval.low > 0
    for name, weights in runs[0].weights.items():
        shown = ", ".join(f"{member} {weight:.2f}" for member, weight in weights.items() if abs(weight) >= 0.005)
        report.note(f"{subject.name}: weights of {name}{' (first split)' if len(runs) > 1 else ''}: {shown}")
    return above


if __name__ == "__main__":
    raise SystemExit(main())
