"""What a graph must be for TensorRT to build it, read off the file: no GPU is needed, and no TensorRT was run.

The rules of form hold for every version: opset and IR version, and quantization as symmetric INT8 pairs (NVIDIA, "Working
with quantized types", TensorRT documentation 10.3 to 11.0; onnx-tensorrt, docs/operators.md). What operators there are
differs from version to version (`edgezsl.compile.tensorrt_rows`). A graph that breaks none may still not build: that is
said nowhere but on a board.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.encoders.graph import (
    IR_VERSION,
    STANDARD,
    WRITTEN_OPSETS,
    all_nodes,
    load_graph,
    nested_nodes,
    opset_of,
    require_onnx,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import onnx
    from numpy.typing import NDArray

    from edgezsl.compile.tensorrt_rows import TensorRtRow

RULES_VERSION = "1"
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_ZERO_POINT = 2  # the input of a pair
# Whose result has a shape that its input's values decide.
_SHAPED_BY_VALUES = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress"})
# Which inputs give the shape of the result, not its values.
_SHAPE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "ConstantOfShape": (0,),
    "Slice": (1, 2, 3, 4),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Pad": (1,),
    "TopK": (1,),
    "OneHot": (1,),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a graph breaks.

    Attributes:
        rule: Its name.
        node: The node or tensor at fault, or `graph`.
        message: What is wrong with it.
    """

    rule: str
    node: str
    message: str

    def __str__(self) -> str:
        return f"{self.node} {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class _View:
    """A graph with what the rules ask of it.

    Attributes:
        model: The graph.
        constants: Tensors that are the same for every frame and lie in the file, by name.
        producers: The node that makes each tensor.
        consumers: The nodes that read each tensor, with the number of the input.
        of_frame: The tensors whose values depend on the frame; a shape does not.
    """

    model: onnx.ModelProto
    constants: Mapping[str, onnx.TensorProto]
    producers: Mapping[str, onnx.NodeProto]
    consumers: Mapping[str, list[tuple[onnx.NodeProto, int]]]
    of_frame: frozenset[str]
    _values: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _View:
        """Look at a graph."""
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        producers: dict[str, onnx.NodeProto] = {}
        consumers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        of_frame = {value.name for value in model.graph.input} - set(constants)
        for node in model.graph.node:
            producers.update(dict.fromkeys(node.output, node))
            for number, name in enumerate(node.input):
                consumers.setdefault(name, []).append((node, number))
            value = next((one.t for one in node.attribute if one.name == "value"), None)
            if node.op_type == "Constant" and value is not None:
                constants[node.output[0]] = value
            if node.op_type not in {"Shape", "Size"} and of_frame & set(node.input):
                of_frame.update(node.output)
        return cls(model, constants, producers, consumers, frozenset(of_frame))

    def value(self, name: str) -> NDArray[Any] | None:
        """Return a constant, or None where the tensor is not one."""
        if name not in self.constants:
            return None
        if name not in self._values:
            self._values[name] = require_onnx().numpy_helper.to_array(self.constants[name])
        return self._values[name]


def faults(model: onnx.ModelProto, row: TensorRtRow | None = None) -> list[Fault]:
    """Return what keeps TensorRT from building a graph: nothing where no rule is broken.

    Args:
        model: An image encoder.
        row: A version, whose operators are then checked too; None: the rules of form alone.

    Raises:
        MissingExtraError: When the package onnx is not installed.
    """
    require_onnx()
    view = _View.of(model)
    found = [fault for rule in _RULES for fault in rule(view)]
    return found if row is None else [*found, *_operators(view, row)]


def verdicts(data: bytes) -> dict[str, str]:
    """Return for each version of TensorRT what the rules say of a file, in words, with the version of the rules.

    Args:
        data: An ONNX file, the image encoder of a bundle.

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When the package onnx is not installed.
    """
    model = load_graph(data, "the image encoder")
    return {row.version: _verdict(faults(model, row)) for row in ROWS}


def _verdict(found: list[Fault]) -> str:
    if not found:
        return f"no rule is broken (rules {RULES_VERSION}, not run)"
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"refused: {found[0]}{more} (rules {RULES_VERSION}, not run)"


