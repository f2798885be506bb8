"""What a hyper-parameter search asks: T1 on classes that are held back, for each split and seed, of any settings of a method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.errors import InputError
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.zsl.selection import rows_to_choose_by, trials, validation_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Method
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.space import Settings, Space


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched.

    Attributes:
        spaces: What may be chosen, by setting.
        parts: Returns an iterator of T1 on validation classes in [0, 1], one for each split and seed, always in one order.
        count: How many those are.
        digest: Of all that a value depends on besides the settings: a study answers one question.
    """

    spaces: Mapping[str, Space]
    parts: Callable[[Settings], Iterator[float]]
    count: int
    digest: str


def question_of(
    entry: MethodEntry,
    splits: Sequence[FeatureSet],
    *,
    size: Size,
    seeds: Sequence[int] = (0,),
    settings: Settings | None = None,
    part: str = "val",
) -> Question:
    """Return the question which settings of a method are best on validation classes.

    Args:
        entry: The method.
        splits: Feature sets, over which the mean is taken.
        size: Of the runs.
        seeds: Over which the mean is taken, of a method that starts from random numbers.
        settings: Take these, and search the others.
        part: Whose rows choose.

    Raises:
        InputError: When `part` holds rows that are judged, or nothing is left to search.
    """
    for data in splits:
        rows_to_choose_by(data, part)
    given = settings or {}
    spaces = {name: space for name, space in entry.spaces.items() if name not in given}
    if not spaces:
        raise InputError(
            f"{entry.name} has no setting left to search", code="nothing_to_search", expected="an open one"
        )
    kept = tuple(seeds) if entry.seeded else (0,)
    each = [_tried(entry, data, size=size, seed=seed, part=part) for data in splits for seed in kept]

    def parts(chosen: Settings) -> Iterator[float]:
        for tried in each:
            yield tried({**given, **chosen})

    asked = {"method": entry.name, "size": size, "seeds": list(kept), "settings": given, "spaces": repr(spaces)}
    digest = sha256_hex(canonical_json({**asked, "data": [data.digest() for data in splits], "part": part}))
    return Question(spaces, parts, len(each), digest)


def _tried(entry: MethodEntry, data: FeatureSet, *, size: Size, seed: int, part: str) -> Callable[[Settings], float]:
    """Return what tells T1 of settings; where a method can, it computes once what does not depend on them."""

    def make(chosen: Settings) -> Method:
        return entry.make(chosen, size=size, seed=seed)

    if entry.fit_each is None:
        return lambda chosen: validation_accuracy(make(chosen), data, part=part)
    asked: list[Settings] = []
    answers = trials(make, iter(asked.pop, None), data, part=part, fit_each=entry.fit_each)

    def next_answer(chosen: Settings) -> float:
        asked.append(chosen)
        return next(answers).val_t1

    return next_answer
