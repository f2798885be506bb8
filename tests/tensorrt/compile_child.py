"""Our builder on TensorRT for RTX: `compile_child.py FOLDER PACKAGE ORDERS`; prints the answers as one line of JSON."""

import importlib
import importlib.machinery
import json
import sys
import types
from pathlib import Path

folder, package, orders = sys.argv[1:]
sys.path[:0] = [folder, str(Path(__file__).parents[2])]
rtx = importlib.import_module(package)


class Builder(rtx.Builder):
    """The builder, for a GPU that is not there: of the kinds it knows the one next to Orin's 8.7."""

    def create_builder_config(self):
        config = super().create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx.ComputeCapability.SM86, 0)
        return config


trt = types.ModuleType("tensorrt")
trt.__dict__.update({name: value for name, value in vars(rtx).items() if not name.startswith("__")})
trt.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
trt.__version__ = "10.16.0"  # of what it stands for: the two are numbered apart
trt.Builder = Builder
sys.modules["tensorrt"] = trt

from edgezsl.compile import tensorrt_build  # noqa: E402  # after what it imports stands
from edgezsl.errors import EngineError  # noqa: E402
from edgezsl.manifest import Batch  # noqa: E402
from tests.factories import small_contract  # noqa: E402

LOADS = tensorrt_build._inspected


def answer(order):
    contract = small_contract(size=tuple(order["size"]), input=order["input"])
    cache = Path(order["cache"]).read_bytes() if order["cache"] else b""
    settings = tensorrt_build.BuildSettings(
        Path(order["onnx"]).name, contract, Batch(*order["batch"]), workspace_mib=512, timing_cache=cache
    )
    # To look into a plan it must be loaded, which takes a GPU.
    tensorrt_build._inspected = LOADS if order["load"] else lambda *_: '{"Layers": []}'
    steps = []

    def report(step):
        steps.append(step)
        return order["stop_after"] is None or len(steps) < order["stop_after"]

    try:
        plan = tensorrt_build.build_plan(Path(order["onnx"]).read_bytes(), settings, report)
    except EngineError as fault:
        return {"error": fault.message, "code": fault.code, "steps": len(steps)}
    if order["cache"]:
        Path(order["cache"]).write_bytes(plan.timing_cache)
    return {
        "plan_bytes": len(plan.data),
        "steps": len(steps),
        "cache_bytes": len(plan.timing_cache),
        "fresh_cache": plan.fresh_cache,
        "seconds": plan.seconds,
    }


print(json.dumps([answer(order) for order in json.loads(orders)]))  # noqa: T201  # that is how it answers
