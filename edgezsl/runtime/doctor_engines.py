"""What `doctor` says of the engines, the GPU and TensorRT's plans, and which engine `--engine auto` takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.errors import InputError
from edgezsl.runtime.doctor_packages import installed_version
from edgezsl.runtime.engine import ENGINES, GPU_PROVIDERS, PROVIDERS, choose_engine
from edgezsl.runtime.finding import Finding
from edgezsl.runtime.onnx_engine import EXECUTION_PROVIDERS
from edgezsl.runtime.packages import ENGINE_PACKAGES
from edgezsl.runtime.sysfs import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.device import Detection
    from edgezsl.runtime.doctor_probe import Outcome

_ABSENT = ("missing_extra", "no_gpu", "no_plan", "stale_plan", "foreign_plan")  # codes
_DRIVER = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")


def engine_findings(outcomes: Mapping[str, Outcome], detection: Detection | None) -> tuple[Finding, ...]:
    """Return the finding for each engine, and which one `--engine auto` takes.

    Args:
        outcomes: Of the steps `engine:NAME`; ways of ONNX Runtime to a GPU may be among them.
        detection: The board, or None where it is not known.
    """
    findings = [_engine_finding(name, outcomes[f"engine:{name}"]) for name in ENGINES]
    working = [name for name, found in zip(ENGINES, findings, strict=True) if found.state == "ok"]
    findings += [_provider_finding(name, outcomes[f"engine:{name}"]) for name in offered_providers(outcomes)]
    order = detection.profile.engines if detection else ENGINES
    device = detection.profile.name if detection else "an unknown board"
    try:
        choice = choose_engine("auto", order, working, device)
    except InputError as error:
        return (*findings, Finding("engine auto", "broken", "no engine works", error.hint))
    return (*findings, Finding("engine auto", "ok", f"{choice.name}: {choice.reason}"))


def offered_providers(outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    """Return the names of the ways to a GPU that the installed build of ONNX Runtime says it has."""
    offered = outcomes["engine:onnx"].facts.get("runs_on", ())
    return tuple(name for name in GPU_PROVIDERS if EXECUTION_PROVIDERS[PROVIDERS[name]] in offered)


def gpu_finding(outcome: Outcome, detection: Detection | None, root: Path = Path("/")) -> Finding:
    """Return what is known of the GPU.

    Args:
        outcome: Of the step `gpu`.
        detection: The board, or None where it is not known.
        root: Where `proc` lies.
    """
    driver = _DRIVER.search(read_text(root / "proc/driver/nvidia/version"))
    known = f"NVIDIA's driver {driver[1]} is loaded" if driver else "no driver of NVIDIA is loaded"
    if detection and detection.l4t:
        known = "this is a Jetson"
    facts, refused = outcome.facts, outcome.facts.get("code") in {"missing_extra", "broken_package"}
    if outcome.error is None:
        sms = f"compute capability {facts['compute_capability']}, {facts['sm_count']} SMs"
        detail = f"{facts['gpu']}, {sms}, {facts['free_mib']} MiB free, driver for CUDA {facts['cuda_driver']}"
        return Finding("gpu", "ok", detail)
    if refused or facts.get("code") == "no_gpu":
        if driver is None and not (detection and detection.l4t):
            return Finding("gpu", "missing", f"{known}; an NVIDIA GPU is not needed")
        hint = (
            facts.get("hint")
            if refused
            else "give the container or the service the GPU: docker run --gpus all, --runtime nvidia"
        )
        return Finding("gpu", "warning", f"{known}, and CUDA is not reached: {outcome.error}", hint)
    return Finding("gpu", "broken", _told(outcome), facts.get("hint"))


def plan_finding(outcome: Outcome) -> Finding:
    """Return which TensorRT plan of the built-in model `run` would take, and what `edgezsl compile` would give.

    Args:
        outcome: Of the step `engine:tensorrt`.
    """
    buildable = outcome.facts.get("buildable")
    if not buildable:
        return Finding("tensorrt plan", "missing", "without a working TensorRT and a GPU none is built or run")
    compiled = (
        f"`edgezsl compile` would build {', '.join(buildable)} of the built-in model, time each here and keep the fastest "
        "that passes"
    )
    if outcome.error is None:
        return Finding("tensorrt plan", "ok", f"{outcome.facts['plan']}; {compiled} anew")
    detail, hint = f"{outcome.error}; {compiled}", outcome.facts.get("hint")
    if outcome.facts.get("code") == "no_plan":
        return Finding("tensorrt plan", "missing", detail, hint)
    return Finding("tensorrt plan", "warning", detail, hint)


def tensorrt_and_driver(outcomes: Mapping[str, Outcome]) -> tuple[Finding, ...]:
    """Return a finding where pip's TensorRT was built for a later CUDA than the driver is for; else nothing.

    Args:
        outcomes: Of the steps `tensorrt` and `gpu`.
    """
    driver = str(outcomes["gpu"].facts.get("cuda_driver", ""))
    major = driver.partition(".")[0]
    wheels = [cuda for cuda in ("12", "13") if installed_version(f"tensorrt-cu{cuda}")]
    if not driver or not wheels or outcomes["tensorrt"].missing or int(wheels[-1]) <= int(major):
        return ()
    wheel = f"tensorrt-cu{wheels[-1]}"
    detail = f"{wheel} was built for CUDA {wheels[-1]}, the driver is for CUDA {driver}"
    hint = f"update the driver, or run: pip uninstall {wheel}; pip install tensorrt-cu{major}"
    return (Finding("tensorrt with the driver", "broken", detail, hint),)


def _engine_finding(engine: str, outcome: Outcome) -> Finding:
    name, package = f"engine {engine}", ENGINE_PACKAGES[engine]
    facts, hint = outcome.facts, outcome.facts.get("hint")
    if outcome.missing:
        return Finding(name, "missing", f"the package {package!r} is not installed")
    if facts.get("code") in _ABSENT:  # TensorRT alone: a part of what it needs is not there, as a GPU or a plan
        return Finding(name, "missing", f"{outcome.error}", "see 'gpu' above" if facts["code"] == "no_gpu" else hint)
    if outcome.error:
        return Finding(name, "broken", _told(outcome), hint or f"see {package!r} above")
    if not facts.get("correct"):
        hint = f"do not use it; install another version of {package!r}"
        return Finding(name, "broken", "a network of one node gave a wrong answer", hint)
    places = ", ".join(facts.get("runs_on", ()))
    if engine == "tensorrt":
        return Finding(name, "ok", f"{places}; the plan of the built-in model gave its golden answers")
    return Finding(name, "ok", f"{outcome.version}; offers {places}; a tiny network ran on the CPU")


def _provider_finding(engine: str, outcome: Outcome) -> Finding:
    name = f"engine {engine}"
    if outcome.error:
        # Taken by whoever asks for it alone: a build for GPUs offers both, and a machine need not have what they need.
        return Finding(name, "warning", _told(outcome), outcome.facts.get("hint"))
    if not outcome.facts.get("correct"):
        return Finding(name, "broken", "a network of one node gave a wrong answer", "take --engine onnx")
    return Finding(name, "ok", "a tiny network ran on the GPU; taken where it is asked for, never by `auto`")


def _told(outcome: Outcome) -> str:
    expected = outcome.facts.get("expected")
    return f"{outcome.error}; expected {expected}" if expected else f"{outcome.error}"
