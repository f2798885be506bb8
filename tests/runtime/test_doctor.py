"""`doctor` says what is there, what is not, what fails, and what to do: on this machine, and on made-up ones."""

from __future__ import annotations

import json
import struct
import sys
from importlib import metadata
from pathlib import Path
from subprocess import run

import pytest

from edgezsl.device import detect_profile
from edgezsl.runtime.doctor import examine
from edgezsl.runtime.doctor_board import sensor_findings
from edgezsl.runtime.doctor_cameras import camera_finding, camera_findings, gives_pictures, video_findings
from edgezsl.runtime.doctor_engines import (
    engine_findings,
    gpu_finding,
    offered_providers,
    plan_finding,
    tensorrt_and_driver,
)
from edgezsl.runtime.doctor_packages import package_finding, shown_step, together_findings
from edgezsl.runtime.doctor_probe import Clash, Outcome, probe, probe_together
from edgezsl.runtime.engine import ENGINES
from edgezsl.runtime.packages import CUDA_BINDINGS, PACKAGES
from edgezsl.runtime.power import PowerMeter
from tests.sensors import HWMON, ORIN_NANO, THOR, lay

ROOT = Path(__file__).parents[2]
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
        *map(shown_step, PACKAGES),
        "gpu",
        "tensorrt plan",
        "engine auto",
        "gst-launch-1.0",
        "window",
    } <= set(names)
    assert len(names) == len(set(names))
    assert all(one.detail for one in here.findings)


def test_everything_that_the_tests_need_is_found_to_work(here):
    needed = set(PACKAGES) - {"tensorrt", CUDA_BINDINGS}
    for name in (*needed, "together", "engine onnx", "engine openvino", "engine auto"):
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


def test_a_jetpack_without_a_release_of_its_own_is_known_by_its_package(tmp_path):
    status = "Package: nvidia-jetpack\nStatus: install ok installed\nVersion: 7.2.2+b10\n"
    release = R36_4.replace("R36", "R39").replace("4.7", "2.2")
    root = a_board(lay(tmp_path, {"var/lib/dpkg/status": status}), "NVIDIA Jetson AGX Thor Developer Kit", release)
    finding = found(examine(root, machine="aarch64").machine, "jetpack")
    assert (finding.state, finding.detail.partition(":")[0]) == ("ok", "7.2.2")


def test_a_later_revision_of_what_is_known_is_no_reason_to_flash(tmp_path):
    release = R36_4.replace("R36", "R39").replace("4.7", "2.9")
    root = a_board(tmp_path, "NVIDIA Jetson AGX Thor Developer Kit", release)
    finding = found(examine(root, machine="aarch64").machine, "jetpack")
    assert (finding.state, finding.hint) == ("warning", None)
    assert "probably JetPack 7.2.1 or a later one" in finding.detail


def test_a_jetpack_whose_tensorrt_is_too_old_is_a_warning(tmp_path):
    release = R36_4.replace("4.7", "3.0")
    root = a_board(tmp_path, "NVIDIA Jetson Orin Nano Developer Kit", release)
    finding = found(examine(root, machine="aarch64").machine, "jetpack")
    assert finding.state == "warning"
    assert "its TensorRT is 8.6, and edgezsl needs 10.3" in finding.detail
    assert "6.0" not in finding.hint


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
    finding = package_finding("tokenizers", ABSENT, None)
    assert (finding.state, finding.hint) == ("missing", "run: pip install 'edgezsl[text]'")
    assert package_finding("yaml", ABSENT, None).state == "broken"
    assert "python3-opencv" in package_finding("cv2", ABSENT, jetson(tmp_path)).hint


def test_what_is_missing_and_not_for_the_board_is_unused_and_there_is_nothing_to_do_about_it(tmp_path):
    report = examine(a_board(tmp_path, "Raspberry Pi 5 Model B Rev 1.0", None), machine="aarch64")
    for name in ("tensorrt", "cuda-bindings", "tensorrt plan", "engine tensorrt"):
        finding = found(report.findings, name)
        assert (finding.state, finding.hint) == ("unused", None), finding


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
    finding = package_finding("cv2", Outcome(error=error), None)
    assert (finding.state, finding.detail) == ("broken", error)
    assert hint in finding.hint


