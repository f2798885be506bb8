"""Hyper-parameter search: which settings of a method are best on validation classes, when a grid is too coarse or too large.

A study is a table of trials that may lie in a database: several processes and machines search one study together, and one that dies
leaves its finished trials behind. Judged is T1 on classes that are held back, as by `edgezsl.zsl.selection`, the mean over splits and
seeds; settings whose running mean falls behind the median of finished trials are given up. The only module that imports `optuna`; its
errors end here.

Samplers: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 2012; Bergstra et al., "Algorithms for
hyper-parameter optimization", NeurIPS 2011, section 4 (TPE); Deb et al., "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE TEC 2002, with one objective (evolutionary).
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.errors import InputError, Place, TransientError, first_line, missing_extra, redacted, shown
from edgezsl.evaluate.progress import Progress
from edgezsl.zsl.space import LogRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import optuna

    from edgezsl.zsl.question import Question
    from edgezsl.zsl.space import Settings, Space

Sampler = Literal["grid", "random", "tpe", "evolutionary"]
JOURNAL = "journal:"  # what a storage begins with that is a file of lines, for a folder that machines share
POPULATION = 10  # of the evolutionary sampler
UNPRUNED = 5  # trials that are finished in any case
_LOCKED_S = 60  # for which a process waits for another to leave a file of SQLite
_OPENINGS, _BETWEEN_S = 5, 0.2  # two processes that make the tables of one database at once: one of them tries again
_DRIVER = "install the driver of that database, such as psycopg2-binary for PostgreSQL or pymysql for MySQL"
_ANSWERS = "edgezsl.question"  # attribute of a study: the digest of what its trials answer
_WORKER = "edgezsl.worker"  # attribute of a trial: machine and process that tried it


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search.

    Attributes:
        sampler: `grid`, `random`, `tpe` or `evolutionary`.
        trials: How many finished trials the study shall hold, those of other processes and of earlier runs among them; a
            grid ends when each of its points is finished instead.
        study: Its name; a study of this name in the storage is continued.
        storage: A database that Optuna takes, such as `sqlite:///study.db`, or `journal:FILE`, or None: memory.
        seed: Of the sampler, for a study in memory alone: processes that share one must not draw alike.
    """

    sampler: Sampler = "tpe"
    trials: int = 25
    study: str = "study"
    storage: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SearchStep(Progress):
    """One trial that this process has finished; `done` are those of the study.

    Attributes:
        settings: What was tried.
        val_t1: T1 on the validation classes, in [0, 1]; None for settings that were given up.
    """

    settings: Settings
    val_t1: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """What a study holds at the end.

    Attributes:
        settings: The best.
        val_t1: Their T1 on the validation classes, in [0, 1].
        trials: Finished trials, those that were given up among them.
        pruned: Those that were given up.
        values: T1 of every trial, in the order of their numbers; None for one that was given up.
    """

    settings: Settings
    val_t1: float
    trials: int
    pruned: int
    values: tuple[float | None, ...] = field(repr=False)


def search(question: Question, plan: Plan) -> Iterator[SearchStep | Found]:
    """Try settings until the study holds enough finished trials; yield each that this process tried, and what was found.

    A process that is killed leaves its unfinished trial open in the storage, where it counts for nothing. Processes that
    share a study may finish more trials than wanted, by one for each process but the first.

    Args:
        question: What is searched.
        plan: How.

    Raises:
        InputError: When the storage cannot be opened, or its study answers another question.
        TransientError: When the storage fails on the way.
        MissingExtraError: When the package optuna is not installed.
    """
    if plan.trials < 1:
        raise InputError(f"{plan.trials} trials are wanted", code="bad_value", expected="at least 1")
    with _storage(plan) as storage:
        with _quiet(plan):
            study, total = _opened(question, plan, storage)
        while True:
            with _quiet(plan):
                trials = _finished(study)
                if _is_enough(study, trials, total):
                    break
                last = _tried(study, question)
                step = _step(last, _finished(study), total)
            yield step
    yield _found(trials)


def _opened(question: Question, plan: Plan, storage: optuna.storages.BaseStorage) -> tuple[optuna.Study, int]:
    """Return the study, and how many finished trials it shall hold."""
    import optuna

    grids = {name: list(space.grid()) for name, space in question.spaces.items()}
    is_grid = plan.sampler == "grid"
    study = optuna.create_study(
        study_name=plan.study,
        storage=storage,
        sampler=_sampler(plan, grids),
        pruner=optuna.pruners.NopPruner() if is_grid else optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
        direction="maximize",
        load_if_exists=True,
    )
    known = study.user_attrs.get(_ANSWERS)
    if known is None:
        study.set_user_attr(_ANSWERS, question.digest)
    elif known != question.digest:
        raise InputError(
            f"the study {shown(plan.study)} is of another method, data, size, seeds or settings",
            code="other_study",
            where=_place(plan),
            hint="give this search a name of its own: --study NAME",
        )
    return study, int(np.prod([len(grid) for grid in grids.values()])) if is_grid else plan.trials


