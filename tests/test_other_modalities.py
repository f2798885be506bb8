"""The recipes of docs/other-modalities.md, run as they stand: each block in order, in one folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgezsl.data.feature_set import read_feature_set
from edgezsl.runtime.events import RegionAnswer
from edgezsl.runtime.text_recognizer import TextRecognition
from edgezsl.zsl.method import class_scores
from edgezsl.zsl.selection import judge
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.settings_file import read_settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "other-modalities.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SHELL = f'edgezsl() {{ "{sys.executable}" -m edgezsl "$@"; }}\n'


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Run the page, and return its folder, and for each block that follows a command what it shows and what was printed."""
    folder = tmp_path_factory.mktemp("page")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    shown, printed = [], ""
    for language, text in BLOCKS:
        if language in {"text", "json"}:
            shown.append((language, text, printed))
            continue
        command = [sys.executable, "-c", text] if language == "python" else ["bash", "-ec", SHELL + text]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        printed = done.stdout
    return folder, shown


def test_every_command_prints_what_the_page_says(session):
    texts = [(text, printed) for language, text, printed in session[1] if language == "text"]
    assert len(texts) == 2
    for text, printed in texts:
        assert printed == text


def test_a_line_of_json_has_the_keys_and_the_answer_of_the_page(session):
    (shown,) = [(json.loads(text), json.loads(printed)) for language, text, printed in session[1] if language == "json"]
    page, answer = shown
    assert list(answer) == list(page)
    assert list(answer) == list(TextRecognition(1, 0.0, "", "", 0.0, (), RegionAnswer("line", None, ())).to_json())
    for found, said in zip(answer["regions"][0]["top"], page["regions"][0]["top"], strict=True):
        assert found["name"] == said["name"]
        assert found["score"] == pytest.approx(said["score"], abs=1e-4)
    assert answer["regions"][0]["decision"] == page["regions"][0]["decision"]


def test_new_items_are_ranked_by_what_describes_them_far_better_than_by_chance(session):
    data = read_feature_set(session[0] / "users.npz")
    features, labels = data.of("test_unseen")
    method = PrototypeRidge(**read_settings(session[0] / "users.json")).fit(*data.of("trainval"), data.semantics)
    classes = data.classes("test_unseen")
    order = np.argsort(-class_scores(method, features, data.semantics[classes]), axis=1)
    recall = (classes[order[:, :3]] == labels[:, None]).any(axis=1).mean()
    assert len(classes) == 10
    assert recall == pytest.approx(0.75, abs=0.03), "chance is 0.3"


def test_unseen_actions_are_recognized_from_pooled_frames(session):
    data = read_feature_set(session[0] / "clips.npz")
    method = PrototypeRidge(**read_settings(session[0] / "clips.json")).fit(*data.of("trainval"), data.semantics)
    assert judge(method, data).t1 > 0.75, "chance is 0.25"
