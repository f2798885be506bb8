"""What long work says of itself while it runs: a step, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an export or an evaluation is.

    Attributes:
        step: What is being done, in words.
        done: How much of it is done.
        total: How much there is, ≥ 1.
    """

    step: str
    done: int
    total: int
