"""What `edgezsl devices` prints: readable at the width of a terminal, and whole as JSON."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app
from edgezsl.device import all_profiles, load_profile
from edgezsl.device_profile import DeviceProfile

NAMES = [profile.name for profile in all_profiles()]


def typed(*arguments, columns=80):
    done = CliRunner().invoke(app, ["devices", *arguments], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_fits_the_terminal_and_keeps_every_name_whole(columns):
    said = typed("list", columns=columns)
    assert all(any(line.startswith(f"{name} ") for line in said.splitlines()) for name in NAMES)
    assert max(len(line.rstrip()) for line in said.splitlines()) <= columns


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_board_fits_the_terminal_but_for_what_is_copied_whole(name, columns):
    said = typed("show", name, columns=columns)
    assert not any(sign in said for sign in ("{'", "[{", "None", "()"))
    uris = {f"   {camera.uri}" for camera in load_profile(name).cameras}
    for line in said.splitlines():
        assert len(line.rstrip()) <= columns or line in uris or "http" in line.split()[-1], line


def test_the_page_of_a_board_tells_everything_that_its_profile_holds():
    words = " ".join(typed("show", "jetson-agx-orin").split())
    for part in (
        "status untested: written from public documents",
        "memory 32 or 64 GB",
        "DLA present, unused: edgezsl's INT8",
        "0 MAXN - developer kit",
        "7.2.2 - 13.2 11.4 3.12 -",
        "6.2.1 36.4.4, 36.4.7 12.6 10.3 3.10 -",
        "8.6 3.10 its TensorRT is 8.6",
        "gst:nvarguscamerasrc sensor-id=0 !",
        "fastvit 1",
        "jetpack NVIDIA, JetPack Archive",
    ):
        assert part in words, part
    measured = " ".join(typed("show", "x86-cpu").split())
    assert "measured, benchmarks/results/x86-avx2/builtin_speed.json" in measured
    assert "builtin fp32, 128 px, onnx: median 2.39 ms" in measured


@pytest.mark.parametrize("name", NAMES)
def test_json_holds_every_field(name):
    value = json.loads(typed("show", name, "--json"))
    assert set(value) == {"format", *(field.name for field in fields(DeviceProfile))}
    assert value in json.loads(typed("list", "--json"))["devices"]
