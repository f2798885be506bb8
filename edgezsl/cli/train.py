"""`edgezsl train`: a recipe of `export/` and the reference data to a model directory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.say import console, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.zsl.open_vocabulary import TrainingStep

_LINE_EVERY_S = 30.0  # where nobody looks at a bar, a log is read later

DataOption = Annotated[
    Path, typer.Option("--data", envvar="EDGEZSL_DATA", help="The folder of the reference data.", show_default=False)
]
LeftOutOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=4, help="Leave out the 20 classes of a set, on the recipe's shorter schedule.", show_default=False
    ),
]


def train(
    data: DataOption,
    recipe: Annotated[str, typer.Option(help="A recipe of export/ with a training section, or its path.")] = "builtin",
    out: Annotated[Path, typer.Option(help="The model directory to write.")] = Path("build/builtin/model"),
    work: Annotated[Path, typer.Option(help="Where parts and checkpoints are kept.")] = Path("build/builtin/work"),
    wordnet: Annotated[Path, typer.Option(help="The database files of WordNet 3.0.")] = Path("/usr/share/wordnet"),
    left_out: LeftOutOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
) -> None:
    """Train an open-vocabulary model. A run that was cut off goes on when the same command is typed again."""
    from edgezsl.compile.training_run import TrainingSettings, train_model

    settings = TrainingSettings(recipe, data, wordnet, work, out, left_out=left_out, threads=threads)
    _follow(train_model(settings))
    say(f"the model is in {out}; edgezsl export {out} --int8 makes a bundle of it")


def _follow(steps: Iterator[TrainingStep]) -> None:
    """Draw how far a run is: bars on a terminal, elsewhere a line now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    said = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last_said = float("-inf")
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=said, disable=not said.is_terminal) as bars:
        tasks = {}
        for step in steps:
            if step.part not in tasks:
                tasks[step.part] = bars.add_task(step.part, total=step.total, note="")
            bars.update(tasks[step.part], completed=step.done, note=step.note)
            now = time.monotonic()
            if not said.is_terminal and (now - last_said >= _LINE_EVERY_S or step.done == step.total):
                say(f"{time.strftime('%H:%M:%S')} {step.part}: {step.done} of {step.total} {step.note}", stderr=True)
                last_said = now
