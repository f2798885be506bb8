"""ONNX graphs as edgezsl writes them: one input, one output, nothing but standard operators, and no trace of a machine.

It checks a graph against contract and space, brings it into the form that every engine of ours reads, and stores weights
at half their size and back. It does not run graphs, and does not know what quantization is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import ModelError, Place, first_line, missing_extra, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

    from edgezsl.contract import EmbeddingSpace, InputContract
    from edgezsl.manifest import Batch

IR_VERSION = 10  # ONNX Runtime 1.23, the last for Python 3.10, refuses more than 11
OPSETS = (13, 20)  # of a model: from per-channel quantization to the last that every engine here reads
WRITTEN_OPSETS = (17, 18)  # before 17 LayerNormalization is in pieces; from 19 on TensorRT 10.3 builds INT8 wrongly
STANDARD = ("", "ai.onnx")  # the names of the one domain of operators that is allowed
BATCH_AXIS = "N"
_EXPORT_AGAIN = "export the model to ONNX again, as one file"
_HALF = "__half"  # ends the name of a weight that is stored as float16
_LARGEST_HALF = 65504.0
_WEIGHT_RANK = 2  # biases and scales have less


def require_onnx() -> Any:
    """Return the package `onnx`.

    Raises:
        MissingExtraError: When it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.compose
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as cause:
        raise missing_extra("onnx", "quantize", "exporting a model", cause) from cause
    return onnx


