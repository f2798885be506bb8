"""Half precision: the same graph in float16, but for what float16 cannot hold or add up.

Normalisations, softmax and sums of squares stay in float32, and so does every node beside a tensor that grew large on the
calibration images: float16 ends at 65,504. Inputs and outputs keep their types. In a graph with quantize-dequantize pairs
the pairs keep float32 scales, with casts around them: float16 scales are no ONNX before opset 19. The only module that
imports `onnxruntime.transformers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.inner import inner_values
from edgezsl.encoders.graph import graph_bytes, load_graph, require_onnx, stripped
from edgezsl.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx
    from numpy.typing import NDArray

LARGEST_SAFE = 1e4  # of a tensor on the calibration images: other images may be six times as loud
# Sums of many terms, or of squares: they lose digits or overflow long before a convolution does.
KEPT_OPS = (
    *("LayerNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization", "LpNormalization"),
    *("Softmax", "LogSoftmax", "ReduceL2", "ReduceSumSquare", "ReduceSum", "ReduceMean", "Pow", "Sqrt", "Exp"),
    *("QuantizeLinear", "DequantizeLinear"),
)
_LENGTH_STEPS = ("Clip", "Max", "Expand", "Add", "Sqrt", "Unsqueeze", "Identity")  # from a norm to what divides by it


def largest_magnitudes(data: bytes, pixels: Iterable[NDArray[Any]]) -> dict[str, float]:
    """Run a graph over pixels, and return the largest magnitude of every float tensor in it, by name.

    Args:
        data: An image encoder, as `portable_encoder` makes it, for one frame at a time.
        pixels: Arrays `(1, 3, h, w)`.

    Raises:
        EngineError: When the graph does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    package = require_onnx()
    model = load_graph(data, "the image encoder")
    types = {value.name: value.type.tensor_type.elem_type for value in _typed(model)}
    float32 = package.TensorProto.FLOAT
    inside = [name for node in model.graph.node for name in node.output if types.get(name) == float32]
    largest = dict.fromkeys(inside, 0.0)
    for held in inner_values(model, inside, pixels):
        for name, values in held.items():
            largest[name] = max(largest[name], float(np.nan_to_num(np.abs(values), nan=np.inf).max(initial=0.0)))
    return largest


def half_graph(data: bytes, largest: Mapping[str, float]) -> bytes:
    """Return a graph in float16, with float32 where float16 is not safe, and float32 at its input and output.

    Args:
        data: An image encoder in float32, with or without quantize-dequantize pairs, as this package writes it.
        largest: What tensors reached (`largest_magnitudes`).

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    try:
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as cause:
        raise missing_extra("onnxruntime", "quantize", "half precision", cause) from cause
    model = load_graph(data, "the image encoder")
    loud = {name for name, most in largest.items() if most > LARGEST_SAFE}
    for node in model.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and node.input[0] in loud:
            loud.add(node.output[0])
    kept = _length_nodes(model) | {node.name for node in model.graph.node if loud & {*node.input, *node.output}}
    blocked = [*DEFAULT_OP_BLOCK_LIST, *KEPT_OPS]
    half = convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked, node_block_list=sorted(kept))
    _remove_twins(half)
    _remove_detours(half)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # the casts were put at the end
    return graph_bytes(stripped(half))


def _remove_twins(model: onnx.ModelProto) -> None:
    """Keep one of the equal casts that ONNX Runtime's converter, up to 1.31, writes for each reader of one tensor."""
    nodes = {node.output[0] or number: node for number, node in reversed([*enumerate(model.graph.node)])}
    kept = [node for number, node in enumerate(model.graph.node) if nodes[node.output[0] or number] is node]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    told = {value.name: value for value in model.graph.value_info}
    del model.graph.value_info[:]
    model.graph.value_info.extend(told.values())


def _remove_detours(model: onnx.ModelProto) -> None:
    """Let a node in float32 read another's float32 result itself, not through a cast to float16 and one back.

    The converter puts both between neighbours that stay in float32, and what float16 cannot hold is lost there all the same.
    A cast of the graph's own, of an integer, is no detour.
    """
    package = require_onnx()
    casts = {
        node.output[0]: (node.input[0], package.helper.get_attribute_value(node.attribute[0]))
        for node in model.graph.node
        if node.op_type == "Cast"
    }
    half, full = package.TensorProto.FLOAT16, package.TensorProto.FLOAT
    in_full = {value.name for value in (*model.graph.input, *_typed(model)) if _is_float(value)}

    def before_half(name: str) -> str:
        while name in casts and casts[name][1] == half:  # one may be the graph's own: a cast of float32 to float32
            name = casts[name][0]
        return name

    straight = {
        name: before_half(source)
        for name, (source, to) in casts.items()
        if to == full and before_half(source) != source and before_half(source) in in_full
    }
    results = {value.name for value in model.graph.output}
    renamed = {source: name for name, source in straight.items() if name in results}
    for node in model.graph.node:
        for number, name in enumerate(node.input):
            source = straight.get(name, name)
            node.input[number] = renamed.get(source, source)
        for number, name in enumerate(node.output):
            node.output[number] = renamed.get(name, name)
    _remove_unread(model, set(straight))


def _remove_unread(model: onnx.ModelProto, detours: set[str]) -> None:
    """Remove the second casts of detours, and then every cast that nothing reads."""
    results = {value.name for value in model.graph.output}
    nodes = [node for node in model.graph.node if node.op_type != "Cast" or node.output[0] not in detours]
    read = results | {name for node in nodes for name in node.input}
    kept = [node for node in nodes if node.op_type != "Cast" or node.output[0] in read]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _length_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the nodes that make an embedding's length 1: none of them may round first.

    They are the one that gives the embedding and, where it divides, all between the norm and it.
    """
    made = {name: node for node in model.graph.node for name in node.output}
    last = made[model.graph.output[0].name]
    found, left = {last.name}, list(last.input[1:]) if last.op_type == "Div" else []
    while left:
        node = made.get(left.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type in _LENGTH_STEPS:
            left += node.input
    return found


def _is_float(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type == require_onnx().TensorProto.FLOAT)


def _typed(model: onnx.ModelProto) -> Iterable[onnx.ValueInfoProto]:
    inferred = require_onnx().shape_inference.infer_shapes(model)
    return (*inferred.graph.value_info, *inferred.graph.output)
