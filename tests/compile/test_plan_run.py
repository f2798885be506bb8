"""`edgezsl compile`: plans that are proved, timed and kept, or refused; and what the rules say where nothing is built.

The builder of these tests gives the ONNX file back as the plan, and ONNX Runtime runs it: what is proved, timed and kept is
decided by our code and by a real engine. No TensorRT runs here.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import numpy as np
import onnx
import pytest

from edgezsl.bundle import GOLDEN, Bundle, GoldenSet
from edgezsl.compile.plan_check import PlanCheck, check_plans
from edgezsl.compile.plan_run import Compiled, CompileSettings, PlanTools, compile_bundle
from edgezsl.compile.rules import RULES_VERSION
from edgezsl.compile.tensorrt_build import BuiltPlan
from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.errors import EngineError, InputError, MissingExtraError
from edgezsl.evaluate.progress import Progress
from edgezsl.runtime.engine import FunctionEngine
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.plan_record import Machine
from edgezsl.runtime.plans import PlanStore
from tests.compile.graph_defects import DEFECTS, float_encoder, quantized_encoder
from tests.factories import (
    CONV_DIM,
    conv_facts,
    golden_frames,
    small_manifest,
    write_small_bundle,
)

cv2 = pytest.importorskip("cv2")

NANO = Machine("10.3.0", "Orin", "8.7", 8, "12.6", "36.4.3")
AGX = replace(NANO, sm_count=16)
VERSIONS = [row.version for row in ROWS]
KEPT = f"no rule is broken (rules {RULES_VERSION}, not run)"


class Bench:
    """A machine whose plans are ONNX files.

    Attributes:
        asked: The settings of every build.
        slow_s: How much longer a frame takes, by precision.
        wrong: Precisions whose plan says something else than the bundle.
        unbuilt: Precisions that the builder refuses.
        closed: Engines that were closed.
    """

    def __init__(self, *, slow_s=None, wrong=(), unbuilt=()) -> None:
        self.asked = []
        self.slow_s = slow_s or {}
        self.wrong = set(wrong)
        self.unbuilt = set(unbuilt)
        self.loaded = self.closed = 0

    def tools(self, machine=NANO):
        return PlanTools(machine, self.build, self.load)

    def build(self, data, settings):
        self.asked.append(settings)
        precision = settings.name.split(".")[1]
        yield Progress(f"building {settings.name}", 1, 2)
        if precision in self.unbuilt:
            raise EngineError("TensorRT builds no plan of the graph", code="build_failed")
        if precision in self.wrong:  # channels swapped: a camera would look as alive as ever
            data = channels_swapped(data)
        foreign = bool(settings.timing_cache) and settings.timing_cache[:4] != b"here"
        cache = b"here" + bytes([len(self.asked)])
        layers = {"INT8": 12, "FP16": 30} if precision.startswith("int8") else {"FP16": 42}
        yield BuiltPlan(data, layers, settings.workspace_mib or 512, 3, cache, foreign, 1.5)

    def load(self, plan, bundle, precision):
        self.loaded += 1
        bench, contract, graph = self, bundle.manifest.contract, OnnxGraph(plan, file="plan", threads=1)

        def run(pixels):
            time.sleep(bench.slow_s.get(precision, 0))
            return graph.run({contract.input: pixels})[0]

        class Engine(FunctionEngine):
            def close(self):
                bench.closed += 1

        return Engine(run, dtype=contract.dtype, encoder=precision)


def channels_swapped(data):
    """Return an encoder that takes blue for red."""
    model = onnx.load_from_string(data)
    model.graph.input[0].name = "swapped"
    order = onnx.numpy_helper.from_array(np.array([2, 1, 0]), "order")
    model.graph.initializer.append(order)
    model.graph.node.insert(0, onnx.helper.make_node("Gather", ["swapped", "order"], ["image"], axis=1))
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        node.input[:] = ["turned" if name == "image" else name for name in node.input]
        node.output[:] = ["turned" if name == "image" else name for name in node.output]
    model.graph.node[0].input[0] = "image"
    return model.SerializeToString()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of all that TensorRT builds."""
    encoders = {name: f"image_encoder.{name}.onnx" for name in ("fp16", "int8", "int8_fp16")}
    return write_small_bundle(tmp_path_factory.mktemp("run") / "colours", precision="int8", image_encoders=encoders)


def compiled(bundle, plans, bench, *, machine=NANO, **changes):
    """Compile; return what came out."""
    settings = CompileSettings(bundle.folder, plans=plans, **changes)
    *steps, result = compile_bundle(settings, bench.tools(machine))
    assert isinstance(result, Compiled)
    assert all(isinstance(step, Progress) for step in steps)
    assert bench.loaded == bench.closed
    return result


