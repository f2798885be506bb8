"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle", "-b", help="The model: a bundle's folder; default: the model of edgezsl.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of the engine; default: what suits the device.", show_default=False),
]
ClassFileArgument = Annotated[Path, typer.Argument(metavar="CLASSES", help="A class file (classes.yaml).")]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", envvar="EDGEZSL_DATA", help="The folder of the reference data.", show_default=False),
]
