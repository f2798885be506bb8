"""Which strings may name a class.

A name is shown to people, compared by programs and written to logs; it is never a path. Names are compared after NFC
and trimming, so that two spellings that look alike to the eye and to Unicode are one name.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 200  # characters
# What cannot be seen. Controls, halves of surrogate pairs, line and paragraph separators (Unicode's categories Cc, Cs, Zl,
# Zp); marks that reorder or hide text (Unicode Standard Annex 9, section 2; zero-width space and byte-order mark). The
# joiners U+200C and U+200D stay allowed: scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


def canonical_name(text: str) -> str:
    """Return `text` in the form in which names are compared: NFC, trimmed."""
    return unicodedata.normalize("NFC", text).strip()


def name_fault(text: str) -> str | None:
    """Return why `text` cannot name a class, as a clause, or None when it can."""
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text)} characters, at most {LONGEST_NAME} are allowed"
    found = _INVISIBLE.search(text)
    return f"holds the invisible character U+{ord(found[0]):04X}" if found else None
