"""TensorRT: the engine of NVIDIA's boards and GPUs. It runs a plan that was made on the machine it runs on.

One path for TensorRT 10.3 to 11.x. Only this module and the builder of plans import `tensorrt`; its exceptions, and the
`None` and `False` by which it says that something failed, end here.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import EngineError, Place
from edgezsl.runtime.cuda import CudaStream
from edgezsl.runtime.engine import missing_engine
from edgezsl.runtime.tensorrt_log import MAKE_THE_PLAN, tensorrt_fault, tensorrt_logger
from edgezsl.runtime.tensorrt_version import check_tensorrt_version
from edgezsl.runtime.tensors import check_pixels, check_tensor_names, run_in_batches

if TYPE_CHECKING:
    import tensorrt as trt
    from numpy.typing import NDArray

    from edgezsl.contract import InputContract, PixelType
    from edgezsl.manifest import Batch

_LOG = logging.getLogger(__name__)
MOST_GRAPHS = 4  # numbers of images that are kept ready; a stream has one or two
_ERRORS = (RuntimeError, ValueError, TypeError)  # the binding raises built-ins only


def load_tensorrt() -> Any:
    """Return the module `tensorrt`, of a version that this code is written for.

    Raises:
        MissingExtraError: When it is not installed, or cannot be imported, as where a library of it is missing.
        EngineError: When it is below 10.3 or from 12.0 on.
    """
    try:
        import tensorrt as trt
    except (ImportError, OSError) as cause:  # OSError: of its libraries, which it may load by itself
        raise missing_engine(
            "tensorrt", cause if isinstance(cause, ImportError) else ImportError(str(cause))
        ) from cause
    check_tensorrt_version(trt.__version__)
    return trt


@dataclass(slots=True, eq=False)
class _Ready:
    """A context set to one number of images, and the graph of what it then does, once there is one.

    TensorRT's guide wants a context for each graph, for a graph takes the context's state with it. What must be released
    in order is held here and in `_Plan` alone, and by no local name: an error on its way up keeps those alive.
    """

    context: trt.IExecutionContext = None
    graph: Any = None


class _Plan:
    """TensorRT's objects for a plan, and the memory that its contexts share: only one of them runs at a time."""

    _runtime: trt.Runtime = None
    _engine: trt.ICudaEngine = None

    def __init__(self, plan: bytes, stream: CudaStream, file: str) -> None:
        trt = load_tensorrt()
        self._file = file
        self._logger = tensorrt_logger(trt)
        self._logger.errors.clear()
        self._strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        self._dtypes = {"float32": trt.DataType.FLOAT, "uint8": trt.DataType.UINT8}
        self._input = trt.TensorIOMode.INPUT
        self.version: str = trt.__version__
        try:
            self._load(trt, plan)
            self._scratch_bytes = max(1, int(self._engine.device_memory_size_v2))
            self._scratch = stream.device_memory(self._scratch_bytes)
        except BaseException:
            self.release()
            raise

    def _load(self, trt: Any, plan: bytes) -> None:
        try:
            self._runtime = trt.Runtime(self._logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
        except _ERRORS as cause:
            raise self.fault("TensorRT refuses the plan", "bad_plan", cause) from cause
        if self._engine is None:
            raise self.fault("TensorRT refuses the plan", "bad_plan")

    def check(self, contract: InputContract) -> None:
        """Check that names and dtypes of input and output are the contract's.

        Raises:
            EngineError: When they are not.
        """
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        inputs = [name for name in names if self._engine.get_tensor_mode(name) == self._input]
        check_tensor_names(inputs, [name for name in names if name not in inputs], contract, self._file)
        for name, wanted in ((contract.input, contract.dtype), (contract.output, "float32")):
            dtype = self._engine.get_tensor_dtype(name)
            if dtype != self._dtypes[wanted]:
                message, where = f"the plan's tensor {name!r} is {dtype}", Place(self._file)
                raise EngineError(message, code="bad_plan", where=where, expected=wanted, hint=MAKE_THE_PLAN)

    def give_context(self, ready: _Ready, addresses: dict[str, int]) -> None:
        """Give `ready` a new context, whose tensors lie at these addresses of the GPU.

        Raises:
            EngineError: When TensorRT makes none.
        """
        try:
            ready.context = self._engine.create_execution_context(self._strategy)
        except _ERRORS as cause:
            raise self.fault("TensorRT cannot run the plan", "bad_plan", cause) from cause
        if ready.context is None:
            raise self.fault("TensorRT cannot run the plan", "bad_plan")
        ready.context.set_device_memory(self._scratch, self._scratch_bytes)
        for name, address in addresses.items():
            if not ready.context.set_tensor_address(name, address):
                raise self.fault(f"TensorRT does not take an address for {name!r}", "bad_plan")

    def release(self) -> None:
        """Let go of TensorRT's objects; the contexts must have gone before."""
        self._engine = None
        self._runtime = None

    def fault(self, what: str, code: str, cause: Exception | None = None) -> EngineError:
        """Return the error for what TensorRT did not do, by the cause that it gave."""
        hint = MAKE_THE_PLAN if code == "bad_plan" else None
        return tensorrt_fault(what, code, self._logger, file=self._file, cause=cause, hint=hint)


class TensorRtEngine:
    """A bundle's image encoder as a plan of TensorRT, on the first GPU.

    Args:
        plan: The plan. It is native code in all but name: whoever hands it over has checked its owner, length and digest.
        contract: What the encoder takes.
        dim: D.
        batch: How many images the plan takes at once.
        precision: Of the encoder that the plan was made from.
        file: What to call the plan in errors.

    Raises:
        MissingExtraError: When `tensorrt` or `cuda-bindings` is not installed.
        EngineError: When there is no GPU, the plan is not for this machine, TensorRT or bundle, or memory does not suffice.
    """

    def __init__(
        self, plan: bytes, *, contract: InputContract, dim: int, batch: Batch, precision: str, file: str = "the plan"
    ) -> None:
        self._contract = contract
        self._batch = batch
        self._dim = dim
        self._captures = True
        self._ready: dict[int, _Ready] = {}  # by number of images, the one used last at the end
        self._plan: _Plan | None = None
        self._stream = CudaStream()
        try:
            self._plan = _Plan(plan, self._stream, file)
            self._plan.check(contract)
            shape = (batch.max, CHANNELS, *contract.size)
            self._pixels = self._stream.pinned_array(shape, contract.dtype)
            self._embeddings = self._stream.pinned_array((batch.max, dim), np.float32)
            self._input = self._stream.device_memory(self._pixels.nbytes)
            self._output = self._stream.device_memory(self._embeddings.nbytes)
            self._made_ready(self._plan, batch.max)  # a plan that does not take it is refused now
        except BaseException:
            self.close()
            raise
        self.dtype: PixelType = contract.dtype
        self.precision = precision
        self.encoder = precision
        self.description = f"tensorrt {self._plan.version}, {precision} plan"

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` of `pixels (N, 3, h, w)`.

        Raises:
            EngineError: When the pixels do not fit the plan, TensorRT or the GPU fails, or the engine is closed.
        """
        check_pixels(pixels, self._contract)
        return run_in_batches(self._run, pixels, self._batch, self._dim)

    def close(self) -> None:
        """Release graphs, contexts, plan, memory and stream, in this order."""
        if self._plan is not None:
            with contextlib.suppress(EngineError):  # what is still running may use all of it
                self._stream.wait()
        while self._ready:
            _, ready = self._ready.popitem()
            self._drop_graph(ready)
            ready.context = None
        if self._plan is not None:
            self._plan.release()
            self._plan = None
        self._pixels = self._embeddings = np.empty(0, np.float32)  # their memory goes
        self._stream.close()

    def _run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        if self._plan is None:
            raise EngineError("the engine is closed", code="closed")
        count = len(pixels)
        self._pixels[:count] = pixels
        ready = self._made_ready(self._plan, count)
        if ready.graph is not None:
            self._stream.launch(ready.graph)
            self._stream.wait()
        else:
            self._enqueue(self._plan, ready, count)
            self._stream.wait()
            self._capture(self._plan, ready, count)
        return np.array(self._embeddings[:count], np.float32)

    def _made_ready(self, plan: _Plan, count: int) -> _Ready:
        """Return what runs so many images; where `MOST_GRAPHS` others are kept, in place of the one longest unused."""
        ready: _Ready | None = self._ready.pop(count, None)
        if ready is None:
            ready = self._set_to(plan, count)
        self._ready[count] = ready
        return ready

    def _set_to(self, plan: _Plan, count: int) -> _Ready:
        if len(self._ready) < MOST_GRAPHS:
            ready = _Ready()
        else:
            ready = self._ready.pop(next(iter(self._ready)))
            self._drop_graph(ready)
        try:
            self._shape(plan, ready, count)
        except BaseException:
            ready.context = None
            raise
        return ready

    def _shape(self, plan: _Plan, ready: _Ready, count: int) -> None:
        contract = self._contract
        if ready.context is None:
            plan.give_context(ready, {contract.input: self._input, contract.output: self._output})
        if not ready.context.set_input_shape(contract.input, (count, CHANNELS, *contract.size)):
            raise plan.fault(f"the plan does not take {count} images of {contract.size}", "bad_plan")
        shape = tuple(ready.context.get_tensor_shape(contract.output))
        if shape != (count, self._dim):
            raise plan.fault(f"the plan gives embeddings {shape}, not {(count, self._dim)}", "bad_plan")

    def _enqueue(self, plan: _Plan, ready: _Ready, count: int) -> None:
        """Enqueue the way of `count` images: to the GPU, through the plan, back."""
        self._stream.to_device(self._input, self._pixels[:count])
        try:
            taken = ready.context.execute_async_v3(stream_handle=self._stream.handle)
        except _ERRORS as cause:
            raise plan.fault("the plan does not run", "run_failed", cause) from cause
        if not taken:
            raise plan.fault("the plan does not run", "run_failed")
        self._stream.to_host(self._embeddings[:count], self._output)

    def _capture(self, plan: _Plan, ready: _Ready, count: int) -> None:
        """Make a graph of what just ran; a plan that cannot be captured runs without, as fast as its launches are."""
        if not self._captures:
            return
        try:
            ready.graph = self._stream.captured(lambda: self._enqueue(plan, ready, count))
        except EngineError as fault:
            self._captures = False
            _LOG.warning("no CUDA graph, so each run launches its kernels one by one: %s", fault.message)

    def _drop_graph(self, ready: _Ready) -> None:
        if ready.graph is not None:
            self._stream.drop(ready.graph)
            ready.graph = None
