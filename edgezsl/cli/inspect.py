"""`edgezsl inspect`: what a bundle, a class pack or a class file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgezsl.cli.options import JsonOption
from edgezsl.cli.say import rules_facts, say_facts, say_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgezsl.prototypes import ClassPrototypes

_MOST_NAMES = 12


def inspect(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle's folder, a class pack (.safetensors) or a class file; default: the model of edgezsl.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what a bundle, a class pack or a class file holds, after verifying it."""
    from edgezsl.pack import PACK_SUFFIX

    if path is None or path.is_dir():
        report, facts = _bundle(path)
    elif path.suffix == PACK_SUFFIX:
        report, facts = _pack(path)
    else:
        report, facts = _class_file(path)
    if json:
        say_json(report)
    else:
        say_facts(facts)


def _bundle(path: Path | None) -> tuple[dict[str, Any], Iterable[tuple[str, object]]]:
    from edgezsl.bundle import Bundle

    bundle = Bundle.open(path)
    manifest = bundle.manifest
    contract, space, licence = manifest.contract, manifest.space, manifest.licence
    facts: list[tuple[str, object]] = [
        ("bundle", f"{manifest.name} ({bundle.digest[:12]})"),
        ("licence", f"{licence.id}{f': {licence.notice}' if licence.notice else ''}"),
        ("source", manifest.provenance.source_model),
        ("space", f"{space}, {space.activation}, logit scale {space.logit_scale:g}"),
        (
            "input",
            f"{contract.size[1]}x{contract.size[0]} {contract.dtype}, {contract.resize}, {contract.interpolation}",
        ),
        (
            "encoders",
            ", ".join(
                f"{name}{' (default)' if name == manifest.precision else ''}" for name in manifest.image_encoders
            ),
        ),
        ("classes by", ", ".join(manifest.semantics.kinds)),
        ("templates", ", ".join(repr(template) for template in manifest.semantics.templates)),
        ("example penalty", manifest.semantics.example_penalty),
        ("seen penalty", manifest.seen_penalty),
        ("parity", manifest.parity.outcome.replace("_", " ") if manifest.parity else "not proved at export"),
    ]
    if manifest.fallback:
        facts.append(("instead of", f"{manifest.fallback.asked}: {manifest.fallback.reason}"))
    facts += rules_facts(manifest.verdicts)
    if manifest.semantics.description_weight:
        counted = f"counts as {manifest.semantics.description_weight:g} pictures beside examples"
        facts.append(("description", counted))
    if manifest.semantics.attributes:
        facts.append(("attributes", _listed(manifest.semantics.attributes)))
    return {"kind": "bundle", "digest": bundle.digest, "manifest": manifest.to_json()}, facts


def _pack(path: Path) -> tuple[dict[str, Any], Iterable[tuple[str, object]]]:
    import numpy as np

    prototypes = _prototypes(path)
    space, count = prototypes.space, len(prototypes)
    negative = [name for name, flag in zip(prototypes.names, prototypes.negative, strict=True) if flag]
    counts = {
        "thresholds": int(np.count_nonzero(~np.isnan(prototypes.thresholds))),
        "bias": int(np.count_nonzero(prototypes.bias)),
        "seen": int(np.count_nonzero(prototypes.seen)),
    }
    report = {
        "kind": "pack",
        "digest": prototypes.digest,
        "space": space.id,
        "dim": space.dim,
        "names": list(prototypes.names),
        "negative": negative,
        "reject": prototypes.reject,
        **counts,
        "seen_penalty": prototypes.seen_penalty,
    }
    return report, [
        ("class pack", prototypes.digest),
        ("space", f"{space.id[:12]} (D={space.dim})"),
        ("classes", _listed(prototypes.names)),
        ("negative", _listed(negative)),
        ("reject", "none" if prototypes.reject is None else prototypes.reject),
        *((name, f"{number} of {count}" if number else "none") for name, number in counts.items()),
        ("seen penalty", prototypes.seen_penalty),
    ]


def _prototypes(path: Path) -> ClassPrototypes:
    """Return the classes of a pack, checked as for a model, but for the length of rows: a pack names no similarity."""
    from edgezsl.contract import EmbeddingSpace
    from edgezsl.errors import ContractError, PackError, Place
    from edgezsl.files import read_regular
    from edgezsl.pack import LARGEST_PACK, PackHeader
    from edgezsl.prototypes import ClassPrototypes

    data = read_regular(path, max_bytes=LARGEST_PACK, error=PackError)
    header = PackHeader.from_bytes(data, file=str(path))
    try:
        space = EmbeddingSpace(header.space, header.dim, "dot")
    except ContractError as fault:
        place = Place(str(path), field="vectors" if fault.where.field == "dim" else "edgezsl.space")
        raise PackError(fault.message, code="bad_space", where=place, expected=fault.expected) from fault
    return ClassPrototypes.from_bytes(data, space, file=str(path))


def _class_file(path: Path) -> tuple[dict[str, Any], Iterable[tuple[str, object]]]:
    from edgezsl.classes import ClassFile

    class_file = ClassFile.open(path)
    entries = [
        {
            "name": entry.name,
            "line": entry.place.line,
            "kind": entry.kind,
            "threshold": entry.threshold,
            "negative": entry.negative,
        }
        for entry in class_file.entries
    ]
    report = {
        "kind": "class_file",
        "classes": entries,
        "templates": class_file.templates,
        "reject": class_file.reject,
        "seen_penalty": class_file.seen_penalty,
    }
    return report, [
        ("class file", path),
        ("classes", _listed([entry.name for entry in class_file.entries])),
        ("negative", _listed([entry.name for entry in class_file.entries if entry.negative])),
        ("templates", "the model's own" if class_file.templates is None else ", ".join(class_file.templates)),
        ("reject", "none" if class_file.reject is None else class_file.reject),
    ]


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    rest = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return f"{len(known)}: {', '.join(known[:_MOST_NAMES])}{rest}" if known else "none"
