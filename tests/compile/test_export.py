"""The export: a bundle that devices open, the proof beside it, and the same bytes wherever it is made."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import numpy_helper

from edgezsl.bundle import TOKENIZER, Bundle
from edgezsl.catalogue import builtin_folder
from edgezsl.compile.draft import golden_bounds
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.rules import RULES_VERSION, faults
from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.encoders.graph import load_graph
from edgezsl.errors import BundleError, InputError, ModelError, ParityError, RecipeError
from edgezsl.evaluate.progress import Progress
from edgezsl.manifest import Batch
from edgezsl.runtime.engine import installed_engines, open_engine
from tests.documents import Page
from tests.factories import CONV_DIM, CONV_SIDE, conv_encoder, conv_facts, with_loud_channel, write_conv_model

cv2 = pytest.importorskip("cv2")

RECIPE = """\
format: edgezsl-recipe/1
name: quick
describes: A recipe of a test
opset: 17
precision_default: int8
quantization:
  calibration_images: 16
  candidates: [{calibrator: minmax}]
bounds: {cosine_mean: 0.99, centred_mean: 0.98, top1_agreement: 0.8}
"""


def exported(settings):
    """Export; return the result and the progress on the way."""
    steps = list(export(settings))
    assert all(isinstance(step, Progress) for step in steps[:-1])
    assert isinstance(steps[-1], ExportResult)
    return steps[-1], steps[:-1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, a recipe that is quick, and a few photographs."""
    folder = tmp_path_factory.mktemp("export")
    write_conv_model(folder / "model")
    (folder / "quick.yaml").write_text(RECIPE)
    random = np.random.RandomState(3)
    for number in range(12 + 100):
        image = random.randint(0, 256, (4, 5, 3)).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        path = folder / "photographs" / ("a" if number < 12 else "b") / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    return folder


@pytest.fixture(scope="module")
def quick(place):
    """Settings of an export of which every image is a file, and that is quick."""
    photographs = place / "photographs"
    return ExportSettings(
        place / "model",
        recipe=str(place / "quick.yaml"),
        calibration=str(photographs / "a"),
        parity_images=photographs / "b",
    )


@pytest.fixture(scope="module")
def proved(place):
    """An INT8 export without photographs: calibrated and proved on generated images."""
    return exported(ExportSettings(place / "model", out=place / "proved", recipe=str(place / "quick.yaml")))


def test_an_int8_bundle_holds_one_encoder_in_the_accepted_form(proved):
    manifest = proved[0].bundle.manifest
    assert manifest.precision == "int8"
    assert dict(manifest.image_encoders) == {"int8": "image_encoder.int8.onnx"}
    model = load_graph(proved[0].bundle.read("image_encoder.int8.onnx"), "x")
    assert faults(model) == []
    assert manifest.opset == model.opset_import[0].version == 17
    assert manifest.ir_version == model.ir_version == 10


def test_every_installed_engine_serves_the_bundle(proved):
    pixels = np.zeros((1, 3, CONV_SIDE, CONV_SIDE), np.float32)
    for name in installed_engines():
        engine = open_engine(proved[0].bundle, name, threads=1)
        assert engine.run(pixels).shape == (1, CONV_DIM)
        engine.close()


def test_the_manifest_says_what_was_done_and_what_it_was_proved_on(proved):
    manifest = proved[0].bundle.manifest
    provenance, parity = manifest.provenance, manifest.parity
    assert provenance.source_model == "random weights, made by a test"
    assert provenance.recipe.startswith("quick: ")
    assert "16 generated images" in provenance.recipe
    assert (provenance.calibration_count, len(provenance.calibration_digest)) == (16, 64)
    assert {"edgezsl", "numpy", "onnx", "onnxruntime", "opencv"} == set(provenance.versions)
    assert parity.outcome == "passed"
    assert parity.figures["centred_mean"] >= parity.bounds["centred_mean"]
    assert parity.figures["generated_images"] == parity.figures["images"] == 120


