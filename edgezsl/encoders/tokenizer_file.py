"""A `tokenizer.json` that gives as many ids for each text as a text encoder takes."""

from __future__ import annotations

import json


def fixed_length(data: bytes, length: int, *, pad_id: int | None = None) -> bytes:
    """Return a tokenizer file with truncation and padding to one length.

    Args:
        data: A `tokenizer.json`.
        length: Ids of a text, special ones included.
        pad_id: What pads; None: what the file says, else 0.
    """
    value = json.loads(data)
    known = value.get("padding") or {}
    number = known.get("pad_id", 0) if pad_id is None else pad_id
    pieces = {one["id"]: one["content"] for one in value.get("added_tokens", ())}
    value["truncation"] = {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": 0}
    value["padding"] = {
        "strategy": {"Fixed": length},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": number,
        "pad_type_id": 0,
        "pad_token": pieces.get(number) or known.get("pad_token") or "<pad>",
    }
    return json.dumps(value, ensure_ascii=False).encode()