def test_auto_builds_all_times_them_and_selects_the_fastest(bundle, tmp_path):
    bench = Bench(slow_s={"fp16": 0.002, "int8": 0.001})
    result = compiled(bundle, tmp_path, bench)
    assert [settings.name for settings in bench.asked] == [
        f"image_encoder.{name}.onnx" for name in ("int8_fp16", "fp16", "int8")
    ]
    assert result.selected == "int8_fp16"
    assert [outcome.built for outcome in result.outcomes] == [True] * 3
    chosen = PlanStore(tmp_path).choose(bundle, NANO)
    assert chosen.record.identity.precision == "int8_fp16"
    assert chosen.read() == bundle.read("image_encoder.int8_fp16.onnx")
    assert chosen.record.agreement["golden"] > 0.9999
    assert chosen.record.agreement["onnx"] > 0.9999
    assert chosen.record.timing["runs"] == 100
    assert PlanStore(tmp_path).choose(bundle, NANO, "fp16").record.timing["p50_ms"] >= 2


def test_one_precision_is_built_alone_and_selected(bundle, tmp_path):
    compiled(bundle, tmp_path, Bench())
    result = compiled(bundle, tmp_path, Bench(slow_s={"int8": 0.001}), precision="int8")
    assert (result.selected, len(result.outcomes)) == ("int8", 1)
    assert PlanStore(tmp_path).choose(bundle, NANO).record.identity.precision == "int8"


def test_int8_that_is_slower_than_fp16_is_said(bundle, tmp_path):
    result = compiled(bundle, tmp_path, Bench(slow_s={"int8": 0.002, "int8_fp16": 0.001}))
    assert result.selected == "fp16"
    assert len(result.notes) == 1
    assert result.notes[0].startswith("INT8 is slower than fp16 here")
    assert "with 12 of 42 layers in INT8" in result.notes[0]


def test_a_plan_that_does_not_agree_is_not_kept(bundle, tmp_path):
    result = compiled(bundle, tmp_path, Bench(slow_s={"int8": 0.001, "fp16": 0.002}, wrong=["int8_fp16"]))
    refused = next(one for one in result.outcomes if one.precision == "int8_fp16")
    assert refused.record is None
    assert "disagrees with the golden answers" in refused.reason
    assert result.selected == "int8"
    kept = {json.loads(path.read_bytes())["identity"]["precision"] for path in result.folder.glob("*.json")}
    assert kept == {"fp16", "int8"}
    assert len(list(result.folder.glob("*.plan"))) == 2


def test_where_none_passes_every_reason_is_said_and_nothing_lies_there(bundle, tmp_path):
    bench = Bench(wrong=["int8_fp16", "int8"], unbuilt=["fp16"])
    with pytest.raises(EngineError) as caught:
        compiled(bundle, tmp_path, bench)
    assert caught.value.code == "no_plan"
    assert "fp16: TensorRT builds no plan of the graph" in str(caught.value)
    assert str(caught.value).count("disagrees with the golden answers") == 2
    assert list((tmp_path / bundle.digest).iterdir()) == []
    assert bench.loaded == bench.closed == 2


def test_the_one_precision_that_was_asked_for_fails_with_its_own_error(bundle, tmp_path):
    with pytest.raises(EngineError) as caught:
        compiled(bundle, tmp_path, Bench(wrong=["int8"]), precision="int8")
    assert caught.value.code == "golden_mismatch"
    assert list((tmp_path / bundle.digest).iterdir()) == []


def test_a_plan_that_is_there_is_proved_and_not_built(bundle, tmp_path):
    first = compiled(bundle, tmp_path, Bench(), precision="fp16")
    bench = Bench()
    again = compiled(bundle, tmp_path, bench, precision="fp16")
    assert bench.asked == []
    assert not again.outcomes[0].built
    assert again.outcomes[0].record.sha256 == first.outcomes[0].record.sha256
    forced = Bench()
    assert compiled(bundle, tmp_path, forced, precision="fp16", force=True).outcomes[0].built
    assert len(forced.asked) == 1


def test_a_plan_that_is_there_and_was_altered_is_built_anew(bundle, tmp_path):
    compiled(bundle, tmp_path, Bench(), precision="fp16")
    plan = next((tmp_path / bundle.digest).glob("*.plan"))
    plan.write_bytes(plan.read_bytes()[:-1])
    result = compiled(bundle, tmp_path, Bench(), precision="fp16")
    assert result.outcomes[0].built
    assert result.notes[0].startswith("the fp16 plan that was there is not used: the fp16 plan has ")
    assert PlanStore(tmp_path).choose(bundle, NANO).read()


