"""The report of an evaluation as one HTML page. Whatever comes from outside, names of classes above all, is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.evaluate.corruptions import SEVERITIES, SIDE
from edgezsl.evaluate.document import document, facts, row, table, tiles
from edgezsl.evaluate.intervals import mean_interval
from edgezsl.evaluate.metrics import auroc, fpr95
from edgezsl.evaluate.question_part import question_part
from edgezsl.evaluate.report_charts import (
    confusion_chart,
    per_class_chart,
    rejection_chart,
    reliability_chart,
    seen_unseen_chart,
)
from edgezsl.evaluate.thresholds import FALSE_ACCEPTS

if TYPE_CHECKING:
    from edgezsl.evaluate.evaluation import Evaluation, SeenUnseen
    from edgezsl.evaluate.folder_robustness import Robustness
    from edgezsl.evaluate.intervals import Interval
    from edgezsl.evaluate.recognition_figures import RecognitionFigures
    from edgezsl.evaluate.temperature import TemperatureFit
    from edgezsl.evaluate.thresholds import Rejection, ThresholdFit

_MISTAKES = 12


def evaluation_page(found: Evaluation) -> str:
    """Return the report as an HTML document.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    parts = (
        _heading(found),
        _seeds(found),
        _seen_unseen(found.seen_unseen),
        _classes(found.figures),
        _mistakes(found.figures),
        _rejection(found.rejection),
        _thresholds(found.thresholds),
        _temperature(found.temperature),
        _robustness(found.robustness),
        question_part(found.questions) if found.questions else "",
        f"<h2>How it was measured</h2>\n{facts(found.facts.items())}",
    )
    return document(found.title, parts)


def percent(share: float) -> str:
    """Return a share in [0, 1] as a number of percent with one decimal."""
    return f"{100 * share:.1f}"


def _heading(found: Evaluation) -> str:
    figures, both = found.figures, found.seen_unseen
    among = f"{len(figures.names)} classes"
    known = [(f"{percent(figures.top[1])}%", f"right, mean over {among}")]
    if both is not None:
        u, s, h = both.curve.at(0.0)
        chosen = both.curve.at(both.penalty)
        known = [
            (percent(figures.top[1]), f"T1: right among {len(figures.names)} unseen classes, %"),
            (f"{percent(u)} / {percent(s)}", "U and S: unseen and seen classes together, no penalty"),
            (percent(h), "H: their harmonic mean"),
            (percent(chosen[2]), "H with the seen penalty that validation chose"),
            (f"{both.curve.area():.3f}", "AUSUC: area under S over U"),
        ]
    known += [(percent(value), f"among the best {k}, %") for k, value in figures.top.items() if k > 1]
    known += [(percent(figures.mean_average_precision), "mean average precision, %")]
    known += [(percent(figures.macro_f1), "macro F1, %")]
    if found.rejection is not None:
        area = auroc(found.rejection.inside, found.rejection.outside)
        known.append((f"{area:.3f}", "AUROC of rejection"))
    right = figures.right
    return (
        f"<h1>{escape(found.title)}</h1>\n<p>{figures.images} images. Each class counts the same, however many images it has. "
        f"Counted by image, {percent(right.value)}% are right (95% interval {percent(right.low)} to {percent(right.high)}).</p>\n"
        f"{tiles(known)}"
    )


def _seeds(found: Evaluation) -> str:
    several = {name: values for name, values in found.runs.items() if len(values) > 1}
    if not several:
        return ""
    rows = []
    for name, values in several.items():
        mean = mean_interval(values)
        each = " ".join(f"{value:.1f}" for value in values)
        rows.append(row((name,), (f"{mean.value:.1f}", f"{mean.low:.1f} to {mean.high:.1f}", each)))
    columns = ("figure", "mean, %", "95% interval", "each seed")
    return (
        "<h2>Over seeds</h2>\n<p>The interval of the mean is Student's. Charts and the other figures are those of the first "
        f"seed.</p>\n{table(columns, rows, numbers=columns[1:])}"
    )


def _seen_unseen(both: SeenUnseen | None) -> str:
    if both is None:
        return ""
    rows = []
    for words, penalty in (
        ("no penalty", 0.0),
        ("chosen by validation", both.penalty),
        ("oracle: best on these images, no result", both.curve.best()[0]),
    ):
        cells = (percent(value) for value in both.curve.at(penalty))
        rows.append(row((words,), (f"{penalty:.4g}", *cells)))
    columns = ("seen penalty", "in scores", "U", "S", "H")
    return (
        "<h2>Seen and unseen classes together</h2>\n<p>A model favours the classes that it was fitted on. A penalty on their "
        "scores moves along this curve; dotted lines are of equal H.</p>\n"
        f'<div class="pair"><figure class="chart">{seen_unseen_chart(both)}</figure>'
        f"{table(columns, rows, numbers=columns[1:])}</div>"
    )