def _file(view: _View) -> Iterator[Fault]:
    """Check the file: versions, what it holds beside the graph, and where its weights lie."""
    package, model = require_onnx(), view.model
    if opset_of(model) not in WRITTEN_OPSETS:
        expected = " or ".join(map(str, WRITTEN_OPSETS))
        yield Fault("opset", "graph", f"is of opset {opset_of(model)}, expected {expected}")
    if model.ir_version > IR_VERSION:
        yield Fault("ir_version", "graph", f"has IR version {model.ir_version}, expected at most {IR_VERSION}")
    for domain in sorted({node.domain for node in all_nodes(model.graph)} - set(STANDARD)):
        node = next(node for node in all_nodes(model.graph) if node.domain == domain)
        yield Fault("foreign_operator", node.name, f"is a {node.op_type} of {domain}")
    if len(model.metadata_props) or any(node.doc_string or len(node.metadata_props) for node in model.graph.node):
        yield Fault("metadata", "graph", "holds metadata")
    for tensor in model.graph.initializer:
        if tensor.data_location == package.TensorProto.EXTERNAL:
            yield Fault("external_weights", tensor.name, "lies in another file")


def _inputs(view: _View) -> Iterator[Fault]:
    """Check that frames come in as numbers that an image has."""
    types = require_onnx().TensorProto
    for value in view.model.graph.input:
        kind = value.type.tensor_type.elem_type
        if value.name not in view.constants and kind not in {types.FLOAT, types.UINT8}:
            yield Fault("input_type", value.name, f"is {types.DataType.Name(kind)}, expected FLOAT or UINT8")


def _integers(view: _View) -> Iterator[Fault]:
    """Check that nothing computes in integers by name: TensorRT chooses integer kernels by the pairs alone."""
    for node in all_nodes(view.model.graph):
        if node.op_type.startswith(("QLinear", "DynamicQuantize")) or node.op_type.endswith("Integer"):
            yield Fault("integer_operator", node.name, f"is a {node.op_type}")


def _nested(view: _View) -> Iterator[Fault]:
    """Check that no pair stands in a branch or a loop: the other rules look at the graph itself."""
    for node in view.model.graph.node:
        for inner in nested_nodes(node):
            if inner.op_type in _PAIR:
                yield Fault("nested_pair", inner.name, f"stands inside the {node.op_type} {node.name}")


def _pairs(view: _View) -> Iterator[Fault]:
    """Check scales and zero points: symmetric INT8 with positive float32 scales, all constants."""
    for node in _nodes_of(view, *_PAIR):
        zero = view.value(node.input[_ZERO_POINT]) if len(node.input) > _ZERO_POINT else None
        if zero is None or zero.dtype != np.int8:
            kind = "none" if zero is None else str(zero.dtype).upper()
            yield Fault("zero_point_type", node.name, f"has a zero point that is not an INT8 constant ({kind})")
        elif zero.any():
            yield Fault("zero_point_value", node.name, "has a zero point other than 0")
        scale = view.value(node.input[1])
        if scale is None or scale.dtype != np.float32:
            kind = "none" if scale is None else str(scale.dtype)
            yield Fault("scale_type", node.name, f"has a scale that is not a float32 constant ({kind})")
        elif not (np.isfinite(scale).all() and (scale > 0).all()):
            yield Fault("scale_value", node.name, "has a scale that is not positive")


def _couples(view: _View) -> Iterator[Fault]:
    """Check that what is quantized is dequantized, and that nothing else is: no INT32 bias, no bare integers."""
    results = {value.name for value in view.model.graph.output}
    for node in _nodes_of(view, "QuantizeLinear"):
        readers = view.consumers.get(node.output[0], [])
        if not readers or node.output[0] in results or any(r.op_type != "DequantizeLinear" for r, _ in readers):
            yield Fault("unpaired", node.name, "is not followed by DequantizeLinear alone")
    for node in _nodes_of(view, "DequantizeLinear"):
        stored = view.value(node.input[0])
        maker = view.producers.get(node.input[0])
        if stored is not None and stored.dtype != np.int8:
            kind = str(stored.dtype).upper()
            yield Fault("integer_constant", node.name, f"dequantizes a constant of type {kind}, such as a bias")
        elif stored is None and (maker is None or maker.op_type != "QuantizeLinear"):
            yield Fault("unpaired", node.name, "follows no QuantizeLinear")


