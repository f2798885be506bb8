"""`edgezsl provision`: the files that make a station of a board."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from edgezsl.cli.options import JsonOption
from edgezsl.cli.run import CameraOption, SourceOption, one_source
from edgezsl.cli.say import say, say_facts, say_json


def provision(
    board: Annotated[str, typer.Option("--board", help="A device profile's name, or a profile file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; new, or empty.")],
    camera: CameraOption = None,
    source: SourceOption = None,
    jetpack: Annotated[
        str | None,
        typer.Option("--jetpack", metavar="MAJOR", help="6 or 7, where the board can have both.", show_default=False),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            "-b",
            help="The folder that the model has on the board; default: the model of edgezsl.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write what turns a board into a station: service, settings, versions, and a script that installs them."""
    from edgezsl.device import load_profile
    from edgezsl.provision import SCRIPT
    from edgezsl.provision import provision as files_for
    from edgezsl.runtime.sources import public_name

    uri = None if camera is None and source is None else one_source(camera, source)
    station = files_for(load_profile(board), source=uri, jetpack=jetpack, bundle=bundle)
    station.write(out)
    facts = {
        "board": station.board,
        "jetpack": station.jetpack,
        "source": public_name(station.source),
        "extras": station.extras,
        "without_plans": list(station.without_plans),
        "folder": str(out),
        "files": list(station.files),
    }
    if json:
        say_json(facts)
        return
    if uri is None:
        facts["source"] = f"{facts['source']}, the first of the profile; --source takes another"
    words = ((word.replace("_", " "), value) for word, value in facts.items() if value)
    say_facts((word, ", ".join(value) if isinstance(value, list) else value) for word, value in words)
    copied = f"edgezsl's wheel{f', and the bundle to {bundle}' if bundle else ''}"
    say(
        f"next: read {quote(str(out / SCRIPT))}; copy the folder to the board, with it {copied}; there: sudo ./{SCRIPT}"
    )
