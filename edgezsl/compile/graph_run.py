"""From a graph, features and an encoder to a model directory: `edgezsl train --method dgp`, `dgp-u` or `gcnz`.

The model holds the graph beside the encoder. Rows of classes are made on a workstation (`edgezsl.compile.graph_rows`), as no device has
the hidden states of all nodes: what a device gets is a class pack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edgezsl.compile.method_model import encoder_with, method_facts, text_files
from edgezsl.compile.method_steps import TrainedMethod, embedded_pictures, fitted_by_protocol
from edgezsl.data.folder_set import folder_set
from edgezsl.data.named_sets import feature_set_named, names_features
from edgezsl.data.wordnet import WordNet
from edgezsl.data.wordnet_graph import hypernymy, read_wordnet_graph
from edgezsl.encoders.model import GRAPH_KINDS, IMAGE_ENCODER, KNOWLEDGE_GRAPH, Model
from edgezsl.encoders.text_side import text_side
from edgezsl.errors import InputError, shown
from edgezsl.evaluate.progress import Progress
from edgezsl.manifest import Semantics
from edgezsl.records import sha256_hex
from edgezsl.zsl.knowledge.graph_file import ClassGraph, fitted_on
from edgezsl.zsl.knowledge.graph_method import GraphMethod, described_by, graph_entry
from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.compile.method_steps import MethodSettings
    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.data.wordnet_graph import WordNetGraph
    from edgezsl.encoders.model import ModelFacts
    from edgezsl.zsl.knowledge.node_classifier import KnowledgeMethod
    from edgezsl.zsl.selection import Chosen
    from edgezsl.zsl.space import Value

REFERENCE_GRAPH = Path("wordnet_graph", "imagenet_graph.npz")  # in the folder of the reference data
_BATCH = 512  # names at once


@dataclass(frozen=True, slots=True, eq=False)
class NamedGraph:
    """A graph and what its names are embedded by.

    Attributes:
        nodes: Ids, names and edges.
        knowledge: The same as networks see it.
        words: The model whose text side embeds names: that of the features, or where it knows no words the one of edgezsl.
        digest: SHA-256 of the graph's file.
    """

    nodes: WordNetGraph
    knowledge: KnowledgeGraph
    words: Model
    digest: str


def train_on_graph(settings: MethodSettings, data: str, reference: Path | None) -> Iterator[Progress | TrainedMethod]:
    """Train a network on a graph, and yield how far it is; last what came out.

    Args:
        settings: What is asked for.
        data: A folder whose sub-folders are classes, named by an id or a name of the graph, or what `feature_set_named` takes.
        reference: The folder of the reference data, for its graph or a benchmark's name.

    Raises:
        InputError: When the graph cannot be read, a class is no node of it, the data hold too little or are not the encoder's, or
            a setting is unknown.
        ModelError: When the encoder cannot be used.
    """
    base, folder = Model.open(settings.encoder), Path(data)
    pictures = folder.is_dir() and not names_features(data)
    given = None if pictures else feature_set_named(data, reference)
    graph = yield from _named_graph(settings, base, reference)
    if given is None:
        found = yield from embedded_pictures(folder, base, settings.cache)
        name = folder.resolve().name
        features = folder_set(name, found, _describe(graph), unseen=settings.unseen, seed=settings.seed)
        skipped = found.skipped
    else:
        features = replace(given, semantics=_describe(graph)(given.ids or given.class_names), attributes=())
        skipped = {}
    entry = graph_entry(cast("KnowledgeMethod", settings.method), graph.knowledge)

    def written(chosen: Chosen) -> tuple[ModelFacts, dict[str, bytes]]:
        fixed = {**entry.fixed(settings.size), "seed": settings.seed}
        return _facts_and_files(settings, base, features, graph, chosen, fixed)

    yield replace((yield from fitted_by_protocol(entry, features, settings, base, written)), skipped=skipped)


def _named_graph(
    settings: MethodSettings, base: Model, reference: Path | None
) -> Generator[Progress, None, NamedGraph]:
    if settings.graph is None and reference is None:
        message = f"the method {shown(settings.method)} learns on a graph, and there is none"
        hint = (
            "give its file with --graph, or the folder of the reference data, which holds one: --folder or EDGEZSL_DATA"
        )
        raise InputError(message, code="no_graph", expected="an .npz with edges, wnids and names", hint=hint)
    path = settings.graph or cast("Path", reference) / REFERENCE_GRAPH
    nodes = read_wordnet_graph(path)
    kinds = _kinds(settings, nodes)
    words = base if "words" in base.facts.semantics.kinds else Model.open()
    features = yield from _name_features(nodes.names, words)
    knowledge = KnowledgeGraph(features, nodes.edges, kinds)
    if nodes.kinds is None:  # what is no synset holds WordNet's tree together, and unlike things lie beside it
        knowledge = knowledge.without(nodes.outside_wordnet())
    return NamedGraph(replace(nodes, kinds=kinds), knowledge, words, sha256_hex(path.read_bytes()))


def _name_features(names: Sequence[str], words: Model) -> Generator[Progress, None, NDArray[np.float32]]:
    encoder = text_side(words)
    if encoder is None:
        raise RuntimeError("a model without words was asked for words")
    rows = []
    for start in range(0, len(names), _BATCH):
        rows.append(encoder.encode(list(names[start : start + _BATCH])))
        yield Progress("embedding the names of the graph", min(start + _BATCH, len(names)), len(names))
    return fitted_on(np.concatenate(rows))


def _kinds(settings: MethodSettings, nodes: WordNetGraph) -> NDArray[np.int64]:
    """Return what is a kind of what `(P, 2)`: by the graph, else by WordNet, of which only DGP asks it."""
    if nodes.kinds is not None:
        return nodes.kinds
    return (
        hypernymy(nodes, WordNet.read(settings.wordnet)).pairs
        if settings.method == "dgp"
        else np.zeros((0, 2), np.int64)
    )


def _describe(graph: NamedGraph) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    return lambda names: described_by(graph.nodes.nodes_named(names))


def _facts_and_files(
    settings: MethodSettings,
    base: Model,
    data: FeatureSet,
    graph: NamedGraph,
    chosen: Chosen,
    fixed: Mapping[str, Value],
) -> tuple[ModelFacts, dict[str, bytes]]:
    """Return what `model.json` says, and the files beside it."""
    method = cast("GraphMethod", chosen.method)
    sides = sides_of(method)
    seen = data.semantics[data.classes("trainval"), 0].astype(np.int64)
    name = cast("KnowledgeMethod", settings.method)
    stored = ClassGraph(
        name, replace(graph.nodes, edges=graph.knowledge.edges, kinds=None), graph.knowledge, method.classifier, seen
    )
    files = {
        IMAGE_ENCODER: encoder_with(base, sides.image)[0],
        KNOWLEDGE_GRAPH: stored.to_bytes(),
        **text_files(graph.words),
    }
    facts = method_facts(base, data, chosen, sides=sides, method=name, files=files, fixed=fixed)
    text = graph.words.facts.semantics
    semantics = Semantics(kinds=GRAPH_KINDS, token_limit=text.token_limit, text_cleaning=text.text_cleaning)
    return replace(facts, semantics=semantics, data={**facts.data, "graph": graph.digest}), files
