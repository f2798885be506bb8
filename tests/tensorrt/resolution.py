"""What pip would install on a board, asked from here: a dry run for its machine and its Python, wheels only.

pip takes the wheels' names and the requirement of Python for the board's, but judges environment markers by the Python
that runs it (pypa/pip#11664). What the board's markers ask for beside that is therefore added, until nothing is missing,
and of constraints only those are given that hold on the board.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GLIBCS = (
    28,
    17,
)  # of manylinux: what the issue of a board's system is asked to be, and the oldest that wheels are made for


@dataclass(frozen=True)
class Board:
    """A machine and a Python, as pip and the markers name them."""

    machine: str
    python: str

    def pip_options(self) -> list[str]:
        platforms = [f"manylinux_2_{glibc}_{self.machine}" for glibc in range(*GLIBCS, -1)]
        platforms += [f"manylinux_2_17_{self.machine}", f"manylinux2014_{self.machine}"]
        return ["--python-version", self.python, *(f"--platform={one}" for one in platforms)]

    def wants(self, marker: Marker | None, extras: tuple[str, ...]) -> bool:
        environment = {
            **default_environment(),
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": self.machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_python_implementation": "CPython",
        }
        return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def resolved(requirements: list[str], board: Board, *, constraints: Path | None = None) -> dict[str, str]:
    """Return the version of every package that would be installed, by name.

    Raises:
        AssertionError: When pip finds no set of wheels.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as ours:
        ours.write("\n".join(_held_to(constraints, board) if constraints else ()))
        ours.flush()
        return _until_complete(requirements, board, ours.name)


def _held_to(constraints: Path, board: Board) -> Iterator[str]:
    """Yield the constraints that hold on a board, without their markers."""
    for line in constraints.read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if board.wants(requirement.marker, ()):
                requirement.marker = None
                yield str(requirement)


def _until_complete(requirements: list[str], board: Board, constraints: str) -> dict[str, str]:
    missing: set[str] = set()
    while True:
        found = _dry_run([*requirements, *sorted(missing)], board, constraints)
        asked = {text for item in found for text in _asked_by(item, board)}
        names = {canonicalize_name(item["metadata"]["name"]) for item in found}
        absent = {text for text in asked if canonicalize_name(Requirement(text).name) not in names}
        if not absent - missing:
            return {canonicalize_name(item["metadata"]["name"]): item["metadata"]["version"] for item in found}
        missing |= absent


def _dry_run(requirements: list[str], board: Board, constraints: str) -> list[dict]:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    command += ["--ignore-installed", "--target=unused", "--only-binary=:all:", "--report=-", *board.pip_options()]
    command.append(f"--constraint={constraints}")
    done = subprocess.run([*command, *requirements], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"pip finds no wheels for {board}: {done.stderr}"
    return json.loads(done.stdout)["install"]


def _asked_by(item: dict, board: Board) -> list[str]:
    """Return what a package asks for on the board, without the markers."""
    asked = []
    extras = tuple(item.get("requested_extras", ()))
    for text in item["metadata"].get("requires_dist", ()):
        requirement = Requirement(text)
        if board.wants(requirement.marker, extras):
            requirement.marker = None
            asked.append(str(requirement))
    return asked
