import numpy as np
import pytest

from edgezsl.bundle import Bundle
from edgezsl.errors import EngineError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.engine import FunctionEngine
from edgezsl.runtime.golden import LEAST_COSINE, agreement, check_golden, golden_embeddings
from edgezsl.runtime.onnx_engine import OnnxEngine
from tests.factories import bundle_files, small_contract, small_manifest, write_small_bundle


@pytest.fixture
def encode(small_bundle):
    """The small bundle's encoder as a function of pixels."""
    engine = OnnxEngine.open(small_bundle, "fp32", threads=1)
    yield engine.run
    engine.close()


def refusal(function, bundle, **options):
    with pytest.raises(EngineError) as caught:
        check_golden(FunctionEngine(function, **options), bundle)
    assert caught.value.hint
    return caught.value


def rotated(vectors, degrees):
    """Return unit vectors turned by an angle towards a direction orthogonal to each."""
    other = np.roll(vectors, 1, axis=1)
    other -= (other * vectors).sum(axis=1, keepdims=True) * vectors
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    angle = np.radians(degrees)
    return np.cos(angle) * vectors + np.sin(angle) * other


def test_the_encoder_itself_agrees(small_bundle, encode):
    assert check_golden(FunctionEngine(encode), small_bundle) == pytest.approx(1, abs=1e-6)


def test_golden_frames_go_through_preprocessing_one_at_a_time(small_bundle, encode):
    golden, contract = small_bundle.golden(), small_bundle.manifest.contract
    seen = []
    found = golden_embeddings(
        FunctionEngine(lambda pixels: seen.append(pixels) or encode(pixels)), contract, golden.frames
    )
    assert [pixels.shape for pixels in seen] == [(1, 3, 16, 16)] * len(golden.frames)
    assert np.array_equal(seen[-1], Preprocessor(contract)([golden.frames[-1]]))
    np.testing.assert_allclose(found, golden.embeddings["fp32"], atol=1e-6)


def test_swapped_channels_are_refused(small_bundle, encode):
    error = refusal(lambda pixels: encode(pixels[:, ::-1]), small_bundle)
    assert error.code == "golden_mismatch"
    assert "cosine" in str(error)
    assert error.expected == "at least 0.9999"


def test_an_engine_that_forgets_to_normalise_pixels_is_refused(small_bundle, encode):
    assert refusal(lambda pixels: encode((pixels + 1) / 2), small_bundle).code == "golden_mismatch"


@pytest.mark.parametrize("answer", [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0.1] * 6], ids=str)
def test_an_engine_that_answers_every_frame_alike_is_refused(small_bundle, answer):
    error = refusal(lambda pixels: np.full((len(pixels), 6), answer, np.float32), small_bundle)
    assert error.code in {"constant_answers", "golden_mismatch"}


def test_two_frames_with_one_answer_are_named(small_bundle, encode):
    answers, calls = (
        golden_embeddings(FunctionEngine(encode), small_bundle.manifest.contract, small_bundle.golden().frames),
        iter(range(99)),
    )
    answers[7] = answers[3]
    error = refusal(lambda _: answers[next(calls)][None], small_bundle)
    assert error.code == "constant_answers"
    assert "frames 3 and 7" in str(error)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("frame", [0, 17, 31])
def test_one_value_that_is_not_finite_is_enough_to_be_refused(small_bundle, encode, value, frame):
    calls = iter(range(99))

    def broken(pixels):
        answer = encode(pixels)
        if next(calls) == frame:
            answer[0, 2] = value
        return answer

    error = refusal(broken, small_bundle)
    assert error.code == "golden_mismatch"
    assert "not finite" in str(error)


@pytest.mark.parametrize("shape", [(1, 5), (1, 7), (2, 6)], ids=str)
def test_answers_of_another_shape_are_refused(small_bundle, shape):
    chance = np.random.RandomState(0)
    error = refusal(lambda _: chance.randn(*shape), small_bundle)
    assert error.code == "golden_mismatch"
    assert "(32, 6)" in error.expected


@pytest.mark.parametrize(
    ("precision", "passes", "fails"),
    [
        ("fp32", 0.7, 0.9),
        ("fp16", 2.4, 2.7),
        ("bf16", 2.4, 2.7),
        ("int8", 8.0, 8.3),
        ("int8_fp16", 8.0, 8.3),
        ("int8_dynamic", 8.0, 8.3),
    ],
)
def test_each_arithmetic_has_its_own_tolerance(small_bundle, encode, precision, passes, fails):
    engine = FunctionEngine(lambda pixels: rotated(encode(pixels), passes))
    engine.precision = precision
    assert check_golden(engine, small_bundle) >= LEAST_COSINE[precision]
    engine = FunctionEngine(lambda pixels: rotated(encode(pixels), fails))
    engine.precision = precision
    with pytest.raises(EngineError):
        check_golden(engine, small_bundle)


def test_arithmetic_finer_than_the_file_is_held_to_what_the_file_may_differ_by(tmp_path, encode):
    bundle = write_small_bundle(tmp_path / "half", precision="fp16", image_encoders={"fp16": "image_encoder.fp16.onnx"})
    for degrees, passes in ((2.4, True), (2.7, False)):
        engine = FunctionEngine(lambda pixels, degrees=degrees: rotated(encode(pixels), degrees), encoder="fp16")
        engine.precision = "fp32"
        if passes:
            assert check_golden(engine, bundle) > 0.999
        else:
            with pytest.raises(EngineError):
                check_golden(engine, bundle)


def test_the_manifest_s_tolerance_is_the_one_that_holds(tmp_path, encode):
    manifest = small_manifest(golden={"fp32": 0.9})
    bundle = Bundle.write(tmp_path / "bundle", manifest, bundle_files(manifest))
    assert check_golden(FunctionEngine(lambda pixels: rotated(encode(pixels), 20)), bundle) > 0.9
    assert refusal(lambda pixels: rotated(encode(pixels), 30), bundle).expected == "at least 0.9"


def test_arithmetic_that_nobody_gave_a_tolerance_for_is_held_to_that_of_fp32(small_bundle, encode):
    engine = FunctionEngine(lambda pixels: rotated(encode(pixels), 0.9))
    engine.precision = "tf32"
    with pytest.raises(EngineError):
        check_golden(engine, small_bundle)


def test_an_encoder_without_golden_answers_is_refused(small_bundle, encode):
    error = refusal(encode, small_bundle, encoder="int8")
    assert error.code == "golden_mismatch"
    assert "'int8'" in str(error)


@pytest.mark.parametrize(
    "changes",
    [{"mean": (0.1, 0.5, 0.9)}, {"std": (0.5, 0.5, 0.1)}, {"interpolation": "nearest", "resize": "letterbox"}],
    ids=str,
)
def test_a_contract_that_is_not_the_model_s_is_refused(tmp_path, changes):
    wrong = small_manifest(contract=small_contract(**changes))
    bundle = Bundle.write(tmp_path / "bundle", wrong, bundle_files(small_manifest()))
    engine = OnnxEngine.open(bundle, "fp32", threads=1)
    with pytest.raises(EngineError) as caught:
        check_golden(engine, bundle)
    assert caught.value.code == "golden_mismatch"
    engine.close()


def test_agreement_is_the_cosine_of_unit_rows_and_less_where_lengths_differ():
    expected = np.array([[1, 0], [0, 1], [3, 4]], np.float32)
    answers = np.array([[0, 1], [0, 1], [6, 8]], np.float32)
    np.testing.assert_allclose(agreement(answers, expected), [0, 1, 0.5], atol=1e-12)
