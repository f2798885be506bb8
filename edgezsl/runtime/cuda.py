"""CUDA's runtime through `cuda-bindings`: memory, one stream, graphs, on the first GPU that this process sees.

That package imports without a GPU, so that "there is none" is a sentence here and no crash. The status of every call is
looked at: what failed is an `EngineError` by its cause.
"""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.errors import EngineError, missing_extra
from edgezsl.runtime.tensorrt_log import FREE_MEMORY, NO_GPU

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

_LOG = logging.getLogger(__name__)


def load_cudart() -> Any:
    """Return the module `cuda.bindings.runtime`, once it has found a GPU.

    Raises:
        MissingExtraError: When `cuda-bindings` is not installed.
        EngineError: When there is no GPU, or its driver is too old.
    """
    try:
        from cuda.bindings import runtime as cudart
    except ImportError as cause:
        absent = isinstance(cause, ModuleNotFoundError) and (cause.name or "").partition(".")[0] == "cuda"
        fault = missing_extra("cuda-bindings", "tensorrt", "the engine tensorrt", None if absent else cause)
        if absent:
            fault.hint = f"{fault.hint}; on a Jetson 'edgezsl[jetpack6]' or 'edgezsl[jetpack7]'"
        raise fault from cause
    count = checked(cudart, cudart.cudaGetDeviceCount(), "looking for a GPU failed")
    if not count:
        raise EngineError("there is no GPU that CUDA can use", code="no_gpu", hint=NO_GPU)
    return cudart


