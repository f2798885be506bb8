"""A graph put behind another: what a method makes of an encoder's features becomes part of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.encoders.graph import graph_bytes, load_graph, require_onnx

if TYPE_CHECKING:
    import onnx

_BEHIND = "behind."  # before every name of the second graph, as often as it takes that none meets one of the first
_FEATURES = ".features"


def chained(first: bytes, second: bytes, *, output: str) -> bytes:
    """Return the graph `second(first(x))`.

    Args:
        first: An ONNX file with one output; it may be a chain itself.
        second: An ONNX file of the same opset, with one input and one output.
        output: The name of the result's output.

    Raises:
        ModelError: When a file is no graph.
        MissingExtraError: When the package onnx is not installed.
    """
    compose = require_onnx().compose
    before = load_graph(first, "the image encoder")
    taken = _names(before.graph)
    prefix = _BEHIND
    while any(name.startswith(prefix) for name in taken):
        prefix += _BEHIND
    behind = compose.add_prefix(load_graph(second, "what is put behind it"), prefix)
    behind.ir_version = before.ir_version
    features = before.graph.output[0].name
    model = compose.merge_models(before, behind, io_map=[(features, behind.graph.input[0].name)])
    inner = f"{output}{_FEATURES}"
    while inner in taken:
        inner += _FEATURES
    names = {features: inner, model.graph.output[0].name: output}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    model.graph.output[0].name = output
    del model.graph.value_info[:]
    return graph_bytes(model)


def _names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a graph's nodes and of all values in it."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    return {
        *(value.name for value in values),
        *(node.name for node in graph.node),
        *(name for node in graph.node for name in (*node.input, *node.output)),
    }
