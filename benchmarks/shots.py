"""What are a few examples of an unseen class worth beside its description?

    python benchmarks/shots.py --folder $EDGEZSL_DATA --json benchmarks/results/x86-avx2/shots.json

Settings and κ, as how many examples a description counts, are chosen on validation classes. Examples are test rows of unseen classes
and are not judged; all numbers of shots of a draw are judged on the same rows, so that their difference is that of the shots.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from report import Report

from edgezsl.data.benchmark_sets import cub50, flo
from edgezsl.evaluate.intervals import mean_interval
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import trials
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.shots import SHOTS, chosen_kappa, shot_accuracies
from edgezsl.zsl.space import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgezsl.data.feature_set import FeatureSet

DRAWS = 100
VALIDATION_DRAWS = range(1000, 1030)
SUBJECTS: dict[str, Callable[[Path], FeatureSet]] = {
    "flo, sentences": flo,
    "cub50, attributes": lambda data: cub50(data, semantics="attributes"),
    "cub50, sentences": lambda data: cub50(data, semantics="sentences"),
}


def main() -> int:
    """Measure accuracy by shots, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the reference data")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    report = Report(f"Examples of unseen classes beside their description: prototype-ridge, T1, mean of {DRAWS} draws")
    for name, read in SUBJECTS.items():
        report.section(name)
        tell(report, name, read(options.folder))
    return report.finish(options.json)


def tell(report: Report, name: str, data: FeatureSet) -> None:
    """Choose on validation classes, and report what is reached with each number of examples."""
    entry = method_named("prototype-ridge")
    tried = list(trials(entry.make, grid_of(entry.spaces), data, fit_each=entry.fit_each))
    settings = max(tried, key=lambda trial: trial.val_t1).settings
    method = PrototypeRidge(float(settings["penalty"]))
    kappa = chosen_kappa(method.fit(*data.of("train"), data.semantics), data, seeds=VALIDATION_DRAWS)
    report.note(f"{name}: by validation, penalty {settings['penalty']:g} and κ {kappa:g}")
    method.fit(*data.of("trainval"), data.semantics)
    reached = 100 * shot_accuracies(method, data, part="test_unseen", kappas=(kappa, 0.0), seeds=range(DRAWS))
    for number, shots in enumerate(SHOTS):
        for column, title in enumerate(("with the description", "examples alone")):
            if shots or not column:
                add(report, f"{name}: {shots} shots, {title}", reached[:, number, column])
    for number, shots in enumerate(SHOTS):
        if shots:
            gained = reached[:, number, 0] - reached[:, number, 1]
            add(report, f"{name}: {shots} shots, what the description adds", gained, unit="pts")


def add(report: Report, title: str, values: np.ndarray, *, unit: str = "%") -> None:
    """Report the mean over draws with its 95% interval, and how far draws lie apart."""
    interval = mean_interval(values.tolist())
    spread = float(np.std(values, ddof=1))
    report.add(f"{title} (± {interval.high - interval.value:.2f}, draws ± {spread:.1f})", interval.value, unit)


if __name__ == "__main__":
    raise SystemExit(main())
