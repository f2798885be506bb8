"""From the plans on disk to an engine: what `run` loads, and how `compile` loads what it proves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.runtime.gpu import this_machine
from edgezsl.runtime.plans import PlanStore, plans_folder
from edgezsl.runtime.tensorrt_engine import TensorRtEngine, load_tensorrt

if TYPE_CHECKING:
    from pathlib import Path

    from edgezsl.bundle import Bundle
    from edgezsl.runtime.plan_record import Machine


def tensorrt_machine() -> Machine:
    """Return what a plan that is built or run here is bound to: TensorRT and the first GPU.

    Raises:
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When there is no GPU, or TensorRT is of a version that is not supported.
    """
    return this_machine(load_tensorrt().__version__)


def open_plan(bundle: Bundle, *, precision: str | None = None, plans: Path | None = None) -> TensorRtEngine:
    """Load a plan of a bundle that fits this machine; nothing is built.

    Args:
        bundle: The bundle.
        precision: The one asked for, or None for what the last `edgezsl compile` selected.
        plans: Where plans lie, or None for the usual place.

    Raises:
        InputError: When the bundle has no image encoder of that precision.
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When there is no GPU, no plan, or none that may be used here, saying what to run.
    """
    machine = tensorrt_machine()  # without TensorRT, plans are nobody's concern
    plan = PlanStore(plans_folder(plans)).choose(bundle, machine, precision)
    return engine_of_plan(plan.read(), bundle, plan.record.identity.precision, file=str(plan.path))


def engine_of_plan(plan: bytes, bundle: Bundle, precision: str, *, file: str) -> TensorRtEngine:
    """Load a plan that was just built, or was checked when it was read.

    Args:
        plan: The plan.
        bundle: What it was built from.
        precision: Of the image encoder.
        file: What to call the plan in errors.

    Raises:
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When there is no GPU, or TensorRT does not load the plan.
    """
    manifest = bundle.manifest
    contract, batch, dim = manifest.contract, manifest.batch, manifest.space.dim
    return TensorRtEngine(plan, contract=contract, dim=dim, batch=batch, precision=precision, file=file)
