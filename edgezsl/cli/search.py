"""`edgezsl search`: the settings of a method that are best on validation classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgezsl.cli.options import FolderOption, JsonOption
from edgezsl.cli.say import followed, say_facts, say_json

StorageOption = Annotated[
    str | None,
    typer.Option(
        help="A database that several processes may share, such as sqlite:///study.db, or journal:FILE; default: memory.",
        show_default=False,
    ),
]


def search(
    method: Annotated[str, typer.Option("--method", help="A zero-shot method, by its name.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="A feature set: FILE.npz, flo, cub50[:attributes], awa1[:proposed] or tinyimagenet[:SPLIT].",
            show_default=False,
        ),
    ],
    folder: FolderOption = None,
    sampler: Annotated[
        Literal["grid", "random", "tpe", "evolutionary"], typer.Option(help="How settings are drawn.")
    ] = "tpe",
    trials: Annotated[
        int, typer.Option(min=1, help="Finished trials that the study shall hold; a grid takes its own points.")
    ] = 25,
    storage: StorageOption = None,
    study: Annotated[
        str | None,
        typer.Option(help="Its name in the storage, where it is continued; default: of method, data and size."),
    ] = None,
    size: Annotated[
        Literal["quick", "full"], typer.Option(help="Reduced widths and epochs, or the papers' own.")
    ] = "quick",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each trial, where a method has any.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the drawing, for a study in memory.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the best settings as JSON.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Search the settings of a method that are best on validation classes, never on those it is judged by.

    Give the same storage to several machines, and they search together; give the same command again, and it goes on.
    """
    from edgezsl.data.named_sets import splits_named
    from edgezsl.zsl.methods import method_named
    from edgezsl.zsl.question import question_of
    from edgezsl.zsl.search import Found, Plan, search
    from edgezsl.zsl.settings_file import prepare_settings, write_settings

    if out is not None:
        prepare_settings(out)
    entry = method_named(method)
    question = question_of(entry, splits_named(data, folder), size=size, seeds=range(seeds))
    name = study or f"{method}-{Path(data).stem}-{size}"
    found = followed(search(question, Plan(sampler, trials, name, storage, seed)), Found, first="searching")
    if out is not None:
        write_settings(out, found.settings)
    report: dict[str, Any] = {"study": name, "method": method, "data": data, "sampler": sampler}
    report |= {"settings": found.settings, "val_t1": found.val_t1, "trials": found.trials, "pruned": found.pruned}
    if json:
        say_json(report)
    else:
        best = ", ".join(f"{key} {value}" for key, value in found.settings.items())
        trials_said = f"{found.trials}, {found.pruned} of them given up"
        say_facts([("study", name), ("best", best), ("val T1", f"{100 * found.val_t1:.2f}"), ("trials", trials_said)])
