import doctest
import threading

import numpy as np
import pytest

from edgezsl.errors import ContractError, EngineError, InputError, SpaceMismatchError
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.runtime import recognizer as recognizer_module
from edgezsl.runtime.engine import FunctionEngine, open_engine
from edgezsl.runtime.recognizer import TOP_K, WHOLE_FRAME, Recognizer
from tests.factories import (
    COLOURS,
    colour_frame,
    colour_prototypes,
    colour_vector,
    rotation,
    small_contract,
    small_space,
)

BIAS = {"first": 0.0, "second": 1.0}


@pytest.fixture(scope="module")
def engine(small_bundle):
    engine = open_engine(small_bundle, "onnx", threads=1)
    yield engine
    engine.close()


@pytest.fixture
def recognizer(engine):
    return Recognizer(engine, small_contract(), colour_prototypes())


def top_names(answer):
    return [one.name for one in answer.regions[0].top]


# --- one frame ---


@pytest.mark.parametrize("colour", COLOURS)
def test_a_frame_of_a_colour_is_recognised_as_that_colour(recognizer, colour):
    (region,) = recognizer.recognize(colour_frame(colour)).regions
    assert region.region == WHOLE_FRAME
    assert region.decision == region.top[0].name == colour
    assert region.top[0].score == pytest.approx(1, abs=1e-5)


def test_an_answer_says_which_class_set_gave_it(recognizer):
    answer = recognizer.recognize(colour_frame("red"))
    assert answer.revision == recognizer.revision == 1
    assert answer.classes == recognizer.prototypes.digest[:12]


def test_an_answer_holds_the_scores_of_the_product_and_their_probabilities(engine, recognizer):
    frame = np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    (region,) = recognizer.recognize(frame).regions
    prototypes = recognizer.prototypes
    row = engine.run(Preprocessor(small_contract())([frame]))[0] @ prototypes.vectors.T
    logits = 20.0 * row.astype(np.float64)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    order = np.argsort(-row, kind="stable")[:TOP_K]
    assert [one.name for one in region.top] == [prototypes.names[index] for index in order]
    np.testing.assert_allclose([one.score for one in region.top], row[order], atol=1e-5)
    np.testing.assert_allclose([one.probability for one in region.top], shares[order], atol=1e-5)
    assert all(type(one.score) is type(one.probability) is float for one in region.top)


@pytest.mark.parametrize(("top_k", "listed"), [(1, 1), (3, 3), (5, 5), (8, 8), (100, 8)])
def test_an_answer_lists_as_many_classes_as_asked_for_and_there_are(engine, top_k, listed):
    recognizer = Recognizer(engine, small_contract(), colour_prototypes(), top_k=top_k)
    assert len(top_names(recognizer.recognize(colour_frame("red")))) == listed


@pytest.mark.parametrize("top_k", [0, -1])
def test_an_answer_lists_one_class_at_least(engine, top_k):
    with pytest.raises(InputError) as caught:
        Recognizer(engine, small_contract(), colour_prototypes(), top_k=top_k)
    assert str(top_k) in str(caught.value)


def test_what_is_unlike_every_class_is_none_of_these(engine):
    recognizer = Recognizer(engine, small_contract(), colour_prototypes("red", "green", reject=0.9))
    assert recognizer.recognize(colour_frame("red")).regions[0].decision == "red"
    region = recognizer.recognize(colour_frame("blue")).regions[0]
    assert region.decision is None
    assert len(region.top) == 2


def test_a_negative_class_absorbs_and_is_not_reported(engine):
    rows = [ClassRow(name, colour_vector(COLOURS[name]) @ rotation(), negative=name == "blue") for name in COLOURS]
    recognizer = Recognizer(engine, small_contract(), ClassPrototypes.from_rows(rows, small_space()), top_k=8)
    answer = recognizer.recognize(colour_frame("blue"))
    assert answer.regions[0].decision is None
    assert "blue" not in top_names(answer)
    assert recognizer.recognize(colour_frame("red")).regions[0].decision == "red"


