import doctest
import importlib.util

import numpy as np
import pytest

from edgezsl.bundle import GOLDEN, Bundle
from edgezsl.errors import BundleError, EngineError, InputError, MissingExtraError
from edgezsl.manifest import Batch
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime import engine as engine_module
from edgezsl.runtime.engine import (
    ENGINES,
    GPU_PROVIDERS,
    GRAPH_ENGINES,
    FunctionEngine,
    choose_engine,
    installed_engines,
    open_engine,
    serving_engines,
)
from edgezsl.runtime.tensors import check_pixels, run_in_batches
from tests.factories import bundle_files, image_encoder, small_contract, small_manifest, write_small_bundle

HERE = ("onnx", "openvino")  # what runs on any machine
JETSON, X86 = ("tensorrt", "onnx"), ("openvino", "onnx")


class CountingGraph:
    """Doubles each number, and writes down how many images it was given at once."""

    def __init__(self):
        self.sizes = []

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        return 2 * pixels.reshape(len(pixels), -1)[:, :2].astype(np.float32)


@pytest.mark.parametrize(
    ("batch", "count", "sizes"),
    [
        (Batch(1, 1, 1), 0, []),
        (Batch(1, 1, 1), 1, [1]),
        (Batch(1, 1, 1), 3, [1, 1, 1]),
        (Batch(1, 4, 8), 0, []),
        (Batch(1, 4, 8), 1, [1]),
        (Batch(1, 4, 8), 8, [8]),
        (Batch(1, 4, 8), 9, [8, 1]),
        (Batch(1, 4, 8), 17, [8, 8, 1]),
        (Batch(3, 4, 4), 0, []),
        (Batch(3, 4, 4), 1, [3]),
        (Batch(3, 4, 4), 2, [3]),
        (Batch(3, 4, 4), 3, [3]),
        (Batch(3, 4, 4), 4, [4]),
        (Batch(3, 4, 4), 5, [4, 3]),
        (Batch(3, 4, 4), 8, [4, 4]),
        (Batch(4, 4, 4), 9, [4, 4, 4]),
    ],
    ids=str,
)
def test_any_number_of_images_goes_through_an_engine_of_fixed_batches(batch, count, sizes):
    graph = CountingGraph()
    pixels = np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2)
    answers = run_in_batches(graph, pixels, batch, 2)
    assert graph.sizes == sizes
    assert answers.shape == (count, 2)
    assert answers.dtype == np.float32
    assert np.array_equal(answers, 2 * pixels.reshape(count, 12)[:, :2])


def test_padding_keeps_the_dtype_of_the_pixels():
    seen = []
    run_in_batches(
        lambda pixels: seen.append(pixels.dtype) or np.zeros((3, 2), np.float32),
        np.zeros((1, 3, 2, 2), np.uint8),
        Batch(3, 3, 3),
        2,
    )
    assert seen == [np.uint8]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((1, 3, 16, 16)),
        np.zeros((1, 3, 16, 17), np.float32),
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((0, 3, 16, 17), np.float32),
        np.zeros(3, np.float32),
    ],
    ids=lambda pixels: f"{pixels.dtype}{pixels.shape}",
)
def test_pixels_of_another_shape_or_dtype_are_refused_with_both(pixels):
    with pytest.raises(EngineError) as caught:
        check_pixels(pixels, small_contract())
    assert caught.value.code == "bad_pixels"
    assert str(pixels.shape) in str(caught.value)
    assert caught.value.expected == "float32 (N, 3, 16, 16)"


# --- choosing ---


@pytest.mark.parametrize(
    ("requested", "order", "installed", "name", "reason"),
    [
        ("auto", X86, ("onnx", "openvino"), "openvino", "first of openvino, onnx for a board that is installed"),
        ("auto", X86, ("onnx",), "onnx", "first of openvino, onnx for a board that is installed"),
        ("auto", JETSON, ("onnx", "openvino"), "onnx", "first of tensorrt, onnx for a board that is installed"),
        ("auto", JETSON, ("openvino",), "openvino", "none of tensorrt, onnx for a board is installed"),
        ("auto", ("tensorrt",), ("onnx",), "onnx", "none of tensorrt for a board is installed"),
        ("onnx", X86, ("onnx", "openvino"), "onnx", "as asked"),
        ("openvino", JETSON, ("onnx", "openvino"), "openvino", "as asked"),
    ],
)
def test_the_engine_is_the_one_asked_for_or_the_first_that_the_device_prefers(
    requested, order, installed, name, reason
):
    choice = choose_engine(requested, order, installed, "a board")
    assert (choice.name, choice.reason) == (name, reason)


