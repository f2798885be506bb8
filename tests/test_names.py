import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.names import LONGEST_NAME, canonical_name, name_fault


@pytest.mark.parametrize(
    "name",
    [
        *("cat", "person walking", "no", "on", "1:30", "012", "Größe", "猫", "किताब", "../x", "a" * LONGEST_NAME),
        *("👩‍🚀", "❤️", "🇫🇷", "क्‍ष", "می‌خواهم", "葛\U000e0100", "\u200da", "\u3000猫", "한국", "⠃"),
    ],
)
def test_any_visible_text_names_a_class(name):
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        (" \u00a0\t", "is empty"),
        ("a" * (LONGEST_NAME + 1), "201 characters"),
        ("a\nb", "U+000A"),
        ("a\0b", "U+0000"),
        ("a\x1b[2Jb", "U+001B"),
        ("a\x85b", "U+0085"),
        ("a\u2028b", "U+2028"),
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
        ("\ufeffa", "U+FEFF"),
        ("a\ud800", "U+D800"),
        ("a\u2060b", "U+2060"),
        ("a\xadb", "U+00AD"),
        ("a\u034fb", "U+034F"),
        ("\u3164", "U+3164"),
        ("a\u2800", "U+2800"),
        ("\uffa0a", "U+FFA0"),
        ("🏴\U000e0067\U000e0062\U000e007f", "U+E0067"),
        ("\u200d", "no visible character"),
        ("\u200c \u200d", "no visible character"),
        ("\ufe0f", "no visible character"),
        ("\U000e0100", "no visible character"),
        ("\ta", "U+0009"),
    ],
)
def test_a_name_that_nobody_can_see_or_that_hides_something_is_refused(name, reason):
    assert reason in name_fault(name)


JOINERS = {0x200C, 0x200D}
FILLERS = {0x034F, 0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0}
INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def refused_points():
    """Return every code point that is refused beside visible ones."""
    return {point for point in range(sys.maxunicode + 1) if name_fault(f"a{chr(point)}b") is not None}


def test_every_control_and_format_character_but_the_joiners_is_refused_and_so_are_the_fillers():
    points = range(sys.maxunicode + 1)
    wanted = {point for point in points if unicodedata.category(chr(point)) in INVISIBLE} - JOINERS | FILLERS
    assert not wanted - refused_points()


def test_no_letter_number_mark_punctuation_symbol_or_space_is_refused_but_the_fillers():
    kinds = {point: unicodedata.category(chr(point)) for point in refused_points() - FILLERS}
    # Not assigned in this Python's Unicode, as the newest format characters may be: no letter that is known.
    assert set(kinds.values()) <= {*INVISIBLE, "Cn"}
    assert not JOINERS & kinds.keys()


@pytest.mark.parametrize("point", [0x09, 0x7F, 0xAD, 0x0600, 0x200B, 0x2028, 0x3164, 0xFEFF, 0x1D173, 0xE0061], ids=hex)
@pytest.mark.parametrize("pattern", ["{}ab", "a{}b", "ab{}", "{0}", "{0} {0}"])
def test_an_invisible_character_is_refused_wherever_it_stands(point, pattern):
    assert name_fault(pattern.format(chr(point)))


def test_a_character_that_is_refused_alone_but_allowed_beside_others_is_a_space_joiner_or_selector():
    alone = {point for point in range(sys.maxunicode + 1) if name_fault(chr(point)) is not None} - refused_points()
    assert {unicodedata.category(chr(point)) for point in alone} - {"Cn"} == {"Zs", "Mn", "Cf"}
    assert {point for point in alone if unicodedata.category(chr(point)) == "Cf"} == JOINERS
    known = ("VARIATION SELECTOR", "MONGOLIAN FREE", "KHMER VOWEL INHERENT")
    marks = [unicodedata.name(chr(point)) for point in alone if unicodedata.category(chr(point)) == "Mn"]
    assert all(name.startswith(known) for name in marks)


def test_two_spellings_that_look_alike_are_one_name():
    assert canonical_name("cafe\u0301 ") == canonical_name(" caf\u00e9")
    assert canonical_name("Cat") != canonical_name("cat")


@given(st.text())
def test_the_canonical_form_is_its_own_canonical_form(text):
    once = canonical_name(text)
    assert canonical_name(once) == once
    assert unicodedata.is_normalized("NFC", once)


@given(st.text())
def test_a_fault_does_not_depend_on_the_spelling(text):
    if name_fault(text) is None and len(canonical_name(text)) == len(text):
        assert name_fault(canonical_name(text)) is None
