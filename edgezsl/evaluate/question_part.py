"""The part of a report on the field's hard questions: each as a sentence, a chart and a number."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.evaluate.question_charts import gap_chart, growth_chart, hubness_chart, nearness_chart, shots_chart

if TYPE_CHECKING:
    from edgezsl.evaluate.evaluation import HardQuestions
    from edgezsl.evaluate.intervals import Interval
    from edgezsl.evaluate.questions import GrowthPoint, Hubness, Nearness, SemanticGap

_SKEWED = 1.0  # of an exponential distribution it is 2, of a normal one 0


def question_part(found: HardQuestions) -> str:
    """Return the part as markup.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    return (
        "<h2>The hard questions</h2>\n"
        f'<div class="pair">{_gap(found.gap)}{_hubness(found.hubness)}</div>\n'
        f"{_growth(found.growth)}\n{_shots(found.shots)}\n{_nearness(found.nearness)}"
    )


def _gap(gap: SemanticGap) -> str:
    return (
        f'<div><h3>Do classes that look alike have like descriptions?</h3>\n<figure class="chart">{gap_chart(gap)}</figure>\n'
        f"<p>Rank correlation over {len(gap.visual)} pairs of classes: {_interval(gap.correlation)}. The nearer to 1, the "
        "smaller the semantic gap. Both sides less the mean of all classes.</p></div>"
    )


def _hubness(hubness: Hubness) -> str:
    most = int(hubness.occurrences.argmax())
    times = hubness.occurrences[most] / hubness.expected
    verdict = (
        "a few classes attract images of all others" if hubness.skewness > _SKEWED else "no class attracts them all"
    )
    return (
        f'<div><h3>Are there hubs?</h3>\n<figure class="chart">{hubness_chart(hubness)}</figure>\n<p>Skewness of how often '
        f"a class is among the best {hubness.k}: {hubness.skewness:.2f}; {verdict}. The most frequent, "
        f"{escape(hubness.names[most])}, comes {times:.1f} times as often as if all had equally many.</p></div>"
    )


def _growth(points: tuple[GrowthPoint, ...]) -> str:
    if not points:
        return ""
    said = {}
    for kind in ("classes", "images"):
        counts = sorted({one.count for one in points if one.kind == kind})
        ends = [
            float(np.mean([one.accuracy for one in points if (one.kind, one.count) == (kind, count)]))
            for count in (counts[len(counts) // 2], counts[-1])
        ]
        said[kind] = f"{counts[len(counts) // 2]} give {100 * ends[0]:.1f}%, {counts[-1]} give {100 * ends[1]:.1f}%"
    return (
        "<h3>Do more seen classes help, or more images of each?</h3>\n<p>Fitted again on a part of the seen classes, and on a "
        f"part of each class's images, with the same settings. Of classes {said['classes']}; of images of each {said['images']}."
        f' Every dot is one random choice.</p>\n<div class="wide">{growth_chart(points)}</div>'
    )


def _shots(points: tuple[GrowthPoint, ...]) -> str:
    if not points:
        return ""
    counts = sorted({one.count for one in points})
    reached = {count: 100 * float(np.mean([one.accuracy for one in points if one.count == count])) for count in counts}
    said = ", ".join(f"{count}: {value:.1f}%" for count, value in reached.items())
    return (
        "<h3>What is an example worth beside the description?</h3>\n<p>Pictures of unseen classes are drawn, and others are judged, the "
        f"same ones for every number of examples. {said}. Every dot is one random choice.</p>\n"
        f'<div class="wide">{shots_chart(points)}</div>'
    )


def _nearness(nearness: Nearness) -> str:
    return (
        "<h3>Must an unseen class be like a seen one?</h3>\n<p>Rank correlation of a class's accuracy with how alike the nearest "
        f'seen class is described: {_interval(nearness.correlation)}.</p>\n<div class="wide">{nearness_chart(nearness)}</div>'
    )


def _interval(one: Interval) -> str:
    if not np.isfinite(one.value):
        return "unknown, as one side is the same for all"
    if not np.isfinite(one.low):
        return f"{one.value:.2f}"
    doubt = ", which does not exclude 0" if one.low <= 0 <= one.high else ""
    return f"{one.value:.2f} (95% interval {one.low:.2f} to {one.high:.2f}{doubt})"
