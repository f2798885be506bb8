"""Whole models of other libraries, with random weights, through import and export: `make check-export`.

Random weights say that nothing is lost and that the rules hold; they say nothing of what INT8 costs a trained model.
"""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
import torch

from edgezsl.bundle import TEXT_ENCODER
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.open_clip_models import source_from_open_clip
from edgezsl.encoders.timm_models import source_from_timm
from edgezsl.encoders.transformers_models import source_from_transformers
from edgezsl.errors import ParityError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.encoders.sources import clip_tokenizer, mobile_clip_source, open_clip, tiny_clip_source

transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")
OLD = os.environ.get("EDGEZSL_OLD_PYTHON")  # of an environment with ONNX Runtime 1.23.2, the last for Python 3.10
PROGRAM = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
numpy.save(sys.argv[3], session.run(None, {session.get_inputs()[0].name: numpy.load(sys.argv[2])})[0])
print(onnxruntime.__version__)
"""


def vit_b_32():
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    return source_from_open_clip(model, name="ViT-B-32", tokenizer=clip_tokenizer())


def siglip_b_16():
    torch.manual_seed(0)
    model = transformers.SiglipModel(transformers.SiglipConfig())
    processor = transformers.SiglipImageProcessor()
    return source_from_transformers(model, name="SigLIP-B-16", image_processor=processor)


def mobilenet_v3():
    torch.manual_seed(0)
    return source_from_timm(timm.create_model("mobilenetv3_large_100"), name="mobilenetv3_large_100")


@pytest.fixture(scope="module", params=[tiny_clip_source, mobile_clip_source, vit_b_32, siglip_b_16, mobilenet_v3])
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


@pytest.mark.export
def test_int8_holds_or_is_refused_until_that_is_allowed(imported, tmp_path):
    _, model = imported
    settings = ExportSettings(model.folder, tmp_path / "bundle", precision="int8", device="jetson-orin-nano")
    try:
        *_, result = export(settings)
    except ParityError as fault:
        assert "does not say what the model says" in fault.message  # noqa: PT017  # either way is right with random weights
        *_, result = export(
            ExportSettings(model.folder, tmp_path / "bundle", precision="int8", allow_broken_parity=True)
        )
    assert isinstance(result, ExportResult)
    manifest = result.bundle.manifest
    figures = result.report.figures
    said = f"{manifest.name}: {manifest.parity.outcome}, centred {figures['centred_mean']:.4f}, {result.quantized.plan}"
    print(f"\n{said}")  # noqa: T201  # what `make check-export` is read for
    assert all("no rule is broken" in said for rows in manifest.verdicts.values() for said in rows.values())


@pytest.mark.export
@pytest.mark.skipif(not OLD, reason="EDGEZSL_OLD_PYTHON names no environment with ONNX Runtime 1.23.2")
def test_every_file_runs_in_the_oldest_runtime(imported, tmp_path):
    source, model = imported
    settings = ExportSettings(
        model.folder, tmp_path / "bundle", precision="int8", device="jetson-orin-nano", allow_broken_parity=True
    )
    *_, result = export(settings)
    np.save(tmp_path / "pixels.npy", pixels_of(source, 1))
    for precision, name in result.bundle.manifest.image_encoders.items():
        command = [OLD, "-c", PROGRAM, result.bundle.folder / name, tmp_path / "pixels.npy", tmp_path / "rows.npy"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{precision}: {done.stderr}"
        assert done.stdout.strip() == "1.23.2"
        now = run(result.bundle.read(name), "image", pixels_of(source, 1))
        assert float((unit(np.load(tmp_path / "rows.npy")) * unit(now)).sum()) > 0.99
