"""A class file to a class pack by a model directory: what `edgezsl embed --model` does on a workstation."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.classes import ClassFile
from edgezsl.encoders.model import KNOWLEDGE_GRAPH, Model
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.text import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.evaluate.progress import Progress
    from edgezsl.prototypes import ClassPrototypes


@dataclass(frozen=True, slots=True)
class NearestNames:
    """A class that is no node and has no parents: its row is a guess by its words.

    Attributes:
        name: Of the class.
        nodes: Id and name of each node whose row it has a share in, the nearest first.
    """

    name: str
    nodes: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        nodes = [{"id": wnid, "name": name} for wnid, name in self.nodes]
        return {"class": self.name, "nodes": nodes}


def embed_with_model(
    folder: Path, classes: Path, *, threads: int | None = None
) -> Iterator[Progress | NearestNames | ClassPrototypes]:
    """Embed a class file, and yield how far that is; last the prototypes, which every bundle of the model takes.

    A model with a graph has its rows from there, and each class that it places by its nearest names is said. Any other embeds as a
    bundle of it does.

    Args:
        folder: The model directory.
        classes: The class file.
        threads: Of the encoders, or None for all cores.

    Raises:
        ClassFileError: When the class file breaks a rule of docs/classes-file.md, or asks for what the model does not offer.
        ModelError: When the model directory is damaged, or its graph is not one that this version exports.
        EngineError: When an encoder fails.
        MissingExtraError: When a package that the classes need is not installed.
    """
    class_file, model = ClassFile.open(classes), Model.open(folder)
    if model.has(KNOWLEDGE_GRAPH):
        from edgezsl.compile.graph_rows import graph_prototypes  # with torch, which a bundle does not need

        yield (yield from graph_prototypes(model, class_file, threads=threads))
        return
    from edgezsl.compile.evaluation_run import drafted

    with tempfile.TemporaryDirectory(prefix="edgezsl-embed-") as place:
        bundle = yield from drafted(folder, Path(place))
        with closing(ClassEmbedder(bundle, SemanticCache(), threads=threads)) as embedder:
            yield embedder.embed(class_file, classes.parent)
