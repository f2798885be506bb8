"""`knowledge_graph.safetensors`: a fitted network with its graph, all that gives rows to classes on a workstation.

The format is docs/model-format.md, `edgezsl-graph/1`. Names of nodes are text and numbers are tensors: no pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from edgezsl.data.wordnet_graph import WordNetGraph
from edgezsl.errors import InputError, ModelError, Place, shown
from edgezsl.records import Fields, canonical_json, parse_json
from edgezsl.zsl.knowledge.knowledge_graph import KnowledgeGraph
from edgezsl.zsl.knowledge.node_classifier import KnowledgeMethod, NodeClassifier, NodeSchedule, node_classifier
from edgezsl.zsl.knowledge.node_network import NodeNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAPH_FORMAT = "edgezsl-graph/1"
_LARGEST_HEADER = 64 << 20  # bytes
_NETWORK = "network."


@dataclass(frozen=True, slots=True, eq=False)
class ClassGraph:
    """What says the row of a class by its place among other things.

    Attributes:
        method: Of the network.
        nodes: Ids, names and edges.
        knowledge: The same as networks see it; features are those of the names.
        classifier: Fitted.
        seen: `(n,)` nodes whose pictures it was fitted on.
    """

    method: KnowledgeMethod
    nodes: WordNetGraph
    knowledge: KnowledgeGraph
    classifier: NodeClassifier
    seen: NDArray[np.int64]

    def to_bytes(self) -> bytes:
        """Return the file: equal graphs give equal bytes. Features go in as float16, which is what networks are fitted on."""
        from safetensors.numpy import save

        network = self.classifier.network_
        tensors: dict[str, NDArray[Any]] = {
            "features": self.knowledge.features.astype(np.float16),
            "edges": self.knowledge.edges.astype(np.int32),
            "kinds": self.knowledge.kinds.astype(np.int32),
            "seen": self.seen.astype(np.int32),
            "mean": self.classifier.mean_.astype(np.float64),
            **{_NETWORK + name: value.numpy() for name, value in network.state_dict().items()},
        }
        header = {
            "format": GRAPH_FORMAT,
            "method": self.method,
            "hidden": list(self.classifier.schedule.hidden),
            "ids": self.nodes.wnids,
            "names": self.nodes.names,
        }
        stored = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        return save(stored, {"edgezsl": canonical_json(header).decode()})

    @classmethod
    def from_bytes(cls, data: bytes, *, file: str) -> ClassGraph:
        """Read the file.

        Raises:
            ModelError: When it is damaged, or its parts do not fit each other.
        """
        tensors, text = _read(data, file)
        value = parse_json(text.encode(), file=file, error=ModelError, max_bytes=_LARGEST_HEADER)
        fields = Fields(value, Place(file), ModelError)
        form = fields.text("format")
        if form != GRAPH_FORMAT:
            raise fields.refuse("format", f"the format is {shown(form)}", code="unknown_format", expected=GRAPH_FORMAT)
        method: KnowledgeMethod = fields.one_of("method", get_args(KnowledgeMethod))
        schedule = NodeSchedule(hidden=fields.counts("hidden"))
        ids, names = fields.texts("ids"), fields.texts("names")
        fields.done()
        try:
            edges, kinds = (tensors[name].astype(np.int64) for name in ("edges", "kinds"))
            nodes = WordNetGraph(ids, names, edges)
            knowledge = KnowledgeGraph(tensors["features"].astype(np.float32), edges, kinds)
            classifier = _classifier(method, schedule, knowledge, tensors)
        except (InputError, KeyError, ValueError, RuntimeError) as cause:
            message = f"the graph's parts do not fit each other ({cause})"
            raise ModelError(message, code="bad_graph", where=Place(file)) from cause
        return cls(method, nodes, knowledge, classifier, tensors["seen"].astype(np.int64))


def fitted_on(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return features as the file gives them back: what is stored is what was fitted on."""
    return features.astype(np.float16).astype(np.float32)


def _read(data: bytes, file: str) -> tuple[dict[str, NDArray[Any]], str]:
    """Return the tensors, and the text of the metadata."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    place = Place(file)
    length = int.from_bytes(data[:8], "little")
    try:
        tensors = load(data)
    except (SafetensorError, KeyError) as cause:  # KeyError: a dtype that numpy does not have
        raise ModelError(f"the graph is damaged ({cause})", code="damaged", where=place) from cause
    header = parse_json(data[8 : 8 + length], file=file, error=ModelError, max_bytes=_LARGEST_HEADER)
    metadata = Fields(header.get("__metadata__"), Place(file, field="__metadata__"), ModelError)
    text = metadata.text("edgezsl")
    metadata.done()
    return tensors, text


def _classifier(
    method: KnowledgeMethod, schedule: NodeSchedule, graph: KnowledgeGraph, tensors: dict[str, NDArray[Any]]
) -> NodeClassifier:
    found = node_classifier(method, schedule)
    found.mean_ = tensors["mean"]
    widths = (graph.features.shape[1], *schedule.hidden, len(found.mean_))
    found.network_ = NodeNetwork(found.propagation.matrices, widths, dropout=0.0)
    weights = {
        name.removeprefix(_NETWORK): torch.from_numpy(value.copy())
        for name, value in tensors.items()
        if name.startswith(_NETWORK)
    }
    found.network_.load_state_dict(weights)
    found.network_.eval()
    return found
