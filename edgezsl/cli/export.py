"""`edgezsl export`: from a model directory to a bundle, with the proof that the bundle says the same."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from edgezsl.cli.options import JsonOption
from edgezsl.cli.say import followed, rules_facts, say, say_facts, say_json, say_table, say_wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.compile.choice import Quantized
    from edgezsl.compile.export import ExportResult
    from edgezsl.manifest import Batch, Precision

_COLUMNS = {
    "cosine": "cosine_mean",
    "worst 1%": "cosine_worst1",
    "centred": "centred_mean",
    "centred worst 1%": "centred_worst1",
    "same best class": "top1_agreement",
}
_BATCH_NUMBERS = 3
_WORST_GROUPS = 5


def export(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="A model directory; default: the model of edgezsl.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit integers: a quarter of the size.")] = False,
    int8_dynamic: Annotated[bool, typer.Option("--int8-dynamic", help="8-bit products: ONNX Runtime only.")] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision, where it is safe.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="Full precision. Default: what the recipe says.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", help="A board, by name or profile file: it decides what you do not.")
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option("--calibration", help="Photographs that set INT8 ranges: a folder, glob, film or camera."),
    ] = None,
    parity_images: Annotated[
        Path | None, typer.Option("--parity-images", help="A folder of other photographs, to prove the export on.")
    ] = None,
    labels: Annotated[bool, typer.Option("--labels", help="The folder's sub-folders are the labels.")] = False,
    classes: Annotated[
        Path | None, typer.Option("--classes", "-c", help="The classes whose decisions must agree: classes.yaml.")
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Frames at once: N, or MIN:OPT:MAX.")] = "1",
    uint8: Annotated[bool, typer.Option("--uint8", help="The graph takes pixels as they are, and normalises.")] = False,
    recipe: Annotated[str | None, typer.Option("--recipe", help="A recipe's name or file.")] = None,
    fallback: Annotated[
        Literal["fp16", "fp32"] | None,
        typer.Option("--fallback", help="Where a bound does not hold: fp16 or fp32 instead, saying so."),
    ] = None,
    allow_broken_parity: Annotated[
        bool, typer.Option("--allow-broken-parity", help="Record a broken bound in the bundle; do not refuse it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The bundle to (over)write. Default: NAME-PRECISION.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Turn a model into a bundle, and prove that the bundle says what the model says."""
    from edgezsl.compile.export import ExportResult, ExportSettings
    from edgezsl.compile.export import export as run_export
    from edgezsl.encoders.graph import require_onnx

    require_onnx()  # before anything else: without it nothing here works
    settings = ExportSettings(
        model=model,
        out=out,
        recipe=recipe,
        precision=_precision(int8=int8, int8_dynamic=int8_dynamic, fp16=fp16, fp32=fp32),
        batch=_batch(batch),
        device=device,
        uint8=uint8,
        calibration=calibration,
        parity_images=parity_images,
        labels=labels,
        classes=classes,
        fallback=fallback,
        allow_broken_parity=allow_broken_parity,
    )
    result = followed(run_export(settings), ExportResult, first="reading the model")
    say_json(result.to_json()) if json else _say_result(result)


def _precision(**asked: bool) -> Precision | None:
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        raise typer.BadParameter("give one of --int8, --int8-dynamic, --fp16 and --fp32")
    return cast("Precision", chosen[0]) if chosen else None


def _batch(text: str) -> Batch:
    from edgezsl.errors import BundleError
    from edgezsl.manifest import Batch

    parts = text.split(":")
    if len(parts) not in {1, _BATCH_NUMBERS} or not all(part.isascii() and part.isdecimal() for part in parts):
        raise typer.BadParameter(f"the batch is {text!r}, expected N or MIN:OPT:MAX")
    numbers = [int(part) for part in parts]
    try:
        return Batch(*(numbers * _BATCH_NUMBERS if len(numbers) == 1 else numbers))
    except BundleError as fault:
        raise typer.BadParameter(f"{fault.message}, expected {fault.expected}") from fault


def _say_result(result: ExportResult) -> None:
    report, manifest, fallback = result.report, result.bundle.manifest, result.bundle.manifest.fallback
    images = f"{report.images} {report.kind}"
    if report.kind.startswith("generated"):
        images += ", which are no photographs: their best classes are not judged; prove it on yours with --parity-images FOLDER"
    elif report.photographs != report.images:
        images += f" of {report.photographs} photographs"
    sizes = report.bytes
    say_facts(
        [
            ("model", f"{manifest.name}: {manifest.provenance.source_model}"),
            ("licence", manifest.licence.id),
            *_board_facts(result),
            ("precision", f"{manifest.precision}{_how(result)}"),
            *([("instead of", f"{fallback.asked}: {fallback.reason}")] if fallback else []),
            ("calibration", result.calibration or f"none: {manifest.precision} needs no ranges"),
            ("size", f"{sizes['model'] / 1e6:.2f} MB in fp32, {sizes['export'] / 1e6:.2f} MB now"),
            ("parity", f"{report.outcome.replace('_', ' ')} on {images}"),
            ("classes", report.vocabulary),
            *(rules_facts(manifest.verdicts) if _has_tensorrt(result) else []),
        ]
    )
    say_table(["engine", *_COLUMNS, "ms", "broken bounds"], list(_rows(result)), whole=("engine", "ms"))
    _say_agreement(result)
    _say_accuracy(result)
    if result.quantized and result.quantized.losses:
        _say_search(result.quantized)
    for name, reason in {**report.refused, **report.skipped}.items():
        say_wrapped(f"{name}: {'refused: ' if name in report.refused else 'not measured: '}{reason}")
    if report.outcome == "too_few":
        say_wrapped(
            f"too few: {report.images} images of {report.photographs} photographs prove nothing; give at least 100 images, "
            "of at least 20 photographs, with --parity-images"
        )
    page = result.report_file.with_suffix(".html")
    say_facts([("bundle", f"{result.bundle.folder} ({result.bundle.digest[:12]})"), ("report", page)])
    say(f"next: {_next(result)}")


