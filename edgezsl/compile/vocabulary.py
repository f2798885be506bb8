"""The classes by which an export is judged: what the user gives, else the labels, else names of everyday things."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.classes import ClassEntry, ClassFile
from edgezsl.compile.everyday_names import EVERYDAY_NAMES
from edgezsl.errors import Place
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.text import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgezsl.bundle import Bundle
    from edgezsl.prototypes import ClassPrototypes


def everyday_prototypes(bundle: Bundle) -> ClassPrototypes | None:
    """Return the prototypes of the everyday names that a model knows, or None where it knows fewer than two.

    Raises:
        EngineError: When the class side does not run.
        MissingExtraError: When the package tokenizers is not installed.
    """
    if "words" not in bundle.manifest.semantics.kinds:
        return None
    with _embedder(bundle) as embedder:
        semantics = embedder.text_encoder().encode(list(EVERYDAY_NAMES))
        known = [name for name, row in zip(EVERYDAY_NAMES, semantics, strict=True) if row.any()]
        return embedder.embed(_named(known, "everyday names"), Path()) if len(known) > 1 else None


def parity_prototypes(
    bundle: Bundle, classes: Path | None, labels: Sequence[str], everyday: ClassPrototypes | None
) -> tuple[ClassPrototypes | None, str]:
    """Return the classes among which the best is looked for, and what they are, in words.

    Args:
        bundle: Embeds them.
        classes: A class file, or None.
        labels: The labels of the images; they are the classes where there is no class file.
        everyday: The classes where there is neither; None where the model knows no such names.

    Returns:
        The classes, or None; and what they are, or why there are none.

    Raises:
        ClassFileError: When the class file breaks its format, or asks for what the model does not offer.
        EngineError: When the class side does not run.
        MissingExtraError: When the package tokenizers is not installed.
    """
    if classes is not None:
        prototypes = _embedded(bundle, ClassFile.open(classes), classes.parent)
        return prototypes, f"{len(prototypes)} classes of {classes.name}"
    if labels and everyday is not None:
        return _embedded(bundle, _named(labels, "labels"), Path()), f"{len(labels)} labels"
    if everyday is not None:
        return everyday, f"{len(everyday)} everyday names"
    return None, "the model knows no everyday names, and no classes were given"


def _named(names: Sequence[str], where: str) -> ClassFile:
    return ClassFile(where, tuple(ClassEntry(name, Place(where)) for name in names))


def _embedded(bundle: Bundle, classes: ClassFile, folder: Path) -> ClassPrototypes:
    with _embedder(bundle) as embedder:
        return embedder.embed(classes, folder)


def _embedder(bundle: Bundle) -> closing[ClassEmbedder]:
    return closing(ClassEmbedder(bundle, SemanticCache(), threads=1))
