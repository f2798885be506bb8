"""The command line as a user meets it: real processes, real files, exit statuses and messages."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from edgezsl.cli.app import app
from edgezsl.device import machine_arch
from edgezsl.pack import PackHeader
from tests.factories import colour_frame
from tests.processes import child_pids


@pytest.fixture
def started():
    """Start commands that run on; whatever is left of them at the end is killed."""
    processes = []

    def start(*arguments):
        command = [sys.executable, "-m", "edgezsl", *map(str, arguments)]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


GOOD = "reject: 0.1\nclasses:\n  - red\n  - green\n  - {name: blue, threshold: 0.2}\n"


def edgezsl(*arguments, **options):
    """Run the command and return what it did."""
    command = [sys.executable, "-m", "edgezsl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def pictures(tmp_path):
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, colour in enumerate(["red", "green", "blue"]):
        cv2.imwrite(str(folder / f"{number}.png"), colour_frame(colour)[..., ::-1])
    return folder


def test_version_is_printed():
    done = edgezsl("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("edgezsl 0.")


@pytest.mark.parametrize("command", [one.name for one in app.registered_commands])
def test_every_command_has_help(command):
    done = edgezsl(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_a_folder_of_pictures_becomes_lines_of_json(small_bundle, classes, pictures):
    done = edgezsl("run", "--source", pictures, "--classes", classes, "--bundle", small_bundle.folder, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    answers = [line for line in lines if line["type"] == "recognition"]
    assert [answer["regions"][0]["decision"] for answer in answers] == ["red", "green", "blue"]
    assert [line["type"] for line in lines if line["type"] != "recognition"] == ["source_opened", "source_ended"]
    assert "3 frames answered" in done.stderr
    assert "engine:" in done.stderr


def test_a_pack_answers_like_the_class_file_it_was_embedded_from(small_bundle, classes, pictures, tmp_path):
    pack = tmp_path / "classes.safetensors"
    assert edgezsl("embed", classes, "-o", pack, "--bundle", small_bundle.folder).returncode == 0

    def regions(path):
        common = ["--source", pictures, "--bundle", small_bundle.folder, "--engine", "onnx", "--jsonl", "-"]
        lines = [json.loads(line) for line in edgezsl("run", *common, "--classes", path).stdout.splitlines()]
        return [(line["classes"], line["regions"]) for line in lines if line["type"] == "recognition"]

    assert regions(classes) == regions(pack) != []


def test_classes_are_swapped_while_it_runs_and_a_bad_file_is_refused(started, small_bundle, classes, tmp_path):
    lines = tmp_path / "lines.jsonl"
    source = "synthetic:?width=160&height=120&fps=30"
    options = ["--classes", classes, "--bundle", small_bundle.folder, "--jsonl", lines]
    process = started("run", "--source", source, *options)

    def wait_for(kind, count=1):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            text = lines.read_text() if lines.exists() else ""
            found = [json.loads(line) for line in text.splitlines() if f'"{kind}"' in line]
            if len(found) >= count:
                return found
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        pytest.fail(f"no {kind} came")

    def replace(text):
        new = classes.with_name("new")
        new.write_text(text)
        new.replace(classes)

    wait_for("recognition")
    replace("- yellow\n- cyan\n")
    assert wait_for("classes_swapped")[0]["names"] == 2
    replace("- yellow\n- yellow\n")
    refusal = wait_for("classes_refused")[0]
    assert (refusal["code"], refusal["line"], refusal["field"]) == ("duplicate_name", 2, "[1]")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    answers = [json.loads(line) for line in lines.read_text().splitlines() if '"recognition"' in line]
    assert {one["name"] for answer in answers if answer["revision"] == 2 for one in answer["regions"][0]["top"]} == {
        "yellow",
        "cyan",
    }
    assert answers[-1]["revision"] == 2
    assert "1 swap, 1 refusal" in process.stderr.read()


def test_plans_that_no_engine_would_run_are_refused_and_another_machines_profile_is_warned_of(small_bundle, classes):
    typed = ["run", "--source", "synthetic:?frames=1", "--classes", classes, "--bundle", small_bundle.folder]
    refused = edgezsl(*typed, "--engine", "onnx", "--plans", "nowhere")
    assert refused.returncode == 2
    assert "--plans: does nothing with --engine onnx" in refused.stderr
    foreign, ours = ("x86-cpu", "generic-arm64") if machine_arch() == "aarch64" else ("generic-arm64", "x86-cpu")
    done = edgezsl(*typed, "--device", foreign)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"warning: --device {foreign} is a machine with ")
    assert done.stderr.splitlines()[-1] == "1 frame answered, 0 dropped, 0 swaps, 0 refusals"
    assert "warning" not in edgezsl(*typed, "--device", ours).stderr


NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode != 0,
    reason="no mounts of one's own here",
)
def test_classes_mounted_as_one_file_are_warned_of_and_those_in_a_mounted_folder_are_not(small_bundle, classes):
    """As `-v ./classes.yaml:/etc/edgezsl/classes.yaml` does in a container: in a namespace of its own, from another file system."""
    run = [sys.executable, "-m", "edgezsl", "run", "--source", "synthetic:?frames=1", "--bundle", small_bundle.folder]
    words = [*map(str, run), "--engine", "onnx", "--classes", str(classes)]
    host = classes.parent / "host"
    host.mkdir()
    fill = 'set -e; mount -t tmpfs none "$1"; cp "$2" "$1"; mount --bind '
    for mount, warned in (('"$1/${2##*/}" "$2"', True), ('"$1" "${2%/*}"', False)):
        command = [*NAMESPACE, "sh", "-c", f'{fill}{mount}; shift 2; exec "$@"', "sh", str(host), str(classes), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert (f"warning: {classes} is mounted by itself" in done.stderr) == warned
        assert "1 frame answered" in done.stderr


def test_a_lost_or_absent_source_ends_with_status_1_and_one_line(small_bundle, classes):
    done = edgezsl("run", "--source", "no/such.mp4", "--classes", classes, "--bundle", small_bundle.folder)
    assert done.returncode == 1
    assert "no/such.mp4" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["inspect", "no-such-thing", "--json"], 1, "not_found"),
        (["devices", "show", "no-such-board", "--json"], 1, None),
        (["run", "--camera", "0", "--source", "x"], 2, None),
        (["run", "--bogus"], 2, None),
        (["nonsense"], 2, None),
    ],
)
def test_errors_have_a_status_and_a_code_and_no_traceback(arguments, status, code, tmp_path):
    done = edgezsl(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    if code:
        assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == code


def test_a_refused_class_file_names_line_field_and_remedy(small_bundle, tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("classes:\n  - name: cat\n    thresold: 0.2\n")
    done = edgezsl("check", path, "--bundle", small_bundle.folder, "--json")
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert done.returncode == 1
    assert error["where"]["line"] == 3
    assert error["where"]["field"] == "classes[0].thresold"
    assert "threshold" in error["expected"]


def test_debug_shows_the_traceback(tmp_path):
    done = edgezsl("--debug", "inspect", tmp_path / "absent.safetensors")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_check_gives_advice_and_status_0(small_bundle, tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n- the red thing\n- blue\n")
    done = edgezsl("check", path, "--bundle", small_bundle.folder, "--json")
    assert done.returncode == 0
    codes = {finding["code"] for finding in json.loads(done.stdout)["findings"]}
    assert "no_threshold" in codes


def test_embed_dry_run_writes_nothing(small_bundle, classes, tmp_path):
    out = tmp_path / "pack.safetensors"
    done = edgezsl("embed", classes, "-o", out, "--bundle", small_bundle.folder, "--dry-run", "--json")
    assert json.loads(done.stdout)["classes"] == 3
    assert not out.exists()


def test_inspect_reads_bundle_pack_and_class_file(small_bundle, classes, tmp_path):
    pack = tmp_path / "pack.safetensors"
    edgezsl("embed", classes, "-o", pack, "--bundle", small_bundle.folder)
    kinds = [
        json.loads(edgezsl("inspect", path, "--json").stdout)["kind"] for path in (small_bundle.folder, pack, classes)
    ]
    assert kinds == ["bundle", "pack", "class_file"]
    assert "red, green, blue" in edgezsl("inspect", pack).stdout


def small_pack(**changes):
    """Return a pack of four classes, with changes to its tensors and its header."""
    count = 4
    tensors = {
        "vectors": np.eye(count, 6, dtype=np.float32),
        "bias": np.array([0, 0.5, 0, 0], np.float32),
        "thresholds": np.array([0.1, np.nan, 0.2, 0.3], np.float32),
        "seen": np.array([1, 1, 0, 0], np.bool_),
        "negative": np.array([0, 0, 0, 1], np.bool_),
    }
    header = PackHeader(("red", "green", "blue", "floor"), "c0ffee00", 6, None, 0.5)
    known = {name: value for name, value in changes.items() if name in tensors}
    return replace(header, **{name: changes[name] for name in changes.keys() - known}).to_bytes(tensors | known)


def test_inspect_counts_the_thresholds_biases_and_seen_classes_of_a_pack(tmp_path):
    path = tmp_path / "pack.safetensors"
    path.write_bytes(small_pack())
    report = json.loads(edgezsl("inspect", path, "--json").stdout)
    assert (report["thresholds"], report["bias"], report["seen"], report["negative"]) == (3, 1, 2, ["floor"])
    facts = dict(line.split("  ", 1) for line in edgezsl("inspect", path).stdout.splitlines())
    shown = {word.strip(): value.strip() for word, value in facts.items()}
    assert (shown["thresholds"], shown["bias"], shown["seen"]) == ("3 of 4", "1 of 4", "2 of 4")


def test_inspect_takes_a_pack_of_rows_of_any_length(tmp_path):
    path = tmp_path / "pack.safetensors"
    path.write_bytes(small_pack(vectors=3 * np.eye(4, 6, dtype=np.float32)))
    assert edgezsl("inspect", path).returncode == 0


DAMAGED_PACKS = {
    "a NaN row": ({"vectors": np.full((4, 6), np.nan, np.float32)}, "bad_row", "vectors[0]"),
    "a zero row": ({"vectors": np.diag([1, 1, 0, 1]).astype(np.float32)}, "bad_row", "vectors[2]"),
    "an infinite threshold": ({"thresholds": np.full(4, np.inf, np.float32)}, "bad_row", "thresholds[0]"),
    "a name twice": ({"names": ("red", "green", "red", "floor")}, "duplicate_name", "names[2]"),
    "an invisible name": ({"names": ("red", "green", "b\u2060lue", "floor")}, "bad_name", "names[2]"),
    "a negative penalty": ({"seen_penalty": -0.5}, "bad_value", "seen_penalty"),
    "a space that is none": ({"space": "the sea"}, "bad_space", "edgezsl.space"),
}


@pytest.mark.parametrize(("changes", "code", "field"), DAMAGED_PACKS.values(), ids=DAMAGED_PACKS)
def test_inspect_refuses_a_pack_that_no_model_would_take(tmp_path, changes, code, field):
    path = tmp_path / "pack.safetensors"
    path.write_bytes(small_pack(**changes))
    done = edgezsl("inspect", path, "--json")
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (done.returncode, done.stdout) == (1, "")
    assert (error["type"], error["code"]) == ("PackError", code)
    assert error["where"] == {"file": str(path), "field": field}


def test_bench_reports_each_engine_and_the_machine(small_bundle):
    done = edgezsl("bench", "--bundle", small_bundle.folder, "--runs", "5", "--classes", "10", "--json")
    report = json.loads(done.stdout)
    stages = " ".join(timing["stage"] for timing in report["timings"])
    assert "onnxruntime" in stages
    assert "preprocess" in stages
    assert {cold["peak_mib"] > 0 and cold["first_s"] > 0 for cold in report["cold_starts"].values()} == {True}
    assert set(report["precisions"].values()) <= {"fp32", "bf16"}


def test_a_bench_beside_pytorch_is_refused_for_a_bundle_that_was_not_imported(small_bundle):
    refused = edgezsl("bench", "--bundle", small_bundle.folder, "--compare", "torch", "--json")
    assert json.loads(refused.stderr.splitlines()[-1])["error"]["code"] == "no_torch_model"


def test_a_reader_that_goes_away_is_not_an_error(small_bundle, classes):
    command = f"{sys.executable} -m edgezsl run --source 'synthetic:?frames=2000' --as-fast-as-possible"
    command += f" --classes {classes} --bundle {small_bundle.folder} --jsonl - | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["type"] == "source_opened"
    assert done.returncode == 0, done.stderr


def test_sigterm_ends_a_stream_in_order(started, small_bundle, classes, tmp_path):
    lines = tmp_path / "lines.jsonl"
    options = ["--classes", classes, "--bundle", small_bundle.folder, "--jsonl", lines]
    process = started("run", "--source", "synthetic:", *options)
    while not (lines.exists() and "recognition" in lines.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0
    assert all(json.loads(line) for line in lines.read_text().splitlines())


@pytest.mark.parametrize("spelled", ["film.mp4", "./film.mp4", "file:film.mp4", "link.mp4"])
@pytest.mark.parametrize("option", ["--video", "--jsonl"])
def test_no_output_overwrites_the_source_however_it_is_spelled(small_bundle, classes, tmp_path, spelled, option):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"somebody's only copy")
    (tmp_path / "link.mp4").symlink_to(film)
    common = ("--classes", classes, "--bundle", small_bundle.folder)
    done = edgezsl("run", "--source", spelled, option, tmp_path / "film.mp4", *common, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{option} {film} is the source itself" in done.stderr
    assert film.read_bytes() == b"somebody's only copy"


def test_devices_alone_lists_them():
    assert edgezsl("devices").stdout == edgezsl("devices", "list").stdout != ""


def test_ending_does_not_wait_for_a_class_file_at_work(small_bundle, classes, started):
    """The child is stopped in the middle of a file, and would be waited for for a quarter of an hour."""
    process = started("run", "--source", "synthetic:", "--classes", classes, "--bundle", small_bundle.folder)
    while ": opened" not in process.stderr.readline():
        assert process.poll() is None
    os.kill(child_pids(process.pid)[0], signal.SIGSTOP)
    classes.write_text("- red\n- blue\n")
    time.sleep(1.5)  # for the change to be noticed and handed to the child
    process.terminate()
    assert process.wait(60) == 0
