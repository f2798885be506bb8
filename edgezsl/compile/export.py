"""The export: from a model directory to a bundle, with the proof that the bundle says what the model says.

model → graph in the portable form → calibration → INT8 → golden set → parity → bundle, and the parity report beside it.
Two exports of one model with the same settings give the same bytes, wherever they run; times stand in the report only.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgezsl.bundle import Bundle
from edgezsl.compile.board_fit import chosen_precision, fitted, load_supported_profile, with_companions
from edgezsl.compile.dead_leaves import PARITY_SEED
from edgezsl.compile.draft import CALIBRATED, make_draft
from edgezsl.compile.parity import Reference, measure_parity
from edgezsl.compile.parity_page import parity_page
from edgezsl.compile.pictures import folder_pictures, generated_pictures
from edgezsl.compile.recipe import EXPORTED, load_recipe
from edgezsl.compile.vocabulary import everyday_prototypes, parity_prototypes
from edgezsl.encoders.graph import load_graph, opset_of, require_onnx
from edgezsl.encoders.model import Model
from edgezsl.errors import BundleError, InputError, ParityError, Place
from edgezsl.files import write_durably
from edgezsl.manifest import Batch, Fallback
from edgezsl.records import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgezsl.compile.board_fit import BoardFit
    from edgezsl.compile.choice import Quantized
    from edgezsl.compile.draft import Draft
    from edgezsl.compile.parity_report import ParityReport
    from edgezsl.compile.pictures import Pictures
    from edgezsl.compile.recipe import Recipe
    from edgezsl.device_profile import DeviceProfile
    from edgezsl.evaluate.progress import Progress
    from edgezsl.manifest import Precision
    from edgezsl.prototypes import ClassPrototypes

GENERATED_PARITY_IMAGES = 120
FALLBACKS: tuple[Precision, ...] = ("fp16", "fp32")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What is exported, and how.

    Attributes:
        model: The model directory, or None for the model that comes with edgezsl.
        out: The bundle's folder, or None for one named after model and precision, in the working directory.
        recipe: A recipe's name or file, or None for the model's own.
        precision: `fp32`, `fp16`, `int8` or, where the recipe allows it, `int8_dynamic`; None: what the recipe says, or
            the board's profile where that does not pay there.
        batch: Frames at once.
        device: A board's name or its profile's file, which decides what is not asked for: precision and type of pixels. Where
            TensorRT runs there, INT8 comes with what TensorRT builds from.
        uint8: Whether the graph takes pixels as they are, and normalises them itself.
        calibration: Where the images come from that set INT8 ranges, or None for generated ones.
        parity_images: A folder of photographs to prove it on, or None for generated images.
        labels: Whether its sub-folders are labels.
        classes: A class file for the agreement of decisions, or None: labels, else everyday names.
        fallback: `fp16` or `fp32`: what is written, with the reason, where a bound does not hold; None: nothing is.
        allow_broken_parity: Whether a broken bound is recorded instead of refused.
    """

    model: Path | None = None
    out: Path | None = None
    recipe: str | None = None
    precision: Precision | None = None
    batch: Batch = field(default_factory=Batch)
    device: str | None = None
    uint8: bool = False
    calibration: str | None = None
    parity_images: Path | None = None
    labels: bool = False
    classes: Path | None = None
    fallback: Precision | None = None
    allow_broken_parity: bool = False

    def __post_init__(self) -> None:
        if self.fallback is not None and self.fallback not in FALLBACKS:
            raise InputError(f"the fallback is {self.fallback}", code="bad_fallback", expected=" or ".join(FALLBACKS))


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What came out.

    Attributes:
        bundle: The bundle.
        reports: How well each of its encoders says what the model says, the default one first.
        report_file: Where the report lies, for programs; the page for people lies beside it, `.html`.
        calibration: What set the ranges, in words, or empty.
        quantized: How it came to INT8, or None.
        board: What the profile of the board decided, or None where none was named.
    """

    bundle: Bundle
    reports: Mapping[Precision, ParityReport]
    report_file: Path
    calibration: str
    quantized: Quantized | None
    board: BoardFit | None

    @property
    def report(self) -> ParityReport:
        """Of the encoder that runs unless another is asked for."""
        return next(iter(self.reports.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl export --json` prints."""
        report, manifest, fallback = self.report, self.bundle.manifest, self.bundle.manifest.fallback
        shown = ("cosine_mean", "cosine_min", "centred_mean", "top1_agreement", "images", "generated_images")
        return {
            "bundle": str(self.bundle.folder),
            "precision": manifest.precision,
            "precisions": list(manifest.image_encoders),
            "parity": {"outcome": report.outcome, **{name: report.figures.get(name) for name in shown}},
            "size_bytes": report.bytes["export"],
            "engine_ms": {name: engine.latency["p50_ms"] for name, engine in report.engines.items()},
            "skipped": dict(report.skipped),
            "verdicts": {precision: dict(rows) for precision, rows in manifest.verdicts.items()},
            "fallback": fallback.reason if fallback else None,
            "device": self.board.to_json() if self.board else None,
            "report": str(self.report_file),
            "page": str(self.report_file.with_suffix(".html")),
        }


