"""Which strings may name a class.

A name is shown to people, compared by programs and written to logs; it is never a path. Names are compared after NFC
and trimming, so that two spellings that look alike to the eye and to Unicode are one name.
"""

from __future__ import annotations

import re
import sys
import unicodedata

LONGEST_NAME = 200  # characters
# What cannot be seen, as code points. The ranges are written out: asking `unicodedata` about every character of 100,000
# names took so long that it held the stream up.
_INVISIBLE = (
    # Controls, line and paragraph separators, halves of surrogate pairs (Unicode's categories Cc, Zl, Zp and Cs).
    "0000-001F 007F-009F 2028-2029 D800-DFFF "
    # Format characters (Cf): soft hyphen, marks that reorder text (Unicode Standard Annex 9, section 2), zero-width
    # space, word joiner, byte-order mark, tags. A few of them have a shape, such as the Arabic number signs from U+0600;
    # it encloses or joins what stands beside it. The joiners U+200C and U+200D are allowed: scripts and emoji need them.
    "00AD 0600-0605 061C 06DD 070F 0890-0891 08E2 180E 200B 200E-200F 202A-202E 2060-2064 2066-206F FEFF FFF9-FFFB "
    "110BD 110CD 13430-1343F 1BCA0-1BCA3 1D173-1D17A E0000-E007F "
    # A mark, letters and a symbol that are drawn as nothing: grapheme joiner, Hangul fillers, braille blank.
    "034F 115F-1160 2800 3164 FFA0"
)
# What is nothing alone, and may stand beside something visible: white space, joiners, Khmer's inherent vowels,
# variation selectors.
_BLANK = (
    "9-D 1C-20 85 A0 1680 2000-200A 2028-2029 202F 205F 3000 200C-200D 17B4-17B5 180B-180D 180F FE00-FE0F E0100-E01EF"
)


def _bounds(ranges: str) -> list[tuple[int, int]]:
    """Return the first and last code point of each range, ascending."""
    ends = [[int(end, 16) for end in part.split("-")] for part in ranges.split()]
    return sorted((pair[0], pair[-1]) for pair in ends)


def _others(ranges: str) -> str:
    """Return the inside of a regular expression's character class: every code point but those of `ranges`."""
    bounds = _bounds(ranges)
    starts, ends = [0, *(last + 1 for _, last in bounds)], [*(first - 1 for first, _ in bounds), sys.maxunicode]
    return "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(starts, ends, strict=True) if start <= end)


# Not one of the allowed, instead of one of the refused: Python then needs one look at a character of everyday scripts,
# and reads a name two to three times as fast.
_REFUSED = re.compile(f"[^{_others(_INVISIBLE)}]")
_BLANKS = "".join(chr(point) for first, last in _bounds(_BLANK) for point in range(first, last + 1))


def canonical_name(text: str) -> str:
    """Return `text` in the form in which names are compared: NFC, trimmed."""
    return unicodedata.normalize("NFC", text).strip()


def name_fault(text: str) -> str | None:
    """Return why `text` cannot name a class, as a clause, or None when it can."""
    if not text.lstrip(_BLANKS):
        return "has no visible character" if text.strip() else "is empty"
    if len(text) > LONGEST_NAME:
        return f"has {len(text)} characters, at most {LONGEST_NAME} are allowed"
    found = _REFUSED.search(text)
    return f"holds the invisible character U+{ord(found[0]):04X}" if found else None
