"""`edgezsl eval`: how well a method does on a feature set, or a model on a folder of labelled photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgezsl.cli.options import BundleOption, FolderOption, JsonOption, ThreadsOption, refuse_given
from edgezsl.cli.say import followed, say, say_facts, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.evaluate.evaluation import Evaluation
    from edgezsl.evaluate.folder_robustness import Robustness

_MISTAKES = 5
_OF_ATTACKS = ("epsilon", "steps")
_OF_PHOTOGRAPHS = (
    *("bundle", "model", "classes", "leave_out", "engine", "threads", "corruptions", "attack"),
    *_OF_ATTACKS,
)
_OF_METHODS = ("data", "folder", "settings", "size", "seeds", "questions")

ImagesArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="IMAGES", help="A folder of photographs whose sub-folders are the labels.", show_default=False
    ),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="A model directory, before its export, in place of a bundle.", show_default=False),
]
ClassesOption = Annotated[
    Path | None,
    typer.Option(
        "--classes", "-c", help="The vocabulary: classes.yaml or a class pack; default: the labels.", show_default=False
    ),
]
LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(help="A class to leave out of the vocabulary: its photographs should be rejected. May be repeated."),
]
CorruptionsOption = Annotated[
    bool, typer.Option("--corruptions", help="Recognise noisy, blurred and compressed photographs, too.")
]
AttackOption = Annotated[
    Literal["fgsm", "pgd"] | None,
    typer.Option(
        "--attack", help="Attack the pixels of a model directory, alone and in an ensemble.", show_default=False
    ),
]
EpsilonOption = Annotated[
    float, typer.Option("--epsilon", min=0, help="How far an attack may change a value, in levels of 255.")
]
StepsOption = Annotated[int, typer.Option("--steps", min=1, help="Steps of PGD.")]
MethodOption = Annotated[
    str | None, typer.Option("--method", help="A zero-shot method by its name, judged on --data.", show_default=False)
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="A feature set: FILE.npz, flo, cub50[:attributes], awa1[:proposed] or tinyimagenet[:SPLIT].",
        show_default=False,
    ),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option(help="A method's settings, as edgezsl search --out wrote them. Default: chosen.", show_default=False),
]
ReportOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write a report to look at (HTML).", show_default=False)
]


def evaluate(
    context: typer.Context,
    images: ImagesArgument = None,
    bundle: BundleOption = None,
    model: ModelOption = None,
    classes: ClassesOption = None,
    leave_out: LeaveOutOption = None,
    engine: Annotated[str, typer.Option("--engine", help="auto, or an engine's name.")] = "auto",
    threads: ThreadsOption = None,
    corruptions: CorruptionsOption = False,
    attack: AttackOption = None,
    epsilon: EpsilonOption = 2.0,
    steps: StepsOption = 20,
    method: MethodOption = None,
    data: DataOption = None,
    folder: FolderOption = None,
    settings: SettingsOption = None,
    size: Annotated[
        Literal["quick", "full"], typer.Option(help="Of a method: reduced widths and epochs, or the papers' own.")
    ] = "quick",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of a method, where it has any.")] = 1,
    questions: Annotated[
        bool, typer.Option("--questions/--no-questions", help="Of a method: ask the hard questions, too.")
    ] = True,
    out: ReportOption = None,
    json: JsonOption = False,
) -> None:
    """Judge a bundle on labelled photographs, or a zero-shot method on a feature set.

    A method is chosen on validation classes, and judged on unseen ones. A bundle is judged as a device runs it.
    """
    from edgezsl.evaluate.document import ReportFile
    from edgezsl.evaluate.evaluation import Evaluation
    from edgezsl.evaluate.report import evaluation_page

    if (images is None) == (method is None):
        raise typer.BadParameter("give a folder of photographs, or --method with --data")
    if method is not None:
        refuse_given(context, _OF_PHOTOGRAPHS, "is for photographs, and a method is judged on features")
    else:
        refuse_given(context, _OF_METHODS, "is for a method, and photographs are judged by a model")
    if attack is None:
        refuse_given(context, _OF_ATTACKS, "is of an attack: give --attack, too")
    file = None if out is None else ReportFile.open(out)
    if method is not None:
        work = _of_method(method, data, folder, settings, size=size, seeds=seeds, questions=questions)
    else:
        asked = (attack, epsilon, steps) if attack else None
        work = _of_folder(
            images, bundle, model, classes, leave_out, engine, threads, corruptions=corruptions, attack=asked
        )
    found = followed(work, Evaluation, first="reading")
    if file is not None:
        file.write(evaluation_page(found))
    say_json(found.to_json()) if json else _say(found, report=out)


def _of_method(
    method: str,
    data: str | None,
    folder: Path | None,
    settings: Path | None,
    *,
    size: Literal["quick", "full"],
    seeds: int,
    questions: bool,
) -> Iterator[object]:
    if data is None:
        raise typer.BadParameter("a method is judged on --data: FILE.npz, or the name of a set")
    from edgezsl.data.named_sets import feature_set_named
    from edgezsl.zsl.evaluation import evaluate_method
    from edgezsl.zsl.methods import method_named
    from edgezsl.zsl.settings_file import read_settings

    return evaluate_method(
        method_named(method),
        feature_set_named(data, folder),
        size=size,
        seeds=range(seeds),
        settings=read_settings(settings) if settings else None,
        questions=questions,
    )


def _of_folder(
    images: Path | None,
    bundle: Path | None,
    model: Path | None,
    classes: Path | None,
    leave_out: list[str] | None,
    engine: str,
    threads: int | None,
    *,
    corruptions: bool,
    attack: tuple[Literal["fgsm", "pgd"], float, int] | None,
) -> Iterator[object]:
    from edgezsl.compile.evaluation_run import FolderSettings, evaluate_folder

    if bundle is not None and model is not None:
        raise typer.BadParameter("give one of --bundle and --model")
    asked = None
    if attack is not None:
        from edgezsl.compile.attack_run import AttackSettings  # with torch, which a bundle does not need

        asked = AttackSettings(*attack)
    left_out = tuple(leave_out or ())
    settings = FolderSettings(
        images or Path(), bundle, model, classes, left_out, engine, threads, corruptions=corruptions, attack=asked
    )
    return evaluate_folder(settings)


def _say(found: Evaluation, *, report: Path | None) -> None:
    figures = found.figures
    say(f"{found.title}: {figures.images} images of {len(figures.names)} classes")
    say_table(["figure", "%", ""], list(_rows(found)))
    mistakes = figures.mistakes(_MISTAKES)
    if mistakes:
        said = "; ".join(f"{one.own} for {one.taken} ({100 * one.share:.0f}%)" for one in mistakes)
        say(f"most often taken for another: {said}")
    say_facts([*found.facts.items(), *([("report", report)] if report else [])])


def _rows(found: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Yield what the table says: the figures of every seed where there are several, else the figures themselves."""
    from edgezsl.evaluate.intervals import mean_interval
    from edgezsl.evaluate.metrics import auroc, fpr95

    figures = found.figures
    for name, values in found.runs.items():
        mean = mean_interval(values)
        yield name, f"{mean.value:.1f}", f"95%: {mean.low:.1f} to {mean.high:.1f}" if len(values) > 1 else ""
    if not found.runs:
        yield "top-1, mean over classes", f"{100 * figures.top[1]:.1f}", ""
    for k, value in figures.top.items():
        if k > 1:
            yield f"top-{k}", f"{100 * value:.1f}", ""
    right = figures.right
    yield "right, by image", f"{100 * right.value:.1f}", f"95%: {100 * right.low:.1f} to {100 * right.high:.1f}"
    yield "mean average precision", f"{100 * figures.mean_average_precision:.1f}", ""
    yield "macro F1", f"{100 * figures.macro_f1:.1f}", ""
    if found.temperature is not None:
        before, after = (100 * one.ece for one in found.temperature.reliability)
        yield f"ECE at temperature {found.temperature.temperature:.4g}", f"{after:.1f}", f"before: {before:.1f}"
    if found.rejection is not None:
        yield "AUROC of rejection", f"{100 * auroc(found.rejection.inside, found.rejection.outside):.1f}", ""
        yield "FPR95", f"{100 * fpr95(found.rejection.inside, found.rejection.outside):.1f}", ""
    if found.robustness is not None:
        yield from _robust_rows(found.robustness)


def _robust_rows(found: Robustness) -> Iterator[tuple[str, str, str]]:
    for kind, shares in found.corrupted.items():
        each = ", ".join(f"{100 * one.value:.1f}" for one in shares[1:])
        yield f"right under {kind}", f"{100 * shares[-1].value:.1f}", f"severity 1 to {len(shares) - 1}: {each}"
    for name, one in found.attacked.items():
        robust, clean = 100 * one.robust.value, 100 * one.clean.value
        yield f"right under attack, {name}", f"{robust:.1f}", f"without: {clean:.1f}"
