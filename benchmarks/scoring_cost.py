"""Scoring many classes beside the bare product of the same matrix and vector: the last part of `pipeline.py`."""

from __future__ import annotations

import math
import statistics
import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.engine import FunctionEngine
from edgezsl.runtime.recognizer import TOP_K, Recognizer
from edgezsl.scoring import rank, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from report import Report

DIM = 512
MANY = 10_000  # classes; from here on the bar holds
MOST_SHARE = 1.25
MOST_MEMORY = 0.1  # of the matrix, while one embedding is scored
BEST_SCORE = 0.3
FEWEST_RUNS = 15
WARM_UP = 2


def scoring(report: Report, numbers: Iterable[int], seconds: float) -> None:
    """Compare scores, top 5, probabilities and decision with the bare product, for each number of classes."""
    report.section(f"scoring with top {TOP_K}, probabilities and decision, D = {DIM}, one embedding")
    for count in numbers:
        _score(report, random_classes(count), seconds)


def random_classes(count: int) -> ClassPrototypes:
    """Return `count` classes of random unit rows, with thresholds, none of them negative."""
    vectors = np.random.default_rng(0).standard_normal((count, DIM), np.float32)
    vectors /= np.sqrt(np.einsum("kd,kd->k", vectors, vectors))[:, None]
    zeros = np.zeros(count, np.float32)
    flags = np.zeros(count, np.bool_)
    space = EmbeddingSpace("c0ffee00", DIM, "cosine", logit_scale=100.0)
    names = tuple(f"class {row}" for row in range(count))
    return ClassPrototypes(names, vectors, space, zeros, zeros.copy(), flags, flags.copy())


def frame_embedding(classes: ClassPrototypes) -> NDArray[np.float32]:
    """Return an embedding `(1, D)` that has a cosine of about 0.3 with the first class, as a frame has, and 0 with others."""
    noise = np.random.default_rng(1).standard_normal(DIM).astype(np.float32)
    mixed = BEST_SCORE * classes.vectors[0] + math.sqrt(1 - BEST_SCORE**2) * noise / np.linalg.norm(noise)
    return np.asarray(mixed[None] / np.linalg.norm(mixed), np.float32)


def _score(report: Report, classes: ClassPrototypes, seconds: float) -> None:
    embedding = frame_embedding(classes)

    def bare() -> object:
        return classes.vectors.dot(embedding[0])

    def ours() -> object:
        row = scores(embedding, classes.vectors, None)[0]  # as a recognizer does where no class has a bias or penalty
        return rank(row, classes.space, limits=classes.limits, negative=None, k=TOP_K)

    arms = {"bare": bare, "ours": ours}
    if len(classes) <= MANY:  # above it the digest of the set, which a recognizer wants, is most of the work here
        contract = InputContract((1, 1), "squash", "area", (0,) * 3, (1,) * 3, "float32", "pixels", "embedding")
        recognizer = Recognizer(FunctionEngine(lambda _: embedding), contract, classes)
        arms["answer"] = lambda: recognizer.answer(embedding)
    medians = _medians_us(arms, seconds)
    what, most = f"{len(classes):,} classes", MOST_SHARE if len(classes) >= MANY else None
    report.add(f"{what}: bare product", medians["bare"], "us")
    report.add(f"{what}: scored and ranked", medians["ours"], "us")
    if "answer" in medians:
        report.add(f"{what}: whole answer of a recognizer", medians["answer"], "us")
    report.add(f"{what}: scored and ranked, times the bare product", medians["ours"] / medians["bare"], most=most)
    share = _peak_bytes(ours) / classes.vectors.nbytes
    report.add(
        f"{what}: memory while scoring, share of the matrix", share, most=MOST_MEMORY if most is not None else None
    )


def _medians_us(arms: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the median microseconds of each arm; the arms take turns."""
    taken: dict[str, list[float]] = {name: [] for name in arms}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(taken["bare"]) < FEWEST_RUNS + WARM_UP:
        for name, arm in arms.items():
            start = time.perf_counter()
            arm()
            taken[name].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(values[WARM_UP:]) for name, values in taken.items()}


def _peak_bytes(work: Callable[[], object]) -> int:
    """Return what `work` allocates at most at one time; numpy tells tracemalloc of its arrays."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
