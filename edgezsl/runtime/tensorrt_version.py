"""Which versions of TensorRT this code is written for: one path for all of them, and a refusal of every other."""

from __future__ import annotations

import re

from edgezsl.errors import EngineError, shown

OLDEST_TENSORRT = (10, 3)  # JetPack 6.1 and 6.2; what is older has no strongly typed network of this kind
UNKNOWN_TENSORRT = (12, 0)  # a new major version takes names away: 11 did


def check_tensorrt_version(version: str) -> tuple[int, int]:
    """Return major and minor number of a version of TensorRT that this code is written for.

    Args:
        version: As `tensorrt.__version__` states it, such as `10.3.0` or `11.4.0.106`.

    Raises:
        EngineError: When it is below 10.3, from 12.0 on, or no version.
    """
    found = re.match(r"(\d+)\.(\d+)(?=\.|$)", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not OLDEST_TENSORRT <= number < UNKNOWN_TENSORRT:
        oldest, unknown = (".".join(map(str, bound)) for bound in (OLDEST_TENSORRT, UNKNOWN_TENSORRT))
        raise EngineError(
            f"TensorRT {version if found else shown(version)} is installed",
            code="unsupported_tensorrt",
            expected=f"at least {oldest} and below {unknown}",
            hint="take another engine, such as --engine onnx, or on a Jetson JetPack 6.1 or later",
        )
    return number
