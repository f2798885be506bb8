"""The parity report as a page to look at: what holds, what does not, and the images that came out worst."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edgezsl.evaluate.document import document, facts, jpeg, row, table, tiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgezsl.compile.choice import Quantized
    from edgezsl.compile.parity_report import EngineParity, ParityReport
    from edgezsl.compile.worst import WorstImage

_FIGURES = {
    "cosine_mean": "cosine, mean",
    "cosine_worst1": "cosine, worst 1%",
    "centred_mean": "centred cosine, mean",
    "centred_worst1": "centred cosine, worst 1%",
    "top1_agreement": "same best class",
    "model_accuracy": "right, model",
    "accuracy": "right, export",
    "drop": "drop",
}
_HEADINGS = {
    "passed": "says what its model says",
    "too_few": "was compared on too few images to prove anything",
    "broken": "does not say what its model says",
}


def parity_page(
    reports: Sequence[ParityReport], name: str, provenance: Mapping[str, str], quantized: Quantized | None = None
) -> str:
    """Return the report as an HTML document.

    Args:
        reports: What was measured, first of the encoder that runs unless another is asked for.
        name: Of the model.
        provenance: What else to say of the export, by a word.
        quantized: How it came to INT8, or None.
    """
    report, *others = reports
    title = f"{name}, {report.precision}: the export {_HEADINGS[report.outcome]}"
    worst = [_worst_of(engine, found.worst) for engine, found in report.engines.items()]
    tried = _trials(quantized) if quantized else ""
    beside = [f"<h2>Beside it: {escape(one.precision)}</h2>\n{_said(one)}\n{_table(one)}" for one in others]
    return document(
        title, (_heading(report, title), _engines(report), *beside, tried, *worst, _rest(report, provenance))
    )


def _heading(report: ParityReport, title: str) -> str:
    figures, sizes = report.figures, report.bytes
    found = [(f"{figures['images']:g}", f"{report.kind} of {figures['photographs']:g} photographs")]
    if report.kind.startswith("generated"):
        found = [(f"{figures['images']:g}", "generated images: they are no photographs")]
    found += [
        (f"{figures[name]:.4f}", words)
        for name, words in (("centred_mean", "mean centred cosine"), ("top1_agreement", "name the same best class"))
        if name in figures
    ]
    if "drop" in figures:
        drop, low, high = (100 * figures[key] for key in ("drop", "drop_low", "drop_high"))
        found.append((f"{drop:.2f}", f"points of accuracy lost, 95% between {low:.2f} and {high:.2f}"))
    found.append((f"{sizes['export'] / 1e6:.2f} MB", f"{sizes['model'] / 1e6:.2f} MB in full precision"))
    return (
        f"<h1>{escape(title)}</h1>\n<p>Each image went through the model as it lies in its directory, and through the bundle "
        "as a device runs it. A centred cosine compares two embeddings after the model's mean embedding was taken from "
        f"both: what all images have in common flatters a plain one.</p>\n{tiles(found)}\n{_said(report)}"
    )


def _said(report: ParityReport) -> str:
    if report.faults:
        return "".join(
            f'<p class="fault"><b class="wrong">Does not hold:</b> {escape(one)}.</p>' for one in report.faults
        )
    if not report.engines:
        return '<p class="fault"><b class="wrong">Nothing was compared.</b></p>'
    held = ", ".join(f"{_FIGURES.get(name, name)} ≥ {least:g}" for name, least in report.bounds.items())
    return f'<p class="held">Every bound holds in every engine: {escape(held)}.</p>'


def _engines(report: ParityReport) -> str:
    return "<h2>Every engine</h2>\n" + _table(report)


def _table(report: ParityReport) -> str:
    names = list(report.engines)
    shown = [figure for figure in _FIGURES if any(figure in one.figures for one in report.engines.values())]
    rows = [row((_FIGURES[figure],), (_cell(report.engines[name], figure) for name in names)) for figure in shown]
    rows.append(row(("ms a frame, median",), (f"{one.latency['p50_ms']:.2f}" for one in report.engines.values())))
    return table(("figure", *names), rows, numbers=names)


def _trials(quantized: Quantized) -> str:
    columns = ("plan", "cosine", "centred", "MB", "ms a frame")
    rows = [
        row(
            (f"{one.plan}{' (taken)' if one.plan == quantized.plan else ''}",),
            (
                f"{one.figures['cosine_mean']:.4f}",
                f"{one.figures['centred_mean']:.4f}",
                f"{one.bytes / 1e6:.2f}",
                f"{one.p50_ms:.2f}",
            ),
        )
        for one in quantized.trials
    ]
    part = (
        "<h2>What INT8 costs</h2>\n<p>The ways to quantize that were tried, on the calibration images. Of those "
        f"that met the bounds the nearest was taken, else the nearest of all. Milliseconds are ONNX Runtime's, on one thread.</p>\n{_table_of(columns, rows)}"
    )
    if quantized.losses:
        order = sorted(quantized.losses.items(), key=lambda pair: -pair[1])
        part += (
            "<p>No plan of the recipe met the bounds, so each group of nodes was quantized alone. What the mean centred "
            "cosine loses by it:</p>\n"
            + _table_of(("group", "loss"), [row((name,), (f"{loss:.4f}",)) for name, loss in order])
        )
    return part


def _table_of(columns: tuple[str, ...], rows: Sequence[str]) -> str:
    return table(columns, rows, numbers=columns[1:])


def _cell(engine: EngineParity, figure: str) -> str:
    value = engine.figures.get(figure)
    return "-" if value is None else f"{value:.4f}"


def _worst_of(engine: str, worst: Sequence[WorstImage]) -> str:
    if not worst:
        return ""
    return (
        f"<h2>The worst images in {escape(engine)}</h2>\n<p>Left as the model's preprocessing gives it, right as the "
        'bundle\'s does; below what each takes it for.</p>\n<div class="pair">'
        + "".join(map(_figure, worst))
        + "</div>"
    )


def _figure(one: WorstImage) -> str:
    pictures = jpeg(one.taken[0], f"{one.name}, for the model") + jpeg(one.taken[1], f"{one.name}, for the export")
    said = f"{escape(one.model)} → {escape(one.export)}" if one.model else ""
    kind = ("right", "same") if one.model == one.export else ("wrong", "another")
    verdict = f'<span class="{kind[0]}">{kind[1]} best class</span>' if one.model else ""
    label = f" ({escape(one.label)})" if one.label else ""
    return (
        f'<figure><div class="two">{pictures}</div><figcaption>{escape(one.name)}{label}: centred cosine '
        f"{one.centred:.4f}<b>{said}</b>{verdict}</figcaption></figure>"
    )


def _rest(report: ParityReport, provenance: Mapping[str, str]) -> str:
    found = [
        ("images", f"{report.images} {report.kind} of {report.photographs} photographs"),
        ("left out", f"{report.left_out}, because calibration had used them or their photograph"),
        ("unreadable", str(report.unreadable)),
        ("classes", report.vocabulary),
        ("the model itself", f"{report.model_latency['p50_ms']:.2f} ms a frame in ONNX Runtime, median"),
        *((f"engine {name}", one.description) for name, one in report.engines.items()),
        *((f"not measured: {name}", reason) for name, reason in report.skipped.items()),
        *provenance.items(),
    ]
    return f"<h2>How it was measured</h2>\n{facts(found)}"
