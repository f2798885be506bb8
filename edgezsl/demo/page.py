"""The demo's report as one HTML file. Whatever comes from outside, names of classes above all, is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.demo.charts import gap_chart, score_chart
from edgezsl.demo.photographs import LICENCES
from edgezsl.demo.record import called
from edgezsl.evaluate.document import document, facts, jpeg, table, tiles

if TYPE_CHECKING:
    from edgezsl.demo.photographs import Credit
    from edgezsl.demo.record import DemoReport, Seen, Segment, Still, Swap


def page(report: DemoReport) -> str:
    """Return the report as an HTML document.

    Raises:
        MissingExtraError: When matplotlib is not installed, or cannot be imported.
    """
    title = "edgezsl demo: classes changed while the camera ran" if report.swap else "edgezsl demo"
    parts = (
        _heading(report, title),
        _swap_part(report),
        _strip(report),
        _charts(report),
        _segments(report),
        _surroundings(report),
        _photographs(report),
        _next(report),
    )
    return document(title, parts)


def _heading(report: DemoReport, title: str) -> str:
    shown = len(report.script.scenes)
    right = sum(one.right for one in report.seen)
    swap = report.swap
    found = [
        (f"{len(report.seen)} of {report.counts.due}", "frames of the camera were answered"),
        (str(len(report.lost)), "frames lost"),
        (f"{report.measured_fps:.1f}", f"answers a second; the camera gives {report.fps:g}"),
        (f"{right} of {len(report.seen)}", "answers were right"),
    ]
    if swap is not None:
        found += [
            (f"{swap.gap:.2f}", "frame periods from the last old answer to the first new one"),
            (f"{swap.swapped_s - swap.edited_s:.2f} s", "from the edit of the file to the swap"),
        ]
    held = (
        '<p class="held">Every frame that fell due at the camera was answered, before, at and after the swap.</p>'
        if not report.faults
        else "".join(f'<p class="fault"><b class="wrong">Did not hold:</b> {escape(one)}.</p>' for one in report.faults)
    )
    changed = (
        " The answers changed from one frame to the next. No model was trained, loaded or restarted for it."
        if swap is not None
        else ""
    )
    return (
        f"<h1>{escape(title)}</h1>\n<p>{shown} photographs moved before a virtual camera, with pan, zoom, sensor noise and "
        "changing light, and a model told them apart live. Half-way <code>classes.yaml</code> was edited: other words, new "
        f"classes, one class silenced.{changed}</p>\n{tiles(found)}\n{held}"
    )


def _swap_part(report: DemoReport) -> str:
    swap = report.swap
    pair = [still for still in report.stills if still.at_swap][:2]
    if swap is None:
        return ""
    labels = (
        f"frame {swap.last_before}, the last with the old classes",
        f"frame {swap.first_after}, the first with the new",
    )
    figures = "".join(
        _figure(still, label, after=index == 1) for index, (still, label) in enumerate(zip(pair, labels, strict=False))
    )
    texts = "".join(f"<pre>{escape(text)}</pre>" for text in (report.script.before, report.script.after))
    return (
        f'<h2>The swap</h2>\n<p>{escape(_swap_sentence(swap, report))}</p>\n<div class="pair">{figures}</div>\n'
        f'<h2>The class file, before and after its edit</h2>\n<div class="pair">{texts}</div>'
    )


def _swap_sentence(swap: Swap, report: DemoReport) -> str:
    return (
        f"The file was replaced {swap.edited_s:.2f} s after the first frame. Its watcher noticed, a child process embedded "
        f"the new words, and {swap.swapped_s - swap.edited_s:.2f} s later the stream took the new class matrix between two "
        f"frames. {swap.gap:.2f} frame periods lie between the two answers below; over the whole show the longest wait "
        f"between two answers was {float(report.gaps.max(initial=0.0)):.2f}."
    )


def _strip(report: DemoReport) -> str:
    stills = [still for still in report.stills if not still.at_swap]
    figures = "".join(
        _figure(still, f"frame {still.seen.answer.frame}", after=_is_after(still.seen)) for still in stills
    )
    return (
        "<h2>What the camera saw, and what was said</h2>\n<p>One frame of each shot. A coloured frame: answered by the edited "
        f'class file.</p>\n<div class="strip">{figures}</div>'
    )


def _figure(still: Still, label: str, *, after: bool) -> str:
    seen = still.seen
    score = next((f" {one.score:.2f}" for one in seen.top if one.name == seen.decision), "")
    verdict = (
        '<span class="right">right</span>'
        if seen.right
        else f'<span class="wrong">wrong: {escape(called(seen.expected))} was expected</span>'
    )
    return (
        f"<figure{' class=' + chr(34) + 'after' + chr(34) if after else ''}>{jpeg(still.jpeg, seen.title)}"
        f"<figcaption>{escape(label)}: {escape(seen.title)}"
        f"<b>{escape(called(seen.decision))}{score}</b>{verdict}</figcaption></figure>"
    )


def _charts(report: DemoReport) -> str:
    return (
        "<h2>Scores over time</h2>\n<p>A line for each class: in colour those that are the right answer for some photograph, "
        "in grey the others. Above each band what was shown, and in bold what was said most often. Negative classes are not "
        f'drawn: they absorb, and are never reported.</p>\n<div class="wide">{score_chart(report)}</div>\n'
        "<h2>From each answer to the next</h2>\n<p>In frame periods; 1 is the pace of the camera. A lost frame would stand "
        f'at 2.</p>\n<div class="wide">{gap_chart(report)}</div>'
    )


def _segments(report: DemoReport) -> str:
    segments = report.segments
    rows = []
    for index, one in enumerate(segments):
        last = index + 1 < len(segments) and segments[index + 1].revision != one.revision
        rows.append(f"<tr{' class=' + chr(34) + 'swap' + chr(34) if last else ''}>{_segment_cells(one)}</tr>")
    columns = ("time", "shown", "classes", "expected", "said", "right", "score")
    return (
        "<h2>Every segment</h2>\n"
        + table(columns, rows, numbers=("right", "score"))
        + (
            '<p class="soft">said: the answer given most often; score: mean of the best class over the segment, reported or '
            "not.</p>"
        )
    )


def _segment_cells(one: Segment) -> str:
    verdict = "right" if one.said == one.expected else "wrong"
    cells = (
        f"{one.begin_s:.1f} to {one.end_s:.1f} s",
        one.title,
        "before the edit" if one.revision == 1 else "after it",
        called(one.expected),
    )
    return (
        "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + f'<td class="{verdict}"><b>{escape(called(one.said))}</b></td>'
        + f'<td class="number">{one.right} of {one.frames}</td><td class="number">{one.score:.2f}</td>'
    )


def _surroundings(report: DemoReport) -> str:
    at = report.surroundings
    counts = report.counts
    p50, p95 = np.percentile(report.latencies_ms, [50, 95]).tolist() if report.seen else (0.0, 0.0)
    found = [
        ("command", at.command),
        (
            "frames",
            f"{counts.due} due, {counts.given} fetched, {counts.dropped} overtaken, {len(report.seen)} answered",
        ),
        ("capture to answer", f"{p50:.1f} ms (median), {p95:.1f} ms (95th percentile)"),
        ("model", at.model),
        ("its licence", at.licence),
        ("engine", at.engine),
        ("machine", at.machine),
        ("system", at.system),
        ("versions", ", ".join(f"{name} {number}" for name, number in at.versions.items())),
    ]
    return (
        f'<h2>Where it ran</h2>\n{facts(found)}\n<p class="soft">Times belong to this machine and to what else it did. The '
        "photographs and the words were chosen for this demo: it shows how the program works, and does not measure how often "
        "the model is right.</p>"
    )


def _photographs(report: DemoReport) -> str:
    rows = [_credit(scene.photograph.credit) for scene in report.script.scenes]
    missing = "".join(f"<p>Not shown: {escape(one)}.</p>" for one in report.missing)
    columns = ("photograph", "by", "licence", "comes with", "see")
    changed = '<p class="soft">The frames on this page are crops of them, with noise and other light.</p>'
    return "<h2>The photographs</h2>\n" + table(columns, rows) + changed + missing


def _credit(one: Credit) -> str:
    licence = _link(LICENCES[one.licence], one.licence) if one.licence in LICENCES else escape(one.licence)
    texts = (escape(one.title), escape(one.author), licence, escape(f"{one.distribution}: {one.file}"))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (*texts, _link(one.link, one.link))) + "</tr>"


def _link(target: str, text: str) -> str:
    return f'<a href="{escape(target)}" rel="noreferrer">{escape(text)}</a>'


def _next(report: DemoReport) -> str:
    return (
        "<h2>Now with your own camera and words</h2>\n<p>Write the names of things into <code>classes.yaml</code>, one a line, "
        f"each after a dash; then type</p>\n<pre>{escape(report.surroundings.next_command)}</pre>"
    )


def _is_after(seen: Seen) -> bool:
    return seen.answer.revision > 1
