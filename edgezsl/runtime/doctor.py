"""`doctor`: what is installed, which engines and cameras work, and what to do about the rest.

It puts together what the modules beside it find. It imports none of the packages that it examines: `doctor_child.py` does,
in a process of its own, so that a package that crashes or hangs is a finding. Nothing here prints.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.device import Detection, detect_profile
from edgezsl.errors import InputError
from edgezsl.runtime.board import board_readings
from edgezsl.runtime.doctor_board import board_findings, cpu_finding, sensor_findings, setup_findings
from edgezsl.runtime.doctor_cameras import camera_findings, video_findings
from edgezsl.runtime.doctor_engines import (
    engine_findings,
    gpu_finding,
    offered_providers,
    plan_finding,
    tensorrt_and_driver,
)
from edgezsl.runtime.doctor_packages import package_finding, together_findings
from edgezsl.runtime.doctor_probe import probe, probe_together
from edgezsl.runtime.engine import ENGINES
from edgezsl.runtime.finding import Finding
from edgezsl.runtime.packages import PACKAGES
from edgezsl.runtime.power import PowerMeter

if TYPE_CHECKING:
    from edgezsl.runtime.board import BoardReadings

_OF_ENGINE = {  # findings that mean nothing to a board that does not use the engine
    "tensorrt": ("tensorrt", "cuda-bindings", "gpu", "tensorrt plan", "engine tensorrt"),
    "openvino": ("openvino", "engine openvino"),
}
CHILD_LIMIT_S = 60.0  # seconds for all packages together: a slow SD card takes ten


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything that `doctor` found.

    Attributes:
        profile: The name of the board's profile, or None where there is none for this machine.
        machine: The board, how it is set up, its sensors, Python and edgezsl.
        packages: The packages, each imported beside the others, and what of them does not go together.
        engines: The GPU, the engines and TensorRT's plan, and which engine `--engine auto` takes.
        cameras: Cameras, and what reads and shows video.
    """

    profile: str | None
    machine: tuple[Finding, ...]
    packages: tuple[Finding, ...]
    engines: tuple[Finding, ...]
    cameras: tuple[Finding, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, in order."""
        return (*self.machine, *self.packages, *self.engines, *self.cameras)

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of what is there and fails."""
        return tuple(one.name for one in self.findings if one.state == "broken")

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl doctor --json` prints."""
        parts = {
            part: [asdict(one) for one in getattr(self, part)] for part in ("machine", "packages", "engines", "cameras")
        }
        verdict = "broken" if self.broken else "ready"
        return {"profile": self.profile, **parts, "verdict": verdict, "broken": list(self.broken)}


def examine(root: Path = Path("/"), *, machine: str | None = None, limit_s: float = CHILD_LIMIT_S) -> DoctorReport:
    """Return the state of this machine. Takes about as long as importing every package once.

    Args:
        root: Where `proc`, `sys`, `dev`, `etc`, `usr` and `var` lie.
        machine: The machine as `uname -m` gives it; None asks the system.
        limit_s: Seconds that a child process may take.
    """
    readings = board_readings(root)
    detection, board = _detected(root, machine, readings)
    steps = (*PACKAGES, *(f"engine:{name}" for name in ENGINES), "gpu")
    outcomes, clashes = probe_together(steps, limit_s=limit_s)
    # What a GPU build of ONNX Runtime can do is known only now; in a child of its own it cannot harm the rest.
    outcomes.update(probe([f"engine:{name}" for name in offered_providers(outcomes)], limit_s=limit_s))
    packages = {name: outcomes[name] for name in PACKAGES}
    return DoctorReport(
        profile=detection.profile.name if detection else None,
        machine=(
            *_software_findings(),
            *board,
            cpu_finding(root),
            *setup_findings(readings),
            *sensor_findings(PowerMeter(root)),
        ),
        packages=_for_this_board(
            detection,
            *(package_finding(name, outcome, detection, root) for name, outcome in packages.items()),
            *together_findings(packages, clashes, detection),
            *tensorrt_and_driver(outcomes),
        ),
        engines=_for_this_board(
            detection,
            gpu_finding(outcomes["gpu"], detection, root),
            plan_finding(outcomes["engine:tensorrt"]),
            *engine_findings(outcomes, detection),
        ),
        cameras=(*camera_findings(root), *video_findings(outcomes["cv2"], detection)),
    )


def _for_this_board(detection: Detection | None, *findings: Finding) -> tuple[Finding, ...]:
    """Return findings; what is missing and belongs to an engine that the board has no use for is unused."""
    engines = detection.profile.engines if detection else tuple(_OF_ENGINE)
    unused = {name for engine, names in _OF_ENGINE.items() if engine not in engines for name in names}
    return tuple(
        replace(one, state="unused", hint=None) if one.state == "missing" and one.name in unused else one
        for one in findings
    )


def _detected(root: Path, machine: str | None, readings: BoardReadings) -> tuple[Detection | None, tuple[Finding, ...]]:
    try:
        detection = detect_profile(root, machine=machine)
    except (
        InputError
    ) as error:  # no profile for this machine, or a damaged installation: the rest is still worth saying
        return None, (Finding("board", "broken", error.message, error.hint),)
    return detection, board_findings(detection, readings)


def _software_findings() -> tuple[Finding, ...]:
    python = (
        f"{platform.python_version()}, {platform.python_implementation()}, {platform.system()} {platform.release()}"
    )
    return Finding("edgezsl", "ok", metadata.version("edgezsl")), Finding("python", "ok", python)
