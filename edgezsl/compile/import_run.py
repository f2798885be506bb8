"""The import: from a model of another library to a model directory, with the proof that it is what the library says.

The directory holds ONNX graphs, whatever it came from: an export then needs neither PyTorch nor the library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.compile.calibration import FEWEST
from edgezsl.compile.dead_leaves import PARITY_SEED
from edgezsl.compile.encoder_run import check_finite, encoder_engine
from edgezsl.compile.pictures import folder_pictures, generated_pictures
from edgezsl.compile.recipe import load_recipe
from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.encoders.graph import portable_encoder
from edgezsl.encoders.graph_chain import with_one_output
from edgezsl.encoders.model import IMAGE_ENCODER, LARGEST_FILE, Model, ModelFacts
from edgezsl.errors import InputError, ModelError, ParityError, Place, SourceError, shown
from edgezsl.evaluate.progress import Progress
from edgezsl.files import read_regular, write_durably
from edgezsl.manifest import Licence, Semantics
from edgezsl.records import Fields, parse_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgezsl.compile.pictures import Picture
    from edgezsl.compile.source_parity import SourceParity
    from edgezsl.encoders.source_model import SourceModel

KINDS = ("open_clip", "hf", "timm", "onnx")
IMAGES = 48  # generated ones, to compare on
_LARGEST_CONTRACT = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What is imported, and how.

    Attributes:
        source: `open_clip:NAME@TAG`, `hf:ORG/NAME`, `timm:NAME`, `onnx:PATH`, and their forms for local files.
        out: The model directory to write, or None for one named after the model, in the working directory.
        contract: Of `onnx:`, a JSON file with `contract` and `space`.
        recipe: Another recipe than that of the model's family, or None.
        licence: What to record where the model says nothing of it, or None.
        parity_images: A folder of images to compare with the library on, or None for generated ones.
        allow_broken_parity: Whether what does not hold is recorded instead of refused.
    """

    source: str
    out: Path | None = None
    contract: Path | None = None
    recipe: str | None = None
    licence: str | None = None
    parity_images: Path | None = None
    allow_broken_parity: bool = False


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What came out.

    Attributes:
        model: The model directory.
        parity: How near it is to its library, or None for a model that is ONNX already.
        page: The report to look at, or None.
    """

    model: Model
    parity: SourceParity | None
    page: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl import --json` prints."""
        facts = self.model.facts
        return {
            "model": str(self.model.folder),
            "name": facts.name,
            "source": facts.source,
            "recipe": facts.recipe,
            "contract": facts.contract.to_json(),
            "licence": facts.licence.id,
            "proof": dict(facts.proof),
            "faults": self.parity.faults if self.parity else [],
            "suspect": self.parity.suspect if self.parity else "",
            "page": str(self.page) if self.page else None,
        }


def import_model(settings: ImportSettings) -> Iterator[Progress | ImportResult]:
    """Import a model; yield progress, and last the result.

    Args:
        settings: What to import.

    Yields:
        Progress, and last the result.

    Raises:
        InputError: When the source is not of a known form.
        ModelError: When the model cannot be loaded, exported to ONNX, or written, or an ONNX file does not fit its contract.
        EngineError: When an ONNX file does not run.
        ParityError: When the import is not what the model's library says.
        SourceError: When there are no images to compare on.
        MissingExtraError: When the model's library, torch or onnx is not installed.
    """
    kind, colon, reference = settings.source.partition(":")
    if kind not in KINDS or not colon or not reference:
        raise InputError(
            f"the source is {shown(settings.source)}",
            code="unknown_source",
            expected="open_clip:NAME@TAG, hf:ORG/NAME, timm:NAME or onnx:PATH",
        )
    _check_options(settings, kind)
    if kind == "onnx":
        yield ImportResult(_import_onnx(settings, Path(reference)), None)
        return
    yield Progress("loading the model", 0, 1)
    source = _licensed(load_source(settings.source), settings.licence)
    yield from import_source(source, settings)


def _check_options(settings: ImportSettings, kind: str) -> None:
    """Check that what was given is looked at: an option that does nothing would promise what it does not do."""
    of_libraries = {"--parity-images": settings.parity_images, "--allow-broken-parity": settings.allow_broken_parity}
    useless = [name for name, value in of_libraries.items() if value] if kind == "onnx" else []
    if kind != "onnx" and settings.contract is not None:
        useless = ["--contract"]
    if useless:
        why = "no library to compare it with" if kind == "onnx" else "its library says how images become pixels"
        raise InputError(
            f"{' and '.join(useless)} cannot be used with {kind}: {why}",
            code="useless_option",
            expected="none of it",
            hint=f"leave {' and '.join(useless)} out",
        )


def import_source(source: SourceModel, settings: ImportSettings) -> Iterator[Progress | ImportResult]:
    """Import a constructed model; yield progress, and last the result.

    Args:
        source: The model.
        settings: What else was asked for; its `source` is not looked at.

    Yields:
        Progress, and last the result.

    Raises:
        RecipeError: When there is no such recipe.
        ModelError: When the model cannot be exported to ONNX, or written.
        ParityError: When the import is not what the model's library says.
        SourceError: When there are no images to compare on.
        MissingExtraError: When torch, onnx or OpenCV is not installed.
    """
    from edgezsl.compile.source_page import source_page
    from edgezsl.compile.source_parity import fitted_contract, measure_source
    from edgezsl.encoders.modules import module_facts, module_files

    out = settings.out or Path(source.name)
    if not out.name:
        raise InputError(
            f"the model cannot be written to {shown(str(out))}", code="bad_place", expected="a folder's name"
        )
    Model.check_place(out)
    recipe = load_recipe(settings.recipe or source.recipe)
    if settings.recipe == recipe.name:  # one of the catalogue; of a file, the export is told again
        source = replace(source, recipe=recipe.name)
    pictures = _pictures(settings.parity_images)
    contract, stage = yield from fitted_contract(source, pictures)
    source = replace(source, contract=contract)
    yield Progress(f"exporting to ONNX, opset {recipe.opset}", 0, 1)
    files = module_files(source, opset=recipe.opset)
    parity = yield from measure_source(source, files, stage, pictures)
    facts = module_facts(source, proof=parity.figures)
    page = _write_page(out, source_page(facts, parity))
    if parity.faults and not settings.allow_broken_parity:
        raise _broken(source, parity, page)
    yield ImportResult(Model.write(out, facts, files), parity, page)


