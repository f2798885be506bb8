"""The child process that reads and embeds class files: `python -m edgezsl.runtime.embed_child`.

It may die of what it reads: nothing else dies with it. A request is one line of JSON and the bytes of a class file, an
answer one line of JSON and the bytes of a class pack (`edgezsl.runtime.embed_process` is the other end). Neither
numpy nor an engine is imported before a first file has parsed.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.classes import ClassFile
from edgezsl.errors import BundleError, EdgezslError, Place
from edgezsl.strict_yaml import YamlLimits

if TYPE_CHECKING:
    from typing import BinaryIO

    from edgezsl.runtime.embedder import ClassEmbedder


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What the child may use.

    Attributes:
        address_space: Bytes of virtual memory.
        cpu_s: Seconds of processor time for one class file; the kernel ends the child beyond it.
        timeout_s: Seconds that the parent waits for one answer.
        idle_s: Seconds without a request after which the child ends and gives its memory back.
        threads: Threads of its encoders: the other cores are the camera's.
        yaml: Caps on a class file.
    """

    address_space: int = 6 << 30
    cpu_s: int = 600
    timeout_s: float = 900.0
    idle_s: float = 60.0
    threads: int = 1
    yaml: YamlLimits = field(default_factory=YamlLimits)

    def to_json(self) -> str:
        """Return the limits as the child's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ChildLimits:
        """Return the limits that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "yaml": YamlLimits(**values["yaml"])})


class _Worker:
    def __init__(self, bundle: Path, digest: str, cache: Path, limits: ChildLimits) -> None:
        self._bundle = bundle
        self._digest = digest
        self._cache = cache
        self._limits = limits
        self._embedder: ClassEmbedder | None = None

    def answer(self, data: bytes, file: str, folder: Path) -> bytes:
        """Return the class pack of the class file `data`."""
        class_file = ClassFile.parse(data, file=file, limits=self._limits.yaml)
        if self._embedder is None:
            self._embedder = self._opened()
        return self._embedder.embed(class_file, folder).to_bytes()

    def _opened(self) -> ClassEmbedder:
        from edgezsl.bundle import Bundle
        from edgezsl.runtime.embedder import ClassEmbedder
        from edgezsl.runtime.text import SemanticCache

        bundle = Bundle.open(self._bundle)
        if bundle.digest != self._digest:
            raise BundleError(
                f"the bundle has been replaced since it was opened: {bundle.digest[:12]} is not {self._digest[:12]}",
                code="altered",
                where=Place(str(self._bundle)),
                hint="start again, so that engine and classes come from one bundle",
            )
        return ClassEmbedder(bundle, SemanticCache(self._cache), threads=self._limits.threads)


def main(arguments: list[str]) -> int:
    """Serve requests from standard input until it closes or nothing comes for `idle_s`.

    Args:
        arguments: The bundle's folder and digest, the cache file, the limits as JSON.
    """
    limits = ChildLimits.from_json(arguments[3])
    _confine(limits)
    threading.Thread(target=_die_with_parent, name="edgezsl.parent", daemon=True).start()
    # What a library prints must not stand between our lines.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    worker = _Worker(Path(arguments[0]), arguments[1], Path(arguments[2]), limits)
    while select.select([requests], [], [], limits.idle_s)[0]:
        line = requests.readline()
        if not line:
            break
        _serve(worker, json.loads(line), requests, answers)
    return 0


def _die_with_parent() -> None:
    """End this process, also in the middle of a file, when the other end of the pipe is gone."""
    waiting = select.poll()
    waiting.register(0, 0)  # nothing but the end
    waiting.poll()
    os._exit(0)


def _serve(worker: _Worker, request: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    data = requests.read(request["bytes"])
    _allow_cpu(worker._limits.cpu_s)  # noqa: SLF001  # the worker of this module
    try:
        pack, error = worker.answer(data, request["file"], Path(request["folder"])), None
    except EdgezslError as fault:
        pack, error = b"", fault.to_json()
    answers.write(json.dumps({"bytes": len(pack), "error": error}).encode() + b"\n")
    answers.write(pack)
    answers.flush()


def _confine(limits: ChildLimits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.address_space, limits.address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The stream comes first. Not in a session of its own: Linux would weigh the two sessions alike, whatever their nice.
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal, and is the parent's to handle
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _allow_cpu(seconds: int) -> None:
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + 1 + seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
