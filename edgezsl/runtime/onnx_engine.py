"""ONNX Runtime: the portable engine, the reference for parity, and the class side's graphs.

The only module that imports `onnxruntime`; its exceptions end here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import EngineError, Place, first_line, missing_extra
from edgezsl.runtime.engine import check_pixels, check_tensor_names, run_in_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import PixelType

_SILENT = 4  # ONNX Runtime's log level "fatal": it prints each error that it also raises, and we say those ourselves


def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return every exception class of ONNX Runtime, and the built-ins that its binding raises.

    Raises:
        MissingExtraError: When ONNX Runtime is not installed.
    """
    _onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, ValueError, RuntimeError, TypeError)


class OnnxGraph:
    """An ONNX graph on ONNX Runtime's CPU provider.

    Args:
        data: The ONNX file.
        file: What to call it in errors.
        threads: Threads for one run, or None for all cores.

    Raises:
        EngineError: When ONNX Runtime refuses the graph.
        MissingExtraError: When ONNX Runtime is not installed.
    """

    def __init__(self, data: bytes, *, file: str, threads: int | None = None) -> None:
        onnxruntime = _onnxruntime()
        self._errors = onnxruntime_errors()
        self._file = file
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # A spinning thread is a core that the capture thread does not get.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without it INT8 products overflow where an x86 processor has no VNNI: a MobileNetV2 fell to cosine 0.63.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except self._errors as cause:
            raise self._refused("ONNX Runtime refuses the graph", "bad_graph", cause) from cause
        self._session: Any = session
        self.inputs: tuple[str, ...] = tuple(node.name for node in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(node.name for node in session.get_outputs())
        self.description = (
            f"onnxruntime {onnxruntime.__version__}, {threads or 'all'} thread{'' if threads == 1 else 's'}"
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the graph's outputs, in the order of `outputs`.

        Args:
            inputs: An array for each of `inputs`.

        Raises:
            EngineError: When the graph is closed, or an input does not fit it.
        """
        if self._session is None:
            raise EngineError(f"{self._file} is closed", code="closed", where=Place(self._file))
        try:
            answers: list[NDArray[Any]] = self._session.run(None, dict(inputs))
        except self._errors as cause:
            raise self._refused("the graph does not run", "run_failed", cause) from cause
        return answers

    def close(self) -> None:
        """Release the session."""
        self._session = None

    def _refused(self, what: str, code: str, cause: Exception) -> EngineError:
        reason = first_line(cause)
        return EngineError(f"{what} ({reason})", code=code, where=Place(self._file))


class OnnxEngine:
    """A bundle's image encoder on ONNX Runtime.

    Args:
        graph: The encoder.
        bundle: Gives contract, space and batch.
        encoder: The precision of the encoder's file.
    """

    def __init__(self, graph: OnnxGraph, bundle: Bundle, encoder: str) -> None:
        contract = bundle.manifest.contract
        self._graph = graph
        self._contract = contract
        self._batch = bundle.manifest.batch
        self._dim = bundle.manifest.space.dim
        self.dtype: PixelType = contract.dtype
        self.precision = encoder
        self.encoder = encoder
        self.description = f"{graph.description}, {encoder}"

    @classmethod
    def open(cls, bundle: Bundle, encoder: str, *, threads: int | None = None) -> OnnxEngine:
        """Load the encoder of a bundle.

        Raises:
            EngineError: When ONNX Runtime refuses the graph, or its input and output are not the contract's.
            BundleError: When the file has changed.
            MissingExtraError: When ONNX Runtime is not installed.
        """
        name = bundle.manifest.image_encoders[encoder]
        graph = OnnxGraph(bundle.read(name), file=str(bundle.folder / name), threads=threads)
        check_tensor_names(graph.inputs, graph.outputs, bundle.manifest.contract, str(bundle.folder / name))
        return cls(graph, bundle, encoder)

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` of `pixels (N, 3, h, w)`.

        Raises:
            EngineError: When the pixels do not fit the graph, or the engine is closed.
        """
        check_pixels(pixels, self._contract)
        return run_in_batches(self._run, pixels, self._batch, self._dim)

    def close(self) -> None:
        """Release the session."""
        self._graph.close()

    def _run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(self._graph.run({self._contract.input: pixels})[0], np.float32)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as cause:
        raise missing_extra("onnxruntime", "runtime", "running an ONNX graph", cause) from cause
    return onnxruntime
