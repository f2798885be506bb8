"""Charts of a report as SVG, without matplotlib's plotting state: text and axes take the page's own colour, light or dark."""

from __future__ import annotations

import io
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edgezsl.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterable

INK = "#010203"  # stands for the page's own colour of text
FAINT = "#808890"
RIGHT, WRONG = "#22a06b", "#d63a3a"
BLUE, ORANGE = "#3b82d6", "#e0731d"
SMALL = 9  # points
_EXTRA, _PURPOSE = "demo", "the charts of the report"


def check_charts() -> None:
    """Check that charts can be drawn, without the second that importing matplotlib takes.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", _EXTRA, _PURPOSE)


def chart(width: float, height: float, *, panels: int = 1) -> tuple[Any, list[Any]]:
    """Return a figure without ground or frame, and its axes side by side.

    Args:
        width: Inches.
        height: Inches.
        panels: How many axes.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as cause:
        raise missing_extra("matplotlib", _EXTRA, _PURPOSE, cause) from cause
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    found = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for axes in found:
        axes.patch.set_visible(False)
        axes.tick_params(colors=INK, labelsize=SMALL)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(INK)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=INK, fontsize=SMALL)
    return figure, found


def legend(axes: Any, **settings: Any) -> None:
    """Draw the legend of what has a label, in the page's colour."""
    axes.legend(frameon=False, fontsize=SMALL, labelcolor=INK, **settings)


def svg(figure: Any, salt: str) -> str:
    """Return a figure as an `<svg>` element without anything that a page does not need.

    Args:
        figure: Of `chart`.
        salt: Another for each chart of a page: ids are the page's.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\1{salt}-", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def plain(names: Iterable[str]) -> list[str]:
    """Return names as labels of an axis: a dollar sign in one would begin a formula, and a long one is cut."""
    return [_cut(name).replace("$", r"\$") for name in names]


def _cut(name: str, most: int = 32) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
