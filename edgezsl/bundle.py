"""A bundle on disk: a directory of files with digests, verified when it is opened.

The format is docs/bundle-format.md. A bundle holds no code, no archive and no pickle. What is read from it is checked
against the manifest as it is read, so that the bytes which were proved are the bytes which are used.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import BundleError, Place, shown
from edgezsl.files import flush_folder, read_regular, sibling, write_durably
from edgezsl.manifest import BUNDLE_FORMAT, FileEntry, Manifest
from edgezsl.records import canonical_json, parse_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "manifest.json"
GOLDEN = "golden.safetensors"
TEXT_ENCODER = "text_encoder.onnx"
TOKENIZER = "tokenizer.json"
SEMANTIC_MAP = "semantic_map.onnx"
LARGEST_MANIFEST = 16 << 20  # bytes
LEAST_GOLDEN_FRAMES = 32
_BLOCK = 8 << 20  # bytes hashed at once, outside Python's lock: whatever is loaded meanwhile is held up this seldom
_FRAME = "frame."
_ANY_FORMAT = f"{BUNDLE_FORMAT.partition('/')[0]}/"  # how the format of every version begins
_SCORES_AGREE = 1e-3  # of the largest score: far above rounding, far below another class's row
_MOST_NAMED = 5  # files that a refusal names


@dataclass(frozen=True, slots=True, eq=False)
class GoldenSet:
    """Frames with the answers that the export gave, by which every engine is tested before it serves.

    Attributes:
        frames: At least 32 frames `(H, W, 3)` uint8 RGB, not all of the contract's size.
        embeddings: For each precision `(len(frames), D)` float32, as ONNX Runtime's CPU provider gave them.
        prototypes: `(k, D)` float32, a small class matrix.
        scores: `(len(frames), k)` float32: `embeddings · prototypesᵀ` of the first precision.
    """

    frames: tuple[NDArray[np.uint8], ...]
    embeddings: Mapping[str, NDArray[np.float32]]
    prototypes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """Return the content of `golden.safetensors`."""
        from safetensors.numpy import save

        tensors: dict[str, NDArray[np.uint8] | NDArray[np.float32]] = {
            f"{_FRAME}{number:03d}": frame for number, frame in enumerate(self.frames)
        }
        tensors |= {f"embeddings.{precision}": array for precision, array in self.embeddings.items()}
        tensors |= {"prototypes": self.prototypes, "scores": self.scores}
        return save({name: np.ascontiguousarray(array) for name, array in tensors.items()})

    @classmethod
    def from_bytes(cls, data: bytes, manifest: Manifest, *, file: str) -> GoldenSet:
        """Read `golden.safetensors`.

        Raises:
            BundleError: When it is damaged, too small, contradicts itself, or does not fit the manifest.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
        except (SafetensorError, KeyError) as cause:  # KeyError: a dtype that numpy does not have
            raise BundleError(f"the golden set is damaged ({cause})", code="damaged", where=Place(file)) from cause
        frames = tuple(tensors.pop(name) for name in sorted(tensors) if name.startswith(_FRAME))
        wanted = {"prototypes", "scores", *(f"embeddings.{precision}" for precision in manifest.image_encoders)}
        if set(tensors) != wanted:
            odd = shown(sorted(set(tensors) ^ wanted))
            raise _bad_golden(file, f"the golden set's tensors differ by {odd}", "those of the manifest's encoders")
        if len(frames) < LEAST_GOLDEN_FRAMES:
            raise _bad_golden(file, f"the golden set has {len(frames)} frames", f"at least {LEAST_GOLDEN_FRAMES}")
        embeddings = {precision: tensors[f"embeddings.{precision}"] for precision in manifest.image_encoders}
        golden = cls(frames, embeddings, tensors["prototypes"], tensors["scores"])
        golden._check(manifest, file)
        return golden

    def _check(self, manifest: Manifest, file: str) -> None:
        self._check_arrays(manifest.space.dim, file)
        self._check_scores(file)
        for number, frame in enumerate(self.frames):
            if frame.dtype != np.uint8 or frame.shape[2:] != (CHANNELS,) or not frame.size:
                raise _bad_golden(file, f"frame {number} is {frame.dtype} {frame.shape}", "uint8 (H, W, 3)")
        size = manifest.contract.size
        if all(frame.shape[:2] == size for frame in self.frames):  # then no engine's resizing is tested
            expected = "at least one frame of another size than the contract's"
            raise _bad_golden(file, f"every frame is {size[0]} x {size[1]} pixels", expected)

    def _check_arrays(self, dim: int, file: str) -> None:
        count, rows = len(self.frames), self.prototypes.shape[0] if self.prototypes.ndim else 0
        wanted = {f"embeddings.{precision}": (array, (count, dim)) for precision, array in self.embeddings.items()}
        wanted |= {"prototypes": (self.prototypes, (rows, dim)), "scores": (self.scores, (count, rows))}
        for name, (array, shape) in wanted.items():
            if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
                raise _bad_golden(file, f"{name} is {array.dtype} {array.shape}", f"finite float32 {shape}")
        for precision, array in self.embeddings.items():
            if not array.any(axis=1).all():
                raise _bad_golden(file, f"embeddings.{precision} holds a zero row", "a direction for every frame")

    def _check_scores(self, file: str) -> None:
        precision, embeddings = next(iter(self.embeddings.items()))
        product = embeddings.astype(np.float64) @ self.prototypes.T.astype(np.float64)
        bound = _SCORES_AGREE * float(np.abs(self.scores).max(initial=0))
        if not np.allclose(self.scores, product, rtol=0, atol=bound):
            off = float(np.abs(self.scores - product).max())
            message = f"scores and embeddings.{precision} · prototypesᵀ differ by {off:.3g}"
            raise _bad_golden(file, message, f"at most {bound:.3g}")


