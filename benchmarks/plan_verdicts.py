"""What TensorRT's rules, and NVIDIA's own builder, say of every export: `edgezsl compile --dry-run`, on whole models.

    python benchmarks/plan_verdicts.py [--models NAME ...] [--json FILE]      (EDGEZSL_DATA: for mobilenetv2)

CLIP's architectures are whole with random weights, MobileNetV2 and the model of edgezsl as they are; each in four
precisions, for one to eight frames at once. The rules are ours, for four versions of TensorRT; the builder is TensorRT
for RTX, which needs no GPU to build (tests/tensorrt/compiler.py says what it stands for and what not). Nothing is run.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clip_speed import PLAN, PLANS, drafted_model
from report import Report

from edgezsl.compile.plan_check import PlanCheck, check_plans
from edgezsl.encoders.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgezsl.encoders.source_model import SourceModel
    from edgezsl.manifest import Precision

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.encoders import sources  # beside this folder
from tests.tensorrt.compiler import COMPILER, built, bundle_orders

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8_fp16")
LARGEST = 8
CONTRACT = {
    "contract": {
        "size": [224, 224],
        "resize": "shortest_edge_crop",
        "interpolation": "area",
        "dtype": "float32",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "input": "image",
        "output": "features",
    },
    "space": {"dim": 1280, "similarity": "cosine"},
}


def of_source(make: Callable[[], SourceModel], place: Path) -> Model:
    """Return a model of another library, with random weights."""
    source = make()
    return Model.from_modules(place / source.name, source, opset=17)


def mobilenetv2(place: Path) -> Model:
    """Return the MobileNetV2 of the reference data, as `edgezsl import` makes it."""
    contract = place / "contract.json"
    contract.write_text(json.dumps(CONTRACT))
    file = Path(os.environ["EDGEZSL_DATA"]) / "backbones" / "mobilenet_v2_ptq_fp32.onnx"
    out = place / "MobileNetV2"
    words = ["import", f"onnx:{file}", "--contract", str(contract), "--licence", "Apache-2.0", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "edgezsl", *words], check=True, capture_output=True)
    return Model.open(out)


MODELS: dict[str, Callable[[Path], Model]] = {
    "builtin": lambda _: Model.open(),
    "mobilenetv2": mobilenetv2,
    "tinyclip": partial(of_source, sources.tiny_clip_source),
    "mobileclip2-s0": partial(of_source, sources.mobile_clip_source),
    "vit-b-32": partial(of_source, sources.vit_b_32_source),
    "siglip-b-16": partial(of_source, sources.siglip_b_16_source),
}


def judge(report: Report, name: str, place: Path) -> None:
    """Report how many versions' rules take each precision of a model, and whether NVIDIA's builder makes a plan of it."""
    model = MODELS[name](place)
    plan = PLANS.get(model.folder.name, PLAN)
    bundle = drafted_model(model, plan, place, PRECISIONS, LARGEST)
    *_, check = check_plans(bundle)
    assert isinstance(check, PlanCheck)
    orders = bundle_orders(bundle)
    answers = dict(zip(orders, built(*orders.values()), strict=True))
    report.section(f"{name}: versions of TensorRT whose rules it keeps; the plan that NVIDIA's builder makes, in MiB")
    for precision in PRECISIONS:
        verdicts, answer = check.verdicts[precision], answers[precision]
        kept = sum(not check.refused(precision, version) for version in verdicts)
        report.add(f"{name}, {precision}: versions ({', '.join(verdicts)})", kept, least=len(verdicts))
        report.add(f"{name}, {precision}: plan", round(answer.plan_bytes / (1 << 20), 1), "MiB", least=0.1)
        if answer.error:
            report.note(f"    {answer.error}")
    for refusal in check.refusals:
        report.note(f"    {refusal}")


def main() -> None:
    """Judge and print; write JSON where asked, after each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns of weights that it was not asked for
    report, status = Report("Does every export keep TensorRT's rules, and does NVIDIA's builder take it?"), 0
    report.note(f"the builder: {' and '.join(COMPILER.requirements)}, for compute capability 8.6; nothing is run")
    for name in asked.models:
        with tempfile.TemporaryDirectory(prefix="edgezsl-plans-") as folder:
            judge(report, name, Path(folder))
        status = report.finish(asked.json)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
