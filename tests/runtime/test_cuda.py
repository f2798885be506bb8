"""CUDA's stream over a fake of its runtime; the last tests are for a machine that has a GPU."""

import re
import sys

import numpy as np
import pytest

from edgezsl.errors import EngineError
from edgezsl.runtime.cuda import CudaStream
from edgezsl.runtime.gpu import free_memory_mib, this_machine
from tests.fakes_cuda import FakeGpu, cuda_modules, cudaError_t


@pytest.fixture
def gpu(monkeypatch):
    gpu = FakeGpu()
    for name, module in cuda_modules(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    yield gpu
    assert (gpu.left(), gpu.wrongs) == ([], [])


def round_trip(stream):
    """Send an array to the GPU and back, first plainly, then by a graph; return what came back each time."""
    given, back = (stream.pinned_array((2, 3), np.float32) for _ in range(2))
    device = stream.device_memory(given.nbytes)

    def there_and_back():
        stream.to_device(device, given)
        stream.to_host(back, device)

    came = []
    given[:] = 1
    there_and_back()
    stream.wait()
    came.append(back.copy())
    graph = stream.captured(there_and_back)
    given[:] = 2
    stream.wait()
    came.append(back.copy())
    stream.launch(graph)
    stream.wait()
    came.append(back.copy())
    stream.drop(graph)
    return [float(array.mean()) for array in came if np.ptp(array) == 0]


def test_what_is_enqueued_is_done_and_what_is_captured_only_when_it_is_launched(gpu):
    stream = CudaStream()
    assert round_trip(stream) == [1, 1, 2]
    stream.close()
    stream.close()


def test_work_that_fails_while_it_is_captured_leaves_the_stream_as_it_was(gpu):
    stream = CudaStream()

    def fails():
        raise EngineError("no", code="run_failed")

    for _ in range(2):
        with pytest.raises(EngineError):
            stream.captured(fails)
    assert gpu.graphs == []
    assert round_trip(stream) == [1, 1, 2]
    stream.close()


def test_memory_that_cannot_be_had_is_said_with_its_size(gpu):
    stream = CudaStream()
    with pytest.raises(EngineError) as caught:
        stream.device_memory(gpu.memory_bytes + 1)
    assert caught.value.code == "out_of_memory"
    assert f"{gpu.memory_bytes + 1} bytes" in caught.value.message
    stream.close()


def test_an_unknown_status_is_named(gpu):
    gpu.faults["cudaStreamCreateWithFlags"] = cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(EngineError) as caught:
        CudaStream()
    assert caught.value.code == "cuda_failed"
    assert "cudaErrorIllegalAddress" in caught.value.message


@pytest.mark.gpu
def test_a_real_gpu_does_the_same():
    stream = CudaStream()
    assert round_trip(stream) == [1, 1, 2]
    stream.close()


@pytest.mark.gpu
def test_a_real_gpu_says_what_a_plan_is_bound_to():
    machine = this_machine("10.3.0")
    assert machine.gpu, "a Jetson's is Orin, another's NVIDIA and more"
    assert machine.gpu.isprintable()
    assert re.fullmatch(r"\d+\.\d", machine.compute_capability)
    assert machine.sm_count > 0
    assert re.fullmatch(r"\d\d\.\d+", machine.cuda_driver)
    assert free_memory_mib() > 100


@pytest.mark.gpu
def test_memory_that_a_real_gpu_has_not_is_said_and_the_stream_goes_on():
    stream = CudaStream()
    with pytest.raises(EngineError) as caught:
        stream.device_memory(1 << 50)
    assert caught.value.code == "out_of_memory"
    assert round_trip(stream) == [1, 1, 2]
    stream.close()
