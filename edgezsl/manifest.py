"""The manifest of a bundle: everything that a device must know of a model before it runs it.

`Manifest` is the content of `manifest.json`, format `edgezsl-bundle/1` (docs/bundle-format.md). It holds no clock
time, no user name and no absolute path, so that equal models make equal bundles. It does not touch the disk:
`edgezsl.bundle` does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgezsl.contract import LARGEST_SCALE, EmbeddingSpace, InputContract
from edgezsl.errors import BundleError, Place, shown
from edgezsl.records import Fields
from edgezsl.sealed import FILE_NAME, FileEntry, read_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

BUNDLE_FORMAT = "edgezsl-bundle/1"
Precision = Literal["fp32", "fp16", "int8", "int8_fp16", "int8_dynamic"]
SemanticKind = Literal["words", "attributes", "examples", "vector"]
ExampleBias = Literal["none", "half_squared_norm"]
TextCleaning = Literal["none", "clip", "canonicalize"]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LARGEST_BATCH = 4096  # frames; an engine pads to `min`
SLOT = "{}"  # where a template takes the name
_ARITHMETIC = ("fp32", "bf16", "fp16", "int8", "int8_fp16", "int8_dynamic")  # what an engine may compute in


@dataclass(frozen=True, slots=True)
class Batch:
    """How many frames an image encoder takes at once: at least `min`, at most `max`; `opt` is what it was made for."""

    min: int = 1
    opt: int = 1
    max: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max <= LARGEST_BATCH:
            expected = f"1 ≤ min ≤ opt ≤ max ≤ {LARGEST_BATCH}"
            raise _refuse("batch", f"the batch is {self.min}:{self.opt}:{self.max}", expected)


@dataclass(frozen=True, slots=True)
class Semantics:
    """What a class may be given by, and how it becomes a semantic embedding.

    Attributes:
        kinds: The kinds offered.
        templates: Prompt templates used when a class file has none; each holds `{}` once.
        attributes: The attribute vocabulary, in the order of the vector, or empty.
        token_limit: The most tokens of a text, special tokens included; 0 where there is no limit.
        text_cleaning: What is done to a text before the tokenizer (`edgezsl.runtime.text_cleaning`).
        example_bias: The bias of a class given by pictures; `half_squared_norm` is `-½‖μ‖²` (docs/classes-file.md).
        example_penalty: What a class given by pictures loses of its score besides, so that it does not win against words
            for being a picture.
        description_weight: κ: as how many pictures the description of a class counts that is given by both; 0 where none may be.
    """

    kinds: tuple[SemanticKind, ...]
    templates: tuple[str, ...] = (SLOT,)
    attributes: tuple[str, ...] = ()
    token_limit: int = 0
    text_cleaning: TextCleaning = "none"
    example_bias: ExampleBias = "none"
    example_penalty: float = 0.0
    description_weight: float = 0.0

    def __post_init__(self) -> None:
        offered = get_args(SemanticKind)
        for kind in self.kinds:
            if kind not in offered:
                raise _refuse("semantics.kinds", f"the kind {shown(kind)} is unknown", ", ".join(offered))
        for template in self.templates:
            if template.count(SLOT) != 1:
                raise _refuse("semantics.templates", f"the template {shown(template)}", "{} in it, once")
        if not self.templates:
            raise _refuse("semantics.templates", "there are 0 templates", "at least 1")
        if ("attributes" in self.kinds) != bool(self.attributes):
            message = f"the kinds {shown(self.kinds)} with {len(self.attributes)} attributes"
            raise _refuse("semantics.attributes", message, "names if and only if the kind 'attributes' is offered")
        for name in ("example_penalty", "description_weight"):
            value = getattr(self, name)
            if not 0 <= value <= LARGEST_SCALE:
                raise _refuse(f"semantics.{name}", f"{name} is {value}", f"from 0 to {LARGEST_SCALE}")
            if value and "examples" not in self.kinds:
                message = f"{name} is {value} without the kind 'examples'"
                raise _refuse(f"semantics.{name}", message, "0, or classes by pictures")

    @classmethod
    def from_fields(cls, fields: Fields) -> Semantics:
        """Read the object that `to_json` made.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of range.
        """
        semantics = cls(
            kinds=fields.texts("kinds"),  # type: ignore[arg-type]  # __post_init__ checks them
            templates=fields.texts("templates"),
            attributes=fields.texts("attributes"),
            token_limit=fields.count("token_limit"),
            text_cleaning=fields.one_of("text_cleaning", get_args(TextCleaning)),
            example_bias=fields.one_of("example_bias", get_args(ExampleBias)),
            example_penalty=fields.number("example_penalty", 0.0),
            description_weight=fields.number("description_weight", 0.0),
        )
        fields.done()
        return semantics

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_fields` reads back; a weight of 0 is left out, as of models that know none."""
        return {name: value for name, value in asdict(self).items() if value or name != "description_weight"}