def test_an_encoder_that_is_not_for_every_engine_is_run_by_one_that_it_is_for():
    choice = choose_engine("auto", X86, ENGINES, "a board", precision="int8_dynamic")
    assert choice.name == "onnx"
    assert choice.reason == "first of openvino, onnx for a board that is installed and serves int8_dynamic"
    with pytest.raises(MissingExtraError, match="onnxruntime"):
        choose_engine("auto", X86, ("openvino",), "a board", precision="int8_dynamic")


@pytest.mark.parametrize(
    ("requested", "installed", "extra"),
    [
        ("auto", (), "runtime"),
        ("onnx", ("openvino",), "runtime"),
        ("openvino", ("onnx",), "openvino"),
        ("tensorrt", ("onnx",), "tensorrt"),
    ],
)
def test_an_engine_that_is_not_installed_is_refused_with_the_extra_that_brings_it(requested, installed, extra):
    with pytest.raises(MissingExtraError) as caught:
        choose_engine(requested, X86, installed, "a board")
    assert f"edgezsl[{extra}]" in caught.value.hint


@pytest.mark.parametrize("requested", ["TensorRT", "ONNX", "", "cpu"])
def test_a_name_of_no_engine_is_refused_with_the_names_there_are(requested):
    with pytest.raises(InputError) as caught:
        choose_engine(requested, X86, ENGINES, "a board")
    assert caught.value.code == "unknown_engine"
    assert caught.value.expected == "auto, onnx, openvino, tensorrt, onnx:cuda, onnx:tensorrt"


@pytest.mark.parametrize("name", GPU_PROVIDERS)
def test_a_provider_of_onnx_runtime_is_taken_where_it_is_asked_for_and_never_by_itself(name):
    assert choose_engine(name, X86, ("onnx",), "a board").name == name
    assert choose_engine("auto", (), ("onnx",), "a board").name == "onnx"
    with pytest.raises(MissingExtraError):
        choose_engine(name, X86, ("openvino",), "a board")


@pytest.mark.parametrize("name", GPU_PROVIDERS)
def test_an_encoder_whose_ranges_are_found_frame_by_frame_is_for_the_cpu(name):
    assert name not in serving_engines("int8_dynamic")
    assert name in serving_engines("int8")


def test_both_engines_are_installed_where_these_tests_run():
    assert installed_engines() == HERE


def test_what_is_exported_or_timed_unasked_is_run_by_engines_that_need_no_plan(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    assert installed_engines() == ENGINES
    assert installed_engines(GRAPH_ENGINES) == ("onnx", "openvino")


# --- opening ---


@pytest.mark.parametrize("name", HERE)
def test_an_engine_opens_tested_and_says_what_it_is(small_bundle, name):
    engine = open_engine(small_bundle, name, threads=1)
    assert engine.dtype == "float32"
    assert engine.encoder == "fp32"
    assert name.removesuffix("runtime") in engine.description
    assert "1 thread," in engine.description
    engine.close()


@pytest.mark.parametrize("name", HERE)
def test_a_precision_that_the_bundle_has_not_is_refused(small_bundle, name):
    with pytest.raises(InputError) as caught:
        open_engine(small_bundle, name, precision="int8")
    assert (caught.value.code, caught.value.expected) == ("no_such_precision", "fp32")


@pytest.mark.parametrize("name", HERE)
def test_an_engine_that_disagrees_with_the_bundle_is_never_handed_out(tmp_path, name):
    manifest = small_manifest()
    files = bundle_files(manifest)
    other = bundle_files(small_manifest(contract=small_contract(mean=(0.1, 0.5, 0.9))))
    bundle = Bundle.write(tmp_path / "bundle", manifest, {**files, GOLDEN: other[GOLDEN]})
    with pytest.raises(EngineError) as caught:
        open_engine(bundle, name, threads=1)
    assert caught.value.code == "golden_mismatch"


@pytest.mark.parametrize("name", HERE)
def test_an_encoder_that_changed_since_the_bundle_was_opened_is_refused(tmp_path, name):
    bundle = write_small_bundle(tmp_path / "bundle")
    path = bundle.folder / "image_encoder.fp32.onnx"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(BundleError) as caught:
        open_engine(bundle, name, threads=1)
    assert caught.value.code == "altered"


@pytest.mark.parametrize("name", HERE)
def test_a_graph_whose_tensors_are_named_otherwise_is_refused(tmp_path, name):
    manifest = small_manifest()
    files = bundle_files(manifest)
    files["image_encoder.fp32.onnx"] = image_encoder(small_contract(input="pixels"))
    bundle = Bundle.write(tmp_path / "bundle", manifest, files)
    with pytest.raises(EngineError) as caught:
        open_engine(bundle, name, threads=1)
    assert caught.value.code == "bad_graph"
    assert "'pixels'" in str(caught.value)
    assert "'image'" in caught.value.expected


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("data", [b"", b"garbage", b"\x08" * 100], ids=["empty", "text", "bytes"])
def test_a_file_that_is_no_graph_is_refused_with_its_path(tmp_path, name, data):
    manifest = small_manifest()
    files = {**bundle_files(manifest), "image_encoder.fp32.onnx": data}
    bundle = Bundle.write(tmp_path / "bundle", manifest, files)
    with pytest.raises(EngineError) as caught:
        open_engine(bundle, name, threads=1)
    assert caught.value.code == "bad_graph"
    assert caught.value.where.file == str(bundle.folder / "image_encoder.fp32.onnx")


# --- every engine keeps the same promises ---


@pytest.fixture(params=HERE)
def engine(request, small_bundle):
    engine = open_engine(small_bundle, request.param, threads=1)
    yield engine
    engine.close()


def random_pixels(count, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, (count, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9])
def test_an_engine_takes_any_number_of_images(engine, count):
    pixels = random_pixels(count)
    answers = engine.run(pixels)
    assert answers.shape == (count, 6)
    assert answers.dtype == np.float32
    for answer, image in zip(answers, pixels, strict=True):
        np.testing.assert_allclose(engine.run(image[None])[0], answer, atol=0.02)  # bf16 has 8 bits


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_an_engine_of_a_least_batch_takes_any_number_of_images(tmp_path, name, count):
    engine = open_engine(write_small_bundle(tmp_path / "bundle", batch=Batch(2, 4, 4)), name, threads=1)
    pixels = random_pixels(count)
    assert engine.run(pixels).shape == (count, 6)
    engine.close()


def test_answers_are_the_caller_s_own(engine):
    first = engine.run(random_pixels(1))
    kept = first.copy()
    engine.run(random_pixels(1, seed=1))
    assert np.array_equal(first, kept)
    first[...] = 0


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((1, 3, 16, 16)),
        np.zeros((1, 3, 17, 16), np.float32),
        np.zeros((3, 16, 16), np.float32),
        np.zeros((1, 3, 16, 16), object),
    ],
    ids=lambda pixels: f"{pixels.dtype}{pixels.shape}",
)
def test_pixels_that_do_not_fit_are_refused_and_the_engine_goes_on(engine, pixels):
    with pytest.raises(EngineError):
        engine.run(pixels)
    assert engine.run(random_pixels(1)).shape == (1, 6)


