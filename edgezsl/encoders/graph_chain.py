"""Graphs of graphs: one put behind another, as what a method makes of features becomes part of the encoder; and a part of one."""

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


def with_one_output(data: bytes, output: str, file: str) -> bytes:
    """Return what a graph computes one of its outputs with: of a classifier, the network up to its features.

    Args:
        data: An ONNX file.
        output: The output to keep; where the graph has no other, or none of this name, it is returned as it is.
        file: Named in errors.

    Raises:
        ModelError: When the file is no graph.
        MissingExtraError: When the package onnx is not installed.
    """
    model = load_graph(data, file)
    names = [value.name for value in model.graph.output]
    if output not in names or len(names) == 1:
        return data
    from onnx.utils import Extractor

    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    return graph_bytes(Extractor(model).extract_model(inputs, [output]))


def _names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of a graph's nodes and of all values in it."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    return {
        *(value.name for value in values),
        *(node.name for node in graph.node),
        *(name for node in graph.node for name in (*node.input, *node.output)),
    }
