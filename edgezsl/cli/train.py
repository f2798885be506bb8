"""`edgezsl train`: features and a method's name, or a recipe of `export/`, to a model directory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgezsl.cli.options import FolderOption, JsonOption, refuse_given
from edgezsl.cli.say import console, followed, say, say_facts, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.compile.method_steps import TrainedMethod
    from edgezsl.encoders.model import Model
    from edgezsl.zsl.open_vocabulary import TrainingStep

_OF_METHODS = ("encoder", "settings", "unseen", "graph", "size", "seed", "json")
_OF_RECIPES = ("recipe", "left_out", "threads")
_OF_GRAPHS = ("graph", "wordnet")
_LINE_EVERY_S = 30.0  # where nobody looks at a bar, a log is read later

MethodOption = Annotated[
    str | None,
    typer.Option("--method", help="A zero-shot method, by its name, instead of a recipe.", show_default=False),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="For a method: a folder of photographs, one sub-folder for each class, or FILE.npz, flo, "
        "cub50[:attributes], awa1[:proposed] or tinyimagenet[:SPLIT]. For a recipe: the folder of the reference data.",
        show_default=False,
    ),
]
LeftOutOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=4, help="Leave out the 20 classes of a set, on the recipe's shorter schedule.", show_default=False
    ),
]
UnseenOption = Annotated[
    list[str] | None,
    typer.Option(help="A class of the photographs to judge, and not to learn. May be repeated.", show_default=False),
]
GraphOption = Annotated[
    Path | None,
    typer.Option(
        help="The graph of dgp, dgp-u and gcnz (.npz). Default: that of the reference data.", show_default=False
    ),
]
EncoderOption = Annotated[
    Path | None, typer.Option(help="The model whose features a method learns on. Default: the model of edgezsl.")
]
SettingsOption = Annotated[
    Path | None, typer.Option(help="A method's settings, as edgezsl search --out wrote them. Default: chosen.")
]
SizeOption = Annotated[
    Literal["quick", "full"], typer.Option(help="Of a method: reduced widths and epochs, or the papers' own.")
]


def train(
    context: typer.Context,
    method: MethodOption = None,
    data: DataOption = None,
    folder: FolderOption = None,
    encoder: EncoderOption = None,
    settings: SettingsOption = None,
    unseen: UnseenOption = None,
    graph: GraphOption = None,
    size: SizeOption = "full",
    seed: Annotated[int, typer.Option(help="Of a method, and of what is held back.")] = 0,
    recipe: Annotated[str, typer.Option(help="A recipe of export/ with a training section, or its path.")] = "builtin",
    out: Annotated[Path, typer.Option("--out", "-o", help="The model directory to write.")] = Path(
        "build/trained/model"
    ),
    work: Annotated[Path, typer.Option(help="Where features, parts and checkpoints are kept.")] = Path(
        "build/trained/work"
    ),
    wordnet: Annotated[Path, typer.Option(help="The database files of WordNet 3.0.")] = Path("/usr/share/wordnet"),
    left_out: LeftOutOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a recipe's training.")] = 2,
    json: JsonOption = False,
) -> None:
    """Train a zero-shot method on an encoder's features, or an open-vocabulary model by a recipe.

    A recipe's run that was cut off goes on when the same command is typed again. Processes that torchrun starts share its batches.
    """
    if method is None:
        refuse_given(context, _OF_METHODS, "is for a method: give --method, too")
        _train_by_recipe(
            recipe,
            Path(data) if data else folder,
            work=work,
            out=out,
            wordnet=wordnet,
            left_out=left_out,
            threads=threads,
        )
        return
    if data is None:
        raise typer.BadParameter("a method learns on --data: a folder of photographs, FILE.npz, or the name of a set")
    _refuse_idle(context, method, data)
    from edgezsl.compile.method_run import train_method
    from edgezsl.compile.method_steps import MethodSettings, TrainedMethod
    from edgezsl.zsl.settings_file import read_settings

    asked = MethodSettings(
        method,
        encoder,
        out,
        size=size,
        seed=seed,
        settings=read_settings(settings) if settings else {},
        unseen=tuple(unseen or ()),
        cache=work,
        graph=graph,
        wordnet=wordnet,
    )
    result = followed(train_method(asked, data, folder), TrainedMethod, first="reading the features")
    say_json(result.to_json()) if json else _say_method(result)


def _refuse_idle(context: typer.Context, method: str, data: str) -> None:
    """Refuse options, and processes, that would do nothing for a method."""
    from edgezsl.data.named_sets import names_features
    from edgezsl.zsl.knowledge.node_classifier import GRAPH_METHODS

    refuse_given(context, _OF_RECIPES, "is for a recipe, and --method learns without one")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise typer.BadParameter("a method is fitted in one process; torchrun is for recipes")
    if method not in GRAPH_METHODS:
        refuse_given(context, _OF_GRAPHS, f"is for a method on a graph: {', '.join(GRAPH_METHODS)}")
    if names_features(data):
        refuse_given(context, ("unseen",), "is for photographs, and a feature set says itself which classes are unseen")


def _say_method(result: TrainedMethod) -> None:
    from edgezsl.encoders.model import KNOWLEDGE_GRAPH

    facts, chosen = result.model.facts, result.chosen
    settings = ", ".join(f"{name} {value}" for name, value in chosen.settings.items()) or "none"
    tried = f"; the best of {len(result.trials)} on validation classes" if len(result.trials) > 1 else ""
    say_facts(
        [
            ("model", f"{facts.name}: {facts.source}"),
            ("classes", _class_counts(result)),
            ("settings", settings + tried),
            ("seen penalty", f"{facts.seen_penalty:.4g}, in the units of scores"),
        ]
    )
    if result.figures:
        say_table(["", "%"], [(name, f"{100 * value:.1f}") for name, value in result.figures.items()])
    for name, why in result.skipped.items():
        say(f"skipped {name}: {why}", stderr=True)
    folder = quote(str(result.model.folder))
    if result.model.has(KNOWLEDGE_GRAPH):
        say(f"next: edgezsl export {folder} --fp32, and edgezsl embed --model {folder} classes.yaml for its classes")
    else:
        say(f"next: edgezsl export {folder} --fp32 --parity-images FOLDER --classes classes.yaml")


def _class_counts(result: TrainedMethod) -> str:
    judged = len(result.data.classes("test_unseen"))
    unseen = {0: "none unseen to be judged", 1: "1 unseen, of which nothing can be said: alone it is always right"}
    return f"{len(result.model.facts.seen_classes)} learned, {unseen.get(judged, f'{judged} unseen ones judged')}"


def _train_by_recipe(
    recipe: str, data: Path | None, *, work: Path, out: Path, wordnet: Path, left_out: int | None, threads: int
) -> None:
    if data is None:
        raise typer.BadParameter("a recipe learns on the reference data: give its folder, --data or EDGEZSL_DATA")
    from edgezsl.compile.training_run import TrainingSettings, train_model

    settings = TrainingSettings(recipe, data, wordnet, work, out, left_out=left_out, threads=threads)
    model = _follow(train_model(settings))
    if model is not None:  # of several processes the first says it
        say(f"the model is in {out}; edgezsl export {out} --int8 makes a bundle of it")


def _follow(steps: Iterator[TrainingStep | Model]) -> Model | None:
    """Draw how far a run is, and return what came out: bars on a terminal, elsewhere a line now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from edgezsl.encoders.model import Model

    said = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last_said = float("-inf")
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=said, disable=not said.is_terminal) as bars:
        tasks = {}
        for step in steps:
            if isinstance(step, Model):
                return step
            if step.part not in tasks:
                tasks[step.part] = bars.add_task(step.part, total=step.total, note="")
            bars.update(tasks[step.part], completed=step.done, note=step.note)
            now = time.monotonic()
            if not said.is_terminal and (now - last_said >= _LINE_EVERY_S or step.done == step.total):
                say(f"{time.strftime('%H:%M:%S')} {step.part}: {step.done} of {step.total} {step.note}", stderr=True)
                last_said = now
    return None