def load_graph(data: bytes, file: str) -> onnx.ModelProto:
    """Return the graph in an ONNX file, whole and valid.

    Args:
        data: The file.
        file: What to call it in errors.

    Raises:
        ModelError: When it is no ONNX file, breaks a rule of ONNX, or keeps its weights in another file.
        MissingExtraError: When the package onnx is not installed.
    """
    package = require_onnx()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no stubs

    place = Place(file)
    try:
        model: onnx.ModelProto = package.load_model_from_string(data)
    except (DecodeError, UnicodeDecodeError) as cause:
        found = f"this is not an ONNX file but {len(data):,} other bytes"
        raise ModelError(found, code="not_onnx", where=place, expected="an ONNX graph", hint=_EXPORT_AGAIN) from cause
    if any(tensor.data_location == package.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        message = "its weights lie in another file"
        raise ModelError(message, code="bad_graph", where=place, expected="one file", hint=_EXPORT_AGAIN)
    try:
        package.checker.check_model(model, full_check=True)
    except (package.checker.ValidationError, package.shape_inference.InferenceError) as cause:
        reason = first_line(cause)
        what = "this is not an ONNX file" if not model.graph.node else "this is no valid ONNX graph"
        code = "bad_graph" if model.graph.node else "not_onnx"
        raise ModelError(f"{what} ({reason})", code=code, where=place, hint=_EXPORT_AGAIN) from cause
    return model


def graph_bytes(model: onnx.ModelProto) -> bytes:
    """Return a graph as a file; equal graphs give equal bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a graph uses, read back from it; 0 where it names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in STANDARD), default=0)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, and those of the branches and loops inside its nodes."""
    for node in graph.node:
        yield node
        yield from nested_nodes(node)


def nested_nodes(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the branches and loops inside a node."""
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
            yield from all_nodes(inner)


def with_half_weights(data: bytes) -> bytes:
    """Return a graph whose float32 weights are stored as float16, each followed by a Cast to float32.

    Half the size on disk; computed as before, in float32. Biases and other vectors stay as they are, and so does a
    weight that float16 cannot hold. A weight that float16 represents exactly comes back exactly.

    Args:
        data: An ONNX file.

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When the package onnx is not installed.
    """
    package = require_onnx()
    model = load_graph(data, "the graph")
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != package.TensorProto.FLOAT or len(tensor.dims) < _WEIGHT_RANK:
            continue
        values = package.numpy_helper.to_array(tensor)
        if not np.all(np.abs(values) <= _LARGEST_HALF):
            continue
        name = tensor.name
        tensor.CopyFrom(package.numpy_helper.from_array(values.astype(np.float16), name + _HALF))
        casts.append(package.helper.make_node("Cast", [name + _HALF], [name], to=package.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return graph_bytes(model)


def with_full_weights(data: bytes) -> bytes:
    """Return a graph in which every float16 weight with a Cast to float32 is a float32 weight of the Cast's name.

    Args:
        data: An ONNX file, as `with_half_weights` makes it or not.

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When the package onnx is not installed.
    """
    return graph_bytes(_unfolded(load_graph(data, "the graph")))


def _unfolded(model: onnx.ModelProto) -> onnx.ModelProto:
    package = require_onnx()
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    folded, kept = {}, []
    for node in model.graph.node:
        half = stored.get(node.input[0]) if node.op_type == "Cast" else None
        to = next((one.i for one in node.attribute if one.name == "to"), 0)
        if half is None or half.data_type != package.TensorProto.FLOAT16 or to != package.TensorProto.FLOAT:
            kept.append(node)
        else:
            folded[half.name] = (half, node.output[0])
    still_used = {name for node in kept for name in node.input}
    for tensor, name in folded.values():
        full = package.numpy_helper.from_array(package.numpy_helper.to_array(tensor).astype(np.float32), name)
        if tensor.name in still_used:
            model.graph.initializer.append(full)
        else:
            tensor.CopyFrom(full)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def portable_encoder(data: bytes, contract: InputContract, space: EmbeddingSpace, file: str) -> bytes:
    """Return an image encoder in the form that a bundle holds.

    Full float32 weights, one frame at a time, opset 17 or 18, IR version 10, only standard operators, every node named,
    and no metadata: exporters leave stack traces and paths there.

    Args:
        data: The ONNX file.
        contract: What the graph must take and give.
        space: Where its answers live.
        file: What to call it in errors.

    Raises:
        ModelError: When the graph is not one that this version exports, or does not fit contract or space.
        MissingExtraError: When the package onnx is not installed.
    """
    model = load_graph(data, file)
    _check_operators(model, file)
    model = _unfolded(_with_opset(model, file))
    _check_tensors(model, contract, space, file)
    return _with_batch(stripped(model), 1)


def with_batch(data: bytes, batch: Batch) -> bytes:
    """Return an image encoder for so many frames at once: a fixed number where `min` is `max`, else any.

    Args:
        data: An image encoder, as `portable_encoder` makes it.
        batch: Frames at once.

    Raises:
        MissingExtraError: When the package onnx is not installed.
    """
    return _with_batch(load_graph(data, "the image encoder"), batch.max if batch.min == batch.max else None)


def with_uint8_input(data: bytes, contract: InputContract) -> bytes:
    """Return an image encoder that takes pixels as they are, uint8, and normalises them itself: Cast, Mul, Add.

    The three stay nodes of their own. Folded into a convolution that pads with zeros, they would pad with another colour.

    Args:
        data: An image encoder, as `portable_encoder` makes it.
        contract: Its contract, whose mean and std are used.

    Raises:
        MissingExtraError: When the package onnx is not installed.
    """
    package = require_onnx()
    model = load_graph(data, "the image encoder")
    mean, std = (np.array(values, np.float64).reshape(1, CHANNELS, 1, 1) for values in (contract.mean, contract.std))
    constants = {"pixels.scale": 1 / (255 * std), "pixels.shift": -mean / std}
    model.graph.initializer.extend(
        package.numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()
    )
    for node in model.graph.node:
        node.input[:] = ["pixels.normalised" if name == contract.input else name for name in node.input]
    steps: tuple[tuple[str, list[str], str, dict[str, int]], ...] = (
        ("Cast", [contract.input], "pixels.float", {"to": package.TensorProto.FLOAT}),
        ("Mul", ["pixels.float", "pixels.scale"], "pixels.scaled", {}),
        ("Add", ["pixels.scaled", "pixels.shift"], "pixels.normalised", {}),
    )
    nodes = [
        package.helper.make_node(kind, inputs, [output], name=output, **settings)
        for kind, inputs, output, settings in steps
    ]
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    given = next(value for value in model.graph.input if value.name == contract.input)
    given.type.tensor_type.elem_type = package.TensorProto.UINT8
    return graph_bytes(model)


def stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same graph with IR version 10, the standard domain alone, every node named, and no metadata."""
    package = require_onnx()
    opset = opset_of(model)
    clean: onnx.ModelProto = package.helper.make_model(
        package.GraphProto(), opset_imports=[package.helper.make_opsetid("", opset)], ir_version=IR_VERSION
    )
    clean.graph.CopyFrom(model.graph)
    clean.graph.name = "graph"
    del clean.graph.value_info[:]
    parts: Sequence[Any] = (clean.graph, *clean.graph.node, *clean.graph.initializer)
    for part in (*parts, *clean.graph.input, *clean.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for number, node in enumerate(clean.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
        node.domain = ""
    return clean


def _check_operators(model: onnx.ModelProto, file: str) -> None:
    place = Place(file)
    foreign = sorted({node.domain for node in model.graph.node} - set(STANDARD))
    if foreign or len(model.functions):
        found = f"operators of {shown(foreign[0])}" if foreign else "functions of its own"
        raise ModelError(
            f"the graph has {found}", code="bad_graph", where=place, expected="standard operators only",
            hint="export the model with standard operators",
        )  # fmt: skip
    low, high = OPSETS
    if not low <= opset_of(model) <= high:
        raise ModelError(
            f"the graph is of opset {opset_of(model)}", code="bad_opset", where=place, expected=f"{low} to {high}",
            hint="export the model with opset 17 or 18",
        )  # fmt: skip


def _with_opset(model: onnx.ModelProto, file: str) -> onnx.ModelProto:
    """Return the graph in the nearest opset that is written; whether it still says the same, parity proves."""
    from onnx import version_converter

    found = opset_of(model)
    nearest = min(max(found, WRITTEN_OPSETS[0]), WRITTEN_OPSETS[1])
    if found == nearest:
        return model
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, nearest)
    except (version_converter.ConvertError, RuntimeError) as cause:  # RuntimeError: there is no adapter for an operator
        raise ModelError(
            f"the graph is of opset {found}, and onnx cannot turn it into {nearest}",
            code="bad_opset",
            where=Place(file),
            expected=" or ".join(map(str, WRITTEN_OPSETS)),
            hint="export the model with opset 17 or 18",
        ) from cause
    return converted


def _check_tensors(model: onnx.ModelProto, contract: InputContract, space: EmbeddingSpace, file: str) -> None:
    """Check that a graph has the input and output of the contract, of the right type and shape."""
    package = require_onnx()
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    outputs = list(model.graph.output)
    found = [value.name for value in inputs], [value.name for value in outputs]
    if found != ([contract.input], [contract.output]):
        message = f"the graph has the inputs {found[0]} and outputs {found[1]}"
        raise _unfit(message, f"{contract.input!r} and {contract.output!r}, as the contract says", file)
    dtype = package.TensorProto.UINT8 if contract.dtype == "uint8" else package.TensorProto.FLOAT
    wanted = (
        (inputs[0], dtype, (None, CHANNELS, *contract.size), f"{contract.dtype} (N, {CHANNELS}, h, w)"),
        (outputs[0], package.TensorProto.FLOAT, (None, space.dim), "float32 (N, D)"),
    )
    for value, element, shape, words in wanted:
        kind = value.type.tensor_type
        dims = [dim.dim_value or dim.dim_param or "?" for dim in kind.shape.dim]
        fits = len(dims) == len(shape) and all(
            isinstance(have, str) or want is None or have == want for have, want in zip(dims, shape, strict=True)
        )
        if not fits or kind.elem_type != element:
            known = package.TensorProto.DataType.Name(kind.elem_type).lower()
            expected = f"{words} = ({', '.join(str(side or BATCH_AXIS) for side in shape)}), as contract and space say"
            raise _unfit(f"{value.name!r} is {known} ({', '.join(map(str, dims))})", expected, file)


def _unfit(message: str, expected: str, file: str) -> ModelError:
    hint = "correct the model's contract, or export the model to ONNX again"
    return ModelError(message, code="unfit_graph", where=Place(file), expected=expected, hint=hint)


def _with_batch(model: onnx.ModelProto, count: int | None) -> bytes:
    for value in (*model.graph.input, *model.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        if count is None:
            axis.dim_param = BATCH_AXIS
        else:
            axis.dim_value = count
    return graph_bytes(model)