def test_the_plan_of_an_agx_orin_is_no_plan_of_an_orin_nano(bundle, tmp_path):
    compiled(bundle, tmp_path, Bench(), precision="fp16", machine=AGX)
    with pytest.raises(EngineError, match="number of SMs 16, here 8"):
        PlanStore(tmp_path).choose(bundle, NANO)
    assert compiled(bundle, tmp_path, Bench(), precision="fp16").outcomes[0].built
    assert PlanStore(tmp_path).choose(bundle, AGX).record.identity.machine == AGX
    assert PlanStore(tmp_path).choose(bundle, NANO).record.identity.machine == NANO


def test_the_builder_gets_what_was_asked_for_and_the_profile_of_the_bundle(bundle, tmp_path):
    bench = Bench()
    compiled(bundle, tmp_path, bench, precision="fp16", workspace_mib=64, optimization_level=5)
    settings = bench.asked[0]
    assert (settings.workspace_mib, settings.optimization_level, settings.timing_cache) == (64, 5, b"")
    assert (settings.batch, settings.contract) == (bundle.manifest.batch, bundle.manifest.contract)


def test_one_build_goes_on_from_what_the_one_before_measured(bundle, tmp_path):
    bench, cache = Bench(), tmp_path / "timings"
    compiled(bundle, tmp_path / "plans", bench, timing_cache=cache)
    assert [settings.timing_cache for settings in bench.asked] == [b"", b"here\x01", b"here\x02"]
    assert cache.read_bytes() == b"here\x03"
    assert cache.stat().st_mode & 0o022 == 0
    bench = Bench()
    result = compiled(bundle, tmp_path / "plans", bench, timing_cache=cache, force=True)
    assert bench.asked[0].timing_cache == b"here\x03"
    assert result.outcomes[0].record.build.timing_cache == str(cache)


def test_a_timing_cache_of_elsewhere_is_begun_anew_and_one_that_others_write_is_refused(bundle, tmp_path):
    cache = tmp_path / "timings"
    cache.write_bytes(b"elsewhere")
    cache.chmod(0o644)
    result = compiled(bundle, tmp_path / "plans", Bench(), precision="fp16", timing_cache=cache)
    assert result.notes == ("the timing cache was of another machine or version of TensorRT, and was begun anew",)
    cache.chmod(0o666)
    with pytest.raises(EngineError, match="may be written by everybody"):
        compiled(bundle, tmp_path / "plans", Bench(), timing_cache=cache)


