"""Imports torchvision beside a CPU build of PyTorch.

The wheel of torchvision on PyPI is linked against PyTorch with CUDA. Beside the CPU build its compiled part is not loaded,
and importing it fails for want of two operators that no encoder uses; open_clip, timm and transformers fail with it.
"""

from __future__ import annotations

import sys
from typing import Any

_MISSING = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # a library is forgotten with its object


def import_torchvision() -> None:
    """Import torchvision; where it lacks its compiled part, declare the operators that it looks for, without a body.

    Does nothing where torchvision is sound or absent.

    Raises:
        RuntimeError: When it fails for another reason.
    """
    try:
        import torchvision  # imported for its effect
    except ImportError:
        return
    except RuntimeError as cause:
        if "torchvision::" not in str(cause) or _declared:
            raise
    else:
        return
    from torch import library as operators

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    make_library: Any = operators.Library  # PyTorch types neither it nor its methods
    library = make_library("torchvision", "FRAGMENT")
    for operator in _MISSING:
        library.define(operator + _SIGNATURE)
    _declared.append(library)
    import torchvision  # noqa: F401  # as above