def _bad_golden(file: str, message: str, expected: str) -> BundleError:
    return BundleError(message, code="bad_golden", where=Place(file), expected=expected)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened, verified bundle.

    Attributes:
        folder: The directory.
        manifest: What its manifest says.
        digest: SHA-256 of `manifest.json`, 64 hexadecimal digits: the bundle's identity.
    """

    folder: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Open a bundle, verifying the length and digest of every file.

        Raises:
            BundleError: When the folder is not a bundle, or files are missing, altered or not listed.
            ContractError: When the manifest's contract or space is out of range.
        """
        try:
            return cls._open(folder)
        except OSError as cause:
            message = f"the bundle cannot be read ({cause.strerror})"
            raise BundleError(message, code="not_readable", where=Place(str(folder))) from cause

    @classmethod
    def _open(cls, folder: Path) -> Bundle:
        if not folder.is_dir():
            raise BundleError(
                "there is no such folder" if not folder.exists() else "this is not a folder",
                code="not_a_bundle",
                where=Place(str(folder)),
                expected="the directory of a bundle",
            )
        path = folder / MANIFEST
        if not path.exists():
            raise BundleError("the folder holds no manifest.json", code="not_a_bundle", where=Place(str(folder)))
        data = read_regular(path, max_bytes=LARGEST_MANIFEST, error=BundleError, follow=False)
        value = parse_json(data, file=str(path), error=BundleError, max_bytes=LARGEST_MANIFEST)
        try:
            manifest = Manifest.from_json(value, file=str(path))
        except BundleError as fault:
            fault.where = Place(str(path), field=fault.where.field)
            raise
        _verify(folder, manifest)
        return cls(folder, manifest, sha256_hex(data))

    @classmethod
    def write(cls, folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Write a bundle: complete or not at all, replacing a bundle that stood there and nothing else.

        Args:
            folder: The directory to make, with its parents.
            manifest: The manifest; its `files` are computed here.
            files: Every other file, by name.

        Raises:
            BundleError: When a file cannot be written, manifest and files contradict each other, or something stands
                there that is not a bundle, or a bundle with files that are not its own.
        """
        entries = {name: FileEntry(sha256_hex(data), len(data)) for name, data in sorted(files.items())}
        complete = replace(manifest, files=entries)
        try:
            _check_replaceable(folder)
            target = folder.absolute()
            partial = sibling(target, "part")
            partial.mkdir(parents=True)
            try:
                for name, data in files.items():
                    write_durably(partial / name, data)
                write_durably(partial / MANIFEST, canonical_json(complete.to_json()))
                cls.open(partial)
                _put(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        except OSError as cause:
            message = f"the bundle cannot be written ({cause.strerror})"
            raise BundleError(message, code="not_writable", where=Place(str(folder))) from cause
        return cls.open(folder)

    def has(self, name: str) -> bool:
        """Return whether the bundle has the file `name`."""
        return name in self.manifest.files

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, verified again: these are the bytes to use.

        Raises:
            BundleError: When the bundle has no such file, or it has changed since.
        """
        place = Place(str(self.folder / name))
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"the bundle {self.manifest.name!r} has no {name}", code="no_such_file", where=place)
        data = read_regular(self.folder / name, max_bytes=entry.bytes, error=BundleError, follow=False)
        if sha256_hex(data) != entry.sha256:
            raise BundleError("the file has changed since the bundle was opened", code="altered", where=place)
        return data

    def golden(self) -> GoldenSet:
        """Return the golden set.

        Raises:
            BundleError: When the bundle has none, or it is damaged.
        """
        return GoldenSet.from_bytes(self.read(GOLDEN), self.manifest, file=str(self.folder / GOLDEN))