@dataclass(frozen=True, slots=True)
class Licence:
    """Under what terms the model may be used. `id` is an SPDX identifier or `unknown`."""

    id: str = "unknown"
    notice: str = ""
    source: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Licence:
        """Read the object that `asdict` made.

        Raises:
            InputError: When a field is missing, unknown or of the wrong type.
        """
        licence = cls(fields.text("id"), fields.text("notice"), fields.text("source"))
        fields.done()
        return licence


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a bundle comes from.

    Attributes:
        source_model: What was exported, in words.
        recipe: The recipe's name.
        calibration_count: Frames that set the INT8 ranges.
        calibration_digest: SHA-256 over them, or empty.
        versions: Versions of the packages that built it.
    """

    source_model: str
    recipe: str
    calibration_count: int = 0
    calibration_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parity:
    """What was proved at export: the outcome, the bounds it was held to, and the figures."""

    outcome: Literal["passed", "too_few", "broken_allowed"]
    bounds: Mapping[str, float]
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A precision that was asked for and not kept, and why."""

    asked: str
    kept: str
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says.

    Attributes:
        name: What people call the model.
        contract: How frames become pixels.
        space: Where embeddings and prototypes meet.
        precision: What `run` takes when nothing else is asked.
        image_encoders: The ONNX file of each precision.
        semantics: What classes may be given by.
        golden: The least cosine to the golden embeddings, for each precision of an engine.
        opset: ONNX opset of the encoders.
        ir_version: ONNX IR version of the encoders.
        batch: Frames at once.
        seen_classes: Names that the model was trained on.
        seen_penalty: γ, where the class file has none.
        licence: Terms of use.
        provenance: Where it comes from.
        parity: What was proved at export, or None.
        fallback: A precision that was asked for and not kept, or None.
        verdicts: For each precision, what each TensorRT version's rules say.
        files: Every file but the manifest itself.

    Raises:
        BundleError: When two of these contradict each other.
    """

    name: str
    contract: InputContract
    space: EmbeddingSpace
    precision: Precision
    image_encoders: Mapping[str, str]
    semantics: Semantics
    golden: Mapping[str, float]
    opset: int
    ir_version: int
    batch: Batch = field(default_factory=Batch)
    seen_classes: tuple[str, ...] = ()
    seen_penalty: float = 0.0
    licence: Licence = field(default_factory=Licence)
    provenance: Provenance = field(default_factory=lambda: Provenance("", ""))
    parity: Parity | None = None
    fallback: Fallback | None = None
    verdicts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for precision in (self.precision, *self.image_encoders):
            if precision not in PRECISIONS or precision not in self.image_encoders:
                message = f"there is no image encoder of precision {shown(precision)}"
                raise _refuse("image_encoders", message, ", ".join(PRECISIONS))
        for precision, least in self.golden.items():
            if precision not in _ARITHMETIC or not 0 < least <= 1:
                message = f"the tolerance of {shown(precision)} is {least}"
                raise _refuse("golden", message, f"a cosine above 0 for one of {', '.join(_ARITHMETIC)}")
        if not 0 <= self.seen_penalty < float("inf"):
            raise _refuse("seen_penalty", f"seen_penalty is {self.seen_penalty}", "a number ≥ 0")
        for name in (*self.image_encoders.values(), *self.files):
            if not FILE_NAME.fullmatch(name):
                raise _refuse("files", f"the file name {shown(name)}", "letters, digits and ._- only; no folder")
        missing = sorted(set(self.image_encoders.values()) - set(self.files))
        if self.files and missing:
            raise _refuse("files", f"the image encoder {missing[0]!r} is not listed", "every encoder among the files")

    @classmethod
    def from_json(cls, value: Any, *, file: str) -> Manifest:
        """Read a manifest from the parsed `manifest.json`.

        Raises:
            BundleError: When a field is missing, unknown, of the wrong type or out of range.
            ContractError: When contract or space is out of range.
        """
        fields = Fields(value, Place(file), BundleError)
        form = fields.text("format")
        if form != BUNDLE_FORMAT:
            raise fields.refuse("format", f"the format is {shown(form)}", code="unknown_format", expected=BUNDLE_FORMAT)
        manifest = cls(
            name=fields.text("name"),
            contract=InputContract.from_fields(fields.inner("contract")),
            space=EmbeddingSpace.from_fields(fields.inner("space")),
            precision=fields.text("precision"),  # type: ignore[arg-type]  # __post_init__ checks it
            image_encoders=fields.inner("image_encoders").text_map(),
            semantics=Semantics.from_fields(fields.inner("semantics")),
            golden=fields.inner("golden").number_map(),
            opset=fields.count("opset", least=1),
            ir_version=fields.count("ir_version", least=1),
            batch=_batch(fields.inner("batch")),
            seen_classes=fields.texts("seen_classes"),
            seen_penalty=fields.number("seen_penalty"),
            licence=Licence.from_fields(fields.inner("licence")),
            provenance=_provenance(fields.inner("provenance")),
            parity=_parity(fields),
            fallback=_fallback(fields),
            verdicts=_verdicts(fields.inner("verdicts")),
            files=read_entries(fields.inner("files"), "bad_manifest"),
        )
        fields.done()
        return manifest

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads back as an equal manifest."""
        provenance, fallback = self.provenance, self.fallback
        return {
            "format": BUNDLE_FORMAT,
            "name": self.name,
            "contract": self.contract.to_json(),
            "space": self.space.to_json(),
            "precision": self.precision,
            "image_encoders": dict(self.image_encoders),
            "semantics": self.semantics.to_json(),
            "golden": dict(self.golden),
            "opset": self.opset,
            "ir_version": self.ir_version,
            "batch": asdict(self.batch),
            "seen_classes": self.seen_classes,
            "seen_penalty": self.seen_penalty,
            "licence": asdict(self.licence),
            "provenance": {
                "source_model": provenance.source_model,
                "recipe": provenance.recipe,
                "calibration": {"count": provenance.calibration_count, "digest": provenance.calibration_digest},
                "versions": dict(provenance.versions),
            },
            "parity": self.parity and asdict(self.parity),
            "fallback": fallback and {"from": fallback.asked, "to": fallback.kept, "reason": fallback.reason},
            "verdicts": {precision: dict(rows) for precision, rows in self.verdicts.items()},
            "files": {name: asdict(entry) for name, entry in self.files.items()},
        }