def export(settings: ExportSettings) -> Iterator[Progress | ExportResult]:
    """Export a model; yield progress, and last the result.

    Args:
        settings: What to export.

    Yields:
        Progress, and last the result.

    Raises:
        ModelError: When the model directory is damaged, or its graph is not one that this version exports.
        RecipeError: When the model's recipe is absent or breaks its format.
        ProfileError: When there is no such board, or it is not supported.
        InputError: When the bundle does not fit into the board.
        SourceError: When calibration or parity has no images.
        ClassFileError: When a class asks for what the model does not offer.
        ParityError: When the export does not say what the model says.
        EngineError: When the model does not run.
        BundleError: When the bundle cannot be written.
        MissingExtraError: When onnx, ONNX Runtime, OpenCV or tokenizers is needed and not installed.
    """
    require_onnx()
    profile = load_supported_profile(settings.device) if settings.device else None
    model = Model.open(settings.model)
    recipe = load_recipe(settings.recipe or model.facts.recipe)
    chosen = chosen_precision(profile, recipe, settings.precision)
    _check_precision(chosen[0], settings, recipe)
    wanted = with_companions(chosen[0], profile)
    Bundle.check_place(settings.out or Path(f"{model.facts.name}-{wanted[-1]}"))
    pictures = _parity_pictures(settings)
    tried = tuple(dict.fromkeys((*([settings.fallback] if settings.fallback else []), *wanted)))
    uint8 = settings.uint8 or (profile is not None and profile.input_type == "uint8")
    draft = yield from make_draft(
        model, recipe, tried, batch=settings.batch, calibration=settings.calibration, uint8=uint8
    )
    board = _board_fit(profile, chosen, draft, tried) if profile else None
    with tempfile.TemporaryDirectory(prefix="edgezsl-export-") as folder:
        drafts = {precision: draft.write(Path(folder) / precision, (precision,)) for precision in tried}
        first = drafts[tried[0]]
        names = everyday_prototypes(first)
        reference = _reference(draft, first, settings, pictures, names)
        reports = yield from measure_parity(reference, drafts, pictures, draft.calibration, recipe.bounds)
    kept, fallback = _kept(settings, wanted, reports)
    out = settings.out or Path(f"{model.facts.name}-{kept[-1]}")
    Bundle.check_place(out)
    shown = {precision: reports[precision] for precision in reversed(kept)}
    report_file = _write_report({**shown, **reports}, out, draft)
    broken = [report for report in shown.values() if report.outcome == "broken"]
    refused = [report for report in broken if not (settings.allow_broken_parity and report.engines)]
    if refused:
        raise _broken(refused[0], report_file)
    bundle = draft.write(out, kept, report=shown[kept[-1]], names=names, fallback=fallback)
    used = draft.calibration
    words = str(used) if used and kept[-1] in CALIBRATED else ""
    yield ExportResult(bundle, shown, report_file, words, draft.quantized, board)


def _check_precision(precision: Precision, settings: ExportSettings, recipe: Recipe) -> None:
    if precision not in EXPORTED:
        expected = " or ".join(EXPORTED)
        raise InputError(f"this version does not export {precision}", code="not_exported", expected=expected)
    if precision == "int8_dynamic" and not recipe.dynamic:
        hint = "take --int8, or a recipe of your own with `dynamic: true`"
        message = f"the recipe {recipe.name} does not allow int8_dynamic"
        raise InputError(message, code="not_allowed", expected="a recipe with `dynamic: true`, such as vit", hint=hint)
    if precision == "int8_dynamic" and settings.batch.max > 1:
        message = (
            "int8_dynamic finds one range for all frames at once, so that a frame's answer would depend on the others"
        )
        raise InputError(message, code="not_allowed", expected="--batch 1", hint="take --int8 for a larger batch")