def test_preparing_ahead_gives_the_same_answer(recognizer):
    frame = np.random.RandomState(1).randint(0, 256, (50, 20, 3)).astype(np.uint8)
    assert recognizer.answer(recognizer.embed(recognizer.prepare(frame))) == recognizer.recognize(frame)


def test_what_is_not_a_frame_is_refused_and_recognition_goes_on(recognizer):
    with pytest.raises(ContractError):
        recognizer.recognize(np.zeros((24, 32), np.uint8))
    assert recognizer.recognize(colour_frame("red")).regions[0].decision == "red"


# --- engines ---


def mean_colour(pixels):
    """Return the embeddings that the small bundle's encoder gives, by numpy."""
    raw = pixels.mean(axis=(2, 3)) @ rotation()[:3] + 0.5 * rotation()[3]
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def test_a_function_serves_as_engine(recognizer):
    of_function = Recognizer(FunctionEngine(mean_colour), small_contract(), colour_prototypes())
    for colour in COLOURS:
        assert of_function.recognize(colour_frame(colour)).regions[0].decision == colour


@pytest.mark.parametrize(
    "broken",
    [
        lambda pixels: np.full((len(pixels), 6), np.nan),
        lambda pixels: np.array([[1, 0, 0, np.inf, -np.inf, 0]] * len(pixels)),
        lambda pixels: np.zeros((len(pixels), 5)),
        lambda pixels: np.zeros((len(pixels) + 1, 6)),
        lambda _: np.zeros(6),
    ],
    ids=["NaN", "infinity", "D", "N", "rank"],
)
@pytest.mark.parametrize("classes", [8, 300])
def test_an_engine_that_breaks_while_running_gives_an_error_and_never_an_answer(broken, classes):
    rows = [ClassRow(f"class {number}", rotation()[0]) for number in range(classes)]
    prototypes = ClassPrototypes.from_rows(rows, small_space())
    with pytest.raises(EngineError) as caught:
        Recognizer(FunctionEngine(broken), small_contract(), prototypes).recognize(colour_frame("red"))
    assert caught.value.code == "bad_embeddings"
    assert caught.value.expected == "finite values (1, 6)"


@pytest.mark.parametrize(("takes", "given"), [("uint8", "float32"), ("float32", "uint8")])
def test_an_engine_that_takes_another_dtype_than_the_contract_s_is_refused(takes, given):
    engine = FunctionEngine(mean_colour, dtype=takes)
    with pytest.raises(ContractError) as caught:
        Recognizer(engine, small_contract(dtype=given), colour_prototypes())
    assert caught.value.code == "bad_dtype"
    assert takes in caught.value.message
    assert given in caught.value.expected
    assert "bundle" in caught.value.hint


@pytest.mark.parametrize("changes", [{"id": "c0ffee00"}, {"similarity": "dot"}], ids=str)
def test_classes_of_another_space_than_the_engine_s_are_refused(engine, changes):
    classes = colour_prototypes("red", space=small_space(**changes))
    with pytest.raises(SpaceMismatchError) as caught:
        Recognizer(engine, small_contract(), classes, space=small_space())
    assert caught.value.code == "space_mismatch"
    assert str(small_space()) in str(caught.value)
    assert str(classes.space) in str(caught.value)


def test_classes_of_the_engine_s_space_are_served(engine, small_bundle):
    recognizer = Recognizer(engine, small_contract(), colour_prototypes(), space=small_bundle.manifest.space)
    assert recognizer.recognize(colour_frame("red")).regions[0].decision == "red"


def test_closing_the_recognizer_closes_its_engine(small_bundle):
    recognizer = Recognizer(open_engine(small_bundle, "onnx", threads=1), small_contract(), colour_prototypes())
    recognizer.close()
    with pytest.raises(EngineError) as caught:
        recognizer.recognize(colour_frame("red"))
    assert caught.value.code == "closed"


# --- swapping ---


