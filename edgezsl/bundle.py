"""A bundle on disk: a directory of files with digests, verified when it is opened.

The format is docs/bundle-format.md. A bundle holds no code, no archive and no pickle. What is read from it is checked
against the manifest as it is read, so that the bytes which were proved are the bytes which are used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.contract import CHANNELS
from edgezsl.errors import BundleError, Place, shown
from edgezsl.manifest import BUNDLE_FORMAT, Manifest
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.sealed import SealedFormat, file_entries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MANIFEST = "manifest.json"
GOLDEN = "golden.safetensors"
TEXT_ENCODER = "text_encoder.onnx"
TOKEN_TABLE = "token_table.safetensors"  # noqa: S105  # a table of tokens, and no secret
TOKENIZER = "tokenizer.json"
SEMANTIC_MAP = "semantic_map.onnx"
LEAST_GOLDEN_FRAMES = 32
_FRAME = "frame."
_SEALED = SealedFormat("bundle", MANIFEST, "manifest", f"{BUNDLE_FORMAT.partition('/')[0]}/", BundleError)
_SCORES_AGREE = 1e-3  # of the largest score: far above rounding, far below another class's row


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

    def of(self, precisions: Sequence[str]) -> GoldenSet:
        """Return the golden set of some of its precisions; the scores are those of the first."""
        embeddings = {precision: self.embeddings[precision] for precision in precisions}
        scores = np.asarray(embeddings[precisions[0]] @ self.prototypes.T, np.float32)
        return GoldenSet(self.frames, embeddings, self.prototypes, scores)

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
    def open(cls, folder: Path | None = None) -> Bundle:
        """Open a bundle, verifying the length and digest of every file.

        Args:
            folder: The bundle's folder, or None for the model that comes with edgezsl.

        Raises:
            InputError: When none was given and this installation carries none.
            BundleError: When the folder is not a bundle, or files are missing, altered or not listed.
            ContractError: When the manifest's contract or space is out of range.
        """
        from edgezsl.catalogue import builtin_folder  # with the reader of YAML, which a bundle does not need

        folder = folder or builtin_folder("bundle")
        try:
            return cls._open(folder)
        except OSError as cause:
            message = f"the bundle cannot be read ({cause.strerror})"
            raise BundleError(message, code="not_readable", where=Place(str(folder))) from cause

    @classmethod
    def _open(cls, folder: Path) -> Bundle:
        value, data = _SEALED.read_index(folder)
        path = str(folder / MANIFEST)
        try:
            manifest = Manifest.from_json(value, file=path)
        except BundleError as fault:
            fault.where = Place(path, field=fault.where.field)
            raise
        present = {path.name for path in folder.iterdir()}
        absent = sorted(set(manifest.image_encoders.values()) - set(manifest.files) - present)
        _SEALED.verify(folder, manifest.files, [f"the image encoder {name} is not listed" for name in absent])
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
        complete = replace(manifest, files=file_entries(files))
        _SEALED.write(folder, canonical_json(complete.to_json()), files, cls.open)
        return cls.open(folder)

    @staticmethod
    def check_place(folder: Path) -> None:
        """Check that a bundle may be written to `folder`: for work that takes long before it writes one.

        Raises:
            BundleError: When something stands there that would be lost.
        """
        _SEALED.check_place(folder)

    def has(self, name: str) -> bool:
        """Return whether the bundle has the file `name`."""
        return name in self.manifest.files

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, verified again: these are the bytes to use.

        Raises:
            BundleError: When the bundle has no such file, or it has changed since.
        """
        return _SEALED.read(self.folder, name, self.manifest.files.get(name), owner=self.manifest.name)

    def golden(self) -> GoldenSet:
        """Return the golden set.

        Raises:
            BundleError: When the bundle has none, or it is damaged.
        """
        return GoldenSet.from_bytes(self.read(GOLDEN), self.manifest, file=str(self.folder / GOLDEN))
