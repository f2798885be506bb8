"""Whole models of other libraries, with random weights, through import and export: `make check-export`.

Random weights say that nothing is lost and that the rules hold; they say nothing of what INT8 costs a trained model.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from edgezsl.bundle import TEXT_ENCODER
from edgezsl.compile.dead_leaves import CALIBRATION_SEED, images
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.timm_models import source_from_timm
from edgezsl.errors import ParityError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.encoders.sources import (
    mobile_clip_source,
    settled,
    siglip_b_16_source,
    tiny_clip_source,
    vit_b_32_source,
)

transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")
OLD = os.environ.get("EDGEZSL_OLD_PYTHON")  # of an environment with ONNX Runtime 1.23.2, the last for Python 3.10
STRICT = """\
format: edgezsl-recipe/1
name: strict
describes: Ranges that are too narrow, and a bound that no INT8 meets
opset: 17
precision_default: int8
quantization: {calibration_images: 16, candidates: [{calibrator: percentile, percentile: 90}]}
bounds: {cosine_mean: 0, centred_mean: 1.0, top1_agreement: 0.95}
"""
PROGRAM = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")  # as edgezsl.runtime.onnx_engine opens every file
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
numpy.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[2])})[0])
print(onnxruntime.__version__)
"""


def mobilenet_v3():
    torch.manual_seed(0)
    model = settled(timm.create_model("mobilenetv3_large_100"), 224)
    return source_from_timm(model, name="mobilenetv3_large_100")


@pytest.fixture(
    scope="module", params=[tiny_clip_source, mobile_clip_source, vit_b_32_source, siglip_b_16_source, mobilenet_v3]
)
def imported(request, tmp_path_factory):
    source = request.param()
    folder = tmp_path_factory.mktemp(source.name)
    return source, Model.from_modules(folder / "model", source, opset=17)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def run(data, name, rows):
    graph = OnnxGraph(data, file=name, threads=2)
    found = graph.run({name: rows})[0]
    graph.close()
    return found


def pixels_of(source, count):
    images = np.random.RandomState(0).randint(0, 256, (count, 300, 320, 3)).astype(np.uint8)
    return Preprocessor(source.contract)(list(images))


@pytest.mark.export
@pytest.mark.parametrize("count", [1, 4])
def test_the_graphs_say_what_pytorch_says(imported, count):
    source, model = imported
    pixels = pixels_of(source, count)
    with torch.no_grad():
        expected = source.image_encoder(torch.from_numpy(pixels)).numpy()
    assert np.abs(run(model.read(IMAGE_ENCODER), "image", pixels) - expected).max() <= 1e-5
    if source.text is None:
        pytest.skip("no tokenizer of this model lies in its package: images only")
    ids = source.text.tokenize(["a cat", "it's a “dog”", "🐈", "a forklift in an aisle"][:count])
    with torch.no_grad():
        texts = source.text.encoder(ids).numpy()
    assert np.abs(unit(run(model.read(TEXT_ENCODER), "input_ids", ids.numpy())) - unit(texts)).max() <= 1e-5


@pytest.fixture(scope="module")
def exported(imported, tmp_path_factory):
    """The result of an INT8 export that must refuse first: no INT8 is as near as its recipe asks.

    Sixteen crops of one photograph set the ranges: their centred cosine decides nothing, so that no node is looked for that
    could stay in float, which takes long in a model of this size and is tested on small ones.
    """
    _, model = imported
    folder = tmp_path_factory.mktemp(model.facts.name)
    for number, image in enumerate(images(CALIBRATION_SEED, 16)):
        path = folder / "photograph" / f"one__{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
    (folder / "strict.yaml").write_text(STRICT)
    recipe = str(folder / "strict.yaml")
    settings = ExportSettings(
        model.folder, folder / "bundle", recipe=recipe, precision="int8", calibration=str(folder / "photograph")
    )
    with pytest.raises(ParityError, match="the int8 export does not say what the model says") as fault:
        list(export(settings))
    assert "--allow-broken-parity" in fault.value.hint
    assert not settings.out.exists()
    *_, result = export(replace(settings, allow_broken_parity=True, device="jetson-orin-nano"))
    assert isinstance(result, ExportResult)
    return result


@pytest.mark.export
def test_a_broken_bound_refuses_until_that_is_allowed(exported):
    manifest, report = exported.bundle.manifest, exported.report
    assert exported.reports["int8"].outcome == "broken"
    assert set(manifest.image_encoders) == {"int8", "fp16", "int8_fp16"}
    assert "onnx" in report.engines
    said = f"{manifest.name}: centred {report.figures['centred_mean']:.4f}, {exported.quantized.plan}; {report.refused}"
    print(f"\n{said}")  # noqa: T201  # what `make check-export` is read for
    assert all("no rule is broken" in said for rows in manifest.verdicts.values() for said in rows.values())


@pytest.mark.export
@pytest.mark.skipif(not OLD, reason="EDGEZSL_OLD_PYTHON names no environment with ONNX Runtime 1.23.2")
def test_every_file_runs_in_the_oldest_runtime(imported, exported, tmp_path):
    source, _ = imported
    files = {
        name: (exported.bundle.read(name), pixels_of(source, 1))
        for name in exported.bundle.manifest.image_encoders.values()
    }
    if source.text is not None:
        files[TEXT_ENCODER] = exported.bundle.read(TEXT_ENCODER), source.text.tokenize(["a cat"]).numpy()
    for name, (data, rows) in files.items():
        (tmp_path / name).write_bytes(data)
        np.save(tmp_path / "rows.npy", rows)
        command = [OLD, "-c", PROGRAM, tmp_path / name, tmp_path / "rows.npy", tmp_path / "found.npy"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert done.stdout.strip() == "1.23.2"
        now = run(data, "input_ids" if name == TEXT_ENCODER else "image", rows)
        assert float((unit(np.load(tmp_path / "found.npy")) * unit(now)).sum()) > 0.99