def test_the_manifest_says_what_the_rules_of_each_tensorrt_say(proved):
    verdicts = proved[0].bundle.manifest.verdicts
    assert {precision: set(rows) for precision, rows in verdicts.items()} == {"int8": {row.version for row in ROWS}}
    assert set(verdicts["int8"].values()) == {f"no rule is broken (rules {RULES_VERSION}, not run)"}


def test_means_are_measured_where_the_model_has_none(proved):
    space = proved[0].bundle.manifest.space
    assert len(space.image_mean) == len(space.text_mean) == CONV_DIM
    assert np.linalg.norm(space.example_shift) > 0


def test_the_class_side_and_the_facts_travel_with_it(place, proved):
    bundle = proved[0].bundle
    assert bundle.read(TOKENIZER) == (place / "model" / TOKENIZER).read_bytes()
    assert bundle.manifest.seen_classes == ("cat", "dog")
    assert bundle.manifest.licence.id == "Apache-2.0"


def test_the_report_lies_beside_the_bundle_and_has_the_times_that_the_bundle_has_not(proved):
    result, _ = proved
    report = json.loads(result.report_file.read_text())
    assert result.report_file.parent == result.bundle.folder.parent
    assert "says what its model says" in Page(result.report_file.with_suffix(".html").read_text()).text
    assert report["outcome"] == "passed"
    assert report["images"] == {
        "kind": "generated images",
        "count": 120,
        "photographs": 120,
        "left_out": 0,
        "unreadable": 0,
    }
    assert report["engines"]["onnx"]["latency"]["p50_ms"] > 0
    assert report["bytes"]["export"] < report["bytes"]["model"]
    assert "_ms" not in (result.bundle.folder / "manifest.json").read_text()


def test_the_progress_names_each_long_step(proved):
    steps = {step.step for step in proved[1]}
    assert any("calibration" in step for step in steps)
    assert "measuring ranges" in steps
    assert "comparing on generated images" in steps
    assert all(0 < step.done <= step.total for step in proved[1])


def test_two_exports_from_two_working_directories_give_equal_bytes(place, quick, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        exported(replace(quick, model=place / "model"))
    folders = [tmp_path / name / "convolutions-int8" for name in ("one", "two")]
    for file in sorted(folders[0].iterdir()):
        assert file.read_bytes() == (folders[1] / file.name).read_bytes(), file.name
        assert os.fsencode(tmp_path) not in file.read_bytes()
    assert Bundle.open(folders[0]).digest == Bundle.open(folders[1]).digest


def test_few_photographs_are_a_warning_that_is_recorded(quick, tmp_path):
    few = tmp_path / "photographs"
    few.mkdir()
    for path in sorted((quick.parity_images).iterdir())[:30]:
        (few / path.name).write_bytes(path.read_bytes())
    result, _ = exported(replace(quick, out=tmp_path / "few", parity_images=few))
    assert result.bundle.manifest.parity.outcome == "too_few"
    assert result.report.images == 30
    assert result.bundle.manifest.provenance.calibration_count == 12


def test_images_that_calibration_used_prove_nothing(place, quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "same", parity_images=place / "photographs"))
    assert (result.report.images, result.report.left_out) == (100, 12)


def strict(folder):
    """Write a recipe that no INT8 export meets, and bfloat16 does, in which OpenVINO computes fp32 files where it can."""
    path = folder / "strict.yaml"
    path.write_text(RECIPE.replace("centred_mean: 0.98", "centred_mean: 0.9997"))
    return str(path)


def test_a_broken_bound_fails_the_export_and_leaves_the_report(quick, tmp_path):
    settings = replace(quick, out=tmp_path / "out", recipe=strict(tmp_path))
    with pytest.raises(ParityError, match=r"centred_mean is 0\.9") as caught:
        exported(settings)
    assert caught.value.code == "broken_parity"
    assert "--calibration" in caught.value.hint
    assert not (tmp_path / "out").exists()
    assert json.loads((tmp_path / "out.report.json").read_text())["outcome"] == "broken"
    result, _ = exported(replace(settings, allow_broken_parity=True))
    assert result.bundle.manifest.parity.outcome == "broken_allowed"


