"""`edgezsl import` as it is typed: an ONNX file becomes a model, and what cannot be imported is refused with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgezsl.encoders.model import Model
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.factories import CONV_DIM, conv_encoder, conv_facts

CONTRACT = {"contract": conv_facts().contract.to_json(), "space": {"dim": CONV_DIM, "similarity": "cosine"}}


def edgezsl(*arguments, **options):
    command = [sys.executable, "-m", "edgezsl", "import", *map(str, arguments)]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=offline, **options)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "net.onnx").write_bytes(conv_encoder())
    (tmp_path / "contract.json").write_text(json.dumps(CONTRACT))
    return tmp_path


def test_an_onnx_file_becomes_a_model_that_is_exported(place):
    done = edgezsl("onnx:net.onnx", "--contract", "contract.json", "--licence", "MIT", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "next: edgezsl export net --int8" in done.stdout
    facts = Model.open(place / "net").facts
    assert (facts.recipe, facts.licence.id, facts.source) == ("convnet", "MIT", "onnx:net.onnx")
    assert facts.contract == conv_facts().contract


def test_a_classifier_is_imported_up_to_the_output_that_the_contract_names(place):
    model = onnx.load(place / "net.onnx")
    head = numpy_helper.from_array(np.ones((CONV_DIM, 3), np.float32), "head")
    model.graph.initializer.append(head)
    model.graph.node.append(onnx.helper.make_node("MatMul", [model.graph.output[0].name, "head"], ["logits"]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 3]))
    onnx.save(model, place / "classifier.onnx")
    done = edgezsl("onnx:classifier.onnx", "--contract", "contract.json", cwd=place)
    assert done.returncode == 0, done.stderr
    kept = Model.open(place / "classifier")
    graph = OnnxGraph(kept.read("image_encoder.onnx"), file="kept")
    assert list(graph.outputs) == [conv_facts().contract.output]
    stored = onnx.load_model_from_string(kept.read("image_encoder.onnx"))
    assert "head" not in {one.name for one in stored.graph.initializer}
    size = conv_facts().contract.size
    pixels = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    whole = OnnxGraph((place / "classifier.onnx").read_bytes(), file="whole")
    np.testing.assert_array_equal(
        graph.run({conv_facts().contract.input: pixels})[0], whole.run({conv_facts().contract.input: pixels})[0]
    )


def test_json_is_one_object(place):
    done = edgezsl("onnx:net.onnx", "--contract", "contract.json", "--json", cwd=place)
    report = json.loads(done.stdout)
    assert (report["name"], report["licence"], report["faults"]) == ("net", "unknown", [])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["clip"], "unknown_source", "open_clip:NAME@TAG"),
        (["onnx:net.onnx"], "no_contract", "--contract FILE"),
        (["onnx:contract.json", "--contract", "contract.json"], "not_onnx", "not an ONNX file"),
        (["onnx:net.onnx", "--contract", "wrong.json"], "unfit_graph", "as contract and space say"),
        (["onnx:open.onnx", "--contract", "wrong.json"], "unfit_graph", f"{(1, CONV_DIM)} for 1 frames"),
        (["open_clip:NoSuch@x"], "unknown_model", "open_clip.list_models()"),
        (["onnx:net.onnx", "--contract", "levels.json"], "bad_contract", "divide it by 255"),
        (["onnx:nan.onnx", "--contract", "contract.json"], "not_finite", "NaN and infinity"),
        (["timm:test_efficientnet", "--contract", "contract.json"], "useless_option", "leave --contract out"),
        (
            ["onnx:net.onnx", "--contract", "contract.json", "--parity-images", ".", "--allow-broken-parity"],
            "useless_option",
            "no library to compare it with",
        ),
        (["onnx:net.onnx", "--contract", "contract.json", "--out", "/proc/x"], "not_writable", "--out"),
        (["open_clip:ViT-B-32@nope"], "unknown_model", "laion2b_s34b_b79k"),
        (["open_clip:ViT-B-32@openai=/none/x.safetensors"], "not_found", "the weights"),
        (["open_clip:ViT-B-32@openai=./net.onnx"], "not_safetensors", "may run code"),
        (["open_clip:ViT-L-14@./x.safetensors"], "ambiguous", "open_clip:ViT-L-14@TAG=/path/to/file"),
        (["open_clip:ViT-B-32@laion2b_s34b_b79k"], "not_reached", "bring its open_clip_model.safetensors"),
        (["hf:openai/clip-vit-base-patch32"], "not_reached", "edgezsl import hf:/path/to/folder"),
        (["timm:mobilenetv3_small_100"], "not_reached", "bring its model.safetensors"),
        (["timm:no_such_net"], "unknown_model", "no_such_net"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_imported_is_refused_with_what_to_do(place, arguments, code, words):
    wrong = {**CONTRACT, "space": {"dim": CONV_DIM + 1, "similarity": "cosine"}}
    (place / "wrong.json").write_text(json.dumps(wrong))
    levels = {**CONTRACT["contract"], "mean": [123.675, 116.28, 103.53]}
    (place / "levels.json").write_text(json.dumps({**CONTRACT, "contract": levels}))
    spoilt = onnx.load_from_string(conv_encoder())
    weight = spoilt.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(weight), np.nan), weight.name))
    onnx.save(spoilt, str(place / "nan.onnx"))
    left_open = onnx.load_from_string(conv_encoder())
    left_open.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "D"
    onnx.save(left_open, str(place / "open.onnx"))
    done = edgezsl(*arguments, "--json", cwd=place)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["code"] == code, error
    assert words in " ".join(str(error[part]) for part in ("message", "expected", "hint"))
