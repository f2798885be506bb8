"""What goes into an image encoder and comes out of it: checked, and cut to the number of images that it takes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import EngineError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract
    from edgezsl.manifest import Batch


def check_pixels(pixels: NDArray[Any], contract: InputContract) -> None:
    """Check that an array is what an encoder of this contract takes: OpenVINO would convert and reshape anything.

    Raises:
        EngineError: When dtype or shape is another.
    """
    shape = (CHANNELS, *contract.size)
    if pixels.dtype != contract.dtype or pixels.shape[1:] != shape:
        raise EngineError(
            f"the pixels are {pixels.dtype} {pixels.shape}",
            code="bad_pixels",
            expected=f"{contract.dtype} (N, {', '.join(map(str, shape))})",
        )


def check_tensor_names(inputs: Sequence[str], outputs: Sequence[str], contract: InputContract, file: str) -> None:
    """Check that a graph has one input and one output, named as the contract says.

    Raises:
        EngineError: When it has not.
    """
    if list(inputs) != [contract.input] or list(outputs) != [contract.output]:
        raise EngineError(
            f"the graph has the inputs {list(inputs)} and outputs {list(outputs)}",
            code="bad_graph",
            where=Place(file),
            expected=f"{contract.input!r} and {contract.output!r}, as the contract says",
        )


def run_in_batches(
    run: Callable[[NDArray[Any]], NDArray[np.float32]], pixels: NDArray[Any], batch: Batch, dim: int
) -> NDArray[np.float32]:
    """Run any number of images through an engine that takes only so many at once.

    Args:
        run: Takes `(n, 3, h, w)` with `batch.min` ≤ n ≤ `batch.max`, returns `(n, D)`.
        pixels: `(N, 3, h, w)`, N ≥ 0.
        batch: The bounds. A last batch below `min` is padded with zeros, whose answers are dropped.
        dim: D.

    Returns:
        `(N, D)` float32.
    """
    count = len(pixels)
    if batch.min <= count <= batch.max:
        return run(pixels)
    answers = np.empty((count, dim), np.float32)
    for start in range(0, count, batch.max):
        part = pixels[start : start + batch.max]
        kept = len(part)
        if kept < batch.min:
            part = np.concatenate([part, np.zeros((batch.min - kept, *part.shape[1:]), part.dtype)])
        answers[start : start + kept] = run(part)[:kept]
    return answers