def test_a_swap_answers_with_the_new_classes_from_the_next_frame_on(recognizer):
    before = recognizer.recognize(colour_frame("red"))
    assert recognizer.swap(colour_prototypes("blue", "cyan")) == 2
    after = recognizer.recognize(colour_frame("red"))
    assert "red" in top_names(before)
    assert set(top_names(after)) == {"blue", "cyan"}
    assert (before.revision, after.revision) == (1, 2)
    assert after.classes == colour_prototypes("blue", "cyan").digest[:12] != before.classes


def test_every_swap_counts_even_to_the_same_classes(recognizer):
    assert [recognizer.swap(colour_prototypes()) for _ in range(3)] == [2, 3, 4]
    assert recognizer.recognize(colour_frame("red")).revision == 4


def test_another_space_is_refused_and_the_old_classes_go_on_answering(recognizer):
    before = recognizer.recognize(colour_frame("red"))
    with pytest.raises(SpaceMismatchError):
        recognizer.swap(colour_prototypes("blue", space=small_space(id="c0ffee00")))
    assert recognizer.revision == 1
    assert recognizer.recognize(colour_frame("red")) == before


def test_a_swap_in_the_middle_of_a_frame_answers_it_whole():
    """The engine itself swaps, while it runs: the frame is scored afterwards, by one set or the other."""
    swapped = []

    def swap_while_running(pixels):
        swapped.append(recognizer.swap(colour_prototypes("blue", "cyan")))
        return mean_colour(pixels)

    recognizer = Recognizer(FunctionEngine(swap_while_running), small_contract(), colour_prototypes("red", "green"))
    answer = recognizer.recognize(colour_frame("red"))
    assert swapped == [2]
    assert set(top_names(answer)) == {"blue", "cyan"}
    assert answer.revision == 2
    assert answer.classes == colour_prototypes("blue", "cyan").digest[:12]


def test_what_was_embedded_under_one_set_may_be_answered_under_another(recognizer):
    embeddings = recognizer.embed(recognizer.prepare(colour_frame("red")))
    recognizer.swap(colour_prototypes("magenta", "cyan"))
    answer = recognizer.answer(embeddings)
    assert (answer.revision, top_names(answer)) == (2, ["magenta", "cyan"])


def numbered_set(number):
    """Return a set of two classes whose names and biases tell its number."""
    rows = [ClassRow(f"{name} of {number}", rotation()[0], bias=bias + number) for name, bias in BIAS.items()]
    return ClassPrototypes.from_rows(rows, small_space())


def test_revision_names_scores_and_digest_of_an_answer_belong_together_while_two_threads_swap():
    sets = [numbered_set(number) for number in range(40)]
    by_digest = {one.digest[:12]: number for number, one in enumerate(sets)}
    recognizer = Recognizer(FunctionEngine(mean_colour), small_contract(), sets[0])
    base = recognizer.recognize(colour_frame("red")).regions[0].top[1].score
    owner, done, answers = {1: 0}, threading.Event(), []

    def swap(mine):
        for _ in range(10):
            for number in mine:
                owner[recognizer.swap(sets[number])] = number

    def recognise():
        while not done.is_set():
            answers.append(recognizer.recognize(colour_frame("red")))
        answers.append(recognizer.recognize(colour_frame("red")))

    looking = threading.Thread(target=recognise)
    swapping = [threading.Thread(target=swap, args=(range(start, 40, 2),)) for start in (0, 1)]
    looking.start()
    for thread in swapping:
        thread.start()
    for thread in swapping:
        thread.join()
    done.set()
    looking.join()

    assert sorted(owner) == list(range(1, 402)), "no revision is given twice or left out"
    assert recognizer.revision == 401
    for answer in answers:
        number = by_digest[answer.classes]
        assert owner[answer.revision] == number
        assert top_names(answer) == [f"second of {number}", f"first of {number}"]
        scores = [one.score for one in answer.regions[0].top]
        np.testing.assert_allclose(scores, [base + number + 1, base + number], atol=1e-4)
    assert [answer.revision for answer in answers] == sorted(answer.revision for answer in answers)


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(recognizer_module)
    assert result.attempted > 0
    assert result.failed == 0