def test_a_broken_bound_falls_back_where_that_is_allowed_and_the_manifest_says_why(quick, tmp_path):
    settings = replace(quick, out=tmp_path / "out", recipe=strict(tmp_path), fallback="fp32")
    result, _ = exported(settings)
    manifest = result.bundle.manifest
    assert manifest.precision == "fp32"
    assert set(manifest.image_encoders) == set(manifest.verdicts) == {"fp32"}
    assert (manifest.fallback.asked, manifest.fallback.kept) == ("int8", "fp32")
    assert "in onnx, expected at least 0.9997" in manifest.fallback.reason
    assert result.report.outcome == manifest.parity.outcome == "passed"
    assert result.to_json()["fallback"] == manifest.fallback.reason
    assert set(json.loads(result.report_file.read_text())["also"]) == {"int8"}
    assert Bundle.open(result.bundle.folder).manifest.fallback == manifest.fallback


def turned(rows, cosine):
    """Return unit rows at that cosine from `rows`."""
    aside = np.roll(rows, 1, axis=1)
    aside -= (aside * rows).sum(1, keepdims=True) * rows
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return cosine * rows + np.sqrt(1 - cosine**2) * aside


@pytest.mark.parametrize(("cosine", "bound"), [(0.9999, 0.99), (0.9951, 0.99), (0.9907, 0.981), (0.6, 0.95)])
def test_two_engines_are_not_asked_to_be_nearer_to_each_other_than_rounding_lets_them(cosine, bound):
    rows = np.random.RandomState(0).normal(size=(32, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    golden = SimpleNamespace(embeddings={"fp32": rows, "int8": turned(rows, cosine), "fp16": rows})
    assert golden_bounds(golden, ("fp16", "int8")) == {"fp16": 0.999, "int8": bound}
    assert golden_bounds(golden, ("fp32",))["fp32"] == 0.9999


def test_weights_that_are_not_numbers_are_refused_before_anything_is_measured(quick, tmp_path):
    encoder = conv_encoder()
    model = load_graph(encoder, "x")
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), np.nan), weight.name))
    write_conv_model(tmp_path / "model", encoder=model.SerializeToString())
    with pytest.raises(ModelError, match="not finite"):
        exported(replace(quick, model=tmp_path / "model", out=tmp_path / "out"))


def test_a_place_that_cannot_be_written_is_found_before_any_work(quick):
    with pytest.raises(BundleError, match="nothing can be written here") as caught:
        next(iter(export(replace(quick, out=Path("/proc/none")))))
    assert "--out" in caught.value.hint


def test_frames_of_one_film_are_not_judged_by_what_differs_among_them(quick, place, tmp_path):
    """Only the photographs of calibration change: the same image, a little noise on it, twelve times."""
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (4, 5, 3)).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    for number in range(12):
        noise = random.randint(-2, 3, image.shape)
        (tmp_path / "film").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "film" / f"scene__{number}.png"), np.clip(image + noise, 0, 255).astype(np.uint8))
    result, _ = exported(
        replace(quick, out=tmp_path / "out", calibration=str(tmp_path / "film"), allow_broken_parity=True)
    )
    trial = result.quantized.trials[0]
    assert trial.figures["centred_mean"] < 0.98, "the trap: it would have sent the search into the graph"
    assert result.quantized.losses == {}
    assert result.quantized.plan == trial.plan
    assert "one photograph or film" in result.calibration


def deaf(folder):
    """Return a recipe whose ranges are so narrow that every frame gets one answer."""
    path = folder / "deaf.yaml"
    path.write_text(RECIPE.replace("calibrator: minmax", "calibrator: percentile, percentile: 0.000001"))
    return str(path)


def test_what_no_engine_serves_is_refused_though_a_broken_bound_is_allowed(quick, tmp_path):
    settings = replace(quick, out=tmp_path / "out", recipe=deaf(tmp_path), allow_broken_parity=True)
    with pytest.raises(ParityError, match=r"no engine serves the int8 export: onnx: .* the same answer") as caught:
        exported(settings)
    assert caught.value.code == "unserved"
    assert not (tmp_path / "out").exists()


