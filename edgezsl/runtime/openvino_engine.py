"""OpenVINO: the fast engine on x86, reading the same ONNX files.

The only module that imports `openvino`; its exceptions end here. Where the processor has bfloat16 OpenVINO computes
an fp32 file in it by default: `precision` says so, and the golden test then uses bf16's tolerance. On an x86 processor
without VNNI its INT8 products overflow their 16 bits: there an INT8 file is computed in float, rounded as it says.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.device import cpu_features
from edgezsl.errors import EngineError, Place, missing_extra
from edgezsl.runtime.tensors import check_pixels, check_tensor_names, run_in_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import PixelType

# OpenVINO's binding raises built-ins only.
_ERRORS = (RuntimeError, ValueError, TypeError)
_OVERFLOW_FREE = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}  # x86 features that add products in 32 bits
_PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}


class OpenVinoEngine:
    """A bundle's image encoder on OpenVINO's CPU plug-in.

    Args:
        compiled: OpenVINO's compiled model.
        bundle: Gives contract, space and batch.
        encoder: The precision of the encoder's file.
        description: What it is, for people.
        how: How the file is computed, where there is more to say than in which arithmetic.
    """

    def __init__(self, compiled: Any, bundle: Bundle, encoder: str, *, description: str, how: str = "") -> None:
        contract = bundle.manifest.contract
        self._request: Any = compiled.create_infer_request()
        self._contract = contract
        self._batch = bundle.manifest.batch
        self._dim = bundle.manifest.space.dim
        inside = _PRECISIONS.get(compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), "fp32")
        self.dtype: PixelType = contract.dtype
        self.precision = inside if encoder in {"fp32", "fp16"} else encoder
        self.encoder = encoder
        self.description = f"{description}, {encoder} file {how or f'in {self.precision}'}"

    @classmethod
    def open(
        cls, bundle: Bundle, encoder: str, *, threads: int | None = None, arithmetic: Literal["f32"] | None = None
    ) -> OpenVinoEngine:
        """Load the encoder of a bundle.

        Args:
            bundle: The bundle.
            encoder: The precision of the encoder's file.
            threads: Threads for one inference, or None for all cores.
            arithmetic: `f32` to compute an fp32 file in it; None leaves OpenVINO its default, which may be bfloat16.

        Raises:
            EngineError: When OpenVINO refuses the graph, or its input and output are not the contract's.
            BundleError: When the file has changed.
            MissingExtraError: When OpenVINO is not installed.
        """
        openvino = _openvino()
        name = bundle.manifest.image_encoders[encoder]
        data = bundle.read(name)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        if arithmetic:
            settings["INFERENCE_PRECISION_HINT"] = arithmetic
        how = "in fp32, as bf16 failed the golden test" if arithmetic else ""
        if encoder.startswith("int8") and _int8_overflows():
            settings["LP_TRANSFORMS_MODE"] = "NO"  # measured on a MobileNetV2: cosine 0.56 with it, 0.995 without
            how = "in float, since this processor's INT8 overflows"
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(data), "CPU", settings)
            version = openvino.__version__.split("-")[0]
            called = f"openvino {version}, {threads or 'all'} thread{'' if threads == 1 else 's'}"
            engine = cls(compiled, bundle, encoder, description=called, how=how)
            contract = bundle.manifest.contract
            inputs = [_name(port, contract.input) for port in compiled.inputs]
            outputs = [_name(port, contract.output) for port in compiled.outputs]
        except _ERRORS as cause:
            where = Place(str(bundle.folder / name))
            raise EngineError(
                f"OpenVINO refuses the graph ({_last_line(cause)})", code="bad_graph", where=where
            ) from cause
        check_tensor_names(inputs, outputs, contract, str(bundle.folder / name))
        return engine

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` of `pixels (N, 3, h, w)`.

        Raises:
            EngineError: When the pixels do not fit the graph, or the engine is closed.
        """
        check_pixels(pixels, self._contract)
        return run_in_batches(self._run, pixels, self._batch, self._dim)

    def close(self) -> None:
        """Release the compiled model."""
        self._request = None

    def _run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        if self._request is None:
            raise EngineError("the engine is closed", code="closed")
        try:
            # Outputs are shared with the request and overwritten by the next run: copy them.
            return np.array(self._request.infer({self._contract.input: pixels})[0], np.float32)
        except _ERRORS as cause:
            raise EngineError(f"the graph does not run ({_last_line(cause)})", code="run_failed") from cause


def _int8_overflows() -> bool:
    """Return whether OpenVINO's INT8 kernels add pairs of products in 16 bits here, which 8-bit weights overflow."""
    return platform.machine().lower() in {"x86_64", "amd64"} and not _OVERFLOW_FREE & set(cpu_features())


def _name(port: Any, wanted: str) -> str:
    """Return the name of a tensor: `wanted` where that is one of its names, for OpenVINO merges tensors."""
    return wanted if wanted in port.get_names() else str(port.any_name)


def _last_line(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as cause:
        raise missing_extra("openvino", "openvino", "the engine openvino", cause) from cause
    return openvino
