"""The line on the terminal, on a real pseudo-terminal."""

import os
import pty
import subprocess
import sys

import pytest
from PIL import Image

from edgezsl.cli.live import Decisions
from tests.factories import colour_frame


def on_a_terminal(small_bundle, folder, text, *more):
    """Run a short stream with standard error on a terminal; return the exit status and what the terminal was sent."""
    classes = folder / "classes.yaml"
    classes.write_text(text)
    ours, theirs = pty.openpty()
    source = ["--source", "synthetic:?width=160&height=120&fps=60&frames=40"]
    command = [sys.executable, "-m", "edgezsl", "run", *source, "--classes", str(classes)]
    with subprocess.Popen(
        [*command, "--bundle", str(small_bundle.folder), *more],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
    ) as process:
        os.close(theirs)
        sent = b""
        try:
            while part := os.read(ours, 65_536):
                sent += part
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    return process.returncode, sent.decode(errors="replace")


def test_a_decision_is_told_once_it_lasts_and_not_more_often_than_once_a_second():
    decisions = Decisions()
    frames = [
        (0, "cat"),
        (0.1, "cat"),
        (0.2, "dog"),
        (0.3, "cat"),
        (2, None),
        (2.4, None),
        (2.6, None),
        (2.7, "dog"),
        (3.3, "dog"),
    ]
    frames += [(3.7, "dog"), (3.8, "dog")]
    assert [at_s for at_s, decision in frames if decisions.new(decision, at_s)] == [0, 2.6, 3.7]


def test_without_a_terminal_each_lasting_decision_is_a_line(small_bundle, tmp_path):
    classes = tmp_path / "classes.yaml"
    classes.write_text("- red\n- blue\n")
    command = [sys.executable, "-m", "edgezsl", "run", "--source", "synthetic:?width=160&height=120&frames=5"]
    command += ["--classes", str(classes), "--bundle", str(small_bundle.folder), "--as-fast-as-possible"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr.splitlines()
    (line,) = [line for line in said if "  frame " in line]
    assert line.startswith(("red  (", "blue  ("))
    quiet = subprocess.run([*command, "--jsonl", "-"], check=True, capture_output=True, text=True, timeout=60)
    assert "  frame " not in quiet.stderr
    assert len(quiet.stdout.splitlines()) >= 5


@pytest.mark.parametrize("name", ["red [/]", "red [/green]", "red [m4]", "red [bold]"])
def test_a_name_in_brackets_is_shown_as_it_is_and_never_read_as_markup(small_bundle, tmp_path, name):
    status, sent = on_a_terminal(small_bundle, tmp_path, f"- {name!r}\n- blue\n")
    assert status == 0, sent
    assert name in sent


def test_the_line_changes_in_place_and_is_gone_in_the_end(small_bundle, tmp_path):
    status, sent = on_a_terminal(small_bundle, tmp_path, "- red\n- blue\n")
    assert status == 0, sent
    assert "\x1b[2K" in sent, "a line that changes is erased before it is written again"
    assert sent.rstrip().splitlines()[-1].startswith("40 frames answered") or "frames answered at" in sent


def in_a_pipe(small_bundle, folder, source, *more):
    """Run without a terminal; return the exit status and standard error."""
    classes = folder / "classes.yaml"
    classes.write_text("- red\n- blue\n")
    command = [sys.executable, "-m", "edgezsl", "run", "--source", source, "--classes", classes, *more]
    done = subprocess.run(
        [*map(str, command), "--bundle", str(small_bundle.folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_each_picture_of_a_folder_gets_a_line(small_bundle, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for colour in ("red", "blue"):
        Image.fromarray(colour_frame(colour)).save(pictures / f"{colour}.png")
    status, said = in_a_pipe(small_bundle, tmp_path, pictures)
    assert status == 0, said
    assert "blue.png: blue  (blue " in said
    assert "red.png: red  (red " in said
    assert "red.png" not in in_a_pipe(small_bundle, tmp_path, pictures, "--jsonl", "-")[1]


def test_a_source_that_cannot_be_opened_is_told_once(small_bundle, tmp_path):
    status, said = in_a_pipe(small_bundle, tmp_path, tmp_path / "absent.mp4")
    assert status == 1
    assert said.count("absent.mp4") == 1, said


def test_answers_as_json_on_standard_output_leave_the_terminal_to_events(small_bundle, tmp_path):
    status, sent = on_a_terminal(small_bundle, tmp_path, "- red\n- blue\n", "--jsonl", "-")
    assert status == 0, sent
    assert "\x1b[2K" not in sent
    assert ": opened" in sent
