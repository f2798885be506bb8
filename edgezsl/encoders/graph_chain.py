"""A graph put behind another: what a method makes of an encoder's features becomes part of the encoder."""

from __future__ import annotations

from edgezsl.encoders.graph import graph_bytes, load_graph, require_onnx

_BEHIND = "behind."  # before every name of the second graph, so that none meets one of the first


def chained(first: bytes, second: bytes, *, output: str) -> bytes:
    """Return the graph `second(first(x))`.

    Args:
        first: An ONNX file with one output.
        second: An ONNX file of the same opset, with one input and one output.
        output: The name of the result's output.

    Raises:
        ModelError: When a file is no graph.
        MissingExtraError: When the package onnx is not installed.
    """
    compose = require_onnx().compose
    before = load_graph(first, "the image encoder")
    behind = compose.add_prefix(load_graph(second, "what is put behind it"), _BEHIND)
    behind.ir_version = before.ir_version
    features = before.graph.output[0].name
    model = compose.merge_models(before, behind, io_map=[(features, behind.graph.input[0].name)])
    names = {features: f"{output}.features", model.graph.output[0].name: output}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    model.graph.output[0].name = output
    del model.graph.value_info[:]
    return graph_bytes(model)
