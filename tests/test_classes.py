"""What a person may write in classes.yaml, and what it means. Everything else is refused: tests/corpus has the cases."""

from __future__ import annotations

import unicodedata

import pytest

from edgezsl.classes import (
    LONGEST_TEXT,
    MOST_TEMPLATES,
    MOST_TEXTS,
    ClassEntry,
    ClassFile,
)
from edgezsl.errors import ClassFileError, Place
from edgezsl.strict_yaml import YamlLimits, field_path
from tests.factories import colour_prototypes

LONG_FORM = """\
templates: ["a photo of a {}.", "a {} on a conveyor belt."]
reject: 0.18
seen_penalty: 0.5
classes:
  - name: forklift
    synonyms: [fork truck, lift truck]
    descriptions: ["a vehicle with two prongs that lifts pallets"]
    threshold: 0.22
  - {name: empty aisle, negative: true}
  - {name: part 4711, examples: [parts/a.jpg, parts/b.jpg]}
  - {name: zebra, attributes: {stripes: 1, hooves: .5}}
  - {name: kept, vector: [0.6, -0.8, 0e0]}
  - plain
"""


def read(text):
    return ClassFile.parse(text.encode(), file="classes.yaml")


def names(text):
    return [entry.name for entry in read(text).entries]


def refusal(text):
    with pytest.raises(ClassFileError) as caught:
        read(text)
    fault = caught.value
    assert fault.where.file == "classes.yaml"
    assert fault.where.line
    assert fault.hint
    return fault


def test_a_plain_list_of_names_is_a_class_file():
    assert read("- cat\n- traffic light\n").entries == (
        ClassEntry("cat", Place("classes.yaml", 1, "[0]")),
        ClassEntry("traffic light", Place("classes.yaml", 2, "[1]")),
    )


def test_a_class_pack_is_called_one():
    with pytest.raises(ClassFileError) as caught:
        ClassFile.parse(colour_prototypes("red", "green").to_bytes(), file="classes.safetensors")
    assert caught.value.code == "is_pack"
    assert "class pack" in caught.value.message


def test_numbered_names_are_a_class_file_in_the_order_of_their_numbers():
    assert names("names: {10: dog, 2: cat, 0: bird}") == ["bird", "cat", "dog"]
    assert names("names: [bird, cat]") == ["bird", "cat"]


def test_the_long_form_says_everything():
    found = read(LONG_FORM)
    assert found.templates == ("a photo of a {}.", "a {} on a conveyor belt.")
    assert (found.reject, found.seen_penalty) == (0.18, 0.5)
    forklift, aisle, part, zebra, kept, plain = found.entries
    assert (forklift.kind, forklift.threshold) == ("words", 0.22)
    assert forklift.synonyms == ("fork truck", "lift truck")
    assert forklift.descriptions == ("a vehicle with two prongs that lifts pallets",)
    assert (aisle.kind, aisle.negative, forklift.negative) == ("words", True, False)
    assert (part.kind, part.examples) == ("examples", ("parts/a.jpg", "parts/b.jpg"))
    assert (zebra.kind, zebra.attributes) == ("attributes", {"stripes": 1.0, "hooves": 0.5})
    assert (kept.kind, kept.vector) == ("vector", (0.6, -0.8, 0.0))
    assert (plain.name, plain.kind, plain.threshold) == ("plain", "words", None)


def test_what_is_not_said_is_left_to_the_bundle():
    found = read("classes: [cat]")
    assert (found.templates, found.reject, found.seen_penalty) == (None, None, None)


def test_a_class_in_full_may_stand_in_every_form():
    assert read("- {name: cat, threshold: 0.3}").entries[0].threshold == 0.3
    assert read("names: {0: {name: cat, negative: true}}").entries[0].negative is True


@pytest.mark.parametrize(
    "word", ["no", "NO", "off", "on", "y", "Yes", "true", "null", "~", "1:30", "012", "2024-02-29", "1e3", "0x1F", "="]
)
def test_a_name_is_a_name_whatever_yaml_would_make_of_it(word):
    assert names(f"- {word}\n- other") == [word, "other"]
    assert names(f"classes: [{{name: {word}}}]") == [word]


def test_names_are_compared_and_kept_composed_and_trimmed():
    decomposed = unicodedata.normalize("NFD", "café")
    assert names(f'- " {decomposed} "') == ["café"]
    fault = refusal(f"- café\n- dog\n- {decomposed}\n")
    assert (fault.code, fault.where.line, fault.where.field) == ("duplicate_name", 3, "[2]")
    assert "line 1" in fault.message


