"""Choosing: hyper-parameters by classes that are held back, and the seen penalty by rows that are. Never by what is judged.

The seen penalty γ is found in units of σ, the standard deviation of a model's scores over all pairs of rows and seen classes, so
that it can be kept when the model is fitted again on more classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import tee
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import InputError, Place
from edgezsl.evaluate.seen_unseen import SeenUnseenCurve
from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.space import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Method, Rows
    from edgezsl.zsl.methods import FitEach, MethodEntry, Size
    from edgezsl.zsl.space import Settings, Space

HELD_SHARE = 0.2  # of the rows of each class that the seen penalty is found on
_HELD_SEED = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried.

    Attributes:
        settings: Of the method.
        val_t1: T1 on the validation classes, in [0, 1].
    """

    settings: Settings
    val_t1: float


def validation_accuracy(method: Method, data: FeatureSet, *, part: str = "val") -> float:
    """Fit on the training classes, and return T1 on classes that are held back, in [0, 1].

    Args:
        method: Not yet fitted.
        data: The feature set.
        part: Whose rows choose.

    Raises:
        InputError: When `part` holds rows that are judged.
    """
    features, labels = rows_to_choose_by(data, part)
    method.fit(*data.of("train"), data.semantics)
    return accuracy(method, features, labels, data.semantics)


def trials(
    make: Callable[[Settings], Method],
    candidates: Iterable[Settings],
    data: FeatureSet,
    *,
    part: str = "val",
    fit_each: FitEach | None = None,
) -> Iterator[Trial]:
    """Yield what each candidate reaches on classes that are held back.

    Args:
        make: Returns a method, not yet fitted, with settings.
        candidates: The settings to try; the next is asked for when the last was tried.
        data: The feature set.
        part: Whose rows choose.
        fit_each: Fits what `make` returns, for less than one by one (`MethodEntry.fit_each`); None: one by one.

    Raises:
        InputError: When `part` holds rows that are judged.
    """
    features, labels = rows_to_choose_by(data, part)
    asked, made = tee(candidates)
    fitted = (fit_each or _one_by_one)(map(make, made), *data.of("train"), data.semantics)
    for method, settings in zip(fitted, asked, strict=True):
        yield Trial(settings, accuracy(method, features, labels, data.semantics))


def _one_by_one(
    methods: Iterable[Method], features: Rows, labels: NDArray[np.integer], semantics: Rows
) -> Iterator[Method]:
    for method in methods:
        yield method.fit(features, labels, semantics)