def _axes(view: _View) -> Iterator[Fault]:
    """Check that a scale for each channel lies along the output channels of a weight, and nowhere else."""
    for node in _nodes_of(view, "DequantizeLinear"):
        scale = view.value(node.input[1])
        if scale is None or scale.size == 1:
            continue
        weight = _weight(view, node)
        if weight is None:
            yield Fault("activation_scale", node.name, f"has {scale.size} scales for what depends on the frame")
            continue
        rank = weight.ndim
        axis = _attribute(node, "axis", 1) % rank
        for reader, number in _readers(view, node):
            expected = _output_axis(reader, number, rank)
            if expected is None or axis != expected:
                where = "nowhere" if expected is None else f"axis {expected}"
                message = f"has a scale for each step of axis {axis}, expected along {where} for {reader.op_type}"
                yield Fault("weight_axis", node.name, message)


def _readers(view: _View, node: onnx.NodeProto) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield the nodes that read a node's result, past a cast, with the number of the input."""
    for reader, number in view.consumers.get(node.output[0], []):
        if reader.op_type == "Cast":
            yield from view.consumers.get(reader.output[0], [])
        else:
            yield reader, number


def _weight(view: _View, node: onnx.NodeProto) -> NDArray[Any] | None:
    """Return the weight that a DequantizeLinear gives, stored in INT8 or quantized from float in the graph."""
    maker = view.producers.get(node.input[0])
    quantized = maker is not None and maker.op_type == "QuantizeLinear"
    return view.value(maker.input[0] if maker is not None and quantized else node.input[0])


def _output_axis(reader: onnx.NodeProto, number: int, rank: int) -> int | None:
    """Return the axis of output channels in a weight of `rank` axes, or None where the operator takes no such weight."""
    match reader.op_type, number:
        case "Conv", 1:
            return 0
        case "ConvTranspose", 1:
            return 1
        case "Gemm", 1:
            return 0 if _attribute(reader, "transB", 0) else 1
        case "MatMul", 1:
            return rank - 1
    return None


def _shapes(view: _View) -> Iterator[Fault]:
    """Check that no shape depends on what a frame shows."""
    for node in view.model.graph.node:
        given = {node.input[number] for number in _SHAPE_INPUTS.get(node.op_type, ()) if number < len(node.input)}
        if node.op_type in _SHAPED_BY_VALUES and view.of_frame & set(node.input):
            given = set(node.input)
        if view.of_frame & given:
            yield Fault("data_dependent_shape", node.name, f"is a {node.op_type} whose shape depends on the frame")


def _operators(view: _View, row: TensorRtRow) -> Iterator[Fault]:
    """Check that TensorRT's parser takes each operator, and the way in which it is used."""
    for node in all_nodes(view.model.graph):
        if node.domain in STANDARD and node.op_type not in row.operators:
            yield Fault("unsupported_operator", node.name, f"is a {node.op_type}, which TensorRT {row.version} lacks")
        for breaks, words in _RESTRICTIONS.get(node.op_type, ()):
            if breaks(node):
                yield Fault("restricted_operator", node.name, f"is a {node.op_type} with {words}")


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute of a node: a number, bytes or a list."""
    package = require_onnx()
    return next((package.helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def _dilated(node: onnx.NodeProto) -> bool:
    return any(step != 1 for step in _attribute(node, "dilations", ()))


# docs/operators.md, the column "Restrictions".
_RESTRICTIONS: Mapping[str, tuple[tuple[Callable[[Any], bool], str], ...]] = {
    "AveragePool": ((_dilated, "dilations"),),
    "LpPool": ((_dilated, "dilations"),),
    "MaxPool": ((_dilated, "dilations"), (lambda node: len(node.output) > 1, "indices")),
    "LayerNormalization": ((lambda node: len(node.output) > 1, "more than one output"),),
    "Resize": (
        (lambda node: _attribute(node, "mode", b"nearest") == b"cubic", "mode cubic"),
        (lambda node: bool(_attribute(node, "antialias", 0)), "antialiasing"),
    ),
    "ScatterND": ((lambda node: _attribute(node, "reduction", b"none") != b"none", "a reduction"),),
    "TopK": ((lambda node: not _attribute(node, "sorted", 1), "sorted 0"),),
}
_RULES = (_file, _inputs, _integers, _nested, _pairs, _couples, _axes, _shapes)


def _nodes_of(view: _View, *operators: str) -> Iterable[onnx.NodeProto]:
    return (node for node in view.model.graph.node if node.op_type in operators)
