"""`edgezsl demo` as it is typed, on its real photographs; the model is one that knows colours only."""

import json
import os
import signal
import subprocess
import sys

import pytest

from edgezsl.bundle import TEXT_ENCODER, Bundle
from edgezsl.demo.photographs import CREDITS
from tests.factories import bundle_files, small_manifest, text_encoder

for package in ("cv2", "skimage", "sklearn", "matplotlib"):
    pytest.importorskip(package)
SECONDS = 6


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A colour bundle to which no word is nothing: the classes of the demo get vectors, if meaningless ones."""
    manifest = small_manifest()
    files = {**bundle_files(manifest), TEXT_ENCODER: text_encoder(unknown=0.3)}
    return Bundle.write(tmp_path_factory.mktemp("bundles") / "words", manifest, files)


def start(folder, *options, **streams):
    command = [sys.executable, "-m", "edgezsl", "demo", *map(str, options)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **streams}
    return subprocess.Popen(command, cwd=folder, **pipes)


@pytest.fixture(scope="module")
def done(colours, tmp_path_factory):
    """What the command said and wrote, as text and as JSON; both at once, since each takes its seconds."""
    folder = tmp_path_factory.mktemp("demo")
    options = ["--bundle", colours.folder, "--seconds", SECONDS]
    text = start(folder, *options, "--out", "a.html")
    json_ = start(folder, *options, "--out", "b.html", "--json")
    said = [process.communicate(timeout=110) for process in (text, json_)]
    assert (text.returncode, json_.returncode) == (0, 0), said
    return folder, *said


def test_it_says_what_was_shown_what_was_said_and_where_the_report_is(done):
    folder, (out, err), _ = done
    for credit in CREDITS:
        assert out.count(credit.title) == 1
        assert f"  {credit.title}" in err
    assert "classes.yaml is edited" in err
    assert "classes 2: " in err
    lines = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert "of the camera's 96 answered" in lines["frames"]
    assert "FPS" in lines["rate"]
    assert "frame periods" in lines["swap gap"]
    assert lines["report"].strip() == "a.html"
    assert "\nnext: edgezsl run --camera 0 --classes classes.yaml --bundle " in out
    assert (folder / "a.html").read_text().startswith("<!doctype html>")


def test_json_is_one_object_and_nothing_else(done):
    folder, _, (out, err) = done
    report = json.loads(out)
    assert err == ""
    assert report["report"] == "b.html"
    assert (folder / "b.html").exists()
    assert {segment["title"] for segment in report["segments"]} == {credit.title for credit in CREDITS}
    assert report["frames"]["answered"] + len(report["frames"]["lost"]) == report["frames"]["due"] == 96


def test_ctrl_c_ends_it_in_order(colours, tmp_path):
    process = start(tmp_path, "--bundle", colours.folder, "--seconds", 12, env={**os.environ, "TMPDIR": str(tmp_path)})
    lines = iter(process.stderr.readline, "")
    assert any("→" in line for line in lines)  # the first photograph has gone by
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert [*tmp_path.glob("edgezsl-*"), *tmp_path.glob("*.html")] == []  # no temporary folder, no report


def test_a_place_for_the_report_that_cannot_be_written_is_refused_before_anything_is_shown(colours, tmp_path):
    process = start(tmp_path, "--bundle", colours.folder, "--out", tmp_path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert "the report cannot be written" in err
    assert "choose another place with --out" in err
