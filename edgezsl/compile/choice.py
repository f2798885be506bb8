"""Which of a recipe's ways to quantize is taken: by how near it comes to the model, and never by time.

Plans that differ in nothing but how ranges are chosen compete. Of the first such group in which one meets the bounds,
the nearest of those that do is taken, so that no more stays in float than has to. Where there are no photographs nothing
competes, and the first plan that meets the bounds is taken: what is nearest on generated images need not be on photographs.

Where the images are of too few scenes, such as the frames of one film, the centred cosine decides nothing: with what they
have in common goes nearly all that they are.

Where none does, the nodes that INT8 hurts most are found and left in float, as few as the bounds need. All is judged on
the calibration set. The parity report then looks at other images, so that the choice cannot flatter it.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.encoder_run import embeddings_one_by_one, encoder_engine
from edgezsl.compile.equalize import equalized_graph
from edgezsl.compile.figures import agreement_figures
from edgezsl.compile.quantize import collect_histograms, quantized_graph
from edgezsl.compile.sensitivity import left_in_float, node_groups, only
from edgezsl.evaluate.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from edgezsl.compile.calibration import CalibrationSet
    from edgezsl.compile.ranges import Histogram
    from edgezsl.compile.recipe import QuantizationPlan, Recipe
    from edgezsl.contract import InputContract

_JUDGED_ON = 64  # images at most
_TIMED_RUNS = 9


@dataclass(frozen=True, slots=True)
class Trial:
    """A way to quantize that was tried.

    Attributes:
        plan: The way.
        figures: How near it came to the model (`edgezsl.compile.figures.agreement_figures`).
        bytes: Size of the file.
        p50_ms: Of one frame on one thread of ONNX Runtime: for people, never for a choice.
    """

    plan: QuantizationPlan
    figures: Mapping[str, float]
    bytes: int
    p50_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the object that the report holds."""
        return {
            "plan": str(self.plan),
            "keep_float": list(self.plan.keep_float),
            "figures": dict(self.figures),
            "bytes": self.bytes,
            "p50_ms": self.p50_ms,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """An encoder in INT8, and how it came about.

    Attributes:
        data: The ONNX file.
        encoder: What was quantized: the encoder in float, equalized where the plan says so.
        plan: How it was quantized.
        trials: What was tried, in order.
        losses: For each group of nodes what the centred cosine loses when the group alone is in INT8; empty where the
            recipe's own plans sufficed.
    """

    data: bytes
    encoder: bytes
    plan: QuantizationPlan
    trials: tuple[Trial, ...]
    losses: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the object that the report holds."""
        trials = [trial.to_json() for trial in self.trials]
        return {"plan": str(self.plan), "trials": trials, "losses": dict(self.losses)}


def quantize_by_recipe(
    encoder: bytes, contract: InputContract, dim: int, recipe: Recipe, calibration: CalibrationSet
) -> Generator[Progress, None, Quantized]:
    """Quantize an image encoder by the nearest of a recipe's first plans that meet its bounds; yield progress.

    Where none does, the most sensitive nodes are left in float, until the bounds are met.

    Args:
        encoder: As `edgezsl.encoders.graph.portable_encoder` makes it.
        contract: Its contract.
        dim: D.
        recipe: Gives plans and bounds.
        calibration: Sets the ranges.

    Returns:
        The INT8 encoder; where nothing meets the bounds, the one with the best centred cosine.

    Raises:
        ModelError: When nothing in the encoder can be quantized.
        EngineError: When it does not run.
        MissingExtraError: When onnx or ONNX Runtime is not installed.
    """
    judged = calibration.pixels[:: -(-len(calibration) // _JUDGED_ON)]
    model = embeddings_one_by_one(encoder_engine(encoder, contract, dim), judged)
    bounds = recipe.bounds.to_json()
    if calibration.few_scenes:
        del bounds["centred_mean"]
    bench = _Bench(encoder, contract, dim, bounds, judged, model)
    for (equalize, _), plans in itertools.groupby(recipe.plans, lambda plan: (plan.equalize, plan.keep_float)):
        if equalize not in bench.measured:
            yield from _measure(bench, calibration, equalize=equalize)
        held = False
        for plan in plans:
            held |= bench.attempt(plan)
            yield Progress("quantizing", len(bench.trials), len(recipe.plans))
            if held and calibration.generated:
                break
        if held:
            return bench.result({})
    losses = yield from _losses(bench)
    return (yield from _searched(bench, losses))


def _measure(bench: _Bench, calibration: CalibrationSet, *, equalize: bool) -> Generator[Progress, None, None]:
    """Measure the ranges of the encoder, as it is or equalized."""
    encoder = bench.encoder
    if equalize:
        yield Progress("equalizing channels", 0, 1)
        encoder = equalized_graph(encoder, (frame[None] for frame in calibration.pixels))
        yield Progress("equalizing channels", 1, 1)
    histograms: dict[str, Histogram] = {}
    for done in collect_histograms(encoder, (frame[None] for frame in calibration.pixels), histograms):
        yield Progress("measuring ranges", done, len(calibration))
    bench.measured[equalize] = encoder, histograms


@dataclass(slots=True, eq=False)
class _Bench:
    """Tries plans, and remembers the best.

    Attributes:
        encoder: What is to be quantized, with its contract and dimension.
        bounds: What a plan must reach, by the figure's name.
        judged: The pixels that a plan is judged on, and the answers of the encoder in float to them: `model`.
        measured: The encoder and the histograms of its tensors: as it is, and equalized, by whether it is equalized.
        trials: What was tried.
        best: Whether it meets the bounds with its centred cosine, the file, and the plan.
    """

    encoder: bytes
    contract: InputContract
    dim: int
    bounds: Mapping[str, float]
    judged: NDArray[Any]
    model: NDArray[np.float32]
    measured: dict[bool, tuple[bytes, Mapping[str, Histogram]]] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    best: tuple[tuple[bool, float], bytes, QuantizationPlan] | None = None

    def quantized(self, plan: QuantizationPlan) -> tuple[bytes, dict[str, float]]:
        """Quantize by a plan, and compare."""
        encoder, histograms = self.measured[plan.equalize]
        ranges = {name: one.range(plan.calibrator, plan.percentile) for name, one in histograms.items()}
        data = quantized_graph(encoder, ranges, plan.keep_float)
        engine = encoder_engine(data, self.contract, self.dim)
        return data, agreement_figures(self.model, embeddings_one_by_one(engine, self.judged))

    def attempt(self, plan: QuantizationPlan) -> bool:
        """Try a plan, and return whether it meets the bounds. One that does is better than every one that does not."""
        data, figures = self.quantized(plan)
        self.trials.append(Trial(plan, figures, len(data), self._p50_ms(data)))
        held = all(figures[name] >= least for name, least in self.bounds.items() if name in figures)
        if self.best is None or (held, figures["centred_mean"]) > self.best[0]:
            self.best = (held, figures["centred_mean"]), data, plan
        return held

    def result(self, losses: Mapping[str, float]) -> Quantized:
        """Return the best of what was tried."""
        if self.best is None:
            raise ValueError("a recipe has at least one plan")
        _, data, plan = self.best
        return Quantized(data, self.measured[plan.equalize][0], plan, tuple(self.trials), losses)

    def _p50_ms(self, data: bytes) -> float:
        engine, frame = encoder_engine(data, self.contract, self.dim), self.judged[:1]
        taken = []
        for _ in range(1 + _TIMED_RUNS):
            start = time.perf_counter()
            engine.run(frame)
            taken.append(1000 * (time.perf_counter() - start))
        return round(float(np.median(taken[1:])), 3)


def _losses(bench: _Bench) -> Generator[Progress, None, dict[str, float]]:
    """Quantize one group of nodes at a time, by the best plan's ranges, and return what each loses."""
    groups = node_groups(bench.encoder)
    plan = bench.result({}).plan
    losses = {}
    for number, name in enumerate(groups, 1):
        others = [node for other, nodes in groups.items() if other != name for node in nodes]
        figures = bench.quantized(replace(plan, keep_float=only(others)))[1]
        losses[name] = round(max(1 - figures["centred_mean"], 0.0), 6)
        yield Progress("looking for what INT8 hurts", number, len(groups))
    return losses


def _searched(bench: _Bench, losses: Mapping[str, float]) -> Generator[Progress, None, Quantized]:
    """Leave the most sensitive groups in float, one more at a time, until the bounds are met."""
    groups, plan = node_groups(bench.encoder), bench.result({}).plan
    order = sorted(losses, key=lambda name: -losses[name])
    needed = len(left_in_float(losses, 1 - bench.bounds.get("centred_mean", bench.bounds["cosine_mean"])))
    first = max(min(needed, len(order) - 1), 1)  # where the bounds are out of reach, the nearest is still of use
    for count in range(first, len(order)):
        kept = only([node for name in order[:count] for node in groups[name]])
        found = bench.attempt(replace(plan, keep_float=kept))
        yield Progress("leaving in float what INT8 hurts", count, len(order))
        if found:
            break
    return bench.result(losses=losses)
