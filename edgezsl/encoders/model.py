"""The model directory: a model as its source or its training gave it, before it is exported.

The format is docs/model-format.md, `edgezsl-model/1`: `model.json` and ONNX files, each listed with length and digest.
It holds no code, no archive and no pickle, no clock time and no path. What the graphs compute is not known here; the
export checks them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgezsl.bundle import SEMANTIC_MAP, TEXT_ENCODER, TOKEN_TABLE, TOKENIZER
from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.errors import BundleError, ContractError, ModelError, Place, shown
from edgezsl.manifest import Licence, Semantics
from edgezsl.records import Fields, canonical_json, sha256_hex
from edgezsl.sealed import FileEntry, SealedFormat, file_entries, read_entries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgezsl.encoders.source_model import SourceModel
    from edgezsl.manifest import SemanticKind

MODEL_FORMAT = "edgezsl-model/1"
MODEL_FILE = "model.json"
IMAGE_ENCODER = "image_encoder.onnx"
KNOWLEDGE_GRAPH = "knowledge_graph.safetensors"  # what stays on a workstation: `edgezsl.zsl.knowledge`
CLASS_SIDE = (TEXT_ENCODER, TOKEN_TABLE, TOKENIZER, SEMANTIC_MAP)
GRAPH_KINDS: tuple[SemanticKind, ...] = ("words",)  # what a model with a graph takes classes by
LARGEST_FILE = 2 << 30  # bytes; one ONNX file holds no more
_RECIPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SEALED = SealedFormat("model", MODEL_FILE, MODEL_FILE, f"{MODEL_FORMAT.partition('/')[0]}/", ModelError)

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What `model.json` says.

    Attributes:
        name: What people call the model.
        source: What it was made from, in words.
        recipe: The recipe in `export/` that says how it is exported.
        contract: How frames become pixels.
        space: Where embeddings and prototypes meet; `image_mean` and `text_mean` may be absent: export measures them.
        semantics: What classes may be given by.
        method: How its class side was learned, such as `prototype_regression`, or empty.
        hyper_parameters: What the method was run with.
        seen_classes: Names that it was trained on.
        seen_penalty: γ ≥ 0, where a class file has none.
        licence: Terms of use.
        data: Digests of what it was trained on, by name.
        proof: What an import measured against the model's own library, by name; empty for others.
        files: Every file but `model.json` itself.

    Raises:
        ModelError: When two of these contradict each other.
    """

    name: str
    source: str
    recipe: str
    contract: InputContract
    space: EmbeddingSpace
    semantics: Semantics
    method: str = ""
    hyper_parameters: Mapping[str, Setting | list[Setting]] = field(default_factory=dict)
    seen_classes: tuple[str, ...] = ()
    seen_penalty: float = 0.0
    licence: Licence = field(default_factory=Licence)
    data: Mapping[str, str] = field(default_factory=dict)
    proof: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise _refuse("name", "the model has no name", "a word or two")
        if not _RECIPE.fullmatch(self.recipe):
            message = f"the recipe {shown(self.recipe)}"
            raise _refuse("recipe", message, "the name of a recipe in export/, such as 'convnet'; no path")
        if not 0 <= self.seen_penalty < float("inf"):
            raise _refuse("seen_penalty", f"seen_penalty is {self.seen_penalty}", "a number ≥ 0")
        if self.files:
            self._check_files()

    def _check_files(self) -> None:
        present = set(self.files)
        if IMAGE_ENCODER not in present:
            raise _refuse("files", f"there is no {IMAGE_ENCODER}", "the image encoder among the files")
        unknown = sorted(present - {IMAGE_ENCODER, KNOWLEDGE_GRAPH, *CLASS_SIDE})
        if unknown:
            expected = f"{IMAGE_ENCODER}, {', '.join((*CLASS_SIDE, KNOWLEDGE_GRAPH))}"
            raise _refuse("files", f"the file {shown(unknown[0])} is unknown to this version", expected)
        encoders = present & {TEXT_ENCODER, TOKEN_TABLE}
        if len(encoders) > 1 or bool(encoders) != (TOKENIZER in present):
            found = ", ".join(sorted(present & {TEXT_ENCODER, TOKEN_TABLE, TOKENIZER}))
            raise _refuse("files", f"the text side is {found}", f"{TEXT_ENCODER} or {TOKEN_TABLE}, with {TOKENIZER}")
        if ("words" in self.semantics.kinds) != bool(encoders):
            message = f"the kinds {shown(self.semantics.kinds)} with {len(encoders)} text encoders"
            raise _refuse("semantics.kinds", message, "words if and only if there is a text encoder")
        if KNOWLEDGE_GRAPH in present and (SEMANTIC_MAP in present or self.semantics.kinds != GRAPH_KINDS):
            message = f"a graph with the kinds {shown(self.semantics.kinds)}, {len(present)} files"
            raise _refuse("files", message, f"{' and '.join(GRAPH_KINDS)}, and no {SEMANTIC_MAP}")
        for name, entry in self.files.items():
            if entry.bytes > LARGEST_FILE:
                raise _refuse("files", f"{name} has {entry.bytes:,} bytes", f"at most {LARGEST_FILE:,}")

    @classmethod
    def from_json(cls, value: Any, *, file: str) -> ModelFacts:
        """Read the facts from the parsed `model.json`.

        Raises:
            ModelError: When a field is missing, unknown, of the wrong type or out of range.
            ContractError: When contract or space is out of range.
        """
        fields = Fields(value, Place(file), ModelError)
        form = fields.text("format")
        if form != MODEL_FORMAT:
            raise fields.refuse("format", f"the format is {shown(form)}", code="unknown_format", expected=MODEL_FORMAT)
        try:
            facts = cls(
                name=fields.text("name"),
                source=fields.text("source"),
                recipe=fields.text("recipe"),
                contract=InputContract.from_fields(fields.inner("contract")),
                space=EmbeddingSpace.from_fields(fields.inner("space")),
                semantics=Semantics.from_fields(fields.inner("semantics")),
                method=fields.text("method"),
                hyper_parameters=_settings(fields.inner("hyper_parameters")),
                seen_classes=fields.texts("seen_classes"),
                seen_penalty=fields.number("seen_penalty"),
                licence=Licence.from_fields(fields.inner("licence")),
                data=fields.inner("data").text_map(),
                proof=_proof(fields),
                files=read_entries(fields.inner("files"), "bad_model"),
            )
        except ContractError:
            raise
        except (BundleError, ModelError) as fault:
            if fault.where.file == file:
                raise
            place = Place(
                file, field=fault.where.field
            )  # what the facts shares with a manifest names no file of its own
            raise ModelError(fault.message, code="bad_model", where=place, expected=fault.expected) from fault
        fields.done()
        if not facts.files:
            raise fields.refuse("files", f"there is no {IMAGE_ENCODER}", code="bad_model", expected="the image encoder")
        return facts

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads back as equal facts."""
        return {
            "format": MODEL_FORMAT,
            "name": self.name,
            "source": self.source,
            "recipe": self.recipe,
            "contract": self.contract.to_json(),
            "space": self.space.to_json(),
            "semantics": self.semantics.to_json(),
            "method": self.method,
            "hyper_parameters": dict(self.hyper_parameters),
            "seen_classes": self.seen_classes,
            "seen_penalty": self.seen_penalty,
            "licence": asdict(self.licence),
            "data": dict(self.data),
            "proof": dict(self.proof),
            "files": {name: asdict(entry) for name, entry in self.files.items()},
        }


@dataclass(frozen=True, slots=True)
class Model:
    """An opened, verified model directory.

    Attributes:
        folder: The directory.
        facts: What its `model.json` says.
        digest: SHA-256 of `model.json`, 64 hexadecimal digits: the model's identity.
    """

    folder: Path
    facts: ModelFacts
    digest: str

    @classmethod
    def open(cls, folder: Path | None = None) -> Model:
        """Open a model directory, verifying the length and digest of every file.

        Args:
            folder: The directory, or None for the model that comes with edgezsl.

        Raises:
            InputError: When none was given and this installation carries none.
            ModelError: When the folder is not a model directory, or files are missing, altered or not listed.
            ContractError: When its contract or space is out of range.
        """
        from edgezsl.catalogue import builtin_folder  # with the reader of YAML, which a bundle does not need

        folder = folder or builtin_folder("model")
        if folder.suffix == ".onnx" and folder.is_file():
            message, hint = "this is an ONNX file", f"edgezsl import onnx:{folder} --contract FILE makes a model of it"
            raise ModelError(message, code="not_a_model", where=Place(str(folder)), expected="a directory", hint=hint)
        try:
            value, data = _SEALED.read_index(folder)
            facts = ModelFacts.from_json(value, file=str(folder / MODEL_FILE))
            _SEALED.verify(folder, facts.files)
        except OSError as cause:
            message = f"the model cannot be read ({cause.strerror})"
            raise ModelError(message, code="not_readable", where=Place(str(folder))) from cause
        return cls(folder, facts, sha256_hex(data))

    @classmethod
    def write(cls, folder: Path, facts: ModelFacts, files: Mapping[str, bytes]) -> Model:
        """Write a model directory: complete or not at all, replacing a model that stood there and nothing else.

        Args:
            folder: The directory to make, with its parents.
            facts: What it says; its `files` are computed here.
            files: `image_encoder.onnx` and the files of the class side, by name.

        Raises:
            ModelError: When a file cannot be written, facts and files contradict each other, or something stands there
                that is not a model directory.
        """
        complete = replace(facts, files=file_entries(files))
        _SEALED.write(folder, canonical_json(complete.to_json()), files, cls.open)
        return cls.open(folder)

    @classmethod
    def from_modules(cls, folder: Path, source: SourceModel, *, opset: int = 18) -> Model:
        """Write a model directory from constructed PyTorch modules: ONNX graphs, a tokenizer, and the facts.

        Args:
            folder: The directory to make, with its parents.
            source: The modules (`edgezsl.encoders.source_model`), such as `source_from_open_clip` gives.
            opset: Of the graphs, 17 or 18.

        Raises:
            ModelError: When PyTorch cannot export a module, or the directory cannot be written.
            MissingExtraError: When the package onnx is not installed.
        """
        from edgezsl.encoders.modules import module_facts, module_files  # with torch, which a reader does not need

        return cls.write(folder, module_facts(source), module_files(source, opset=opset))

    @staticmethod
    def check_place(folder: Path) -> None:
        """Check that a model may be written to `folder`: for work that takes long before it writes one.

        Raises:
            ModelError: When something stands there that would be lost.
        """
        _SEALED.check_place(folder)

    def has(self, name: str) -> bool:
        """Return whether the model has the file `name`."""
        return name in self.facts.files

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, verified again: these are the bytes to use.

        Raises:
            ModelError: When the model has no such file, or it has changed since.
        """
        return _SEALED.read(self.folder, name, self.facts.files.get(name), owner=self.facts.name)

    @property
    def device_semantics(self) -> Semantics:
        """What a bundle of the model takes classes by: where rows come from a graph, which no device has, ready rows alone."""
        return Semantics(("vector",)) if self.has(KNOWLEDGE_GRAPH) else self.facts.semantics

    def class_side(self) -> dict[str, bytes]:
        """Return the files by which classes become prototypes, as a bundle holds them: none where a graph makes the rows.

        Raises:
            ModelError: When one has changed since the model was opened.
        """
        if self.has(KNOWLEDGE_GRAPH):
            return {}
        return {name: self.read(name) for name in CLASS_SIDE if self.has(name)}


def _refuse(field_name: str, message: str, expected: str) -> ModelError:
    return ModelError(message, code="bad_model", where=Place(field=field_name), expected=expected)


def _proof(fields: Fields) -> dict[str, float]:
    inner = fields.inner_or_none("proof")
    return {name: inner.number(name) for name in inner.names()} if inner is not None else {}


def _settings(fields: Fields) -> dict[str, Setting | list[Setting]]:
    """Read hyper-parameters: numbers, words, true, false, null, or lists of them."""
    return {name: _setting(fields, name, fields.take(name)) for name in fields.names()}


def _setting(fields: Fields, name: str, value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (str, int, float, type(None))) for part in parts):
        expected = "a number, a word, true, false, null, or a list of these"
        raise fields.refuse(name, f"{shown(value)} does not fit", code="wrong_type", expected=expected)
    return value
