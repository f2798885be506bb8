"""Parity: figures that can be worked out by hand, and defects that must break it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgezsl.bundle import GOLDEN, Bundle, GoldenSet
from edgezsl.compile.calibration import CalibrationSet
from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.compile.figures import agreement_figures, paired_interval
from edgezsl.compile.parity import Reference, measure_parity
from edgezsl.compile.pictures import Picture, Pictures
from edgezsl.compile.recipe import Bounds
from edgezsl.encoders.graph import portable_encoder
from edgezsl.manifest import Batch
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.runtime.golden import golden_embeddings
from tests.factories import CONV_DIM, conv_encoder, conv_facts, finished, golden_frames, small_manifest

FACTS = conv_facts()
BOUNDS = Bounds(0.99, 0.98, 0.95)
ENGINES = {"onnx", "openvino"}


def smooth_pictures(count, *, photographs=None, labels=("",), kind="images"):
    """Return cheap images: four random colours, blended."""
    random = np.random.RandomState(1)
    images = [
        random.randint(0, 256, (5, 6, 3)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1) for _ in range(count)
    ]
    each = [
        Picture(image, f"photograph {number % (photographs or count)}", labels[number % len(labels)])
        for number, image in enumerate(images)
    ]
    return Pictures(kind, count, iter(each)), each


def portable(data=None):
    return portable_encoder(data or conv_encoder(), FACTS.contract, FACTS.space, "x")


def classes():
    random = np.random.RandomState(2)
    rows = random.randn(4, CONV_DIM).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return ClassPrototypes.from_rows([ClassRow(name, row) for name, row in zip("abcd", rows, strict=True)], FACTS.space)


def reference(**changes):
    engine = encoder_engine(conv_encoder(), FACTS.contract, CONV_DIM)
    values = {
        "contract": FACTS.contract,
        "engine": engine,
        "prototypes": classes(),
        "vocabulary": "4 classes",
        "bytes": 9,
    }
    return Reference(**{**values, **changes})


@pytest.fixture
def bundle_of(tmp_path):
    """Write a bundle of an encoder, as an export with some mistake would."""

    def write(data=None, contract=FACTS.contract, name="bundle"):
        encoder, frames = portable(data), golden_frames()
        embeddings = golden_embeddings(encoder_engine(encoder, contract, CONV_DIM), contract, frames)
        rows = embeddings[:4].copy()
        golden = GoldenSet(frames, {"fp32": embeddings}, rows, embeddings @ rows.T)
        manifest = small_manifest(
            contract=contract, space=FACTS.space, image_encoders={"fp32": "e.onnx"}, batch=Batch()
        )
        return Bundle.write(tmp_path / name, manifest, {"e.onnx": encoder, GOLDEN: golden.to_bytes()})

    return write


def report_of(bundle, pictures, *, model=None, used=None, installed=("onnx",)):
    """Return the report of one engine, unless others are named: each costs a second to load."""
    steps = measure_parity(model or reference(), {"fp32": bundle}, pictures, used, BOUNDS, installed=installed)
    return finished(steps)[0]["fp32"]


def test_figures_of_equal_embeddings_are_one():
    rows = np.random.RandomState(0).randn(20, 8).astype(np.float32)
    assert set(agreement_figures(rows, rows).values()) == {1.0}


def test_centred_figures_see_what_a_common_direction_hides():
    random = np.random.RandomState(0)
    common = np.full(8, 10, np.float32)
    model, other = (common + random.randn(50, 8).astype(np.float32) for _ in range(2))
    figures = agreement_figures(model, other)
    assert figures["cosine_mean"] > 0.98
    assert abs(figures["centred_mean"]) < 0.3
    assert figures["cosine_min"] <= figures["cosine_worst1"] <= figures["cosine_mean"]


def test_the_interval_of_a_drop_is_paired_and_by_photograph():
    drop = np.array([1.0, 0, 0, 0] * 25)
    low, high = paired_interval(drop, [str(number) for number in range(100)])
    assert low < 0.25 < high
    assert 0.1 < high - low < 0.25
    # The same images, but only two photographs: far less is known.
    wide = paired_interval(np.sort(drop), [str(number // 50) for number in range(100)])
    assert wide[1] - wide[0] > high - low
    assert paired_interval(np.zeros(10), list("abcdefghij")) == (0, 0)


def test_a_faithful_bundle_passes_in_every_engine(bundle_of):
    pictures, _ = smooth_pictures(120)
    report = report_of(bundle_of(), pictures, installed=None)
    assert report.outcome == "passed"
    assert set(report.engines) | set(report.skipped) >= ENGINES
    figures = report.engines["onnx"].figures
    assert figures["cosine_min"] == figures["top1_agreement"] == 1
    assert report.engines["onnx"].latency["runs"] > 0
    assert (report.figures["images"], report.figures["photographs"], report.figures["generated_images"]) == (
        120,
        120,
        0,
    )
    assert report.skipped["accuracy"] == "the images have no labels"


def test_an_engine_that_is_not_installed_is_named_and_costs_nothing(bundle_of):
    report = report_of(bundle_of(), smooth_pictures(100)[0])
    assert set(report.engines) == {"onnx"}
    assert report.skipped["openvino"] == "not installed"
    assert report.outcome == "passed"


def swapped_channels():
    model = onnx.load_from_string(conv_encoder())
    tensor = next(one for one in model.graph.initializer if one.name == "stem.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, ::-1].copy(), "stem.weight"))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (swapped_channels, {}),
        (None, {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}),
        (None, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
        (None, {"resize": "letterbox"}),
    ],
    ids=["swapped channels", "ImageNet's mean", "no mean", "letterbox"],
)
def test_each_seeded_defect_of_an_export_breaks_parity(bundle_of, data, changes):
    pictures, _ = smooth_pictures(100)
    report = report_of(bundle_of(data and data(), replace(FACTS.contract, **changes)), pictures)
    assert report.outcome == "broken"
    assert all("centred_mean" in engine.broken for engine in report.engines.values())


def test_an_engine_that_refuses_the_file_breaks_parity_and_says_why(bundle_of):
    bundle = bundle_of()
    lying = replace(bundle.manifest, golden={"fp32": 1.0})
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    golden = bundle.golden()
    files[GOLDEN] = replace(golden, embeddings={"fp32": golden.embeddings["fp32"][::-1].copy()}).of(["fp32"]).to_bytes()
    report = report_of(Bundle.write(bundle.folder, lying, files), smooth_pictures(100)[0])
    assert report.outcome == "broken"
    assert report.engines == {}
    assert all("disagrees with the golden answers" in reason for reason in report.refused.values())


@pytest.mark.parametrize(("count", "photographs"), [(99, 99), (120, 19)])
def test_too_few_images_or_photographs_prove_nothing(bundle_of, count, photographs):
    report = report_of(bundle_of(), smooth_pictures(count, photographs=photographs)[0])
    assert report.outcome == "too_few"
    assert (report.images, report.photographs) == (count, photographs)


def test_what_calibration_saw_is_left_out_by_photograph_and_by_pixels(bundle_of):
    pictures, each = smooth_pictures(110)
    used = CalibrationSet("images", np.zeros((0,)), "", frozenset(["photograph 3"]), frozenset([each[7].digest]))
    report = report_of(bundle_of(), pictures, used=used)
    assert (report.images, report.left_out) == (108, 2)


def test_accuracy_is_counted_where_images_have_labels(bundle_of):
    report = report_of(bundle_of(), smooth_pictures(100, labels=("a", "b", "unknown"))[0])
    figures = report.engines["onnx"].figures
    assert figures["accuracy"] == figures["model_accuracy"]
    assert figures["drop"] == figures["drop_low"] == figures["drop_high"] == 0
    assert figures["accuracy"] <= 0.67
    broken = report_of(bundle_of(swapped_channels()), smooth_pictures(100, labels=("a", "b"))[0])
    figures = broken.engines["onnx"].figures
    assert figures["drop_low"] <= figures["drop"] <= figures["drop_high"]


def test_without_classes_agreement_is_skipped_with_its_reason(bundle_of):
    model = reference(prototypes=None, vocabulary="the model embeds no words")
    report = report_of(bundle_of(), smooth_pictures(100)[0], model=model)
    assert report.skipped["top1_agreement"] == "the model embeds no words"
    assert "top1_agreement" not in report.figures
    assert report.outcome == "passed"


def test_generated_images_are_counted_as_such(bundle_of):
    report = report_of(bundle_of(), smooth_pictures(100, kind="generated images")[0])
    assert report.figures["generated_images"] == 100
    assert report.to_json()["images"]["kind"] == "generated images"


def test_decisions_on_images_of_nothing_are_counted_and_held_to_no_bound(bundle_of):
    bundle = bundle_of(swapped_channels())
    on_generated = report_of(bundle, smooth_pictures(100, kind="generated images")[0])
    on_photographs = report_of(bundle, smooth_pictures(100)[0])
    assert set(on_photographs.bounds) - set(on_generated.bounds) == {"top1_agreement"}
    assert "top1_agreement" in on_photographs.engines["onnx"].broken
    assert "top1_agreement" not in on_generated.engines["onnx"].broken
    assert on_generated.engines["onnx"].figures == on_photographs.engines["onnx"].figures
