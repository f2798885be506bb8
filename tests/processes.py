"""What Linux says of processes."""

from __future__ import annotations

import contextlib
from pathlib import Path


def child_pids(process: int | str = "self") -> list[int]:
    """Return the children of a process, which lie with the thread that started each."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended since it was listed
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found
