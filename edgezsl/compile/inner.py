"""What a graph holds inside while it runs: the tensors that ranges, magnitudes and factors are measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgezsl.encoders.graph import graph_bytes, require_onnx
from edgezsl.runtime.onnx_engine import OnnxGraph

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx
    from numpy.typing import NDArray


def inner_values(
    model: onnx.ModelProto, names: Sequence[str], pixels: Iterable[NDArray[Any]]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Run a graph over pixels, one frame at a time; yield what its tensors hold, by name.

    Args:
        model: An image encoder for one frame at a time.
        names: Float32 tensors of the graph; its input may be among them.
        pixels: Arrays `(1, 3, h, w)`.

    Yields:
        An array for each name, frame by frame.

    Raises:
        EngineError: When the graph does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    package = require_onnx()
    constants = {tensor.name for tensor in model.graph.initializer}
    given = next(value.name for value in model.graph.input if value.name not in constants)
    opened = package.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.extend(
        package.helper.make_tensor_value_info(name, package.TensorProto.FLOAT, None) for name in names if name != given
    )
    graph = OnnxGraph(graph_bytes(opened), file="the image encoder", threads=1)
    for frame in pixels:
        held = dict(zip(graph.outputs, graph.run({given: frame}), strict=True)) | {given: frame}
        yield {name: held[name] for name in names}
    graph.close()
