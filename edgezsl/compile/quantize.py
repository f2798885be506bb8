"""INT8 by explicit quantize-dequantize pairs, in the one form that TensorRT, OpenVINO and ONNX Runtime all read.

Symmetric, zero points 0, one scale for each output channel of a weight, one for each activation, biases in float, and
only before convolutions and matrix products: each node's inputs are quantized and its output is not, so that an
activation function is fused before the next pair. Beside it a form for ONNX Runtime on CPUs alone, without calibration.
The only module that imports `onnxruntime.quantization`.
"""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.compile.inner import inner_values
from edgezsl.compile.ranges import Histogram
from edgezsl.compile.rules import faults
from edgezsl.encoders.graph import graph_bytes, load_graph, require_onnx, stripped
from edgezsl.errors import ModelError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

QUANTIZED_OPS = ("Conv", "MatMul", "Gemm")
KEEP_RULES = "stem, depthwise, op:NAME, node:PATTERN"


def quantized_nodes(model: onnx.ModelProto, keep_float: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that are quantized: every convolution and matrix product that no rule keeps in float.

    Args:
        model: A graph whose nodes have names.
        keep_float: Rules. `stem`: the first convolution. `depthwise`: convolutions of one channel each.
            `op:NAME`: an operator. `node:PATTERN`: names of nodes, with `*` and `?`.
    """
    channels = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if len(tensor.dims) > 1}
    candidates = [node for node in model.graph.node if node.op_type in QUANTIZED_OPS]
    stem = next((node.name for node in candidates if node.op_type == "Conv"), None)

    def kept(node: onnx.NodeProto, rule: str) -> bool:
        kind, _, what = rule.partition(":")
        match kind:
            case "stem":
                return node.name == stem
            case "depthwise":
                groups = next((one.i for one in node.attribute if one.name == "group"), 1)
                return groups > 1 and channels.get(node.input[1]) == 1
            case "op":
                return node.op_type == what
        return fnmatch.fnmatchcase(node.name, what)

    return [node for node in candidates if not any(kept(node, rule) for rule in keep_float)]


def activations(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """Return the names of the tensors that `nodes` take and that depend on the frame, each once, in order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    read = (name for node in nodes for name in node.input[:2] if name not in constants)
    return list(dict.fromkeys(read))


def collect_histograms(data: bytes, pixels: Iterable[NDArray[Any]], histograms: dict[str, Histogram]) -> Iterator[int]:
    """Run a graph over pixels, and count what every tensor that could be quantized holds; yield after each frame.

    Args:
        data: An image encoder, as `portable_encoder` makes it, for one frame at a time.
        pixels: Arrays `(1, 3, h, w)`.
        histograms: Filled with the histogram of each tensor, by name.

    Yields:
        How many frames are counted.

    Raises:
        EngineError: When the graph does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    model = load_graph(data, "the image encoder")
    names = activations(model, quantized_nodes(model, ()))
    histograms.update({name: Histogram() for name in names})
    for number, held in enumerate(inner_values(model, names, pixels), 1):
        for name in names:
            histograms[name].add(held[name])
        yield number


def quantized_graph(
    data: bytes, ranges: Mapping[str, float], keep_float: Sequence[str], *, per_channel: bool = True
) -> bytes:
    """Return the graph with quantize-dequantize pairs before every convolution and matrix product.

    Args:
        data: An image encoder, as `portable_encoder` makes it.
        ranges: For each activation, the largest magnitude that it keeps.
        keep_float: What stays in float (`quantized_nodes`).
        per_channel: Whether each output channel of a weight has a scale of its own; without, for comparison only.

    Raises:
        ModelError: When nothing in the graph can be quantized, or the result is not in the accepted form.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    package = require_onnx()
    model = load_graph(data, "the image encoder")
    nodes = quantized_nodes(model, keep_float)
    if not nodes:
        raise ModelError(
            f"none of {len(model.graph.node)} nodes of the image encoder is to be quantized",
            code="nothing_to_quantize",
            expected=f"{', '.join(QUANTIZED_OPS)} that the recipe does not keep in float",
            hint="export it with --fp32, or keep less in float in the recipe",
        )
    inferred = package.shape_inference.infer_shapes(model)
    used = {name: (-ranges[name], ranges[name]) for name in activations(model, nodes)}
    quantizer = _quantizer(inferred, used, [node.name for node in nodes], per_channel=per_channel)
    with _quiet():
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    result = stripped(quantizer.model.model)
    broken = faults(result)
    if broken:
        message = f"the quantized graph is not in the accepted form: {'; '.join(map(str, broken))}"
        raise ModelError(message, code="bad_form")
    return graph_bytes(result)


def dynamic_graph(data: bytes) -> bytes:
    """Return the graph with its matrix products by a weight in INT8, their other inputs quantized frame by frame.

    Nothing is calibrated, so that no range can be wrong. No TensorRT reads such a file, and the rules say so.

    Args:
        data: An image encoder, as `portable_encoder` makes it.

    Raises:
        ModelError: When there is no such product.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    package = require_onnx()
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as cause:
        raise missing_extra("onnxruntime", "quantize", "quantizing a model", cause) from cause
    model = load_graph(data, "the image encoder")
    with _quiet(), tempfile.TemporaryDirectory(prefix="edgezsl-dynamic-") as folder:
        file = Path(folder) / "dynamic.onnx"
        quantize_dynamic(
            model,
            file,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        result = stripped(package.load(str(file)))
    if not any(node.op_type == "MatMulInteger" for node in result.graph.node):
        raise ModelError(
            f"none of {len(model.graph.node)} nodes of the image encoder is a matrix product by a weight",
            code="nothing_to_quantize",
            expected="a MatMul, as vision transformers have them",
            hint="take --int8, or --fp32",
        )
    return graph_bytes(result)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ONNX Runtime from advising a preparation that was made."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def _quantizer(
    model: onnx.ModelProto, ranges: Mapping[str, tuple[float, float]], nodes: Sequence[str], *, per_channel: bool
) -> Any:
    """Return ONNX Runtime's quantizer, set to the accepted form."""
    import numpy as np

    try:
        from onnxruntime.quantization import CalibrationMethod, QuantType
        from onnxruntime.quantization.calibrate import TensorsData
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    except ImportError as cause:
        raise missing_extra("onnxruntime", "quantize", "quantizing a model", cause) from cause
    limits = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    return QDQQuantizer(
        model,
        per_channel,
        False,  # noqa: FBT003  # all 8 bits
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, limits),
        list(nodes),
        [],
        list(QUANTIZED_OPS),
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "DedicatedQDQPair": True,
            "OpTypesToExcludeOutputQuantization": list(QUANTIZED_OPS),
        },
    )