def test_what_no_engine_serves_falls_back_and_spoils_no_other_precision(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "out", recipe=deaf(tmp_path), fallback="fp16"))
    assert result.bundle.manifest.precision == "fp16"
    assert result.report.outcome == "passed"
    assert "the same answer" in result.bundle.manifest.fallback.reason


def test_a_fallback_that_is_not_needed_leaves_no_trace(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "out", fallback="fp32"))
    assert result.bundle.manifest.fallback is None
    assert set(result.bundle.manifest.image_encoders) == {"int8"}


def test_half_precision_is_half_the_size_and_every_engine_serves_it(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "half", precision="fp16"))
    assert result.bundle.manifest.precision == "fp16"
    assert result.report.outcome == "passed"
    assert set(result.report.engines) == set(installed_engines())
    assert result.report.figures["cosine_min"] > 0.999
    assert result.report.bytes["export"] < 0.8 * result.report.bytes["model"]


def test_for_a_board_with_tensorrt_int8_comes_with_what_tensorrt_builds_from(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "board", precision="int8", device="jetson-orin-nano"))
    manifest = result.bundle.manifest
    assert manifest.precision == "int8"
    assert (
        set(manifest.image_encoders) == set(manifest.verdicts) == set(result.reports) == {"int8", "fp16", "int8_fp16"}
    )
    assert all("no rule is broken" in said for rows in manifest.verdicts.values() for said in rows.values())
    assert {report.outcome for report in result.reports.values()} == {"passed"}
    for precision in manifest.image_encoders:
        engine = open_engine(result.bundle, "onnx", threads=1, precision=precision)
        assert engine.encoder == precision
        engine.close()
    assert set(exported(replace(quick, out=tmp_path / "pc", device="x86-cpu"))[0].reports) == {"int8"}


def test_what_float16_cannot_hold_is_looked_for_in_the_network_that_was_equalized(quick, tmp_path):
    write_conv_model(tmp_path / "loud", encoder=with_loud_channel(conv_encoder(), factor=1e4))
    plans = "[{calibrator: minmax}, {calibrator: minmax, equalize: true}]"
    (tmp_path / "r.yaml").write_text(RECIPE.replace("[{calibrator: minmax}]", plans))
    settings = replace(quick, model=tmp_path / "loud", recipe=str(tmp_path / "r.yaml"), device="jetson-orin-nano")
    result, _ = exported(replace(settings, out=tmp_path / "out"))
    assert result.quantized.plan.equalize
    model = load_graph(result.bundle.read(result.bundle.manifest.image_encoders["int8_fp16"]), "x")
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    readers = {node.name: made[node.input[0]] for node in model.graph.node if node.op_type == "Conv"}
    assert readers["first.depthwise"] == "Cast", "it is as quiet as the others now, and computed in float16"


def test_a_graph_that_normalises_takes_pixels_as_they_are_and_says_the_same(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "bytes", precision="fp32", uint8=True))
    contract = result.bundle.manifest.contract
    assert contract.dtype == "uint8"
    assert contract == replace(conv_facts().contract, dtype="uint8")
    assert result.report.outcome == "passed"
    assert result.report.figures["cosine_min"] > 0.999999
    model = load_graph(result.bundle.read("image_encoder.fp32.onnx"), "x")
    assert [node.op_type for node in model.graph.node][:4] == ["Cast", "Mul", "Add", "Conv"]
    assert faults(model, ROWS[0]) == []
    assert exported(replace(quick, out=tmp_path / "small", precision="int8", uint8=True))[0].report.outcome == "passed"


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_a_fallback_that_is_none_is_refused(precision):
    with pytest.raises(InputError, match=precision) as caught:
        ExportSettings(fallback=precision)
    assert caught.value.expected == "fp16 or fp32"


def test_full_precision_says_exactly_what_the_model_says(quick, tmp_path):
    result, _ = exported(replace(quick, out=tmp_path / "full", precision="fp32"))
    assert dict(result.bundle.manifest.image_encoders) == {"fp32": "image_encoder.fp32.onnx"}
    assert result.report.figures["cosine_min"] >= 0.999999
    assert result.calibration == ""
    assert result.quantized is None


