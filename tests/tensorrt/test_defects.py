"""The check checked: a source in which something is wrong must be refused, by name, under the versions where it is wrong."""

import pytest

from tests.tensorrt.bindings import ROOT, TENSORRT, api_of
from tests.tensorrt.checks import differences, refusals
from tests.tensorrt.exercise import run_engine

pytestmark = pytest.mark.tensorrt
ALL = ("10.3.0", "10.13.3.9", "10.16.1.11", "11.4.0.106")
ONLY_11 = ALL[-1:]

BUILDER = """
from __future__ import annotations
from typing import Any

def plan(data: bytes, logger: Any, shapes: list[tuple[int, ...]]) -> bytes:
    import tensorrt as trt
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(data):
        raise ValueError([parser.get_error(index).desc() for index in range(parser.num_errors)])
    config = Settings(builder).config
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 28)
    profile = builder.create_optimization_profile()
    profile.set_shape("image", min=shapes[0], opt=shapes[1], max=shapes[2])
    config.add_optimization_profile(profile)
    return bytes(builder.build_serialized_network(network, config))

class Settings:
    def __init__(self, builder: trt.Builder) -> None:
        self.config = builder.create_builder_config()
        self.config.builder_optimization_level = 3
        with_cache(self.config)

def with_cache(config: trt.IBuilderConfig | None) -> None:
    cache, data = config.create_timing_cache(b""), b""
    if (done := config.set_timing_cache(cache, ignore_mismatch=False)):
        cache.serialize()
"""

# What to replace, by what, under which versions that is wrong, and what must be named.
DEFECTS = {
    "a precision flag": (
        "profile = b",
        "config.set_flag(trt.BuilderFlag.FP16); profile = b",
        ONLY_11,
        "BuilderFlag.FP16 is not there",
    ),
    "explicit batch": (
        "STRONGLY_TYPED",
        "EXPLICIT_BATCH",
        ONLY_11,
        "NetworkDefinitionCreationFlag.EXPLICIT_BATCH is not there",
    ),
    "a question of the platform": (
        "    config = Settings",
        "    fast = builder.platform_has_fast_int8; config = Settings",
        ONLY_11,
        "Builder.platform_has_fast_int8 is not there",
    ),
    "a calibrator": (
        "        with_cache",
        "        self.config.int8_calibrator = None; with_cache",
        ONLY_11,
        "IBuilderConfig.int8_calibrator is not there",
    ),
    "a calibrator's class": (
        "cache, data",
        "kind = trt.IInt8EntropyCalibrator2; cache, data",
        ONLY_11,
        "IInt8EntropyCalibrator2",
    ),
    "weightless": (
        "1 << 28)",
        "1 << 28); config.set_flag(trt.BuilderFlag.WEIGHTLESS)",
        ONLY_11,
        "BuilderFlag.WEIGHTLESS",
    ),
    "a misspelt method": (
        "set_memory_pool_limit",
        "set_memory_pool_limt",
        ALL,
        "IBuilderConfig.set_memory_pool_limt is not there",
    ),
    "a misspelt method of what a call returns": (
        "get_error(index).desc",
        "get_error(index).describe",
        ALL,
        "ParserError.describe is not there",
    ),
    "a misspelt class": ("trt.OnnxParser", "trt.ONNXParser", ALL, "ONNXParser is not there"),
    "a misspelt member": ("MemoryPoolType.WORKSPACE", "MemoryPoolType.WORK", ALL, "MemoryPoolType.WORK is not there"),
    "a wrong keyword": (
        "ignore_mismatch",
        "ignore_mismatches",
        ALL,
        "set_timing_cache takes no keyword 'ignore_mismatches'",
    ),
    "a keyword of another method": ("min=shapes[0]", "least=shapes[0]", ALL, "set_shape takes no keyword 'least'"),
    "too many arguments": (
        "create_timing_cache(b" + '""',
        "create_timing_cache(b" + '"", 1',
        ALL,
        "create_timing_cache takes 1 to 1",
    ),
    "too few arguments": (
        "add_optimization_profile(profile)",
        "add_optimization_profile()",
        ALL,
        "add_optimization_profile takes 1",
    ),
    "what can only be read": (
        "cache.serialize()",
        "builder = trt.Builder(1); builder.num_DLA_cores = 2",
        ALL,
        "num_DLA_cores cannot be set",
    ),
    "a property that is called": (
        "parser.num_errors",
        "parser.num_errors()",
        ALL,
        "OnnxParser.num_errors cannot be called",
    ),
}


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
def test_the_source_without_a_defect_is_allowed(binding):
    assert refusals(BUILDER, api_of(binding), file="b.py") == []


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_refused_by_name_where_it_is_one(binding, defect):
    old, new, wrong, words = DEFECTS[defect]
    assert BUILDER.count(old) == 1, "the defect is not sown"
    found = refusals(BUILDER.replace(old, new), api_of(binding), file="b.py")
    assert bool(found) == (binding.version in wrong), found
    assert not found or words in " ".join(found)
    assert all(sentence.startswith(f"{binding.version}: ") and "(b.py:" in sentence for sentence in found)