def _refuse(field_name: str, message: str, expected: str) -> BundleError:
    return BundleError(message, code="bad_manifest", where=Place("manifest.json", field=field_name), expected=expected)


def _batch(fields: Fields) -> Batch:
    batch = Batch(fields.count("min"), fields.count("opt"), fields.count("max"))
    fields.done()
    return batch


def _provenance(fields: Fields) -> Provenance:
    calibration = fields.inner("calibration")
    provenance = Provenance(
        source_model=fields.text("source_model"),
        recipe=fields.text("recipe"),
        calibration_count=calibration.count("count"),
        calibration_digest=calibration.text("digest"),
        versions=fields.inner("versions").text_map(),
    )
    calibration.done()
    fields.done()
    return provenance


def _parity(fields: Fields) -> Parity | None:
    inner = fields.inner_or_none("parity")
    if inner is None:
        return None
    outcome = inner.one_of("outcome", get_args(Literal["passed", "too_few", "broken_allowed"]))
    parity = Parity(outcome, inner.inner("bounds").number_map(), inner.inner("figures").number_map())
    inner.done()
    return parity


def _fallback(fields: Fields) -> Fallback | None:
    inner = fields.inner_or_none("fallback")
    if inner is None:
        return None
    fallback = Fallback(inner.text("from"), inner.text("to"), inner.text("reason"))
    inner.done()
    return fallback


def _verdicts(fields: Fields) -> dict[str, dict[str, str]]:
    return {precision: fields.inner(precision).text_map() for precision in fields.names()}
