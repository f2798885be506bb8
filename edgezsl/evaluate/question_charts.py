"""The charts of the hard questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.svg import BLUE, FAINT, INK, ORANGE, chart, plain, svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgezsl.evaluate.questions import GrowthPoint, Hubness, Nearness, SemanticGap

_HALF, _HEIGHT = 5.4, 3.4  # inches
_DARKEST, _FAINTEST = 0.95, 0.12  # of a cell: the most pairs, and one pair
_NAMED = 60  # classes; of more the names would overlap
_BELOW = 12  # points of type between a label above its point and one below it
_LINE, _SHARE_OF_A_POINT = 0.05, 0.0045  # of the height: a line of type, and a point of it


def gap_chart(gap: SemanticGap) -> str:
    """Return pairs of classes: how alike they look over how alike they are described.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    figure, (axes,) = chart(_HALF, _HEIGHT)
    red, green, blue = (int(BLUE[at : at + 2], 16) / 255 for at in (1, 3, 5))
    shades = LinearSegmentedColormap.from_list("", [(red, green, blue, _FAINTEST), (red, green, blue, _DARKEST)])
    axes.hexbin(gap.semantic, gap.visual, gridsize=34, mincnt=1, cmap=shades, norm=LogNorm(), linewidths=0)
    axes.set(xlabel="described alike (cosine)", ylabel="look alike (cosine)")
    return svg(figure, "gap")


def hubness_chart(hubness: Hubness) -> str:
    """Return how many images each class is among the best of, the most first.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(_HALF, _HEIGHT)
    order = np.argsort(-hubness.occurrences, kind="stable")
    axes.bar(np.arange(len(order)), hubness.occurrences[order], width=0.82, color=BLUE)
    axes.axhline(hubness.expected, color=ORANGE, linewidth=1.2, linestyle="--")
    axes.text(
        len(order) - 0.5,
        hubness.expected,
        "if all had equally many ",
        ha="right",
        va="bottom",
        fontsize=8,
        color=ORANGE,
    )
    axes.set(ylabel=f"images with it in the best {hubness.k}", xlim=(-0.6, len(order) - 0.4))
    if len(order) <= _NAMED:
        axes.set_xticks(
            range(len(order)), plain(hubness.names[row] for row in order), rotation=60, ha="right", fontsize=7.5
        )
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(order)} classes")
    return svg(figure, "hubs")


def growth_chart(points: Sequence[GrowthPoint]) -> str:
    """Return accuracy against the number of seen classes, and against the number of images of each.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, both = chart(2 * _HALF, 3.0, panels=2)
    words = {"classes": "seen classes", "images": "images of each seen class"}
    for axes, (kind, label) in zip(both, words.items(), strict=True):
        _growth(axes, [one for one in points if one.kind == kind])
        axes.set_xscale("log")
        axes.set(xlabel=f"{label} (logarithmic)", ylabel="T1 on unseen classes, %")
    return svg(figure, "growth")


def shots_chart(points: Sequence[GrowthPoint]) -> str:
    """Return accuracy against the number of examples of each unseen class.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(2 * _HALF, 3.0)
    _growth(axes, points)
    axes.set(xlabel="examples of each unseen class, beside its description", ylabel="T1 on unseen classes, %")
    return svg(figure, "shots")


def _growth(axes: Any, points: Sequence[GrowthPoint]) -> None:
    counts = sorted({one.count for one in points})
    means = [100 * float(np.mean([one.accuracy for one in points if one.count == count])) for count in counts]
    axes.plot(counts, means, color=BLUE, linewidth=1.8)
    axes.scatter(
        [one.count for one in points], [100 * one.accuracy for one in points], s=20, color=BLUE, alpha=0.45, linewidth=0
    )
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)


def nearness_chart(nearness: Nearness) -> str:
    """Return the accuracy of each unseen class over how alike the nearest seen class is described.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(2 * _HALF, 3.8)
    known = np.flatnonzero(np.isfinite(nearness.accuracy))
    shown = 100 * nearness.accuracy
    axes.scatter(nearness.similarity[known], shown[known], s=34, color=BLUE, alpha=0.75, linewidth=0, zorder=3)
    for row, drop in _free_labels(nearness, known):
        place, name = (nearness.similarity[row], shown[row]), plain([nearness.names[row]])[0]
        axes.annotate(name, place, (5, 3 - drop), textcoords="offset points", fontsize=8, color=INK, alpha=0.8)
    axes.set(xlabel="described like the nearest seen class (cosine)", ylabel="right among unseen classes, %")
    axes.margins(x=0.09)
    axes.set_ylim(-4, 106)
    return svg(figure, "nearness")


def _free_labels(nearness: Nearness, known: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return the classes whose names have room, above or below their point, and by how many points of type each is lower."""
    width = float(np.ptp(nearness.similarity[known])) or 1.0
    taken: list[tuple[float, float, float]] = []
    found = []
    for row in known if len(known) <= _NAMED else ():
        begin, end = (nearness.similarity[row] / width + reach for reach in (0.0, 0.013 * len(nearness.names[row])))
        for drop in (0, _BELOW):
            height = nearness.accuracy[row] - drop * _SHARE_OF_A_POINT
            if all(end < left or begin > right or abs(height - other) > _LINE for left, right, other in taken):
                taken.append((begin, end, height))
                found.append((int(row), drop))
                break
    return found
