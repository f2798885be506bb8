import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.names import LONGEST_NAME, canonical_name, name_fault


@pytest.mark.parametrize(
    "name",
    ["cat", "person walking", "no", "on", "1:30", "012", "Größe", "猫", "किताब", "👩‍🚀", "../x", "a" * LONGEST_NAME],
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
    ],
)
def test_a_name_that_nobody_can_see_or_that_hides_something_is_refused(name, reason):
    assert reason in name_fault(name)


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