def test_a_place_that_cannot_be_written_is_found_before_the_build(bundle, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    bench = Bench()
    with pytest.raises(InputError) as caught:
        compiled(bundle, tmp_path / "file", bench)
    assert caught.value.code == "not_writable"
    assert bench.asked == []


def test_a_timing_cache_that_cannot_be_written_is_found_before_the_build(bundle, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    bench = Bench()
    with pytest.raises(InputError, match="the timing cache cannot be written") as caught:
        compiled(bundle, tmp_path / "plans", bench, timing_cache=tmp_path / "file" / "timings")
    assert caught.value.hint == "choose another file with --timing-cache"
    assert bench.asked == []


def test_what_the_bundle_does_not_hold_is_not_built(tmp_path):
    only = write_small_bundle(tmp_path / "dynamic", precision="int8_dynamic", image_encoders={"int8_dynamic": "a.onnx"})
    for asked, words in (
        ("auto", "holds no image encoder that TensorRT builds, only int8_dynamic"),
        ("fp16", "holds no fp16 encoder"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            compiled(only, tmp_path / "plans", Bench(), precision=asked)
        assert "--device NAME" in caught.value.hint
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize("changes", [{"optimization_level": 6}, {"optimization_level": -1}, {"workspace_mib": 0}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(InputError):
        CompileSettings(**changes)


def test_without_tensorrt_the_missing_package_is_named(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError) as caught:
        list(compile_bundle(CompileSettings(bundle.folder, plans=tmp_path)))
    assert "the Python package 'tensorrt'" in str(caught.value)


def test_the_result_is_an_object_for_programs(bundle, tmp_path):
    value = compiled(bundle, tmp_path, Bench(unbuilt=["int8"], slow_s={"int8_fp16": 0.001})).to_json()
    assert json.loads(json.dumps(value)) == value
    assert value["selected"] == "fp16"
    assert value["machine"]["sm_count"] == 8
    plans = {one["precision"]: one for one in value["plans"]}
    assert plans["int8"]["plan"] is None
    assert plans["int8"]["reason"] == str(EngineError("TensorRT builds no plan of the graph", code="build_failed"))
    assert plans["fp16"]["plan"]["build"]["layers"] == {"FP16": 42}


# --- what the rules say, where nothing is built ---


@pytest.fixture
def quantized():
    return quantized_encoder()


def conv_bundle(folder, encoders, **changes):
    """Write a bundle of convolutional encoders; its golden answers are nobody's, as nothing runs."""
    facts = conv_facts()
    files = {precision: f"image_encoder.{precision}.onnx" for precision in encoders}
    manifest = small_manifest(
        contract=facts.contract, space=facts.space, precision=next(iter(files)), image_encoders=files, **changes
    )
    manifest = replace(manifest, semantics=replace(manifest.semantics, kinds=("vector",), attributes=()))
    rows = np.random.RandomState(1).randn(32, CONV_DIM).astype(np.float32)
    golden = GoldenSet(golden_frames(), dict.fromkeys(files, rows), rows[:2], rows @ rows[:2].T)
    data = {files[precision]: graph for precision, graph in encoders.items()}
    return Bundle.write(folder, manifest, {**data, GOLDEN: golden.to_bytes()})


def checked(bundle, asked="auto"):
    *steps, check = check_plans(bundle, asked)
    assert isinstance(check, PlanCheck)
    return check, steps


def test_graphs_that_keep_the_rules_are_said_to(tmp_path, quantized):
    check, steps = checked(conv_bundle(tmp_path / "b", {"int8": quantized, "fp32": float_encoder()}))
    assert check.verdicts == {precision: dict.fromkeys(VERSIONS, KEPT) for precision in ("int8", "fp32")}
    assert (check.judged, check.refusals, check.source) == (True, (), "the graphs, judged now")
    assert [step.step for step in steps] == ["judging the int8 encoder", "judging the fp32 encoder"]


@pytest.mark.parametrize(("change", "rule"), DEFECTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_graph_that_breaks_a_rule_is_refused_by_name(tmp_path, quantized, change, rule):
    model = onnx.load_from_string(quantized)
    change(model)
    check, _ = checked(conv_bundle(tmp_path / "b", {"int8": model.SerializeToString()}))
    assert check.judged
    assert check.refused("int8", "10.3")
    assert check.refusals[0].startswith("int8 for TensorRT 10.3")
    # What the checker of ONNX itself refuses never comes to the rules; of several broken rules the first is named.
    assert f"[{rule}]" in check.refusals[0] or "[bad_graph]" in check.refusals[0] or ", and " in check.refusals[0]


def test_what_is_no_onnx_file_is_refused_for_every_version(tmp_path, quantized):
    check, _ = checked(conv_bundle(tmp_path / "b", {"int8": quantized[:100], "fp16": quantized}))
    assert set(check.verdicts["fp16"].values()) == {KEPT}
    assert check.refusals == (
        "int8 for TensorRT 10.3, 10.13, 10.16, 11.4: this is not an ONNX file but 100 other bytes [not_onnx]",
    )


def test_only_what_was_asked_for_is_judged(tmp_path, quantized):
    broken = onnx.load_from_string(quantized)
    broken.ir_version = 14
    bundle = conv_bundle(tmp_path / "b", {"int8": broken.SerializeToString(), "fp16": quantized})
    assert checked(bundle, "fp16")[0].refusals == ()
    assert len(checked(bundle)[0].refusals) == 1
    with pytest.raises(InputError):
        checked(bundle, "int8_fp16")


def test_without_onnx_the_manifests_verdict_is_shown_and_said_to_be_it(tmp_path, quantized, monkeypatch):
    stored = {"int8": {"10.3": "refused: said at export", "11.4": KEPT}, "fp16": {"10.3": KEPT, "11.4": KEPT}}
    bundle = conv_bundle(tmp_path / "b", {"int8": quantized, "fp16": quantized}, verdicts=stored)
    assert checked(bundle)[0].refusals == ()
    monkeypatch.setitem(sys.modules, "onnx", None)
    check, steps = checked(bundle)
    assert (check.judged, steps) == (False, [])
    assert check.verdicts == stored
    assert check.refusals == ("int8 for TensorRT 10.3: said at export",)
    assert check.source.startswith("the manifest, as the export found it")


def test_without_onnx_and_without_a_verdict_nothing_is_pretended(tmp_path, quantized, monkeypatch):
    bundle = conv_bundle(tmp_path / "b", {"int8": quantized})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError) as caught:
        checked(bundle)
    assert caught.value.hint == "run: pip install 'edgezsl[quantize]'"
