"""A class file to class prototypes by a model with a graph, on a workstation: what a device takes as a class pack.

A class that is a node of the graph has the row of that node; one with `parents` joins the graph below them; any other gets the mean row of
the nodes whose names are nearest to its own. Nothing is trained.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.classes import SLOT
from edgezsl.compile.embed_run import NearestNames
from edgezsl.encoders.model import KNOWLEDGE_GRAPH
from edgezsl.encoders.text_side import text_side
from edgezsl.errors import ClassFileError, shown
from edgezsl.evaluate.progress import Progress
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.graph_file import ClassGraph
from edgezsl.zsl.knowledge.new_classes import NEAREST, nearest_nodes, rows_by_nearest_names, rows_by_parents
from edgezsl.zsl.knowledge.node_classifier import row_prototypes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.classes import ClassEntry, ClassFile
    from edgezsl.encoders.model import Model


@dataclass(frozen=True, slots=True)
class Joined:
    """How a class finds its place in a graph.

    Attributes:
        entry: The class.
        node: Which node it is, or None where it is none.
        parents: Nodes that it is a kind of; where there are none either, its nearest names say what it is.
    """

    entry: ClassEntry
    node: int | None = None
    parents: tuple[int, ...] = ()


def graph_prototypes(
    model: Model, class_file: ClassFile, *, threads: int | None = None
) -> Generator[Progress | NearestNames, None, ClassPrototypes]:
    """Return the prototypes of a class file, and yield how far that is, and which classes have their rows from nearest names.

    Args:
        model: Has a graph.
        class_file: Classes by words, with parents or without.
        threads: Of the text encoder, or None for all cores.

    Raises:
        ClassFileError: When a class is not given by words, or a name or a parent does not say which node is meant.
        ModelError: When the graph is damaged.
        EngineError: When the text encoder does not run.
        MissingExtraError: When the package tokenizers is not installed.
    """
    facts = model.facts
    graph = ClassGraph.from_bytes(model.read(KNOWLEDGE_GRAPH), file=str(model.folder / KNOWLEDGE_GRAPH))
    joined = _joined(graph, class_file, model)
    features = _features(model, class_file, joined, threads)
    rows = yield from _rows(graph, joined, features)
    yield from _nearest_names(graph, joined, features)
    vectors, biases = row_prototypes(rows, graph.classifier.mean_)
    known = set(graph.seen.tolist())
    return ClassPrototypes.from_rows(
        [
            ClassRow(
                one.entry.name,
                vector.astype(np.float32),
                float(bias),
                threshold=one.entry.threshold,
                negative=one.entry.negative,
                seen=one.node in known,
            )
            for one, vector, bias in zip(joined, vectors, biases, strict=True)
        ],
        facts.space,
        reject=class_file.reject,
        seen_penalty=facts.seen_penalty if class_file.seen_penalty is None else class_file.seen_penalty,
    )


def _joined(graph: ClassGraph, class_file: ClassFile, model: Model) -> list[Joined]:
    """Return the place of each class; every text is looked for at once, as an index of all names is made for it."""
    texts = [text for entry in class_file.entries for text in (entry.parents or (entry.name, *entry.synonyms))]
    meant = dict(zip(texts, graph.nodes.meant_by(texts), strict=True))
    found = []
    for entry in class_file.entries:
        if entry.kind != "words" or entry.examples:
            raise ClassFileError(
                f"the class {shown(entry.name)} is given by {'examples' if entry.examples else entry.kind}",
                code="kind_not_offered",
                where=entry.place,
                expected=f"words, with parents or without, which the model {model.facts.name!r} offers",
                hint="give its name, and what it is a kind of",
            )
        if entry.parents:
            parents = [_only(graph, entry, text, meant[text]) for text in entry.parents]
            found.append(Joined(entry, parents=tuple(dict.fromkeys(parents))))
        else:
            found.append(Joined(entry, _own_node(graph, entry, meant)))
    return found


def _own_node(graph: ClassGraph, entry: ClassEntry, meant: dict[str, list[int]]) -> int | None:
    """Return the node that a class is, by its name or else a synonym; None where the graph has none of them."""
    words = (entry.name, *entry.synonyms)
    clear = [meant[word][0] for word in words if len(meant[word]) == 1]
    if clear:
        return clear[0]
    unclear = [word for word in words if meant[word]]
    return _only(graph, entry, unclear[0], meant[unclear[0]]) if unclear else None


def _only(graph: ClassGraph, entry: ClassEntry, text: str, nodes: Sequence[int]) -> int:
    """Return the one node that a text means, or refuse it."""
    if len(nodes) == 1:
        return nodes[0]
    where = entry.at("parents" if entry.parents else "name")
    if not nodes:
        raise ClassFileError(
            f"the graph has no node {shown(text)}",
            code="unknown_node",
            where=where,
            expected="nodes of the model's graph, by id or by name",
            hint="name something more general, or leave parents out: the class then joins by its nearest names",
        )
    several = graph.nodes.told_apart(nodes, graph.knowledge.kinds)
    raise ClassFileError(
        f"{shown(text)} means {len(nodes)} nodes of the graph: {several}",
        code="ambiguous_node",
        where=where,
        expected="one node",
        hint="write its id instead"
        if entry.parents
        else "write its id as a synonym, or what it is a kind of as parents",
    )


def _rows(
    graph: ClassGraph, joined: Sequence[Joined], features: Mapping[str, NDArray[np.float32]]
) -> Generator[Progress, None, NDArray[np.float64]]:
    """Return the rows `(K, D)` of classes at length 1.

    Args:
        graph: What they are joined to.
        joined: How.
        features: `(A,)` of each class that is no node, by its name.
    """
    network, knowledge = graph.classifier, graph.knowledge
    rows: dict[str, NDArray[np.float64]] = {}
    nodes = [one for one in joined if one.node is not None]
    named = [one.entry for one in joined if one.node is None and not one.parents]
    if nodes:
        found = network.rows(knowledge, np.array([one.node for one in nodes], np.int64))
        rows |= {one.entry.name: row for one, row in zip(nodes, found, strict=True)}
    if named:
        found = rows_by_nearest_names(network, knowledge, np.stack([_known(one, features) for one in named]))
        rows |= {one.name: row for one, row in zip(named, found, strict=True)}
    for one in joined:
        if one.parents:
            (rows[one.entry.name],) = rows_by_parents(network, knowledge, features[one.entry.name][None], [one.parents])
            yield Progress("joining classes to the graph", len(rows), len(joined))
    return np.stack([rows[one.entry.name] for one in joined])


def _nearest_names(
    graph: ClassGraph, joined: Sequence[Joined], features: Mapping[str, NDArray[np.float32]]
) -> Iterator[NearestNames]:
    """Yield the nodes of each class that `_rows` placed by its nearest names."""
    named = [one.entry.name for one in joined if one.node is None and not one.parents]
    if named:
        found = nearest_nodes(graph.knowledge.features, np.stack([features[name] for name in named]), NEAREST)
        for name, nodes in zip(named, found.tolist(), strict=True):
            yield NearestNames(name, tuple((graph.nodes.wnids[node], graph.nodes.names[node]) for node in nodes))


def _known(entry: ClassEntry, features: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the feature `(A,)` of a class, or refuse one whose words mean nothing: it is near to no name."""
    if not features[entry.name].any():
        raise ClassFileError(
            f"the model knows no word of the class {shown(entry.name)}",
            code="unknown_words",
            where=entry.place,
            expected="words that the model was trained on, or parents",
            hint="describe it in other words, or say what it is a kind of",
        )
    return features[entry.name]


def _features(
    model: Model, class_file: ClassFile, joined: Sequence[Joined], threads: int | None
) -> dict[str, NDArray[np.float32]]:
    """Return the features `(A,)` of classes that are no nodes, made as those of nodes: all names as one text, and descriptions."""
    entries = [one.entry for one in joined if one.node is None]
    encoder = text_side(model, threads=threads) if entries else None
    if encoder is None:
        return {}
    templates = class_file.templates or model.facts.semantics.templates
    features = {}
    with closing(encoder):
        for entry in entries:
            names = ", ".join((entry.name, *entry.synonyms))
            texts = [*(template.replace(SLOT, names) for template in templates), *entry.descriptions]
            features[entry.name] = unit(encoder.encode(texts).mean(axis=0)).astype(np.float32)
    return features