def test_auto_takes_the_first_engine_of_the_profile_that_works(tmp_path):
    outcomes = {
        "engine:onnx": WORKS,
        "engine:openvino": Outcome(error="ended its process by SIGILL"),
        "engine:tensorrt": ABSENT,
    }
    findings = engine_findings(outcomes, detect_profile(tmp_path, machine="x86_64"))
    assert found(findings, "engine openvino").state == "broken"
    assert found(findings, "engine auto").detail.startswith("onnx: ")


def test_an_engine_that_gives_a_wrong_answer_is_not_taken(tmp_path):
    wrong = Outcome("1.0", facts={"correct": False, "runs_on": ["CPU"]})
    findings = engine_findings({"engine:onnx": wrong, "engine:openvino": ABSENT, "engine:tensorrt": ABSENT}, None)
    assert [one.state for one in findings] == ["broken", "missing", "missing", "broken"]
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
    assert state == ("ok" if pictures else "unused")


def test_a_camera_that_this_user_may_not_open_names_the_group():
    finding = camera_finding("/dev/video0", "UVC Camera", barred_by="video")
    assert finding.state == "broken"
    assert finding.hint == "run: sudo usermod -aG video $USER, then log in again"


def test_on_a_jetson_an_opencv_without_gstreamer_is_a_warning(tmp_path):
    pip, apt = (Outcome("4", facts={"window": "QT5", "ffmpeg": True, "gstreamer": has}) for has in (False, True))
    assert found(video_findings(pip, jetson(tmp_path)), "opencv video").state == "warning"
    assert found(video_findings(apt, jetson(tmp_path)), "opencv video").state == "ok"
    assert found(video_findings(pip, None), "opencv video").state == "ok"


@pytest.mark.parametrize(
    ("facts", "display", "state", "detail"),
    [
        ({"window": "QT5"}, ":0", "ok", "QT5 on :0"),
        ({"window": "QT5"}, None, "unused", "there is no display"),
        ({"window": None}, ":0", "missing", "this OpenCV was built without windows"),
    ],
)
def test_a_window_needs_an_opencv_with_windows_and_a_display(monkeypatch, facts, display, state, detail):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    finding = found(video_findings(Outcome("4", facts=facts), None), "window")
    assert (finding.state, finding.detail) == (state, detail)


def test_the_doctor_itself_imports_no_package_that_it_examines():
    code = "import sys, edgezsl.runtime.doctor; print(*sorted({'cv2', 'onnxruntime', 'openvino', 'tokenizers', 'yaml'} & set(sys.modules)))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# What an extension module does that was built for NumPy 1, and what the installed NumPy 2 answers: a page on stderr.
