"""A class file or class pack on disk, watched: every change becomes a class set, or a refusal, and never a gap.

The parent folder is watched, because a watched file misses atomic replaces, and polled besides. A change is read when
two readings agree: 200 ms apart where another file was put in its place, 600 ms where the file itself was written to,
so that one which its writer leaves half for up to half a second is not taken. Each content is judged once.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.classes import LARGEST_FILE
from edgezsl.errors import ClassFileError, EdgezslError, PackError, TransientError
from edgezsl.files import read_regular
from edgezsl.pack import LARGEST_PACK, PACK_SUFFIX
from edgezsl.prototypes import ClassPrototypes
from edgezsl.records import sha256_hex
from edgezsl.runtime.embed_process import KILLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgezsl.contract import EmbeddingSpace
    from edgezsl.runtime.embed_process import EmbedProcess

SETTLE_S = 0.2
IN_PLACE = 3.0  # times as long for a file that is written to where it lies
MOST_TRIES = 3  # of a content whose child process the system killed for memory
POLL_S = 1.0  # beside the operating system's notices, and instead of them where there are none
_DEBOUNCE_MS = 40
_STEP_MS = 10


class ClassSource:
    """A class file (`.yaml`) or class pack (`.safetensors`) on disk, and how to turn it into prototypes.

    Args:
        path: The file.
        space: The space of the model that will use it.
        embedder: Embeds class files; a pack needs none.
    """

    def __init__(self, path: Path, space: EmbeddingSpace, embedder: EmbedProcess) -> None:
        self.path = path
        self._space = space
        self._embedder = embedder

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            InputError: When the file is absent, unreadable, not a regular file, or too large.
        """
        packed = self.path.suffix == PACK_SUFFIX
        most, error = (LARGEST_PACK, PackError) if packed else (LARGEST_FILE, ClassFileError)
        return read_regular(self.path, max_bytes=most, error=error)

    def prototypes(self, data: bytes) -> ClassPrototypes:
        """Return the class set in `data`, the file's bytes.

        Raises:
            InputError: When the file breaks a rule.
            EmbedderError: When the child process that embeds it died or took too long.
        """
        if self.path.suffix == PACK_SUFFIX:
            return ClassPrototypes.from_bytes(data, self._space, file=str(self.path))
        return self._embedder.embed(data, file=str(self.path), folder=self.path.parent)

    def close(self) -> None:
        """End the child process, also in the middle of a file."""
        self._embedder.close()


class ClassWatcher:
    """Watches a class source in a thread of its own.

    Args:
        source: The file.
        deliver: Called in that thread with each new class set, or with the error that refused it.
        settle_s: How long two readings must agree where the file was replaced.
    """

    def __init__(
        self,
        source: ClassSource,
        deliver: Callable[[ClassPrototypes | EdgezslError], None],
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._source = source
        self._deliver = deliver
        self._settle_s = settle_s
        self._judged = ""  # digest of the last content, or code of the last failure to read it
        self._inode: int | None = None  # of the file that was judged last
        self._tries = 0  # left, of a content whose child was killed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"edgezsl[{source.path.name}].watch", daemon=True)

    def start(self, known: bytes) -> None:
        """Start watching; `known` is the content that is already served."""
        self._judged = sha256_hex(known)
        self._inode = _inode(self._source.path)
        self._thread.start()

    def close(self) -> None:
        """Stop watching. A file that is being embedded is waited for, unless its source has been closed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        seen: tuple[int, ...] | None = ()  # not None: that is an absent file
        for _ in self._ticks():
            stamp = _stamp(self._source.path)
            if stamp != seen or self._tries:
                seen = stamp
                self._judge()

    def _ticks(self) -> Iterator[None]:
        """Yield once at the start, at every change in the folders, and at every poll."""
        yield
        from watchfiles import watch

        path = self._source.path
        folders = {path.absolute().parent, Path(os.path.realpath(path)).parent}
        changes = watch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self._stopping,
            rust_timeout=int(POLL_S * 1000),
            yield_on_timeout=True,
            recursive=False,
            raise_interrupt=False,
        )
        try:
            for _ in changes:
                yield
        except (OSError, RuntimeError):  # no more watches to be had, or the folder went away: the poll goes on
            while not self._stopping.wait(POLL_S):
                yield

    def _judge(self) -> None:
        try:
            data = self._settled()
        except EdgezslError as fault:  # what cannot be read has no content to be judged by: its code stands for it
            if self._judged != fault.code:
                self._judged, self._tries = fault.code, 0
                self._deliver(fault)
            return
        digest = sha256_hex(data)
        again = digest == self._judged
        if self._stopping.is_set() or (again and not self._tries):
            return
        self._judged = digest
        self._tries = self._tries - 1 if again else MOST_TRIES - 1
        self._embed(data, told=again)

    def _embed(self, data: bytes, *, told: bool) -> None:
        """Deliver what becomes of a content; `told`: it has been refused once, for want of memory."""
        try:
            classes = self._source.prototypes(data)
        except EdgezslError as fault:
            killed = fault.code == KILLED
            self._tries = self._tries if killed else 0
            if not (told and killed):
                self._deliver(fault)
        except Exception as defect:  # noqa: BLE001  # the seam of this thread: dead, it would freeze the classes unseen
            self._tries = 0
            self._deliver(TransientError(f"a defect of edgezsl: {defect!r}", code="internal", hint="please report it"))
        else:
            self._tries = 0
            self._deliver(classes)

    def _settled(self) -> bytes:
        """Return the file's content once two readings agree."""
        path = self._source.path
        data, inode = self._source.read(), _inode(path)
        settle_s = self._settle_s * (IN_PLACE if inode == self._inode else 1)
        while not self._stopping.wait(settle_s):
            again = self._source.read()
            if again == data:
                break
            data, settle_s = again, self._settle_s * (IN_PLACE if _inode(path) == inode else 1)
        self._inode = _inode(path)
        return data


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except (OSError, ValueError):
        return None


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes whenever the file does, or None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
