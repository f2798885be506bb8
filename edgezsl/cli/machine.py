"""`edgezsl doctor`, `devices` and `bench`: the machine, rather than the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.options import JsonOption, PlansOption, ThreadsOption
from edgezsl.cli.say import console, counted, say, say_facts, say_json, say_table, say_wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgezsl.bundle import Bundle
    from edgezsl.evaluate.bench import BenchReport, Subject, Timing

devices = typer.Typer(help="The boards that edgezsl knows; without a command, lists them.")


def doctor(json: JsonOption = False) -> None:
    """Say what is installed, which engines and cameras work, and what to do about the rest.

    \b
    ok       works
    warning  works, with a limit
    missing  absent, which may be right
    unused   absent, and nothing that this board needs
    broken   there, but fails: the exit status is 1
    """  # noqa: D301  # the character, not its name, keeps these lines apart
    from edgezsl.runtime.doctor import examine

    report = examine()
    if json:
        say_json(report.to_json())
    else:
        say_table(
            ["what", "state", "found"],
            [
                (finding.name, finding.state, f"{finding.detail}{f'; {finding.hint}' if finding.hint else ''}")
                for finding in report.findings
            ],
        )
        todo = f"fix {counted(len(report.broken), 'thing')}: {', '.join(report.broken)}"
        say_wrapped(todo if report.broken else "ready")
    if report.broken:
        raise typer.Exit(1)


@devices.callback(invoke_without_command=True)
def devices_alone(context: typer.Context) -> None:
    """List every device profile where no command says otherwise."""
    if context.invoked_subcommand is None:
        list_devices()


@devices.command("list")
def list_devices(json: JsonOption = False) -> None:
    """List every device profile."""
    from edgezsl.cli.board_page import say_boards
    from edgezsl.device import all_profiles

    profiles = all_profiles()
    if json:
        say_json({"devices": [profile.to_json() for profile in profiles]})
        return
    say_boards(profiles)


@devices.command("show")
def show_device(
    name: Annotated[str, typer.Argument(help="A profile's name, or a profile file.")], json: JsonOption = False
) -> None:
    """Show one device profile."""
    from edgezsl.cli.board_page import say_board
    from edgezsl.device import load_profile

    profile = load_profile(name)
    if json:
        say_json(profile.to_json())
    else:
        say_board(profile)


@devices.command("detect")
def detect_device(json: JsonOption = False) -> None:
    """Say which board this is, and how it is set up."""
    from edgezsl.device import detect_profile
    from edgezsl.runtime.board import board_readings
    from edgezsl.runtime.doctor_board import board_findings, sensor_findings, setup_findings
    from edgezsl.runtime.power import PowerMeter

    found, readings, meter = detect_profile(), board_readings(), PowerMeter()
    if json:
        say_json({**found.to_json(), "readings": readings.to_json(), "power": meter.read().to_json()})
        return
    say(f"{found.profile.name}: {found.profile.title} ({found.reason})")
    findings = (*board_findings(found, readings)[1:], *setup_findings(readings), *sensor_findings(meter))
    say_facts((one.name, f"{one.detail}{f'; {one.hint}' if one.hint else ''}") for one in findings)


def bench(
    bundle: Annotated[
        list[Path] | None,
        typer.Option("--bundle", "-b", help="A bundle's folder; repeat it. Default: the model of edgezsl."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", help="An engine to time; repeat it. Default: what runs the bundle's file."),
    ] = None,
    plans: PlansOption = None,
    precision: Annotated[
        list[str] | None, typer.Option("--precision", help="An encoder of the bundles; repeat it. Default: their own.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option("--compare", metavar="torch|SOURCE", help="Beside it the imported model in PyTorch, from SOURCE."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=5, help="How often each stage runs.")] = 100,
    classes: Annotated[int, typer.Option("--classes", min=1, help="Classes in the scored matrix.")] = 1000,
    threads: ThreadsOption = None,
    cold: Annotated[bool, typer.Option("--cold/--no-cold", help="Start a process with each, too.")] = True,
    json: JsonOption = False,
) -> None:
    """Time bundles, precisions and engines on this machine, interleaved in one run."""
    from rich.progress import track

    from edgezsl.bundle import Bundle
    from edgezsl.device import detect_profile
    from edgezsl.evaluate.bench import WARM_UP, BenchReport, open_subjects
    from edgezsl.evaluate.bench import bench as run_bench
    from edgezsl.runtime.engine import choose_engine, installed_engines
    from edgezsl.runtime.power import PowerMeter

    installed = installed_engines()
    order = detect_profile().profile.engines if "auto" in (engine or ()) else ()
    chosen = [choose_engine(name, order, installed, "bench").name for name in engine or ()]
    bundles = [Bundle.open(folder) for folder in bundle] if bundle else [Bundle.open()]
    subjects = [] if compare is None else list(_in_torch(bundles, compare, threads))
    for held in bundles:
        called = held.folder.resolve().name if bundle else None  # bundles of one model have one name
        subjects += open_subjects(
            held, chosen or None, precision or (), threads=threads, cold=cold, plans=plans, called=called
        )
    meter = PowerMeter()
    steps = run_bench(subjects, runs=runs, classes=classes, meter=meter)
    total = runs + WARM_UP + (len(subjects) if meter.reports else 0) + 1
    said = console(stderr=True)
    for step in track(steps, "timing", total=total, console=said, transient=True, disable=not said.is_terminal):
        if isinstance(step, BenchReport):
            say_json(step.to_json()) if json else _say_bench(step)


def _in_torch(bundles: Sequence[Bundle], source: str, threads: int | None) -> Iterator[Subject]:
    """Yield the models that bundles were imported from, as PyTorch runs them."""
    from edgezsl.compile.torch_engine import torch_subjects

    return torch_subjects(bundles, source=None if source == "torch" else source, threads=threads)


def _say_bench(report: BenchReport) -> None:
    """Print what each subject is, by a number; then the stages, those of one kind together."""
    numbers = {name: str(number) for number, name in enumerate(report.precisions, 1)}
    for name, number in numbers.items():
        say_wrapped(name, lead=f"{number}  ")
        if cold := report.colds.get(name):
            new = f"a new process: {cold.first_s} s to its first embedding, {cold.peak_mib} MiB of memory at most"
            say_wrapped(new, lead="   ")
        if power := report.powers.get(name):
            say_wrapped(str(power), lead="   ")
    kinds: dict[str, list[tuple[str, Timing]]] = {}
    for one in report.timings:
        kind, _, name = one.stage.partition(": ")
        kinds.setdefault(kind, []).append((numbers.get(name, name), one))
    rows = [
        (f"{kind} {what}", *(f"{value:.3f}" for value in (one.p50_ms, one.p95_ms, one.least_ms)), _share(one, alike))
        for kind, alike in kinds.items()
        for what, one in alike
    ]
    say("")
    say_table(["stage", "p50 ms", "p95 ms", "least ms", "times the first"], rows)
    say("")
    if report.power_missing:
        say(report.power_missing)
    say_wrapped(f"{report.machine}; {', '.join(report.cpu_features)}")


def _share(one: Timing, alike: Sequence[object]) -> str:
    """Return how long a stage takes beside the first of its kind, where there are several."""
    return f"{one.share:.2f}" if len(alike) > 1 else "-"