def _classes(figures: RecognitionFigures) -> str:
    shares = figures.per_class
    known = shares[np.isfinite(shares)]
    never = int((known == 0).sum())
    also = f", and {never} never right" if never else ""
    return (
        f"<h2>Class by class</h2>\n<p>The share of each class's images that is right. Half of the classes are above "
        f"{percent(float(np.median(known)))}%{also}. The dashed line is the mean.</p>\n"
        f'<div class="wide">{per_class_chart(figures)}</div>'
    )


def _mistakes(figures: RecognitionFigures) -> str:
    found = figures.mistakes(_MISTAKES)
    rows = [row((one.own, one.taken), (percent(one.share), str(one.images))) for one in found]
    columns = ("is", "taken for", "% of its images", "images")
    listed = table(columns, rows, numbers=columns[2:]) if rows else "<p>None.</p>"
    return (
        "<h2>What is taken for what</h2>\n<p>A row for each class, green where it is right. The deeper a colour, the larger "
        f'the share of the row.</p>\n<div class="wide matrix">{confusion_chart(figures)}</div>\n'
        f"<h3>The largest shares</h3>\n{listed}"
    )


def _rejection(found: Rejection | None) -> str:
    if found is None:
        return ""
    shown = [
        (f"{auroc(found.inside, found.outside):.3f}", "AUROC: 0.5 is chance, 1 tells all apart"),
        (
            percent(fpr95(found.inside, found.outside)),
            "FPR95: % of left-out images that pass where 95% of the others do",
        ),
    ]
    if found.passing is not None:
        inside, outside = found.passing
        shown += [
            (percent(outside), f"% of left-out images pass a threshold that was to allow {100 * FALSE_ACCEPTS:g}"),
            (percent(inside), "% of the others pass it"),
        ]
    names = ", ".join(found.left_out)
    return (
        f"<h2>None of these</h2>\n<p>{len(found.outside)} images are of classes that were left out of the vocabulary, "
        f'{len(found.inside)} of others. The score of the best class must tell them apart.</p>\n<div class="pair">'
        f'<figure class="chart">{rejection_chart(found)}</figure><div>{tiles(shown)}'
        f'<p class="soft">Left out: {escape(names)}.</p></div></div>'
    )


def _thresholds(fit: ThresholdFit | None) -> str:
    if fit is None:
        return ""
    rows = []
    for words, one in fit.decisions.items():
        values = fit.thresholds.get(words)
        known = 0 if values is None else int(np.isfinite(values).sum())
        accepted = "-" if one.accepted is None else percent(one.accepted)
        numbers = (percent(one.right), percent(one.wrong), percent(1 - one.right - one.wrong), accepted)
        rows.append(row((words,), (str(known), *numbers)))
    columns = ("thresholds", "classes with one", "right, %", "wrong, %", "none of these, %", "left-out accepted, %")
    return (
        "<h2>Thresholds</h2>\n<p>Each class's own, found on half of the images and judged on the other half. A false accept of a class is an image of another that is decided as it.</p>\n"
        + table(columns, rows, numbers=columns[1:])
    )


def _temperature(fit: TemperatureFit | None) -> str:
    if fit is None:
        return ""
    rows = [
        row((words,), (f"{value:.4g}", f"{nll:.3f}", percent(one.ece)))
        for words, value, nll, one in zip(
            ("before", "fitted"), (fit.before, fit.temperature), fit.nll, fit.reliability, strict=True
        )
    ]
    columns = ("", "score temperature", "negative log-likelihood", "ECE, %")
    return (
        "<h2>Score temperature</h2>\n<p>A temperature changes no answer. It makes probabilities of scores, so that of what is said "
        f"with 80% four in five are right. Fitted on {escape(fit.fitted_on)}; judged here. Larger dots: more images.</p>\n"
        f'<div class="pair"><figure class="chart">{reliability_chart(fit)}</figure>{table(columns, rows, numbers=columns[1:])}'
        "</div>"
    )


def _robustness(found: Robustness | None) -> str:
    if found is None:
        return ""
    part = "<h2>Bad frames and attacks</h2>\n"
    if found.corrupted:
        severities = range(1, 1 + len(SEVERITIES))
        columns = ("right, %", "clean", *(f"severity {level}" for level in severities))
        rows = [row((kind,), (percent(one.value) for one in shares)) for kind, shares in found.corrupted.items()]
        part += f"<p>The severities are those of ImageNet-C, made for {SIDE} pixels.</p>\n{table(columns, rows, numbers=columns[1:])}"
    if found.attacked:
        columns = ("attacked", "images", "right without, %", "right under attack, %", "95% interval")
        rows = [
            row((name,), (str(one.done), percent(one.clean.value), percent(one.robust.value), _interval(one.robust)))
            for name, one in found.attacked.items()
        ]
        part += f"<p>{escape(found.attack)}.</p>\n{table(columns, rows, numbers=columns[1:])}"
    return part


def _interval(one: Interval) -> str:
    return f"{percent(one.low)} to {percent(one.high)}"
