"""One thing that `doctor` has looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing", "unused", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: `ok`; `warning`: works, with a limit; `missing`: absent, which may be right; `unused`: absent, and nothing
            that this board needs; `broken`: there, but fails.
        detail: What was found.
        hint: What to do, as an imperative, or None.
    """

    name: str
    state: State
    detail: str
    hint: str | None = None
