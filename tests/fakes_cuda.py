"""A GPU that is none: CUDA's runtime as far as it is used, in the host's memory; a stream does nothing before it is awaited.

It refuses what CUDA refuses, writes down what it is asked, and knows what was not given back.
"""

# ruff: noqa: N801, N802, N815  # the names are CUDA's

import ctypes
import enum
import functools
import types

import numpy as np

ALIGNMENT = 256  # bytes, as cudaMalloc promises


class Stream:
    """A queue: what is enqueued waits for `cudaStreamSynchronize`, or goes into the graph that is being captured."""

    def __init__(self, handle) -> None:
        self._handle = handle
        self.pending = []
        self.capturing = None

    def __int__(self) -> int:
        return self._handle

    def enqueue(self, work) -> None:
        (self.pending if self.capturing is None else self.capturing).append(work)


class Graph:
    """What was captured, or, instantiated, can be launched: `operations` are callables."""

    def __init__(self, operations) -> None:
        self.operations = operations


class FakeGpu:
    """The machine: what it has, what was taken of it, and what was done wrong.

    Attributes:
        calls: Names of the functions of CUDA that were called, and of what was released beside them, in order.
        faults: For the name of a function the status that it gives; `(name, n)`: from its n-th call on, counted from 0.
        copied: Bytes of each copy that was enqueued or captured.
        wrongs: What a real machine would answer with a crash, a leak or nonsense.
    """

    def __init__(self, *, devices=1, driver=13000, memory_bytes=1 << 30) -> None:
        self.devices = devices
        self.driver = driver
        self.memory_bytes = memory_bytes
        self.calls = []
        self.faults = {}
        self.wrongs = []
        self.blocks = {}  # address: (array, kind)
        self.streams = {}
        self.graphs = []
        self.contexts = 0  # of TensorRT, alive
        self.launches = 0
        self.copied = []

    def fault_of(self, name):
        seen = self.calls.count(name)
        self.calls.append(name)
        for key, status in self.faults.items():
            wanted, first = key if isinstance(key, tuple) else (key, 0)
            if wanted == name and seen >= first:
                return status
        return None

    def allocate(self, size_bytes, kind):
        array = np.zeros(size_bytes + ALIGNMENT, np.uint8)
        start = -array.ctypes.data % ALIGNMENT
        block = array[start : start + size_bytes]
        self.blocks[block.ctypes.data] = (block, kind)
        return block.ctypes.data

    def view(self, address, size_bytes, kind):
        """Return the bytes at an address, or None where they are not all in one allocation of that kind."""
        for start, (block, of) in self.blocks.items():
            if of == kind and start <= address and address + size_bytes <= start + len(block):
                return block[address - start : address - start + size_bytes]
        return None

    def left(self):
        """Return what was taken and not given back."""
        kinds = [kind for _, kind in self.blocks.values()]
        kinds += ["stream"] * len(self.streams) + ["graph"] * len(self.graphs) + ["context"] * self.contexts
        return kinds


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorStubLibrary = 34
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


OK = cudaError_t.cudaSuccess
INVALID = cudaError_t.cudaErrorInvalidValue


def cuda_call(nothing=()):
    """Return a decorator: the call is written down, and answered by the status that `faults` has for it.

    Args:
        nothing: What stands beside the status then.
    """

    def decorated(function):
        @functools.wraps(function)
        def call(self, *arguments):
            status = self.gpu.fault_of(function.__name__)
            if status is not None and function.__name__ == "cudaStreamEndCapture":
                arguments[0].capturing = None  # it ends whatever comes of it
            return (status, *nothing) if status is not None else function(self, *arguments)

        return call

    return decorated