def _next(result: ExportResult) -> str:
    """Return what to do with the bundle: here, or on the board that it is for."""
    folder, board = result.bundle.folder, result.board
    here = board is None or board.profile.name == _this_board()
    place = quote(str(folder) if here else folder.resolve().name)
    takes = "classes.safetensors" if result.bundle.manifest.semantics.kinds == ("vector",) else "classes.yaml"
    command = f"edgezsl run --bundle {place} --camera 0 --classes {takes}"
    if board is not None and _has_tensorrt(result):
        command = f"edgezsl compile {place}"
    return command if here else f"copy {quote(str(folder))} to the board; there: {command}"


def _this_board() -> str | None:
    """Return the name of this machine's profile, or None where there is none."""
    from edgezsl.device import detect_profile
    from edgezsl.errors import InputError

    try:
        return detect_profile().profile.name
    except InputError:
        return None


def _has_tensorrt(result: ExportResult) -> bool:
    """Return whether TensorRT may run the bundle: on any board, where none was named."""
    return result.board is None or "tensorrt" in result.board.profile.engines


def _board_facts(result: ExportResult) -> Iterator[tuple[str, str]]:
    """Yield what the profile of the board decided, and how the bundle fits into its memory."""
    board = result.board
    if board is None:
        return
    profile = board.profile
    yield (
        "device",
        f"{profile.name} ({profile.status}): {board.precision}, {board.reason}; opset {board.opset}; {board.input_type} pixels",
    )
    least = f"{profile.memory_mib} MiB at least" if profile.memory_mib else "memory that its profile does not know"
    yield "memory", f"about {board.need_mib} MiB to run, estimated; the board has {least}"
    if board.warning:
        yield "warning", board.warning


def _rows(result: ExportResult) -> Iterator[tuple[str, ...]]:
    """Yield what the table says of each precision in each engine."""
    for precision, report in result.reports.items():
        for name, engine in report.engines.items():
            called = f"{precision} in {name}" if len(result.reports) > 1 else name
            figures = (_figure(engine.figures.get(figure)) for figure in _COLUMNS.values())
            broken = ", ".join(map(_column_of, engine.broken)) or "none"
            yield called, *figures, f"{engine.latency['p50_ms']:.2f}", broken
    blank = ["-"] * len(_COLUMNS)
    yield "model, onnx", *blank, f"{result.report.model_latency['p50_ms']:.2f}", "-"


def _column_of(figure: str) -> str:
    """Return what the table calls a figure."""
    return next((called for called, name in _COLUMNS.items() if name == figure), figure)


def _how(result: ExportResult) -> str:
    """Return how the encoder that runs came to INT8, and what lies beside it."""
    manifest, quantized = result.bundle.manifest, result.quantized
    plan = f" ({quantized.plan})" if quantized and manifest.precision == "int8" else ""
    others = [name for name in manifest.image_encoders if name != manifest.precision]
    return plan + (f"; beside it {', '.join(others)}" if others else "")


def _say_search(quantized: Quantized) -> None:
    say_wrapped("the recipe's plans missed a bound; what was tried, on the calibration images:")
    columns = ("plan", "cosine", "centred", "MB", "ms")
    rows = []
    for one in quantized.trials:
        figures = [_figure(one.figures[name]) for name in ("cosine_mean", "centred_mean")]
        rows.append((one.plan, *figures, f"{one.bytes / 1e6:.2f}", f"{one.p50_ms:.2f}"))
    say_table(columns, rows)
    worst = sorted(quantized.losses.items(), key=lambda pair: -pair[1])[:_WORST_GROUPS]
    say_wrapped(
        f"centred cosine lost by a group alone in INT8: {', '.join(f'{name} {loss:.4f}' for name, loss in worst)}"
    )


def _say_agreement(result: ExportResult) -> None:
    """Say where the images are too few to tell whether the bound of the best class holds."""
    for precision, report in result.reports.items():
        least = report.bounds.get("top1_agreement", 0.0)
        for name, engine in report.engines.items():
            if (
                "top1_agreement" in engine.figures
                and engine.figures["top1_agreement"] < least <= engine.figures["top1_high"]
            ):
                say_wrapped(
                    f"{precision} in {name}: same best class {engine.said('top1_agreement')}: on {report.images} images this "
                    f"does not contradict {least:g}; more --parity-images would tell"
                )


def _say_accuracy(result: ExportResult) -> None:
    for name, engine in result.report.engines.items():
        figures = engine.figures
        if "accuracy" in figures:
            points = [100 * figures[key] for key in ("model_accuracy", "accuracy", "drop", "drop_low", "drop_high")]
            model, export, drop, low, high = points
            say_wrapped(
                f"{name}: right {model:.1f}% (model), {export:.1f}% (export); drop {drop:.2f} [{low:.2f}, {high:.2f}] points"
            )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
