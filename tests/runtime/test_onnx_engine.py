import subprocess
import sys
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as binding

from edgezsl.bundle import SEMANTIC_MAP, TEXT_ENCODER, Bundle
from edgezsl.errors import EngineError
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.onnx_engine import OnnxEngine, OnnxGraph, onnxruntime_errors, provider_options
from tests.factories import graph_bytes

FLOAT = TensorProto.FLOAT


def graph(small_bundle, name=TEXT_ENCODER):
    return OnnxGraph(small_bundle.read(name), file=name, threads=1)


def refusal(call):
    with pytest.raises(EngineError) as caught:
        call()
    return caught.value


def test_a_graph_names_its_inputs_and_outputs_and_runs(small_bundle):
    text = graph(small_bundle)
    assert (text.inputs, text.outputs) == (("input_ids",), ("semantics",))
    (answer,) = text.run({"input_ids": np.zeros((2, 3), np.int64)})
    assert answer.shape == (2, 4)
    assert onnxruntime.__version__ in text.description


def test_several_outputs_come_in_the_order_of_their_names():
    nodes = [helper.make_node("Neg", ["x"], ["b"]), helper.make_node("Identity", ["x"], ["a"])]
    data = graph_bytes(nodes, [("x", FLOAT, ["N"])], [("b", FLOAT, ["N"]), ("a", FLOAT, ["N"])], {})
    both = OnnxGraph(data, file="g", threads=1)
    assert both.outputs == ("b", "a")
    answers = both.run({"x": np.ones(1, np.float32)})
    assert [float(answer[0]) for answer in answers] == [-1, 1]


# --- ONNX Runtime's exceptions become ours, all of them ---


def test_every_exception_class_of_the_binding_is_mapped():
    found = {kind for kind in vars(binding).values() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert len(found) >= 10, "ONNX Runtime has moved its exceptions: look where they went"
    assert found <= set(onnxruntime_errors())


def test_the_built_in_exceptions_that_the_binding_raises_are_mapped():
    assert {ValueError, RuntimeError, TypeError} <= set(onnxruntime_errors())


def broken_graphs():
    """Return files that ONNX Runtime refuses, each for a reason of its own."""
    identity = helper.make_node("Identity", ["x"], ["y"])
    x, y = ("x", FLOAT, ["N"]), ("y", FLOAT, ["N"])
    sound = graph_bytes([identity], [x], [y], {})

    def changed(change):
        model = onnx.load_from_string(sound)
        change(model)
        return model.SerializeToString()

    def external(model):
        weight = model.graph.initializer.add()
        weight.CopyFrom(helper.make_tensor("w", FLOAT, [1], [0.0]))
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
        model.graph.node[0].CopyFrom(helper.make_node("Add", ["x", "w"], ["y"]))

    return {
        "empty": b"",
        "text": b"garbage",
        "noise": bytes(range(256)),
        "truncated": sound[: len(sound) // 2],
        "unknown operator": changed(lambda model: setattr(model.graph.node[0], "op_type", "Nonsense")),
        "unknown domain": changed(lambda model: setattr(model.graph.node[0], "domain", "com.example")),
        "unknown opset": changed(lambda model: setattr(model.opset_import[0], "version", 999)),
        "unknown IR version": changed(lambda model: setattr(model, "ir_version", 999)),
        "wrong arity": changed(lambda model: model.graph.node[0].input.append("x")),
        "dangling input": changed(lambda model: model.graph.node[0].input.__setitem__(0, "nowhere")),
        "wrong type": changed(
            lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64)
        ),
        "weights outside": changed(external),
    }


@pytest.mark.parametrize("data", broken_graphs().values(), ids=broken_graphs())
def test_a_graph_that_onnx_runtime_refuses_is_an_engine_error_with_its_file(data):
    error = refusal(lambda: OnnxGraph(data, file="encoder.onnx", threads=1))
    assert (error.code, error.where.file) == ("bad_graph", "encoder.onnx")
    assert error.__cause__ is not None
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"ids": np.zeros((1, 2), np.int64)},
        {"input_ids": np.zeros((1, 2), np.int64), "more": np.zeros(1)},
        {"input_ids": np.zeros((1, 2), np.float32)},
        {"input_ids": np.zeros((1, 2), np.int32)},
        {"input_ids": np.zeros(2, np.int64)},
        {"input_ids": np.zeros((1, 2, 3), np.int64)},
        {"input_ids": np.full((1, 2), 99, np.int64)},
        {"input_ids": np.full((1, 2), "a")},
        {"input_ids": np.full((1, 2), None)},
        {"input_ids": None},
        {1: np.zeros((1, 2), np.int64)},
    ],
    ids=[
        "none",
        "name",
        "extra",
        "float",
        "int32",
        "rank 1",
        "rank 3",
        "range",
        "text",
        "object",
        "None",
        "key",
    ],
)
def test_an_input_that_does_not_fit_is_an_engine_error_and_the_graph_goes_on(small_bundle, inputs, capfd):
    text = graph(small_bundle)
    error = refusal(lambda: text.run(inputs))
    assert (error.code, error.where.file) == ("run_failed", TEXT_ENCODER)
    assert error.__cause__ is not None
    assert text.run({"input_ids": np.zeros((1, 2), np.int64)})[0].shape == (1, 4)
    assert capfd.readouterr() == ("", ""), "what is raised is not also printed"


