"""An image encoder that is not in a bundle yet, run on ONNX Runtime's CPU provider: the reference for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.dead_leaves import PARITY_SEED, images
from edgezsl.errors import EngineError, ModelError, Place, first_line
from edgezsl.manifest import Batch
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.engine import FunctionEngine
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.tensors import run_in_batches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edgezsl.contract import InputContract

THREADS = 1  # more would add in another order, and round otherwise
_SAME = 1e-4  # of an embedding's length: what another order of additions may change


def encoder_engine(data: bytes, contract: InputContract, dim: int, batch: Batch | None = None) -> FunctionEngine:
    """Return an engine that runs an ONNX file on one thread of ONNX Runtime.

    Args:
        data: The file.
        contract: Names and dtype of its input.
        dim: D.
        batch: Frames at once; None is one.

    Raises:
        EngineError: When ONNX Runtime refuses the graph.
        MissingExtraError: When ONNX Runtime is not installed.

    Its `run` raises ModelError where the answers are not of D values.
    """
    graph = OnnxGraph(data, file="the image encoder", threads=THREADS)
    frames = batch or Batch()

    def once(pixels: NDArray[Any]) -> NDArray[np.float32]:
        answer = np.asarray(graph.run({contract.input: pixels})[0], np.float32)
        if answer.shape[1:] != (dim,):  # an exporter may leave the shape open, so that it shows here only
            raise ModelError(
                f"{contract.output!r} is {answer.shape} for {len(pixels)} frames",
                code="unfit_graph",
                where=Place("the image encoder"),
                expected=f"(N, D) = ({len(pixels)}, {dim}), as the space says",
                hint="correct `dim` in the model's space, or export the model to ONNX again",
            )
        return answer

    return FunctionEngine(lambda pixels: run_in_batches(once, pixels, frames, dim), dtype=contract.dtype)


def check_finite(engine: FunctionEngine, contract: InputContract) -> None:
    """Check that an encoder gives a finite embedding of an image: zeros alone pass by a NaN among its weights.

    Args:
        engine: The encoder.
        contract: How images become its pixels.

    Raises:
        ModelError: When it does not.
        EngineError: When it does not run.
        MissingExtraError: When OpenCV is not installed.
    """
    (image,) = images(PARITY_SEED, 1)
    if not np.isfinite(engine.run(Preprocessor(contract)([image]))).all():
        raise ModelError(
            f"{contract.output!r} has values that are not finite",
            code="not_finite",
            where=Place("the image encoder"),
            expected="a finite embedding of every image",
            hint="look for NaN and infinity among the weights",
        )


def embeddings_one_by_one(engine: FunctionEngine, pixels: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """Return the embeddings `(N, D)` of pixels `(3, h, w)` each, one at a time.

    Raises:
        EngineError: When the engine fails.
    """
    return np.concatenate([engine.run(one[None]) for one in pixels])


def check_batch(data: bytes, contract: InputContract, dim: int, batch: Batch, single: FunctionEngine) -> None:
    """Check that a graph answers many frames at once as it answers each alone.

    Args:
        data: The encoder for the batch.
        contract: Its contract.
        dim: D.
        batch: Frames at once.
        single: The same encoder for one frame at a time.

    Raises:
        ModelError: When it does not run, or answers otherwise: the graph has a number of frames built in.
    """
    random = np.random.RandomState(0)
    shape = (batch.max, 3, *contract.size)
    levels = random.randint(0, 256, shape)
    pixels = (levels / 127.5 - 1 if contract.dtype == "float32" else levels).astype(contract.dtype)
    hint = "export the model to ONNX with a free first axis, or ask for --batch 1"
    expected = f"a graph that takes {batch.max} frames at once"
    place = Place("the image encoder")
    try:
        together = encoder_engine(data, contract, dim, batch).run(pixels)
    except (EngineError, ValueError) as cause:  # ValueError: rows of another number than asked for
        message = f"the graph has its number of frames built in ({first_line(cause)})"
        raise ModelError(message, code="fixed_batch", where=place, expected=expected, hint=hint) from cause
    alone = embeddings_one_by_one(single, pixels)
    lengths = np.linalg.norm(alone, axis=1, keepdims=True)
    if not np.all(np.abs(together - alone) <= _SAME * np.maximum(lengths, 1e-12)):
        message = "the graph answers frames together otherwise than alone"
        raise ModelError(message, code="fixed_batch", where=place, expected=expected, hint=hint)
