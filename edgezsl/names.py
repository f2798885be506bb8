"""Which strings may name a class.

A name is shown to people, compared by programs and written to logs; it is never a path. Names are compared after NFC
and trimming, so that two spellings that look alike to the eye and to Unicode are one name.
"""

from __future__ import annotations

import unicodedata

LONGEST_NAME = 200  # characters
# Marks that reorder or hide text (Unicode Standard Annex 9, section 2; zero-width space and byte-order mark). The
# joiners U+200C and U+200D stay allowed: scripts and emoji need them.
_HIDDEN = frozenset("\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def canonical_name(text: str) -> str:
    """Return `text` in the form in which names are compared: NFC, trimmed."""
    return unicodedata.normalize("NFC", text).strip()


def name_fault(text: str) -> str | None:
    """Return why `text` cannot name a class, as a clause, or None when it can."""
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text)} characters, at most {LONGEST_NAME} are allowed"
    for character in text:
        if character in _HIDDEN or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            return f"holds the invisible character U+{ord(character):04X}"
    return None