def test_a_closed_graph_says_so(small_bundle):
    text = graph(small_bundle, SEMANTIC_MAP)
    text.close()
    text.close()
    error = refusal(lambda: text.run({"semantics": np.zeros((1, 4), np.float32)}))
    assert error.code == "closed"


def test_the_number_of_threads_does_not_change_an_answer(small_bundle):
    ids = {"input_ids": np.arange(12).reshape(3, 4)}
    answers = [
        OnnxGraph(small_bundle.read(TEXT_ENCODER), file="t", threads=threads).run(ids)[0] for threads in (1, 2, None)
    ]
    for first, second in pairwise(answers):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_without_onnx_runtime_the_extra_is_named():
    program = (
        "import sys; sys.modules['onnxruntime'] = None;"
        "from edgezsl.errors import MissingExtraError; from edgezsl.runtime.onnx_engine import OnnxGraph\n"
        "try: OnnxGraph(b'', file='f')\n"
        "except MissingExtraError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "run: pip install 'edgezsl[runtime]'\n"


# --- a GPU is asked for: never does the CPU answer in its place ---


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_this_build_lacks_is_refused_with_those_it_has(small_bundle, provider):
    fault = refusal(lambda: OnnxEngine.open(small_bundle, "fp32", provider=provider))
    assert (fault.code, fault.expected) == ("no_provider", "one of cpu")
    assert "onnxruntime-gpu" in fault.hint


@pytest.mark.parametrize(
    ("precision", "half", "integers"),
    [("fp32", False, False), ("fp16", True, False), ("int8", False, True), ("int8_fp16", True, True)],
)
def test_the_tensorrt_inside_onnx_runtime_is_allowed_the_types_of_the_file_and_keeps_nothing(precision, half, integers):
    options = provider_options("tensorrt", precision)
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == (str(half), str(integers))
    assert options["trt_engine_cache_enable"] == "False"
    assert provider_options("cuda", precision) == {}


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_finds_no_gpu_is_refused_though_onnx_runtime_takes_the_cpu(small_bundle, monkeypatch):
    # The build for CPUs lists no CUDA; told that it does, it takes the CPU with a warning, as the build for GPUs does.
    every = ["CUDAExecutionProvider", *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: every)
    fault = refusal(lambda: OnnxEngine.open(small_bundle, "fp32", provider="cuda"))
    assert fault.code == "no_gpu"
    assert "--engine onnx" in fault.hint


def test_a_provider_whose_library_misses_another_is_refused_with_its_name(small_bundle, monkeypatch, tmp_path):
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi/libonnxruntime_providers_cuda.so").write_bytes(b"no library at all")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "__init__.py"))
    fault = refusal(lambda: OnnxEngine.open(small_bundle, "fp32", provider="cuda"))
    assert fault.code == "no_gpu"
    assert "libonnxruntime_providers_cuda.so" in fault.message


@pytest.mark.gpu
def test_the_model_of_edgezsl_says_on_a_real_gpu_what_it_says_on_the_cpu():
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime is built for CPUs")
    bundle = Bundle.open()
    engine = open_engine(bundle, "onnx:cuda")  # which holds it to the golden set
    assert "on cuda" in engine.description
    frame = np.random.RandomState(0).rand(1, 3, *bundle.manifest.contract.size).astype(np.float32)
    on_cpu = open_engine(bundle, "onnx").run(frame)
    assert float((engine.run(frame) * on_cpu).sum()) > 0.99
