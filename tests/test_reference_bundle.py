"""The reference bundle on real pictures, film and text. It needs `make reference` and `$EDGEZSL_DATA`."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgezsl.bundle import Bundle
from edgezsl.classes import ClassFile
from edgezsl.runtime.embed_process import EmbedProcess
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.sources import open_source
from edgezsl.runtime.text import SemanticCache

pytestmark = pytest.mark.data

REFERENCE = Path(__file__).parents[1] / "build" / "reference"
FIVE = b"- bottle\n- car\n- person walking\n- dog\n- cup\n"


@pytest.fixture(scope="module")
def bundle():
    return Bundle.open(REFERENCE)


@pytest.fixture(scope="module")
def videos():
    return Path(os.environ["EDGEZSL_DATA"]) / "photos_video"


def embedded(bundle, text):
    return ClassEmbedder(bundle, SemanticCache()).embed(ClassFile.parse(text, file="classes.yaml"), Path())


def decisions(bundle, engine, text, uri, *, every=1):
    """Return how often each class was decided on."""
    recognizer = Recognizer(engine, bundle.manifest.contract, embedded(bundle, text))
    source = open_source(str(uri), as_fast_as_possible=True)
    counts = Counter()
    while (frame := source.read()) is not None:
        if frame.number % every == 0:
            counts[recognizer.recognize(frame.image).regions[0].decision] += 1
    source.close()
    return counts


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_both_engines_pass_the_golden_test_and_agree(bundle, videos, name):
    engine = open_engine(bundle, name)
    counts = decisions(bundle, engine, FIVE, videos / "bottle-detection.mp4", every=20)
    engine.close()
    assert counts["bottle"] / counts.total() >= 0.7


def test_a_road_is_car_or_none(bundle, videos):
    engine = open_engine(bundle, "onnx")
    counts = decisions(bundle, engine, FIVE, videos / "solidWhiteRight.mp4", every=10)
    engine.close()
    assert (counts["car"] + counts[None]) / counts.total() >= 0.7


def test_photographs_are_recognised_by_the_words_of_their_names(bundle, videos):
    names = ["airplane", "banana", "bear", "bird", "cat", "coral", "desk", "dog", "jellyfish", "stingray"]
    text = "".join(f"- {name}\n" for name in names).encode()
    engine = open_engine(bundle, "onnx")
    recognizer = Recognizer(engine, bundle.manifest.contract, embedded(bundle, text))
    right = 0
    for name in ("airplane_0", "banana_0", "bird_1", "black_bear", "cat_0", "dog_0", "jellyfish", "stingray"):
        frame = open_source(str(videos / "photos" / f"{name}.jpg")).read()
        right += recognizer.recognize(frame.image).regions[0].decision in name
    engine.close()
    assert right >= 7


def test_a_pack_answers_like_the_class_file(bundle):
    process = EmbedProcess(bundle)
    from_child = process.embed(FIVE, file="classes.yaml", folder=Path())
    process.close()
    here = embedded(bundle, FIVE)
    assert from_child.names == here.names
    assert np.abs(from_child.vectors - here.vectors).max() <= 1e-5


def test_the_command_line_recognises_a_film_with_no_frame_dropped(videos, tmp_path):
    classes = tmp_path / "classes.yaml"
    classes.write_bytes(FIVE)
    command = [sys.executable, "-m", "edgezsl", "run", "--source", str(videos / "solidWhiteRight.mp4")]
    options = ["--as-fast-as-possible", "--classes", str(classes), "--bundle", str(REFERENCE), "--jsonl", "-"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()][1:-1]
    assert [answer["frame"] for answer in answers] == list(range(221))
    assert answers[-1]["dropped"] == 0
