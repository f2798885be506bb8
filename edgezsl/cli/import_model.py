"""`edgezsl import`: from a model of another library to a model directory."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.options import JsonOption
from edgezsl.cli.say import followed, say, say_facts, say_json

if TYPE_CHECKING:
    from edgezsl.compile.import_run import ImportResult

_HELP = (
    "open_clip:NAME@TAG, hf:ORG/NAME, timm:NAME, onnx:PATH; with files at hand open_clip:NAME@TAG=FILE, "
    "open_clip:local-dir:DIR, hf:DIR, timm:NAME@FILE (docs/importing.md)."
)


def import_model(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=_HELP)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The model directory to write, over an older one. Default: the model's name."),
    ] = None,
    contract: Annotated[
        Path | None, typer.Option("--contract", help="Of onnx: a JSON file with `contract` and `space`.")
    ] = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="A recipe's name or file.")] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="What to record where the model names no licence.")
    ] = None,
    parity_images: Annotated[
        Path | None, typer.Option("--parity-images", help="Images to compare with the model's library on.")
    ] = None,
    allow_broken_parity: Annotated[
        bool, typer.Option("--allow-broken-parity", help="Record what does not hold; do not refuse it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Import a CLIP-like model, or an image encoder, and prove that it is what its library says."""
    from edgezsl.compile.import_run import ImportResult, ImportSettings
    from edgezsl.compile.import_run import import_model as run_import

    settings = ImportSettings(
        source,
        out,
        contract=contract,
        recipe=recipe,
        licence=licence,
        parity_images=parity_images,
        allow_broken_parity=allow_broken_parity,
    )
    result = followed(run_import(settings), ImportResult, first="loading the model")
    if json:
        say_json(result.to_json())
    else:
        _say_result(result)


def _say_result(result: ImportResult) -> None:
    facts, contract = result.model.facts, result.model.facts.contract
    licence = facts.licence
    say_facts(
        [
            ("model", f"{facts.name}: {facts.source}"),
            ("licence", f"{licence.id}{f': {licence.notice}' if licence.notice else ''}"),
            ("input", f"{contract.size[1]}x{contract.size[0]}, {contract.resize}, {contract.interpolation}"),
            ("mean, std", f"{contract.mean}, {contract.std}"),
            ("space", f"{facts.space}, {facts.space.activation}, logit scale {facts.space.logit_scale:.4g}"),
            ("classes by", ", ".join(facts.semantics.kinds)),
            ("recipe", facts.recipe),
            *((name.replace("_", " "), f"{value:.6g}") for name, value in facts.proof.items()),
        ]
    )
    if result.parity and result.parity.faults:
        say(f"does not hold, and is recorded: {'; '.join(result.parity.faults)}")
    if licence.id == "unknown":
        say("its licence is unknown: look for it before you ship the model, and record it with --licence")
    if result.page:
        say(f"report: {result.page}")
    say(f"next: edgezsl export {quote(str(result.model.folder))} --int8")
