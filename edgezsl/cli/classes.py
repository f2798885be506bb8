"""`edgezsl embed` and `edgezsl check`: a class file without a camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.options import BundleOption, ClassFileArgument, JsonOption, ThreadsOption
from edgezsl.cli.say import counted, followed, say, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.compile.embed_run import NearestNames
    from edgezsl.prototypes import ClassPrototypes


def embed(
    classes: ClassFileArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The class pack to write.")] = Path("classes.safetensors"),
    bundle: BundleOption = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="A model directory in place of a bundle: one with a graph takes parents.",
            show_default=False,
        ),
    ] = None,
    threads: ThreadsOption = None,
    json: JsonOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Embed, and write nothing.")] = False,
) -> None:
    """Turn a class file into a class pack (classes.safetensors) that a device loads without a text encoder."""
    if bundle is not None and model is not None:
        raise typer.BadParameter("give one of --bundle and --model")
    nearest: list[NearestNames] = []
    if model is None:
        prototypes = _embedded(classes, bundle, threads)
    else:
        prototypes = _embedded_by_model(classes, model, threads, nearest)
    if not dry_run:
        prototypes.write(out)
    report = {
        "pack": None if dry_run else str(out),
        "classes": len(prototypes),
        "dim": prototypes.space.dim,
        "digest": prototypes.digest,
        **({} if model is None else {"by_nearest_names": [one.to_json() for one in nearest]}),
    }
    if json:
        say_json(report)
    else:
        for one in nearest:
            nodes = "; ".join(f"{name} ({wnid})" for wnid, name in one.nodes)
            say(f"{one.name}: no node of the graph, placed by its nearest names: {nodes}")
        done = "would be written" if dry_run else "written"
        say(
            f"{out} {done}: {counted(len(prototypes), 'class', 'classes')}, {prototypes.space.dim} dimensions, {prototypes.digest[:12]}"
        )


def _embedded(classes: Path, bundle: Path | None, threads: int | None) -> ClassPrototypes:
    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassFile
    from edgezsl.runtime.embedder import ClassEmbedder
    from edgezsl.runtime.text import SemanticCache

    class_file = ClassFile.open(classes)
    return ClassEmbedder(Bundle.open(bundle), SemanticCache(), threads=threads).embed(class_file, classes.parent)


def _embedded_by_model(classes: Path, model: Path, threads: int | None, nearest: list[NearestNames]) -> ClassPrototypes:
    """Return the prototypes, and add to `nearest` what the model placed by nearest names."""
    from edgezsl.compile.embed_run import NearestNames, embed_with_model
    from edgezsl.prototypes import ClassPrototypes

    def steps() -> Iterator[object]:
        for step in embed_with_model(model, classes, threads=threads):
            if isinstance(step, NearestNames):
                nearest.append(step)
            else:
                yield step

    return followed(steps(), ClassPrototypes, first="reading the model")


def check(
    classes: ClassFileArgument,
    bundle: BundleOption = None,
    near: Annotated[
        float, typer.Option("--near", min=-1.0, max=1.0, help="Cosine from which two classes count as near-duplicates.")
    ] = 0.95,
    threads: ThreadsOption = None,
    json: JsonOption = False,
) -> None:
    """Look for what is probably not meant in a class file: near-duplicates, texts too long, no threshold."""
    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassFile
    from edgezsl.runtime.embedder import ClassEmbedder
    from edgezsl.runtime.lint import lint
    from edgezsl.runtime.text import SemanticCache

    class_file = ClassFile.open(classes)
    embedder = ClassEmbedder(Bundle.open(bundle), SemanticCache(), threads=threads)
    findings = lint(class_file, classes.parent, embedder, near=near)
    if json:
        say_json({"classes": len(class_file.entries), "findings": [finding.to_json() for finding in findings]})
        return
    for finding in findings:
        place = f"{classes}:{finding.line}" if finding.line else str(classes)
        say(f"{place}: {finding.message}; {finding.hint}")
    say(f"{classes}: {counted(len(class_file.entries), 'class', 'classes')}, findings: {len(findings)}")
