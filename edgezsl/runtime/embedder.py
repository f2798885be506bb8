"""Class files to class prototypes, with a bundle's own encoders: what makes a device independent of a workstation.

words → tokenizer → text encoder → mean → semantic map → row; attributes → semantic map → row; example pictures →
image encoder → mean → row; both → their weighted mean; a vector is a row. The rules are docs/classes-file.md. Used in a child process by a stream
(`edgezsl.runtime.embed_process`), and directly by `edgezsl embed` and `edgezsl check`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.bundle import SEMANTIC_MAP, TOKEN_TABLE
from edgezsl.classes import SLOT
from edgezsl.errors import ClassFileError, EngineError, Place, shown
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import UNIT_TOLERANCE, ClassPrototypes, ClassRow
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.example_pictures import example_pictures
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text import TextEncoder
from edgezsl.runtime.token_table import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassEntry, ClassFile
    from edgezsl.runtime.engine import Engine
    from edgezsl.runtime.text import SemanticCache

_SMALLEST_NORM, _LARGEST_NORM = 1e-12, 1e18  # the square of the largest is finite in float32
_BY_GRAPH = "make a class pack on a workstation, by a model with a graph: edgezsl embed --model MODEL classes.yaml"
_ONE_OF_THEM = "keep one of them, or take a model that a method trained on features"
_NO_PICTURES = "leave its pictures out: this model takes none"
_OTHERWISE = "give it otherwise, or take another model"


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
            elif entry.examples:
                rows[entry.name] = self._joint_row(rows[entry.name], entry, folder)
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
        semantics, space = self.bundle.manifest.semantics, self.bundle.manifest.space
        joint_offered = semantics.description_weight > 0 and space.similarity == "cosine"
        used: dict[str, ClassEntry] = {}
        for entry in class_file.entries:
            side = "words" if entry.kind in {"words", "attributes"} else entry.kind
            is_joint = side == "words" and bool(entry.examples)
            used.setdefault("words and pictures" if is_joint else side, entry)
            if entry.parents or entry.kind not in semantics.kinds or (is_joint and not joint_offered):
                given = "parents" if entry.parents else f"{entry.kind} and examples" if is_joint else entry.kind
                by_graph = entry.parents or semantics.kinds == ("vector",)
                joint_hint = _ONE_OF_THEM if "examples" in semantics.kinds else _NO_PICTURES
                raise ClassFileError(
                    f"the class {shown(entry.name)} is given by {given}",
                    code="kind_not_offered",
                    where=entry.at("examples") if is_joint else entry.place,
                    expected=f"{' or '.join(semantics.kinds)}, which the model {self.bundle.manifest.name!r} offers",
                    hint=_BY_GRAPH if by_graph else joint_hint if is_joint else _OTHERWISE,
                )
        if space.example_shift is None:
            self._check_alike({"pictures" if side == "examples" else side: one for side, one in used.items()})

    def _check_alike(self, used: dict[str, ClassEntry]) -> None:
        """Refuse classes that would win or lose for what they are given by."""
        sides = [side for side in ("pictures", "words and pictures", "words") if side in used]
        if len(sides) > 1:
            one, other = used[sides[0]], used[sides[-1]]
            raise ClassFileError(
                f"{shown(one.name)} is given by {sides[0]} and {shown(other.name)} by {sides[-1]}",
                code="mixture_not_offered",
                where=one.place,
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
        space, semantics = self.bundle.manifest.space, self.bundle.manifest.semantics
        mean = self._example_mean(entry, folder)
        if space.similarity == "cosine":
            mean = unit(mean)
        vector = self._finished(mean if space.example_shift is None else mean + space.example_shift, entry)
        halved = semantics.example_bias == "half_squared_norm" and space.similarity == "dot"
        bias = -0.5 * float(vector @ vector) if halved else 0.0
        return ClassRow(entry.name, vector, bias - semantics.example_penalty)

    def _joint_row(self, described: ClassRow, entry: ClassEntry, folder: Path) -> ClassRow:
        """Return the row of a class with a description and n pictures, `(κ described + n mean) / (κ + n)`, at length 1.

        Args:
            described: Its row by the description alone, of length 1: both are offered in a cosine space only.
            entry: The class.
            folder: Where the class file lies.
        """
        weight, shift = self.bundle.manifest.semantics.description_weight, self.bundle.manifest.space.example_shift
        mean = self._example_mean(entry, folder) if shift is None else self._example_mean(entry, folder) + shift
        vector = np.float32(weight) * described.vector + len(entry.examples) * mean
        return replace(described, vector=self._finished(vector, entry))

    def _example_mean(self, entry: ClassEntry, folder: Path) -> NDArray[np.float32]:
        """Return the mean `(D,)` of the pictures' embeddings, each at length 1 where the space is cosine."""
        engine, preprocess = self._image_engine(), Preprocessor(self.bundle.manifest.contract)
        embeddings = np.concatenate([engine.run(preprocess([one])) for one in example_pictures(entry, folder)])
        if self.bundle.manifest.space.similarity == "cosine":
            embeddings = np.stack([unit(embedding) for embedding in embeddings])
        mean: NDArray[np.float32] = embeddings.mean(axis=0)
        return mean

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