def test_a_name_may_be_in_any_script_and_hold_an_emoji():
    assert names("- 猫\n- गाय\n- 👩‍🌾\n- Ёж\n- it's 50% off, no. 7\n") == [
        "猫",
        "गाय",
        "👩‍🌾",
        "Ёж",
        "it's 50% off, no. 7",
    ]


@pytest.mark.parametrize(
    "name", ["\\u202ecat", "c\\u200bat", "cat\\ufeff", "\\0", "a\\nb", "a\\tb", "\\e[31m", "\\u2028", "\\x85", "\\x9f"]
)
def test_a_name_holds_nothing_that_cannot_be_seen(name):
    fault = refusal(f'- ok\n- "{name}"\n')
    assert (fault.code, fault.where.line, fault.where.field) == ("bad_name", 2, "[1]")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.25", 0.25), ("-1", -1.0), ("+.5", 0.5), ("1.", 1.0), ("1e-3", 0.001), ("2E+2", 200.0), ("1e30", 1e30)],
)
def test_a_number_is_a_decimal_number(text, number):
    assert read(f"reject: {text}\nclasses: [cat]").reject == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "low",
        ".nan",
        ".inf",
        "NaN",
        "1e999",
        "1.1e30",
        "0,3",
        "0x1",
        "1_000",
        "1:30",
        "true",
        "--1",
        "1e",
        "٣",
        "[1]",
    ],
)
def test_anything_else_in_place_of_a_number_is_refused(text):
    fault = refusal(f"classes:\n  - name: cat\n    threshold: {text}\n")
    assert (fault.code, fault.where.line, fault.where.field) == ("not_a_number", 3, "classes[0].threshold")


def test_an_endless_number_is_refused_in_linear_time():
    # A pattern that tries every split of the digits would take days for these three million.
    assert refusal(f"reject: {'1' * 3_000_000}x\nclasses: [cat]").code == "not_a_number"


def test_a_text_is_measured_before_it_is_composed():
    # Composing half a million marks on one letter would take minutes.
    text = "a" + "\u0316\u0301" * 500_000
    assert refusal(f'classes: [{{name: cat, descriptions: ["{text}"]}}]').code == "too_long"


def test_a_negative_seen_penalty_is_refused():
    fault = refusal("classes: [cat]\nseen_penalty: -0.1")
    assert (fault.code, fault.where.line, fault.where.field) == ("out_of_range", 2, "seen_penalty")


@pytest.mark.parametrize("word", ["yes", "on", "True", "1", "", "[true]"])
def test_a_flag_is_true_or_false(word):
    assert refusal(f"- {{name: cat, negative: {word}}}").code == "not_a_flag"
    assert read("- {name: cat, negative: false}").entries[0].negative is False


def test_a_class_is_given_by_one_kind_of_semantics():
    for first, second in [
        ("synonyms: [a]", "vector: [1]"),
        ("examples: [a.jpg]", "vector: [1]"),
        ("attributes: {a: 1}", "descriptions: [a]"),
        ("parents: [animal]", "attributes: {a: 1}"),
        ("parents: [animal]", "vector: [1]"),
    ]:
        fault = refusal(f"- {{name: cat, {first}, {second}}}")
        assert (fault.code, fault.where.field) == ("two_kinds", "[0]")
    assert read("- {name: cat, synonyms: [kitty], descriptions: [a small lion]}").entries[0].kind == "words"


@pytest.mark.parametrize(("given", "kind"), [("descriptions: [a]", "words"), ("attributes: {a: 1}", "attributes")])
def test_pictures_may_stand_beside_a_description_and_leave_it_its_kind(given, kind):
    for text in (f"{given}, examples: [a.jpg]", f"examples: [a.jpg], {given}"):
        (entry,) = read(f"- {{name: cat, {text}}}").entries
        assert (entry.kind, entry.examples) == (kind, ("a.jpg",))


def test_parents_are_words_beside_other_words():
    okapi = read("- {name: okapi, parents: [giraffe, n02391049], synonyms: [forest giraffe]}").entries[0]
    assert (okapi.kind, okapi.parents, okapi.synonyms) == ("words", ("giraffe", "n02391049"), ("forest giraffe",))
    assert read("- okapi").entries[0].parents == ()


