"""The engine over a recording fake: our sequence of calls, what we own, our errors. No GPU and no TensorRT was used."""

import gc
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgezsl.errors import EngineError, MissingExtraError
from edgezsl.manifest import Batch
from edgezsl.runtime.tensorrt_engine import MOST_GRAPHS, TensorRtEngine
from edgezsl.runtime.tensorrt_log import tensorrt_logger
from tests.factories import small_contract
from tests.fake_plans import known_answer, plan_bytes
from tests.fakes_cuda import cudaError_t
from tests.fakes_tensorrt import Machine

DIM = 5
TO_EIGHT = Batch(1, 4, 8)


def open_engine(machine, *, batch=TO_EIGHT, dtype="float32", dim=DIM, plan=None, precision="int8", **changes):
    contract = small_contract(dtype=dtype)
    plan = plan_bytes(contract, DIM, batch, **{"version": machine.version} | changes) if plan is None else plan
    return TensorRtEngine(plan, contract=contract, dim=dim, batch=batch, precision=precision, file="a.plan")


def noise(count, dtype="float32", seed=0):
    values = np.random.RandomState(seed).randint(0, 256, (count, 3, *small_contract().size))
    return values.astype(np.uint8) if dtype == "uint8" else (values / 128 - 1).astype(np.float32)


def refusal(call):
    with pytest.raises(EngineError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def machine(monkeypatch):
    """A machine on which at the end of the test nothing is left of what was taken, and nothing was done wrong."""
    machine = Machine().install(monkeypatch)
    yield machine
    gc.collect()
    assert machine.wrongs == []
    assert machine.left() == []


# --- answers ---


@pytest.mark.parametrize("version", ["10.3.0", "10.13.3.9", "10.16.1.11", "11.4.0.106", "11.4.1"])
def test_it_says_what_the_plan_computes_under_every_version(monkeypatch, machine, version):
    engine = open_engine(Machine(version=version).install(monkeypatch))
    answers = engine.run(noise(3))
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, known_answer(noise(3), DIM), rtol=1e-5)
    assert engine.description == f"tensorrt {version}, int8 plan"
    assert (engine.dtype, engine.precision, engine.encoder) == ("float32", "int8", "int8")
    engine.close()
    assert (Machine.current.left(), Machine.current.wrongs) == ([], [])


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 17])
@pytest.mark.parametrize("batch", [TO_EIGHT, Batch(3, 4, 8), Batch(1, 1, 1)], ids=str)
def test_any_number_of_images_is_split_and_padded(machine, batch, count):
    engine = open_engine(machine, batch=batch)
    for seed in range(3):  # plain, then by graph
        pixels = noise(count, seed=seed)
        answers = engine.run(pixels)
        assert answers.shape == (count, DIM)
        np.testing.assert_allclose(answers, known_answer(pixels, DIM), rtol=1e-5)
    engine.close()


def test_a_graph_that_normalises_takes_the_frames_own_numbers(machine):
    engine = open_engine(machine, dtype="uint8")
    pixels = noise(2, "uint8")
    np.testing.assert_allclose(engine.run(pixels), known_answer(pixels, DIM), rtol=1e-5)
    assert engine.dtype == "uint8"
    assert refusal(lambda: engine.run(noise(2))).code == "bad_pixels"
    engine.close()


def test_pixels_may_lie_in_memory_in_any_order(machine):
    engine = open_engine(machine)
    pixels = noise(4)
    np.testing.assert_array_equal(engine.run(pixels[::2]), engine.run(np.ascontiguousarray(pixels[::2])))
    np.testing.assert_array_equal(engine.run(np.asfortranarray(pixels)), engine.run(pixels))
    engine.close()


def test_an_answer_is_an_array_of_its_own(machine):
    engine = open_engine(machine)
    first = engine.run(noise(2))
    kept = first.copy()
    engine.run(noise(2, seed=1))
    np.testing.assert_array_equal(first, kept)
    engine.close()
    np.testing.assert_array_equal(first, kept)


# --- what it takes, once, and gives back ---


def test_memory_is_taken_once_and_for_the_largest_batch(machine):
    engine = open_engine(machine)
    sizes = sorted(len(block) for block, _ in machine.blocks.values())
    pixels, embeddings = 8 * 3 * small_contract().size[0] * small_contract().size[1] * 4, 8 * DIM * 4
    assert sizes == sorted([1000, pixels, pixels, embeddings, embeddings])
    taken = (
        machine.calls.count("cudaMalloc"),
        machine.calls.count("cudaMallocHost"),
        machine.calls.count("cudaStreamCreateWithFlags"),
    )
    for count in (1, 5, 8, 20):
        engine.run(noise(count))
    assert taken == (3, 2, 1)
    assert taken == tuple(
        machine.calls.count(name) for name in ("cudaMalloc", "cudaMallocHost", "cudaStreamCreateWithFlags")
    )
    engine.close()


