"""The built-in model as a device runs it: no torch, no onnx, no other model, and every command as it is typed."""

import json
import shutil

import pytest

from edgezsl import Preprocessor, Station, StationSettings, open_engine
from edgezsl.runtime.engine import installed_engines
from edgezsl.runtime.sources import read_image

WORDS = "[cat, dog, flower, pagoda, person, rocket, cup of coffee]\n"
SHOWN = {
    "cats_face.png": "cat",
    "orange_dahlia.png": "flower",
    "Chinese_pagoda.png": "pagoda",
    "astronaut.png": "person",
    "rocket.png": "rocket",
    "cup_of_coffee.png": "cup of coffee",
}


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text(WORDS)
    return path


def said(done):
    """Return the decision for each picture."""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    answers = [line for line in lines if line["type"] == "recognition"]
    return {line["file"].rsplit("/", 1)[-1]: line["regions"][0]["decision"] for line in answers}


def test_it_names_what_ordinary_photographs_show(edgezsl, photographs, classes):
    assert said(edgezsl("run", "--source", photographs, "--classes", classes, "--jsonl", "-")) == SHOWN


def test_a_class_pack_answers_as_its_class_file_does(edgezsl, photographs, classes, tmp_path):
    pack = tmp_path / "classes.safetensors"
    edgezsl("embed", classes, "--out", pack)
    assert said(edgezsl("run", "--source", photographs, "--classes", pack, "--jsonl", "-")) == SHOWN


def test_pictures_stand_beside_words(edgezsl, photographs, tmp_path):
    shutil.copy(photographs / "rocket.png", tmp_path)
    path = tmp_path / "classes.yaml"
    path.write_text(
        "classes: [cat, dog, flower, pagoda, person, {name: ours, examples: [rocket.png]}, cup of coffee]\n"
    )
    expected = SHOWN | {"rocket.png": "ours"}
    assert said(edgezsl("run", "--source", photographs, "--classes", path, "--jsonl", "-")) == expected


def test_what_is_in_no_class_is_none_of_these(edgezsl, photographs, tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("reject: 0.3\nclasses: [cat, dog]\n")
    answers = said(edgezsl("run", "--source", photographs, "--classes", path, "--jsonl", "-"))
    assert answers["cats_face.png"] == "cat"
    assert {name: word for name, word in answers.items() if name != "cats_face.png"} == dict.fromkeys(
        sorted(set(SHOWN) - {"cats_face.png"})
    )


class Editor:
    """A sink that replaces the class file at the first answer, and ends the stream some answers after the swap."""

    def __init__(self, station, classes, text):
        self.station, self.classes, self.text = station, classes, text
        self.said = {1: set(), 2: set()}
        self.after = 0

    def frame(self, frame, answer):
        del frame
        if not self.said[1]:
            self.classes.write_text(self.text)
        self.said[answer.revision].add(answer.regions[0].decision)
        self.after += answer.revision == 2
        if self.after == 3:
            self.station.stop()

    def event(self, event):
        del event

    def close(self):
        pass


def test_an_edit_while_it_runs_changes_the_answers(classes):
    with Station.open(StationSettings(source="synthetic:?fps=30&frames=3000", classes=classes)) as station:
        editor = Editor(station, classes, "[lighthouse, tower]\n")
        station.run([editor])
    assert editor.said[1]
    assert editor.said[1] <= set(WORDS.strip("[]\n").split(", "))
    assert editor.said[2]
    assert editor.said[2] <= {"lighthouse", "tower"}


@pytest.mark.parametrize("name", sorted(set(installed_engines()) - {"onnx"}))
def test_another_engine_passes_the_golden_set_and_agrees_on_photographs(bundle, photographs, name):
    preprocess = Preprocessor(bundle.manifest.contract)
    first, other = (open_engine(bundle, one, threads=1) for one in ("onnx", name))  # opened means passed
    for path in sorted(photographs.iterdir()):
        a, b = (engine.run(preprocess([read_image(path)]))[0] for engine in (first, other))
        assert a @ b > bundle.manifest.golden["int8"]
    first.close()
    other.close()


def test_the_commands_that_need_a_model_take_this_one(edgezsl, classes, tmp_path):
    assert "builtin" in edgezsl("inspect", cwd=tmp_path).stdout
    edgezsl("check", classes, cwd=tmp_path)
    assert "onnx" in edgezsl("bench", "--runs", 5, cwd=tmp_path).stdout
    edgezsl("doctor", cwd=tmp_path)
