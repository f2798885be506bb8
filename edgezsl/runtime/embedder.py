"""Class files to class prototypes, with a bundle's own encoders: what makes a device independent of a workstation.

words → tokenizer → text encoder → mean → semantic map → row; attributes → semantic map → row; example pictures →
image encoder → mean → row; a vector is a row. The rules are docs/classes-file.md. Used in a child process by a stream
(`edgezsl.runtime.embed_process`), and directly by `edgezsl embed` and `edgezsl check`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.bundle import SEMANTIC_MAP, TOKEN_TABLE
from edgezsl.classes import SLOT
from edgezsl.errors import ClassFileError, EngineError, Place, SourceError, shown
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import UNIT_TOLERANCE, ClassPrototypes, ClassRow
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.sources import read_image
from edgezsl.runtime.text import TextEncoder
from edgezsl.runtime.token_table import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassEntry, ClassFile
    from edgezsl.runtime.engine import Engine
    from edgezsl.runtime.text import SemanticCache

_SMALLEST_NORM = 1e-12
_LARGEST_NORM = 1e18  # its square is finite in float32
_SAVE_AGAIN = "save it again, as JPEG or PNG of at most 8192 x 8192 pixels"  # what the child decodes


class ClassEmbedder:
    """Embeds class files for one bundle. Encoders are loaded when a class first needs them, and kept.

    Args:
        bundle: The bundle.
        cache: Semantic embeddings of texts that were met before.
        threads: Threads for the encoders.
    """

    def __init__(self, bundle: Bundle, cache: SemanticCache, *, threads: int | None = None) -> None:
        self.bundle = bundle
        self._cache = cache
        self._threads = threads
        self._text: TextEncoder | TokenTable | None = None
        self._map: OnnxGraph | None = None
        self._engine: Engine | None = None

    def embed(self, class_file: ClassFile, folder: Path) -> ClassPrototypes:
        """Return the prototypes of a class file.

        Args:
            class_file: The classes.
            folder: Where the class file lies: example pictures are found below it.

        Raises:
            ClassFileError: When a class asks for what the bundle does not offer, or its row comes out unusable.
            EngineError: When an encoder fails.
            MissingExtraError: When a package that the classes need is not installed.
        """
        self._check_kinds(class_file)
        semantic = [entry for entry in class_file.entries if entry.kind in {"words", "attributes"}]
        rows = dict(zip((entry.name for entry in semantic), self._mapped(class_file, semantic), strict=True))
        for entry in class_file.entries:
            if entry.kind == "examples":
                rows[entry.name] = self._example_row(entry, folder)
            elif entry.kind == "vector":
                rows[entry.name] = ClassRow(entry.name, self._ready_vector(entry))
        manifest = self.bundle.manifest
        seen = frozenset(manifest.seen_classes)
        return ClassPrototypes.from_rows(
            [
                replace(rows[entry.name], threshold=entry.threshold, negative=entry.negative, seen=entry.name in seen)
                for entry in class_file.entries
            ],
            manifest.space,
            reject=class_file.reject,
            seen_penalty=manifest.seen_penalty if class_file.seen_penalty is None else class_file.seen_penalty,
        )

    def semantics(self, class_file: ClassFile) -> NDArray[np.float32]:
        """Return the unit semantic embeddings `(K, A)` of classes given by words: where texts are compared with texts.

        Raises:
            ClassFileError: When a class is given otherwise, or the bundle knows no word of one.
            EngineError: When the text encoder fails.
            MissingExtraError: When a package that the classes need is not installed.
        """
        self._check_kinds(class_file)
        for entry in class_file.entries:
            if entry.kind != "words":
                raise ClassFileError(
                    f"the class {shown(entry.name)} is given by {entry.kind}",
                    code="kind_not_offered",
                    where=entry.place,
                    expected="words: a text is compared with texts",
                    hint="describe the class in words",
                )
        return np.stack(self._semantic_vectors(class_file, list(class_file.entries)))

    def text_encoder(self) -> TextEncoder | TokenTable:
        """Return the bundle's text encoder or token table, loading it the first time.

        Raises:
            BundleError: When the bundle has none.
            EngineError: When it does not load.
            MissingExtraError: When the package tokenizers is not installed.
        """
        if self._text is None:
            table = self.bundle.has(TOKEN_TABLE)
            self._text = TokenTable.open(self.bundle) if table else TextEncoder.open(self.bundle, threads=self._threads)
        return self._text

    def close(self) -> None:
        """Release every encoder."""
        for held in (self._text, self._map, self._engine):
            if held is not None:
                held.close()
        self._text = self._map = self._engine = None

    def _check_kinds(self, class_file: ClassFile) -> None:
        offered = self.bundle.manifest.semantics.kinds
        used: dict[str, ClassEntry] = {}
        for entry in class_file.entries:
            used.setdefault("text" if entry.kind in {"words", "attributes"} else entry.kind, entry)
            if entry.kind not in offered:
                raise ClassFileError(
                    f"the class {shown(entry.name)} is given by {entry.kind}",
                    code="kind_not_offered",
                    where=entry.place,
                    expected=f"{' or '.join(offered)}, which the model {self.bundle.manifest.name!r} offers",
                    hint="give it otherwise, or take another model",
                )
        if {"text", "examples"} <= set(used) and self.bundle.manifest.space.example_shift is None:
            raise ClassFileError(
                f"{shown(used['examples'].name)} is given by pictures and {shown(used['text'].name)} by words",
                code="mixture_not_offered",
                where=used["examples"].place,
                expected="pictures only or words only: this model was exported without the means that make them comparable",
                hint="give every class by pictures or every class by words, or export the model again",
            )

    def _mapped(self, class_file: ClassFile, entries: list[ClassEntry]) -> list[ClassRow]:
        """Return the rows of classes given by words or attributes."""
        if not entries:
            return []
        semantics = self._semantic_vectors(class_file, entries)
        lengths = {len(vector) for vector in semantics}
        if len(lengths) > 1:
            raise self._inconsistent(f"its texts and its attributes have {lengths} values", "one length for both")
        vectors, biases = np.stack(semantics), np.zeros(len(entries), np.float32)
        if self.bundle.has(SEMANTIC_MAP):
            vectors, biases = self._through_map(vectors)
        shape = (len(entries), self.bundle.manifest.space.dim)
        if vectors.shape != shape or biases.shape != shape[:1]:
            message = f"its class side gives vectors {vectors.shape} and biases {biases.shape}"
            raise self._inconsistent(message, f"{shape} and {shape[:1]}")
        return [
            ClassRow(entry.name, self._finished(vector, entry), float(bias))
            for entry, vector, bias in zip(entries, vectors, biases, strict=True)
        ]

    def _through_map(self, semantics: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vectors `(N, D)` and biases `(N,)` of the semantic embeddings `(N, A)`."""
        if self._map is None:
            place = str(self.bundle.folder / SEMANTIC_MAP)
            self._map = OnnxGraph(self.bundle.read(SEMANTIC_MAP), file=place, threads=self._threads)
        answers = dict(zip(self._map.outputs, self._map.run({self._map.inputs[0]: semantics}), strict=True))
        if "vectors" not in answers:
            raise self._inconsistent(f"{SEMANTIC_MAP} gives {', '.join(answers)}", "vectors, and optionally bias")
        bias = answers.get("bias", np.zeros(len(semantics), np.float32))
        return np.asarray(answers["vectors"], np.float32), np.asarray(bias, np.float32)

    def _inconsistent(self, message: str, expected: str) -> EngineError:
        return EngineError(
            f"the model {self.bundle.manifest.name!r} contradicts itself: {message}",
            code="bad_class_side",
            where=Place(str(self.bundle.folder)),
            expected=expected,
            hint="export the model again",
        )

    def _semantic_vectors(self, class_file: ClassFile, entries: list[ClassEntry]) -> list[NDArray[np.float32]]:
        templates = class_file.templates or self.bundle.manifest.semantics.templates
        texts = {entry.name: class_texts(entry, templates) for entry in entries if entry.kind == "words"}
        known = self._cache.lookup(
            (text for of_class in texts.values() for text in of_class), lambda new: self.text_encoder().encode(new)
        )
        return [
            _of_texts([known[text] for text in texts[entry.name]], entry)
            if entry.kind == "words"
            else self._attribute_vector(entry)
            for entry in entries
        ]

    def _attribute_vector(self, entry: ClassEntry) -> NDArray[np.float32]:
        vocabulary = {name: index for index, name in enumerate(self.bundle.manifest.semantics.attributes)}
        vector = np.zeros(len(vocabulary), np.float32)
        for name, value in entry.attributes.items():
            if name not in vocabulary:
                raise ClassFileError(
                    f"the attribute {shown(name)} is unknown",
                    code="unknown_attribute",
                    where=entry.at("attributes", name),
                    expected=f"one of the model's {len(vocabulary)} attributes, such as {', '.join(list(vocabulary)[:5])}",
                    hint="`edgezsl inspect` lists them all",
                )
            vector[vocabulary[name]] = value
        return unit(vector)

    def _example_row(self, entry: ClassEntry, folder: Path) -> ClassRow:
        """Return the mean of the pictures' embeddings, moved to where texts live (docs/classes-file.md)."""
        space = self.bundle.manifest.space
        paths = [(name, _inside(name, folder, entry)) for name in entry.examples]
        engine = self._image_engine()
        preprocess = Preprocessor(self.bundle.manifest.contract)
        # One picture in memory at a time: 64 large ones would not fit.
        embeddings = np.concatenate([engine.run(preprocess([_picture(*path, entry)])) for path in paths])
        mean = embeddings.mean(axis=0)
        if space.similarity == "cosine":
            mean = unit(np.mean([unit(embedding) for embedding in embeddings], axis=0))
        shift = space.example_shift
        vector = self._finished(mean if shift is None else mean + shift, entry)
        semantics = self.bundle.manifest.semantics
        halved = semantics.example_bias == "half_squared_norm" and space.similarity == "dot"
        bias = -0.5 * float(vector @ vector) if halved else 0.0
        return ClassRow(entry.name, vector, bias - semantics.example_penalty)

    def _image_engine(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self.bundle, "onnx", threads=self._threads)
        return self._engine

    def _ready_vector(self, entry: ClassEntry) -> NDArray[np.float32]:
        space = self.bundle.manifest.space
        vector = np.array(entry.vector, np.float32)
        length = _length(vector)
        # Half, so that a pack's own check accepts what is accepted here, however it rounds.
        if len(vector) != space.dim or (space.similarity == "cosine" and abs(length - 1) > UNIT_TOLERANCE / 2):
            wanted = " and length 1" if space.similarity == "cosine" else ""
            raise ClassFileError(
                f"the vector of {shown(entry.name)} has {len(vector)} values and length {length:.4f}",
                code="bad_vector",
                where=entry.at("vector"),
                expected=f"{space.dim} values{wanted}",
                hint="write every value, and divide each by the length" if wanted else "write every value",
            )
        return _checked(vector, entry)

    def _finished(self, vector: NDArray[np.float32], entry: ClassEntry) -> NDArray[np.float32]:
        """Return the row as it is stored."""
        checked = _checked(vector, entry)
        return unit(checked) if self.bundle.manifest.space.similarity == "cosine" else checked


