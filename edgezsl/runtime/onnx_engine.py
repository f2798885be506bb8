"""ONNX Runtime: the portable engine, the reference for parity, and the class side's graphs; on a GPU where asked.

The only module that imports `onnxruntime`; its exceptions end here, and its habit of going on with the CPU when a GPU
was asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl.errors import EngineError, Place, first_line, missing_extra
from edgezsl.runtime.tensors import check_pixels, check_tensor_names, run_in_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import PixelType

Provider = Literal["cpu", "cuda", "tensorrt"]
EXECUTION_PROVIDERS: Mapping[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CAST_TO_HALF = b"\n\x02to\x18\n"  # a Cast's attribute `to: FLOAT16` as it stands in an ONNX file
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
    """An ONNX graph on ONNX Runtime.

    Args:
        data: The ONNX file.
        file: What to call it in errors.
        threads: Threads for one run, or None for all cores.
        provider: What computes: the CPU, CUDA, or a TensorRT inside ONNX Runtime, which builds anew at each start. An
            operator that the GPU's provider lacks is computed on the CPU.
        options: Of the provider.

    Raises:
        EngineError: When ONNX Runtime refuses the graph, or this build of it has no such provider, or it finds no GPU.
        MissingExtraError: When ONNX Runtime is not installed.
    """

    def __init__(
        self,
        data: bytes,
        *,
        file: str,
        threads: int | None = None,
        provider: Provider = "cpu",
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        onnxruntime = _onnxruntime()
        if provider != "cpu":
            _check_provider(onnxruntime, provider)
        self._errors = onnxruntime_errors()
        self._file = file
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _SILENT
        settings.intra_op_num_threads = threads or 0
        settings.inter_op_num_threads = 1
        # A spinning thread is a core that the capture thread does not get.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without it INT8 products overflow where an x86 processor has no VNNI: a MobileNetV2 fell to cosine 0.63.
        settings.add_session_config_entry("session.x64quantprecision", "1")
        try:
            session = onnxruntime.InferenceSession(
                data,
                settings,
                providers=[(EXECUTION_PROVIDERS[provider], dict(options))],
                # Its own fall from a failing GPU to the CPU is a print and a stream that is slow ever after.
                enable_fallback=0,
                # 1.23 to 1.32 die of a segmentation fault in this one on a vision transformer in half precision that takes
                # any number of frames.
                disabled_optimizers={"NchwcTransformer"} if _CAST_TO_HALF in data else None,
            )
        except self._errors as cause:
            raise self._refused("ONNX Runtime refuses the graph", "bad_graph", cause) from cause
        if session.get_providers()[0] != EXECUTION_PROVIDERS[provider]:
            raise _no_gpu(onnxruntime, provider)
        self._session: Any = session
        self.inputs: tuple[str, ...] = tuple(node.name for node in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(node.name for node in session.get_outputs())
        on = f"{threads or 'all'} thread{'' if threads == 1 else 's'}" if provider == "cpu" else f"on {provider}"
        self.description = f"onnxruntime {onnxruntime.__version__}, {on}"

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
    def open(
        cls, bundle: Bundle, encoder: str, *, threads: int | None = None, provider: Provider = "cpu"
    ) -> OnnxEngine:
        """Load the encoder of a bundle.

        Raises:
            EngineError: When ONNX Runtime refuses the graph, its input and output are not the contract's, or the provider
                is not to be had.
            BundleError: When the file has changed.
            MissingExtraError: When ONNX Runtime is not installed.
        """
        name = bundle.manifest.image_encoders[encoder]
        file = str(bundle.folder / name)
        options = provider_options(provider, encoder)
        graph = OnnxGraph(bundle.read(name), file=file, threads=threads, provider=provider, options=options)
        check_tensor_names(graph.inputs, graph.outputs, bundle.manifest.contract, file)
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


def provider_options(provider: Provider, precision: str) -> dict[str, str]:
    """Return what a provider has to be told of an encoder's precision.

    TensorRT inside ONNX Runtime takes a type of the file only where it is allowed. It is given no place to keep plans: nothing
    could check one before it is loaded.
    """
    if provider != "tensorrt":
        return {}
    half, integers = precision in {"fp16", "int8_fp16"}, precision in {"int8", "int8_fp16"}
    return {"trt_fp16_enable": str(half), "trt_int8_enable": str(integers), "trt_engine_cache_enable": "False"}


def _check_provider(onnxruntime: Any, provider: Provider) -> None:
    """Refuse a provider that this build of ONNX Runtime lacks, or whose libraries are not all here.

    ONNX Runtime itself logs that and takes the CPU.
    """
    built_in = [name for name, its in EXECUTION_PROVIDERS.items() if its in onnxruntime.get_available_providers()]
    if provider not in built_in:
        raise EngineError(
            f"this build of ONNX Runtime ({onnxruntime.__version__}) has no {provider} provider",
            code="no_provider",
            expected=f"one of {', '.join(built_in)}",
            hint="put a GPU build in its place: pip uninstall onnxruntime, then pip install onnxruntime-gpu; on a Jetson "
            "one that was made for its JetPack",
        )
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find, which may lie elsewhere
            onnxruntime.preload_dlls()
    library = Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{provider}.so"
    if library.is_file():  # elsewhere it is part of ONNX Runtime's one library
        try:
            ctypes.CDLL(str(library), mode=os.RTLD_LAZY)
        except OSError as cause:
            raise _no_gpu(onnxruntime, provider, f" ({first_line(cause)})") from cause


def _no_gpu(onnxruntime: Any, provider: Provider, why: str = "") -> EngineError:
    return EngineError(
        f"ONNX Runtime's {provider} provider does not work here{why}",
        code="no_gpu",
        hint=f"run: nvidia-smi, and compare CUDA and cuDNN here with what onnxruntime {onnxruntime.__version__} was built "
        "for; meanwhile --engine onnx takes the CPU",
    )


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as cause:
        raise missing_extra("onnxruntime", "runtime", "running an ONNX graph", cause) from cause
    return onnxruntime