OF_NUMPY_1 = "import importlib\nimportlib.import_module('numpy.core._multiarray_umath')._ARRAY_API\n"
CV2 = "__version__ = '4.8.0'\ndef getBuildInformation(): return '  GStreamer:  YES (1.20.3)'\n"
NO_GPU = {"error": "there is no GPU that CUDA can use (cudaErrorNoDevice)", "code": "no_gpu"}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Return a function that lays modules in a folder that comes before what is installed: paths to texts."""
    folder = tmp_path / "site"
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")

    def write(**texts):
        lay(folder, {f"{name.replace('__', '/')}.py": text for name, text in texts.items()})
        return folder

    return write


def together(names):
    outcomes, clashes = probe_together(("numpy", *names), limit_s=60)
    return outcomes, together_findings(outcomes, clashes, None)


def test_a_package_that_was_built_for_numpy_1_is_named_with_the_numpy_that_it_meets(packages):
    packages(cv2=f"{OF_NUMPY_1}{CV2}")
    outcomes, (finding,) = together(["cv2"])
    assert (finding.name, finding.state) == ("cv2 with numpy", "broken")
    assert f"built for NumPy 1 and meets NumPy {metadata.version('numpy')}" in finding.detail
    assert finding.hint == "run: pip install 'numpy<2'"
    assert package_finding("cv2", outcomes["cv2"], None).hint == finding.hint


def test_one_that_goes_on_in_spite_of_it_is_a_warning(packages):
    packages(cv2=f"try:\n    {OF_NUMPY_1.strip().replace(chr(10), '; ')}\nexcept Exception: pass\n{CV2}")
    outcomes, (finding,) = together(["cv2"])
    assert outcomes["cv2"].works
    assert (finding.name, finding.state) == ("cv2 with numpy", "warning")
    assert "may crash" in finding.detail


def test_one_that_was_built_for_numpy_2_is_told_from_it_and_on_a_jetson_numpy_stays(tmp_path):
    outcomes = {
        "numpy": Outcome("1.26.4", facts={"places": ["/venv", "/usr/lib/python3/dist-packages"]}),
        "cv2": Outcome(error="ImportError: numpy._core.multiarray failed to import"),
    }
    (pc,), (board,) = (together_findings(outcomes, (), one) for one in (None, jetson(tmp_path)))
    assert "built for NumPy 2 and meets NumPy 1.26.4 (from /venv, which hides the NumPy in /usr/lib" in pc.detail
    assert pc.hint == "run: pip install 'numpy>=2'"
    assert "sudo apt install python3-opencv" in board.hint


def test_a_fault_under_the_numpy_that_it_was_built_for_is_its_own():
    outcomes = {"numpy": Outcome("2.4.6"), "cv2": Outcome(error="ImportError: numpy._core.multiarray failed to import")}
    assert found(together_findings(outcomes, (), None), "together").state == "ok"
    assert "--force-reinstall" in package_finding("cv2", outcomes["cv2"], None).hint


def test_a_pair_that_crashes_in_one_process_is_named_with_its_order(packages):
    packages(cv2=CV2, tensorrt="import sys, os\nif 'cv2' in sys.modules: os.abort()\n__version__ = '10.3.0'")
    outcomes, (finding,) = together(["cv2", "tensorrt"])
    assert outcomes["tensorrt"].works
    assert (finding.name, finding.state) == ("tensorrt with cv2", "broken")
    assert "works alone, but not after cv2 in one process: ended its process by SIGABRT" in finding.detail
    assert "tensorrt first" in finding.detail
    assert "another version of cv2 or tensorrt" in finding.hint


def test_a_library_without_room_for_its_thread_local_memory_is_to_be_loaded_first():
    library = "/usr/lib/aarch64-linux-gnu/libgomp.so.1"
    clash = Clash(
        "cv2", ("onnxruntime",), f"ImportError: {library}: cannot allocate memory in static TLS block", other_way=True
    )
    (finding,) = together_findings({"cv2": WORKS, "onnxruntime": WORKS}, (clash,), None)
    assert f"LD_PRELOAD={library}" in finding.hint


def test_a_pip_opencv_that_hides_jetpacks_says_where_both_lie_and_what_to_run(packages, tmp_path, monkeypatch):
    system = lay(tmp_path / "usr/lib/python3.10/dist-packages", {"cv2/__init__.py": CV2})
    ours = packages(cv2="__version__ = '5'\ndef getBuildInformation(): return ''")
    monkeypatch.setenv("PYTHONPATH", f"{ours}:{system}")
    outcome = probe(("cv2",), limit_s=60)["cv2"]
    finding = package_finding("cv2", outcome, jetson(tmp_path))
    assert finding.state == "warning"
    assert f"in {ours} hides JetPack's in {system}" in finding.detail
    assert finding.hint == "run: pip uninstall opencv-python"
    assert str(system) in found(video_findings(outcome, jetson(tmp_path)), "opencv video").hint
    assert package_finding("cv2", outcome, None).state == "ok"


def test_a_jetpack_package_that_this_environment_does_not_see_is_not_asked_for_again(tmp_path):
    system = lay(tmp_path / "usr/lib/python3.10/dist-packages", {"cv2/__init__.py": "", "tensorrt/__init__.py": ""})
    for name in ("cv2", "tensorrt"):
        finding = package_finding(name, ABSENT, jetson(tmp_path), tmp_path)
        assert f"JetPack's lies in {system}" in finding.detail
        assert "--system-site-packages" in finding.hint
        assert "apt install" in package_finding(name, ABSENT, jetson(tmp_path / "bare"), tmp_path / "bare").hint


def test_the_bindings_of_cuda_come_with_the_extra_of_the_jetpack(tmp_path):
    assert package_finding(CUDA_BINDINGS, ABSENT, jetson(tmp_path)).hint == "run: pip install 'edgezsl[jetpack6]'"
    old = a_board(tmp_path / "old", "NVIDIA Jetson Orin Nano Developer Kit", R35_4)
    finding = package_finding(CUDA_BINDINGS, ABSENT, detect_profile(old, machine="aarch64"))
    assert (finding.state, finding.hint) == ("missing", None)  # JetPack 5 has no extra


def engines_with(packages, **modules):
    packages(**modules)
    outcomes = probe([f"engine:{name}" for name in ENGINES] + ["gpu"], limit_s=60)
    return outcomes, engine_findings(outcomes, None)


@pytest.mark.parametrize(
    ("version", "refused"), [("8.5.2.2", True), ("10.2.0", True), ("12.0.0", True), ("10.3.0", False)]
)
def test_a_tensorrt_of_another_age_is_refused_in_words(packages, version, refused):
    _, findings = engines_with(packages, tensorrt=f"__version__ = '{version}'")
    finding = found(findings, "engine tensorrt")
    assert (finding.state == "broken") is refused
    assert (f"TensorRT {version} is installed; expected at least 10.3 and below 12.0" in finding.detail) is refused
    if not refused:
        assert "cuda-bindings" in finding.detail
        assert "edgezsl[tensorrt]" in finding.hint


A_GPU = """
import sys
from types import SimpleNamespace
from tests.fakes_cuda import FakeCudart, FakeGpu
class Cudart(FakeCudart):
    def cudaGetDeviceProperties(self, number):
        return self.cudaError_t(0), SimpleNamespace(name=b"Orin", major=8, minor=7, multiProcessorCount=8)
