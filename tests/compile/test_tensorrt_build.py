"""The builder of plans: how TensorRT is asked, what its answers and errors become, and what it needs to be imported."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from edgezsl.compile.tensorrt_build import BuildSettings, BuiltPlan, build_plan, build_steps, layer_types, slower_int8
from edgezsl.errors import EngineError, MissingExtraError
from edgezsl.evaluate.progress import Progress
from edgezsl.manifest import Batch
from edgezsl.runtime.tensorrt_engine import TensorRtEngine
from edgezsl.runtime.tensorrt_log import tensorrt_logger
from tests.factories import D, image_encoder, small_contract
from tests.fakes_tensorrt_build import INSPECTED, BuildMachine

NAME = "image_encoder.fp16.onnx"
# Made by hand, in the form that NVIDIA documents and TensorRT Engine Explorer reads: the words of a plan inspected without a
# context (`Half`), with one (`Row major linear FP16 format`), of dynamic shapes, of weights, and of a name alone.
DOCUMENTED = {
    "Layers": [
        {"Name": "a", "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Int8"}], "Outputs": [{"Format/Datatype": "Half"}]},
        {"Name": "b", "Inputs": [{"Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}], "Outputs": []},
        {"Name": "c", "Inputs": [{"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}], "Outputs": []},
        {"Name": "d", "Inputs": [{"Format/Datatype": "Half"}], "Outputs": [{"Format/Datatype": "Float"}]},
        {"Name": "e", "Inputs": [{"Format/Datatype": "Row major linear FP32"}], "Outputs": []},
        {"Name": "f", "Inputs": [{"Format/Datatype": "Float"}], "Outputs": []},
        {"Name": "g", "Inputs": [], "Outputs": [{"Format/Datatype": "BFloat16"}]},
        {"Name": "h", "Inputs": [{"Format/Datatype": "N/A due to dynamic shapes"}], "Outputs": [], "Weights": {"Type": "Int8", "Count": 108}},
        {"Name": "i", "Inputs": [{"Format/Datatype": "Row major linear UInt8 format"}], "Outputs": []},
        {"Name": "j", "LayerType": "NoOp"},
        "k",
    ],
    "Bindings": ["image", "embedding"],
}  # fmt: skip


@pytest.fixture
def machine(monkeypatch):
    tensorrt_logger.cache_clear()
    yield BuildMachine().install(monkeypatch)
    tensorrt_logger.cache_clear()


def settings(**changes):
    return BuildSettings(
        **{"name": NAME, "contract": small_contract(), "batch": Batch(1, 2, 8), "workspace_mib": 64, **changes}
    )


def built(data=None, steps=None, **changes):
    def report(step):
        if steps is not None:
            steps.append(step)
        return True

    return build_plan(data or image_encoder(small_contract()), settings(**changes), report)


def test_the_network_is_strongly_typed_and_nothing_else_says_a_precision(machine):
    plan = built(optimization_level=5)
    network, config = machine.built[0]
    assert network._flags == 1 << 1
    assert config._pools == {"MemoryPoolType.WORKSPACE": 64 << 20}
    assert config.profiling_verbosity == "ProfilingVerbosity.DETAILED"
    assert (plan.workspace_mib, plan.optimization_level) == (64, 5)
    assert plan.layers == {"FP16": 1, "INT8": 1}
    used = {f"{owner}.{name}" for owner, name in machine.record.uses}
    assert not [
        name for name in used if any(word in name for word in ("FP16", "INT8", "calib", "set_flag", "platform_"))
    ]


def test_the_profile_is_the_batch_of_the_bundle(machine):
    built(batch=Batch(1, 4, 16))
    shapes = machine.built[0][1]._profiles[0]._shapes
    assert shapes == {"image": ((1, 3, 16, 16), (4, 3, 16, 16), (16, 3, 16, 16))}


def test_a_graph_of_a_fixed_number_of_frames_needs_no_profile(machine):
    from edgezsl.encoders.graph import with_batch

    built(with_batch(image_encoder(small_contract()), Batch(1, 1, 1)), batch=Batch(1, 1, 1))
    assert machine.built[0][1]._profiles == []


def test_the_plan_runs_in_the_engine_that_a_device_uses(machine):
    contract, batch = small_contract(), Batch(1, 2, 8)
    engine = TensorRtEngine(built().data, contract=contract, dim=D, batch=batch, precision="fp16")
    engine.close()
    assert machine.wrongs == []


def test_the_workspace_is_a_quarter_of_the_memory_that_is_free(machine, monkeypatch):
    cudart = sys.modules["cuda.bindings"].runtime
    monkeypatch.setattr(
        cudart, "cudaMemGetInfo", lambda: (cudart.cudaError_t.cudaSuccess, 4000 << 20, 8000 << 20), raising=False
    )
    assert built(workspace_mib=None).workspace_mib == 1000


def test_what_was_measured_before_is_used_and_grows(machine):
    first = built()
    assert first.timing_cache.startswith(b"measured here")
    assert not first.fresh_cache
    assert not built(timing_cache=first.timing_cache).fresh_cache


@pytest.mark.parametrize("cache", [b"garbage", b"measured elsewhere"])
def test_what_another_machine_measured_is_begun_anew(machine, cache):
    plan = built(timing_cache=cache)
    assert plan.fresh_cache
    assert plan.timing_cache.startswith(b"measured here")


def test_the_builder_says_how_far_it_is(machine):
    steps = []
    built(steps=steps)
    assert steps[0] == Progress(f"building {NAME}: Timing", 1, 3)
    assert [step.done for step in steps] == [1, 2, 3, 3, 1, 2]


def test_steps_end_with_the_plan(machine):
    *steps, plan = build_steps(image_encoder(small_contract()), settings())
    assert isinstance(plan, BuiltPlan)
    assert all(isinstance(step, Progress) for step in steps)
    assert len(steps) == 6


def test_whoever_stops_looking_stops_the_build(machine):
    machine.steps, machine.step_s = 5000, 0.001
    steps = build_steps(image_encoder(small_contract()), settings())
    next(steps)
    steps.close()
    assert machine.stopped
    assert not [one for one in threading.enumerate() if one.name.startswith("edgezsl[compile].build")]


def test_a_build_that_is_told_to_stop_gives_no_plan(machine):
    seen = []
    with pytest.raises(EngineError) as caught:
        build_plan(image_encoder(small_contract()), settings(), lambda step: seen.append(step) is not None)
    assert len(seen) == 1
    assert caught.value.code == "build_failed"


def test_the_parsers_errors_are_shown_whole_with_the_names_of_the_nodes(machine):
    machine.parser_errors = [
        (7, "/stem/window", "HannWindow", "no importer registered for op:\n  HannWindow"),
        (9, "/head", "Gemm", "two types"),
    ]
    with pytest.raises(EngineError) as caught:
        built()
    assert caught.value.code == "bad_graph"
    assert str(caught.value) == (
        f"{NAME}: TensorRT's parser does not take the graph: node '/stem/window' (HannWindow, number 7): no importer "
        "registered for op: HannWindow [UNSUPPORTED_NODE]; node '/head' (Gemm, number 9): two types [UNSUPPORTED_NODE]; "
        "see what the rules say of it: edgezsl compile --dry-run; keep such nodes in float, or export another precision"
    )


def test_a_parser_that_names_no_error_is_quoted_by_its_log(machine):
    machine.trt_faults["parse"] = "ModelImporter: the protobuf is cut off"
    with pytest.raises(EngineError, match=r"TensorRT's parser does not take the graph .*the protobuf is cut off"):
        built()


@pytest.mark.parametrize(
    ("method", "said", "code"),
    [
        ("build_serialized_network", "Error Code 10: Could not find any implementation for node stem", "build_failed"),
        ("build_serialized_network", "Error Code 2: OutOfMemory (Requested size was 99 bytes.)", "out_of_memory"),
        ("build_serialized_network", RuntimeError("std::exception"), "build_failed"),
        ("Builder", "CUDA initialization failure with error: 100", "no_gpu"),
        ("deserialize_cuda_engine", "Error Code 1: Serialization", "build_failed"),
    ],
)
def test_what_tensorrt_does_not_do_is_an_error_with_its_words(machine, method, said, code):
    machine.trt_faults[method] = said
    with pytest.raises(EngineError) as caught:
        built()
    assert caught.value.code == code
    assert str(said).partition("(")[0].strip() in str(caught.value)


def test_an_input_that_is_not_the_contracts_is_refused(machine):
    with pytest.raises(EngineError) as caught:
        built(contract=small_contract(input="pixels"))
    assert str(caught.value).startswith(
        f"{NAME}: the graph has the inputs ['image'], expected 'pixels', as the contract says"
    )


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0", "12.0.0"])
def test_another_version_of_tensorrt_builds_nothing(monkeypatch, version):
    BuildMachine(version=version).install(monkeypatch)
    with pytest.raises(EngineError) as caught:
        built()
    assert caught.value.code == "unsupported_tensorrt"
    assert version in str(caught.value)


def test_without_tensorrt_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match="tensorrt"):
        built()


def test_layers_are_counted_by_the_type_they_compute_in():
    assert layer_types(json.dumps(DOCUMENTED)) == {
        "INT8": 3, "FP16": 2, "FP32": 2, "other": 2, "BF16": 1, "UINT8": 1
    }  # fmt: skip
    assert layer_types(json.dumps(INSPECTED)) == {"FP16": 1, "INT8": 1}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Layers": 3}', '{"Layers": [{"Inputs": [3]}]}'])
def test_an_inspection_of_another_form_is_refused(text):
    with pytest.raises(EngineError, match="inspector"):
        layer_types(text)


def test_int8_that_does_not_pay_is_said_in_one_sentence():
    layers = {"int8": {"INT8": 12, "FP32": 30}, "int8_fp16": {"INT8": 12, "FP16": 28}}
    assert slower_int8({"fp16": 2.0, "int8": 1.5, "int8_fp16": 1.9}, layers) is None
    assert slower_int8({"int8": 3.0}, layers) is None
    assert slower_int8({"fp16": 2.0, "int8": 3.123, "int8_fp16": 1.9}, layers) == (
        "INT8 is slower than fp16 here (2.00 ms): int8 3.12 ms with 12 of 42 layers in INT8"
    )


def test_the_builder_is_imported_where_onnx_torch_and_onnxruntime_are_not():
    program = (
        "import sys\n"
        "for name in ('onnx', 'torch', 'onnxruntime', 'tensorrt', 'cv2'): sys.modules[name] = None\n"
        "import edgezsl.compile.tensorrt_build, edgezsl.compile.plan_run, edgezsl.compile.plan_check\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'cuda', 'typer', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['numpy']\n"
