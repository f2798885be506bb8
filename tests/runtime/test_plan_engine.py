"""From `edgezsl compile` to the engine that `run` loads, on a TensorRT and a GPU that are fakes; the rest is real."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgezsl.bundle import GOLDEN, Bundle, GoldenSet
from edgezsl.compile.plan_run import Compiled, CompileSettings, compile_bundle
from edgezsl.errors import EngineError, MissingExtraError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.golden import check_golden
from edgezsl.runtime.gpu import free_memory_mib, this_machine
from edgezsl.runtime.onnx_engine import OnnxEngine
from edgezsl.runtime.plan_engine import open_plan
from edgezsl.runtime.plan_record import Machine
from edgezsl.runtime.tensorrt_log import tensorrt_logger
from edgezsl.station import Station, StationSettings
from tests.factories import (
    SIZE,
    D,
    colour_prototypes,
    golden_frames,
    graph_bytes,
    small_contract,
    small_manifest,
    small_space,
)
from tests.fakes_tensorrt import known_answer
from tests.fakes_tensorrt_build import BuildMachine

cv2 = pytest.importorskip("cv2")


def install(monkeypatch, *, sm_count=8, **machine):
    """Give this process a TensorRT and an Orin; return it."""
    tensorrt_logger.cache_clear()
    fake = BuildMachine(driver=13000, **machine).install(monkeypatch)
    cudart = sys.modules["cuda.bindings"].runtime
    done = cudart.cudaError_t.cudaSuccess
    orin = SimpleNamespace(name=b"Orin" + bytes(252), major=8, minor=7, multiProcessorCount=sm_count)
    monkeypatch.setattr(cudart, "cudaGetDeviceProperties", lambda _: (done, orin), raising=False)
    monkeypatch.setattr(cudart, "cudaMemGetInfo", lambda: (done, 4000 << 20, 8000 << 20), raising=False)
    return fake


@pytest.fixture
def orin(monkeypatch):
    yield install(monkeypatch)
    tensorrt_logger.cache_clear()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle whose encoder computes what the fake computes of any plan, so that its golden answers are the fake's."""
    contract = small_contract()
    weight = np.zeros((3, D), np.float32)
    weight[np.arange(D) % 3, np.arange(D)] = np.arange(1, D + 1)
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["embedding"]),
    ]
    pixels, answer = ("image", TensorProto.FLOAT, ["N", 3, *SIZE]), ("embedding", TensorProto.FLOAT, ["N", D])
    graph = graph_bytes(nodes, [pixels], [answer], {"weight": weight})
    preprocess, frames = Preprocessor(contract), golden_frames()
    rows = np.concatenate([known_answer(preprocess([frame]), D) for frame in frames])
    golden = GoldenSet(frames, {"fp16": rows}, rows[:2], rows @ rows[:2].T)
    space = small_space(similarity="dot", image_mean=None, text_mean=None)
    manifest = small_manifest(space=space, precision="fp16", image_encoders={"fp16": "image_encoder.fp16.onnx"})
    return Bundle.write(
        tmp_path_factory.mktemp("plans") / "means",
        manifest,
        {"image_encoder.fp16.onnx": graph, GOLDEN: golden.to_bytes()},
    )


def compiled(bundle, plans):
    *_, result = compile_bundle(CompileSettings(bundle.folder, plans=plans))
    assert isinstance(result, Compiled)
    return result


def test_what_was_compiled_is_what_runs(bundle, tmp_path, orin):
    result = compiled(bundle, tmp_path)
    record = result.outcomes[0].record
    assert record.build.workspace_mib == 1000
    assert record.agreement["golden"] > 0.9999
    assert record.agreement["onnx"] > 0.9999
    engine = open_plan(bundle, plans=tmp_path)
    assert check_golden(engine, bundle) > 0.9999
    assert (engine.encoder, engine.description) == ("fp16", "tensorrt 10.3.0, fp16 plan")
    engine.close()
    assert orin.wrongs == []
    assert orin.left() == []


def test_nothing_is_built_where_there_is_no_plan(bundle, tmp_path, orin):
    with pytest.raises(EngineError) as caught:
        open_plan(bundle, plans=tmp_path)
    assert caught.value.code == "no_plan"
    assert caught.value.hint == f"run: edgezsl compile {bundle.folder} --plans {tmp_path}"
    assert orin.built == []


def test_the_plan_of_an_agx_orin_is_never_given_to_the_tensorrt_of_an_orin_nano(bundle, tmp_path, monkeypatch):
    install(monkeypatch, sm_count=16)
    compiled(bundle, tmp_path)
    nano = install(monkeypatch, sm_count=8)
    with pytest.raises(EngineError, match="built on another machine: number of SMs 16, here 8; run: edgezsl compile"):
        open_plan(bundle, plans=tmp_path)
    assert "Runtime" not in {owner for owner, _ in nano.record.uses}


def test_an_altered_plan_is_never_given_to_tensorrt(bundle, tmp_path, monkeypatch):
    install(monkeypatch)
    compiled(bundle, tmp_path)
    plan = next(tmp_path.glob("*/*.plan"))
    plan.write_bytes(plan.read_bytes().replace(b"8.7", b"8.8"))
    fake = install(monkeypatch)
    with pytest.raises(EngineError, match="has been altered"):
        open_plan(bundle, plans=tmp_path)
    assert "Runtime" not in {owner for owner, _ in fake.record.uses}


