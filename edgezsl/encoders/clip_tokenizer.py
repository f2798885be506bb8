"""CLIP's byte-pair tokenizer as a `tokenizer.json`, made from its merges alone; no network and no package is needed.

Radford et al., "Learning transferable visual models from natural language supervision", 2021, section 2.4; the file format
is that of the package tokenizers. It expects cleaned text (`edgezsl.runtime.text_cleaning`, `clip`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

START, END = "<start_of_text>", "<end_of_text>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SUFFIX = "</w>"  # ends the last piece of a word


def clip_tokenizer_json(merges: Sequence[tuple[str, str]], *, length: int = 77) -> bytes:
    """Return a `tokenizer.json` that gives `length` ids for each text: start, pieces, end, zeros.

    Args:
        merges: Pairs of pieces, in the order in which they are joined.
        length: Ids of a text, special ones included; longer texts are cut, and still end with `END`.
    """
    alphabet = list(_byte_characters())
    pieces = [*alphabet, *(letter + _SUFFIX for letter in alphabet), *("".join(pair) for pair in merges), START, END]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    value = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": pieces[0],
        },
        "added_tokens": [_special(token, vocabulary[token]) for token in (START, END)],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Removed", "invert": True},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_mark(START), {"Sequence": {"id": "A", "type_id": 0}}, _mark(END)],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in (START, END)
            },
        },
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": _SUFFIX,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocabulary,
            "merges": [list(pair) for pair in merges],
        },
    }
    return json.dumps(value, ensure_ascii=False).encode()


def _byte_characters() -> list[str]:
    """Return a printable character for each byte, in the order of CLIP's vocabulary: printable bytes are themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = len(set(range(256)) - set(printable))
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(others)]


def _special(token: str, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _mark(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}