@pytest.mark.parametrize("batch", [Batch(4, 4, 4), Batch(1, 2, 8)])
def test_a_bundle_takes_as_many_frames_as_asked(quick, tmp_path, batch):
    result, _ = exported(replace(quick, out=tmp_path / "batch", precision="fp32", batch=batch))
    assert result.bundle.manifest.batch == batch
    engine = open_engine(result.bundle, "onnx", threads=1)
    assert engine.run(np.zeros((9, 3, CONV_SIDE, CONV_SIDE), np.float32)).shape == (9, CONV_DIM)


def test_a_model_without_words_has_no_means_and_says_what_was_skipped(place, quick, tmp_path):
    write_conv_model(tmp_path / "silent", words=False)
    result, _ = exported(replace(quick, model=tmp_path / "silent", out=tmp_path / "out"))
    assert result.bundle.manifest.space.image_mean is None
    assert "knows no everyday names" in result.report.skipped["top1_agreement"]


def test_labels_give_the_classes_and_the_accuracy(place, quick, tmp_path):
    folder = tmp_path / "labelled"
    for label, name in (("a", "cat"), ("b", "dog")):
        (folder / name).mkdir(parents=True)
        for path in (place / "photographs" / label).iterdir():
            (folder / name / path.name).write_bytes(path.read_bytes())
    settings = replace(quick, out=tmp_path / "out", precision="fp32", parity_images=folder, labels=True)
    result, _ = exported(settings)
    assert result.report.vocabulary == "2 labels"
    assert 0 <= result.report.figures["accuracy"] <= 1
    with pytest.raises(InputError, match="--labels was given without"):
        exported(replace(settings, parity_images=None))


def test_a_class_file_gives_the_classes(quick, tmp_path):
    (tmp_path / "mine.yaml").write_text("- cat\n- dog\n- coffee\n")
    result, _ = exported(replace(quick, out=tmp_path / "out", classes=tmp_path / "mine.yaml"))
    assert result.report.vocabulary == "3 classes of mine.yaml"


def test_nothing_is_done_where_something_else_would_be_lost(place, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"thesis\.txt"):
        next(export(ExportSettings(place / "model", out=tmp_path / "out")))
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_a_model_whose_encoder_is_no_graph_is_refused(quick, tmp_path):
    write_conv_model(tmp_path / "text", encoder=b"name: convolutions\n" * 9)
    with pytest.raises(ModelError, match="not an ONNX file"):
        exported(replace(quick, model=tmp_path / "text", out=tmp_path / "out"))


def test_a_model_of_an_unknown_recipe_is_refused(tmp_path):
    write_conv_model(tmp_path / "model", recipe="nothing")
    with pytest.raises(RecipeError, match="'nothing'"):
        exported(ExportSettings(tmp_path / "model", out=tmp_path / "out"))


def test_a_graph_with_its_number_of_frames_built_in_is_refused_for_another(quick, tmp_path):
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(conv_encoder(batch=1))
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 48], np.int64), "shape"))
    flatten.CopyFrom(helper.make_node("Reshape", [flatten.input[0], "shape"], list(flatten.output)))
    write_conv_model(tmp_path / "one", encoder=model.SerializeToString())
    settings = replace(quick, model=tmp_path / "one", out=tmp_path / "out", precision="fp32")
    assert exported(settings)[0].report.outcome == "passed"
    with pytest.raises(ModelError, match="built in") as caught:
        exported(replace(settings, batch=Batch(2, 2, 2)))
    assert "--batch 1" in caught.value.hint


def test_the_built_in_model_is_found_or_said_to_be_absent(tmp_path):
    (tmp_path / "builtin" / "model").mkdir(parents=True)
    assert builtin_folder("model", package=tmp_path) == tmp_path / "builtin" / "model"
    with pytest.raises(InputError, match="this installation of edgezsl carries none") as caught:
        builtin_folder("bundle", package=tmp_path)
    assert caught.value.code == "no_bundle"