def test_only_the_images_that_there_are_go_to_the_gpu_and_back(machine):
    engine = open_engine(machine)
    engine.run(noise(2))
    image = noise(1).nbytes
    assert machine.copied == [2 * image, 2 * DIM * 4] * 2, "once by itself, once into the graph"
    engine.close()


def test_what_was_taken_last_is_given_back_first_and_everything_once(machine):
    engine = open_engine(machine)
    engine.run(noise(1))
    engine.run(noise(8))
    del machine.calls[:]
    engine.close()
    order = ["cudaStreamSynchronize", "cudaGraphExecDestroy", "del IExecutionContext", "del ICudaEngine"]
    order += ["cudaFree", "cudaFreeHost", "cudaStreamDestroy"]
    assert list(dict.fromkeys(machine.calls)) == order
    assert [machine.calls.count(name) for name in order] == [1, 2, 2, 1, 3, 2, 1]


def test_closing_twice_is_allowed_and_running_afterwards_is_not(machine):
    engine = open_engine(machine)
    engine.close()
    calls = len(machine.calls)
    engine.close()
    assert len(machine.calls) == calls
    assert refusal(lambda: engine.run(noise(1))).code == "closed"


def test_an_error_that_is_kept_keeps_nothing_of_the_gpu(machine):
    engine = open_engine(machine)
    machine.trt_faults["execute_async_v3"] = "Error Code 1: Cask (Cask convolution execution)"
    error = refusal(lambda: engine.run(noise(1)))
    engine.close()  # with the error, its traceback and every name in it still there
    assert error.__traceback__ is not None
    assert machine.left() == []


# --- graphs ---


def test_a_graph_is_made_after_a_first_run_and_used_from_then_on(machine):
    engine = open_engine(machine)
    engine.run(noise(2))
    assert (machine.launches, machine.calls.count("cudaGraphInstantiate")) == (0, 1)
    order = [name for name in machine.calls if name in {"cudaStreamSynchronize", "cudaStreamBeginCapture"}]
    assert order == ["cudaStreamSynchronize", "cudaStreamBeginCapture"], "what is captured has run before"
    for seed in range(3):
        engine.run(noise(2, seed=seed))
    assert (machine.launches, machine.calls.count("cudaGraphInstantiate"), machine.runs) == (3, 1, 4)
    engine.close()


def test_at_most_four_graphs_are_kept_and_the_one_longest_unused_goes(machine):
    engine = open_engine(machine)

    def made_for(count):
        before = machine.calls.count("cudaGraphInstantiate")
        np.testing.assert_allclose(engine.run(noise(count)), known_answer(noise(count), DIM), rtol=1e-5)
        return machine.calls.count("cudaGraphInstantiate") > before

    assert [made_for(count) for count in (1, 2, 3, 4)] == [True] * 4
    assert not made_for(1)
    assert made_for(5), "in place of 2, which is the one longest unused now"
    assert (len(machine.graphs), machine.contexts) == (MOST_GRAPHS, MOST_GRAPHS)
    assert [made_for(count) for count in (1, 3, 4, 5)] == [False] * 4
    assert made_for(2)
    engine.close()


def test_a_plan_that_cannot_be_captured_runs_without_graphs_and_says_so_once(machine, caplog):
    engine = open_engine(machine, capturable=False)
    with caplog.at_level(logging.WARNING, logger="edgezsl.runtime.tensorrt_engine"):
        for _ in range(3):
            np.testing.assert_allclose(engine.run(noise(2)), known_answer(noise(2), DIM), rtol=1e-5)
    said = [line.message for line in caplog.records if line.name == "edgezsl.runtime.tensorrt_engine"]
    assert len(said) == 1
    assert said[0].startswith("no CUDA graph")
    assert machine.calls.count("cudaStreamBeginCapture") == 1
    engine.close()