def class_texts(entry: ClassEntry, templates: Iterable[str]) -> list[str]:
    """Return every text of a class given by words: name and synonyms in each template, then the descriptions."""
    named = [template.replace(SLOT, name) for name in (entry.name, *entry.synonyms) for template in templates]
    return [*named, *entry.descriptions]


def _of_texts(embeddings: Sequence[NDArray[np.float32]], entry: ClassEntry) -> NDArray[np.float32]:
    """Return the semantic embedding `(A,)` of a class from those of its texts; one of zeros knew no word of its text."""
    mean = np.mean(embeddings, axis=0)
    if not mean.any():
        raise ClassFileError(
            f"the model knows no word of the class {shown(entry.name)}",
            code="unknown_words",
            where=entry.place,
            expected="words that the model was trained on",
            hint="describe it in other words, in the model's language, or give pictures",
        )
    return unit(mean)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vector (D,)` at length 1; a vector of zeros stays one."""
    scaled: NDArray[np.float32] = (vector / max(_length(vector), _SMALLEST_NORM)).astype(np.float32)
    return scaled


def _length(vector: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))  # the squares of large values do not fit float32


def _checked(vector: NDArray[np.float32], entry: ClassEntry) -> NDArray[np.float32]:
    """Return `vector`, or refuse one that could answer nothing."""
    if not _SMALLEST_NORM <= _length(vector) <= _LARGEST_NORM:
        raise ClassFileError(
            f"the class {shown(entry.name)} comes out as a vector of zeros, or of values too large to count with",
            code="no_direction",
            where=entry.place,
            hint="describe it in other words or values",
        )
    return vector


def _inside(name: str, folder: Path, entry: ClassEntry) -> Path:
    """Return the path of an example picture, which must lie below the class file's folder, links resolved."""
    where = entry.at("examples")
    try:
        root, path = Path(os.path.realpath(folder)), Path(os.path.realpath(folder / name))
        present = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        present = False
    except (OSError, ValueError) as cause:  # a name too long, a loop of links, a NUL
        raise ClassFileError(
            f"the path {shown(name)} of a picture leads nowhere",
            code="bad_path",
            where=where,
            hint="check the name, and the links on the way",
        ) from cause
    if Path(name).is_absolute() or not path.is_relative_to(root):
        raise ClassFileError(
            f"the picture {shown(name)} lies outside the class file's folder",
            code="outside_folder",
            where=where,
            expected="a path relative to the class file, inside its folder",
            hint="copy the picture there",
        )
    if not present:
        raise ClassFileError(
            f"there is no picture {shown(name)}",
            code="not_found",
            where=where,
            expected=f"a file below {shown(str(folder))}",
            hint="check the path",
        )
    return path


def _picture(name: str, path: Path, entry: ClassEntry) -> NDArray[np.uint8]:
    try:
        return read_image(path)
    except SourceError as fault:
        message = f"the picture {shown(name)} cannot be read: {fault.message}"
        hint = _SAVE_AGAIN if fault.code in {"not_an_image", "empty_file"} else fault.hint
        raise ClassFileError(message, code=fault.code, where=entry.at("examples"), hint=hint) from fault
