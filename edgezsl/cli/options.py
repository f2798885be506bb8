"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle", "-b", help="The model: a bundle's folder; default: the model of edgezsl.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
PlansOption = Annotated[
    Path | None,
    typer.Option(
        "--plans",
        help="Where TensorRT's plans lie; default: EDGEZSL_PLANS, /var/lib/edgezsl/plans, or the user's cache.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of the engine; default: what suits the device.", show_default=False),
]
ClassFileArgument = Annotated[Path, typer.Argument(metavar="CLASSES", help="A class file (classes.yaml).")]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", envvar="EDGEZSL_DATA", help="The folder of the reference data.", show_default=False),
]


def refuse_given(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuse an option that was typed and would do nothing."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"{parameter.opts[0]} {why}")
