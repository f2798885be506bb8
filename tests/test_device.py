"""Profiles are read strictly, every figure has a source, and a board is recognised by what Linux says of it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgezsl.catalogue import catalogue_folder, entries
from edgezsl.device import all_profiles, cpu_features, detect_profile, jetson_linux, load_profile, require_supported
from edgezsl.errors import EngineError, ProfileError
from edgezsl.runtime import gstreamer, opencv
from edgezsl.runtime.sources import open_source
from edgezsl.runtime.tensorrt_version import check_tensorrt_version

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
STAGE = re.compile(
    r"(?:video/x-raw(?:\(memory:NVMM\))?|image/jpeg)(?:,[a-z]+=[A-Za-z0-9/]+)*|[a-z][a-z0-9]+(?: [a-z-]+=\S+)*"
)
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


@pytest.fixture(autouse=True)
def nobody_says_which_board_this_is(monkeypatch):
    monkeypatch.delenv("EDGEZSL_DEVICE", raising=False)


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


@pytest.mark.parametrize("release", ["36.4.1", "36.4.2", "36.4.5", "36.4.9"])
def test_a_release_between_two_of_jetpack_that_agree_is_known_as_between_them(release):
    for name in ("jetson-orin-nano", "jetson-orin-nx", "jetson-agx-orin"):
        row = load_profile(name).jetpack_of(release)
        assert (row.jetpack, row.cuda, row.tensorrt, row.python) == ("6.1 to 6.2.1", "12.6", "10.3", "3.10")
        ends = [one for one in load_profile(name).jetpack if one.jetpack in row.jetpack.split(" to ")]
        assert {(one.cuda, one.tensorrt, one.python) for one in ends} == {(row.cuda, row.tensorrt, row.python)}


@pytest.mark.parametrize(
    ("name", "release", "before"),
    [
        ("jetson-orin-nano", "36.5.2", "6.2.2"),
        ("jetson-orin-nano", "39.2.2", "7.2.1"),
        ("jetson-orin-nano", "39.2.10", "7.2.1"),
        ("jetson-thor", "38.4.1", "7.1"),
        ("jetson-thor", "39.1.0", None),
        ("jetson-thor", "39.3.0", None),
        ("jetson-thor", "40.2.2", None),
        ("jetson-agx-xavier", "32.2.3", "4.2.2"),
        ("jetson-agx-xavier", "32.4.2", None),
        ("jetson-agx-xavier", "32.4.10", "4.4.1"),
        ("raspberry-pi-5", "39.2.2", None),
    ],
)
def test_a_later_revision_is_known_by_the_one_before_it_and_nothing_else_is(name, release, before):
    row = load_profile(name).jetpack_before(release)
    assert (row and row.jetpack) == before


def test_a_release_that_no_profile_knows_is_given_with_the_jetpack_before_it_and_one_that_is_known_without(tmp_path):
    nano = "NVIDIA Jetson Orin Nano Developer Kit"
    newer = detect_profile(a_root(tmp_path, model=nano, release=R39_2.replace("2.0", "2.2")), machine="aarch64")
    assert (newer.l4t, newer.jetpack, newer.jetpack_before) == ("39.2.2", None, "7.2.1")
    assert newer.to_json()["jetpack_before"] == "7.2.1"
    known = detect_profile(a_root(tmp_path, model=nano, release=R39_2.replace("2.0", "2.1")), machine="aarch64")
    assert (known.jetpack, known.jetpack_before) == ("7.2.1", None)
    other = detect_profile(tmp_path / "none", machine="aarch64")
    assert (other.l4t, other.jetpack, other.jetpack_before) == (None, None, None)


def test_jetson_linux_is_read_without_any_profile(tmp_path, monkeypatch):
    monkeypatch.setattr("edgezsl.device.entries", lambda _: pytest.fail("a profile was looked for"))
    assert jetson_linux(a_root(tmp_path, release=R36_47)) == "36.4.7"
    assert jetson_linux(tmp_path / "none") is None


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


def test_a_profile_of_the_catalogue_has_the_name_of_its_file_and_a_users_own_any(tmp_path, monkeypatch):
    mine = edited(tmp_path, "^name: .*", "name: board2")
    assert load_profile(mine).name == "board2"
    monkeypatch.setattr("edgezsl.device.entries", lambda _: (mine,))
    with pytest.raises(ProfileError, match="'board2', and its file is not") as caught:
        all_profiles()
    assert (caught.value.where.field, caught.value.expected) == ("name", "'mine', as in the file's name")


def test_the_profile_in_the_readme_loads_and_each_of_its_required_fields_is_marked(tmp_path):
    readme = (catalogue_folder("devices") / "README.md").read_text()
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "board3.yaml").write_text(example)
    assert load_profile(tmp_path / "board3.yaml").name == "my-board"
    marked = set(re.findall(r"`(\w+)` \*", readme))
    for field in re.findall(r"^(\w+):", example, re.MULTILINE):
        (tmp_path / "less.yaml").write_text(re.sub(rf"^{field}:.*\n(?:  .*\n)*", "", example, flags=re.MULTILINE))
        if field in marked:
            with pytest.raises(ProfileError, match=f"'{field}' is missing"):
                load_profile(tmp_path / "less.yaml")
        else:
            load_profile(tmp_path / "less.yaml")
    assert marked <= set(re.findall(r"^(\w+):", example, re.MULTILINE))


def test_each_machine_has_exactly_one_profile_that_stands_in_for_the_unknown():
    stand_ins = [(one.arch, one.name) for one in all_profiles() if not one.models and not one.files]
    assert sorted(stand_ins) == [("aarch64", "generic-arm64"), ("x86_64", "x86-cpu")]


def test_sources_are_public_documents_and_name_real_fields():
    for profile in all_profiles():
        assert profile.sources
        for source in profile.sources:
            assert source.what == "detect" or hasattr(profile, source.what)
            assert not source.where.startswith(("/", "file:"))


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.name)
def test_every_camera_in_a_profile_is_a_source_that_edgezsl_opens(profile, monkeypatch):
    opened = []
    monkeypatch.setattr(opencv, "open_camera", lambda device, **_: opened.append(("camera", device)))
    monkeypatch.setattr(opencv, "open_stream", lambda uri, **_: opened.append(("stream", uri)))
    monkeypatch.setattr(gstreamer, "open_pipeline", lambda pipeline, **_: opened.append(("pipeline", pipeline)))
    for camera in profile.cameras:
        open_source(camera.uri)
        assert camera.note
    assert len(opened) == len(profile.cameras)
    for kind, what in opened:
        if kind == "pipeline":
            unread = [stage for stage in what.split(" ! ") if not STAGE.fullmatch(stage)]
            assert unread == [], f"{profile.name}: {what}"


def has_element(name):
    return subprocess.run(["gst-inspect-1.0", "--exists", name], check=False).returncode == 0


def test_the_elements_that_are_no_vendors_are_gstreamers():
    if shutil.which("gst-inspect-1.0") is None or not has_element("h264parse"):
        pytest.skip("GStreamer's tools or its plugins (good, bad) are not installed")
    uris = [camera.uri for profile in all_profiles() for camera in profile.cameras if camera.uri.startswith("gst:")]
    elements = {
        stage.split()[0]
        for uri in uris
        for stage in uri.removeprefix("gst:").split(" ! ")
        if "/" not in stage.split()[0]
    }
    own = {name for name in elements if not name.startswith("nv") and name != "libcamerasrc"}
    assert {"v4l2src", "jpegdec", "rtspsrc", "h264parse", "h265parse", "qtdemux"} <= own
    assert [name for name in sorted(own) if not has_element(name)] == []


def test_every_jetson_has_pipelines_for_csi_usb_mjpeg_and_the_hardware_decoder():
    for name in JETSONS:
        uris = " ".join(camera.uri for camera in load_profile(name).cameras)
        for part in ("csi://0", "nvarguscamerasrc", "v4l2:///dev/video0", "image/jpeg", "h264parse ! nvv4l2decoder"):
            assert part in uris
        for part in ("h265parse ! nvv4l2decoder", "rtph264depay", "rtph265depay"):
            assert part in uris


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.name)
def test_every_figure_of_a_profile_has_a_source(profile):
    sourced = {source.what for source in profile.sources}
    figures = ("modules", "memory_mib", "compute_capability", "jetpack", "power_modes", "cameras", "detect")
    for figure in figures:
        value = (profile.models or profile.files) if figure == "detect" else getattr(profile, figure)
        assert not value or figure in sourced, f"{profile.name}: {figure}"
    assert profile.dla != "unknown"
    assert "dla" in sourced


def test_no_profile_claims_a_measurement_that_is_not_recorded():
    measured = [one for one in all_profiles() if one.status == "measured"]
    assert measured
    for profile in all_profiles():
        assert profile.status_reason
        for row in profile.measured:
            path = (RESULTS / row.result).resolve()
            assert path.is_relative_to(RESULTS)
            figures = {one["name"]: one for one in json.loads(path.read_text())["figures"]}
            recorded = figures[row.figure]
            decimals = len(f"{row.value:g}".partition(".")[2])
            assert (round(recorded["value"], decimals), recorded["unit"]) == (row.value, row.unit), row


def test_what_is_recommended_are_recipes_and_what_pays_is_said_of_every_supported_board():
    recipes = {path.stem for path in entries("export")}
    for profile in all_profiles():
        assert {row.recipe for row in profile.recommended} <= recipes
        assert all(row.reason and row.batch >= 1 for row in profile.recommended)
        supported = profile.status != "unsupported"
        assert bool(profile.precisions) == bool(profile.recommended) == supported
        assert all(row.reason for row in profile.precisions)


def test_what_a_board_that_nothing_ran_on_is_said_to_gain_is_called_unmeasured():
    for name in JETSONS:
        profile = load_profile(name)
        said = [profile.precisions[0].reason, *(row.reason for row in profile.recommended if row.recipe == "builtin")]
        assert all("nobody has measured" in text or "Nothing was measured" in text for text in said)


def test_the_dla_of_two_orins_is_present_and_unused_and_the_others_have_none():
    dla = {profile.name: (profile.dla, profile.dla_reason) for profile in all_profiles()}
    present = [name for name, (state, _) in dla.items() if state == "present-unused"]
    assert present == ["jetson-agx-orin", "jetson-agx-xavier", "jetson-orin-nx"]
    assert all("Q/DQ" in dla[name][1] for name in ("jetson-agx-orin", "jetson-orin-nx"))


def test_a_power_mode_is_named_after_its_watts_and_no_number_stands_twice():
    modes = {row.name: row.nvpmodel for row in load_profile("jetson-orin-nano").power_modes}
    assert modes == {"15W": None, "25W": 1, "MAXN_SUPER": 2, "7W": None}
    for profile in all_profiles():
        numbers = [(row.where, row.nvpmodel) for row in profile.power_modes if row.nvpmodel is not None]
        assert len(set(numbers)) == len(numbers)
        for row in profile.power_modes:
            assert "MAXN" in row.name or row.name == f"{row.watts}W"


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.name)
def test_a_release_of_jetpack_is_supported_exactly_where_its_tensorrt_and_python_are(profile):
    for row in profile.jetpack:
        python = tuple(int(part) for part in row.python.split("."))
        assert (row.unsupported is None) == (python >= (3, 10)), row
        try:
            check_tensorrt_version(row.tensorrt)
        except EngineError:
            assert row.tensorrt in (row.unsupported or "") + (row.tensorrt_unsupported or ""), row
        else:
            assert row.tensorrt_unsupported is None, row


def test_profiles_agree_on_every_release_of_jetpack():
    rows = {}
    for profile in all_profiles():
        for row in profile.jetpack:
            assert rows.setdefault(row.jetpack, row) == row
    assert rows["5"].unsupported
    assert rows["6.2.1"].l4t == ("36.4.4", "36.4.7")
    assert rows["6.0"].tensorrt_unsupported
    assert rows["7.2.2"].tensorrt == "11.4"


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


def test_a_board_that_is_not_supported_is_refused_with_the_profiles_reason_and_no_other_is():
    xavier = load_profile("jetson-agx-xavier")
    with pytest.raises(
        ProfileError, match="NVIDIA Jetson AGX Xavier is not supported: its last JetPack is 5"
    ) as caught:
        require_supported(xavier)
    assert (caught.value.code, caught.value.hint) == ("unsupported_board", "edgezsl devices lists them")
    for profile in all_profiles():
        if profile.status != "unsupported":
            require_supported(profile)


def test_a_thor_has_the_memory_of_its_smallest_module_at_least_and_of_its_largest_at_most():
    thor = load_profile("jetson-thor")
    assert (thor.memory_mib, thor.most_memory_mib) == (64 * 1024, 128 * 1024)
    assert [row.watts for row in thor.power_modes if "MAXN" in row.name] == [None]


def test_a_profile_is_loaded_by_name_or_by_path(tmp_path):
    mine = edited(tmp_path, "^name: .*", "name: my-board")
    for given in (mine, str(mine)):
        assert load_profile(given).name == "my-board"
    assert load_profile("x86-cpu").name == "x86-cpu"


def test_an_unknown_name_is_refused_with_those_that_are_near_or_else_with_all():
    with pytest.raises(ProfileError, match="'jetson-nano'") as caught:
        load_profile("jetson-nano")
    assert caught.value.expected.startswith("jetson-orin-nano, ")
    assert "x86" not in caught.value.expected
    with pytest.raises(ProfileError) as caught:
        load_profile("nope")
    assert caught.value.expected.count(", ") == len(entries("devices")) - 1


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
        ("what: power_modes", "what: notes", "no_source", "power_modes"),
        ("what: dla", "what: notes", "no_source", "dla"),
        ("what: modules", "what: notes", "no_source", "modules"),
        ("^memory_mib: 4096", "memory_mib: 8192", "bad_value", "memory_mib"),
        ("memory_mib: 8192}", "memory_mib: 8 GB}", "wrong_type", "modules[1].memory_mib"),
        ("^dla: none", "dla: used", "unknown_value", "dla"),
        ("^dla: none\n", "", "missing_key", "dla_reason"),
        ("^status: untested", "status: measured", "bad_value", "status"),
        ("precision: fp16", "precision: int4", "unknown_value", "precisions[1].precision"),
        ("precision: fp16", "precision: int8", "bad_value", "precisions"),
        ("precision: fp16", "precision: fp16\n    colour: red", "unknown_key", "precisions[1].colour"),
        ("^input_type: .*", "input_type: float16", "unknown_value", "input_type"),
        (r"^opsets: .*", "opsets: [18, 17]", "bad_value", "opsets"),
        (r"^opsets: .*", "opsets: 17", "wrong_type", "opsets"),
        ("watts: 15", "watts: 15 W", "wrong_type", "power_modes[0].watts"),
        ("nvpmodel: 1", "number: 1", "unknown_key", "power_modes[1].number"),
        ("    batch: 1", "    batch: 0", "wrong_type", "recommended[0].batch"),
        (r'python: "3.12"', "python: 3.12", "wrong_type", "jetpack[0].python"),
        (r'cuda: "13.2"', 'cuda: "13.2", gpu: x', "unknown_key", "jetpack[0].gpu"),
        (r'"39.2.1"', '"39.x"', "bad_value", "jetpack[0].l4t"),
        (r'"39.2.1"', '"' + 5000 * "9" + '"', "bad_value", "jetpack[0].l4t"),
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
    assert value["modules"][0] == {"name": "Jetson Orin Nano 4GB", "memory_mib": 4096}
    assert value["jetpack"][-2]["tensorrt_unsupported"].startswith("its TensorRT is 8.6")


OLD = """\
format: edgezsl-device/1
name: my-board
title: A board of my own
family: generic
arch: aarch64
detect:
  models: ["My Board"]
