"""Accuracy on labelled photographs, by the small bundle: its encoder is the mean colour, so that every answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import ClassFileError, InputError, SpaceMismatchError
from edgezsl.evaluate.evaluation import Evaluation
from edgezsl.evaluate.folder_accuracy import folder_accuracy, vocabulary
from edgezsl.runtime.engine import open_engine
from tests.evaluate.photographs import Labelled
from tests.factories import COLOURS, colour_frame, colour_prototypes, small_space


def photographs(**shown):
    """Return photographs: for each label the colours that they show."""
    return [
        Labelled(colour_frame(colour), label, f"{label} {number}")
        for label, colours in shown.items()
        for number, colour in enumerate(colours)
    ]


def judged(bundle, images, prototypes):
    engine = open_engine(bundle, "onnx", threads=1)
    steps = list(folder_accuracy(images, len(images), engine, bundle.manifest.contract, prototypes, title="colours"))
    engine.close()
    *progress, found = steps
    assert [step.done for step in progress] == list(range(1, len(images) + 1))
    assert isinstance(found, Evaluation)
    return found


def test_the_labels_are_the_vocabulary_and_mistakes_are_counted(small_bundle):
    images = photographs(red=["red", "red", "green", "red"], green=["green"] * 4, blue=["blue"] * 4)
    found = judged(small_bundle, images, vocabulary(small_bundle, ("red", "green", "blue")))
    assert found.figures.names == ("red", "green", "blue")
    assert found.figures.top[1] == pytest.approx((0.75 + 1 + 1) / 3)
    assert found.figures.confusion.tolist() == [[3, 1, 0], [0, 4, 0], [0, 0, 4]]
    assert found.rejection is None
    assert found.thresholds is not None
    assert found.temperature.before == pytest.approx(1 / small_bundle.manifest.space.logit_scale)


def test_a_class_that_is_left_out_should_be_rejected(small_bundle):
    images = photographs(red=["red"] * 4, green=["green"] * 4, blue=["blue"] * 4, yellow=["yellow"] * 4)
    prototypes = vocabulary(small_bundle, ("red", "green", "blue", "yellow"), left_out=("yellow",))
    found = judged(small_bundle, images, prototypes)
    assert found.figures.images == 12
    assert found.rejection.left_out == ("yellow",)
    assert len(found.rejection.outside) == 4
    assert found.rejection.inside.min() > found.rejection.outside.max()
    assert found.rejection.passing == (1.0, 0.0)


def test_a_class_pack_is_a_vocabulary_and_that_of_another_model_is_refused(small_bundle, tmp_path):
    file, pack = tmp_path / "classes.yaml", tmp_path / "classes.safetensors"
    file.write_text("- red\n- {name: green, threshold: 0.5}\n")
    made = vocabulary(small_bundle, ("red", "green", "cyan"), classes=file)
    made.write(pack)
    assert vocabulary(small_bundle, ("red", "green", "cyan"), classes=pack).digest == made.digest
    colour_prototypes("red", "green", space=small_space(id="ab" * 32)).write(pack)
    with pytest.raises(SpaceMismatchError) as caught:
        vocabulary(small_bundle, ("red", "green"), classes=pack)
    assert caught.value.code == "space_mismatch"


def test_labels_that_a_class_file_does_not_know_should_be_rejected_and_its_thresholds_are_said(small_bundle, tmp_path):
    file = tmp_path / "classes.yaml"
    file.write_text("classes:\n  - red\n  - green\nreject: 0.9\n")
    images = photographs(red=["red", "magenta"], green=["green", "green"], cyan=["cyan"])
    found = judged(small_bundle, images, vocabulary(small_bundle, ("red", "green", "cyan"), classes=file))
    assert found.figures.names == ("red", "green")
    assert found.rejection.left_out == ("cyan",)
    assert (
        found.facts["with the thresholds of the class file"]
        == "75.0% right, 0.0% wrong; 0.0% of left-out ones accepted"
    )


def test_the_seen_penalty_counts_as_on_a_device(small_bundle):
    images = photographs(red=["red"] * 2, magenta=["magenta"] * 2)
    plain = vocabulary(small_bundle, ("red", "magenta"))
    assert judged(small_bundle, images, plain).figures.top[1] == 1.0
    punished = replace(plain, seen=np.array([True, False]), seen_penalty=5.0)
    assert judged(small_bundle, images, punished).figures.per_class.tolist() == [0.0, 1.0]


def test_images_of_one_photograph_are_never_on_both_sides(small_bundle):
    images = [Labelled(colour_frame(name), name, name) for name in ("red", "green", "blue") for _ in range(4)]
    found = judged(small_bundle, images, vocabulary(small_bundle, ("red", "green", "blue")))
    assert found.temperature is None
    assert found.thresholds is None


def test_what_cannot_be_judged_is_refused(small_bundle):
    with pytest.raises(InputError, match="'white' cannot be left out: there is none"):
        vocabulary(small_bundle, ("red", "green", "blue"), left_out=("white",))
    with pytest.raises(InputError, match="the vocabulary has 1 classes"):
        vocabulary(small_bundle, ("red", "green"), left_out=("red",))
    with pytest.raises(ClassFileError, match="knows no word"):
        vocabulary(small_bundle, ("red", "zebra"))
    prototypes = vocabulary(small_bundle, tuple(COLOURS)[:3])
    with pytest.raises(InputError, match="none of 1 photographs is of a class") as caught:
        judged(small_bundle, photographs(cyan=["cyan"]), prototypes)
    assert caught.value.code == "no_labels"
    with pytest.raises(InputError, match="can be read"):
        judged(small_bundle, [], prototypes)