@pytest.mark.parametrize("call", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_where_cuda_makes_no_graph_there_is_none(machine, call):
    engine = open_engine(machine)
    machine.faults[call] = cudaError_t.cudaErrorMemoryAllocation
    for _ in range(2):
        np.testing.assert_allclose(engine.run(noise(2)), known_answer(noise(2), DIM), rtol=1e-5)
    assert machine.graphs == []
    machine.faults.clear()
    engine.close()


# --- what can go wrong, by its cause ---


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"version": "10.13.3.9"}, "stale_plan", "another version of TensorRT"),
        ({"capability": "8.6"}, "foreign_plan", "another kind of GPU"),
        ({"plan": b"\x00\x01 truncated"}, "bad_plan", "magicTag"),
        ({"plan": b""}, "bad_plan", "magicTag"),
        ({"plan": plan_bytes(small_contract(), DIM, Batch(1, 4, 4))}, "bad_plan", "Parameter check failed"),
        ({"plan": plan_bytes(small_contract(size=(8, 8)), DIM, TO_EIGHT)}, "bad_plan", "Parameter check failed"),
        (
            {"plan": plan_bytes(small_contract(), 7, TO_EIGHT)},
            "bad_plan",
            "the plan gives embeddings (8, 7), not (8, 5)",
        ),
        ({"tensors": [["x", "TensorIOMode.INPUT", "DataType.FLOAT"]]}, "bad_graph", "inputs ['x']"),
    ],
    ids=["version", "gpu", "damaged", "empty", "batch", "size", "dim", "names"],
)
def test_a_plan_that_is_not_for_here_is_refused_and_nothing_is_kept(machine, changes, code, words):
    error = refusal(lambda: open_engine(machine, **changes))
    assert (error.code, error.where.file) == (code, "a.plan")
    assert words in str(error)
    if code != "bad_graph":
        assert "edgezsl compile" in error.hint
    assert machine.left() == [], "with the error still in hand"


@pytest.mark.parametrize(
    ("tensor", "dtype"), [(0, "DataType.UINT8"), (0, "DataType.HALF"), (1, "DataType.HALF")], ids=str
)
def test_a_plan_whose_tensors_are_of_another_dtype_is_refused(machine, tensor, dtype):
    contract = small_contract()
    tensors = [
        [contract.input, "TensorIOMode.INPUT", "DataType.FLOAT"],
        [contract.output, "TensorIOMode.OUTPUT", "DataType.FLOAT"],
    ]
    tensors[tensor][2] = dtype
    error = refusal(lambda: open_engine(machine, tensors=tensors))
    assert (error.code, error.expected) == ("bad_plan", "float32")
    assert dtype in error.message


@pytest.mark.parametrize(
    ("method", "said", "code"),
    [
        ("Runtime", "CUDA initialization failure with error: 35. Please check your CUDA installation", "no_gpu"),
        ("Runtime", "something else", "bad_plan"),
        (
            "deserialize_cuda_engine",
            "Error Code 2: OutOfMemory (Requested size was 149635638784 bytes.)",
            "out_of_memory",
        ),
        ("deserialize_cuda_engine", RuntimeError("what a binding raises"), "bad_plan"),
        ("create_execution_context", "Error Code 1: Cuda Runtime (out of memory)", "out_of_memory"),
        ("create_execution_context", RuntimeError("what a binding raises"), "bad_plan"),
        ("set_tensor_address", "Error Code 3: API Usage Error", "bad_plan"),
    ],
    ids=str,
)
def test_what_tensorrt_does_not_do_at_the_start_is_an_error_by_its_cause(machine, method, said, code):
    machine.trt_faults[method] = said
    error = refusal(lambda: open_engine(machine))
    assert error.code == code
    assert str(said)[:20] in error.message, "TensorRT's own words stand in it"
    assert machine.left() == []


@pytest.mark.parametrize("said", ["Error Code 1: Myelin (failed)", RuntimeError("what a binding raises")], ids=str)
def test_a_run_that_fails_is_an_error_and_the_next_may_go_well(machine, said):
    engine = open_engine(machine)
    machine.trt_faults["execute_async_v3"] = said
    assert refusal(lambda: engine.run(noise(2))).code == "run_failed"
    machine.trt_faults.clear()
    np.testing.assert_allclose(engine.run(noise(2)), known_answer(noise(2), DIM), rtol=1e-5)
    engine.close()


@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaStreamSynchronize", "cudaGraphLaunch"])
def test_a_gpu_that_fails_while_running_is_an_error_with_cudas_word(machine, call):
    engine = open_engine(machine)
    engine.run(noise(1))
    machine.faults[call] = cudaError_t.cudaErrorIllegalAddress
    error = refusal(lambda: engine.run(noise(2 if call == "cudaMemcpyAsync" else 1)))
    assert error.code == "cuda_failed"
    assert "cudaErrorIllegalAddress" in error.message
    engine.close()


@pytest.mark.parametrize("call", ["cudaFree", "cudaFreeHost", "cudaStreamDestroy", "cudaGraphExecDestroy"])
def test_closing_goes_on_where_cuda_refuses_a_part_of_it(monkeypatch, machine, call):
    broken = Machine().install(monkeypatch)  # the other one checks that all was given back
    engine = open_engine(broken)
    engine.run(noise(1))
    broken.faults[call] = cudaError_t.cudaErrorIllegalAddress
    engine.close()
    assert broken.calls[-1] == "cudaStreamDestroy"


