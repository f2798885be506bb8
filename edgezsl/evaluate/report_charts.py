"""The charts of an evaluation: what is right class by class, what is taken for what, the curve over penalties, and rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.evaluate.svg import BLUE, FAINT, INK, ORANGE, RIGHT, WRONG, chart, legend, plain, svg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.evaluate.evaluation import SeenUnseen
    from edgezsl.evaluate.recognition_figures import RecognitionFigures
    from edgezsl.evaluate.temperature import TemperatureFit
    from edgezsl.evaluate.thresholds import Rejection

_NAMED_BARS, _NAMED_CELLS = 80, 50  # classes; of more the names would overlap
_WIDE, _HALF = 11.0, 5.4  # inches
_LINES = (20, 40, 60, 80)  # of equal H, in percent


def seen_unseen_chart(found: SeenUnseen) -> str:
    """Return the curve of S over U in percent, with the penalties that matter marked on it.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(_HALF, 4.2)
    curve = found.curve
    axes.fill_between(100 * curve.unseen, 100 * curve.seen, color=BLUE, alpha=0.13, linewidth=0)
    axes.plot(100 * curve.unseen, 100 * curve.seen, color=BLUE, linewidth=1.8)
    for height in _LINES:  # of equal H
        unseen = np.linspace(height / 2 + 0.2, 100, 200)
        axes.plot(unseen, height * unseen / (2 * unseen - height), color=FAINT, linewidth=0.6, linestyle=":")
    marks = (("no penalty", 0.0, ORANGE, "o"), ("chosen by validation", found.penalty, RIGHT, "D"))
    for label, penalty, colour, marker in (*marks, ("oracle", curve.best()[0], FAINT, "s")):
        unseen_at, seen_at, mean = (100 * value for value in curve.at(penalty))
        axes.plot(
            unseen_at,
            seen_at,
            marker,
            color=colour,
            markersize=7,
            zorder=4,
            label=f"{label}: H {mean:.1f}",
            clip_on=False,
        )
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="U: unseen classes right, %", ylabel="S: seen classes right, %")
    legend(axes, loc="upper right")
    return svg(figure, "curve")


def per_class_chart(figures: RecognitionFigures) -> str:
    """Return a bar for each class that has images, the best first.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    shares = 100 * figures.per_class
    order = [row for row in np.argsort(-shares, kind="stable") if np.isfinite(shares[row])]
    counts = figures.confusion.sum(axis=1)
    named = len(order) <= _NAMED_BARS
    if not named:
        figure, (axes,) = chart(_WIDE, 2.6)
        axes.bar(np.arange(len(order)), shares[order], width=1.0, color=_shade(shares[order]))
        axes.set(
            xlim=(-0.5, len(order) - 0.5), ylim=(0, 100), ylabel="right, %", xlabel=f"{len(order)} classes, best first"
        )
        axes.set_xticks([])
        return svg(figure, "classes")
    figure, (axes,) = chart(_WIDE, 0.7 + 0.21 * len(order))
    axes.barh(np.arange(len(order)), shares[order], height=0.72, color=_shade(shares[order]))
    names = plain(f"{figures.names[row]}" for row in order)
    axes.set_yticks(np.arange(len(order)), names)
    for place, row in enumerate(order):
        axes.text(
            shares[row] + 0.6,
            place,
            f"{shares[row]:.0f}% of {counts[row]}",
            va="center",
            fontsize=8,
            color=INK,
            alpha=0.7,
        )
    axes.set(xlim=(0, 108), ylim=(len(order) - 0.4, -0.6), xlabel="right, %")
    axes.set_xticks(range(0, 101, 20))
    axes.axvline(float(np.mean(shares[order])), color=FAINT, linewidth=1, linestyle="--", zorder=0)
    axes.tick_params(axis="y", length=0)
    return svg(figure, "classes")


def _shade(shares: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """Return a colour for each share in percent, from that of wrong over orange to that of right."""
    stops = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in (WRONG, ORANGE, RIGHT)])
    mixed = [np.interp(shares, (0, 50, 100), stops[:, channel]) for channel in range(3)]
    return [(float(red), float(green), float(blue)) for red, green, blue in zip(*mixed, strict=True)]


def confusion_chart(figures: RecognitionFigures) -> str:
    """Return the matrix of what was taken for what: right on the diagonal in green, mistakes in red, shares of each own class.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    counts = figures.confusion.sum(axis=1)
    occurring = np.flatnonzero(counts | figures.confusion.sum(axis=0))
    kept = figures.confusion[np.ix_(occurring, occurring)]
    shares = kept / np.maximum(counts[occurring], 1)[:, None]
    pixels = np.zeros((*shares.shape, 4))
    for colour, cells in ((WRONG, ~np.eye(len(kept), dtype=bool)), (RIGHT, np.eye(len(kept), dtype=bool))):
        pixels[cells, :3] = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    pixels[..., 3] = np.sqrt(shares)  # so that a mistake of one in a hundred is seen at all
    named = len(kept) <= _NAMED_CELLS
    side = min(_WIDE, 3.0 + (0.2 * len(kept) if named else 5.0))
    figure, (axes,) = chart(side, side - 0.6)
    axes.imshow(pixels, interpolation="none", aspect="equal")
    axes.set(xlabel="taken for", ylabel="is")
    if named:
        names = plain(figures.names[row] for row in occurring)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axes.set_yticks(range(len(names)), names, fontsize=8)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    return svg(figure, "confusion")


def rejection_chart(found: Rejection) -> str:
    """Return how best scores spread, of images whose class is in the vocabulary and of others.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(_HALF, 3.2)
    bins = np.histogram_bin_edges(np.concatenate([found.inside, found.outside]), 40)
    for scores, colour, label in (
        (found.inside, BLUE, "class in the vocabulary"),
        (found.outside, ORANGE, "class left out"),
    ):
        weights = np.full(len(scores), 100 / len(scores))
        axes.hist(scores, bins, weights=weights, color=colour, alpha=0.3)
        axes.hist(scores, bins, weights=weights, color=colour, histtype="step", linewidth=1.4, label=label)
    if found.threshold is not None and bins[0] <= found.threshold <= bins[-1]:
        axes.axvline(found.threshold, color=INK, linewidth=1.2, linestyle="--", label="threshold")
    axes.set(xlabel="score of the best class", ylabel="images, %")
    legend(axes)
    return svg(figure, "rejection")


def reliability_chart(fit: TemperatureFit) -> str:
    """Return how often what is said with a probability is right, before and after the temperature was fitted.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    figure, (axes,) = chart(_HALF, 3.2)
    axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1, linestyle=":")
    for one, colour, label in zip(fit.reliability, (ORANGE, RIGHT), ("before", "after"), strict=True):
        _reliability(
            axes, 100 * one.probability, 100 * one.right, one.share, colour, f"{label}: ECE {100 * one.ece:.1f}"
        )
    axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="probability of the best class, %", ylabel="right, %")
    legend(axes, loc="upper left")
    return svg(figure, "reliability")


def _reliability(
    axes: Any,
    said: NDArray[np.float64],
    right: NDArray[np.float64],
    share: NDArray[np.float64],
    colour: str,
    label: str,
) -> None:
    filled = np.isfinite(said)
    axes.plot(said[filled], right[filled], color=colour, linewidth=1.4, label=label)
    axes.scatter(
        said[filled], right[filled], s=4 + 160 * share[filled], color=colour, alpha=0.6, linewidth=0, clip_on=False
    )