def rows_to_choose_by(data: FeatureSet, part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return features and labels of a part of which something may be chosen.

    Raises:
        InputError: When its rows are those that something is judged by, or there are none, or fewer than two classes to fit on.
    """
    if part.startswith("test_"):
        names = ", ".join(data.class_names[one] for one in data.classes(part)[:3])
        raise InputError(
            f"something is chosen by rows that are judged: {part} ({names}, …)",
            code="leak",
            where=Place(data.name),
            expected="validation classes: the part val",
            hint="figures of classes that settings were chosen by say nothing of other classes",
        )
    for name, least, what in (("train", 2, "to fit on"), (part, 1, "to choose by")):
        found = len(data.classes(name))
        if found < least:
            raise InputError(
                f"{found} classes {what}",
                code="too_few_classes",
                where=Place(data.name, field=name),
                expected=f"at least {least}",
                hint="hold back some seen classes as validation classes, and learn from the others",
            )
    return data.of(part)


@dataclass(frozen=True, slots=True)
class SeenPenalty:
    """What rows of training classes that are held back, beside validation classes, say of a seen penalty.

    Attributes:
        gamma: γ in units of σ: the penalty of the best harmonic mean.
        val_h: That harmonic mean, in [0, 1].
        val_h_without: The harmonic mean without a penalty.
    """

    gamma: float
    val_h: float
    val_h_without: float


def seen_penalty(method: Method, data: FeatureSet, *, part: str = "val") -> SeenPenalty:
    """Return the penalty of the best harmonic mean over rows of training classes that are held back, and `part`.

    Rows that seen classes are judged on are neither fitted nor chosen by.

    Args:
        method: Is fitted here, on the other rows of the training classes.
        data: The feature set.
        part: Of the classes that stand for unseen ones.

    Raises:
        InputError: When `part` holds rows that are judged.
    """
    held = _Held.of(data, part)
    return held.penalty(method.fit(data.features[held.fitted], data.labels[held.fitted], data.semantics))


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows that say how seen classes stand against others.

    Attributes:
        data: The feature set.
        fitted: Rows of training classes to fit on.
        seen: Other rows of the same classes.
        unseen: Of the classes that stand for unseen ones.
    """

    data: FeatureSet
    fitted: NDArray[np.int64]
    seen: NDArray[np.int64]
    unseen: NDArray[np.int64]

    @classmethod
    def of(cls, data: FeatureSet, part: str) -> _Held:
        rows_to_choose_by(data, part)
        judged = data.rows["test_seen"]
        rows = np.setdiff1d(data.rows["train"], judged)
        held = _held_rows(rows, data.labels[rows])
        if not len(held):
            message, expected = (
                "no class has two rows to learn from",
                "one to fit on, and one to see how seen classes score",
            )
            raise InputError(message, code="too_few_rows", where=Place(data.name), expected=expected)
        return cls(data, np.setdiff1d(rows, held), held, np.setdiff1d(data.rows[part], judged))

    def penalty(self, method: Method) -> SeenPenalty:
        """Return the penalty of a method that was fitted on `fitted`."""
        rows = np.concatenate([self.seen, self.unseen])
        of_seen, of_unseen = (np.unique(self.data.labels[part]) for part in (self.seen, self.unseen))
        classes = np.union1d(of_seen, of_unseen)
        seen = np.isin(classes, of_seen)
        scores = class_scores(method, self.data.features[rows], self.data.semantics[classes])
        curve = SeenUnseenCurve.of(scores, np.searchsorted(classes, self.data.labels[rows]), seen)
        penalty, best = curve.best()
        return SeenPenalty(penalty / float(scores[: len(self.seen), seen].std()), best, curve.at(0.0)[2])


def _weighed(method: Method, data: FeatureSet, weighings: Mapping[str, Space]) -> tuple[Settings, SeenPenalty]:
    """Return how unseen classes are to be weighed: by the harmonic mean without a penalty; and the penalty on top of it."""
    held = _Held.of(data, "val")
    fitted: Any = method.fit(data.features[held.fitted], data.labels[held.fitted], data.semantics)
    weighed = ((one, fitted.weighed(**one) if one else fitted) for one in grid_of(weighings))
    return max(((one, held.penalty(other)) for one, other in weighed), key=lambda pair: pair[1].val_h_without)


def _held_rows(rows: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    random = np.random.default_rng(_HELD_SEED)
    parts = []
    for label in np.unique(labels):
        own = random.permutation(rows[labels == label])
        if len(own) > 1:
            parts.append(own[: max(1, round(HELD_SHARE * len(own)))])
    return np.sort(np.concatenate(parts)) if parts else rows[:0]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A method that was chosen and fitted by the protocol.

    Attributes:
        method: Fitted on the rows of `trainval`.
        settings: What was chosen.
        val_t1: T1 on the validation classes, in [0, 1], fitted on the training classes.
        seen_penalty: What was found on rows of training classes that are held back.
        train_s: Seconds that the last fit took.
    """

    method: Method
    settings: Settings
    val_t1: float
    seen_penalty: SeenPenalty
    train_s: float

    @property
    def gamma(self) -> float:
        """The seen penalty in units of σ."""
        return self.seen_penalty.gamma


def fit_chosen(
    entry: MethodEntry, data: FeatureSet, *, size: Size, seed: int = 0, settings: Settings | None = None
) -> Iterator[Trial | Chosen]:
    """Choose settings and seen penalty on validation classes, and fit on all seen classes; yield each trial, and the choice.

    Args:
        entry: The method.
        data: The feature set.
        size: Of the run.
        seed: Of methods that start from random numbers.
        settings: Take these, and choose the others.
    """
    given = settings or {}
    open_spaces = entry.open_spaces(given, size)

    def make(chosen: Settings) -> Method:
        return entry.make(chosen, size=size, seed=seed)

    tried = []
    candidates = ({**given, **chosen} for chosen in grid_of(open_spaces))
    for trial in trials(make, candidates, data, fit_each=entry.fit_each):
        tried.append(trial)
        yield trial
    best = max(tried, key=lambda trial: trial.val_t1)
    weighings = {name: space for name, space in entry.weighings.items() if name not in given}
    weighing, penalty = _weighed(make(best.settings), data, weighings)
    settings = best.settings | weighing
    start = time.perf_counter()
    method = make(settings)
    method.fit(*data.of("trainval"), data.semantics)
    yield Chosen(method, settings, best.val_t1, penalty, time.perf_counter() - start)


def penalty_in_scores(method: Method, data: FeatureSet, gamma: float) -> float:
    """Return a seen penalty in the units of a fitted method's scores: what a model stores.

    Args:
        method: Fitted on the rows of `trainval`.
        data: The feature set.
        gamma: In units of σ.
    """
    return gamma * score_spread(method, data, "trainval")


def score_spread(method: Method, data: FeatureSet, part: str) -> float:
    """Return σ: the standard deviation of a method's scores over the rows and classes of the part that it was fitted on."""
    return float(class_scores(method, data.of(part)[0], data.semantics[data.classes(part)]).std())


def seen_unseen_curve(method: Method, data: FeatureSet) -> SeenUnseenCurve:
    """Return what rows that are judged say of seen against unseen classes, for a method fitted on the rows of `trainval`."""
    classes = np.union1d(data.classes("trainval"), data.classes("test_unseen"))
    rows = np.concatenate([data.rows["test_seen"], data.rows["test_unseen"]])
    scores = class_scores(method, data.features[rows], data.semantics[classes])
    seen = ~np.isin(classes, data.classes("test_unseen"))
    return SeenUnseenCurve.of(scores, np.searchsorted(classes, data.labels[rows]), seen)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a fitted method reaches on classes and rows that nothing was chosen by, in [0, 1].

    Attributes:
        t1: Mean over unseen classes of top-1 accuracy among them.
        u: Of unseen classes among all classes, without a seen penalty; None where no rows of seen classes are judged.
        s: Of seen classes among all classes.
        h: The harmonic mean of both.
        gamma: The seen penalty that validation chose, in units of σ; None where none was.
        penalty: The same in the units of scores: what a model stores.
        h_calibrated: H with it.
        h_oracle: H with the penalty that is best on what is judged: an upper bound, no result.
        ausuc: Area under S over U.
    """

    t1: float
    u: float | None = None
    s: float | None = None
    h: float | None = None
    gamma: float | None = None
    penalty: float | None = None
    h_calibrated: float | None = None
    h_oracle: float | None = None
    ausuc: float | None = None


def judge(method: Method, data: FeatureSet, *, gamma: float | None = None) -> Judgement:
    """Return what a method reaches that was fitted on the rows of `trainval`.

    Args:
        method: Fitted.
        data: The feature set.
        gamma: The seen penalty in units of σ.
    """
    unseen_features, unseen_labels = data.of("test_unseen")
    found = Judgement(accuracy(method, unseen_features, unseen_labels, data.semantics))
    if not len(data.rows["test_seen"]):
        return found
    curve = seen_unseen_curve(method, data)
    u, s, h = curve.at(0.0)
    found = replace(found, u=u, s=s, h=h, h_oracle=curve.best()[1], ausuc=curve.area())
    if gamma is None:
        return found
    classes = np.union1d(data.classes("trainval"), data.classes("test_unseen"))
    seen = ~np.isin(classes, data.classes("test_unseen"))
    sigma = float(class_scores(method, data.of("trainval")[0], data.semantics[classes])[:, seen].std())
    return replace(found, gamma=gamma, penalty=gamma * sigma, h_calibrated=curve.at(gamma * sigma)[2])