@pytest.mark.parametrize("number", range(5))
def test_memory_that_runs_out_anywhere_is_said_and_what_was_had_is_given_back(machine, number):
    name, first = ("cudaMalloc", number) if number < 3 else ("cudaMallocHost", number - 3)
    machine.faults[name, first] = cudaError_t.cudaErrorMemoryAllocation
    error = refusal(lambda: open_engine(machine))
    assert error.code == "out_of_memory"
    assert "bytes" in error.message
    assert "smaller batch" in error.hint
    assert machine.left() == []


@pytest.mark.parametrize(
    ("gpu", "code", "words"),
    [
        ({"devices": 0}, "no_gpu", "there is no GPU"),
        ({"driver": 0}, "no_gpu", "there is no GPU"),
        ({"driver": 12060}, "old_driver", "the GPU's driver is for CUDA 12.6, expected one for CUDA 13"),
    ],
    ids=["none", "no driver", "old driver"],
)
def test_a_machine_without_a_gpu_that_can_be_used_says_what_to_do(monkeypatch, gpu, code, words):
    machine = Machine(**gpu).install(monkeypatch)
    error = refusal(lambda: open_engine(machine))
    assert error.code == code
    assert words in str(error)
    assert "--engine onnx" in error.hint
    assert machine.left() == []


@pytest.mark.parametrize("version", ["8.5.2.2", "10.2.0", "12.0.0.1"])
def test_a_version_that_the_code_is_not_written_for_is_refused(monkeypatch, machine, version):
    other = Machine(version=version).install(monkeypatch)
    assert refusal(lambda: open_engine(other)).code == "unsupported_tensorrt"
    assert other.left() == []


@pytest.mark.parametrize(("package", "words"), [("tensorrt", "JetPack"), ("cuda.bindings", "edgezsl[jetpack6]")])
def test_without_a_package_it_says_where_that_comes_from(monkeypatch, machine, package, words):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        open_engine(machine)
    assert words in caught.value.hint


@pytest.mark.parametrize("kind", ["ImportError", "OSError"])
def test_a_tensorrt_without_its_libraries_is_said_to_be_broken(monkeypatch, machine, tmp_path, kind):
    (tmp_path / "tensorrt.py").write_text(f"raise {kind}('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        open_engine(machine)
    assert caught.value.code == "broken_package"
    assert "libnvinfer.so.10" in caught.value.got
    assert "edgezsl doctor" in caught.value.hint


# --- TensorRT's words ---


def test_what_tensorrt_says_goes_into_pythons_log_and_not_on_the_screen(machine, caplog, capfd):
    with caplog.at_level(logging.DEBUG, logger="edgezsl.runtime.tensorrt_log"):
        open_engine(machine).close()
        refusal(lambda: open_engine(machine, capability="8.6"))
    said = {line.levelname: line.message for line in caplog.records if line.name == "edgezsl.runtime.tensorrt_log"}
    assert said["INFO"].startswith("Loaded engine size")
    assert said["DEBUG"].startswith("Deserialization required")
    assert "incompatible device" in said["ERROR"]
    assert capfd.readouterr() == ("", "")


def test_what_tensorrt_said_earlier_is_not_given_as_the_cause_of_a_later_failure(machine):
    tensorrt_logger(sys.modules["tensorrt"]).log("Severity.ERROR", "out of memory, but it went on")
    machine.trt_faults["Runtime"] = "something else"
    assert refusal(lambda: open_engine(machine)).code == "bad_plan"
    machine.trt_faults.clear()
    engine = open_engine(machine)
    for said, code in (("Error Code 2: OutOfMemory", "out_of_memory"), ("Error Code 1: Myelin", "run_failed")):
        machine.trt_faults["execute_async_v3"] = said
        assert refusal(lambda: engine.run(noise(1))).code == code
    engine.close()


def test_without_any_logging_set_up_nothing_is_printed():
    program = (
        "import sys; from tests.fakes_tensorrt import FakeTensorRt, Machine;"
        "from edgezsl.runtime.tensorrt_log import tensorrt_logger;"
        "tensorrt_logger(FakeTensorRt(Machine())).log('Severity.ERROR', 'what is raised as well')"
    )
    command, root = [sys.executable, "-c", program], Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=root)
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_module_costs_nothing():
    program = (
        "import sys; import edgezsl.runtime.tensorrt_engine, edgezsl.runtime.tensorrt_version;"
        "print([name for name in ('tensorrt', 'cuda', 'onnxruntime', 'cv2', 'onnx', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
