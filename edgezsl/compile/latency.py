"""How long an engine takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgezsl.runtime.engine import Engine


def latency(engine: Engine, shape: tuple[int, ...], *, warm_up: int, runs: int) -> dict[str, float]:
    """Return the median and the 95th percentile of a run in milliseconds, and how many runs they are of.

    Args:
        engine: The engine.
        shape: `(N, 3, h, w)` of the pixels: random ones, for of nothing but zeros a GPU's products are faster than of pictures.
        warm_up: Runs before those that are timed.
        runs: Runs that are timed.
    """
    random = np.random.default_rng(0)
    levels = random.integers(0, 256, shape, np.uint8)
    pixels = levels if engine.dtype == "uint8" else random.standard_normal(shape, np.float32)
    taken = []
    for _ in range(warm_up + runs):
        start = time.perf_counter()
        engine.run(pixels)
        taken.append((time.perf_counter() - start) * 1000)
    p50, p95 = np.percentile(taken[warm_up:], [50, 95])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "runs": runs}