def test_how_pixels_lie_in_memory_does_not_matter(engine):
    pixels = random_pixels(2)
    turned = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(engine.run(turned), engine.run(pixels))
    assert np.array_equal(engine.run(pixels[::-1]), engine.run(np.ascontiguousarray(pixels[::-1])))


def test_a_closed_engine_may_be_closed_again_and_no_longer_runs(engine):
    engine.close()
    engine.close()
    with pytest.raises(EngineError) as caught:
        engine.run(random_pixels(1))
    assert caught.value.code == "closed"


@pytest.mark.parametrize("name", HERE)
def test_an_encoder_that_normalises_itself_takes_bytes(tmp_path, name):
    bundle = write_small_bundle(tmp_path / "bundle", contract=small_contract(dtype="uint8"))
    engine = open_engine(bundle, name, threads=1)
    assert engine.dtype == "uint8"
    assert engine.run(np.zeros((1, 3, 16, 16), np.uint8)).shape == (1, 6)
    engine.close()


def test_two_engines_of_one_bundle_agree(small_bundle):
    preprocess = Preprocessor(small_bundle.manifest.contract)
    frames = [
        np.random.RandomState(seed).randint(0, 256, (20, 30, 3)).astype(np.uint8) // (seed + 1) for seed in range(8)
    ]
    answers = []
    for name in HERE:
        engine = open_engine(small_bundle, name, threads=1)
        answers.append(engine.run(preprocess(frames)))
        engine.close()
    cosines = (answers[0] * answers[1]).sum(axis=1)
    assert cosines.min() > 0.999


# --- the engine made of a function ---


def test_a_function_is_an_engine():
    engine = FunctionEngine(lambda pixels: pixels.mean(axis=(2, 3), dtype=np.float64), dtype="uint8", encoder="int8")
    answers = engine.run(np.full((2, 3, 4, 4), 7, np.uint8))
    assert answers.dtype == np.float32
    assert answers.tolist() == [[7, 7, 7]] * 2
    assert (engine.dtype, engine.precision, engine.encoder) == ("uint8", "int8", "int8")
    engine.close()
    engine.close()


def test_a_function_s_answer_is_copied():
    held = np.ones((1, 2), np.float32)
    answer = FunctionEngine(lambda _: held).run(np.zeros((1, 3, 4, 4), np.float32))
    held[...] = 0
    assert answer.tolist() == [[1, 1]]


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(engine_module)
    assert result.attempted > 0
    assert result.failed == 0
