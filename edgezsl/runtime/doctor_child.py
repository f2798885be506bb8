"""Imports the optional packages in a process of its own and says, line by line, how it went.

Run as `python -m edgezsl.runtime.doctor_child STEP...`, where a step is a package's import name or `engine:NAME`. Before
each step it writes `{"step": …, "started": true}`, after it the outcome, so that the parent knows what was being done
when the process died. It judges nothing: `doctor.py` does.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

# The smallest network: y = Relu(x), two floats; opset 13, IR 8 (tests/runtime/test_doctor.py builds it anew).
TINY_ONNX = (
    b'\x08\x08:3\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02B\x04\n\x00\x10\r"
)
_INPUT, _OUTPUT = [-1.0, 2.0], [0.0, 2.0]


def main(steps: list[str]) -> None:
    """Take the steps in order and write a line of JSON before and after each.

    Args:
        steps: Import names, or `engine:onnx`, `engine:openvino`.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)  # what a package says while it is imported is not the report
        for step in steps:
            _say(report, {"step": step, "started": True})
            _say(report, {"step": step, **_outcome(step)})


def _say(report: io.TextIOWrapper, line: dict[str, Any]) -> None:
    report.write(json.dumps(line) + "\n")
    report.flush()


def _outcome(step: str) -> dict[str, Any]:
    package = {"engine:onnx": "onnxruntime", "engine:openvino": "openvino"}.get(step, step)
    try:
        module = importlib.import_module(package)
        return {"version": str(getattr(module, "__version__", "")), **_facts(step, module)}
    except ModuleNotFoundError as cause:
        return {"missing": True} if cause.name == package else {"error": _told(cause)}
    except (Exception, SystemExit) as cause:  # noqa: BLE001  # a vendor's import may raise anything: each is a finding
        return {"error": _told(cause)}


def _told(cause: BaseException) -> str:
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0][:300]}"


def _facts(step: str, module: ModuleType) -> dict[str, Any]:
    if step == "cv2":
        return _opencv_facts(module.getBuildInformation())
    if step == "engine:onnx":
        return {"runs_on": list(module.get_available_providers()), "correct": _onnx_answer(module) == _OUTPUT}
    if step == "engine:openvino":
        core = module.Core()
        return {"runs_on": list(core.available_devices), "correct": _openvino_answer(core) == _OUTPUT}
    return {}


def _opencv_facts(build: str) -> dict[str, Any]:
    said = dict(re.findall(r"^\s*(GUI|FFMPEG|GStreamer|v4l/v4l2):\s*(\S+)", build, re.MULTILINE))
    return {
        "window": None if said.get("GUI", "NONE") == "NONE" else said["GUI"],
        "ffmpeg": said.get("FFMPEG") == "YES",
        "gstreamer": said.get("GStreamer") == "YES",
        "v4l2": said.get("v4l/v4l2") == "YES",
    }


def _onnx_answer(onnxruntime: ModuleType) -> list[float]:
    import numpy as np

    session = onnxruntime.InferenceSession(TINY_ONNX, providers=["CPUExecutionProvider"])
    return [float(value) for value in session.run(None, {"x": np.array(_INPUT, np.float32)})[0]]


def _openvino_answer(core: Any) -> list[float]:
    import numpy as np

    network = core.compile_model(core.read_model(io.BytesIO(TINY_ONNX)), "CPU")
    return [float(value) for value in network([np.array(_INPUT, np.float32)])[0]]


if __name__ == "__main__":
    main(sys.argv[1:])
