"""What is asked of the table of methods: figures to reach, and figures to meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Figure = Literal["t1", "h", "h_calibrated", "h_oracle"]
TITLES: Mapping[Figure, str] = {"t1": "T1", "h": "H", "h_calibrated": "H with γ", "h_oracle": "H, oracle γ"}
CHOSEN_BY: Mapping[Figure, str] = {"t1": "val_t1", "h": "val_h", "h_calibrated": "val_h_calibrated"}
TOLERANCES = {"eszsl": 0.3, "prototype-ridge": 0.5}
_ROUNDING = 0.05  # of the figures to meet


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that the method must reach which is the best on validation classes.

    Attributes:
        data: The set.
        semantics: What describes a class.
        figure: The figure.
        least: The bar, in percent.
        generative: Whether it is one of generative methods with a final classifier alone.
    """

    data: str
    semantics: str
    figure: Figure
    least: float
    generative: bool = False

    def admits(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is one of those that may meet it."""
        own = row["data"] == self.data and row["semantics"] == self.semantics
        return own and (not self.generative or (row["family"] == "generative" and not row["method"].endswith("-mean")))


BARS = (
    Bar("flo", "sentences", "t1", 64),
    Bar("flo", "sentences", "h_calibrated", 58),
    Bar("flo", "sentences", "h", 52, generative=True),
    Bar("cub50", "attributes", "t1", 66),
    Bar("cub50", "sentences", "t1", 84),
    Bar("cub50", "sentences", "h_calibrated", 69),
    Bar("awa1", "attributes", "t1", 44),
    Bar("tinyimagenet", "clip", "t1", 44),
)
# What two methods with a closed form reach by an independent computation on the same files.
REFERENCES: Mapping[tuple[str, str, str], Mapping[Figure, float | tuple[float, float]]] = {
    ("eszsl", "flo", "sentences"): {"t1": 41.8, "h": 19.5},
    ("eszsl", "cub50", "attributes"): {"t1": 47.8},
    ("eszsl", "cub50", "sentences"): {"t1": 72.2},
    ("eszsl", "awa1", "attributes"): {"t1": 42.4},
    ("eszsl", "awa1-proposed", "attributes"): {"t1": 30.6},
    ("prototype-ridge", "flo", "sentences"): {"t1": 60.5, "h": 41.5, "h_oracle": 57.5},
    ("prototype-ridge", "cub50", "attributes"): {"t1": (64, 65), "h": 22.7, "h_oracle": 57.1},
    ("prototype-ridge", "cub50", "sentences"): {"t1": 82.4, "h": 52.0, "h_oracle": 69.5},
    ("prototype-ridge", "tinyimagenet", "clip"): {"t1": 41.0},
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar, and what was reached.

    Attributes:
        asked: The bar in words.
        method: Who is judged.
        value: What it reaches, in percent.
        passed: Whether that is enough.
        best: The method that is the best on what is judged: an oracle; empty where one method alone is asked.
        best_value: What that reaches.
    """

    asked: str
    method: str
    value: float
    passed: bool
    best: str = ""
    best_value: float = 0.0

    def sentence(self) -> str:
        """Return it as a line."""
        oracle = f"; best on what is judged (oracle): {self.best} {self.best_value:.1f}" if self.best else ""
        return f"{'pass  ' if self.passed else 'MISSED'} {self.asked}: {self.method} {self.value:.1f}{oracle}"


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Return every bar that the rows, all of one size, say something about."""
    found = []
    for bar in BARS:
        admitted = [row for row in rows if bar.admits(row)]
        if admitted:
            chosen = max(admitted, key=lambda row: row[CHOSEN_BY[bar.figure]])
            best = max(admitted, key=lambda row: row[bar.figure])
            kind = ", generative with a final classifier" if bar.generative else ""
            asked = f"{bar.data}, {bar.semantics}{kind}: {TITLES[bar.figure]} >= {bar.least:g}"
            value = chosen[bar.figure]
            found.append(Verdict(asked, chosen["method"], value, value >= bar.least, best["method"], best[bar.figure]))
    for (method, data, semantics), figures in REFERENCES.items():
        own = {"method": method, "data": data, "semantics": semantics}
        for row in (row for row in rows if own.items() <= row.items()):
            for figure, value in figures.items():
                low, high = value if isinstance(value, tuple) else (value, value)
                apart = TOLERANCES[method] + _ROUNDING
                asked = f"{data}, {semantics}: {TITLES[figure]} {_shown(value)} ± {TOLERANCES[method]:g}"
                found.append(Verdict(asked, method, row[figure], low - apart <= row[figure] <= high + apart))
    return found


def _shown(value: float | tuple[float, float]) -> str:
    return "-".join(f"{one:g}" for one in value) if isinstance(value, tuple) else f"{value:g}"
