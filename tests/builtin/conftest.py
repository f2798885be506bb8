"""What the tests of the built-in model share.

They import nothing of the other tests: CI copies this folder beside an installed wheel, where there is no torch, no onnx
and no checkout, and runs it there again.
"""

import subprocess
import sys

import cv2
import pytest

from edgezsl import Bundle
from edgezsl.demo.photographs import find_photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder with the demo's photographs, each named by what it shows."""
    folder = tmp_path_factory.mktemp("photographs")
    for one in find_photographs()[0]:
        name = one.title.split(" ", 1)[1].replace(" ", "_").replace("'", "")
        assert cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(one.image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="session")
def bundle():
    """The bundle that comes with edgezsl."""
    return Bundle.open()


@pytest.fixture(scope="session")
def edgezsl():
    """The program, as a function of its arguments."""

    def run(*arguments, cwd=None, status=0):
        command = [sys.executable, "-m", "edgezsl", *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run