ENGINE_DEFECTS = {
    "a misspelt method": (
        "deserialize_cuda_engine",
        "deserialise_cuda_engine",
        "Runtime.deserialise_cuda_engine is not there",
    ),
    "a wrong keyword": ("stream_handle=", "stream=", "IExecutionContext.execute_async_v3 takes no keyword 'stream'"),
    "a method of before": ("set_input_shape", "set_binding_shape", "IExecutionContext.set_binding_shape is not there"),
    "a member": ("DataType.UINT8", "DataType.UNSIGNED", "DataType.UNSIGNED is not there"),
}


@pytest.mark.parametrize("binding", TENSORRT, ids=lambda binding: binding.version)
@pytest.mark.parametrize("defect", ENGINE_DEFECTS)
def test_a_defect_in_the_engine_itself_is_refused_by_name(binding, defect):
    old, new, words = ENGINE_DEFECTS[defect]
    source = (ROOT / "edgezsl/runtime/tensorrt_engine.py").read_text()
    assert old in source
    assert words in " ".join(refusals(source.replace(old, new), api_of(binding), file="engine"))


def engine_sources():
    return [(ROOT / f"edgezsl/runtime/{name}.py").read_text() for name in ("tensorrt_engine", "tensorrt_log")]


def test_what_no_test_makes_happen_is_an_error(monkeypatch):
    record = run_engine(monkeypatch)
    more = "def refit(engine: trt.ICudaEngine) -> None:\n    engine.create_engine_inspector()\n    engine.get_tensor_mode(name='x')\n"
    found = " ".join(differences([*engine_sources(), more], api_of(TENSORRT[0]), record))
    assert "ICudaEngine.create_engine_inspector stands in the source, and no test makes it happen" in found
    assert "the keyword ICudaEngine.get_tensor_mode.name stands in the source" in found


def test_what_the_source_does_unseen_by_the_tree_is_an_error(monkeypatch):
    record = run_engine(monkeypatch)
    record.note("IExecutionContext", "set_optimization_profile_async", ("profile_index",))
    found = " ".join(differences(engine_sources(), api_of(TENSORRT[0]), record))
    assert "IExecutionContext.set_optimization_profile_async happens, and is not found in the source" in found
    assert "the keyword IExecutionContext.set_optimization_profile_async.profile_index is seen" in found


def test_a_type_that_cannot_be_followed_is_an_error_too(monkeypatch):
    record = run_engine(monkeypatch)
    hidden = [text.replace("_engine: trt.ICudaEngine = None", "_engine: Any = None") for text in engine_sources()]
    hidden = [
        text.replace("self._engine = self._runtime.", "self._engine = (lambda: self._runtime)().") for text in hidden
    ]
    assert hidden != engine_sources()
    found = " ".join(differences(hidden, api_of(TENSORRT[0]), record))
    assert "ICudaEngine.get_tensor_name happens, and is not found in the source" in found