def _pictures(folder: Path | None) -> list[Picture]:
    """Return the images to compare on."""
    given = folder_pictures(folder, most=IMAGES) if folder else generated_pictures(PARITY_SEED, IMAGES)
    pictures = list(given.each)
    if len(pictures) < FEWEST:
        raise SourceError(
            f"{len(pictures)} of {given.count} files can be read as images",
            code="too_few_images",
            where=Place(str(folder)),
            expected=f"at least {FEWEST}",
            hint="give other photographs, or leave --parity-images out to use generated images",
        )
    return pictures


def load_source(source: str) -> SourceModel:
    """Load a model by the library that its source names; only that library is imported.

    Args:
        source: `open_clip:…`, `hf:…` or `timm:…`.

    Raises:
        ModelError: When it cannot be loaded.
        MissingExtraError: When the library is not installed.
    """
    kind, _, reference = source.partition(":")
    match kind:
        case "open_clip":
            from edgezsl.encoders.open_clip_models import load_open_clip

            return load_open_clip(reference)
        case "hf":
            from edgezsl.encoders.transformers_models import load_transformers

            return load_transformers(reference)
    from edgezsl.encoders.timm_models import load_timm

    return load_timm(reference)


def _licensed(source: SourceModel, licence: str | None) -> SourceModel:
    if licence is None or source.licence.id != "unknown":
        return source
    return replace(source, licence=Licence(licence, "as stated at the import"))


def _import_onnx(settings: ImportSettings, path: Path) -> Model:
    """Return the model directory of an image encoder that is ONNX already."""
    if settings.contract is None:
        raise InputError(
            "an ONNX file does not say how images become its pixels",
            code="no_contract",
            expected="--contract FILE: JSON with `contract` and `space`",
            hint="write one as docs/model-format.md shows",
        )
    data = read_regular(path, max_bytes=LARGEST_FILE, error=ModelError)
    contract, space = _read_contract(settings.contract, sha256_hex(data))
    data = with_one_output(data, contract.output, str(path))
    portable = portable_encoder(data, contract, space, str(path))  # refused now rather than at its export
    check_finite(encoder_engine(portable, contract, space.dim), contract)
    facts = ModelFacts(
        name=path.stem,
        source=f"onnx:{path.name}",
        recipe=load_recipe(settings.recipe or "convnet").name,
        contract=contract,
        space=space,
        semantics=Semantics(kinds=("examples", "vector")),
        licence=Licence(settings.licence, "as stated at the import") if settings.licence else Licence(),
    )
    return Model.write(settings.out or Path(path.stem), facts, {IMAGE_ENCODER: data})


def _read_contract(path: Path, digest: str) -> tuple[InputContract, EmbeddingSpace]:
    data = read_regular(path, max_bytes=_LARGEST_CONTRACT, error=ModelError)
    value = parse_json(data, file=str(path), error=ModelError, max_bytes=_LARGEST_CONTRACT)
    fields = Fields(value, Place(str(path)), ModelError)
    contract = InputContract.from_fields(fields.inner("contract"))
    if max(contract.mean) > 1:
        mean, place = ", ".join(f"{value:g}" for value in contract.mean), Place(str(path), field="contract.mean")
        hint = "divide it by 255, and std likewise"
        raise ModelError(
            f"the mean is {mean}", code="bad_contract", where=place, expected="0 to 1, of levels / 255", hint=hint
        )
    given = fields.take("space")
    if not isinstance(given, dict):
        raise fields.refuse("space", f"{shown(given)} is no object", code="wrong_type", expected="dim, similarity, …")
    absent = {"id": digest, "image_mean": None, "text_mean": None, "logit_scale": 1.0, "logit_bias": 0.0}
    place = Place(str(path), field="space")
    space = EmbeddingSpace.from_fields(Fields({**absent, "activation": "softmax", **given}, place, ModelError))
    fields.done()
    return contract, space


def _write_page(out: Path, page: str) -> Path:
    file = out.with_name(f"{out.name}.import.html")
    try:
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, page.encode("utf-8", "replace"))
    except OSError as cause:
        message = f"the report cannot be written ({cause.strerror})"
        hint = "choose another place with --out"
        raise ModelError(message, code="not_writable", where=Place(str(file)), hint=hint) from cause
    return file


def _broken(source: SourceModel, parity: SourceParity, page: Path) -> ParityError:
    suspect = f"; most likely {parity.suspect}" if parity.suspect else ""
    return ParityError(
        f"the import of {source.name!r} is not what its library says: {'; '.join(parity.faults)}{suspect}",
        code="broken_parity",
        where=Place(str(page)),
        hint="name the pretrained tag that the weights belong to, or record it with --allow-broken-parity",
    )
