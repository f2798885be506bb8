"""Whatever a hub, its HTTP client or a loader raises is one of the exceptions that an import turns into its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgezsl.encoders.hub import loading_errors

# A hub that is not to be asked (one that does not answer is tried for a minute), and a file that is no safetensors.
PROGRAM = """
import sys
from pathlib import Path
from edgezsl.encoders.timm_models import load_timm
from edgezsl.errors import ModelError
broken = Path(sys.argv[1]) / "broken.safetensors"
broken.write_bytes(b"no such thing")
for reference in ("mobilenetv3_small_050", f"mobilenetv3_small_050@{broken}"):
    try:
        load_timm(reference)
    except ModelError as fault:
        print(fault.code)
"""


def test_a_hub_out_of_reach_and_a_broken_file_are_errors_of_ours(tmp_path):
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.stdout.split() == ["not_reached", "not_readable"], done.stderr


def test_every_error_of_the_hub_is_known():
    errors = pytest.importorskip("huggingface_hub.errors")
    assert issubclass(errors.HfHubHTTPError, loading_errors())
    assert issubclass(errors.LocalEntryNotFoundError, loading_errors())
