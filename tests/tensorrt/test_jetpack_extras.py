"""What pip would put on a Jetson, and on every other board: asked for its machine and its Python, from wheels alone."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from edgezsl.catalogue import catalogue_folder
from tests.tensorrt.bindings import ROOT
from tests.tensorrt.resolution import Board, resolved

pytestmark = pytest.mark.tensorrt
JETPACKS = {"jetpack6": Board("aarch64", "3.10"), "jetpack7": Board("aarch64", "3.12")}
FROM_JETPACK = {"opencv-python", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "tensorrt"}
OTHERS = (Board("x86_64", "3.10"), Board("aarch64", "3.13"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, f"--wheel-dir={folder}", str(ROOT)], check=True, timeout=300)
    return next(folder.glob("edgezsl-*.whl"))


def pins(name):
    """Return what a file of constraints holds a board without JetPack to, or one of JetPack."""
    return catalogue_folder("devices") / "provision" / f"constraints-{name}.txt"


@pytest.mark.parametrize("extra", JETPACKS)
def test_an_extra_of_jetpack_brings_nothing_that_jetpack_brings(wheel, extra):
    found = resolved([f"{wheel}[{extra}]"], JETPACKS[extra])
    assert found["numpy"].startswith("1.26."), "JetPack's cv2 is built against NumPy 1"
    assert found["cuda-bindings"].split(".")[0] == {"jetpack6": "12", "jetpack7": "13"}[extra]
    assert "tokenizers" in found
    assert not FROM_JETPACK & set(found)
    assert not {name for name in found if name.startswith(("tensorrt", "nvidia-", "torch"))}


@pytest.mark.parametrize("extra", JETPACKS)
def test_the_versions_kept_for_a_jetpack_are_a_set_that_pip_accepts_whole(wheel, extra):
    found = resolved([f"{wheel}[{extra}]", "onnxruntime"], JETPACKS[extra], constraints=pins(extra))
    kept = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", pins(extra).read_text(), re.MULTILINE))
    assert {name: version for name, version in found.items() if name != "edgezsl"} == kept


@pytest.mark.parametrize("board", OTHERS, ids=str)
def test_the_versions_kept_for_other_boards_leave_no_package_free(wheel, board):
    openvino = ",openvino" if board.machine == "x86_64" else ""
    found = resolved([f"{wheel}[camera,text{openvino}]", "onnxruntime"], board, constraints=pins("device"))
    names = set(re.findall(r"^([a-z0-9-]+)==", pins("device").read_text(), re.MULTILINE))
    assert set(found) - {"edgezsl"} <= names


def test_a_set_that_does_not_fit_is_no_set(wheel, tmp_path):
    """The seeded defect: a NumPy that JetPack's cv2 cannot stand."""
    (tmp_path / "constraints.txt").write_text("numpy==2.2.6\n")
    with pytest.raises(AssertionError, match="conflicting dependencies"):
        resolved([f"{wheel}[jetpack6]"], JETPACKS["jetpack6"], constraints=tmp_path / "constraints.txt")