class FakeCudart:
    """`cuda.bindings.runtime`: functions return a status and what they give. A name that is not here is none that is used."""

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode
    CUDART_VERSION = 13000
    cudaStreamNonBlocking = 1

    def __init__(self, gpu) -> None:
        self.gpu = gpu

    @cuda_call((None,))
    def cudaGetDeviceCount(self):
        if not self.gpu.driver:
            return cudaError_t.cudaErrorInsufficientDriver, None
        if self.gpu.driver < self.CUDART_VERSION // 1000 * 1000:
            return cudaError_t.cudaErrorInsufficientDriver, None
        return (OK, self.gpu.devices) if self.gpu.devices else (cudaError_t.cudaErrorNoDevice, None)

    @cuda_call((None,))
    def cudaDriverGetVersion(self):
        return OK, self.gpu.driver

    @cuda_call((None, None))
    def cudaMemGetInfo(self):
        return OK, self.gpu.memory_bytes - self._taken(), self.gpu.memory_bytes

    @cuda_call((None,))
    def cudaMalloc(self, size):
        if self._capturing():
            return cudaError_t.cudaErrorStreamCaptureUnsupported, None
        if self._taken() + size > self.gpu.memory_bytes:
            return cudaError_t.cudaErrorMemoryAllocation, None
        return OK, self.gpu.allocate(size, "device")

    @cuda_call((None,))
    def cudaMallocHost(self, size):
        return OK, self.gpu.allocate(size, "pinned")

    @cuda_call()
    def cudaFree(self, devPtr):
        return self._free(devPtr, "device")

    @cuda_call()
    def cudaFreeHost(self, ptr):
        return self._free(ptr, "pinned")

    @cuda_call((None,))
    def cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        stream = Stream(len(self.gpu.calls) + 4096)
        self.gpu.streams[int(stream)] = stream
        return OK, stream

    @cuda_call()
    def cudaStreamDestroy(self, stream):
        if self.gpu.streams.pop(int(stream), None) is None:
            self.gpu.wrongs.append("a stream is destroyed that is none")
            return (cudaError_t.cudaErrorInvalidResourceHandle,)
        if self.gpu.blocks or self.gpu.contexts:
            self.gpu.wrongs.append("the stream goes before what is used on it")
        return (OK,)

    @cuda_call()
    def cudaStreamSynchronize(self, stream):
        if stream.capturing is not None:
            return (cudaError_t.cudaErrorStreamCaptureUnsupported,)
        pending, stream.pending = stream.pending, []
        for operation in pending:
            operation()
        return (OK,)

    @cuda_call()
    def cudaMemcpyAsync(self, dst, src, count, kind, stream):
        to, source = ("device", "pinned") if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else ("pinned", "device")
        if self.gpu.view(dst, count, to) is None or self.gpu.view(src, count, source) is None:
            self.gpu.wrongs.append(f"a copy of {count} bytes leaves what was allocated, or is not of pinned memory")
            return (INVALID,)
        self.gpu.copied.append(count)
        stream.enqueue(lambda: ctypes.memmove(dst, src, count))
        return (OK,)

    @cuda_call()
    def cudaStreamBeginCapture(self, stream, mode):
        assert mode in set(cudaStreamCaptureMode)
        stream.capturing = []
        return (OK,)

    @cuda_call((None,))
    def cudaStreamEndCapture(self, stream):
        operations, stream.capturing = stream.capturing, None
        if any(operation is None for operation in operations):
            return cudaError_t.cudaErrorStreamCaptureInvalidated, None
        return OK, self._kept(Graph(operations))

    @cuda_call((None,))
    def cudaGraphInstantiate(self, graph, flags):
        return OK, self._kept(Graph(list(graph.operations)))

    @cuda_call()
    def cudaGraphLaunch(self, graphExec, stream):
        assert graphExec in self.gpu.graphs
        self.gpu.launches += 1
        for operation in graphExec.operations:
            stream.enqueue(operation)
        return (OK,)

    @cuda_call()
    def cudaGraphDestroy(self, graph):
        return self._dropped(graph)

    @cuda_call()
    def cudaGraphExecDestroy(self, graphExec):
        return self._dropped(graphExec)

    def _taken(self):
        return sum(len(block) for block, kind in self.gpu.blocks.values() if kind == "device")

    def _capturing(self):
        return any(stream.capturing is not None for stream in self.gpu.streams.values())

    def _kept(self, graph):
        self.gpu.graphs.append(graph)
        return graph

    def _dropped(self, graph):
        if graph not in self.gpu.graphs:
            self.gpu.wrongs.append("a graph is destroyed twice")
            return (INVALID,)
        self.gpu.graphs.remove(graph)
        return (OK,)

    def _free(self, address, kind):
        if self.gpu.contexts:
            self.gpu.wrongs.append(f"{kind} memory is freed while a context of TensorRT may use it")
        block, of = self.gpu.blocks.get(address, (None, None))
        if block is None or of != kind:
            self.gpu.wrongs.append(f"{kind} memory is freed that was not allocated, or was freed before")
            return (INVALID,)
        del self.gpu.blocks[address]
        return (OK,)


def cuda_modules(gpu):
    """Return what stands in `sys.modules` where `cuda-bindings` is installed."""
    package, bindings = types.ModuleType("cuda"), types.ModuleType("cuda.bindings")
    bindings.runtime = FakeCudart(gpu)
    package.bindings = bindings
    return {"cuda": package, "cuda.bindings": bindings, "cuda.bindings.runtime": bindings.runtime}
