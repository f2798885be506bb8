"""`doctor` says what is there, what is not, what fails, and what to do: on this machine, and on made-up ones."""

from __future__ import annotations

import json
import struct
import sys
from subprocess import run

import pytest

from edgezsl.device import detect_profile
from edgezsl.runtime.doctor import (
    _PACKAGES,
    _engine_findings,
    _package_finding,
    _video_findings,
    camera_finding,
    camera_findings,
    examine,
    gives_pictures,
)
from edgezsl.runtime.doctor_probe import Outcome

R36_4 = "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18 22:54:44 UTC 2025\n"
R35_4 = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 19:57:35 UTC 2023\n"
MEMORY = "MemTotal:        7800000 kB\nMemFree:          187000 kB\nMemAvailable:    {} kB\n"
WORKS = Outcome("1.0", facts={"correct": True, "runs_on": ["CPU"]})
ABSENT = Outcome(missing=True)


@pytest.fixture(scope="module")
def here():
    return examine()


def a_board(folder, model, release=None, available=4_000_000):
    for name, text in (
        ("proc/device-tree/model", f"{model}\0"),
        ("proc/meminfo", MEMORY.format(available)),
        ("proc/cpuinfo", "Features\t: fp asimd asimdhp asimddp\n"),
        ("etc/nv_tegra_release", release or ""),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def found(findings, name):
    return next(one for one in findings if one.name == name)


def jetson(folder):
    return detect_profile(
        a_board(folder, "NVIDIA Jetson Orin NX Engineering Reference Developer Kit", R36_4), machine="aarch64"
    )


def test_this_machine_is_told_from_board_to_window(here):
    names = [one.name for one in here.findings]
    assert {
        "edgezsl",
        "python",
        "board",
        "cpu",
        "memory",
        *_PACKAGES,
        "engine auto",
        "gst-launch-1.0",
        "window",
    } <= set(names)
    assert len(names) == len(set(names))
    assert all(one.detail for one in here.findings)


def test_everything_that_the_tests_need_is_found_to_work(here):
    for name in (*_PACKAGES, "engine onnx", "engine openvino", "engine auto"):
        assert found(here.findings, name).state == "ok", found(here.findings, name)


def test_every_broken_finding_says_what_to_do(here):
    assert all(one.hint for one in here.findings if one.state == "broken")


def test_the_report_as_json_holds_every_finding(here):
    value = here.to_json()
    assert json.loads(json.dumps(value)) == value
    told = [one for part in ("machine", "packages", "engines", "cameras") for one in value[part]]
    assert [one["name"] for one in told] == [one.name for one in here.findings]
    assert set(told[0]) == {"name", "state", "detail", "hint"}


def test_a_recorded_jetson_is_described_by_its_board_and_its_jetpack(tmp_path):
    root = a_board(tmp_path, "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", R36_4)
    report = examine(root, machine="aarch64")
    assert report.profile == "jetson-orin-nano"
    assert "untested" in found(report.machine, "board").detail
    assert found(report.machine, "jetpack").detail == "6.2.1: Jetson Linux 36.4.7, CUDA 12.6, TensorRT 10.3"
    assert "neon, dotprod, fp16" in found(report.machine, "cpu").detail
    assert found(report.machine, "memory").detail == "3906 of 7617 MiB free"
    assert found(report.engines, "engine auto").detail.startswith("onnx: first of tensorrt, onnx for jetson-orin-nano")


@pytest.mark.parametrize(
    ("model", "release", "jetpack", "hint"),
    [
        ("Jetson-AGX", R35_4, "not supported: its system Python is 3.8", None),
        ("NVIDIA Orin Nano Developer Kit", R35_4, "not supported: its system Python is 3.8", "6.2.2, 6.2.1"),
        ("NVIDIA Jetson AGX Thor Developer Kit", R36_4, "JetPack 6.2.1; not in this board's profile", "7.1, 7.0"),
        ("NVIDIA Jetson Nano Developer Kit", R35_4.replace("R35", "R32"), "an unknown JetPack", None),
    ],
)
def test_a_jetpack_that_does_not_fit_is_a_warning(tmp_path, model, release, jetpack, hint):
    finding = found(examine(a_board(tmp_path, model, release), machine="aarch64").machine, "jetpack")
    assert finding.state == "warning"
    assert jetpack in finding.detail
    assert hint in finding.hint if hint else finding.hint is None


def test_an_unsupported_board_is_a_warning(tmp_path):
    finding = found(examine(a_board(tmp_path, "Jetson-AGX", R35_4), machine="aarch64").machine, "board")
    assert finding.state == "warning"
    assert "TensorRT is 8.5" in finding.detail


def test_a_machine_without_a_profile_is_broken_and_the_rest_is_still_told(tmp_path):
    report = examine(tmp_path, machine="armv7l")
    assert report.profile is None
    assert found(report.machine, "board").state == "broken"
    assert found(report.machine, "memory").state == "warning"
    assert found(report.engines, "engine auto").state == "ok"


def test_little_free_memory_is_a_warning(tmp_path):
    root = a_board(tmp_path, "Raspberry Pi 5 Model B Rev 1.0", available=300_000)
    finding = found(examine(root, machine="aarch64").machine, "memory")
    assert (finding.state, finding.detail) == ("warning", "292 of 7617 MiB free")


def test_an_absent_package_names_the_extra_that_brings_it(tmp_path):
    finding = _package_finding("tokenizers", ABSENT, None)
    assert (finding.state, finding.hint) == ("missing", "run: pip install 'edgezsl[text]'")
    assert _package_finding("yaml", ABSENT, None).state == "broken"
    assert "python3-opencv" in _package_finding("cv2", ABSENT, jetson(tmp_path)).hint


def test_a_package_that_the_board_does_not_use_may_be_absent(tmp_path):
    finding = _package_finding("openvino", ABSENT, jetson(tmp_path))
    assert (finding.state, finding.hint) == ("missing", None)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("ImportError: libGL.so.1: cannot open shared object file", "opencv-python-headless"),
        ("AttributeError: _ARRAY_API not found", "numpy<2"),
        ("ImportError: numpy.core.multiarray failed to import", "numpy<2"),
        ("ended its process by SIGSEGV", "pip install --force-reinstall opencv-python"),
    ],
)
def test_a_package_that_fails_comes_with_its_cure(error, hint):
    finding = _package_finding("cv2", Outcome(error=error), None)
    assert (finding.state, finding.detail) == ("broken", error)
    assert hint in finding.hint


