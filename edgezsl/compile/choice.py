"""Which of a recipe's ways to quantize is taken: the first that says what the model says. Never by time.

It is judged on the calibration set. The parity report then looks at other images, so that the choice cannot flatter it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.compile.encoder_run import embeddings_one_by_one, encoder_engine
from edgezsl.compile.figures import agreement_figures
from edgezsl.compile.progress import Progress
from edgezsl.compile.quantize import collect_histograms, quantized_graph

if TYPE_CHECKING:
    from collections.abc import Generator

    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.ranges import Histogram
    from edgezsl.compile.recipe import QuantizationPlan, Recipe
    from edgezsl.contract import InputContract

_JUDGED_ON = 64  # images at most


def quantize_by_recipe(
    encoder: bytes, contract: InputContract, dim: int, recipe: Recipe, calibration: CalibrationSet
) -> Generator[Progress, None, tuple[bytes, QuantizationPlan]]:
    """Quantize an image encoder by the first plan of a recipe that meets its bounds; yield progress.

    Args:
        encoder: As `edgezsl.compile.graph.portable_encoder` makes it.
        contract: Its contract.
        dim: D.
        recipe: Gives plans and bounds.
        calibration: Sets the ranges.

    Returns:
        The INT8 encoder and its plan; where no plan meets the bounds, the one with the best centred cosine.

    Raises:
        ModelError: When nothing in the encoder can be quantized.
        EngineError: When it does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    histograms: dict[str, Histogram] = {}
    frames = (frame[None] for frame in calibration.pixels)
    for done in collect_histograms(encoder, frames, histograms):
        yield Progress("measuring ranges", done, len(calibration))
    judged = calibration.pixels[:: -(-len(calibration) // _JUDGED_ON)]
    model = embeddings_one_by_one(encoder_engine(encoder, contract, dim), judged)
    best: tuple[float, bytes, QuantizationPlan] | None = None
    for number, plan in enumerate(recipe.plans, 1):
        ranges = {name: one.range(plan.calibrator, plan.percentile) for name, one in histograms.items()}
        candidate = quantized_graph(encoder, ranges, plan.keep_float)
        figures = agreement_figures(model, embeddings_one_by_one(encoder_engine(candidate, contract, dim), judged))
        yield Progress("quantizing", number, len(recipe.plans))
        if all(figures[name] >= least for name, least in recipe.bounds.to_json().items() if name in figures):
            return candidate, plan
        if best is None or figures["centred_mean"] > best[0]:
            best = figures["centred_mean"], candidate, plan
    if best is None:
        raise ValueError("a recipe has at least one plan")
    return best[1:]
