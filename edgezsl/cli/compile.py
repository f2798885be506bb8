"""`edgezsl compile`: from a bundle to a TensorRT plan on the machine that will run it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgezsl.cli.options import JsonOption, PlansOption, refuse_given
from edgezsl.cli.say import followed, say, say_facts, say_json, say_table, say_wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.compile.plan_check import PlanCheck
    from edgezsl.compile.plan_run import Compiled

_OF_BUILDS = ("plans", "workspace", "timing_cache", "optimization_level", "force")
_BYTES_PER_MB = 1e6


def compile_plans(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A bundle's folder; default: the model of edgezsl.")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "int8", "int8_fp16"],
        typer.Option("--precision", help="auto: all that the bundle holds; the fastest that passes is kept for `run`."),
    ] = "auto",
    plans: PlansOption = None,
    workspace: Annotated[
        int | None,
        typer.Option(
            "--workspace", metavar="MIB", min=1, help="What the builder may use. Default: a quarter of what is free."
        ),
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option("--timing-cache", help="A file of what the builder measured, read and written.")
    ] = None,
    optimization_level: Annotated[
        int | None,
        typer.Option("--optimization-level", min=0, max=5, help="How hard the builder tries. Default: TensorRT's."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build what is there already.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what TensorRT's rules say of the graphs: no GPU is needed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Build a TensorRT plan of a bundle on this machine, and prove that it says what the bundle says."""
    if dry_run:
        refuse_given(context, _OF_BUILDS, "does nothing with --dry-run, which builds nothing")
        _check(bundle, precision, json=json)
        return
    from edgezsl.compile.plan_run import Compiled, CompileSettings, compile_bundle

    settings = CompileSettings(bundle, precision, plans, workspace, timing_cache, optimization_level, force)
    compiled = followed(compile_bundle(settings), Compiled, first="reading the bundle")
    say_json(compiled.to_json()) if json else _say_compiled(compiled)


def _check(folder: Path | None, precision: str, *, json: bool) -> None:
    from edgezsl.bundle import Bundle
    from edgezsl.compile.plan_check import PlanCheck, check_plans
    from edgezsl.errors import ModelError, Place

    check = followed(check_plans(Bundle.open(folder), precision), PlanCheck, first="judging the graphs")
    say_json(check.to_json()) if json else _say_check(check)
    if check.refusals:
        raise ModelError(
            f"TensorRT's rules refuse {check.refusals[0]}",
            code="refused_graph",
            where=Place(str(check.bundle.folder)),
            hint="export the model again with this version, with --device NAME for a board",
        )


def _say_check(check: PlanCheck) -> None:
    manifest = check.bundle.manifest
    say_facts([("bundle", f"{manifest.name} ({check.bundle.digest[:12]})"), ("verdicts of", check.source)])
    versions = list(next(iter(check.verdicts.values())))
    said = [
        (precision, *("refused" if check.refused(precision, one) else "no rule broken" for one in versions))
        for precision in check.verdicts
    ]
    say_table(["precision", *(f"TensorRT {version}" for version in versions)], said)
    for refusal in check.refusals:
        say_wrapped(f"refused: {refusal}")
    say_wrapped("no rule broken does not mean built: only `edgezsl compile` on the board says that")


def _say_compiled(compiled: Compiled) -> None:
    manifest = compiled.bundle.manifest
    workspaces = sorted({one.record.build.workspace_mib for one in compiled.outcomes if one.record})
    say_facts(
        [
            ("bundle", f"{manifest.name} ({compiled.bundle.digest[:12]})"),
            ("machine", compiled.machine),
            ("workspace", ", ".join(f"{size} MiB" for size in workspaces)),
            ("plans", compiled.folder),
        ]
    )
    columns = ["precision", "plan", "ms", "p95", "golden", "ONNX Runtime", "MB", "seconds", "layers"]
    say_table(columns, list(_rows(compiled)))
    for outcome in compiled.outcomes:
        if outcome.reason:
            say_wrapped(f"{outcome.precision}: refused: {outcome.reason}")
    for note in compiled.notes:
        say_wrapped(note)
    why = "the fastest that agrees with the golden answers" if len(compiled.outcomes) > 1 else "compared with no other"
    say(f"selected: {compiled.selected}, {why}")
    say(
        f"next: edgezsl run --bundle {quote(str(compiled.bundle.folder))} --engine tensorrt --camera 0 --classes classes.yaml"
    )
    say("a service takes the plan up by: sudo systemctl restart edgezsl")


def _rows(compiled: Compiled) -> Iterator[tuple[str, ...]]:
    """Yield what the table says of each precision."""
    for one in compiled.outcomes:
        record = one.record
        if record is None:
            yield one.precision, "refused", *["-"] * 7
            continue
        agreement = (
            f"{value:.5f}" if (value := record.agreement.get(name)) is not None else "-" for name in ("golden", "onnx")
        )
        layers = ", ".join(f"{count} {kind}" for kind, count in record.build.layers.items())
        times = f"{record.timing['p50_ms']:.2f}", f"{record.timing['p95_ms']:.2f}"
        size = f"{record.bytes / _BYTES_PER_MB:.2f}"
        yield (
            one.precision,
            "built" if one.built else "was there",
            *times,
            *agreement,
            size,
            f"{record.build.seconds:.0f}",
            layers,
        )