def test_auto_takes_the_first_engine_of_the_profile_that_works(tmp_path):
    outcomes = {"engine:onnx": WORKS, "engine:openvino": Outcome(error="ended its process by SIGILL")}
    findings = _engine_findings(outcomes, detect_profile(tmp_path, machine="x86_64"))
    assert found(findings, "engine openvino").state == "broken"
    assert found(findings, "engine auto").detail.startswith("onnx: ")


def test_an_engine_that_gives_a_wrong_answer_is_not_taken(tmp_path):
    wrong = Outcome("1.0", facts={"correct": False, "runs_on": ["CPU"]})
    findings = _engine_findings({"engine:onnx": wrong, "engine:openvino": ABSENT}, None)
    assert [one.state for one in findings] == ["broken", "missing", "broken"]
    assert "edgezsl[runtime]" in found(findings, "engine auto").hint


def test_cameras_are_listed_in_order_with_their_drivers_names(tmp_path):
    for number, name in ((10, "codec"), (2, "UVC Camera (046d:0825)\n"), (0, "\x1b[31mred")):
        node = tmp_path / "sys/class/video4linux" / f"video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(name)
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / f"video{number}").touch()
    (tmp_path / "dev/video3").touch()
    told = [(one.name, one.state, one.detail) for one in camera_findings(tmp_path)]
    assert told == [
        ("camera /dev/video0", "ok", "[31mred"),
        ("camera /dev/video2", "ok", "UVC Camera (046d:0825)"),
        ("camera /dev/video3", "ok", "unnamed"),
        ("camera /dev/video10", "ok", "codec"),
    ]


def test_no_camera_is_missing_and_says_what_else_can_be_watched(tmp_path):
    (finding,) = camera_findings(tmp_path)
    assert finding.state == "missing"
    assert "rtsp://" in finding.hint


@pytest.mark.parametrize(
    ("of_driver", "of_node", "pictures"),
    [
        (0x84A00001, 0x04200001, True),  # a USB camera's first node
        (0x84A00001, 0x04A00000, False),  # its metadata
        (0x84204000, 0x04204000, False),  # a codec of a Raspberry Pi
        (0x84201000, 0x04201000, True),  # multi-planar
        (0x00000001, 0x00000000, True),  # a driver from before nodes had capabilities of their own
    ],
)
def test_a_node_is_a_camera_when_its_driver_says_that_it_captures(of_driver, of_node, pictures):
    capability = struct.pack("=16s32s32sIII12x", b"uvcvideo", b"UVC Camera", b"usb-1", 0x60112, of_driver, of_node)
    assert len(capability) == 104
    assert gives_pictures(capability) is pictures
    state = camera_finding("/dev/video0", "UVC Camera", barred_by=None, pictures=pictures).state
    assert state == ("ok" if pictures else "missing")


def test_a_camera_that_this_user_may_not_open_names_the_group():
    finding = camera_finding("/dev/video0", "UVC Camera", barred_by="video")
    assert finding.state == "broken"
    assert finding.hint == "run: sudo usermod -aG video $USER, then log in again"


def test_on_a_jetson_an_opencv_without_gstreamer_is_a_warning(tmp_path):
    pip, apt = (Outcome("4", facts={"window": "QT5", "ffmpeg": True, "gstreamer": has}) for has in (False, True))
    assert found(_video_findings(pip, jetson(tmp_path)), "opencv video").state == "warning"
    assert found(_video_findings(apt, jetson(tmp_path)), "opencv video").state == "ok"
    assert found(_video_findings(pip, None), "opencv video").state == "ok"


@pytest.mark.parametrize(
    ("facts", "display", "state", "detail"),
    [
        ({"window": "QT5"}, ":0", "ok", "QT5 on :0"),
        ({"window": "QT5"}, None, "missing", "there is no display"),
        ({"window": None}, ":0", "missing", "this OpenCV was built without windows"),
    ],
)
def test_a_window_needs_an_opencv_with_windows_and_a_display(monkeypatch, facts, display, state, detail):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    finding = found(_video_findings(Outcome("4", facts=facts), None), "window")
    assert (finding.state, finding.detail) == (state, detail)


def test_the_doctor_itself_imports_no_package_that_it_examines():
    code = "import sys, edgezsl.runtime.doctor; print(*sorted({'cv2', 'onnxruntime', 'openvino', 'tokenizers', 'yaml'} & set(sys.modules)))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
