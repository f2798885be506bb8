"""Where networks are trained: a GPU, where the workstation has one that PyTorch can use."""

from __future__ import annotations

import torch


def accelerator() -> torch.device:
    """Return the first GPU that PyTorch sees, else the CPU.

    `CUDA_VISIBLE_DEVICES` says which GPU is the first; empty, it hides them all. A GPU draws other numbers from a seed than a CPU, so
    that a model is the same again only where it was trained on the same kind.
    """
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
