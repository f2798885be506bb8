"""The test that every engine passes before it serves: the answers that the export gave, frame by frame.

Constant embeddings, swapped channels, a half-precision overflow and a wrong contract all look like a running camera;
here they are refused. The frames go through preprocessing, so that the contract is tested with the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgezsl.errors import EngineError, Place
from edgezsl.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import InputContract
    from edgezsl.runtime.engine import Engine

LEAST_COSINE = {"fp32": 0.9999, "bf16": 0.999, "fp16": 0.999, "int8": 0.99, "int8_fp16": 0.99, "int8_dynamic": 0.99}
_ALIKE = 1e-6  # two different frames whose embeddings agree to this in cosine were not looked at


def golden_embeddings(
    engine: Engine, contract: InputContract, frames: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """Return what an engine says of frames, one at a time: `(len(frames), D)` float32.

    Raises:
        EngineError: When the engine fails.
    """
    preprocess = Preprocessor(contract)
    return np.concatenate([engine.run(preprocess([frame])) for frame in frames])


def agreement(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return, row by row, `1 - ½(‖a - e‖ / ‖e‖)²`: the cosine of unit rows, and below it where lengths differ.

    Args:
        answers: `(N, D)`.
        expected: `(N, D)`, no zero row.
    """
    difference = np.linalg.norm(answers.astype(np.float64) - expected, axis=1)
    length = np.linalg.norm(expected.astype(np.float64), axis=1)
    result: NDArray[np.float64] = 1 - 0.5 * (difference / length) ** 2
    return result


def check_golden(engine: Engine, bundle: Bundle) -> float:
    """Run the golden frames and return the least agreement.

    Raises:
        EngineError: When the engine disagrees with the golden answers, gives values that are not finite, or gives
            two different frames one answer.
        BundleError: When the golden set is damaged.
    """
    place = Place(str(bundle.folder))
    golden = bundle.golden()
    expected = golden.embeddings.get(engine.encoder)
    if expected is None:
        message = f"the golden set has no answers of an encoder {engine.encoder!r}"
        offered = " or ".join(golden.embeddings)
        raise EngineError(message, code="golden_mismatch", where=place, expected=offered)
    answers = golden_embeddings(engine, bundle.manifest.contract, golden.frames)
    hint = "do not use this engine with this bundle; `edgezsl doctor` lists the others"
    if answers.shape != expected.shape or not np.isfinite(answers).all():
        message = f"{engine.description} gives embeddings {answers.shape}, or values that are not finite"
        finite = f"finite values {expected.shape}"
        raise EngineError(message, code="golden_mismatch", where=place, expected=finite, hint=hint)
    _check_apart(answers, engine, place)
    least = float(agreement(answers, expected).min())
    bounds = {**LEAST_COSINE, **bundle.manifest.golden}
    # The arithmetic may be finer than the file, whose answers another arithmetic gave: the coarser of the two decides.
    bound = min(bounds.get(one, bounds["fp32"]) for one in (engine.precision, engine.encoder))
    if not least >= bound:
        raise EngineError(
            f"the engine disagrees with the golden answers of {bundle.manifest.name!r}: cosine {least:.5f} "
            f"({engine.description})",
            code="golden_mismatch",
            where=place,
            expected=f"at least {bound}",
            hint=hint,
        )
    return least


def _check_apart(answers: NDArray[np.float32], engine: Engine, place: Place) -> None:
    unit = answers / np.maximum(np.linalg.norm(answers, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    alike = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(alike, -1)
    if alike.max() > 1 - _ALIKE:
        first, second = np.unravel_index(int(alike.argmax()), alike.shape)
        raise EngineError(
            f"{engine.description} gives the different golden frames {first} and {second} the same answer",
            code="constant_answers",
            where=place,
            hint="the graph or its quantization is broken: export the model again",
        )
