"""Folders whose files are all listed, with length and SHA-256, in one JSON file inside: bundles and model directories.

It knows how such a folder is verified, read, and written whole or not at all, replacing an older one and nothing else.
It does not know what the files mean.
"""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.errors import InputError, Place, shown
from edgezsl.files import file_digest, flush_folder, read_regular, sibling, write_durably
from edgezsl.records import parse_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edgezsl.records import Fields

LARGEST_INDEX = 16 << 20  # bytes
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_NAMED = 5  # files that a refusal names
# What else a folder may be, by its index, and what to do with it.
_KINDS = {
    "manifest.json": ("a bundle", "`edgezsl run`, `bench` and `inspect` take it"),
    "model.json": ("a model directory", "`edgezsl export` makes a bundle of it"),
}
_ELSEWHERE = "choose another place with --out"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a sealed folder.

    Attributes:
        sha256: 64 hexadecimal digits.
        bytes: Its length.
    """

    sha256: str
    bytes: int


def file_entries(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """Return the entry of each file, by name."""
    return {name: FileEntry(sha256_hex(data), len(data)) for name, data in sorted(files.items())}


def read_entries(fields: Fields, code: str) -> dict[str, FileEntry]:
    """Read the object `{name: {sha256, bytes}}`.

    Args:
        fields: The object.
        code: The code of an error about a digest.

    Raises:
        InputError: When an entry has another form.
    """
    entries = {}
    for name in fields.names():
        inner = fields.inner(name)
        entries[name] = FileEntry(inner.text("sha256"), inner.count("bytes"))
        inner.done()
        if not _DIGEST.fullmatch(entries[name].sha256):
            message = f"the digest {shown(entries[name].sha256)}"
            raise fields.refuse(name, message, code=code, expected="64 hexadecimal digits")
    return entries


@dataclass(frozen=True, slots=True)
class SealedFormat:
    """One kind of sealed folder.

    Attributes:
        noun: What people call it, such as `bundle`.
        index: The name of the JSON file that lists the others.
        listing: What people call that file, such as `manifest`.
        family: How the `format` of every version of it begins, such as `edgezsl-bundle/`.
        error: The error to raise.
    """

    noun: str
    index: str
    listing: str
    family: str
    error: type[InputError]

    @property
    def not_one(self) -> str:
        """The code of the error for a folder that is not of this kind, such as `not_a_bundle`."""
        return f"not_a_{self.noun.replace(' ', '_')}"

    def read_index(self, folder: Path) -> tuple[Any, bytes]:
        """Return the parsed index of a folder, and its bytes.

        Raises:
            InputError: As `error`, when the folder or its index is absent, or the index is no JSON.
            OSError: When the folder cannot be read.
        """
        if not folder.is_dir():
            raise self.error(
                "there is no such folder" if not folder.exists() else "this is not a folder",
                code=self.not_one,
                where=Place(str(folder)),
                expected=f"the directory of a {self.noun}",
                hint="check the path",
            )
        path = folder / self.index
        if not path.exists():
            what, hint = next((kind for name, kind in _KINDS.items() if (folder / name).is_file()), ("", None))
            message = f"the folder holds no {self.index}" + (f"; it is {what}" if what else "")
            raise self.error(message, code=self.not_one, where=Place(str(folder)), expected=f"a {self.noun}", hint=hint)
        data = read_regular(path, max_bytes=LARGEST_INDEX, error=self.error, follow=False)
        return parse_json(data, file=str(path), error=self.error, max_bytes=LARGEST_INDEX), data

    def verify(self, folder: Path, entries: Mapping[str, FileEntry], unlisted: Iterable[str] = ()) -> None:
        """Compare a folder with its entries.

        Args:
            folder: The folder.
            entries: What its index lists.
            unlisted: More faults, in words.

        Raises:
            InputError: As `error`, naming every difference at once.
            OSError: When the folder cannot be read.
        """
        present = {path.name for path in folder.iterdir()} - {self.index}
        listed = set(entries)
        faults = [f"{name} is missing" for name in sorted(listed - present)]
        faults += [f"{shown(name)} is not listed" for name in sorted(present - listed)]
        faults += unlisted
        for name in sorted(listed & present):
            fault = self._file_fault(folder / name, entries[name])
            if fault:
                faults.append(f"{name} {fault}")
        if faults:
            raise self.error(
                f"the {self.noun} does not match its {self.listing}: {'; '.join(faults)}",
                code="altered",
                where=Place(str(folder)),
                hint=f"copy the {self.noun} again, whole",
            )

    def _file_fault(self, path: Path, entry: FileEntry) -> str | None:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return "is not a regular file"
        if found.st_size != entry.bytes:
            return f"has {found.st_size:,} bytes, the {self.listing} says {entry.bytes:,}"
        try:
            digest = file_digest(path)
        except OSError as cause:
            return f"cannot be read ({cause.strerror})"
        return None if digest == entry.sha256 else f"has another digest than the {self.listing} says"

    def read(self, folder: Path, name: str, entry: FileEntry | None, *, owner: str) -> bytes:
        """Return the bytes of a listed file, verified again: these are the bytes to use.

        Args:
            folder: The folder.
            name: The file.
            entry: Its entry, or None where it has none.
            owner: What the folder's content is called.

        Raises:
            InputError: As `error`, when there is no such file, or it has changed since.
        """
        place = Place(str(folder / name))
        if entry is None:
            raise self.error(f"the {self.noun} {owner!r} has no {name}", code="no_such_file", where=place)
        data = read_regular(folder / name, max_bytes=entry.bytes, error=self.error, follow=False)
        if sha256_hex(data) != entry.sha256:
            raise self.error(f"the file has changed since the {self.noun} was opened", code="altered", where=place)
        return data

    def write(self, folder: Path, index: bytes, files: Mapping[str, bytes], prove: Callable[[Path], object]) -> None:
        """Write a folder: complete or not at all, replacing an older one of its kind and nothing else.

        Args:
            folder: The directory to make, with its parents.
            index: The content of the index.
            files: Every other file, by name.
            prove: Opens the finished folder before it is put into place; raises where it is not right.

        Raises:
            InputError: As `error`, when a file cannot be written, or something stands there that would be lost.
        """
        try:
            self.check_place(folder)
            target = folder.absolute()
            partial = sibling(target, "part")
            partial.mkdir(parents=True)
            try:
                for name, data in files.items():
                    write_durably(partial / name, data)
                write_durably(partial / self.index, index)
                prove(partial)
                _put(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        except OSError as cause:
            message = f"the {self.noun} cannot be written ({cause.strerror})"
            raise self.error(message, code="not_writable", where=Place(str(folder))) from cause

    def check_place(self, folder: Path) -> None:
        """Check that `folder` can be written, and that nothing but an older folder of this kind would be lost.

        Raises:
            InputError: As `error`, naming what would be lost, or why nothing can be written.
            OSError: When the folder cannot be read.
        """
        place = folder.absolute().parent
        standing = next(one for one in (place, *place.parents) if one.exists())
        try:  # to root, and on a file system that is read-only, modes say little
            with tempfile.TemporaryFile(dir=standing):
                pass
        except OSError as cause:
            message = f"nothing can be written here ({cause.strerror})"
            raise self.error(message, code="not_writable", where=Place(str(standing)), hint=_ELSEWHERE) from cause
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise self.error("this is not a folder", code=self.not_one, where=Place(str(folder)), hint=_ELSEWHERE)
        foreign = self._foreign(folder) if folder.exists() else []
        if foreign:
            rest = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
            named = ", ".join(shown(name) for name in foreign[:_MOST_NAMED])
            raise self.error(
                f"the folder holds what is not part of a {self.noun} and would be lost: {named}{rest}",
                code=self.not_one,
                where=Place(str(folder)),
                expected=f"a {self.noun} and nothing else, an empty folder, or none",
                hint=_ELSEWHERE,
            )

    def _foreign(self, folder: Path) -> list[str]:
        """Return the names in a folder that are not files listed there; its files may be missing or altered."""
        ours = self._own_files(folder)
        inside = sorted(folder.iterdir())
        # Such a folder has no folders: whatever its index says of one, it and what lies in it are somebody's.
        return [one.name for one in inside if one.name not in ours or (one.is_dir() and not one.is_symlink())]

    def _own_files(self, folder: Path) -> set[str]:
        """Return the index and the files that it lists, or nothing where it is not an index of this kind."""
        path = folder / self.index
        try:
            data = read_regular(path, max_bytes=LARGEST_INDEX, error=self.error, follow=False)
            value = parse_json(data, file=str(path), error=self.error, max_bytes=LARGEST_INDEX)
        except InputError:
            return set()
        if not isinstance(value, dict) or not isinstance(value.get("files"), dict):
            return set()
        ours = str(value.get("format")).startswith(self.family)
        return {self.index, *value["files"]} if ours else set()


def _put(partial: Path, folder: Path) -> None:
    """Rename a finished folder into place; the older one goes only when the new one stands."""
    older = sibling(folder, "old")
    if folder.exists():
        folder.rename(older)
    try:
        partial.rename(folder)
    except OSError:
        if older.exists():
            older.rename(folder)
        raise
    flush_folder(folder.parent)
    shutil.rmtree(older, ignore_errors=True)
