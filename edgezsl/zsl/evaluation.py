"""A method, chosen and fitted by the protocol, and everything that is asked of it on classes that nothing was chosen by.

Temperature and threshold come from validation classes, as the seen penalty does, in units of σ of the model that was fitted without
these classes; so they can be kept for the one that is fitted on all seen classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError, Place
from edgezsl.evaluate.evaluation import Evaluation, HardQuestions, SeenUnseen
from edgezsl.evaluate.progress import Progress
from edgezsl.evaluate.questions import GrowthPoint, Hubness, Nearness, SemanticGap, measured_growth
from edgezsl.evaluate.recognition_figures import RecognitionFigures
from edgezsl.evaluate.temperature import TemperatureFit, fitted_temperature
from edgezsl.evaluate.thresholds import FALSE_ACCEPTS, Rejection, threshold_of_false_accepts
from edgezsl.zsl.method import ZeroShotMethod, accuracy, class_means, class_scores
from edgezsl.zsl.selection import Chosen, fit_chosen, judge, score_spread, seen_unseen_curve
from edgezsl.zsl.shots import SHOTS, chosen_kappa, shot_accuracies

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Method, Rows
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.selection import Judgement
    from edgezsl.zsl.space import Settings

SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)  # of the seen classes that growth is measured with
IMAGES = (1, 2, 5, 10, 20)  # of each class, and then all
SHOT_DRAWS = 10  # of examples
DRAWS = 3  # of methods that are fitted in a moment; of others one
HUBS_IN = 5  # the best so many classes
_LEFT_OUT_SEED = 0
_NO_DIFFERENCE = 1e-6  # of scores, in σ: rounding
_FEWEST_CLASSES = 4  # of which half can be left out
_FIGURES = {
    "t1": "T1",
    "u": "U",
    "s": "S",
    "h": "H",
    "h_calibrated": "H with γ",
    "h_oracle": "H, oracle",
    "ausuc": "AUSUC",
}


def evaluate_method(
    entry: MethodEntry,
    data: FeatureSet,
    *,
    size: Size,
    seeds: Sequence[int] = (0,),
    settings: Settings | None = None,
    questions: bool = True,
) -> Iterator[Progress | Evaluation]:
    """Choose, fit and judge a method; yield how far that is, and last what was found.

    Args:
        entry: The method.
        data: The feature set.
        size: Of the run.
        seeds: Of methods that start from random numbers; settings are chosen with the first.
        settings: Take these, and choose the others.
        questions: Whether the hard questions are asked, for which the method is fitted again on parts of the rows.

    Yields:
        Steps, and last the evaluation.

    Raises:
        InputError: When the method has no such setting, or the set has no unseen rows.
    """
    if not len(data.rows["test_unseen"]):
        message, expected = f"none of {len(data.labels)} rows is of an unseen class", "rows in the part test_unseen"
        raise InputError(message, code="bad_features", where=Place(data.name), expected=expected)
    chosen: list[Chosen] = []
    judgements: list[Judgement] = []
    for seed in seeds if entry.seeded else seeds[:1]:
        given = chosen[0].settings if chosen else settings
        chosen.append((yield from _chosen(entry, data, size, seed, given or {})))
        judgements.append(judge(chosen[-1].method, data, gamma=chosen[-1].gamma))
    first = chosen[0]
    growth = (yield from _growth(entry, data, size, first.settings)) if questions else ()
    yield Progress("fitting a temperature and a threshold", 0, 1)
    held = entry.make(first.settings, size=size, seed=seeds[0])
    held.fit(*data.of("train"), data.semantics)
    known, unseen = _Scored.of(held, data, "train", "val"), _Scored.of(first.method, data, "trainval", "test_unseen")
    yield Evaluation(
        title=f"{entry.name} on {data.name}",
        facts=_facts(data, size, chosen),
        figures=RecognitionFigures.of(unseen.scores, unseen.labels, unseen.names),
        runs=_runs(judgements),
        seen_unseen=_seen_unseen(first, data, judgements[0]),
        rejection=_rejection(known, unseen),
        temperature=_temperature(known, unseen),
        questions=_questions(data, unseen, growth, _shots(held, first.method, data)) if questions else None,
    )


def fitted_logit_scale(held: Method, method: Method, data: FeatureSet) -> float | None:
    """Return what makes logits of a method's scores: 1 over the temperature that `evaluate_method` finds.

    Where every row of validation classes is right, which asks for a temperature of 0, one of as many rows and two more is taken
    to be anybody's (Laplace's rule of succession).

    Args:
        held: Fitted on the rows of `train`.
        method: The same, fitted on those of `trainval`.
        data: The feature set.

    Returns:
        The scale, > 0; None where there is but one validation class, or where all of them have the same score, as those of a method
        that was fitted on two classes may.
    """
    known = _Scored.of(held, data, "train", "val")
    if np.ptp(known.scores, axis=1).max() <= _NO_DIFFERENCE * known.sigma:
        return None
    all_right = bool((known.scores.argmax(axis=1) == known.labels).all())
    sigma = score_spread(method, data, "trainval")
    return 1 / (_validation_temperature(known, doubt=1 / (len(known.labels) + 2) if all_right else 0.0) * sigma)


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """The rows of a part, scored among its own classes.

    Attributes:
        scores: `(N, K)`.
        labels: `(N,)`, columns of `scores`.
        names: K.
        sigma: σ of the method's scores on what it was fitted on.
    """

    scores: Rows
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    sigma: float

    @classmethod
    def of(cls, method: Method, data: FeatureSet, fitted: str, part: str) -> _Scored:
        classes, (features, labels) = data.classes(part), data.of(part)
        return cls(
            class_scores(method, features, data.semantics[classes]),
            np.searchsorted(classes, labels),
            tuple(data.class_names[one] for one in classes),
            score_spread(method, data, fitted),
        )

    def best_of_half(self) -> tuple[Rows, Rows, tuple[str, ...]]:
        """Return best scores of rows inside and outside a vocabulary that half of the classes are left out of, and these."""
        count = len(self.names)
        outside = np.sort(np.random.default_rng(_LEFT_OUT_SEED).permutation(count)[: count // 2])
        kept = np.setdiff1d(np.arange(count), outside)
        best, is_outside = self.scores[:, kept].max(axis=1), np.isin(self.labels, outside)
        return best[~is_outside], best[is_outside], tuple(self.names[one] for one in outside)


def _chosen(
    entry: MethodEntry, data: FeatureSet, size: Size, seed: int, given: Settings
) -> Generator[Progress, None, Chosen]:
    words, total = f"choosing {entry.name} on validation classes", entry.grid_size(given, size)
    for done, step in enumerate(fit_chosen(entry, data, size=size, seed=seed, settings=given), 1):
        if isinstance(step, Chosen):
            return step
        yield Progress(words, done, total)
    raise RuntimeError("the choice ended without a method")


def _growth(
    entry: MethodEntry, data: FeatureSet, size: Size, settings: Settings
) -> Generator[Progress, None, tuple[GrowthPoint, ...]]:
    """Fit on parts of the seen classes and rows, with the settings that were chosen for all of them."""
    rows, judged = data.rows["trainval"], data.of("test_unseen")

    def accuracy_of(kept: NDArray[np.int64]) -> float:
        method = entry.make(settings, size=size)
        method.fit(data.features[rows[kept]], data.labels[rows[kept]], data.semantics)
        return accuracy(method, *judged, data.semantics)

    labels = data.labels[rows]
    counts = np.unique(labels, return_counts=True)[1]
    classes = sorted({max(2, round(share * len(counts))) for share in SHARES})
    images = [*(one for one in IMAGES if one < counts.max()), int(counts.max())]
    draws = 1 if entry.seeded else DRAWS
    points: list[GrowthPoint] = []
    for point in measured_growth(accuracy_of, labels, classes=classes, images=images, draws=draws):
        points.append(point)
        yield Progress("fitting on fewer classes and images", len(points), draws * (len(classes) + len(images)))
    return tuple(points)


def _runs(judgements: Sequence[Judgement]) -> dict[str, list[float]]:
    """Return figures of every seed in percent, each that was measured."""
    found = {}
    for name, words in _FIGURES.items():
        values = [getattr(one, name) for one in judgements]
        if None not in values:
            found[words] = [100 * value for value in values]
    return found


def _seen_unseen(chosen: Chosen, data: FeatureSet, found: Judgement) -> SeenUnseen | None:
    if found.penalty is None:
        return None
    return SeenUnseen(seen_unseen_curve(chosen.method, data), found.penalty, chosen.gamma)


def _rejection(known: _Scored, unseen: _Scored) -> Rejection | None:
    """Return rejection with half of the unseen classes left out; its threshold is that of validation classes."""
    if min(len(known.names), len(unseen.names)) < _FEWEST_CLASSES:
        return None
    _, others, _ = known.best_of_half()
    threshold = threshold_of_false_accepts(others / known.sigma, FALSE_ACCEPTS) * unseen.sigma
    inside, outside, names = unseen.best_of_half()
    return Rejection(names, inside, outside).with_threshold(threshold, inside, outside)


def _temperature(known: _Scored, unseen: _Scored) -> TemperatureFit | None:
    if len(known.names) < 2:  # noqa: PLR2004  # of one class every probability is 1
        return None
    temperature = _validation_temperature(known) * unseen.sigma
    fitted_on = f"{len(known.labels)} rows of {len(known.names)} validation classes, in units of σ"
    return TemperatureFit.of(temperature, unseen.scores, unseen.labels, before=1.0, fitted_on=fitted_on)


def _validation_temperature(known: _Scored, *, doubt: float = 0.0) -> float:
    """Return the temperature of validation classes, in units of σ."""
    return fitted_temperature(known.scores / known.sigma, known.labels, doubt=doubt)


def _shots(held: Method, method: Method, data: FeatureSet) -> tuple[GrowthPoint, ...]:
    """Return what examples of unseen classes add to their descriptions; nothing for methods whose scores are no cosines.

    Args:
        held: Fitted on the rows of `train`: it chooses how much a description counts.
        method: The same, fitted on those of `trainval`.
        data: The feature set.
    """
    fewest = {part: np.unique(data.of(part)[1], return_counts=True)[1].min() for part in ("val", "test_unseen")}
    if getattr(held, "retrains", False):
        return ()
    if min(fewest.values()) < 2 or not (isinstance(held, ZeroShotMethod) and isinstance(method, ZeroShotMethod)):  # noqa: PLR2004  # an example, and one to judge
        return ()
    try:
        kappa = chosen_kappa(held, data, seeds=range(SHOT_DRAWS))
    except InputError as fault:
        if fault.code == "no_cosine":
            return ()
        raise
    shots = [count for count in SHOTS if count < fewest["test_unseen"]]
    reached = shot_accuracies(method, data, part="test_unseen", kappas=(kappa,), seeds=range(SHOT_DRAWS), shots=shots)
    return tuple(
        GrowthPoint("examples", count, draw, float(reached[draw, place, 0]))
        for place, count in enumerate(shots)
        for draw in range(SHOT_DRAWS)
    )


def _questions(
    data: FeatureSet, unseen: _Scored, growth: tuple[GrowthPoint, ...], shots: tuple[GrowthPoint, ...]
) -> HardQuestions:
    seen, judged = data.classes("trainval"), data.classes("test_unseen")
    with_rows, means = class_means(data.features, data.labels)
    classes = np.concatenate([seen, judged])
    right = RecognitionFigures.of(unseen.scores, unseen.labels, unseen.names).per_class
    return HardQuestions(
        SemanticGap.of(means, data.semantics[with_rows]),
        Hubness.of(unseen.scores, unseen.names, k=min(HUBS_IN, max(1, len(unseen.names) // 2))),
        growth,
        Nearness.of(
            [data.class_names[one] for one in classes],
            data.semantics[classes],
            np.arange(len(classes)) < len(seen),
            right,
        ),
        shots,
    )


def _facts(data: FeatureSet, size: Size, chosen: Sequence[Chosen]) -> dict[str, str]:
    first, parts = chosen[0], ("train", "val", "trainval", "test_seen", "test_unseen")
    settings = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in first.settings.items()
    )
    rows = ", ".join(f"{part} {len(data.rows[part])} of {len(data.classes(part))} classes" for part in parts)
    return {
        "settings": f"{settings or 'none'}; chosen by T1 on validation classes: {100 * first.val_t1:.1f}%",
        "seen penalty γ": f"{first.gamma:.4g} σ, chosen by H on validation classes",
        "rows": rows,
        "size": f"{size}, the last fit took {first.train_s:.1f} s",
    }
