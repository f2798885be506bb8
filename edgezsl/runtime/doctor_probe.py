"""Runs the steps of `doctor_child.py` in child processes and tells how each of them ended.

It knows processes: that one may die, hang or never begin. It does not know what a step means.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step of the child process went.

    Attributes:
        version: The package's version as it states it.
        missing: Whether the package is not installed.
        error: What it raised, or how it ended the process, or None.
        facts: What else the child said; see `doctor_child.py`.
    """

    version: str = ""
    missing: bool = False
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def probe(steps: Sequence[str], *, limit_s: float) -> dict[str, Outcome]:
    """Take steps of `doctor_child` together in one child process; where one ends it, a new child takes those after it.

    Args:
        steps: Import names, or `engine:NAME`.
        limit_s: Seconds that a child may take.

    Returns:
        The outcome of every step.
    """
    outcomes: dict[str, Outcome] = {}
    left = list(steps)
    while left:
        lines, fate = _run_child(left, limit_s)
        for line in lines:
            step = line.pop("step")
            if not line.pop("started", False):
                outcomes[step] = Outcome(
                    line.pop("version", ""), line.pop("missing", False), line.pop("error", None), line
                )
        begun = len(lines) % 2 == 1
        left = [step for step in left if step not in outcomes]
        for step in left[:1] if begun else left:  # a child that never began says nothing of any one step
            outcomes[step] = Outcome(error=fate)
        left = [step for step in left if step not in outcomes]
    return outcomes


def _run_child(steps: Sequence[str], limit_s: float) -> tuple[list[dict[str, Any]], str]:
    # `-m` puts the working folder first on the path, and a user's own `yaml.py` there would be imported; the folder that
    # holds the package has nothing but packages.
    folder = Path(__file__).parents[2]
    command = [sys.executable, "-m", "edgezsl.runtime.doctor_child", *steps]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired as cause:
        return _lines(cause.stdout or b""), f"did not come back within {limit_s:g} s"
    except OSError as cause:
        return [], f"no child process could be started ({cause.strerror})"
    if done.returncode < 0:
        return _lines(done.stdout), f"ended its process by {signal.Signals(-done.returncode).name}"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return _lines(
        done.stdout
    ), f"ended its process with exit code {done.returncode}{f': {said[-1][:200]}' if said else ''}"


def _lines(report: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.splitlines(keepends=True) if line.endswith(b"\n")]
