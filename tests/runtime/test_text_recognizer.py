import numpy as np
import pytest

from edgezsl.bundle import Bundle
from edgezsl.classes import ClassFile
from edgezsl.errors import ClassFileError, InputError
from edgezsl.runtime.text import TextEncoder
from edgezsl.runtime.text_lines import TextLine
from edgezsl.runtime.text_recognizer import LOGIT_SCALE, ORDINARY, TextRecognizer, text_space
from edgezsl.runtime.token_table import TokenTable


def class_file(text):
    return ClassFile.parse(text.encode(), file="classes.yaml")


def opened(text, bundle=None, **options):
    return TextRecognizer.open(bundle or Bundle.open(), class_file(text), **options)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_a_score_is_the_cosine_of_what_is_left_of_two_texts():
    table = TokenTable.open(Bundle.open())
    common = table.encode(list(ORDINARY)).mean(axis=0)
    rows = [unit(table.encode([text])[0] - common) for text in ("salty soup", "food", "sports")]
    region = opened("- food\n- sports\n").recognize("salty soup")
    assert [one.name for one in region.top] == ["food", "sports"]
    assert [one.score for one in region.top] == pytest.approx([rows[0] @ rows[1], rows[0] @ rows[2]], abs=1e-6)
    shares = np.exp(LOGIT_SCALE * np.array([one.score for one in region.top]))
    assert [one.probability for one in region.top] == pytest.approx(shares / shares.sum(), abs=1e-6)


def test_a_class_is_its_name_synonyms_and_descriptions():
    table = TokenTable.open(Bundle.open())
    common = table.encode(list(ORDINARY)).mean(axis=0)
    texts = table.encode(["food", "meal", "What people eat."])
    recognizer = opened("- {name: food, synonyms: [meal], descriptions: [What people eat.]}\n- law\n")
    wanted = unit(unit(texts.mean(axis=0)) - common)
    np.testing.assert_allclose(recognizer.prototypes.vectors[0], wanted, atol=1e-6)


def test_a_bundle_with_a_text_encoder_compares_by_that(small_bundle):
    encoder = TextEncoder.open(small_bundle)
    common = encoder.encode(list(ORDINARY)).mean(axis=0)
    rows = unit(encoder.encode(["red thing", "a photo of a red", "a photo of a blue"]) - common)
    region = opened("- red\n- blue\n", small_bundle).recognize("red thing")
    assert [one.score for one in region.top] == pytest.approx([rows[0] @ rows[1], rows[0] @ rows[2]], abs=1e-5)
    assert region.decision == "red"


def test_below_a_threshold_it_is_none_of_these():
    recognizer = opened("reject: 0.2\nclasses:\n  - food\n  - {name: sports, threshold: 0.9}\n")
    assert recognizer.recognize("salty soup").decision == "food"
    football = recognizer.recognize("the football team won the game")
    assert (football.decision, football.top[0].name) == (None, "sports")
    assert recognizer.recognize("it will be cloudy tomorrow").decision is None


def test_a_negative_class_absorbs_and_is_never_listed():
    recognizer = opened("- food\n- {name: sports, negative: true}\n")
    region = recognizer.recognize("the football team won the game")
    assert region.decision is None
    assert [one.name for one in region.top] == ["food"]


def test_each_line_has_one_answer_with_what_is_odd_about_it():
    recognizer = opened("- food\n- sports\n- law\n", top_k=2)
    lines = [
        TextLine(1, "salty soup"),
        TextLine(2, "", ("empty_line",)),
        TextLine(3, "你好"),
        TextLine(4, "football", ("cut",)),
    ]
    answers = list(recognizer.answers(iter(lines), source="stdin"))
    assert [answer.line for answer in answers] == [1, 2, 3, 4]
    assert [answer.region.decision for answer in answers] == ["food", None, None, "sports"]
    assert [answer.notes for answer in answers] == [(), ("empty_line",), ("unknown_words",), ("cut",)]
    assert [len(answer.region.top) for answer in answers] == [2, 0, 0, 2]
    assert {answer.classes for answer in answers} == {recognizer.prototypes.digest[:12]}


def test_answers_come_one_by_one():
    taken = []

    def coming():
        for number in (1, 2):
            taken.append(number)
            yield TextLine(number, "soup")

    answers = opened("- food\n- law\n").answers(coming(), source="stdin")
    next(answers)
    assert taken == [1]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("examples: [a.png]", "examples"), ("vector: [1, 0]", "vector"), ("attributes: {bright: 1}", "attributes")],
)
def test_a_class_that_is_no_text_is_refused_with_its_line(small_bundle, entry, kind):
    with pytest.raises(ClassFileError) as caught:
        opened(f"- red\n- {{name: odd, {entry}}}\n", small_bundle)
    assert caught.value.code == "kind_not_offered"
    assert kind in caught.value.message
    assert caught.value.where.line == 2


def test_a_class_without_a_known_word_is_refused():
    with pytest.raises(ClassFileError) as caught:
        opened("- food\n- 你好\n")
    assert caught.value.code == "unknown_words"


def test_the_space_of_texts_is_not_that_of_images_nor_of_another_table(small_bundle):
    bundle = Bundle.open()
    spaces = [text_space(bundle.manifest, 4), text_space(small_bundle.manifest, 4)]
    assert len({space.id for space in (*spaces, bundle.manifest.space, small_bundle.manifest.space)}) == 4
    assert text_space(bundle.manifest, 4) == spaces[0]


def test_an_answer_lists_at_least_one_class():
    with pytest.raises(InputError, match="top_k is 0"):
        opened("- food\n- law\n", top_k=0)