def _check_replaceable(folder: Path) -> None:
    """Check that nothing but an older bundle would be lost."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BundleError("this is not a folder", code="not_a_bundle", where=Place(str(folder)), hint="choose another")
    foreign = _foreign(folder) if folder.exists() else []
    if foreign:
        rest = f" and {len(foreign) - _MOST_NAMED} more" if len(foreign) > _MOST_NAMED else ""
        named = ", ".join(shown(name) for name in foreign[:_MOST_NAMED])
        raise BundleError(
            f"the folder holds what is not part of a bundle and would be lost: {named}{rest}",
            code="not_a_bundle",
            where=Place(str(folder)),
            expected="a bundle and nothing else, an empty folder, or none",
            hint="choose another folder",
        )


def _foreign(folder: Path) -> list[str]:
    """Return the names in a folder that are not files of a bundle there; its files may be missing or altered."""
    ours = _own_files(folder)
    inside = sorted(folder.iterdir())
    # A bundle has no folders: whatever the manifest says of one, it and what lies in it are somebody's.
    return [one.name for one in inside if one.name not in ours or (one.is_dir() and not one.is_symlink())]


def _own_files(folder: Path) -> set[str]:
    """Return the manifest and the files that it lists, or nothing where it is not a manifest of ours."""
    path = folder / MANIFEST
    try:
        data = read_regular(path, max_bytes=LARGEST_MANIFEST, error=BundleError, follow=False)
        value = parse_json(data, file=str(path), error=BundleError, max_bytes=LARGEST_MANIFEST)
    except BundleError:
        return set()
    if not isinstance(value, dict) or not isinstance(value.get("files"), dict):
        return set()
    ours = str(value.get("format")).startswith(_ANY_FORMAT)
    return {MANIFEST, *value["files"]} if ours else set()


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


def _verify(folder: Path, manifest: Manifest) -> None:
    """Compare the folder with the manifest, and report every difference at once."""
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    listed, encoders = set(manifest.files), set(manifest.image_encoders.values())
    faults = [f"{name} is missing" for name in sorted(listed - present)]
    faults += [f"{shown(name)} is not listed" for name in sorted(present - listed)]
    faults += [f"the image encoder {name} is not listed" for name in sorted(encoders - listed - present)]
    for name in sorted(listed & present):
        fault = _file_fault(folder / name, manifest.files[name])
        if fault:
            faults.append(f"{name} {fault}")
    if faults:
        raise BundleError(
            f"the bundle does not match its manifest: {'; '.join(faults)}",
            code="altered",
            where=Place(str(folder)),
            hint="copy the bundle again, whole",
        )


def _file_fault(path: Path, entry: FileEntry) -> str | None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_size != entry.bytes:
        return f"has {found.st_size:,} bytes, the manifest says {entry.bytes:,}"
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as cause:
        return f"cannot be read ({cause.strerror})"
    return None if digest.hexdigest() == entry.sha256 else "has another digest than the manifest says"
