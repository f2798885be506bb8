"""The line on the terminal, on a real pseudo-terminal."""

import os
import pty
import subprocess
import sys

import pytest


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


def test_answers_as_json_on_standard_output_leave_the_terminal_to_events(small_bundle, tmp_path):
    status, sent = on_a_terminal(small_bundle, tmp_path, "- red\n- blue\n", "--jsonl", "-")
    assert status == 0, sent
    assert "\x1b[2K" not in sent
    assert "frames are expected" in sent
