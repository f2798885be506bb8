"""What TensorRT says: into Python's log, and into the error that is made of it.

TensorRT returns `None` or `False` where it fails and tells its logger why. The causes that a person can do something
about are known here by the words that versions up to 10.12 gave them, read in reports of users, and not met on a GPU.
"""

from __future__ import annotations

import functools
import logging
import re
from collections import deque
from typing import Any

from edgezsl.errors import EngineError, Place

_LOG = logging.getLogger(__name__)
_KEPT = 8  # errors; one failure brings two or three
MAKE_THE_PLAN = "make the plan on this machine: edgezsl compile"
FREE_MEMORY = "close what else uses the GPU's memory, or export the model with a smaller batch and compile it again"
NO_GPU = "take another engine, such as --engine onnx; `edgezsl doctor` shows what this machine has"

# Words of TensorRT, code, what it means, what to do: the first that fits any of the errors.
_CAUSES = (
    (
        r"not compatible with this version of TensorRT|[Vv]ersion tag does not match|incompatible serialization version",
        "stale_plan",
        "the plan was made by another version of TensorRT",
        MAKE_THE_PLAN,
    ),
    (r"incompatible device", "foreign_plan", "the plan was made for another kind of GPU", MAKE_THE_PLAN),
    (r"OutOfMemory|out of memory", "out_of_memory", "the GPU's memory does not suffice", FREE_MEMORY),
    (r"CUDA initialization failure", "no_gpu", "TensorRT cannot use a GPU of this machine", NO_GPU),
)


@functools.cache
def tensorrt_logger(trt: Any) -> Any:
    """Return the one logger of this process: TensorRT uses the first that it was given, whatever comes later.

    Args:
        trt: The module `tensorrt`.

    Returns:
        A `tensorrt.ILogger` that writes to Python's log of this module's name; `errors` holds what it said last.
    """
    # Without a handler Python would print on stderr what is raised as well.
    _LOG.addHandler(logging.NullHandler())
    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.WARNING,
        trt.ILogger.Severity.INFO: logging.INFO,
    }

    class Logger(trt.ILogger):  # type: ignore[misc]  # a vendor's class
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_KEPT)

        def log(self, severity: Any, msg: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self.errors.append(" ".join(msg.split()))
            _LOG.log(level, "%s", msg)

    return Logger()


def tensorrt_fault(
    what: str, code: str, logger: Any, *, file: str, cause: Exception | None = None, hint: str | None = None
) -> EngineError:
    """Return the error for something that TensorRT did not do, by the cause that it gave its logger.

    Args:
        what: What failed, as a clause, where the cause is none that is known.
        code: The code of the error then.
        logger: What `tensorrt_logger` returned; its errors are taken out.
        file: The plan, or what else it is about.
        cause: What the binding raised.
        hint: What to do about it then.
    """
    said = [*logger.errors, *([str(cause)] if cause else [])]
    logger.errors.clear()
    reason = said[0] if said else "TensorRT gives no reason"
    for words, known, meaning, cure in _CAUSES:
        found = next((line for line in said if re.search(words, line)), None)
        if found:
            what, code, hint, reason = meaning, known, cure, found
            break
    return EngineError(f"{what} ({reason})", code=code, where=Place(file), hint=hint)
