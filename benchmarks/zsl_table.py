"""How well does every zero-shot method do, on every benchmark, by one protocol?

    python benchmarks/zsl_table.py --quick --json FILE

Settings and the seen penalty are chosen on validation classes, test classes are looked at once. `--quick`: reduced widths and epochs,
one seed. `--full`: sizes of the papers, three seeds. Rows that FILE holds already are kept, so that a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from environment import environment, sentence

from edgezsl.data.benchmark_sets import awa1, cub50, flo, tinyimagenet
from edgezsl.evaluate.intervals import mean_interval
from edgezsl.zsl.methods import METHODS, method_named
from edgezsl.zsl.selection import Chosen, fit_chosen, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.space import Settings

SPLITS = 5  # of Tiny-ImageNet's classes
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

    table = Table(options.json, options.size)
    print(sentence(table.environment), flush=True)
    start = time.perf_counter()
    for benchmark in BENCHMARKS:
        if options.data is None or benchmark.data in options.data:
            for name in options.methods:
                table.fill(benchmark, method_named(name), options.folder)
    print(f"{len(table.rows)} rows, {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)
    return 0


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
        if path is not None and path.exists():
            self.rows = json.loads(path.read_text(encoding="utf-8"))["rows"]

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
        row = key | {"setting": "inductive"} | measured(benchmark, entry, folder, self._size)
        self.rows.append(row)
        figures = "  ".join(f"{title} {_shown(row[name])}" for name, title in COLUMNS.items())
        print(
            f"{entry.name:<16} {benchmark.data:<13} {benchmark.semantics:<10} {figures}  {row['train_s']:.1f} s",
            flush=True,
        )
        if self._path is not None:
            text = json.dumps({"environment": self.environment, "rows": self.rows}, indent=1, ensure_ascii=False)
            self._path.write_text(text + "\n", encoding="utf-8")


def measured(benchmark: Benchmark, entry: MethodEntry, folder: Path, size: Size) -> dict[str, Any]:
    """Return the figures of a row in percent: means over splits and seeds, with 95% intervals where there are several."""
    runs: list[dict[str, float | None]] = []
    chosen: list[Settings] = []
    seeds = SEEDS[size] if entry.seeded else (0,)
    start = time.perf_counter()
    for data in benchmark.splits(folder):
        settings = dict(GIVEN.get((entry.name, benchmark.data), {}))
        for seed in seeds:
            steps = fit_chosen(entry, data, size=size, seed=seed, settings=settings)
            found = next(one for one in steps if isinstance(one, Chosen))
            settings = found.settings  # chosen with the first seed
            held = {"val_t1": found.val_t1, "train_s": found.train_s}
            if len(data.rows["test_seen"]):
                penalty = found.seen_penalty
                held |= {"val_h": penalty.val_h_without, "val_h_calibrated": penalty.val_h}
            runs.append(asdict(judge(found.method, data, gamma=found.gamma)) | held)
        chosen.append(settings)
    columns = {name: [run[name] for run in runs] for name in runs[0]}
    return {
        "seeds": list(seeds),
        "splits": len(chosen),
        **{name: _mean(values, 1.0 if name in UNITS else 100.0) for name, values in columns.items()},
        "t1_interval": _half_interval([100 * value for value in columns["t1"] if value is not None]),
        "settings": chosen,
        "total_s": round(time.perf_counter() - start, 1),
    }


def _mean(values: list[float | None], scale: float) -> float | None:
    known = [value for value in values if value is not None]
    return round(scale * float(np.mean(known)), 3) if known else None


def _half_interval(values: list[float]) -> float | None:
    """Return half of the 95% interval of a mean; None for a single value."""
    found = mean_interval(values)
    return round((found.high - found.low) / 2, 2) if len(values) > 1 else None


def _shown(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.1f}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    raise SystemExit(main())
