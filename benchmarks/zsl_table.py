"""How well does every zero-shot method do, on every benchmark, by one protocol?

    python benchmarks/zsl_table.py --quick --json FILE

Settings and the seen penalty are chosen on validation classes, test classes are looked at once. `--full`: sizes of the papers, three
seeds. `--quick`: one seed; methods with a closed form lose nothing, all others have reduced widths and epochs, few of their settings
are chosen, and they see at most 100 images of a class and one split. Rows that FILE holds already are kept, so that a run that was cut
off goes on. What is asked of the figures is printed below them: who is judged is who validation likes best, and the best on what is
judged stands beside it as an oracle.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from environment import environment, sentence
from zsl_bars import verdicts

from edgezsl.data.benchmark_sets import awa1, cub50, flo, tinyimagenet
from edgezsl.evaluate.intervals import mean_interval
from edgezsl.zsl.generative.training import trained
from edgezsl.zsl.methods import METHODS, method_named
from edgezsl.zsl.selection import Chosen, fit_chosen, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.generative.training import Ends, GenerativeSchedule, Recipe
    from edgezsl.zsl.method import Rows
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.space import Settings

Run: TypeAlias = "dict[str, float | None]"
SPLITS = 5  # of Tiny-ImageNet's classes
QUICK_IMAGES = 100  # of a class, that a method without a closed form sees
KEPT = 6  # generators, so that both ends of a paper come from one training
SEEDS = {"quick": (0,), "full": (0, 1, 2)}
COLUMNS = {"val_t1": "val T1", "t1": "T1", "h": "H", "h_calibrated": "H γ", "h_oracle": "H oracle", "ausuc": "AUSUC"}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One set with one kind of descriptions.

    Attributes:
        data: Its name in the table.
        semantics: What describes a class.
        splits: Returns the feature sets: one, or one for each split.
    """

    data: str
    semantics: str
    splits: Callable[[Path], Sequence[FeatureSet]]


BENCHMARKS = (
    Benchmark("flo", "sentences", lambda data: [flo(data)]),
    Benchmark("cub50", "attributes", lambda data: [cub50(data, semantics="attributes")]),
    Benchmark("cub50", "sentences", lambda data: [cub50(data, semantics="sentences")]),
    Benchmark("awa1", "attributes", lambda data: [awa1(data, split="original")]),
    Benchmark("awa1-proposed", "attributes", lambda data: [awa1(data, split="proposed")]),
    Benchmark("tinyimagenet", "clip", lambda data: [tinyimagenet(data, seed=seed) for seed in range(SPLITS)]),
)
# What the data say themselves that their baseline was computed with.
GIVEN: dict[tuple[str, str], Settings] = {
    ("eszsl", "awa1"): {"normalized": False, "gamma": 10.0, "lambda_": 0.1},
    ("eszsl", "awa1-proposed"): {"normalized": False},
}
UNITS = frozenset({"gamma", "penalty", "train_s"})  # that are no shares
ENCODERS = {"awa1": "hand-crafted", "awa1-proposed": "hand-crafted"}


def main() -> int:
    """Fill the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("EDGEZSL_DATA")
    parser.add_argument("--folder", type=Path, default=folder, required=folder is None, help="of the reference data")
    parser.add_argument("--data", type=_names, default=None, help="sets, separated by commas; default: all")
    parser.add_argument("--methods", type=_names, default=tuple(METHODS), help="default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="the default")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--json", type=Path)
    parser.set_defaults(size="quick")
    options = parser.parse_args()
    strange = set(options.data or ()) - {one.data for one in BENCHMARKS}
    if strange:
        parser.error(
            f"there is no set {', '.join(strange)}; there are {', '.join(dict.fromkeys(one.data for one in BENCHMARKS))}"
        )

    table = Table(options.json, options.size)
    print(sentence(table.environment), flush=True)
    start = time.perf_counter()
    kept = KeptTrainings()
    for benchmark in BENCHMARKS:
        if options.data is None or benchmark.data in options.data:
            for name in options.methods:
                table.fill(benchmark, kept.entry(method_named(name)), options.folder)
    print(f"{len(table.rows)} rows, {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)
    return table.judged()


class Table:
    """The rows, kept in a file as they come.

    Args:
        path: The JSON file, or None.
        size: Of the runs.
    """

    def __init__(self, path: Path | None, size: Size) -> None:
        self.environment = environment()
        self.rows: list[dict[str, Any]] = []
        self._path, self._size = path, size
        self._environments: list[dict[str, Any]] = []
        if path is not None and path.exists():
            held = json.loads(path.read_text(encoding="utf-8"))
            self.rows, self._environments = held["rows"], held["environments"]
        self._environments.append(self.environment)

    def fill(self, benchmark: Benchmark, entry: MethodEntry, folder: Path) -> None:
        """Compute one row, unless it is there, and keep it."""
        key = {
            "method": entry.name,
            "data": benchmark.data,
            "semantics": benchmark.semantics,
            "encoder": ENCODERS.get(benchmark.data, "mobilenetv2"),
            "size": self._size,
        }
        if any(key.items() <= row.items() for row in self.rows):
            return
        row = key | {"setting": "inductive", "family": entry.family, "environment": len(self._environments) - 1}
        row |= measured(benchmark, entry, folder, self._size)
        self.rows.append(row)
        figures = "  ".join(f"{title} {_shown(row[name])}" for name, title in COLUMNS.items())
        where = f"{entry.name:<16} {benchmark.data:<13} {benchmark.semantics:<10}"
        print(f"{where} {figures}  {row['train_s']:6.1f} s of {row['total_s']:.0f}  {_settings(row)}", flush=True)
        self._write()

    def judged(self) -> int:
        """Print what is asked of the figures, keep it, and return the exit status: 1 where a full run misses something."""
        found = verdicts([row for row in self.rows if row["size"] == self._size])
        for one in found:
            print(one.sentence(), flush=True)
        self._write({f"bars_{self._size}": [asdict(one) for one in found]})
        return int(self._size == "full" and not all(one.passed for one in found))

    def _write(self, further: dict[str, Any] | None = None) -> None:
        if self._path is None:
            return
        document = {"environments": self._environments, "rows": self.rows}
        if self._path.exists():
            document = json.loads(self._path.read_text(encoding="utf-8")) | document
        text = json.dumps(document | (further or {}), indent=1, ensure_ascii=False)
        self._path.write_text(text + "\n", encoding="utf-8")


class KeptTrainings:
    """Trains generative models, and gives the last ones again: a classifier and means are two ends of the same generator."""

    def __init__(self) -> None:
        self._kept: dict[str, Ends] = {}

    def entry(self, entry: MethodEntry) -> MethodEntry:
        """Return a method's entry, trained here where it is generative."""
        if entry.family != "generative":
            return entry
        return replace(entry, build=partial(entry.build, trainer=self._trained))

    def _trained(
        self,
        recipe: Recipe,
        schedule: GenerativeSchedule,
        features: Rows,
        labels: NDArray[np.integer],
        semantics: Rows,
    ) -> Ends:
        digest = hashlib.sha256()
        for array in (features, labels, semantics):
            digest.update(np.ascontiguousarray(array))
        key = f"{recipe} {schedule} {digest.hexdigest()}"
        if key not in self._kept:
            if len(self._kept) == KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = trained(recipe, schedule, features, labels, semantics)
        return self._kept[key]