def _sampler(plan: Plan, grids: Mapping[str, list[Any]]) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    seed = plan.seed if plan.storage is None else None
    if plan.sampler == "grid":
        return samplers.GridSampler(grids, seed=0)  # its trials are numbers of points, in an order that the seed gives
    if plan.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if plan.sampler == "tpe":
        return samplers.TPESampler(seed=seed)
    return samplers.NSGAIISampler(population_size=POPULATION, seed=seed)


def _is_enough(study: optuna.Study, trials: list[optuna.trial.FrozenTrial], total: int) -> bool:
    from optuna.samplers import GridSampler

    return study.sampler.is_exhausted(study) if isinstance(study.sampler, GridSampler) else len(trials) >= total


def _tried(study: optuna.Study, question: Question) -> optuna.trial.FrozenTrial:
    """Run one trial, and return it."""
    done: list[optuna.trial.FrozenTrial] = []
    study.optimize(partial(_value_of, question=question), n_trials=1, callbacks=[lambda _, trial: done.append(trial)])
    return done[0]


def _value_of(trial: optuna.Trial, *, question: Question) -> float:
    """Return the mean over splits and seeds, or give up where the running mean is below the median of trials that went to the end."""
    import optuna

    trial.set_user_attr(_WORKER, f"{platform.node()}:{os.getpid()}")
    settings: Settings = {name: _suggested(trial, name, space) for name, space in question.spaces.items()}
    values: list[float] = []
    for value in question.parts(settings):
        values.append(value)
        if len(values) < question.count:
            trial.report(float(np.mean(values)), len(values))
            if trial.should_prune():
                raise optuna.TrialPruned
    return float(np.mean(values))


def _suggested(trial: optuna.Trial, name: str, space: Space) -> Any:
    if isinstance(space, LogRange):
        return trial.suggest_float(name, space.low, space.high, log=True)
    return trial.suggest_categorical(name, space.values)


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _value(trial: optuna.trial.FrozenTrial) -> float | None:
    return trial.value if trial.state.name == "COMPLETE" else None  # that of a pruned one is a running mean


def _step(last: optuna.trial.FrozenTrial, trials: list[optuna.trial.FrozenTrial], total: int) -> SearchStep:
    known = [value for value in map(_value, trials) if value is not None]
    said = f"best {100 * max(known):.1f}" if known else "searching"
    return SearchStep(said, len(trials), total, last.params, _value(last))


def _found(trials: list[optuna.trial.FrozenTrial]) -> Found:
    values = tuple(map(_value, trials))
    best = max(trials, key=lambda trial: -1.0 if (value := _value(trial)) is None else value)
    return Found(best.params, _value(best) or 0.0, len(trials), values.count(None), values)


@contextmanager
def _storage(plan: Plan) -> Iterator[optuna.storages.BaseStorage]:
    """Open the storage of a plan, and close it."""
    try:
        import optuna
    except ImportError as cause:
        raise missing_extra("optuna", "train", "searching settings", cause) from cause
    if plan.storage is None:
        yield optuna.storages.InMemoryStorage()
        return
    with _quiet(plan):
        storage = _storage_at(plan, plan.storage)
    try:
        yield storage
    finally:
        storage.remove_session()
        if isinstance(storage, optuna.storages.RDBStorage):
            storage.engine.dispose()


def _storage_at(plan: Plan, address: str, *, tries: int = _OPENINGS) -> optuna.storages.BaseStorage:
    """Open a storage by its address.

    Raises:
        InputError: When there is nothing to open there.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import SQLAlchemyError

    waiting = {"connect_args": {"timeout": _LOCKED_S}} if address.startswith("sqlite") else {}
    try:
        if address.startswith(JOURNAL):
            return JournalStorage(JournalFileBackend(address.removeprefix(JOURNAL)))
        return RDBStorage(address, engine_kwargs=waiting)
    except (SQLAlchemyError, ImportError, RuntimeError, ValueError, OSError) as cause:
        if tries == 1 or not isinstance(cause, SQLAlchemyError):
            raise InputError(
                f"the storage cannot be opened ({first_line(cause)})",
                code="bad_storage",
                where=_place(plan),
                expected=f"a database such as sqlite:///study.db, or {JOURNAL}FILE",
                hint=_DRIVER if isinstance(cause, ImportError) else "check the address, and that the folder exists",
            ) from cause
    time.sleep(_BETWEEN_S)
    return _storage_at(plan, address, tries=tries - 1)


@contextmanager
def _quiet(plan: Plan) -> Iterator[None]:
    """Let optuna log nothing and announce no experiment in here, and turn a failure of its storage into ours."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as cause:
        first = cause.__cause__ if isinstance(cause.__cause__, Exception) else cause
        raise TransientError(
            f"the storage of the study failed ({first_line(first)})",
            code="storage_failed",
            where=_place(plan),
            hint="give the same command again: finished trials are kept",
        ) from cause
    finally:
        optuna.logging.set_verbosity(level)


def _place(plan: Plan) -> Place:
    return Place(None if plan.storage is None else redacted(plan.storage))
