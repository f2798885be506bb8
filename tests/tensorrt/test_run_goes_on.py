"""`edgezsl run` beside real bindings that cannot work here: it says in a line what is wrong, and ONNX Runtime answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tensorrt.bindings import CUDA, ROOT, TENSORRT, fetched, stub_libraries

pytestmark = pytest.mark.tensorrt
LATEST = TENSORRT[2]
BEFORE = "tensorrt was not taken: "


@pytest.fixture
def alias(tmp_path):
    """A folder that makes the bindings importable as `tensorrt`, as NVIDIA's metapackage does."""
    folder = tmp_path / "alias"
    (folder / "tensorrt").mkdir(parents=True)
    (folder / "tensorrt/__init__.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    return folder


def run(tmp_path, *folders, libraries=""):
    """Run a stream of five frames on what a board prefers; return what it said of its engine, and how it ended."""
    classes = tmp_path / "classes.yaml"
    classes.write_text("- cat\n- dog\n")
    command = [sys.executable, "-m", "edgezsl", "run", "--source", "synthetic:?frames=5", "--classes", str(classes)]
    command += ["--device", "jetson-orin-nano", "--as-fast-as-possible"]
    places = {"PYTHONPATH": os.pathsep.join(map(str, folders)), "LD_LIBRARY_PATH": str(libraries)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT, env={**os.environ, **places}
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert any(line.startswith("5 frames answered") for line in said), said
    (engine,) = (line for line in said if line.startswith("engine: "))
    assert engine.startswith("engine: onnxruntime "), engine
    assert "Traceback" not in done.stderr
    return engine


def test_without_tensorrt(tmp_path):
    engine = run(tmp_path)
    assert "tensorrt is not installed; run: pip install 'edgezsl[tensorrt]'" in engine
    assert "on a Jetson JetPack brings it" in engine


def test_with_a_tensorrt_whose_libraries_are_missing(tmp_path, alias):
    engine = run(tmp_path, alias, fetched(LATEST))
    assert f"{BEFORE}the engine tensorrt needs the Python package 'tensorrt', which " in engine
    assert ".so.10: cannot open shared object file" in engine


def test_with_a_tensorrt_that_is_no_python_package_but_rubbish(tmp_path, alias):
    (alias / "tensorrt/__init__.py").write_text("raise ImportError('undefined symbol: _ZN8nvinfer1')\n")
    assert "undefined symbol" in run(tmp_path, alias)


def test_with_a_tensorrt_and_without_cuda_bindings(tmp_path, alias):
    libraries = Path(stub_libraries(LATEST.major)[0]).parent
    engine = run(tmp_path, alias, fetched(LATEST), libraries=libraries)
    assert f"{BEFORE}the engine tensorrt needs the Python package 'cuda-bindings'" in engine


@pytest.mark.parametrize("cuda", CUDA, ids=lambda binding: binding.version)
def test_with_all_of_it_and_no_gpu(tmp_path, alias, cuda):
    libraries = Path(stub_libraries(LATEST.major)[0]).parent
    engine = run(tmp_path, alias, fetched(LATEST), fetched(cuda), libraries=libraries)
    assert f"{BEFORE}there is no GPU that CUDA can use" in engine