sys.modules[__name__] = Cudart(FakeGpu(devices={}, driver={}))
"""


def test_a_machine_with_tensorrt_and_a_gpu_says_which_plan_is_lacking_and_what_compile_would_give(
    packages, tmp_path, monkeypatch
):
    monkeypatch.setenv("EDGEZSL_PLANS", str(tmp_path / "plans"))
    outcomes, findings = engines_with(
        packages, tensorrt="__version__ = '10.3.0'", cuda__bindings__runtime=A_GPU.format(1, 13000)
    )
    gpu = gpu_finding(outcomes["gpu"], None, tmp_path)
    assert (gpu.state, gpu.detail) == (
        "ok",
        "Orin, compute capability 8.7, 8 SMs, 1024 MiB free, driver for CUDA 13.0",
    )
    engine = found(findings, "engine tensorrt")
    assert engine.state == "missing"
    assert "no TensorRT plan" in engine.detail
    assert "edgezsl compile" in engine.hint
    plan = plan_finding(outcomes["engine:tensorrt"])
    assert plan.state == "missing"
    assert "`edgezsl compile` would build" in plan.detail
    assert "int8" in plan.detail
    assert found(findings, "engine auto").detail.startswith("onnx: ") or "openvino" in findings[-1].detail


@pytest.mark.parametrize(
    ("devices", "driver", "state", "words"),
    [
        (0, 13000, "missing", "not needed"),
        (0, 0, "missing", "not needed"),
        (1, 12040, "broken", "for CUDA 12.4; expected"),
    ],
)
def test_a_gpu_that_is_absent_is_told_from_a_driver_that_is_too_old(packages, tmp_path, devices, driver, state, words):
    packages(cuda__bindings__runtime=A_GPU.format(devices, driver))
    finding = gpu_finding(probe(("gpu",), limit_s=60)["gpu"], None, tmp_path)
    assert finding.state == state
    assert words in finding.detail


def test_a_driver_without_its_gpu_is_a_warning(tmp_path):
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build"
    lay(tmp_path, {"proc/driver/nvidia/version": version})
    finding = gpu_finding(Outcome(error=NO_GPU["error"], facts=NO_GPU), None, tmp_path)
    assert finding.state == "warning"
    assert "driver 540.4.0 is loaded" in finding.detail
    assert (
        gpu_finding(Outcome(error=NO_GPU["error"], facts=NO_GPU), jetson(tmp_path / "board"), tmp_path / "no").state
        == "warning"
    )


def test_a_tensorrt_for_a_later_cuda_than_the_driver_is_a_pair_that_does_not_fit(packages):
    folder = packages(tensorrt="")
    dist = folder / "tensorrt_cu13-10.13.3.9.dist-info"
    lay(dist, {"METADATA": "Metadata-Version: 2.1\nName: tensorrt-cu13\nVersion: 10.13.3.9"})
    code = "from edgezsl.runtime.doctor_engines import *; from edgezsl.runtime.doctor_probe import Outcome;"
    code += "print(*tensorrt_and_driver({'tensorrt': Outcome('10'), 'gpu': Outcome(facts={'cuda_driver': '%s'})}))"
    old, new = (
        run([sys.executable, "-c", code % one], capture_output=True, text=True, check=True) for one in ("12.6", "13.0")
    )
    assert "tensorrt-cu13 was built for CUDA 13, the driver is for CUDA 12.6" in old.stdout
    assert "pip install tensorrt-cu12" in old.stdout
    assert new.stdout.strip() == ""
    assert tensorrt_and_driver({"tensorrt": ABSENT, "gpu": Outcome(facts={"cuda_driver": "12.6"})}) == ()


def test_two_opencvs_of_pip_at_once_are_a_warning_with_the_one_to_remove(packages):
    dist = packages(cv2=CV2) / "opencv_python_headless-4.13.0.dist-info"
    lay(dist, {"METADATA": "Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 4.13.0"})
    code = "from edgezsl.runtime.doctor_packages import *; from edgezsl.runtime.doctor_probe import Outcome;"
    code += "print(package_finding('cv2', Outcome('4.13.0'), None))"
    said = run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "state='warning'" in said
    assert "opencv-python-headless 4.13.0" in said
    assert "run: pip uninstall opencv-python-headless" in said


def test_a_gpu_build_of_onnx_runtime_that_does_not_reach_the_gpu_is_a_warning(packages):
    packages(
        onnxruntime="""
