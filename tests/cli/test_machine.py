"""`devices detect` and the last line of `run`: what the machine says of itself, where it says something and where not."""

from __future__ import annotations

import json
import sys
from functools import partial
from subprocess import run

import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app
from edgezsl.device import detect_profile
from edgezsl.runtime.board import board_readings
from edgezsl.runtime.doctor import DoctorReport
from edgezsl.runtime.finding import Finding
from edgezsl.runtime.power import PowerMeter
from tests.factories import write_small_bundle
from tests.sensors import ORIN_NANO, lay


@pytest.fixture
def on_a_board(tmp_path, monkeypatch):
    """Let the commands read a recorded Orin Nano in place of this machine."""
    root = lay(tmp_path / "board", ORIN_NANO)
    monkeypatch.setattr("edgezsl.device.detect_profile", partial(detect_profile, root, machine="aarch64"))
    monkeypatch.setattr("edgezsl.runtime.board.board_readings", partial(board_readings, root))
    monkeypatch.setattr("edgezsl.runtime.power.PowerMeter", partial(PowerMeter, root))


# A process of its own: `run` changes how Python shares its lock between threads.
RUN = """
import pathlib, sys
from functools import partial
from edgezsl.runtime import power
power.PowerMeter = partial(power.PowerMeter, pathlib.Path(sys.argv.pop(1)))
from edgezsl.__main__ import main
main()
"""


@pytest.fixture
def last_line(small_bundle, tmp_path):
    """Return a function that recognises three frames on a machine with some files, and returns the last line that is said."""

    def run_there(files):
        root = lay(tmp_path / "machine", files)
        classes = tmp_path / "classes.yaml"
        classes.write_text("[red, green]\n")
        words = ["run", "--source", "synthetic:?width=160&height=120&fps=30&frames=3", "--classes", classes]
        words += ["--bundle", small_bundle.folder, "--engine", "onnx"]
        command = [sys.executable, "-c", RUN, root, *words]
        return run([*map(str, command)], capture_output=True, text=True, check=True).stderr.strip().splitlines()[-1]

    return run_there


def test_a_recorded_jetson_is_shown_with_its_setup_and_sensors(on_a_board):
    said = CliRunner().invoke(app, ["devices", "detect"]).stdout
    assert "jetson-orin-nano" in said.splitlines()[0]
    for words in ("2, MAXN_SUPER", "5122 of 7620 MiB free", "jetson_clocks", "9.3 W (VDD_IN)", "63.8 °C", "6.2.1+b38"):
        assert words in said
    value = json.loads(CliRunner().invoke(app, ["devices", "detect", "--json"]).stdout)
    assert value["readings"]["power_mode"] == {"number": 2, "name": "MAXN_SUPER"}
    assert value["readings"]["clocks_held"] is True
    assert value["power"]["watts"] == pytest.approx(4.984 * 1.856)
    assert value["power"]["throttling"]["events"]["instantaneous over-current"] == 2


def test_this_machine_is_shown_whatever_it_says():
    done = CliRunner().invoke(app, ["devices", "detect", "--json"])
    assert done.exit_code == 0
    assert set(json.loads(done.stdout)) == {
        "profile",
        "reason",
        "l4t",
        "jetpack",
        "jetpack_before",
        "model",
        "readings",
        "power",
    }
    assert CliRunner().invoke(app, ["devices", "detect"]).exit_code == 0


def test_the_last_line_of_a_run_says_what_the_board_drew(last_line):
    said = last_line(ORIN_NANO)
    assert said.startswith("3 frames answered")
    assert said.endswith("0 refusals; 9.3 W on average (VDD_IN), at most 64 °C, not throttled")


def test_where_nothing_is_reported_the_last_line_ends_with_the_counts(last_line):
    assert last_line({}).endswith("0 refusals")


def test_a_bench_names_each_bundle_by_its_folder_once_and_compares_what_is_alike(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folders = [write_small_bundle(tmp_path / name).folder for name in ("first", "second")]
    typed = ["bench", "--runs", "5", "--engine", "onnx", "--cold", "--threads", "1", "--classes", "10"]
    done = CliRunner().invoke(app, [*typed, *(word for folder in folders for word in ("--bundle", str(folder)))])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.partition("(")[0] for line in lines if " px, " in line] == ["1  first ", "2  second "]
    assert done.stdout.count("a new process: ") == done.stdout.count(" MiB of memory at most") == 2
    cells = [line.rsplit(maxsplit=4) for line in lines if line]
    shares = {line[0]: line[-1] for line in cells if line[0] in {"engine 1", "engine 2", "whole frame 1"}}
    assert shares["engine 1"] == shares["whole frame 1"] == "1.00"
    assert float(shares["engine 2"]) > 0
    (alone,) = [line[-1] for line in cells if line[0].startswith("score 10 classes")]
    assert alone == "-"
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)


def test_doctor_ends_with_a_verdict_and_a_status(monkeypatch):
    fine, broken = Finding("numpy", "ok", "numpy 2"), Finding("cv2", "broken", "it was built for another NumPy")
    for findings, status, last in (((fine,), 0, "ready"), ((fine, broken), 1, "fix 1 thing: cv2")):
        report = DoctorReport("x86-cpu", (), findings, (), ())
        monkeypatch.setattr("edgezsl.runtime.doctor.examine", lambda report=report: report)
        done = CliRunner().invoke(app, ["doctor"])
        assert (done.exit_code, done.stdout.splitlines()[-1]) == (status, last)
        told = CliRunner().invoke(app, ["doctor", "--json"])
        value = json.loads(told.stdout)
        assert (told.exit_code, value["broken"]) == (status, ["cv2"] * status)
        assert value["verdict"] == ("broken" if status else "ready")
