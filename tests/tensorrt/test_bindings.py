"""Whether everything that our source uses of TensorRT and CUDA exists in every version that it is for.

That a plan builds, runs or is fast is not said by any of it: nothing here is run on a GPU, where there is none.
"""

import enum
import inspect
import json
import re
from pathlib import Path

import pytest

from tests import fakes_cuda, fakes_tensorrt, fakes_tensorrt_build
from tests.tensorrt.bindings import CUDA, ROOT, TENSORRT, api_of, in_child, stub_libraries
from tests.tensorrt.checks import differences, refusals
from tests.tensorrt.exercise import run_everything

pytestmark = pytest.mark.tensorrt
CHILD = Path(__file__).parent / "child.py"


IMPORTS = {"trt": r"(import|from) tensorrt\b", "cudart": r"(import|from) cuda\b"}


def sources(alias):
    """Return path and text of every source that names a module so, or imports it under whatever name."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "edgezsl").rglob("*.py"))}
    return {path: text for path, text in texts.items() if re.search(rf"\b{alias}\.|{IMPORTS[alias]}", text)}


def test_the_sources_are_found():
    assert {"edgezsl/runtime/tensorrt_engine.py", "edgezsl/compile/tensorrt_build.py"} <= set(sources("trt"))
    assert "edgezsl/runtime/cuda.py" in sources("cudart")


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_the_binding_is_the_version_that_was_asked_for(binding):
    api = api_of(binding)
    assert api.version == binding.version
    assert len(api.names) > 100, "classes"
    assert api.member("Runtime", "deserialize_cuda_engine").signatures[0].returns == "ICudaEngine"


@pytest.mark.parametrize("path", sources("trt"))
@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_everything_that_a_source_uses_exists(binding, path):
    assert refusals(sources("trt")[path], api_of(binding), file=path) == []


@pytest.mark.parametrize("path", sources("cudart"))
@pytest.mark.parametrize("binding", CUDA, ids=lambda binding: binding.version)
def test_everything_that_a_source_uses_of_cuda_exists(binding, path):
    assert refusals(sources("cudart")[path], api_of(binding), file=path, alias="cudart") == []


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_what_the_fake_saw_is_what_the_sources_contain(monkeypatch, binding):
    record = run_everything(monkeypatch)
    assert len(record.uses) > 60
    assert differences(sources("trt").values(), api_of(binding), record) == []


def fake_members():
    """Return class, name and value of everything that the fakes of TensorRT offer."""
    both = [*vars(fakes_tensorrt).values(), *vars(fakes_tensorrt_build).values()]
    kinds = [kind for kind in both if isinstance(kind, fakes_tensorrt._Seen) and not kind.__qualname__.startswith("_")]
    kinds.append(fakes_tensorrt.ILogger.__dict__["Severity"])
    return [(kind, name, value) for kind in kinds for name, value in vars(kind).items() if not name.startswith("_")]


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_the_fake_offers_nothing_that_the_binding_does_not(binding):
    api = api_of(binding)
    assert len(fake_members()) > 20
    for kind, name, value in fake_members():
        member = api.member(kind.__qualname__, name)
        assert member is not None, f"{kind.__qualname__}.{name}"
        if inspect.isfunction(value):
            parameters = tuple(inspect.signature(value).parameters)[1:]
            heads = [one.parameters[: max(one.required, len(parameters))] for one in member.signatures]
            assert parameters in heads, f"{kind.__qualname__}.{name}{parameters}"
        elif isinstance(value, property):
            assert member.kind == "property", f"{kind.__qualname__}.{name}"
            assert member.settable or value.fset is None, f"{kind.__qualname__}.{name}"
        elif isinstance(value, str):
            assert member.kind == "value"
    for name in [*vars(fakes_tensorrt.FakeTensorRt), *vars(fakes_tensorrt_build.FakeTensorRt)]:
        assert name.startswith("_") or api.member("", name).kind == "class"


@pytest.mark.parametrize("binding", CUDA, ids=lambda binding: binding.version)
def test_the_fake_of_cuda_offers_nothing_that_cuda_does_not(binding):
    api = api_of(binding)
    for name, value in vars(fakes_cuda.FakeCudart).items():
        if isinstance(value, enum.EnumMeta):
            assert [int(one) for one in value] == [api.member(name, one.name).number for one in value], name
        elif not name.startswith("_"):
            member = api.member("", name)
            assert member is not None, name
            if callable(value):
                parameters = tuple(inspect.signature(inspect.unwrap(value)).parameters)[1:]
                assert parameters == member.signatures[0].parameters, name


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_our_logger_is_one_to_the_real_binding_and_a_runtime_that_is_not_made_is_an_error(binding):
    answer = json.loads(in_child(binding, CHILD, "log", *stub_libraries(binding.major)))
    assert answer["version"] == binding.version
    assert answer["errors"] == ["INTERNAL_ERROR of two lines", "ERROR of two lines"]
    assert answer["one"], "one logger for a process"
    assert (answer["code"], answer["cause"]) == ("bad_plan", "TypeError")
    assert "nullptr" in answer["message"]


@pytest.mark.parametrize("binding", CUDA, ids=lambda binding: binding.version)
def test_the_real_cuda_either_has_a_gpu_or_says_that_there_is_none(binding):
    answer = json.loads(in_child(binding, CHILD, "cuda"))
    if answer["code"] == "a GPU":
        assert answer["message"] == "[[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]]"
    else:
        assert answer["code"] in {"no_gpu", "old_driver"}
        assert "--engine onnx" in answer["message"]
