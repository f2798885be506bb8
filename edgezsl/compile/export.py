"""The export: from a model directory to a bundle, with the proof that the bundle says what the model says.

model → graph in the portable form → calibration → INT8 → golden set → parity → bundle, and the parity report beside it.
Two exports of one model with the same settings give the same bytes, wherever they run; times stand in the report only.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgezsl import __version__
from edgezsl.bundle import GOLDEN, Bundle
from edgezsl.compile.calibration import calibration_set
from edgezsl.compile.choice import quantize_by_recipe
from edgezsl.compile.dead_leaves import PARITY_SEED
from edgezsl.compile.encoder_run import check_batch, embeddings_one_by_one, encoder_engine
from edgezsl.compile.golden_set import golden_set
from edgezsl.compile.graph import IR_VERSION, load_graph, opset_of, portable_encoder, require_onnx, with_batch
from edgezsl.compile.parity import Reference, measure_parity
from edgezsl.compile.parity_page import parity_page
from edgezsl.compile.pictures import folder_pictures, generated_pictures
from edgezsl.compile.recipe import EXPORTED, load_recipe
from edgezsl.compile.rules import verdicts
from edgezsl.compile.vocabulary import everyday_prototypes, parity_prototypes
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.errors import BundleError, InputError, ParityError, Place
from edgezsl.files import write_durably
from edgezsl.manifest import Batch, Manifest, Parity, Provenance
from edgezsl.records import canonical_json
from edgezsl.runtime.golden import LEAST_COSINE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from edgezsl.bundle import GoldenSet
    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.choice import Quantized
    from edgezsl.compile.parity import Outcome, ParityReport
    from edgezsl.compile.pictures import Pictures
    from edgezsl.compile.progress import Progress
    from edgezsl.compile.recipe import Recipe
    from edgezsl.contract import EmbeddingSpace
    from edgezsl.manifest import Precision
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import FunctionEngine

GENERATED_PARITY_IMAGES = 120
# What an engine may compute a file in, each with a golden bound of its own.
_ARITHMETIC: dict[Precision, tuple[str, ...]] = {"fp32": ("fp32", "bf16", "fp16"), "int8": ("int8",)}
_OUTCOMES: dict[Outcome, Literal["passed", "too_few", "broken_allowed"]] = {
    "passed": "passed",
    "too_few": "too_few",
    "broken": "broken_allowed",
}


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What is exported, and how.

    Attributes:
        model: The model directory, or None for the model that comes with edgezsl.
        out: The bundle's folder, or None for one named after model and precision, in the working directory.
        recipe: A recipe's name or file, or None for the model's own.
        precision: `fp32` or `int8`, or None for what the recipe says.
        batch: Frames at once.
        calibration: Where the images come from that set INT8 ranges, or None for generated ones.
        parity_images: A folder of photographs to prove it on, or None for generated images.
        labels: Whether its sub-folders are labels.
        classes: A class file for the agreement of decisions, or None: labels, else everyday names.
        allow_broken_parity: Whether a broken bound is recorded instead of refused.
    """

    model: Path | None = None
    out: Path | None = None
    recipe: str | None = None
    precision: Precision | None = None
    batch: Batch = field(default_factory=Batch)
    calibration: str | None = None
    parity_images: Path | None = None
    labels: bool = False
    classes: Path | None = None
    allow_broken_parity: bool = False


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What came out.

    Attributes:
        bundle: The bundle.
        report: How well it says what the model says.
        report_file: Where the report lies, for programs; the page for people lies beside it, `.html`.
        calibration: What set the ranges, in words, or empty.
        quantized: How it came to INT8, or None.
    """

    bundle: Bundle
    report: ParityReport
    report_file: Path
    calibration: str
    quantized: Quantized | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl export --json` prints."""
        report, manifest = self.report, self.bundle.manifest
        shown = ("cosine_mean", "cosine_min", "centred_mean", "top1_agreement", "images", "generated_images")
        return {
            "bundle": str(self.bundle.folder),
            "precision": manifest.precision,
            "parity": {"outcome": report.outcome, **{name: report.figures.get(name) for name in shown}},
            "size_bytes": report.bytes["export"],
            "engine_ms": {name: engine.latency["p50_ms"] for name, engine in report.engines.items()},
            "skipped": dict(report.skipped),
            "verdicts": {precision: dict(rows) for precision, rows in manifest.verdicts.items()},
            "fallback": None,
            "report": str(self.report_file),
            "page": str(self.report_file.with_suffix(".html")),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """What is known before parity is measured."""

    model: Model
    recipe: Recipe
    batch: Batch
    encoders: Mapping[Precision, bytes]
    golden: GoldenSet
    source: FunctionEngine
    calibration: CalibrationSet | None
    quantized: Quantized | None


def export(settings: ExportSettings) -> Iterator[Progress | ExportResult]:
    """Export a model; yield progress, and last the result.

    Args:
        settings: What to export.

    Yields:
        Progress, and last the result.

    Raises:
        ModelError: When the model directory is damaged, or its graph is not one that this version exports.
        RecipeError: When the model's recipe is absent or breaks its format.
        SourceError: When calibration or parity has no images.
        ClassFileError: When a class asks for what the model does not offer.
        ParityError: When the export does not say what the model says.
        EngineError: When the model does not run.
        BundleError: When the bundle cannot be written.
        MissingExtraError: When onnx, ONNX Runtime, OpenCV or tokenizers is needed and not installed.
    """
    require_onnx()
    model = Model.open(settings.model)
    recipe = load_recipe(settings.recipe or model.facts.recipe)
    precision = settings.precision or recipe.precision_default
    if precision not in EXPORTED:
        expected = " or ".join(EXPORTED)
        raise InputError(f"this version does not export {precision}", code="not_exported", expected=expected)
    out = settings.out or Path(f"{model.facts.name}-{precision}")
    Bundle.check_place(out)
    pictures = _parity_pictures(settings)
    draft = yield from _draft(settings, model, recipe, precision)
    with tempfile.TemporaryDirectory(prefix="edgezsl-export-") as folder:
        proved = _write(draft, Path(folder) / "draft", tuple(draft.encoders))
        names = everyday_prototypes(proved)
        classes, vocabulary = parity_prototypes(proved, settings.classes, pictures.labels, names)
        size = len(draft.encoders["fp32"])
        reference = Reference(model.facts.contract, draft.source, classes, vocabulary, size)
        report = yield from measure_parity(reference, proved, precision, pictures, draft.calibration, recipe.bounds)
    report_file = _write_report(report, out, draft)
    if report.outcome == "broken" and not settings.allow_broken_parity:
        raise _broken(report, report_file)
    bundle = _write(draft, out, (precision,), report=report, names=names)
    used = draft.calibration
    words = f"{len(used)} {used.kind}" if used and draft.quantized else ""
    yield ExportResult(bundle, report, report_file, words, draft.quantized)


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


def _draft(
    settings: ExportSettings, model: Model, recipe: Recipe, precision: Precision
) -> Generator[Progress, None, _Draft]:
    """Make the encoders, for the batch asked for, and prove that they take it."""
    facts, file, batch = model.facts, str(model.folder / IMAGE_ENCODER), settings.batch
    stored = model.read(IMAGE_ENCODER)
    single: dict[Precision, bytes] = {"fp32": portable_encoder(stored, facts.contract, facts.space, file)}
    calibration, quantized = None, None
    if precision == "int8" or facts.space.image_mean is None:
        calibration = yield from calibration_set(settings.calibration, facts.contract, recipe.calibration_images)
    if precision == "int8" and calibration is not None:
        steps = quantize_by_recipe(single["fp32"], facts.contract, facts.space.dim, recipe, calibration)
        quantized = yield from steps
        single["int8"] = quantized.data
    encoders = {name: with_batch(data, batch) for name, data in single.items()}
    alone = encoder_engine(single["fp32"], facts.contract, facts.space.dim)
    if batch.max > 1:
        check_batch(encoders["fp32"], facts.contract, facts.space.dim, batch, alone)
    golden = golden_set(encoders, facts.contract, facts.space.dim, batch, unit=facts.space.similarity == "cosine")
    # The stored graph itself, not ours: what we did to it is part of what is proved.
    source = encoder_engine(stored, facts.contract, facts.space.dim)
    return _Draft(model, recipe, batch, encoders, golden, source, calibration, quantized)


def _write(
    draft: _Draft,
    folder: Path,
    precisions: tuple[Precision, ...],
    *,
    report: ParityReport | None = None,
    names: ClassPrototypes | None = None,
) -> Bundle:
    """Write the bundle that holds the encoders of `precisions`, the last of them the one that runs."""
    facts = draft.model.facts
    encoders: dict[str, str] = {precision: f"image_encoder.{precision}.onnx" for precision in precisions}
    golden = draft.golden.of(sorted(precisions))
    manifest = Manifest(
        name=facts.name,
        contract=facts.contract,
        space=_with_means(draft, names),
        precision=precisions[-1],
        image_encoders=encoders,
        semantics=facts.semantics,
        golden={name: LEAST_COSINE[name] for precision in precisions for name in _ARITHMETIC[precision]},
        opset=opset_of(load_graph(draft.encoders[precisions[-1]], "the image encoder")),
        ir_version=IR_VERSION,
        batch=draft.batch,
        seen_classes=facts.seen_classes,
        seen_penalty=facts.seen_penalty,
        licence=facts.licence,
        provenance=_provenance(draft),
        parity=Parity(_OUTCOMES[report.outcome], report.bounds, report.figures) if report else None,
        verdicts={precision: verdicts(draft.encoders[precision]) for precision in precisions} if report else {},
    )
    files = {encoders[precision]: draft.encoders[precision] for precision in precisions}
    return Bundle.write(folder, manifest, {**files, **draft.model.class_side(), GOLDEN: golden.to_bytes()})


def _with_means(draft: _Draft, names: ClassPrototypes | None) -> EmbeddingSpace:
    """Return the model's space; where it has no means and the model embeds words, with measured ones."""
    space = draft.model.facts.space
    if space.image_mean is not None or draft.calibration is None or names is None:
        return space
    embeddings = embeddings_one_by_one(draft.source, draft.calibration.pixels)
    means = embeddings.mean(axis=0, dtype=np.float64), names.vectors.mean(axis=0, dtype=np.float64)
    image_mean, text_mean = (tuple(float(value) for value in mean.astype(np.float32)) for mean in means)
    return replace(space, image_mean=image_mean, text_mean=text_mean)


def _provenance(draft: _Draft) -> Provenance:
    import cv2
    import onnx
    import onnxruntime

    packages = {"numpy": np, "onnx": onnx, "onnxruntime": onnxruntime, "opencv": cv2}
    versions = {"edgezsl": __version__, **{name: str(package.__version__) for name, package in packages.items()}}
    used = draft.calibration
    recipe = draft.recipe.name
    if draft.quantized is not None and used is not None:
        recipe = f"{recipe}: {draft.quantized.plan}; calibrated on {len(used)} {used.kind}"
    return Provenance(
        source_model=draft.model.facts.source,
        recipe=recipe,
        calibration_count=len(used) if used else 0,
        calibration_digest=used.digest if used else "",
        versions=versions,
    )


def _write_report(report: ParityReport, out: Path, draft: _Draft) -> Path:
    """Write the report for programs and the page for people; return the path of the first."""
    file = out.with_name(f"{out.name}.report.json")
    made = _provenance(draft)
    known = {"made from": made.source_model, "recipe": made.recipe, "licence": draft.model.facts.licence.id}
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    quantized = draft.quantized
    page = parity_page(report, draft.model.facts.name, {**known, "versions": versions}, quantized)
    value = {**report.to_json(), "quantization": quantized.to_json() if quantized else None}
    try:
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_durably(file, canonical_json(value))
        write_durably(file.with_suffix(".html"), page.encode("utf-8", "replace"))
    except OSError as cause:
        message = f"the parity report cannot be written ({cause.strerror})"
        raise BundleError(message, code="not_writable", where=Place(str(file))) from cause
    return file


def _broken(report: ParityReport, file: Path) -> ParityError:
    faults = [f"{name} refuses it ({reason})" for name, reason in report.refused.items()]
    faults += [
        f"{bound} is {engine.figures[bound]:.4f} in {name}, expected at least {report.bounds[bound]}"
        for name, engine in report.engines.items()
        for bound in engine.broken
    ]
    return ParityError(
        f"the {report.precision} export does not say what the model says: {'; '.join(faults)}",
        code="broken_parity",
        where=Place(str(file.with_suffix(".html"))),
        hint="calibrate on photographs like the camera's (--calibration), keep more in float in a recipe of your own, "
        "export with --fp32, or record it with --allow-broken-parity",
    )
