"""The parent's end of the embedding child: class files in, class prototypes out, whatever happens to the child.

The process of a stream never parses a class file and never loads a text encoder. The child is started when it is
first needed, again after it has died, and ends by itself when nothing comes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgezsl.errors import EdgezslError, EmbedderError, Place
from edgezsl.pack import LARGEST_PACK
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.embed_child import ChildLimits

if TYPE_CHECKING:
    from edgezsl.bundle import Bundle

KILLED = "embedder_killed"  # code of the error for a child that the system ended: for want of memory, most likely
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 16  # bytes of an answer's first line
_MOST_STDERR = 4_000  # bytes of a dead child's last words
_LARGEST_PICTURE = 1 << 26  # pixels that the child decodes of an example


class _ChildGoneError(Exception):
    """The child closed its end before it answered."""


class EmbedProcess:
    """Embeds class files for one bundle in a child process. May be used from several threads.

    Args:
        bundle: The bundle.
        limits: What the child may use.
    """

    def __init__(self, bundle: Bundle, *, limits: ChildLimits | None = None) -> None:
        self._bundle = bundle
        self._limits = limits or ChildLimits()
        self._folder = tempfile.TemporaryDirectory(prefix="edgezsl-")
        self._cache = Path(self._folder.name) / "semantics.safetensors"
        self._errors = Path(self._folder.name) / "stderr"
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._status = 0  # of the last child that ended
        self._closed = threading.Event()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while there is no child."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def embed(self, data: bytes, *, file: str, folder: Path) -> ClassPrototypes:
        """Return the prototypes of a class file.

        Args:
            data: The file's bytes.
            file: Its name, for errors.
            folder: Where it lies: example pictures are found below it.

        Raises:
            InputError: When the class file is refused; the child's own error, from there.
            EmbedderError: When the child died of the file or took too long, or `close` has been called.
        """
        with self._lock:
            try:
                pack = self._answer(data, file, folder)
            except _ChildGoneError:
                if self._reap() != 0:
                    raise self._died(file) from None
                try:
                    pack = self._answer(data, file, folder)  # it had just ended by itself, idle
                except _ChildGoneError:
                    self._reap()
                    raise self._died(file) from None
        return ClassPrototypes.from_bytes(pack, self._bundle.manifest.space, file=file)

    def close(self) -> None:
        """End the child, also in the middle of a file, and remove what it kept. Closing twice is allowed."""
        self._closed.set()
        child = self._child
        if child is not None:
            child.kill()  # before the lock: whoever waits for an answer holds it
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._reap()
        self._folder.cleanup()

    def _answer(self, data: bytes, file: str, folder: Path) -> bytes:
        """Return the pack of a class file. A child that is left in the middle of an answer is ended: the next would be another's."""
        child, whole = self._running(), False
        try:
            deadline = time.monotonic() + self._limits.timeout_s
            request = {"bytes": len(data), "file": file, "folder": str(folder.resolve())}
            self._send(child, json.dumps(request).encode() + b"\n" + data, deadline, file)
            fault, pack = self._received(child, deadline, file)
            whole = True
        except BrokenPipeError as cause:
            whole = True  # it is gone already
            raise _ChildGoneError from cause
        except _ChildGoneError:
            whole = True
            raise
        finally:
            if not whole and self._child is not None:
                child.kill()
                self._reap()
        if fault is not None:
            raise fault
        return pack

    def _send(self, child: subprocess.Popen[bytes], request: bytes, deadline: float, file: str) -> None:
        left, pipe = memoryview(request), _pipe(child.stdin)
        while left:
            if not select.select([], [pipe], [], max(0.0, deadline - time.monotonic()))[1]:
                raise self._late(file)
            left = left[os.write(pipe, left[: select.PIPE_BUF]) :]

    def _received(
        self, child: subprocess.Popen[bytes], deadline: float, file: str
    ) -> tuple[EdgezslError | None, bytes]:
        """Return the error that the child refuses the file with, or none, and the pack."""
        buffer = bytearray()
        while b"\n" not in buffer:
            if len(buffer) > _LONGEST_LINE:
                raise self._garbled(file)
            self._receive(child, buffer, deadline, file)
        line, _, rest = bytes(buffer).partition(b"\n")
        try:
            answer: dict[str, Any] = json.loads(line)
            count, error = min(int(answer["bytes"]), LARGEST_PACK), answer["error"]
            fault = None if error is None else EdgezslError.from_json(error)
        except (ValueError, KeyError, TypeError) as cause:
            raise self._garbled(file) from cause
        pack = bytearray(rest)
        while len(pack) < count:
            self._receive(child, pack, deadline, file)
        return fault, bytes(pack)

    def _receive(self, child: subprocess.Popen[bytes], buffer: bytearray, deadline: float, file: str) -> None:
        pipe = _pipe(child.stdout)
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise self._late(file)
        block = os.read(pipe, _BLOCK)
        if not block:
            raise _ChildGoneError
        buffer += block

    def _late(self, file: str) -> EmbedderError:
        return EmbedderError(
            f"the class file was not embedded within {self._limits.timeout_s:g} s",
            code="embedder_timeout",
            where=Place(file),
            hint="give fewer classes at once, or embed them on a workstation: edgezsl embed",
        )

    def _garbled(self, file: str) -> EmbedderError:
        return EmbedderError(
            "the child process that embeds class files answered something that is no answer",
            code="embedder_died",
            where=Place(file),
            hint="the classes before go on answering; change the file, or embed it on a workstation: edgezsl embed",
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed.is_set():
            raise _closed(Place())
        if self._child is not None and self._child.poll() is None:
            return self._child
        if self._child is not None:
            self._reap()
        command = [sys.executable, "-m", "edgezsl.runtime.embed_child"]
        bundle = self._bundle
        arguments = [str(bundle.folder.resolve()), bundle.digest, str(self._cache), self._limits.to_json()]
        with self._errors.open("wb") as errors:
            self._child = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._folder.name,  # empty and ours: `python -m` puts the working folder on the import path
                env={**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": str(_LARGEST_PICTURE)},
                bufsize=0,
            )
        if self._closed.is_set():  # in the meantime: `close` has seen no child to kill
            self._child.kill()
        return self._child

    def _reap(self) -> int:
        """Wait for the child's end, close its pipes, and return its exit status: negative for a signal."""
        assert self._child is not None  # noqa: S101  # only called while there is a child
        child, self._child = self._child, None
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # what was not yet written is lost with the child
        self._status = child.wait()
        return self._status

    def _died(self, file: str) -> EmbedderError:
        if self._closed.is_set():
            return _closed(Place(file))
        status = self._status
        how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        words = self._errors.read_bytes()[-_MOST_STDERR:].decode(errors="replace").strip().splitlines()
        return EmbedderError(
            f"the child process that embeds class files ended {how}",
            code="embedder_killed" if status == -signal.SIGKILL else "embedder_died",
            where=Place(file),
            got=words[-1] if words else None,
            hint="the classes before go on answering; change the file, or embed it on a workstation: edgezsl embed",
        )


def _closed(where: Place) -> EmbedderError:
    return EmbedderError("the embedder is closed", code="closed", where=where, hint="open another one")


def _pipe(end: IO[bytes] | None) -> int:
    assert end is not None  # noqa: S101  # Popen was given pipes
    return end.fileno()
