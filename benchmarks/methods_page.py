"""Write our figures and the published ones into docs/methods.md, from what `zsl_table.py` kept.

    python benchmarks/methods_page.py

Everything between the two comments of the page is made here, so that no figure on it is typed by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.stats import spearmanr
from zsl_bars import verdicts

from edgezsl.zsl.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
# Of a row that both hold, the last one's counts.
RESULTS = tuple(ROOT / "benchmarks" / "results" / machine / "zsl_table.json" for machine in ("h200", "x86-avx512"))
OPEN, CLOSE = "<!-- figures: benchmarks/methods_page.py -->", "<!-- end of figures -->"
Column = tuple[str, str, str, str]
# Title, set, descriptions, figure.
COLUMNS: tuple[Column, ...] = (
    ("FLO T1", "flo", "sentences", "t1"),
    ("FLO H", "flo", "sentences", "h"),
    ("FLO H, γ", "flo", "sentences", "h_calibrated"),
    ("CUB-50 T1, attributes", "cub50", "attributes", "t1"),
    ("CUB-50 T1, sentences", "cub50", "sentences", "t1"),
    ("CUB-50 H, γ, sentences", "cub50", "sentences", "h_calibrated"),
    ("AwA1 T1", "awa1", "attributes", "t1"),
    ("Tiny-ImageNet T1", "tinyimagenet", "clip", "t1"),
)
SECONDS: Column = ("training on FLO, s", "flo", "sentences", "train_s")
# T1 in percent, ResNet-101 features. CUB and AWA1, proposed split: Xian et al., "Zero-shot learning - a comprehensive evaluation", TPAMI
# 2019, as the repository of TAFE-Net (Wang et al., CVPR 2019) quotes it; f-vaegan: repository of TF-VAEGAN (Narayan et al., ECCV 2020),
# its AWA being AWA2. FLO: the same repository for the generative ones; the others as f-CLSWGAN's paper has them, which was not
# looked up in the paper itself; nor were those of ConSE.
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "latem": {"CUB": 49.3, "AWA1": 55.1},
    "ale": {"CUB": 54.9, "AWA1": 59.9, "FLO": 48.5},
    "devise": {"CUB": 52.0, "AWA1": 54.2, "FLO": 45.9},
    "sje": {"CUB": 53.9, "AWA1": 65.6, "FLO": 53.4},
    "eszsl": {"CUB": 53.9, "AWA1": 58.2, "FLO": 51.0},
    "sync": {"CUB": 55.6, "AWA1": 54.0},
    "sae": {"CUB": 33.3, "AWA1": 53.0},
    "dem": {"CUB": 51.7, "AWA1": 68.4},
    "conse": {"CUB": 34.3, "AWA1": 45.6},
    "f-clswgan": {"CUB": 57.3, "AWA1": 68.2, "FLO": 67.2},
    "f-vaegan": {"CUB": 61.0, "AWA1": 71.1, "FLO": 67.7},
}
LEGEND = """\
Percent; * is a full run, where there is chance the mean of three seeds; everything else a quick one of one seed, for what has no
closed form on at most 100 images of a class and the first split. Full runs of generative methods were made on a GPU while the priors
of their classifiers were fixed, at 150, 150, 15 and 55 in the order of the table; in quick runs they are chosen on validation
classes. T1 does not depend on them, H does."""
CHOSEN = "Who is to be taken, where nobody has looked at unseen classes yet:"
COMPARED = {"CUB": ("cub50", "attributes"), "AWA1": ("awa1-proposed", "attributes"), "FLO": ("flo", "sentences")}


def main() -> int:
    """Write the page, and return the exit status."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(OPEN)
    after = rest.partition(CLOSE)[2]
    PAGE.write_text(f"{before}{OPEN}\n\n{kept()}\n\n{CLOSE}{after}", encoding="utf-8")
    return 0


def kept() -> str:
    """Return the part of the page that is made here, from the rows that were kept."""
    return figures([row for path in RESULTS for row in json.loads(path.read_text(encoding="utf-8"))["rows"]])


def figures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the part of the page: our figures, the published ones, and how alike both orders are."""
    found = best_rows(rows)
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    columns = (*COLUMNS, SECONDS)
    ours = _table(
        ["method", *(title for title, *_ in columns)],
        ([f"`{name}`", *(_cell(found, name, column) for column in columns)] for name in methods),
    )
    theirs = _table(
        ["method", *(f"{name}, published (ours)" for name in COMPARED)],
        ([f"`{name}`", *(_pair(found, name, data) for data in COMPARED)] for name in methods if name in PUBLISHED),
    )
    orders = "; ".join(f"{data} {_correlation(found, data)}" for data in COMPARED)
    chosen = _table(
        ["of these rows", "chosen on validation", "reaches", "best on what is judged (oracle)"],
        (
            [one.asked.replace(">=", "≥"), f"`{one.method}`", f"{one.value:.1f}", f"`{one.best}` {one.best_value:.1f}"]
            for one in verdicts(list(found.values()))
            if one.best
        ),
    )
    orders_said = f"Spearman's correlation of both orders by T1: {orders}."
    return f"{LEGEND}\n\n{ours}\n\n{CHOSEN}\n\n{chosen}\n\n{theirs}\n\n{orders_said}"


def best_rows(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Return the row of each method, set and kind of descriptions: the full run where there is one."""
    ordered = sorted(rows, key=lambda row: row["size"] == "full")
    return {(row["method"], row["data"], row["semantics"]): row for row in ordered}


def _cell(found: Mapping[tuple[str, str, str], Mapping[str, Any]], method: str, column: Column) -> str:
    _, data, semantics, figure = column
    row = found.get((method, data, semantics))
    if figure == "train_s" and method.endswith("-mean"):
        return "the same"  # one training has both ends
    if row is None or row[figure] is None:
        return "-"
    return f"{row[figure]:.1f}" + ("\\*" if row["size"] == "full" else "")


def _pair(found: Mapping[tuple[str, str, str], Mapping[str, Any]], method: str, data: str) -> str:
    published = PUBLISHED[method].get(data)
    own = _cell(found, method, ("", *COMPARED[data], "t1"))
    return "-" if published is None else f"{published:.1f} ({own})"


def _correlation(found: Mapping[tuple[str, str, str], Mapping[str, Any]], data: str) -> str:
    both = [
        (PUBLISHED[method][data], found[(method, *COMPARED[data])]["t1"])
        for method in PUBLISHED
        if data in PUBLISHED[method] and (method, *COMPARED[data]) in found
    ]
    if len(both) < 3:  # of two methods the correlation is 1 or -1
        return "-"
    return f"{spearmanr(*zip(*both, strict=True)).statistic:.2f} over {len(both)} methods"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(heads), ["---"] * len(heads), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
