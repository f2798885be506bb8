"""Run in a child process with a real package and our source: prints as JSON what came of it.

Arguments: the folder that holds the package, its name, what to do (`log`, `cuda`), libraries to load before it.
"""

import ctypes
import importlib
import json
import sys
from pathlib import Path

import numpy as np


def log():
    """Our logger as a subclass of the real `ILogger`, and a runtime that the stub does not make."""
    from edgezsl.errors import EngineError
    from edgezsl.runtime.tensorrt_engine import _Plan, load_tensorrt
    from edgezsl.runtime.tensorrt_log import tensorrt_logger

    trt = load_tensorrt()
    logger = tensorrt_logger(trt)
    for severity in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"):
        text = f"{severity}\n  of two lines"
        logger.log(getattr(trt.ILogger.Severity, severity), text)
    answer = {"version": trt.__version__, "errors": list(logger.errors), "one": tensorrt_logger(trt) is logger}
    try:
        _Plan(b"no plan", None, "a.plan")
    except EngineError as error:
        return answer | {"code": error.code, "message": error.message, "cause": type(error.__cause__).__name__}
    return answer


def cuda():
    """A round trip through the GPU, by a graph, or why there is none."""
    from edgezsl.errors import EngineError
    from edgezsl.runtime.cuda import CudaStream

    try:
        stream = CudaStream()
    except EngineError as error:
        return {"code": error.code, "message": str(error)}
    given, back = (stream.pinned_array((2, 3), np.float32) for _ in range(2))
    device = stream.device_memory(given.nbytes)

    def there_and_back():
        stream.to_device(device, given)
        stream.to_host(back, device)

    given[:] = 1
    graph = stream.captured(there_and_back)
    given[:] = 2
    stream.launch(graph)
    stream.wait()
    answer = {"code": "a GPU", "message": str(back.tolist())}
    stream.drop(graph)
    stream.close()
    return answer


def main():
    folder, package, what, *libraries = sys.argv[1:]
    for library in libraries:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    sys.path[0:1] = [folder, str(Path(__file__).parents[2])]
    if what == "log":
        sys.modules["tensorrt"] = importlib.import_module(package)
    sys.stdout.write(json.dumps({"log": log, "cuda": cuda}[what]()))


if __name__ == "__main__":
    main()
