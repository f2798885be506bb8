"""Profiles are read strictly, every figure has a source, and a board is recognised by what Linux says of it."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest

from edgezsl.catalogue import catalogue_folder
from edgezsl.device import all_profiles, cpu_features, detect_profile, load_profile
from edgezsl.errors import ProfileError
from edgezsl.runtime.sources import public_name

JETSONS = ("jetson-orin-nano", "jetson-orin-nx", "jetson-agx-orin", "jetson-thor")

# /etc/nv_tegra_release as users recorded it (issues of rbonghi/jetson_stats and public notes; only the first line counts)
R35_3 = (
    "# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64, DATE: Sun Mar 19 15:19:21 UTC 2023"
)
R35_4 = (
    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 19:57:35 UTC 2023"
)
R36_44 = (
    "# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64, DATE: Mon Jun 16 16:07:13 UTC 2025"
)
R36_47 = (
    "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18 22:54:44 UTC 2025"
)
R38_2 = (
    "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, DATE: Fri Aug 22 00:55:42 UTC 2025"
)
R39_2 = "# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, DATE: Mon Jun  1 09:28:48 PM UTC 2026"
REST = "\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\nTARGET_USERSPACE_LIB_DIR_PATH=usr/lib/aarch64-linux-gnu/nvidia\n"

RECORDED = [  # model, release, profile, l4t, jetpack
    (
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        R36_47,
        "jetson-orin-nano",
        "36.4.7",
        "6.2.1",
    ),
    ("NVIDIA Orin Nano Developer Kit", R35_3, "jetson-orin-nano", "35.3.1", "5"),
    ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", R36_44, "jetson-orin-nx", "36.4.4", "6.2.1"),
    ("NVIDIA Jetson AGX Orin Developer Kit", R39_2, "jetson-agx-orin", "39.2.0", "7.2"),
    ("Jetson AGX Orin", R35_3, "jetson-agx-orin", "35.3.1", "5"),
    ("NVIDIA Jetson AGX Thor Developer Kit", R38_2, "jetson-thor", "38.2.0", "7.0"),
    ("Jetson-AGX", R35_4, "jetson-agx-xavier", "35.4.1", "5"),
    ("Raspberry Pi 5 Model B Rev 1.0", None, "raspberry-pi-5", None, None),
    ("Raspberry Pi 4 Model B Rev 1.4", None, "generic-arm64", None, None),
]


def a_root(folder, *, model=None, release=None, cpuinfo=None):
    for name, data in (
        ("proc/device-tree/model", None if model is None else model.encode() + b"\0"),
        ("etc/nv_tegra_release", None if release is None else (release + REST).encode()),
        ("proc/cpuinfo", None if cpuinfo is None else cpuinfo.encode()),
    ):
        if data is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


def edited(tmp_path, pattern, replacement, base="jetson-orin-nano"):
    text = (catalogue_folder("devices") / f"{base}.yaml").read_text()
    changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert changed != text
    path = tmp_path / "mine.yaml"
    path.write_text(changed)
    return path


@pytest.mark.parametrize(("model", "release", "name", "l4t", "jetpack"), RECORDED)
def test_a_board_is_recognised_by_what_its_linux_says(tmp_path, model, release, name, l4t, jetpack):
    found = detect_profile(a_root(tmp_path, model=model, release=release), machine="aarch64")
    assert (found.profile.name, found.model, found.l4t, found.jetpack) == (name, model, l4t, jetpack)
    assert model in found.reason


def test_no_board_is_claimed_by_two_profiles():
    profiles = all_profiles()
    for model, _, name, _, _ in RECORDED:
        claims = [one.name for one in profiles if any(part.lower() in model.lower() for part in one.models)]
        assert claims in ([name], [])


@pytest.mark.parametrize(
    ("model", "release"), [("NVIDIA Jetson Nano Developer Kit", None), (None, R36_44), ("Quasar T5", R36_44)]
)
def test_an_unknown_jetson_runs_as_generic_arm_and_says_so(tmp_path, model, release):
    found = detect_profile(a_root(tmp_path, model=model, release=release), machine="aarch64")
    assert found.profile.name == "generic-arm64"
    assert "Jetson without a profile" in found.reason
    assert found.jetpack == ("6.2.1" if release else None)


def test_a_container_without_a_device_tree_runs_as_its_machine(tmp_path):
    found = detect_profile(tmp_path, machine="aarch64")
    assert (found.profile.name, found.model, found.l4t) == ("generic-arm64", None, None)
    assert "aarch64" in found.reason


def test_an_x86_machine_with_an_nvidia_driver_is_told_from_one_without(tmp_path):
    assert detect_profile(tmp_path, machine="x86_64").profile.name == "x86-cpu"
    driver = tmp_path / "proc/driver/nvidia/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03\n")
    found = detect_profile(tmp_path, machine="x86_64")
    assert (found.profile.name, found.reason) == ("x86-nvidia", "there is /proc/driver/nvidia/version")


def test_other_systems_names_of_a_machine_are_understood(tmp_path):
    assert detect_profile(tmp_path, machine="arm64").profile.name == "generic-arm64"
    assert detect_profile(tmp_path, machine="AMD64").profile.name == "x86-cpu"


def test_a_machine_without_a_profile_is_refused_by_name(tmp_path):
    with pytest.raises(ProfileError, match="'armv7l'") as caught:
        detect_profile(tmp_path, machine="armv7l")
    assert caught.value.code == "unknown_machine"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0Raspberry Pi 5",
        random.Random(0).randbytes(4096),
        b"\x1b[2J\x1b]0;x\x07",
        b"# R36 (release), REVISION:",
        b"A" * 10**7,
    ],
    ids=["empty", "nul", "nul_first", "random", "escape_sequences", "half_a_release", "ten_megabytes"],
)
def test_hostile_contents_are_never_an_error(tmp_path, data):
    for name in ("proc/device-tree/model", "etc/nv_tegra_release", "proc/cpuinfo"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = detect_profile(tmp_path, machine="aarch64")
    assert found.profile.name == "generic-arm64"
    assert found.model is None or (len(found.model) <= 128 and found.model.isprintable())
    assert found.reason.isprintable()
    assert cpu_features(tmp_path) == ()


def test_folders_fifos_and_unreadable_files_in_place_of_the_systems_are_never_an_error(tmp_path):
    (tmp_path / "proc/device-tree/model").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/nv_tegra_release")
    (tmp_path / "proc/cpuinfo").symlink_to("cpuinfo")
    assert detect_profile(tmp_path, machine="x86_64").profile.name == "x86-cpu"
    assert cpu_features(tmp_path) == ()


def test_cpu_features_are_given_in_our_words(tmp_path):
    arm = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes fphp asimdhp cpuid asimdrdm asimddp\nCPU part\t: 0xd0b\n"
    x86 = "processor : 0\nmodel name : Intel Xeon\nflags\t\t: fpu sse4_2 avx2 avx512_vnni amx_bf16 amx_int8 amx_tile\n"
    assert cpu_features(a_root(tmp_path / "arm", cpuinfo=arm)) == ("neon", "dotprod", "fp16")
    assert cpu_features(a_root(tmp_path / "x86", cpuinfo=x86)) == ("avx2", "avx512_vnni", "amx_bf16", "amx_int8")


def test_every_profile_of_the_catalogue_is_read_under_its_files_name():
    profiles = all_profiles()
    assert [one.name for one in profiles] == sorted(path.stem for path in catalogue_folder("devices").glob("*.yaml"))
    assert {*JETSONS, "raspberry-pi-5", "generic-arm64", "x86-cpu", "x86-nvidia"} <= {one.name for one in profiles}


def test_each_machine_has_exactly_one_profile_that_stands_in_for_the_unknown():
    stand_ins = [(one.arch, one.name) for one in all_profiles() if not one.models and not one.files]
    assert sorted(stand_ins) == [("aarch64", "generic-arm64"), ("x86_64", "x86-cpu")]


def test_sources_are_public_documents_and_name_real_fields():
    for profile in all_profiles():
        assert profile.sources
        for source in profile.sources:
            assert source.what == "detect" or hasattr(profile, source.what)
            assert not source.where.startswith(("/", "file:"))


def test_every_camera_in_a_profile_is_a_source_that_edgezsl_knows():
    for profile in all_profiles():
        for camera in profile.cameras:
            assert public_name(camera.uri).startswith(("v4l2://", "csi://", "rtsp://", "gst:"))
            assert camera.note


def test_no_profile_claims_a_measurement_that_is_not_recorded():
    results = Path(__file__).parents[1] / "benchmarks" / "results"
    for profile in all_profiles():
        assert profile.status_reason
        if profile.status == "measured":
            assert list(results.glob(f"*{profile.name}*"))


def test_profiles_agree_on_every_release_of_jetpack():
    rows = {}
    for profile in all_profiles():
        for row in profile.jetpack:
            assert rows.setdefault(row.jetpack, row) == row
    assert rows["5"].unsupported
    assert rows["6.2.1"].l4t == ("36.4.4", "36.4.7")


def test_every_supported_jetson_prefers_tensorrt_and_every_board_can_fall_back_on_onnx():
    engines = {one.name: one.engines for one in all_profiles()}
    assert all(engines[name] == ("tensorrt", "onnx") for name in JETSONS)
    assert all("onnx" in order for order in engines.values())
    assert engines["x86-cpu"] == ("openvino", "onnx")


def test_an_agx_xavier_is_unsupported_and_says_why():
    profile = load_profile("jetson-agx-xavier")
    assert profile.status == "unsupported"
    assert "3.8" in profile.status_reason
    assert "8.5" in profile.status_reason


def test_a_profile_is_loaded_by_name_or_by_path(tmp_path):
    mine = edited(tmp_path, "^name: .*", "name: my-board")
    for given in (mine, str(mine)):
        assert load_profile(given).name == "my-board"
    assert load_profile("x86-cpu").name == "x86-cpu"


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ProfileError, match="'jetson-nano'") as caught:
        load_profile("jetson-nano")
    assert "jetson-orin-nano" in caught.value.expected


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ProfileError) as caught:
        load_profile(tmp_path / "none.yaml")
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("pattern", "replacement", "code", "field"),
    [
        ("^family:", "colour:", "missing_key", "family"),
        ("^threads: null", "threads: null\ncolour: red", "unknown_key", "colour"),
        ("^format: .*", "format: edgezsl-device/2", "unknown_value", "format"),
        ("^name: .*", "name: My Board", "bad_value", "name"),
        ("^arch: .*", "arch: riscv64", "unknown_value", "arch"),
        ("^status: .*", "status: perfect", "unknown_value", "status"),
        (r"^engines: .*", "engines: []", "unknown_value", "engines"),
        (r"^engines: .*", "engines: [onnx, onnx]", "unknown_value", "engines"),
        (r"^engines: .*", "engines: [tflite]", "unknown_value", "engines"),
        (r"^engines: .*", "engines: onnx", "wrong_type", "engines"),
        ("^threads: .*", "threads: 0", "wrong_type", "threads"),
        ("^memory_mib: .*", "memory_mib: 8 GB", "wrong_type", "memory_mib"),
        ("^compute_capability: .*", "compute_capability: 8.7", "wrong_type", "compute_capability"),
        ("^compute_capability: .*", "compute_capability: 'sm_87'", "bad_value", "compute_capability"),
        ("what: compute_capability", "what: notes", "no_source", "compute_capability"),
        (r'python: "3.12"', "python: 3.12", "wrong_type", "jetpack[0].python"),
        (r'cuda: "13.2"', 'cuda: "13.2", gpu: x', "unknown_key", "jetpack[0].gpu"),
        (r"models: \[.*", 'models: ["Orin Nano"]\n  serial: 12', "unknown_key", "detect.serial"),
        ("^  - uri: v4l2", "  - url: v4l2", "missing_key", "cameras[0].uri"),
    ],
)
def test_a_broken_profile_is_refused_with_file_and_field(tmp_path, pattern, replacement, code, field):
    path = edited(tmp_path, pattern, replacement)
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert (caught.value.code, caught.value.where.file, caught.value.where.field) == (code, str(path), field)


def test_a_list_that_is_none_is_refused(tmp_path):
    path = edited(tmp_path, r"^cameras:\n(?:  .*\n)+", "cameras: webcam\n")
    with pytest.raises(ProfileError, match="'webcam' is not a list") as caught:
        load_profile(path)
    assert caught.value.where.field == "cameras"


def test_a_profile_as_json_holds_what_the_file_holds():
    value = load_profile("jetson-orin-nano").to_json()
    assert value["format"] == "edgezsl-device/1"
    assert value["jetpack"][0]["tensorrt"] == "10.16"
    assert json.loads(json.dumps(value)) == value
    assert set(value) > {"name", "engines", "engines_reason", "status", "cameras", "sources", "notes"}