def _board_fit(
    profile: DeviceProfile, chosen: tuple[Precision, str], draft: Draft, tried: tuple[Precision, ...]
) -> BoardFit:
    encoders = {precision: draft.encoders[precision] for precision in tried}
    return fitted(
        profile,
        chosen,
        encoders,
        beside=sum(map(len, draft.model.class_side().values())),
        batch=draft.batch,
        input_type=draft.contract.dtype,
        opset=opset_of(load_graph(encoders[tried[0]], "the image encoder")),
    )


def _kept(
    settings: ExportSettings, wanted: tuple[Precision, ...], reports: Mapping[Precision, ParityReport]
) -> tuple[tuple[Precision, ...], Fallback | None]:
    """Return what the bundle holds: what was wanted, or the fallback where that does not say what the model says."""
    asked, fallback = wanted[-1], settings.fallback
    if fallback is None:
        return wanted, None
    if fallback != asked and reports[asked].outcome == "broken":
        return (fallback,), Fallback(asked, fallback, "; ".join(reports[asked].faults))
    kept = tuple(one for one in wanted if one == asked or reports[one].outcome != "broken")
    lost = [one for one in wanted if one not in kept]
    reasons = "; ".join(f"{one}: {', '.join(reports[one].faults)}" for one in lost)
    return kept, Fallback(" and ".join(lost), asked, reasons) if lost else None


def _reference(
    draft: Draft, proved: Bundle, settings: ExportSettings, pictures: Pictures, names: ClassPrototypes | None
) -> Reference:
    """Return what the export is compared with: the model's own graph, by the model's own contract."""
    classes, vocabulary = parity_prototypes(proved, settings.classes, pictures.labels, names)
    return Reference(draft.model.facts.contract, draft.source, classes, vocabulary, len(draft.encoders["fp32"]))


def _parity_pictures(settings: ExportSettings) -> Pictures:
    if settings.parity_images is not None:
        return folder_pictures(settings.parity_images, labels=settings.labels)
    if settings.labels:
        raise InputError(
            "--labels was given without a folder of images",
            code="no_images",
            expected="--parity-images FOLDER, whose sub-folders are labels",
            hint="give the folder, or leave --labels out",
        )
    return generated_pictures(PARITY_SEED, GENERATED_PARITY_IMAGES)


def _write_report(reports: Mapping[Precision, ParityReport], out: Path, draft: Draft) -> Path:
    """Write the report for programs and the page for people; return the path of the first."""
    file = out.with_name(f"{out.name}.report.json")
    first, *others = reports.values()
    made, quantized = draft.provenance(next(iter(reports))), draft.quantized
    facts = draft.model.facts
    known = {"made from": made.source_model, "recipe": made.recipe, "licence": facts.licence.id}
    if facts.proof:
        known["at its import"] = ", ".join(f"{name} {value:.4g}" for name, value in facts.proof.items())
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    page = parity_page(tuple(reports.values()), facts.name, {**known, "versions": versions}, quantized)
    value = {
        **first.to_json(),
        "also": {report.precision: report.to_json() for report in others},
        "quantization": quantized.to_json() if quantized else None,
    }
    try:
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, canonical_json(value))
        write_durably(file.with_suffix(".html"), page.encode("utf-8", "replace"))
    except OSError as cause:
        message = f"the parity report cannot be written ({cause.strerror})"
        hint = "choose another place with --out"
        raise BundleError(message, code="not_writable", where=Place(str(file)), hint=hint) from cause
    return file


def _broken(report: ParityReport, file: Path) -> ParityError:
    place = Place(str(file.with_suffix(".html")))
    if not report.engines:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.refused.items())
        hint = "keep more in float in a recipe of your own, or take another precision (--fallback fp16)"
        return ParityError(
            f"no engine serves the {report.precision} export: {reasons}", code="unserved", where=place, hint=hint
        )
    return ParityError(
        f"the {report.precision} export does not say what the model says: {'; '.join(report.faults)}",
        code="broken_parity",
        where=place,
        hint="calibrate on photographs like the camera's (--calibration), keep more in float in a recipe of your own, "
        "take another precision where this does not hold (--fallback fp16), or record it with --allow-broken-parity",
    )
