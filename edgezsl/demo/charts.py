"""The charts of the demo's report, as SVG: scores over time, and the time from each answer to the next.

matplotlib is imported inside functions, and without its plotting state. Text and axes take the page's own colour, so that they can
be read on a light page and on a dark one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgezsl.demo.record import called
from edgezsl.evaluate.svg import INK, chart, svg

if TYPE_CHECKING:
    from edgezsl.demo.record import DemoReport, Seen

_FAINT = "#808890"
_WRONG = "#d63a3a"
_SWAP = "#d97706"
_COLOURS = ("#3b82d6", "#e0731d", "#22a06b", "#c04a9c", "#8b6ad9", "#b08a00", "#0f9bb0", "#d05a5a")
_WIDTH = 11.0  # inches
_LEAST_BAND_S = 0.8  # a shorter band has no room for its words


def score_chart(report: DemoReport) -> str:
    """Return the chart of the scores: a line for each class, a band for each shot, the swap marked.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    figure, axes = _figure(4.6)
    colours = _colours(report)
    for revision in sorted({one.answer.revision for one in report.seen}):
        for name, times, scores in _lines(report, revision):
            colour = colours.get(name)
            style: dict[str, Any] = {"color": _FAINT, "linewidth": 0.8, "alpha": 0.55, "zorder": 2}
            if colour is not None:
                style = {"color": colour, "linewidth": 1.8, "zorder": 3}
            axes.plot(times, scores, **style)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.34 * (high - low))  # room for the words
    _bands(axes, report, colours)
    _mark_swap(axes, report, words=True)
    axes.set_ylabel("score of each class")
    axes.set_xlabel("seconds since the first frame")
    return svg(figure, "scores")


def gap_chart(report: DemoReport) -> str:
    """Return the chart of the time from each answer to the next, in frame periods, the swap marked.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    figure, axes = _figure(1.9)
    times = [one.answer.time - report.began for one in report.seen[1:]]
    axes.axhline(1, color=_FAINT, linewidth=0.8, linestyle=":")
    axes.vlines(times, 0, report.gaps, color=_COLOURS[0], linewidth=1.2)
    axes.set_ylim(0, max(2.5, 1.1 * float(report.gaps.max(initial=0.0))))
    _mark_swap(axes, report, words=False)
    axes.set_ylabel("frame periods")
    axes.set_xlabel("seconds since the first frame")
    return svg(figure, "gaps")


def _figure(height: float) -> tuple[Any, Any]:
    figure, (axes,) = chart(_WIDTH, height)
    axes.margins(x=0.005)
    return figure, axes


def _colours(report: DemoReport) -> dict[str, str]:
    """Return a colour for each class that is the right answer somewhere: one colour for each photograph."""
    found = {}
    for index, scene in enumerate(report.script.scenes):
        for name in (scene.before, scene.after):
            if name is not None:
                found[name] = _COLOURS[index % len(_COLOURS)]
    return found


def _lines(report: DemoReport, revision: int) -> list[tuple[str, list[float], list[float]]]:
    """Return name, times and scores of every class that a class set lists."""
    seen = [one for one in report.seen if one.answer.revision == revision]
    names = list(dict.fromkeys(score.name for one in seen for score in one.top))
    times = [one.answer.time - report.began for one in seen]
    return [(name, times, [_score(one, name) for one in seen]) for name in names]


def _score(seen: Seen, name: str) -> float:
    return next((one.score for one in seen.top if one.name == name), float("nan"))


def _bands(axes: Any, report: DemoReport, colours: dict[str, str]) -> None:
    """Draw a band for each segment, with what is shown and what is said above it."""
    segments = report.segments
    above = axes.get_xaxis_transform()
    for index, one in enumerate(segments):
        end = segments[index + 1].begin_s if index + 1 < len(segments) else one.end_s
        if one.shot % 2:
            axes.axvspan(one.begin_s, end, color=_FAINT, alpha=0.12, linewidth=0, zorder=0)
        if end - one.begin_s < _LEAST_BAND_S:
            continue
        middle = (one.begin_s + end) / 2
        wrong = one.said != one.expected
        shown, said = (text.replace(" ", "\n", 1) for text in (one.title.split(" ", 1)[-1], called(one.said)))
        axes.text(middle, 0.99, shown, transform=above, ha="center", va="top", fontsize=7.5, color=INK, alpha=0.75)
        colour = _WRONG if wrong else colours.get(one.said or "", INK)
        axes.text(middle, 0.875, said, transform=above, ha="center", va="top", fontsize=8, color=colour, weight="bold")


def _mark_swap(axes: Any, report: DemoReport, *, words: bool) -> None:
    swap = report.swap
    if swap is None:
        return
    axes.axvline(swap.edited_s, color=_SWAP, linewidth=1.2, linestyle=":", zorder=4)
    axes.axvline(swap.swapped_s, color=_SWAP, linewidth=1.6, zorder=4)
    if words:
        low, high = axes.get_ylim()
        floor = low + 0.02 * (high - low)
        for place, text, side in (
            (swap.edited_s, "file edited ", "right"),
            (swap.swapped_s, " classes swapped", "left"),
        ):
            axes.text(place, floor, text, ha=side, va="bottom", fontsize=8.5, color=_SWAP, weight="bold", zorder=5)
