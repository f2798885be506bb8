"""Options that several commands share, and what they mean when they are not given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgezsl.errors import InputError

BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", "-b", help="The model: a bundle's folder.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Threads of the engine; default: what suits the device.", show_default=False),
]
ClassFileArgument = Annotated[Path, typer.Argument(metavar="CLASSES", help="A class file (classes.yaml).")]


def bundle_folder(given: Path | None) -> Path:
    """Return the folder of the bundle to use.

    Raises:
        InputError: When none was given: this version carries no model of its own.
    """
    if given is None:
        raise InputError(
            "no model was given, and this version carries none of its own",
            code="no_bundle",
            expected="--bundle DIR",
            hint="build one in a checkout with `make reference`, then give --bundle build/reference",
        )
    return given
