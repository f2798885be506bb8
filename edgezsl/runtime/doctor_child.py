"""Imports the optional packages in a process of its own and says, line by line, how it went.

Run as `python -m edgezsl.runtime.doctor_child STEP...`, where a step is a package's import name, `engine:NAME` or `gpu`.
Before each step it writes `{"step": …, "started": true}`, after it the outcome, so that the parent knows what was being
done when the process died. It judges nothing: `doctor.py` does.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.runtime.packages import ENGINE_PACKAGES

if TYPE_CHECKING:
    from types import ModuleType

# The smallest network: y = Relu(x), two floats; opset 13, IR 8 (tests/runtime/test_doctor.py builds it anew).
TINY_ONNX = (
    b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02B\x04\n\x00\x10\r"
)
_INPUT, _OUTPUT = [-1.0, 2.0], [0.0, 2.0]
_ENGINES = {f"engine:{name}": package for name, package in ENGINE_PACKAGES.items()}  # by step
_LONGEST_SAID = 4000  # bytes of what a package prints


def main(steps: list[str]) -> None:
    """Take the steps in order and write a line of JSON before and after each.

    Args:
        steps: Import names, `engine:onnx`, `engine:openvino`, `engine:tensorrt`, `engine:onnx:cuda`,
            `engine:onnx:tensorrt`, or `gpu`.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)  # what a package says while it is imported is not the report
        for step in steps:
            _say(report, {"step": step, "started": True})
            before = _said_bytes()
            outcome = _outcome(step)
            said = _said_since(before)
            _say(report, {"step": step, **outcome, **({"said": said} if said else {})})


def _say(report: io.TextIOWrapper, line: dict[str, Any]) -> None:
    report.write(json.dumps(line) + "\n")
    report.flush()


def _said_bytes() -> int:
    return os.fstat(2).st_size  # 0 where it is no file


def _said_since(before: int) -> str:
    sys.stderr.flush()
    length = min(_said_bytes() - before, _LONGEST_SAID)
    return os.pread(2, length, before).decode(errors="replace") if length > 0 else ""


def _outcome(step: str) -> dict[str, Any]:
    package = _ENGINES.get(step, step)
    if step == "gpu" or step.startswith("engine:onnx:"):
        return _refusable(step, None)
    try:
        module = importlib.import_module(package)
        version = str(getattr(module, "__version__", ""))
        facts = _refusable(step, module) if step in _ENGINES else _package_facts(step, module)
    except ModuleNotFoundError as cause:
        absent = cause.name is not None and (package == cause.name or package.startswith(f"{cause.name}."))
        return {"missing": True} if absent else {"error": _told(cause), "places": _places(package)}
    except (Exception, SystemExit) as cause:  # noqa: BLE001  # a vendor's import may raise anything: each is a finding
        return {"error": _told(cause), "places": _places(package)}
    return {"version": version, "places": _places(package), **facts}


def _told(cause: BaseException) -> str:
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0][:300]}"


def _places(package: str) -> list[str]:
    """Return the folders of the path that hold a package: the first is the one that is imported."""
    found = []
    for entry in dict.fromkeys(sys.path):
        spec = PathFinder.find_spec(package.partition(".")[0], [entry])
        if spec and spec.origin:  # a namespace has none, and hides nothing
            found.append(str(Path(entry).resolve()))
    return list(dict.fromkeys(found))


def _package_facts(step: str, module: ModuleType) -> dict[str, Any]:
    return _opencv_facts(module.getBuildInformation()) if step == "cv2" else {}


def _refusable(step: str, module: Any) -> dict[str, Any]:
    """Return what a part of edgezsl does, or its own words of why it does not."""
    from edgezsl.errors import EdgezslError

    facts: dict[str, Any] = {}
    try:
        if step == "gpu":
            _gpu(facts)
        elif step == "engine:tensorrt":
            _tensorrt(facts)
        elif step == "engine:onnx":
            facts["runs_on"] = list(module.get_available_providers())
            facts["correct"] = _onnx_answer("cpu") == _OUTPUT
        elif step == "engine:openvino":
            core = module.Core()
            facts.update(runs_on=list(core.available_devices), correct=_openvino_answer(core) == _OUTPUT)
        else:
            facts["correct"] = _onnx_answer(step.rpartition(":")[2]) == _OUTPUT
    except EdgezslError as fault:
        return {**facts, "error": fault.message, "code": fault.code, "expected": fault.expected, "hint": fault.hint}
    return facts


def _opencv_facts(build: str) -> dict[str, Any]:
    said = dict(re.findall(r"^\s*(GUI|FFMPEG|GStreamer|v4l/v4l2):\s*(\S+)", build, re.MULTILINE))
    return {
        "window": None if said.get("GUI", "NONE") == "NONE" else said["GUI"],
        "ffmpeg": said.get("FFMPEG") == "YES",
        "gstreamer": said.get("GStreamer") == "YES",
        "v4l2": said.get("v4l/v4l2") == "YES",
    }


def _onnx_answer(provider: Any) -> list[float]:
    import numpy as np

    from edgezsl.runtime.onnx_engine import OnnxGraph

    graph = OnnxGraph(TINY_ONNX, file="a tiny network", threads=1, provider=provider)
    return [float(value) for value in graph.run({"x": np.array(_INPUT, np.float32)})[0]]


def _openvino_answer(core: Any) -> list[float]:
    import numpy as np

    network = core.compile_model(core.read_model(io.BytesIO(TINY_ONNX)), "CPU")
    return [float(value) for value in network([np.array(_INPUT, np.float32)])[0]]


def _gpu(facts: dict[str, Any]) -> None:
    from edgezsl.runtime.gpu import free_memory_mib, this_machine

    machine = this_machine("")
    facts.update(gpu=machine.gpu, compute_capability=machine.compute_capability, sm_count=machine.sm_count)
    facts.update(cuda_driver=machine.cuda_driver, free_mib=free_memory_mib())


def _tensorrt(facts: dict[str, Any]) -> None:
    """Load the plan of the built-in model as `run` would, and test it; what lacks on the way there is the error."""
    from edgezsl.bundle import Bundle
    from edgezsl.runtime.engine import open_engine, serving_engines
    from edgezsl.runtime.plan_engine import tensorrt_machine

    facts["runs_on"] = [str(tensorrt_machine())]
    bundle = Bundle.open()
    facts["buildable"] = [name for name in bundle.manifest.image_encoders if "tensorrt" in serving_engines(name)]
    engine = open_engine(bundle, "tensorrt")
    facts.update(plan=engine.description, correct=True)  # opened means passed: its golden answers were compared
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1:])
