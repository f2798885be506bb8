"""What is allowed in a class file and probably not meant: classes that look alike, texts that will be cut.

A class file that breaks a rule is refused elsewhere; the findings here are advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.errors import shown
from edgezsl.runtime.embedder import class_texts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.classes import ClassFile
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.embedder import ClassEmbedder

NEAR = 0.95  # cosine; from here on two classes are hard to tell apart
_MOST_PAIRS = 100
_BLOCK = 1024  # rows compared at once


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of advice.

    Attributes:
        code: `near_duplicate`, `text_too_long`, `one_class`, `no_threshold` or `odd_threshold`.
        line: The line it is about, or None.
        message: What was found.
        hint: What to do.
    """

    code: Literal["near_duplicate", "text_too_long", "one_class", "no_threshold", "odd_threshold"]
    line: int | None
    message: str
    hint: str

    def to_json(self) -> dict[str, Any]:
        """Return the finding as an object."""
        return {"code": self.code, "line": self.line, "message": self.message, "hint": self.hint}


def lint(class_file: ClassFile, folder: Path, embedder: ClassEmbedder, *, near: float = NEAR) -> tuple[Finding, ...]:
    """Return what is probably not meant.

    Args:
        class_file: The classes.
        folder: Where the file lies.
        embedder: Embeds them.
        near: The cosine from which two classes count as near-duplicates, in [-1, 1].

    Raises:
        ClassFileError: When the bundle refuses a class.
        EngineError: When an encoder fails.
    """
    prototypes = embedder.embed(class_file, folder)
    lines = {entry.name: entry.place.line for entry in class_file.entries}
    return (
        *_sole_class(prototypes),
        *_odd_thresholds(class_file, prototypes),
        *_long_texts(class_file, embedder),
        *_near_duplicates(prototypes, lines, near),
    )


def _sole_class(prototypes: ClassPrototypes) -> list[Finding]:
    findings = []
    if len(prototypes) == 1:
        hint = "add the other things that the camera sees, or a negative class, or judge by score alone"
        findings.append(Finding("one_class", None, "with one class every probability is 1", hint))
    if not np.isfinite(prototypes.limits).any() and not prototypes.negative.any():
        message = "there is no threshold, no reject and no negative class: every frame gets a class"
        findings.append(Finding("no_threshold", None, message, "set reject: or add a class with negative: true"))
    return findings


def _odd_thresholds(class_file: ClassFile, prototypes: ClassPrototypes) -> list[Finding]:
    if prototypes.space.similarity != "cosine":
        return []
    offsets = dict(zip(prototypes.names, prototypes.offset.tolist(), strict=True))
    asked: list[tuple[str, float | None, int | None, float, float]] = [
        ("reject", class_file.reject, None, min(offsets.values()), max(offsets.values()))
    ]
    for entry in class_file.entries:
        what, offset = f"the threshold of {shown(entry.name)}", offsets[entry.name]
        asked.append((what, entry.threshold, entry.at("threshold").line, offset, offset))
    hint = "read scores off `edgezsl run` and choose between them"
    return [
        Finding("odd_threshold", line, f"{what} is {value}: scores lie between {low - 1:.3g} and {high + 1:.3g}", hint)
        for what, value, line, low, high in asked
        if value is not None and not low - 1 <= value <= high + 1
    ]


def _long_texts(class_file: ClassFile, embedder: ClassEmbedder) -> list[Finding]:
    semantics = embedder.bundle.manifest.semantics
    templates = class_file.templates or semantics.templates
    owners = {
        text: entry for entry in class_file.entries if entry.kind == "words" for text in class_texts(entry, templates)
    }
    if not owners or not semantics.token_limit:
        return []
    counts = zip(owners, embedder.text_encoder().token_counts(list(owners)), strict=True)
    return [
        Finding(
            "text_too_long",
            owners[text].place.line,
            f"{shown(text)} has {count} tokens, the model reads {semantics.token_limit}",
            "shorten it, or split it into two descriptions",
        )
        for text, count in counts
        if count > semantics.token_limit
    ]


def _near_duplicates(prototypes: ClassPrototypes, lines: dict[str, int | None], near: float) -> list[Finding]:
    rows = prototypes.vectors / np.linalg.norm(prototypes.vectors, axis=1, keepdims=True)
    findings: list[Finding] = []
    for first, second, cosine in _pairs_above(rows, near):
        one, other = prototypes.names[first], prototypes.names[second]
        message = f"{shown(other)} and {shown(one)} (line {lines[one]}) are nearly the same to this model: cosine {cosine:.3f}"
        hint = "merge them as synonyms, or describe what sets them apart"
        findings.append(Finding("near_duplicate", lines[other], message, hint))
    return findings


def _pairs_above(rows: NDArray[np.float32], near: float) -> list[tuple[int, int, float]]:
    """Return up to 100 pairs `(i, j, cosine)` with i < j and cosine ≥ `near`."""
    pairs: list[tuple[int, int, float]] = []
    for start in range(0, len(rows), _BLOCK):
        cosines = rows[start : start + _BLOCK] @ rows.T
        for i, j in np.argwhere(cosines >= near):
            if start + i < j:
                pairs.append((int(start + i), int(j), float(cosines[i, j])))
                if len(pairs) == _MOST_PAIRS:
                    return pairs
    return pairs