import sys, importlib.util, importlib.machinery
here = [one for one in sys.path if not one.endswith("/site")]
spec = importlib.machinery.PathFinder.find_spec("onnxruntime", here)
real = importlib.util.module_from_spec(spec)
sys.modules["onnxruntime"] = real
spec.loader.exec_module(real)
offered = real.get_available_providers
real.get_available_providers = lambda: ["CUDAExecutionProvider", *offered()]
"""
    )
    outcomes = probe([f"engine:{name}" for name in ENGINES], limit_s=60)
    assert offered_providers(outcomes) == ("onnx:cuda",)
    outcomes.update(probe(["engine:onnx:cuda"], limit_s=60))
    findings = engine_findings(outcomes, None)
    assert found(findings, "engine onnx").state == "ok"
    assert found(findings, "engine onnx:cuda").state == "warning"
    assert "cuda provider does not work here" in found(findings, "engine onnx:cuda").detail
    outcomes["engine:onnx:cuda"] = Outcome("1.32.0", facts={"correct": True})
    assert found(engine_findings(outcomes, None), "engine onnx:cuda").state == "ok"


def test_a_recorded_jetson_shows_its_power_mode_clocks_and_sensors(tmp_path):
    report = examine(lay(tmp_path, ORIN_NANO), machine="aarch64")
    told = {one.name: (one.state, one.detail) for one in report.machine}
    assert told["power mode"] == ("ok", "2, MAXN_SUPER")
    assert told["tensorrt on disk"] == ("ok", "10.3.0.30-1+cuda12.5")
    assert told["clocks"][1].endswith(
        "17000000.gpu 1020 of 1020-1020 MHz (nvhost_podgov); all held, as by jetson_clocks"
    )
    assert told["power"] == ("ok", "9.3 W (VDD_IN)")
    assert told["temperature"] == ("ok", "63.8 °C at most, of tj-thermal")
    assert told["throttling"][0] == "warning"
    assert "under-voltage 1, instantaneous over-current 2" in told["throttling"][1]
    assert "nvidia-jetpack is 6.2.1+b38" in told["jetpack"][1]


def test_a_board_that_is_throttled_now_is_a_warning_with_what_to_do(tmp_path):
    found_now = found(sensor_findings(PowerMeter(lay(tmp_path, THOR))), "throttling")
    assert (found_now.state, found_now.detail) == ("warning", "in force: gpu too hot")
    assert "cool the board" in found_now.hint
    lay(tmp_path, {HWMON.format(3, "name"): "soctherm_oc", HWMON.format(3, "oc3_event_cnt"): 37})
    (tmp_path / "sys/class/thermal/cooling_device3/cur_state").write_text("0")
    quiet = found(sensor_findings(PowerMeter(tmp_path)), "throttling")
    assert (quiet.state, quiet.detail) == ("ok", "none now; since it was started: instantaneous over-current 37")


def test_a_jetpack_5_on_disk_is_refused_in_words(tmp_path):
    status = "Package: libnvinfer8\nStatus: install ok installed\nVersion: 8.5.2-1+cuda11.4\n"
    finding = found(
        examine(lay(tmp_path, {"var/lib/dpkg/status": status}), machine="aarch64").machine, "tensorrt on disk"
    )
    assert finding.state == "warning"
    assert "at least 10.3" in finding.detail
