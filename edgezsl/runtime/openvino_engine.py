"""OpenVINO: the fast engine on x86, reading the same ONNX files.

The only module that imports `openvino`; its exceptions end here. Where the processor has bfloat16 OpenVINO computes
an fp32 file in it by default: `precision` says so, and the golden test then uses bf16's tolerance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import EngineError, Place, missing_extra
from edgezsl.runtime.engine import run_in_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import PixelType

# OpenVINO's binding raises built-ins only.
_ERRORS = (RuntimeError, ValueError, TypeError)
_PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}


class OpenVinoEngine:
    """A bundle's image encoder on OpenVINO's CPU plug-in.

    Args:
        compiled: OpenVINO's compiled model.
        bundle: Gives contract, space and batch.
        encoder: The precision of the encoder's file.
        description: What it is, for people.
    """

    def __init__(self, compiled: Any, bundle: Bundle, encoder: str, *, description: str) -> None:
        contract = bundle.manifest.contract
        self._request: Any = compiled.create_infer_request()
        self._input = contract.input
        self._batch = bundle.manifest.batch
        self._dim = bundle.manifest.space.dim
        inside = _PRECISIONS.get(compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), "fp32")
        self.dtype: PixelType = contract.dtype
        self.precision = inside if encoder == "fp32" else encoder
        self.encoder = encoder
        self.description = f"{description}, {encoder} file in {self.precision}"

    @classmethod
    def open(cls, bundle: Bundle, encoder: str, *, threads: int | None = None) -> OpenVinoEngine:
        """Load the encoder of a bundle.

        Raises:
            EngineError: When OpenVINO refuses the graph.
            BundleError: When the file has changed.
            MissingExtraError: When OpenVINO is not installed.
        """
        openvino = _openvino()
        name = bundle.manifest.image_encoders[encoder]
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(bundle.read(name)), "CPU", settings)
            version = openvino.__version__.split("-")[0]
            return cls(compiled, bundle, encoder, description=f"openvino {version}, {threads or 'all'} threads")
        except _ERRORS as cause:
            where = Place(str(bundle.folder / name))
            raise EngineError(
                f"OpenVINO refuses the graph ({_first_line(cause)})", code="bad_graph", where=where
            ) from cause

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` of `pixels (N, 3, h, w)`.

        Raises:
            EngineError: When the pixels do not fit the graph, or the engine is closed.
        """
        return run_in_batches(self._run, pixels, self._batch, self._dim)

    def close(self) -> None:
        """Release the compiled model."""
        self._request = None

    def _run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        if self._request is None:
            raise EngineError("the engine is closed", code="closed")
        try:
            # Outputs are shared with the request and overwritten by the next run: copy them.
            return np.array(self._request.infer({self._input: pixels})[0], np.float32)
        except _ERRORS as cause:
            raise EngineError(f"the graph does not run ({_first_line(cause)})", code="run_failed") from cause


def _first_line(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as cause:
        raise missing_extra("openvino", "openvino", "the engine openvino") from cause
    return openvino
