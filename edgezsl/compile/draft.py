"""The encoders of an export before they are proved, and the bundle that holds them.

From a model's graph: the portable form, the precisions that are asked for, the golden answers, and what the manifest says
of how all that came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgezsl import __version__
from edgezsl.bundle import GOLDEN, Bundle
from edgezsl.compile.calibration import calibration_set
from edgezsl.compile.choice import quantize_by_recipe
from edgezsl.compile.encoder_run import check_batch, check_finite, embeddings_one_by_one, encoder_engine
from edgezsl.compile.golden_set import golden_set
from edgezsl.compile.half import half_graph, largest_magnitudes
from edgezsl.compile.quantize import dynamic_graph
from edgezsl.compile.rules import verdicts
from edgezsl.encoders.graph import IR_VERSION, load_graph, opset_of, portable_encoder, with_batch, with_uint8_input
from edgezsl.encoders.model import IMAGE_ENCODER
from edgezsl.evaluate.progress import Progress
from edgezsl.manifest import Batch, Manifest, Parity, Provenance
from edgezsl.runtime.golden import LEAST_COSINE, agreement

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from edgezsl.bundle import GoldenSet
    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.choice import Quantized
    from edgezsl.compile.parity_report import Outcome, ParityReport
    from edgezsl.compile.recipe import Recipe
    from edgezsl.contract import EmbeddingSpace, InputContract
    from edgezsl.encoders.model import Model
    from edgezsl.manifest import Fallback, Precision
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import FunctionEngine

# What an engine may compute a file in, each with a golden bound of its own.
_ARITHMETIC: dict[Precision, tuple[str, ...]] = {
    "fp32": ("fp32", "bf16", "fp16"),
    "fp16": ("fp16",),
    "int8": ("int8",),
    "int8_fp16": ("int8_fp16",),
    "int8_dynamic": ("int8_dynamic",),
}
_LEAST_GOLDEN = 0.95  # below it a golden test would tell too little
CALIBRATED: frozenset[Precision] = frozenset({"fp16", "int8", "int8_fp16"})
_OUTCOMES: dict[Outcome, Literal["passed", "too_few", "broken_allowed"]] = {
    "passed": "passed",
    "too_few": "too_few",
    "broken": "broken_allowed",
}


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What is known before parity is measured.

    Attributes:
        model: What is exported.
        recipe: How.
        contract: Of the encoders: the model's, but for the type of the pixels.
        batch: Frames at once.
        encoders: The ONNX file of each precision, `fp32` first and always.
        golden: Frames and the answers of every encoder.
        source: The model's own graph as it lies in its directory.
        calibration: What set ranges and means, or None.
        quantized: How it came to INT8, or None.
    """

    model: Model
    recipe: Recipe
    contract: InputContract
    batch: Batch
    encoders: Mapping[Precision, bytes]
    golden: GoldenSet
    source: FunctionEngine
    calibration: CalibrationSet | None
    quantized: Quantized | None

    def provenance(self, precision: Precision) -> Provenance:
        """Return where the encoder of a precision comes from."""
        import cv2
        import onnx
        import onnxruntime

        packages = {"numpy": np, "onnx": onnx, "onnxruntime": onnxruntime, "opencv": cv2}
        versions = {"edgezsl": __version__, **{name: str(package.__version__) for name, package in packages.items()}}
        used = self.calibration
        recipe = self.recipe.name
        if self.quantized is not None and used is not None and precision in {"int8", "int8_fp16"}:
            recipe = f"{recipe}: {self.quantized.plan}; calibrated on {len(used)} {used.kind}"
        return Provenance(
            source_model=self.model.facts.source,
            recipe=recipe,
            calibration_count=len(used) if used else 0,
            calibration_digest=used.digest if used else "",
            versions=versions,
        )

    def write(
        self,
        folder: Path,
        precisions: Sequence[Precision],
        *,
        report: ParityReport | None = None,
        names: ClassPrototypes | None = None,
        fallback: Fallback | None = None,
    ) -> Bundle:
        """Write the bundle that holds the encoders of `precisions`, the last of them the one that runs.

        Args:
            folder: Where.
            precisions: In order, one at least.
            report: Of the last, or None before it is measured.
            names: Everyday names, from which a space without means gets its mean of texts.
            fallback: What was asked for and not kept, or None.

        Raises:
            BundleError: When it cannot be written.
        """
        facts = self.model.facts
        encoders: dict[str, str] = {precision: f"image_encoder.{precision}.onnx" for precision in precisions}
        manifest = Manifest(
            name=facts.name,
            contract=self.contract,
            space=self._with_means(names),
            precision=precisions[-1],
            image_encoders=encoders,
            semantics=self.model.device_semantics,
            golden=golden_bounds(self.golden, precisions),
            opset=opset_of(load_graph(self.encoders[precisions[-1]], "the image encoder")),
            ir_version=IR_VERSION,
            batch=self.batch,
            seen_classes=facts.seen_classes,
            seen_penalty=facts.seen_penalty,
            licence=facts.licence,
            provenance=self.provenance(precisions[-1]),
            parity=Parity(_OUTCOMES[report.outcome], report.bounds, report.figures) if report else None,
            verdicts={precision: verdicts(self.encoders[precision]) for precision in precisions} if report else {},
            fallback=fallback,
        )
        golden = self.golden.of(sorted(precisions)).to_bytes()
        files = {encoders[precision]: self.encoders[precision] for precision in precisions}
        return Bundle.write(folder, manifest, {**files, **self.model.class_side(), GOLDEN: golden})

    def _with_means(self, names: ClassPrototypes | None) -> EmbeddingSpace:
        """Return the model's space; where it has no means and the model embeds words, with measured ones."""
        space = self.model.facts.space
        if space.image_mean is not None or self.calibration is None or names is None:
            return space
        full = encoder_engine(self.encoders["fp32"], self.contract, space.dim, self.batch)
        embeddings = embeddings_one_by_one(full, self.calibration.pixels)
        means = embeddings.mean(axis=0, dtype=np.float64), names.vectors.mean(axis=0, dtype=np.float64)
        image_mean, text_mean = (tuple(float(value) for value in mean.astype(np.float32)) for mean in means)
        return replace(space, image_mean=image_mean, text_mean=text_mean)


