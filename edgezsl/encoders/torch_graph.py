"""An ONNX graph as a PyTorch module, so that a gradient flows from its output to its input.

A model directory holds graphs and no code. What asks for a gradient on the very weights that are exported, as an attack does, has it
from here. It knows the operators of convolutional networks and of vision transformers in float; one that it does not know is an
error that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.encoders.graph import graph_bytes, load_graph, require_onnx, with_full_weights, with_half_weights
from edgezsl.errors import ModelError, Place, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx
    from torch import Tensor

    Operator = Callable[[list[Any], dict[str, Any]], Tensor]

_LAYERS = frozenset({"Conv", "Gemm", "MatMul"})


class GraphModule(nn.Module):
    """The first output of an ONNX graph of one input.

    Args:
        data: The ONNX file.
        file: What to call it in errors.
        learned_after: The name of a tensor: weights and biases of the convolutions and products behind it are parameters, to be
            trained. None: nothing is.

    Raises:
        ModelError: When it is no ONNX file, has several inputs, lacks the tensor, or holds an operator that is not known here.
        MissingExtraError: When the package onnx is not installed.
    """

    def __init__(self, data: bytes, *, file: str, learned_after: str | None = None) -> None:
        super().__init__()
        package = require_onnx()
        graph = load_graph(with_full_weights(data), file).graph
        known = {one.name: torch.from_numpy(package.numpy_helper.to_array(one).copy()) for one in graph.initializer}
        inputs = [one.name for one in graph.input if one.name not in known]
        _check_graph(graph, inputs, learned_after, file)
        learned = _learned(graph, known, learned_after) if learned_after is not None else set()
        self._input, self._output = inputs[0], graph.output[0].name
        self._steps: list[_Step] = []
        for node in graph.node:
            step = _Step(OPERATORS[node.op_type], tuple(node.input), node.output[0], _attributes(node, package))
            if all(not name or (name in known and name not in learned) for name in node.input):
                known[step.output] = step.answer(known)
            else:
                self._steps.append(step)
        used = {name for step in self._steps for name in step.inputs}
        self._names = {name: f"constant_{number}" for number, name in enumerate(known) if name in used}
        for name, own in self._names.items():
            if name in learned:
                self.register_parameter(own, nn.Parameter(known[name]))
            else:
                self.register_buffer(own, known[name])

    def forward(self, values: Tensor) -> Tensor:
        """Return what the graph returns, such as embeddings `(N, D)` of pixels `(N, 3, h, w)`."""
        known = {name: getattr(self, own) for name, own in self._names.items()}
        known[self._input] = values
        for step in self._steps:
            known[step.output] = step.answer(known)
        answer: Tensor = known[self._output]
        return answer

    def weights(self) -> dict[str, Tensor]:
        """Return what is learned, by its name in the graph: not copied."""
        own = dict(self.named_parameters())
        return {name: own[one] for name, one in self._names.items() if one in own}


def with_weights(data: bytes, weights: Mapping[str, Tensor]) -> bytes:
    """Return an ONNX file with other weights, as `GraphModule.weights` names them, stored as float16.

    Args:
        data: The file that the module was made of.
        weights: What was learned.

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When the package onnx is not installed.
    """
    package = require_onnx()
    model = load_graph(with_full_weights(data), "the graph")
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(package.numpy_helper.from_array(weights[tensor.name].detach().cpu().numpy(), tensor.name))
    return with_half_weights(graph_bytes(model))


@dataclass(frozen=True, slots=True)
class _Step:
    """A node: what it computes, the names of its inputs (empty: not given), and the name of its output."""

    operator: Operator
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]

    def answer(self, known: Mapping[str, Tensor]) -> Tensor:
        return self.operator([known[name] if name else None for name in self.inputs], self.attributes)


def _check_graph(graph: onnx.GraphProto, inputs: list[str], learned_after: str | None, file: str) -> None:
    unknown = sorted({node.op_type for node in graph.node} - set(OPERATORS))
    faults = [f"no gradient is known through {', '.join(unknown)}"] if unknown else []
    if len(inputs) != 1:
        faults.append(f"the graph has {len(inputs)} inputs")
    if learned_after is not None and all(learned_after not in node.output for node in graph.node):
        faults.append(f"the graph has no tensor {shown(learned_after)}")
    if faults:
        raise ModelError(
            faults[0],
            code="no_gradient",
            where=Place(file),
            expected="a float graph of one input",
            hint="take the float model, not its INT8 bundle",
        )


def _learned(graph: onnx.GraphProto, known: Mapping[str, Tensor], after: str) -> set[str]:
    """Return the names of the weights and biases of layers behind the tensor `after`."""
    at = next(number for number, node in enumerate(graph.node) if after in node.output)
    layers = (node for node in list(graph.node)[at + 1 :] if node.op_type in _LAYERS)
    return {name for node in layers for name in node.input if name in known}


def _attributes(node: onnx.NodeProto, package: Any) -> dict[str, Any]:
    found = {one.name: package.helper.get_attribute_value(one) for one in node.attribute}
    if "value" in found:  # of a Constant or a ConstantOfShape
        found["value"] = torch.from_numpy(package.numpy_helper.to_array(found["value"]).copy())
    if "to" in found:
        numpy_type = package.helper.tensor_dtype_to_np_dtype(found["to"])
        found["to"] = torch.from_numpy(np.zeros(1, numpy_type)).dtype
    return found


def _padded(values: Tensor, pads: list[int], fill: float = 0.0) -> Tensor:
    """Return `(N, C, h, w)` with the pads of ONNX: all begins, then all ends."""
    rank = len(pads) // 2
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    return functional.pad(values, sides, value=fill) if any(pads) else values


def _convolution(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    values, weight, bias = (*inputs, None)[:3]
    _refuse_automatic(attributes)
    strides, dilations = attributes.get("strides", 1), attributes.get("dilations", 1)
    pads = attributes.get("pads", [0, 0, 0, 0])
    half = pads[: len(pads) // 2]
    if half == pads[len(pads) // 2 :]:
        return functional.conv2d(values, weight, bias, strides, half, dilations, attributes.get("group", 1))
    return functional.conv2d(_padded(values, pads), weight, bias, strides, 0, dilations, attributes.get("group", 1))


def _greatest(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    _refuse_automatic(attributes)
    values = _padded(inputs[0], attributes.get("pads", [0, 0, 0, 0]), fill=-torch.inf)
    return functional.max_pool2d(
        values,
        attributes["kernel_shape"],
        attributes.get("strides", 1),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _refuse_automatic(attributes: dict[str, Any]) -> None:
    if attributes.get("auto_pad", b"NOTSET") not in {b"NOTSET", b"VALID"}:
        message = f"no gradient is known through auto_pad {attributes['auto_pad'].decode()}"
        raise ModelError(message, code="no_gradient", expected="padding in numbers")


def _product(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    left = inputs[0].T if attributes.get("transA") else inputs[0]
    right = inputs[1].T if attributes.get("transB") else inputs[1]
    found: Tensor = attributes.get("alpha", 1.0) * (left @ right)
    return found + attributes.get("beta", 1.0) * inputs[2] if len(inputs) > 2 else found  # noqa: PLR2004  # a bias


def _reduction(reduce: Callable[..., Tensor]) -> Operator:
    def reduced(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
        given = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else attributes.get("axes")
        axes = given or list(range(inputs[0].ndim))
        return reduce(inputs[0], dim=axes, keepdim=bool(attributes.get("keepdims", 1)))

    return reduced


def _clipped(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    low, high = (*inputs[1:], None, None)[:2]
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    found: Tensor = inputs[0].clamp(low, high)
    return found


def _reshaped(inputs: list[Any], _attributes: dict[str, Any]) -> Tensor:
    shape = [inputs[0].shape[axis] if side == 0 else side for axis, side in enumerate(inputs[1].tolist())]
    found: Tensor = inputs[0].reshape(shape)
    return found


def _expanded(inputs: list[Any], _attributes: dict[str, Any]) -> Tensor:
    """Return values in the shape of both: ONNX, other than PyTorch, also takes a 1 for a side that is longer."""
    values, shape = inputs
    found: Tensor = values.expand(np.broadcast_shapes(values.shape, tuple(shape.tolist())))
    return found


def _sliced(inputs: list[Any], _attributes: dict[str, Any]) -> Tensor:
    values, starts, ends, *rest = inputs
    axes = rest[0].tolist() if rest and rest[0] is not None else range(len(starts))
    strides = rest[1].tolist() if len(rest) > 1 else [1] * len(starts)
    for start, end, axis, stride in zip(starts.tolist(), ends.tolist(), axes, strides, strict=True):
        numbers = range(values.shape[axis])[slice(start, end, stride)]
        values = values.index_select(axis, torch.tensor(numbers, dtype=torch.int64, device=values.device))
    found: Tensor = values
    return found


def _gathered(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    values, numbers = inputs
    axis = attributes.get("axis", 0) % values.ndim
    found: Tensor = values.index_select(axis, numbers.reshape(-1) % values.shape[axis])
    return found.reshape(*values.shape[:axis], *numbers.shape, *values.shape[axis + 1 :])


def _unsqueezed(inputs: list[Any], _attributes: dict[str, Any]) -> Tensor:
    values, axes = inputs
    rank = values.ndim + len(axes)
    for axis in sorted(one % rank for one in axes.tolist()):
        values = values.unsqueeze(axis)
    found: Tensor = values
    return found


def _squeezed(inputs: list[Any], _attributes: dict[str, Any]) -> Tensor:
    values: Tensor = inputs[0]
    return values.squeeze(tuple(inputs[1].tolist())) if len(inputs) > 1 else values.squeeze()


def _normalised(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    values, weight, bias = (*inputs, None)[:3]
    axis = attributes.get("axis", -1)
    return functional.layer_norm(values, values.shape[axis:], weight, bias, attributes.get("epsilon", 1e-5))


def _standardised(inputs: list[Any], attributes: dict[str, Any]) -> Tensor:
    values, weight, bias, mean, variance = inputs
    return functional.batch_norm(values, mean, variance, weight, bias, eps=attributes.get("epsilon", 1e-5))


OPERATORS: dict[str, Operator] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Div": lambda inputs, _: inputs[0] / inputs[1],
    "Pow": lambda inputs, _: inputs[0] ** inputs[1],
    "Sqrt": lambda inputs, _: inputs[0].sqrt(),
    "Erf": lambda inputs, _: torch.erf(inputs[0]),
    "Tanh": lambda inputs, _: torch.tanh(inputs[0]),
    "Relu": lambda inputs, _: functional.relu(inputs[0]),
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "HardSwish": lambda inputs, _: functional.hardswish(inputs[0]),
    "HardSigmoid": lambda inputs, attributes: (
        attributes.get("alpha", 0.2) * inputs[0] + attributes.get("beta", 0.5)
    ).clamp(0, 1),
    "Clip": _clipped,
    "Softmax": lambda inputs, attributes: torch.softmax(inputs[0], attributes.get("axis", -1)),
    "Conv": _convolution,
    "BatchNormalization": _standardised,
    "LayerNormalization": _normalised,
    "MaxPool": _greatest,
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "Gemm": _product,
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "ReduceL2": _reduction(torch.linalg.vector_norm),
    "Reshape": _reshaped,
    "Flatten": lambda inputs, attributes: inputs[0].flatten(attributes.get("axis", 1)),
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes["perm"]),
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Concat": lambda inputs, attributes: torch.cat(inputs, attributes["axis"]),
    "Gather": _gathered,
    "Slice": _sliced,
    "Shape": lambda inputs, _: torch.tensor(inputs[0].shape),
    "Expand": _expanded,
    "Cast": lambda inputs, attributes: inputs[0].to(attributes["to"]),
    "Constant": lambda _, attributes: attributes["value"],
    "Identity": lambda inputs, _: inputs[0],
}