class CudaStream:
    """A stream of the first GPU, with the memory that was allocated beside it.

    Raises:
        MissingExtraError: When `cuda-bindings` is not installed.
        EngineError: When there is no GPU, its driver is too old, or CUDA fails.
    """

    def __init__(self) -> None:
        self._cudart = load_cudart()
        self._device: list[int] = []
        self._pinned: list[int] = []
        # Non-blocking: what other threads put on the default stream neither waits for this one nor spoils its graphs.
        stream = self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking)
        self._stream: Any = self._done(stream, "no stream can be made")

    @property
    def handle(self) -> int:
        """The stream's address, as TensorRT takes it."""
        return int(self._stream)

    def device_memory(self, size_bytes: int) -> int:
        """Return the address of new memory of the GPU, aligned to at least 256 bytes; `close` frees it.

        Raises:
            EngineError: When there is not enough.
        """
        what = f"{size_bytes} bytes of the GPU's memory cannot be had"
        address = int(self._done(self._cudart.cudaMalloc(size_bytes), what))
        self._device.append(address)
        return address

    def pinned_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a new array in memory that the GPU copies from and to without a detour.

        It must not be used after `close`, which frees the memory.

        Raises:
            EngineError: When there is not enough.
        """
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        what = f"{size_bytes} bytes of page-locked memory cannot be had"
        address = int(self._done(self._cudart.cudaMallocHost(size_bytes), what))
        self._pinned.append(address)
        memory = (ctypes.c_byte * size_bytes).from_address(address)
        return np.frombuffer(memoryview(memory), dtype).reshape(shape)

    def to_device(self, device: int, host: NDArray[Any]) -> None:
        """Enqueue a copy of a pinned array to the GPU."""
        self._copy(device, host.ctypes.data, host.nbytes, self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice)

    def to_host(self, host: NDArray[Any], device: int) -> None:
        """Enqueue a copy from the GPU into a pinned array."""
        self._copy(host.ctypes.data, device, host.nbytes, self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost)

    def wait(self) -> None:
        """Wait until everything that was enqueued is done.

        Raises:
            EngineError: When some of it failed.
        """
        self._done(self._cudart.cudaStreamSynchronize(self._stream), "the GPU failed")

    def captured(self, work: Callable[[], None]) -> Any:
        """Return what `work` enqueues as a graph, without doing it.

        Args:
            work: Enqueues on this stream, and does nothing else with CUDA.

        Raises:
            EngineError: When `work` raises it, or what it enqueues cannot be captured.
        """
        cudart, cannot = self._cudart, "the work cannot be made a CUDA graph"
        # Thread-local: what another thread allocates meanwhile is no concern of this graph.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._done(cudart.cudaStreamBeginCapture(self._stream, mode), cannot)
        try:
            work()
        except BaseException:
            status, graph = cudart.cudaStreamEndCapture(self._stream)  # the stream must leave the mode all the same
            if status == cudart.cudaError_t.cudaSuccess:
                self._released(cudart.cudaGraphDestroy(graph))
            raise
        graph = self._done(cudart.cudaStreamEndCapture(self._stream), cannot)
        try:
            return self._done(cudart.cudaGraphInstantiate(graph, 0), cannot)
        finally:
            self._released(cudart.cudaGraphDestroy(graph))

    def launch(self, graph: Any) -> None:
        """Enqueue a graph that `captured` returned.

        Raises:
            EngineError: When CUDA refuses it.
        """
        self._done(self._cudart.cudaGraphLaunch(graph, self._stream), "the GPU does not start the work")

    def drop(self, graph: Any) -> None:
        """Release a graph that `captured` returned."""
        self._released(self._cudart.cudaGraphExecDestroy(graph))

    def close(self) -> None:
        """Free the memory and the stream; what fails is logged. Closing twice is allowed."""
        while self._device:
            self._released(self._cudart.cudaFree(self._device.pop()))
        while self._pinned:
            self._released(self._cudart.cudaFreeHost(self._pinned.pop()))
        if self._stream is not None:
            self._released(self._cudart.cudaStreamDestroy(self._stream))
            self._stream = None

    def _copy(self, to: int, source: int, size_bytes: int, kind: Any) -> None:
        copying = self._cudart.cudaMemcpyAsync(to, source, size_bytes, kind, self._stream)
        self._done(copying, "the GPU does not take the copy")

    def _done(self, answer: tuple[Any, ...], what: str) -> Any:
        return checked(self._cudart, answer, what)

    def _released(self, answer: tuple[Any, ...]) -> None:
        # A failure of earlier work comes up here a second time, and nothing can be done about it.
        if answer[0] != self._cudart.cudaError_t.cudaSuccess:
            _LOG.debug("CUDA does not release what it gave (%s)", answer[0].name)


def checked(cudart: Any, answer: tuple[Any, ...], what: str) -> Any:
    """Return the first thing that a call of CUDA gave besides its status, or None.

    Args:
        cudart: What `load_cudart` returned.
        answer: Of the call.
        what: What failed where it failed, as a clause.

    Raises:
        EngineError: When the status is not success.
    """
    status, *given = answer
    if status != cudart.cudaError_t.cudaSuccess:
        raise _fault(cudart, status, what)
    return given[0] if given else None


def _fault(cudart: Any, status: Any, what: str) -> EngineError:
    errors = cudart.cudaError_t
    if status == errors.cudaErrorMemoryAllocation:
        return EngineError(f"{what} ({status.name})", code="out_of_memory", hint=FREE_MEMORY)
    if status == errors.cudaErrorInsufficientDriver:
        _, driver = cudart.cudaDriverGetVersion()
        if driver:  # 0: there is none at all
            message = f"the GPU's driver is for CUDA {driver // 1000}.{driver % 1000 // 10}"
            wanted = f"one for CUDA {cudart.CUDART_VERSION // 1000}, as the cuda-bindings here, or later"
            hint = "update the driver, or install the cuda-bindings of its version; meanwhile --engine onnx works"
            return EngineError(message, code="old_driver", expected=wanted, hint=hint)
    if status in {errors.cudaErrorInsufficientDriver, errors.cudaErrorNoDevice, errors.cudaErrorStubLibrary}:
        return EngineError(f"there is no GPU that CUDA can use ({status.name})", code="no_gpu", hint=NO_GPU)
    return EngineError(f"{what} ({status.name})", code="cuda_failed")