def golden_bounds(golden: GoldenSet, precisions: Sequence[Precision]) -> dict[str, float]:
    """Return the least agreement with the golden answers for each arithmetic in which an engine may compute the encoders.

    Two engines that compute an INT8 file rightly add in another order, so that values near the middle between two levels
    fall to different ones, and the next layer carries that on. Their errors are those of the file, and independent: apart
    they are about twice as far, in 1 - cosine, as each is from the model, and no engine can be asked to be nearer.

    Args:
        golden: The answers of the encoders and, where INT8 is among them, of the one in full precision.
        precisions: The encoders of the bundle.
    """
    bounds = {name: LEAST_COSINE[name] for precision in precisions for name in _ARITHMETIC[precision]}
    model = golden.embeddings["fp32"]
    for name in {"int8", "int8_fp16"}.intersection(precisions):
        apart = 1 - 2 * (1 - float(agreement(model, golden.embeddings[name]).min()))
        bounds[name] = min(bounds[name], max(math.floor(apart * 1000) / 1000, _LEAST_GOLDEN))
    return bounds


def make_draft(
    model: Model,
    recipe: Recipe,
    precisions: Sequence[Precision],
    *,
    batch: Batch,
    calibration: str | None,
    uint8: bool,
) -> Generator[Progress, None, Draft]:
    """Make the encoders, for the batch asked for, and check that they take it; yield progress.

    Args:
        model: What to export.
        recipe: How.
        precisions: Which to make beside `fp32`.
        batch: Frames at once.
        calibration: Where images come from that set ranges, or None for generated ones.
        uint8: Whether the graph takes pixels as they are, and normalises them itself.

    Raises:
        ModelError: When the graph is not one that this version exports.
        SourceError: When there is nothing to calibrate on.
        EngineError: When the model does not run.
        MissingExtraError: When onnx, ONNX Runtime or OpenCV is not installed.
    """
    facts, file = model.facts, str(model.folder / IMAGE_ENCODER)
    stored, dim = model.read(IMAGE_ENCODER), facts.space.dim
    full, contract = portable_encoder(stored, facts.contract, facts.space, file), facts.contract
    if uint8 and contract.dtype != "uint8":
        full, contract = with_uint8_input(full, contract), replace(contract, dtype="uint8")
    whole = encoder_engine(full, contract, dim)
    check_finite(whole, contract)
    used, quantized = None, None
    if CALIBRATED & set(precisions) or facts.space.image_mean is None:
        used = yield from calibration_set(calibration, contract, recipe.calibration_images)
    if used is not None and set(precisions) & {"int8", "int8_fp16"}:
        quantized = yield from quantize_by_recipe(full, contract, dim, recipe, used)
    single: dict[Precision, bytes] = {"fp32": full}
    single |= yield from _smaller(full, quantized, precisions, used)
    encoders = {name: with_batch(data, batch) for name, data in single.items()}
    if batch.max > 1:
        check_batch(encoders["fp32"], contract, dim, batch, whole)
    golden = golden_set(encoders, contract, dim, batch, unit=facts.space.similarity == "cosine")
    # The stored graph itself, not ours: what we did to it is part of what is proved.
    source = encoder_engine(stored, facts.contract, dim)
    return Draft(model, recipe, contract, batch, encoders, golden, source, used, quantized)


def _smaller(
    full: bytes, quantized: Quantized | None, precisions: Sequence[Precision], used: CalibrationSet | None
) -> Generator[Progress, None, dict[Precision, bytes]]:
    """Return the encoders in less than full precision, each that was asked for."""
    made: dict[Precision, bytes] = {}
    if "int8" in precisions and quantized is not None:
        made["int8"] = quantized.data
    if "int8_dynamic" in precisions:
        made["int8_dynamic"] = dynamic_graph(full)
    if used is None or not set(precisions) & {"fp16", "int8_fp16"}:
        return made
    yield Progress("looking for what float16 cannot hold", 0, 1)
    sources: dict[Precision, tuple[bytes, bytes]] = {"fp16": (full, full)}
    if quantized is not None:
        sources["int8_fp16"] = quantized.encoder, quantized.data
    largest: dict[bytes, dict[str, float]] = {}  # both are one graph, unless channels were equalized
    for precision, (encoder, data) in sources.items():
        if precision in precisions:
            if encoder not in largest:
                largest[encoder] = largest_magnitudes(encoder, (frame[None] for frame in used.pixels))
            made[precision] = half_graph(data, largest[encoder])
    yield Progress("looking for what float16 cannot hold", 1, 1)
    return made
