"""`edgezsl export` as it is typed: what it prints, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from edgezsl.bundle import Bundle
from tests.factories import conv_encoder, two_outputs, write_conv_model

cv2 = pytest.importorskip("cv2")


def edgezsl(*arguments, **options):
    """Run the command and return what it did."""
    command = [sys.executable, "-m", "edgezsl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model, and photographs to calibrate and to prove it on."""
    folder = tmp_path_factory.mktemp("export")
    write_conv_model(folder / "model")
    random = np.random.RandomState(3)
    for number in range(132):
        image = random.randint(0, 256, (4, 5, 3)).astype(np.uint8).repeat(10, axis=0).repeat(10, axis=1)
        path = folder / ("calibration" if number < 12 else "parity") / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image)
    (folder / "empty").mkdir()
    (folder / "classes.yaml").write_text("- cat\n- dog\n- coffee\n")
    return folder


def typed(place, *more, model="model"):
    photographs = ["--calibration", place / "calibration", "--parity-images", place / "parity"]
    return ["export", place / model, *photographs, "--classes", place / "classes.yaml", *more]


def test_an_export_says_what_it_did_and_what_to_type_next(place, tmp_path):
    done = edgezsl(*typed(place, "--int8"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "12 images" in said
    assert "parity       passed on 120 images" in said
    assert "TensorRT     int8, 10.3, 10.13, 10.16, 11.4: no rule is broken" in said
    assert "onnx" in said
    assert "MB in fp32" in said
    assert "next: edgezsl run --bundle convolutions-int8 " in said
    assert Bundle.open(tmp_path / "convolutions-int8").manifest.precision == "int8"
    assert (tmp_path / "convolutions-int8.report.json").is_file()
    assert done.stderr == ""


def test_json_is_one_object_with_the_figures(place, tmp_path):
    done = edgezsl(*typed(place, "--fp32", "--batch", "1:2:4", "--out", tmp_path / "out", "--json"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    keys = {
        "bundle",
        "precision",
        "parity",
        "size_bytes",
        "engine_ms",
        "skipped",
        "verdicts",
        "fallback",
        "device",
        "report",
        "page",
        "precisions",
    }
    assert set(report) == keys
    assert report["precision"] == "fp32"
    assert {"cosine_mean", "cosine_min", "centred_mean", "top1_agreement", "images"} <= set(report["parity"])
    assert report["engine_ms"]["onnx"] > 0
    assert Bundle.open(tmp_path / "out").manifest.batch.max == 4


def damaged(place, name):
    """Make what is wrong, and return the arguments that name it."""
    match name:
        case "no images":
            return ["export", place / "model", "--calibration", place / "empty"]
        case "no model":
            return ["export", place / "parity"]
        case "a text file":
            write_conv_model(place / "text", encoder=b"a text\n" * 50)
        case "two outputs":
            write_conv_model(place / "two outputs", encoder=two_outputs())
        case "another contract":
            write_conv_model(place / "another contract", encoder=conv_encoder(output="features"))
    return typed(place, model={"a text file": "text"}.get(name, name))


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("no images", "no_images", "there is no image here"),
        ("no model", "not_a_model", "holds no model.json"),
        ("a text file", "not_onnx", "this is not an ONNX file"),
        ("two outputs", "unfit_graph", "outputs ['embedding', 'raw']"),
        ("another contract", "unfit_graph", "outputs ['features']"),
    ],
)
def test_wrong_inputs_are_refused_with_what_to_do(place, tmp_path, name, code, words):
    done = edgezsl(*damaged(place, name), "--json", cwd=tmp_path)
    assert done.returncode == 1
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert error["hint"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["--int8", "--fp32"], ["--batch", "many"], ["--batch", "4:2:1"], ["--batch", "0"]]
)
def test_wrong_usage_ends_with_status_2(place, arguments):
    done = edgezsl("export", place / "model", *arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr


def test_without_the_package_onnx_one_sentence_names_the_extra(place, tmp_path):
    # As on a machine with the core alone: `onnx` cannot be found.
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'onnx': raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.argv = ['edgezsl', 'export', *sys.argv[1:]]\n"
        "from edgezsl.__main__ import main\n"
        "sys.exit(main())"
    )
    command = [sys.executable, "-c", program, str(place / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'edgezsl[quantize]'" in done.stderr


def test_a_bundle_that_was_exported_runs_as_it_is(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    done = edgezsl(*typed(place, "--out", "bundle"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "classes.yaml").write_text("- cat\n- dog\n- {name: photograph, examples: [a.png]}\n")
    shutil.copy(next((place / "parity").iterdir()), tmp_path / "a.png")
    options = ["--source", place / "parity", "--classes", "classes.yaml", "--bundle", "bundle", "--jsonl", "-"]
    ran = edgezsl("run", *options, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert sum('"recognition"' in line for line in ran.stdout.splitlines()) == 120


def test_inspect_says_what_was_kept_instead_of_what_was_asked_for(place, tmp_path):
    recipe = tmp_path / "strict.yaml"
    recipe.write_text(
        "{format: edgezsl-recipe/1, name: strict, describes: None holds, opset: 17, precision_default: int8, quantization: "
        "{calibration_images: 8, candidates: [{calibrator: percentile, percentile: 90}]}, bounds: {cosine_mean: 0.9997, "
        "centred_mean: 0.9997, top1_agreement: 0.9}}"  # OpenVINO on a processor with bfloat16 keeps them, INT8 does not
    )
    done = edgezsl(*typed(place, "--recipe", recipe, "--fallback", "fp32", "--out", tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "edgezsl", "inspect", str(tmp_path / "out")]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert re.search(r"^instead of +int8: cosine_mean is", seen, re.MULTILINE), seen


def test_a_board_says_what_it_decided_and_how_much_memory_it_has(place, tmp_path):
    done = edgezsl(*typed(place, "--fp32", "--device", "jetson-orin-nano", "--out", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "device jetson-orin-nano (untested): fp32, as asked; opset 17; float32 pixels" in " ".join(
        done.stdout.split()
    )
    assert re.search(
        r"^memory       about \d+ MiB to run, estimated; the board has 4096 MiB at least$", done.stdout, re.MULTILINE
    )


def test_the_next_step_is_on_the_board_unless_this_is_the_board(place, tmp_path):
    def next_of(device, here):
        out = tmp_path / "out"
        typed_here = typed(place, "--fp32", "--device", device, "--out", out)
        done = edgezsl(*typed_here, env={**os.environ, "EDGEZSL_DEVICE": here, "COLUMNS": "80"})
        assert done.returncode == 0, done.stderr
        assert ("TensorRT  " in done.stdout) is (device != "raspberry-pi-5")
        *_, last = done.stdout.splitlines()
        return last.removeprefix("next: ").replace(str(out), "OUT")

    assert next_of("jetson-thor", "x86-cpu") == "copy OUT to the board; there: edgezsl compile out"
    assert next_of("raspberry-pi-5", "raspberry-pi-5").startswith("edgezsl run --bundle OUT --camera 0 ")


def test_a_board_that_is_not_supported_is_refused_in_one_line(place, tmp_path):
    done = edgezsl(*typed(place, "--fp32", "--device", "jetson-agx-xavier", "--out", tmp_path / "out"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "NVIDIA Jetson AGX Xavier is not supported: its last JetPack is 5" in done.stderr
