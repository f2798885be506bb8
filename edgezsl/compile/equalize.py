"""Cross-layer equalization: the channels of an activation brought to like magnitudes, and no answer changed.

INT8 keeps one scale for a whole activation, so that a channel much quieter than its neighbours is rounded away. Between two
convolutions with nothing but positively homogeneous steps a channel may be multiplied by any factor, if the layers that
write it multiply their weights and the layers that read it divide theirs (Nagel et al., "Data-free quantization through
weight equalization and bias correction", ICCV 2019, section 4.1). The factor shares a channel's spread between the
activation and the weights that read it, as measured on the calibration images (Xiao et al., "SmoothQuant", ICML 2023,
equation 4); the writers' weights have a scale for each channel and take any. Every factor is a power of two, and
so the equalized network's answers are the same to the last bit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.inner import inner_values
from edgezsl.encoders.graph import graph_bytes, load_graph, nested_nodes, require_onnx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

# What f(c·x) = c·f(x) holds for, c > 0, channel by channel.
_HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity"})
_QUIETEST = 1e-3  # of the loudest channel: what is quieter counts as that, so that no dead one gets an endless factor
_TO_WEIGHTS = 0.75  # of a channel's spread, on a logarithmic scale; docs/adr/0014 has what other shares cost


@dataclass(slots=True, eq=False)
class _Span:
    """Tensors that share their channels' factors, and the convolutions at their ends.

    Attributes:
        writers: They make such a tensor.
        readers: They take one.
    """

    writers: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)


def equalized_graph(data: bytes, pixels: Iterable[NDArray[Any]]) -> bytes:
    """Return a graph that answers the same, its channels brought to like magnitudes wherever that can be done.

    Args:
        data: An image encoder, as `portable_encoder` makes it.
        pixels: Arrays `(1, 3, h, w)`, by which the magnitudes of channels are measured.

    Raises:
        EngineError: When the graph does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    model = load_graph(data, "the image encoder")
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    spans = _spans(model, weights)
    loudest = _loudest_channels(model, {node.input[0] for span in spans for node in span.readers}, pixels)
    for span in spans:
        factors = _factors(span, loudest, weights)
        for node in span.writers:
            for name in node.input[1:]:
                _multiply(weights[name], factors, axis=0)
        for node in span.readers:
            _multiply(weights[node.input[1]], np.reciprocal(factors), axis=0 if _is_depthwise(node, weights) else 1)
    return graph_bytes(model)


def _spans(model: onnx.ModelProto, weights: Mapping[str, onnx.TensorProto]) -> list[_Span]:
    """Return the spans whose every tensor is written and read by convolutions and homogeneous steps alone."""
    joined = _Joined()
    nested = {name for node in model.graph.node for inner in nested_nodes(node) for name in inner.input}
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)} | set(weights) | nested
    read = Counter(name for node in model.graph.node for name in node.input)
    shared = {name for name in weights if read[name] > 1} | nested
    for node in model.graph.node:
        if node.op_type == "Add" or node.op_type in _HOMOGENEOUS:
            for name in node.input:
                joined.join(name, node.output[0])
        elif not _may_scale(node, weights, shared):
            fixed.update((*node.input, *node.output))
    barred = {joined.root(name) for name in fixed}
    spans: dict[str, _Span] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            spans.setdefault(joined.root(node.output[0]), _Span()).writers.append(node)
            spans.setdefault(joined.root(node.input[0]), _Span()).readers.append(node)
    return [span for root, span in spans.items() if root not in barred and _fits(span, weights)]


def _fits(span: _Span, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Return whether a span has both ends, and as many channels everywhere.

    A sum may stretch one channel over many, and a convolution in groups reads only some: both are left alone.
    """
    written = {weights[node.input[1]].dims[0] for node in span.writers}
    read = {weights[node.input[1]].dims[0 if _is_depthwise(node, weights) else 1] for node in span.readers}
    return bool(written) and bool(read) and len(written | read) == 1


class _Joined:
    """Names in sets that grow together (union-find)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, name: str) -> str:
        """Return the name that stands for the set of `name`."""
        while name in self._above:
            name = self._above[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Make one set of two."""
        first, second = self.root(one), self.root(other)
        if first != second:
            self._above[first] = second


def _may_scale(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto], shared: set[str]) -> bool:
    """Return whether a node is a convolution with weights of its own."""
    return node.op_type == "Conv" and all(name in weights and name not in shared for name in node.input[1:])


def _groups(node: onnx.NodeProto) -> int:
    return next((int(one.i) for one in node.attribute if one.name == "group"), 1)


def _is_depthwise(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    outside, inside = weights[node.input[1]].dims[:2]
    return bool(inside == 1 and _groups(node) == outside > 1)


def _loudest_channels(
    model: onnx.ModelProto, names: set[str], pixels: Iterable[NDArray[Any]]
) -> dict[str, NDArray[np.float64]]:
    """Return the largest magnitude `(C,)` of each channel of each tensor."""
    loudest: dict[str, NDArray[np.float64]] = {}
    if not names:
        return loudest
    for values in inner_values(model, sorted(names), pixels):
        for name in names:
            channels = np.abs(values[name][0]).reshape(values[name].shape[1], -1).max(axis=1).astype(np.float64)
            loudest[name] = np.maximum(loudest.get(name, 0.0), channels)
    return loudest


def _factors(
    span: _Span, loudest: Mapping[str, NDArray[np.float64]], weights: Mapping[str, onnx.TensorProto]
) -> NDArray[np.float32]:
    """Return what each channel is multiplied by, powers of two `(C,)`."""
    activations = [loudest[node.input[0]][None] for node in span.readers]
    if not np.isfinite(activations).all():
        return np.ones(activations[0].size, np.float32)
    activation = _most_of(activations)
    dense = [_magnitudes(weights[node.input[1]]) for node in span.readers if not _is_depthwise(node, weights)]
    # A depthwise reader has a scale for each channel, and takes any.
    exponents = -np.log2(activation)
    if dense:
        exponents = _TO_WEIGHTS * exponents + (1 - _TO_WEIGHTS) * np.log2(_most_of(dense))
    factors: NDArray[np.float32] = np.exp2(np.rint(exponents - exponents.mean())).astype(np.float32)
    return factors


def _most_of(tables: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return for each channel its largest share of the loudest in a row, over the rows of all tables `(R, C)`."""
    shares = [table / np.maximum(table.max(axis=1, keepdims=True), np.finfo(np.float64).tiny) for table in tables]
    most: NDArray[np.float64] = np.maximum(np.concatenate(shares).max(axis=0), _QUIETEST)
    return most


def _magnitudes(weight: onnx.TensorProto) -> NDArray[np.float64]:
    """Return the largest magnitude of a weight `(O, C)`, for each output and input channel."""
    values = np.abs(np.asarray(require_onnx().numpy_helper.to_array(weight), np.float64))
    most: NDArray[np.float64] = values.max(axis=tuple(range(2, values.ndim)))
    return most


def _multiply(tensor: onnx.TensorProto, factors: NDArray[np.float32], *, axis: int) -> None:
    helper = require_onnx().numpy_helper
    values = helper.to_array(tensor)
    shape = [len(factors) if number == axis else 1 for number in range(values.ndim)]
    tensor.CopyFrom(helper.from_array(values * factors.reshape(shape), tensor.name))
