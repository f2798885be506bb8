import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.errors import BundleError, PackError, Place
from edgezsl.records import Fields, canonical_json, parse_json, sha256_hex

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


def parse(data, max_bytes=1 << 20):
    return parse_json(data, file="x.json", error=PackError, max_bytes=max_bytes)


def fields(value):
    return Fields(value, Place("x.json", field="top"), BundleError)


def refusal(call):
    with pytest.raises((PackError, BundleError)) as caught:
        call()
    return caught.value


@given(VALUES)
def test_canonical_json_reads_back_as_the_same_value(value):
    assert parse(canonical_json(value)) == value


@given(st.dictionaries(TEXT, NUMBERS))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)


def test_canonical_json_is_utf8_without_spaces():
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()


def test_a_digest_is_sha256_in_hexadecimal():
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"\xff", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        ('{"a": 1}'.encode("utf-16"), "not_json"),
        (b'"\xed\xa0\x80"', "not_json"),
        (b'"\\ud800"', "not_json"),
        (b'{"\\udfff": 1}', "not_json"),
        (b'"a\nb"', "not_json"),
        (b"NaN", "not_finite"),
        (b"-Infinity", "not_finite"),
        (b"1e999", "not_finite"),
        (b"9" * 20, "not_finite"),
        (b"9" * 5000, "not_finite"),
        (b'{"a": 1, "a": 1}', "duplicate_key"),
        (b'[{"b": {"a": 1, "c": 2, "a": 3}}]', "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b" " * 2_000_000, "too_large"),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_json_that_could_be_read_in_two_ways_is_refused(data, code):
    error = refusal(lambda: parse(data))
    assert error.code == code
    assert error.where.file == "x.json"


def test_a_pair_of_surrogates_is_one_character():
    assert parse(rb'"\ud83d\ude00"') == "😀"


def test_an_error_in_json_names_its_line():
    assert refusal(lambda: parse(b'{\n"a": 1,\n"b" 2}')).where == Place("x.json", 3)


def test_a_duplicate_among_very_many_keys_is_found_in_one_pass():
    keys = ",".join(f'"{number}":0' for number in range(100_000))
    assert refusal(lambda: parse(f'{{{keys},"99999":0}}'.encode(), 1 << 24)).code == "duplicate_key"


def test_every_field_is_taken_by_its_type():
    value = fields(
        {"t": "a", "f": True, "c": 3, "n": 1, "ns": [1, 2.5], "ts": ["a"], "cs": [2, 3], "o": "x", "i": {"k": "v"}}
    )
    assert value.text("t") == "a"
    assert value.flag("f") is True
    assert value.count("c") == 3
    assert value.number("n") == 1.0
    assert isinstance(value.number("absent", 2.0), float)
    assert value.numbers("ns") == (1.0, 2.5)
    assert value.texts("ts") == ("a",)
    assert value.counts("cs") == (2, 3)
    assert value.one_of("o", ("x", "y")) == "x"
    assert value.inner("i").text_map() == {"k": "v"}
    assert value.inner_or_none("absent") is None
    value.done()


@pytest.mark.parametrize(
    ("take", "bad"),
    [
        (Fields.text, [None, 1, True, [], {}]),
        (Fields.flag, [None, 0, 1, "true"]),
        (Fields.count, [None, 1.0, True, -1, "1"]),
        (Fields.number, [None, True, "1", math.nan, math.inf, [1]]),
        (Fields.numbers, [None, 1, [True], ["1"], [math.nan], {"0": 1}]),
        (Fields.counts, [None, 1, [True], [1.0], [-1], "12"]),
        (Fields.texts, [None, "a", [1], [None]]),
        (Fields.inner, [None, [], "a", 1]),
        (Fields.inner_or_none, [[], "a", 1]),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_a_field_of_another_type_is_refused_with_its_place(take, bad):
    for value in bad:
        error = refusal(lambda value=value: take(fields({"x": value}), "x"))
        assert (error.code, error.where) == ("wrong_type", Place("x.json", field="top.x")), value


def test_a_missing_field_is_refused_by_name():
    error = refusal(lambda: fields({}).text("name"))
    assert error.code == "missing_key"
    assert "'name'" in str(error)


def test_an_unknown_field_is_refused_by_name():
    error = refusal(fields({"later": 1}).done)
    assert (error.code, error.where.field) == ("unknown_key", "top.later")
    assert "'later'" in str(error)


def test_an_unknown_word_is_refused_with_the_words_that_are_allowed():
    error = refusal(lambda: fields({"x": "tall"}).one_of("x", ("short", "long")))
    assert (error.code, error.expected) == ("unknown_value", "short or long")


def test_a_hostile_key_neither_fills_the_screen_nor_breaks_the_line():
    error = refusal(fields({"\n" + "k" * 100_000: 1}).done)
    assert "\n" not in str(error)
    assert len(str(error)) < 400


def test_only_an_object_has_fields():
    assert refusal(lambda: fields([1])).code == "wrong_type"


def test_reading_an_object_does_not_change_it():
    value = {"a": 1, "b": [2]}
    assert fields(value).count("a") == 1
    assert value == {"a": 1, "b": [2]}
