"""A few examples of an unseen class beside its description: how much each counts, and what that is worth.

The predicted prototype is a prior, the mean of the examples what was seen: `(κ predicted + n mean) / (κ + n)`, so that the
description counts as much as κ examples, and a class with many of them is what its examples are. That is the posterior mean of a
normal distribution's centre (Gelman et al., "Bayesian data analysis", section 2.5), with one κ for every class and number. It
needs a method whose prototypes lie where its embeddings do, both at length 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import InputError
from edgezsl.evaluate.metrics import per_class_accuracy
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.method import cosine_sides
from edgezsl.zsl.selection import rows_to_choose_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.method import Rows, ZeroShotMethod

SHOTS = (0, 1, 2, 5, 10)
KAPPAS = tuple(float(f"{value:.3g}") for value in np.geomspace(0.1, 100, 13))


def with_examples(predicted: Rows, means: Rows, *, count: int, kappa: float) -> Rows:
    """Return the class prototypes `(K, D)` at length 1 of classes with a description and examples.

    Args:
        predicted: From descriptions, at length 1 `(K, D)`.
        means: Mean embeddings of each class's examples `(K, D)`, of any length; not looked at where there are none.
        count: Examples of each class, n ≥ 0.
        kappa: As how many examples a description counts, ≥ 0, and > 0 where there are no examples.
    """
    return unit(predicted) if not count else unit((kappa * predicted + count * means) / (kappa + count))


@dataclass(frozen=True, slots=True, eq=False)
class ExampleDraw:
    """Rows of a part that are examples, and those that are judged: never the same, whatever the number of shots.

    Attributes:
        examples: `(K, n)`, those of each class in the order in which they are taken.
        judged: `(J,)`, ascending.
    """

    examples: NDArray[np.int64]
    judged: NDArray[np.int64]

    @classmethod
    def of(cls, targets: NDArray[np.integer], most: int, *, seed: int) -> ExampleDraw:
        """Return a draw.

        Args:
            targets: `(N,)`, the class of each row, from 0 to K - 1.
            most: Examples of each class that are set apart.
            seed: Of the draw.

        Raises:
            InputError: When a class has no row left to be judged.
        """
        fewest = int(np.bincount(targets).min())
        if fewest <= most:
            raise InputError(
                f"{most} rows of each class are examples, one class has {fewest}",
                code="too_few_rows",
                expected="at least one row of each class that is no example",
                hint="take fewer shots",
            )
        random = np.random.default_rng(seed)
        own = [random.permutation(np.flatnonzero(targets == one)) for one in range(int(targets.max()) + 1)]
        return cls(np.array([rows[:most] for rows in own]), np.sort(np.concatenate([rows[most:] for rows in own])))


def shot_accuracies(
    method: ZeroShotMethod,
    data: FeatureSet,
    *,
    part: str,
    kappas: Sequence[float],
    seeds: Iterable[int],
    shots: Sequence[int] = SHOTS,
) -> NDArray[np.float64]:
    """Return T1 `(R, S, L)` of R draws, S numbers of shots and L values of κ, in [0, 1].

    Args:
        method: Fitted; its embeddings and prototypes have length 1, without bias.
        data: The feature set.
        part: Whose classes have examples and whose other rows are judged: the same rows for every number of shots.
        kappas: Of `with_examples`; 0 for examples alone, then no description is looked at.
        seeds: Of the draws.
        shots: Numbers of examples of each class; 0 is the description alone.

    Raises:
        InputError: When a prototype or an embedding has another length, or there is a bias; when a class has too few rows.
    """
    features, labels = data.of(part)
    classes, targets = np.unique(labels, return_inverse=True)
    rows, predicted = cosine_sides(method, features, data.semantics[classes])
    found = []
    for seed in seeds:
        draw = ExampleDraw.of(targets, max(shots), seed=seed)
        judged, right = rows[draw.judged], targets[draw.judged]
        of_draw = []
        for count in shots:
            means = rows[draw.examples[:, :count]].mean(axis=1) if count else np.zeros_like(predicted)
            of_draw.append([_reached(judged, right, (predicted, means), count, kappa) for kappa in kappas])
        found.append(of_draw)
    return np.array(found)


def _reached(judged: Rows, right: NDArray[np.integer], sides: tuple[Rows, Rows], count: int, kappa: float) -> float:
    prototypes = with_examples(*sides, count=count, kappa=kappa)
    return per_class_accuracy((judged @ prototypes.T).argmax(axis=1), right)


def chosen_kappa(method: ZeroShotMethod, data: FeatureSet, *, seeds: Iterable[int], part: str = "val") -> float:
    """Return the κ of `KAPPAS` with the highest mean T1 over draws and numbers of shots, on classes that are held back.

    Numbers of shots that leave no row of some class to be judged are passed over.

    Args:
        method: Fitted on the training classes alone.
        data: The feature set.
        seeds: Of the draws.
        part: Whose rows choose.

    Raises:
        InputError: When `part` holds rows that are judged, a class has one row alone, or as `shot_accuracies` does.
    """
    rows_to_choose_by(data, part)
    fewest = int(np.unique(data.of(part)[1], return_counts=True)[1].min())
    shots = [count for count in SHOTS if count == 1 or 1 < count < fewest]
    reached = shot_accuracies(method, data, part=part, kappas=KAPPAS, seeds=seeds, shots=shots)
    return KAPPAS[int(reached.mean(axis=(0, 1)).argmax())]