engines: [onnx]
engines_reason: mine
threads: null
status: untested
status_reason: mine
memory_mib: 2048
compute_capability: null
jetpack: []
cameras:
  - {uri: "rtsp://camera.local/stream", note: mine}
notes: []
sources:
  - {what: memory_mib, where: mine}
"""


def test_a_profile_with_the_fields_of_before_still_loads(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text(OLD)
    profile = load_profile(path)
    assert (profile.input_type, profile.opsets, profile.dla, profile.dla_reason) == ("float32", None, "unknown", None)
    assert profile.precisions == profile.modules == profile.power_modes == profile.measured == profile.recommended == ()
    assert profile.most_memory_mib == 2048


def test_a_row_of_measured_needs_the_status_and_the_status_needs_rows(tmp_path):
    without = ("^status: measured", "status: built"), (r"^measured:\n(?:  .*\n)+", "measured: []\n")
    for pattern, replacement in without:
        with pytest.raises(ProfileError) as caught:
            load_profile(edited(tmp_path, pattern, replacement, base="x86-cpu"))
        assert (caught.value.code, caught.value.where.field) == ("bad_value", "status")


# --- EDGEZSL_DEVICE: a container does not see the device tree ---


def test_the_variable_is_believed_and_jetson_linux_is_still_read(tmp_path):
    root = a_root(tmp_path, model=None, release="# R36 (release), REVISION: 4.3, GCID: 1\n")
    found = detect_profile(root, machine="aarch64", environment={"EDGEZSL_DEVICE": "jetson-orin-nano"})
    assert (found.profile.name, found.reason) == ("jetson-orin-nano", "EDGEZSL_DEVICE says so")
    assert (found.l4t, found.jetpack) == ("36.4.3", "6.2")


def test_a_variable_that_names_no_board_is_refused_by_its_name(tmp_path):
    with pytest.raises(ProfileError) as caught:
        detect_profile(tmp_path, machine="aarch64", environment={"EDGEZSL_DEVICE": "toaster"})
    assert caught.value.message.startswith("the environment variable EDGEZSL_DEVICE names a board, and there is no")


def test_the_variable_takes_the_path_of_a_profile_of_ones_own_before_what_the_board_says(tmp_path):
    mine = edited(tmp_path, "^name: .*", "name: board2")
    root = a_root(tmp_path, model="NVIDIA Jetson AGX Orin Developer Kit")
    found = detect_profile(root, machine="armv7l", environment={"EDGEZSL_DEVICE": str(mine)})
    assert (found.profile.name, found.reason) == ("board2", "EDGEZSL_DEVICE says so")


@pytest.mark.parametrize("broken", [False, True])
def test_a_variable_whose_file_is_absent_or_broken_is_refused_by_its_name(tmp_path, broken):
    path = edited(tmp_path, "^family:", "colour:") if broken else tmp_path / "none.yaml"
    with pytest.raises(ProfileError, match="the environment variable EDGEZSL_DEVICE names a board") as caught:
        detect_profile(tmp_path, machine="aarch64", environment={"EDGEZSL_DEVICE": str(path)})
    assert caught.value.where.file == str(path)


def test_the_process_environment_is_what_is_read_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEZSL_DEVICE", "raspberry-pi-5")
    assert detect_profile(tmp_path, machine="x86_64").profile.name == "raspberry-pi-5"


def test_an_empty_variable_says_nothing(tmp_path):
    found = detect_profile(tmp_path, machine="x86_64", environment={"EDGEZSL_DEVICE": ""})
    assert found.profile.name == "x86-cpu"
