"""PyTorch modules to ONNX graphs: opset 17 by the exporter that traces, opset 18 by the one that captures.

Either is asked for by its opset, which is read back from the file: asked for 17, the newer exporter says nothing and
writes 18.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from edgezsl.encoders.graph import graph_bytes, load_graph, opset_of, stripped
from edgezsl.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

CAPTURED_FROM = 18  # the newer exporter's lowest opset
_MOST_ROWS = 4096
_OUTPUT = "edgezsl.output"


def module_graph(
    module: nn.Module, examples: Sequence[Tensor], *, inputs: Sequence[str], outputs: Sequence[str], opset: int
) -> bytes:
    """Return a module as an ONNX file for any number of rows, without metadata.

    Args:
        module: In evaluation mode.
        examples: What it takes, tensors of one row or more.
        inputs: The names of the graph's inputs.
        outputs: The names of its outputs.
        opset: 17 or 18.

    Raises:
        ModelError: When the exporter fails, or writes another opset.
        MissingExtraError: When the package onnx is not installed.
    """
    export = _captured if opset >= CAPTURED_FROM else _traced
    try:
        with _quiet(), _plain_attention(), torch.no_grad():
            data = export(module, tuple(examples), list(inputs), list(outputs), opset)
    except (RuntimeError, ValueError, TypeError, torch.onnx.OnnxExporterError) as cause:
        reason = first_line(cause)
        raise ModelError(
            f"PyTorch cannot export {outputs[0]!r} to opset {opset} ({reason})",
            code="not_exportable",
            hint=f"take a recipe of opset {17 if opset >= CAPTURED_FROM else 18}: another exporter makes that",
        ) from cause
    model = load_graph(data, outputs[0])
    if opset_of(model) != opset:
        raise ModelError(
            f"the exporter wrote opset {opset_of(model)} for {outputs[0]!r}", code="bad_opset", expected=str(opset)
        )
    return graph_bytes(stripped(model))


def _traced(
    module: nn.Module, examples: tuple[Tensor, ...], inputs: list[str], outputs: list[str], opset: int
) -> bytes:
    buffer = io.BytesIO()
    torch.onnx.export(
        module,
        examples,
        buffer,  # type: ignore[arg-type]  # its signature knows paths alone, its documentation files too
        input_names=inputs,
        output_names=outputs,
        dynamic_axes={name: {0: "N"} for name in (*inputs, *outputs)},
        opset_version=opset,
        dynamo=False,
    )
    return buffer.getvalue()


def _captured(
    module: nn.Module, examples: tuple[Tensor, ...], inputs: list[str], outputs: list[str], opset: int
) -> bytes:
    rows = torch.export.Dim("N", min=1, max=_MOST_ROWS)
    several = tuple(torch.cat([one, one]) if len(one) == 1 else one for one in examples)  # one row would be fixed
    program: Any = torch.onnx.export(
        module,
        several,
        input_names=inputs,
        output_names=[f"{_OUTPUT}{number}" for number in range(len(outputs))],
        dynamic_shapes=tuple({0: rows} for _ in examples),
        opset_version=opset,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    data: bytes = _with_outputs(program.model_proto, outputs).SerializeToString()
    return data


def _with_outputs(model: Any, outputs: list[str]) -> Any:
    """Give the outputs their names. The exporter itself fails where a module inside is called like an output."""
    names = {name: f"{name}.inside" for name in outputs}
    names |= {f"{_OUTPUT}{number}": name for number, name in enumerate(outputs)}
    for node in model.graph.node:
        node.input[:] = [names.get(one, one) for one in node.input]
        node.output[:] = [names.get(one, one) for one in node.output]
    for value in (*model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.name = names.get(value.name, value.name)
    return model


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention be computed in steps that ONNX knows, not by PyTorch's fused operator."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters from announcing their own retirement, and what they are doing, at length."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