def thinned(data: FeatureSet, most: int) -> FeatureSet:
    """Return a set with at most `most` rows of each class to learn from; what is judged is the same."""
    random = np.random.default_rng(0)
    kept = np.zeros(len(data.labels), bool)
    for one in np.unique(data.labels):
        kept[random.permutation(np.flatnonzero(data.labels == one))[:most]] = True
    learned = {part: rows[kept[rows]] for part, rows in data.rows.items() if not part.startswith("test_")}
    return replace(data, rows={**data.rows, **learned})


def measured(benchmark: Benchmark, entry: MethodEntry, folder: Path, size: Size) -> dict[str, Any]:
    """Return the figures of a row in percent: means over splits and seeds, with 95% intervals where there are several."""
    runs: list[Run] = []
    chosen: list[Settings] = []
    seeds = SEEDS[size] if entry.seeded else (0,)
    start = time.perf_counter()
    splits = benchmark.splits(folder)
    if size == "quick" and entry.seeded:
        splits = [thinned(splits[0], QUICK_IMAGES)]
    for data in splits:
        settings = dict(GIVEN.get((entry.name, benchmark.data), {}))
        for seed in seeds:
            found, run = run_once(entry, data, size, seed, settings)
            settings = found.settings  # chosen with the first seed
            runs.append(run)
        chosen.append(settings)
    return {
        "seeds": list(seeds),
        "splits": len(chosen),
        **means(runs),
        "fixed": dict(entry.quick if size == "quick" else entry.full),
        "settings": chosen,
        "total_s": round(time.perf_counter() - start, 1),
    }


def run_once(entry: MethodEntry, data: FeatureSet, size: Size, seed: int, settings: Settings) -> tuple[Chosen, Run]:
    """Return a method that was chosen and fitted, and its figures as shares."""
    steps = fit_chosen(entry, data, size=size, seed=seed, settings=settings)
    found = next(one for one in steps if isinstance(one, Chosen))
    run = asdict(judge(found.method, data, gamma=found.gamma))
    run |= {"val_t1": found.val_t1, "train_s": found.train_s}
    if len(data.rows["test_seen"]):
        penalty = found.seen_penalty
        run |= {"val_h": penalty.val_h_without, "val_h_calibrated": penalty.val_h}
    return found, run


def means(runs: Sequence[Run]) -> Run:
    """Return the means of figures over runs, in percent, and half of the 95% interval of T1."""
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    found = {name: _mean(values, 1.0 if name in UNITS else 100.0) for name, values in columns.items()}
    return found | {"t1_interval": _half_interval([100 * value for value in columns["t1"] if value is not None])}


def _mean(values: list[float | None], scale: float) -> float | None:
    known = [value for value in values if value is not None]
    return round(scale * float(np.mean(known)), 3) if known else None


def _half_interval(values: list[float]) -> float | None:
    """Return half of the 95% interval of a mean; None for a single value."""
    found = mean_interval(values)
    return round((found.high - found.low) / 2, 2) if len(values) > 1 else None


def _shown(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.1f}"


def _settings(row: dict[str, Any]) -> str:
    """Return what was chosen and what the size fixes."""
    return ", ".join(f"{name} {value:g}" for name, value in {**row["fixed"], **row["settings"][0]}.items())


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    raise SystemExit(main())
