"""How fast two CLIP image encoders are: PyTorch, ONNX Runtime and OpenVINO, in full precision and INT8, in one run.

    python benchmarks/clip_speed.py [--threads N] [--runs N] [--json FILE]

MobileCLIP2-S0 and TinyCLIP 8M/16, their architectures whole, with random weights: speed does not depend on what weights
say. Of their recipes' plans the INT8 files follow those that leave most in float, as no real weights were at hand to
choose: of MobileCLIP2-S0 the stem and the depthwise convolutions, of TinyCLIP nothing. Everything takes turns; frames are 1280 x 720.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from report import Report

from edgezsl.compile.draft import make_draft
from edgezsl.compile.recipe import load_recipe
from edgezsl.compile.torch_engine import source_subjects
from edgezsl.device import cpu_features
from edgezsl.encoders.model import Model
from edgezsl.evaluate.bench import BenchReport, bench, open_subjects
from edgezsl.manifest import Batch
from edgezsl.runtime.openvino_engine import OpenVinoEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgezsl.bundle import Bundle
    from edgezsl.compile.draft import Draft
    from edgezsl.encoders.source_model import SourceModel
    from edgezsl.evaluate.bench import Subject
    from edgezsl.manifest import Precision

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.encoders.sources import mobile_clip_source, tiny_clip_source  # they lie beside this folder

CLASSES = 1000
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8", "int8_dynamic")
FAST_FEATURES = {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
LEAST_LOADED, LEAST_FUSED, LEAST_INT8 = 5.0, 3.0, 1.5  # times as fast, on a processor with one of these
RECIPE = """\
format: edgezsl-recipe/1
name: timed
describes: The plan of its family that leaves most in float
opset: 17
precision_default: %s
quantization: {calibration_images: 16, dynamic: true, candidates: [%s]}
bounds: {cosine_mean: 0, centred_mean: 0, top1_agreement: 0}
"""
PLAN = "{calibrator: percentile, percentile: 99.99}"
PLANS = {"MobileCLIP2-S0": "{calibrator: percentile, percentile: 99.99, keep_float: [stem, depthwise]}"}


def drafted(source: SourceModel, place: Path, precisions: Sequence[Precision] = PRECISIONS, largest: int = 1) -> Bundle:
    """Return a bundle that holds a model in some precisions; that random weights are not proved costs no time.

    Args:
        source: The model.
        place: A folder for the bundle, and for what is made on the way.
        precisions: The precisions; the default one is INT8, or the first.
        largest: How many images its encoder takes at once.
    """
    model = Model.from_modules(place / source.name, source, opset=17)
    return drafted_model(model, PLANS.get(source.name, PLAN), place, precisions, largest)


def drafted_model(model: Model, plan: str, place: Path, precisions: Sequence[Precision], largest: int) -> Bundle:
    """Return a bundle that holds a model directory's image encoder in some precisions, made by one plan for INT8."""
    recipe = place / f"{model.folder.name}.yaml"
    default = "int8" if "int8" in precisions else precisions[0]
    recipe.write_text(RECIPE % (default, plan))
    found: list[Draft] = []

    def draft() -> Iterator[object]:
        batch = Batch(1, 1, largest)
        steps = make_draft(model, load_recipe(recipe), precisions, batch=batch, calibration=None, uint8=False)
        found.append((yield from steps))

    list(draft())
    return found[0].write(place / f"{model.folder.name}-bundle", precisions)


def subjects(source: SourceModel, place: Path, threads: int) -> Iterator[Subject]:
    """Yield everything that is timed of a model, PyTorch as loaded first."""
    for one in source_subjects(source, threads=threads):
        yield replace(one, name=one.name.partition(" px, ")[2])
    bundle = drafted(source, place)
    for one in open_subjects(bundle, None, PRECISIONS, threads=threads, cold=False):
        yield replace(one, name=one.engine.description)
    engine = OpenVinoEngine.open(bundle, "fp32", threads=threads, arithmetic="f32")
    called = engine.description.partition(", fp32")[0]
    yield replace(one, name=f"{called}, fp32 file, asked for fp32", engine=engine)


def measure(report: Report, source: SourceModel, place: Path, threads: int, runs: int) -> None:
    """Time a model and report medians, spread and ratios."""
    *_, found = bench(list(subjects(source, place, threads)), runs=runs, classes=CLASSES)
    assert isinstance(found, BenchReport)
    for kind in ("preprocess", "engine", "whole frame"):
        report.section(f"{source.name}, {kind}: median ms, in brackets minimum and 95th percentile")
        for one in found.timings:
            name = one.stage.partition(": ")[2]
            if one.stage.startswith(f"{kind}:"):
                report.add(f"{source.name}: {kind}: {name}", one.p50_ms, "ms")
                report.note(f"    [{one.least_ms:.1f}, {one.p95_ms:.1f}]")
    ratios(report, source.name, found)


def ratios(report: Report, name: str, found: BenchReport) -> None:
    """Report how many times as fast the best path is as PyTorch, and INT8 as full precision in one engine."""
    times = {one.stage: one.p50_ms for one in found.timings}
    whole = {stage: value for stage, value in times.items() if stage.startswith("whole frame")}
    loaded = next(value for stage, value in whole.items() if "as loaded" in stage)
    fused = next((value for stage, value in whole.items() if "re-parameterised" in stage), loaded)
    ours = {stage: value for stage, value in whole.items() if "file" in stage or "onnxruntime" in stage}
    best = min(ours, key=ours.__getitem__)
    fast = bool(FAST_FEATURES & set(found.cpu_features))
    report.section(f"{name}: times as fast as PyTorch, whole frame; the best is{best.partition(':')[2]}")
    report.add(f"{name}: than eager, as loaded", loaded / ours[best], least=LEAST_LOADED if fast else None)
    report.add(f"{name}: than eager, re-parameterised", fused / ours[best], least=LEAST_FUSED if fast else None)
    for engine, full in (("onnxruntime", "fp32"), ("openvino", "asked for fp32")):
        inside = {stage: value for stage, value in times.items() if stage.startswith(f"engine: {engine}")}
        plain = next(value for stage, value in inside.items() if full in stage)
        for stage, value in inside.items():
            if "int8" in stage:
                least = LEAST_INT8 if fast and "dynamic" not in stage else None
                small = stage.partition(": ")[2]
                report.add(f"{name}: than fp32 there, engine alone: {small}", plain / value, least=least)


def main() -> None:
    """Measure and print; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns of weights that it was not asked for
    report = Report("How fast are two CLIP image encoders?")
    report.note(
        f"torch {torch.__version__}; {asked.threads} threads each; {', '.join(cpu_features()) or 'no features'}"
    )
    if not FAST_FEATURES & set(cpu_features()):
        report.note("this processor has neither VNNI nor bf16: no ratio is held to a bar")
    with tempfile.TemporaryDirectory(prefix="edgezsl-clip-") as folder:
        for source in (mobile_clip_source(), tiny_clip_source()):
            measure(report, source, Path(folder), asked.threads, asked.runs)
    raise SystemExit(report.finish(asked.json))


if __name__ == "__main__":
    main()