def test_a_bundle_goes_on_with_onnx_runtime_where_a_plan_is_refused(bundle, tmp_path, orin):
    with pytest.raises(EngineError):
        open_plan(bundle, plans=tmp_path)
    assert check_golden(OnnxEngine.open(bundle, "fp16"), bundle) > 0.9999


def test_without_a_gpu_that_is_what_is_said(bundle, tmp_path, monkeypatch):
    install(monkeypatch, devices=0)
    for step in (lambda: open_plan(bundle, plans=tmp_path), lambda: compiled(bundle, tmp_path)):
        with pytest.raises(EngineError) as caught:
            step()
        assert caught.value.code == "no_gpu"
    assert list(tmp_path.iterdir()) == []


def test_without_tensorrt_the_missing_package_is_named(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match="tensorrt"):
        open_plan(bundle, plans=tmp_path)


def test_the_machine_is_read_from_the_gpu_and_the_board(tmp_path, orin):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1, BOARD: generic\n")
    wanted = Machine("10.3.0", "Orin", "8.7", 8, "13.0", "36.4.3")
    assert this_machine("10.3.0", root=tmp_path) == wanted
    assert str(wanted) == "Orin (8.7, 8 SMs), TensorRT 10.3.0, CUDA driver 13.0, Jetson Linux 36.4.3"
    assert this_machine("10.3.0", root=tmp_path / "none").l4t == ""
    assert free_memory_mib() == 4000


def test_a_gpu_that_does_not_say_what_it_is_is_an_error(monkeypatch, orin):
    cudart = sys.modules["cuda.bindings"].runtime
    failed = cudart.cudaError_t.cudaErrorInvalidValue
    monkeypatch.setattr(cudart, "cudaGetDeviceProperties", lambda _: (failed, None))
    with pytest.raises(EngineError, match=r"CUDA does not say what GPU this is \(cudaErrorInvalidValue\)"):
        this_machine("10.3.0")


# --- whatever is wrong, a stream goes on with ONNX Runtime, and says once what was wrong ---


def another_board(monkeypatch, plans):
    install(monkeypatch, sm_count=16)


def another_version(monkeypatch, plans):
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "10.13.3")


def cut_off(monkeypatch, plans):
    plan = next(plans.glob("*/*.plan"))
    plan.write_bytes(plan.read_bytes()[:-1])


def tampered(monkeypatch, plans):
    plan = next(plans.glob("*/*.plan"))
    plan.write_bytes(plan.read_bytes().replace(b"8.7", b"8.8"))


def writable_by_others(monkeypatch, plans):
    next(plans.glob("*/*.plan")).chmod(0o666)


def no_plan(monkeypatch, plans):
    for path in plans.glob("*/*"):
        path.unlink()


def no_gpu(monkeypatch, plans):
    install(monkeypatch, devices=0)


def too_old(monkeypatch, plans):
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "8.6.2")


def orin_nano(bundle, folder):
    """Return what runs there: the plans in `plans`, and classes by vectors."""
    classes = folder / "classes.safetensors"
    colour_prototypes("red", "green", space=bundle.manifest.space).write(classes)
    source = "synthetic:?width=160&height=120&frames=5"
    settings = StationSettings(source=source, classes=classes, bundle=bundle.folder, device="jetson-orin-nano")
    return replace(settings, plans=folder / "plans", as_fast_as_possible=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (another_board, "the fp16 plan was built on another machine: number of SMs 8, here 16; run: edgezsl compile"),
        (
            another_version,
            "the fp16 plan was built with another version: TensorRT 10.3.0, here 10.13.3; run: edgezsl compile",
        ),
        (cut_off, "bytes, its sidecar says"),
        (tampered, "the fp16 plan has been altered: its digest is not the one in its sidecar; run: edgezsl compile"),
        (
            writable_by_others,
            "this may be written by everybody (mode 0666), and a plan is native code, expected",
        ),
        (no_plan, "there is no TensorRT plan of 'colours' for this machine: edgezsl compile builds fp16 for its GPU"),
        (no_gpu, "there is no GPU that CUDA can use"),
        (too_old, "TensorRT 8.6.2 is installed, expected at least 10.3"),
    ],
)
def test_a_stream_goes_on_with_onnx_runtime(bundle, tmp_path, orin, monkeypatch, spoil, said):
    compiled(bundle, tmp_path / "plans")
    spoil(monkeypatch, tmp_path / "plans")
    with Station.open(orin_nano(bundle, tmp_path)) as station:
        assert "tensorrt was not taken: " in station.engine
        assert said in station.engine
        assert station.engine.startswith("onnxruntime ")
        assert station.run([]).answered == 5


def test_a_stream_takes_the_plan_where_nothing_is_wrong(bundle, tmp_path, orin):
    compiled(bundle, tmp_path / "plans")
    with Station.open(orin_nano(bundle, tmp_path)) as station:
        assert station.engine.startswith("tensorrt 10.3.0, fp16 plan")
        assert station.run([]).answered == 5
    assert (orin.wrongs, orin.left()) == ([], [])
