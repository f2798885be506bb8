"""The page of a parity report: it loads nothing, says what broke, shows the worst images, and lets no name become markup."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from edgezsl.compile.figures import cosines
from edgezsl.compile.parity_page import parity_page
from edgezsl.compile.parity_report import EngineParity, ParityReport
from edgezsl.compile.pictures import Picture
from edgezsl.compile.worst import SHOWN, Gallery, image_of
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.sources import decode_image
from tests.documents import Page
from tests.factories import colour_prototypes, small_contract

HOSTILE = "<b>a&b</b>.jpg"
CONTRACT = small_contract()
FIGURES = {"cosine_mean": 0.999, "centred_mean": 0.97, "top1_agreement": 0.96, "drop": 0.004, "drop_low": -0.001}


def gallery_of(count, *, other=CONTRACT):
    """Return a gallery that saw `count` images, the embeddings of a model and an export, and the images."""
    random = np.random.RandomState(0)
    model = random.randn(count, 6).astype(np.float32) + 3
    export = (model + random.randn(count, 6) * np.linspace(0, 1, count)[:, None]).astype(np.float32)
    gallery, ours, theirs = Gallery(CONTRACT, other), Preprocessor(CONTRACT), Preprocessor(other)
    images = random.randint(0, 256, (count, 2, 4, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    for number, image in enumerate(images):
        picture = Picture(image, f"folder/{number}.jpg", "cat")
        found = {"onnx": float(cosines(model[number][None], export[number][None])[0])}
        gallery.offer(picture, (ours([image]), theirs([image])), found)
    return gallery, model, export, images


def report(**changes):
    gallery, model, export, _ = gallery_of(40)
    prototypes = colour_prototypes("red", "green", "blue")
    worst = gallery.worst("onnx", model, export, prototypes)
    worst = (replace(worst[0], name=HOSTILE), *worst[1:])
    engine = EngineParity("ONNX Runtime", {**FIGURES, "drop_high": 0.009}, ("centred_mean",), {"p50_ms": 3.5}, worst)
    values = {
        "outcome": "broken",
        "precision": "int8",
        "kind": "images",
        "images": 40,
        "photographs": 39,
        "left_out": 2,
        "unreadable": 1,
        "bounds": {"centred_mean": 0.98},
        "engines": {"onnx": engine},
        "refused": {"openvino": "it answers otherwise"},
        "skipped": {"tensorrt": "not installed"},
        "vocabulary": "3 colours",
        "model_latency": {"p50_ms": 2.5, "p95_ms": 3.0, "runs": 30, "threads": 1},
        "bytes": {"model": 4_000_000, "export": 1_000_000},
    }
    return ParityReport(**{**values, **changes})


@pytest.fixture(scope="module")
def page():
    return Page(parity_page([report()], "colours", {"recipe": "convnet"}))


def test_the_worst_images_are_those_of_lowest_centred_cosine_the_worst_first():
    gallery, model, export, _ = gallery_of(40)
    worst = gallery.worst("onnx", model, export, None)
    mean = model.mean(axis=0)
    centred = cosines(model - mean, export - mean)
    assert len(worst) == SHOWN
    np.testing.assert_allclose([one.centred for one in worst], np.sort(centred)[:SHOWN], atol=1e-6)
    assert worst[0].name == f"{centred.argmin()}.jpg"
    assert {one.model for one in worst} == {""}


def test_each_worst_image_shows_what_the_model_takes_beside_what_the_export_takes():
    gallery, model, export, images = gallery_of(8, other=replace(CONTRACT, resize="squash"))
    worst = gallery.worst("onnx", model, export, None)[0]
    image = images[int(worst.name.partition(".")[0])]
    cropped, squashed = image[:, 8:24], image[:, ::2]
    for taken, expected, other in zip(worst.taken, (cropped, squashed), (squashed, cropped), strict=True):
        shown = decode_image(taken, name="x").astype(int)
        assert np.abs(shown - expected).mean() < 0.5 * np.abs(shown - other).mean()


def test_pixels_turn_back_into_the_image_that_they_were_made_from():
    image = np.random.RandomState(0).randint(0, 256, (16, 16, 3)).astype(np.uint8)
    for contract in (CONTRACT, replace(CONTRACT, dtype="uint8")):
        np.testing.assert_array_equal(image_of(Preprocessor(contract)([image])[0], contract), image)


def test_it_loads_nothing_and_shows_two_pictures_for_each_image(page):
    sources = page.attributes("src")
    assert len(sources) == 2 * SHOWN
    assert all(base64.b64decode(one.removeprefix("data:image/jpeg;base64,"))[:2] == b"\xff\xd8" for one in sources)
    assert not page.attributes("href")


def test_what_broke_is_said_first_and_every_figure_stands_in_the_table(page):
    assert "Does not hold: centred_mean is 0.9700 in onnx, expected at least 0.98" in page.text
    assert "Does not hold: openvino refuses it (it answers otherwise)" in page.text
    assert ["centred cosine, mean", "0.9700"] in page.rows
    assert "points of accuracy lost, 95% between -0.10 and 0.90" in page.text
    for words in ("2, because calibration had used them", "not installed", "convnet", "3 colours"):
        assert words in page.text


def test_a_name_never_becomes_markup(page):
    assert HOSTILE in page.text
    assert HOSTILE in " ".join(page.attributes("alt"))
    assert not any(tag == "b" and HOSTILE in str(attrs) for tag, attrs in page.elements)


def test_what_holds_is_said_with_its_bounds():
    engine = EngineParity("ONNX Runtime", {**FIGURES, "drop_high": 0.009, "centred_mean": 0.99}, (), {"p50_ms": 3.5})
    text = Page(
        parity_page(
            [report(outcome="passed", engines={"onnx": engine}, refused={}), report(precision="fp16")], "colours", {}
        )
    ).text
    assert "Every bound holds in every engine: centred cosine, mean ≥ 0.98." in text
    own, _, beside = text.partition("Beside it: fp16")
    assert "Does not hold" not in own
    assert "Does not hold: centred_mean is 0.9700" in beside
    assert "The worst images" not in text
