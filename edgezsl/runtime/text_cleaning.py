"""What is done to a text before the tokenizer, where a model's own library does it outside its tokenizer.

`clip`: what OpenAI's CLIP and OpenCLIP do: repair wrongly decoded characters, read HTML entities, join white space, lower
the case. `canonicalize`: what OpenCLIP does for SigLIP: the same repair, and no punctuation. `none`: nothing; the tokenizer
file says all. The only module that imports `ftfy`.
"""

from __future__ import annotations

import html
import string
from typing import TYPE_CHECKING

from edgezsl.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgezsl.manifest import TextCleaning

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def text_cleaner(cleaning: TextCleaning) -> Callable[[str], str]:
    """Return the function that cleans a text.

    Args:
        cleaning: Which way.

    Raises:
        MissingExtraError: When the package ftfy is needed and not installed.
    """
    if cleaning == "none":
        return str
    try:
        from ftfy import fix_text
    except ImportError as cause:
        raise missing_extra("ftfy", "text", "this model's texts", cause) from cause

    def repaired(text: str) -> str:
        return html.unescape(html.unescape(fix_text(text))).strip()

    def clip(text: str) -> str:
        return " ".join(repaired(text).split()).lower()

    def canonicalize(text: str) -> str:
        plain = repaired(text).replace("_", " ").translate(_NO_PUNCTUATION)
        return " ".join(plain.lower().split())

    return clip if cleaning == "clip" else canonicalize
