"""Where networks are trained, and what they start from: a GPU where PyTorch sees one, and a seed of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_CPU = torch.device("cpu")


def accelerator() -> torch.device:
    """Return the first GPU that PyTorch sees, else the CPU.

    `CUDA_VISIBLE_DEVICES` says which GPU is the first; empty, it hides them all. A GPU draws other numbers from a seed than a CPU, so
    that a model is the same again only where it was trained on the same kind.
    """
    return torch.device("cuda", 0) if torch.cuda.is_available() else _CPU


@contextmanager
def seeded_start(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """Let layers start from a seed, on a device; PyTorch draws them from its own stream, which stays the caller's."""
    forked = [] if device.index is None else [device.index]
    with torch.random.fork_rng(devices=forked), device:
        torch.manual_seed(seed)
        yield
