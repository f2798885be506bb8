"""Makes our sources do all that they do with TensorRT, over the recording fake: the other direction of the check."""

import contextlib

import numpy as np

from edgezsl.compile.tensorrt_build import BuildSettings, build_plan
from edgezsl.errors import EngineError
from edgezsl.manifest import Batch
from edgezsl.runtime.tensorrt_engine import TensorRtEngine
from tests.factories import image_encoder, small_contract
from tests.fake_plans import plan_bytes
from tests.fakes_tensorrt import Machine
from tests.fakes_tensorrt_build import BuildMachine

DIM = 4


def run_engine(monkeypatch):
    """Load plans that are good and bad, run some numbers of images, close; return what was used of TensorRT."""
    machine = Machine().install(monkeypatch)
    batch = Batch(1, 1, 8)
    for dtype in ("float32", "uint8"):
        contract = small_contract(dtype=dtype)
        plan = plan_bytes(contract, DIM, batch)
        engine = TensorRtEngine(plan, contract=contract, dim=DIM, batch=batch, precision="int8")
        for count in (1, 1, 2, 3, 4, 5, 9):
            engine.run(np.zeros((count, 3, *contract.size), dtype))
        engine.close()
        with contextlib.suppress(EngineError):
            TensorRtEngine(b"damaged", contract=contract, dim=DIM, batch=batch, precision="int8")
    return machine.record


def run_builder(monkeypatch):
    """Build plans with and without a timing cache, and of graphs that the parser or we refuse; return what was used."""
    machine = BuildMachine().install(monkeypatch)
    contract = small_contract()
    graph = image_encoder(contract)

    def build(contract=contract, cache=b""):
        settings = BuildSettings("e.onnx", contract, Batch(1, 2, 8), 64, optimization_level=3, timing_cache=cache)
        return build_plan(graph, settings, lambda _: True)

    for cache in (b"", b"garbage", b"of another machine"):
        build(cache=cache)
    with contextlib.suppress(EngineError):
        build(small_contract(input="pixels"))
    machine.parser_errors = [(3, "conv", "Conv", "no such operator")]
    with contextlib.suppress(EngineError):
        build()
    return machine.record


def run_everything(monkeypatch):
    """Run every source that uses TensorRT; return what was used."""
    return run_engine(monkeypatch).joined(run_builder(monkeypatch))
