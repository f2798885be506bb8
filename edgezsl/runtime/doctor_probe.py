"""Runs the steps of `doctor_child.py` in child processes and tells how each of them ended, together and alone.

It knows processes: that one may die, hang or never begin. It does not know what a step means.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
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

    @property
    def works(self) -> bool:
        """Whether it is there and went well."""
        return not self.missing and self.error is None


@dataclass(frozen=True, slots=True)
class Clash:
    """A step that goes well alone, and not where others were taken before it in the same process.

    Attributes:
        step: It.
        after: What it fails after: one step where one suffices, else all that were taken before it.
        error: How it fails.
        other_way: Whether the two go well in the other order; None where that was not tried.
    """

    step: str
    after: tuple[str, ...]
    error: str
    other_way: bool | None = None


def probe(steps: Sequence[str], *, limit_s: float) -> dict[str, Outcome]:
    """Take steps of `doctor_child` together in one child process.

    Where one ends it, a new child takes those after it, beside those that went well before.

    Args:
        steps: Import names, or `engine:NAME`.
        limit_s: Seconds that a child may take.

    Returns:
        The outcome of every step.
    """
    outcomes: dict[str, Outcome] = {}
    left, before = list(steps), list[str]()
    while left:
        lines, fate = _run_child([*before, *left], limit_s)
        begun = lines[-1]["step"] if len(lines) % 2 == 1 else None
        for line in lines:
            step = line.pop("step")
            if not line.pop("started", False) and step in left:
                outcomes[step] = Outcome(
                    line.pop("version", ""), line.pop("missing", False), line.pop("error", None), line
                )
        if begun in before:  # what went well once does not again: the rest goes on without all that
            before = []
            continue
        left = [step for step in left if step not in outcomes]
        for step in left[:1] if begun else left:  # a child that never began says nothing of any one step
            outcomes[step] = Outcome(error=fate)
        left = [step for step in left if step not in outcomes]
        before = [step for step in steps if step in outcomes and outcomes[step].works]
    return outcomes


def probe_together(steps: Sequence[str], *, limit_s: float) -> tuple[dict[str, Outcome], tuple[Clash, ...]]:
    """Take steps together; of those that fail, tell the fault that is their own from the one that is a pair's.

    Args:
        steps: Import names, or `engine:NAME`, in the order in which they are taken.
        limit_s: Seconds that a child may take; the search for pairs ends after as many.

    Returns:
        The outcome of every step, of those that go well alone that; and what does not go together.
    """
    outcomes = probe(steps, limit_s=limit_s)
    together = dict(outcomes)
    clashes, until = [], time.monotonic() + limit_s
    for index, step in enumerate(steps):
        error, earlier = together[step].error, [one for one in steps[:index] if together[one].works]
        if error is None or not earlier:
            continue
        alone = probe((step,), limit_s=limit_s)[step]
        outcomes[step] = alone
        if alone.works:
            clashes.append(_clash(step, earlier, error, until))
    return outcomes, tuple(clashes)


def _clash(step: str, earlier: Sequence[str], error: str, until: float) -> Clash:
    for other in reversed(earlier):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        found = probe((other, step), limit_s=left_s)[step]
        if found.error is not None:
            swapped = probe((step, other), limit_s=left_s)
            return Clash(step, (other,), found.error, all(one.works for one in swapped.values()))
    return Clash(step, tuple(earlier), error)


def _run_child(steps: Sequence[str], limit_s: float) -> tuple[list[dict[str, Any]], str]:
    # `-m` puts the working folder first on the path, and a user's own `yaml.py` there would be imported; the folder that
    # holds the package has nothing but packages.
    folder = Path(__file__).parents[2]
    command = [sys.executable, "-m", "edgezsl.runtime.doctor_child", *steps]
    with tempfile.TemporaryFile() as complaints:  # a file: the child reads there what a package printed
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                timeout=limit_s,
                check=False,
                cwd=folder,
            )
        except subprocess.TimeoutExpired as cause:
            return _lines(cause.stdout or b""), f"did not come back within {limit_s:g} s"
        except OSError as cause:
            return [], f"no child process could be started ({cause.strerror})"
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip().splitlines()
    lines = _lines(done.stdout)
    if done.returncode < 0:
        return lines, f"ended its process by {signal.Signals(-done.returncode).name}"
    return lines, f"ended its process with exit code {done.returncode}{f': {said[-1][:200]}' if said else ''}"


def _lines(report: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.splitlines(keepends=True) if line.endswith(b"\n")]