@pytest.mark.parametrize(
    ("parents", "code", "field"),
    [
        ("giraffe", "wrong_type", "[0].parents"),
        ("{a: b}", "wrong_type", "[0].parents"),
        ("[]", "out_of_range", "[0].parents"),
        ("[giraffe, '  ']", "empty", "[0].parents[1]"),
        ("[[giraffe]]", "wrong_type", "[0].parents[0]"),
        (f"[{'g' * (LONGEST_TEXT + 1)}]", "too_long", "[0].parents[0]"),
    ],
)
def test_parents_are_a_list_of_texts(parents, code, field):
    fault = refusal(f"- {{name: okapi, parents: {parents}}}")
    assert (fault.code, fault.where.field) == (code, field)


@pytest.mark.parametrize(
    ("text", "line", "field", "hint"),
    [
        ("classes: [cat]\nrejct: 0.1", 2, "rejct", "write 'reject', or remove the key"),
        ("- cat\n- name: dog\n  treshold: 0.2", 3, "[1].treshold", "write 'threshold', or remove the key"),
        ("classes: [cat]\nsmoothing: 3", 2, "smoothing", "remove the key"),
        ("names: [cat]\nclasses: [dog]", 2, "classes", "remove the key"),
    ],
)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(text, line, field, hint):
    fault = refusal(text)
    assert (fault.code, fault.where.line, fault.where.field) == ("unknown_key", line, field)
    assert fault.hint == hint


def test_a_key_of_any_length_leaves_the_error_readable():
    fault = refusal(f"classes: [cat]\n? {'k' * 100_000}\u202e\n: 1")
    assert fault.code == "unknown_key"
    assert len(str(fault)) < 500
    assert "\u202e" not in str(fault)


def test_a_field_path_quotes_what_is_not_a_word():
    assert field_path("classes[0]", "threshold") == "classes[0].threshold"
    assert field_path("", "reject") == "reject"
    assert field_path("attributes", "a\nb") == r"attributes.'a\nb'"


@pytest.mark.parametrize(
    ("field", "most"), [(field, MOST_TEXTS) for field in ("synonyms", "descriptions", "parents", "examples")]
)
def test_lists_of_a_class_are_met_exactly_and_not_exceeded(field, most):
    def text(count):
        return f"- {{name: cat, {field}: [{', '.join(f't{number}' for number in range(count))}]}}"

    assert len(getattr(read(text(most)).entries[0], field)) == most
    for count in (0, most + 1):
        fault = refusal(text(count))
        assert (fault.code, fault.where.field) == ("out_of_range", f"[0].{field}")


def test_the_number_of_templates_is_met_exactly_and_not_exceeded():
    def text(count):
        return "templates:\n" + "".join(f"- no. {number} {{}}\n" for number in range(count)) + "classes: [cat]"

    assert len(read(text(MOST_TEMPLATES)).templates) == MOST_TEMPLATES
    assert refusal(text(MOST_TEMPLATES + 1)).code == "out_of_range"


def test_the_length_of_a_text_is_met_exactly_and_not_exceeded():
    def text(length):
        return f"- {{name: cat, descriptions: [{'a' * length}]}}"

    assert len(read(text(LONGEST_TEXT)).entries[0].descriptions[0]) == LONGEST_TEXT
    assert refusal(text(LONGEST_TEXT + 1)).code == "too_long"


def test_a_template_takes_the_name_once():
    for template in ("a photo", "{} and {}", "{0}", "{ }"):
        fault = refusal(f'templates: ["{template}"]\nclasses: [cat]')
        assert (fault.code, fault.where.line, fault.where.field) == ("bad_template", 1, "templates[0]")


def test_the_caps_on_the_document_can_be_changed():
    with pytest.raises(ClassFileError, match="nested deeper than 1 levels"):
        ClassFile.parse(b"classes: [cat]", file="classes.yaml", limits=YamlLimits(depth=1))


def test_an_entry_knows_the_place_of_each_of_its_fields():
    entry = read(LONG_FORM).entries[0]
    assert entry.place == Place("classes.yaml", 5, "classes[0]")
    assert entry.at("threshold") == Place("classes.yaml", 8, "classes[0].threshold")
    assert entry.at("examples") == Place("classes.yaml", 5, "classes[0].examples")
    assert read(LONG_FORM).entries[3].at("attributes", "stripes").field == "classes[3].attributes.stripes"


def test_a_class_file_is_read_from_the_disk(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("- cat\n")
    found = ClassFile.open(path)
    assert found.file == str(path)
    assert [entry.name for entry in found.entries] == ["cat"]


def test_a_link_to_a_class_file_is_followed(tmp_path):
    (tmp_path / "real.yaml").write_text("- cat\n")
    (tmp_path / "classes.yaml").symlink_to("real.yaml")
    assert len(ClassFile.open(tmp_path / "classes.yaml").entries) == 1
