"""What a new process with an image encoder costs: seconds to its first embedding, and memory.

Run as a program, it is that process: `python -m edgezsl.evaluate.cold_start BUNDLE ENGINE PRECISION THREADS`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgezsl.errors import EngineError, Place

if TYPE_CHECKING:
    from edgezsl.runtime.engine import EngineName

_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What a new process costs.

    Attributes:
        first_s: Seconds from its start to its first embedding; the golden test is part of it.
        peak_mib: Its peak memory.
    """

    first_s: float
    peak_mib: float

    def to_json(self) -> dict[str, Any]:
        """Return it as an object."""
        return asdict(self)


def cold_start(
    folder: Path, engine: EngineName, precision: str, *, threads: int | None, plans: Path | None = None
) -> ColdStart:
    """Start a process that loads an encoder and embeds one frame.

    Args:
        folder: The bundle.
        engine: The engine.
        precision: Which encoder.
        threads: Of the engine, or None for all cores.
        plans: Where TensorRT's plans lie, or None for the usual place.

    Raises:
        EngineError: When the process fails.
    """
    command = [sys.executable, "-m", "edgezsl.evaluate.cold_start", str(folder), engine, precision, str(threads or 0)]
    command += [str(plans)] if plans else []
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said, complaint = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as cause:
            process.kill()
            message = f"{engine} gives no embedding within {_TIMEOUT_S:g} s"
            raise EngineError(message, code="not_started", where=Place(str(folder))) from cause
    if process.returncode:
        last = complaint.strip().splitlines()[-1:] or ["it says nothing"]
        raise EngineError(f"{engine} does not start ({last[0]})", code="not_started", where=Place(str(folder)))
    found = json.loads(said)
    # Both clocks are the system's monotonic one: what the process does after its first embedding is not counted.
    return ColdStart(round(found["first_at"] - start, 3), round(found["peak_mib"], 1))


def _run(folder: str, engine: str, precision: str, threads: str, plans: str = "") -> None:
    import numpy as np

    from edgezsl.bundle import Bundle
    from edgezsl.preprocess import Preprocessor
    from edgezsl.runtime.engine import open_engine

    bundle = Bundle.open(Path(folder))
    place = Path(plans) if plans else None
    opened = open_engine(
        bundle, cast("EngineName", engine), threads=int(threads) or None, precision=precision, plans=place
    )
    opened.run(Preprocessor(bundle.manifest.contract)([np.zeros((720, 1280, 3), np.uint8)]))
    first = time.perf_counter()
    status = Path("/proc/self/status")
    peak_kib = next((int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")), 0)
    sys.stdout.write(json.dumps({"peak_mib": peak_kib / 1024, "first_at": first}))


if __name__ == "__main__":
    _run(*sys.argv[1:])
