"""From an image encoder to a TensorRT plan, on the GPU that will run it: numpy, tensorrt and cuda-bindings alone.

One way for every version from 10.3 to 11: the network is strongly typed, so that the precision is what the file says
(float16 by its types, INT8 by its pairs), and nothing is calibrated or chosen here; what earlier ways need is gone in 11.
A board has no package onnx: what the graph holds is told by TensorRT's own parser.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

from edgezsl.contract import CHANNELS
from edgezsl.errors import EngineError, Place
from edgezsl.evaluate.progress import Progress
from edgezsl.runtime.gpu import free_memory_mib
from edgezsl.runtime.tensorrt_engine import load_tensorrt
from edgezsl.runtime.tensorrt_log import tensorrt_fault, tensorrt_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import tensorrt as trt

    from edgezsl.contract import InputContract
    from edgezsl.manifest import Batch

WORKSPACE_SHARE = 4  # a quarter of the free memory: a board's GPU shares it with everything else
OPTIMIZATION_LEVELS = range(6)
_MIB = 1 << 20
_ERRORS = (RuntimeError, ValueError, TypeError)  # the binding raises built-ins only
_NO_PLAN = "TensorRT builds no plan of the graph"
_OTHER = "other"  # a layer whose type the inspector does not name
# How the inspector writes a type, alone (`Half`) or within a layout (`Row major linear FP16 format`): TensorRT 10's words.
_TYPE = re.compile(r"\b(int8|fp16|half|fp32|float|bf16|bfloat16|fp8|int4|int32|int64|uint8|bool)\b", re.IGNORECASE)
_CALLED = {"half": "FP16", "float": "FP32", "bfloat16": "BF16"}


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What is built, and how.

    Attributes:
        name: What the image encoder is called in progress and errors: its file.
        contract: Gives the name and the shape of the input.
        batch: The optimisation profile.
        workspace_mib: What the builder may use, or None for a quarter of the memory that is free.
        optimization_level: 0 to 5, or None for TensorRT's own.
        timing_cache: What an earlier build on this machine left, or empty.
    """

    name: str
    contract: InputContract
    batch: Batch
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: bytes = b""


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """A plan, and how it came about.

    Attributes:
        data: The plan.
        layers: How many layers compute in each type, such as `{"FP16": 40, "INT8": 12}`.
        workspace_mib: What the builder was allowed.
        optimization_level: How hard it tried.
        timing_cache: What the next build on this machine may start from.
        fresh_cache: Whether the timing cache that was given is of another machine or version, and was not used.
        seconds: How long it took.
    """

    data: bytes
    layers: Mapping[str, int]
    workspace_mib: int
    optimization_level: int
    timing_cache: bytes
    fresh_cache: bool
    seconds: float


def build_steps(onnx: bytes, settings: BuildSettings) -> Iterator[Progress | BuiltPlan]:
    """Build a plan; yield progress, and last the plan.

    TensorRT runs in a thread of its own, so that whoever looks on sees it move, and may end it: closing the iterator
    asks the builder to stop and waits for it.

    Args:
        onnx: An image encoder.
        settings: How.

    Yields:
        Progress, and last the plan.

    Raises:
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When TensorRT does not take the graph, or fails.
    """
    steps: SimpleQueue[Progress | None] = SimpleQueue()
    stopped = Event()

    def report(step: Progress) -> bool:
        steps.put(step)
        return not stopped.is_set()

    with ThreadPoolExecutor(1, thread_name_prefix="edgezsl[compile].build") as pool:
        building = pool.submit(build_plan, onnx, settings, report)
        building.add_done_callback(lambda _: steps.put(None))
        try:
            while (step := steps.get()) is not None:
                yield step
            yield building.result()
        finally:
            stopped.set()


def build_plan(onnx: bytes, settings: BuildSettings, report: Callable[[Progress], bool]) -> BuiltPlan:
    """Build a plan.

    Args:
        onnx: An image encoder.
        settings: How.
        report: Takes the builder's progress; answers whether to go on.

    Returns:
        The plan.

    Raises:
        MissingExtraError: When TensorRT or cuda-bindings is not installed.
        EngineError: When TensorRT does not take the graph, or fails.
    """
    trt = load_tensorrt()
    workspace = settings.workspace_mib or max(1, free_memory_mib() // WORKSPACE_SHARE)
    logger = tensorrt_logger(trt)
    logger.errors.clear()
    try:
        return _built(trt, logger, onnx, settings, workspace, report)
    except _ERRORS as cause:
        if isinstance(cause, EngineError):
            raise
        raise tensorrt_fault(_NO_PLAN, "build_failed", logger, file=settings.name, cause=cause) from cause


def layer_types(inspected: str) -> dict[str, int]:
    """Return how many layers of a plan compute in each type, the most frequent first.

    A layer computes in the type of its first input; where the inspector does not name that (`N/A due to dynamic shapes`),
    of its first output, else of its weights, else it counts as `other`.

    Args:
        inspected: What `IEngineInspector.get_engine_information` gives as JSON, of a plan built with detailed verbosity.

    Raises:
        EngineError: When it is not of that form.
    """
    try:
        layers = json.loads(inspected)["Layers"]
        counts: dict[str, int] = {}
        for layer in layers:
            kind = _layer_type(layer) if isinstance(layer, dict) else _OTHER  # a name alone, without detail
            counts[kind] = counts.get(kind, 0) + 1
    except (ValueError, LookupError, TypeError, AttributeError) as cause:
        message = f"TensorRT's inspector says of the plan what is not understood ({cause})"
        raise EngineError(message, code="bad_inspection") from cause
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _built(
    trt: Any, logger: Any, onnx: bytes, settings: BuildSettings, workspace: int, report: Callable[[Progress], bool]
) -> BuiltPlan:
    start = time.monotonic()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise _unparsed(parser, settings, logger)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace * _MIB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector names no types
    if settings.optimization_level is not None:
        config.builder_optimization_level = settings.optimization_level
    _add_profile(builder, network, config, settings)
    cache, accepted = _timing_cache(config, settings.timing_cache)
    monitor = _monitor(trt, settings.name, report)  # by a name of its own: it must live as long as the build
    config.progress_monitor = monitor
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise tensorrt_fault(_NO_PLAN, "build_failed", logger, file=settings.name)
    data = bytes(serialized)
    return BuiltPlan(
        data=data,
        layers=layer_types(_inspected(trt, logger, data, settings)),
        workspace_mib=workspace,
        optimization_level=int(config.builder_optimization_level),
        timing_cache=_measured(cache),
        fresh_cache=not accepted,
        seconds=round(time.monotonic() - start, 1),
    )


def slower_int8(p50_ms: Mapping[str, float], layers: Mapping[str, Mapping[str, int]]) -> str | None:
    """Return a sentence where INT8 does not pay on this machine, or None.

    Args:
        p50_ms: The median of one frame, by precision.
        layers: How many layers compute in each type, by precision.
    """
    slow = [name for name in ("int8_fp16", "int8") if p50_ms.get(name, 0) > p50_ms.get("fp16", float("inf"))]
    if not slow:
        return None
    said = []
    for name in slow:
        inside = layers[name].get("INT8", 0), sum(layers[name].values())
        said.append(f"{name} {p50_ms[name]:.2f} ms with {inside[0]} of {inside[1]} layers in INT8")
    return f"INT8 is slower than fp16 here ({p50_ms['fp16']:.2f} ms): {', '.join(said)}"


def _layer_type(layer: Mapping[str, Any]) -> str:
    tensors = [*layer.get("Inputs", ())[:1], *layer.get("Outputs", ())[:1]]
    weights = layer.get("Weights")
    texts = [str(tensor.get("Format/Datatype", "")) for tensor in tensors]
    texts += [str(weights.get("Type", ""))] if isinstance(weights, dict) else []
    found = next((match for text in texts if (match := _TYPE.search(text))), None)
    return _CALLED.get(found[1].lower(), found[1].upper()) if found else _OTHER


def _unparsed(parser: trt.OnnxParser, settings: BuildSettings, logger: Any) -> EngineError:
    """Return the error for a graph that the parser does not take: everything that it says, whole, with the nodes' names."""
    said = []
    for number in range(parser.num_errors):
        error: trt.ParserError = parser.get_error(number)
        number_there = error.node()  # below zero: of no node, but of the graph
        node = (
            f"node {error.node_name()!r} ({error.node_operator()}, number {number_there})"
            if number_there >= 0
            else "the graph"
        )
        said.append(f"{node}: {' '.join(error.desc().split())} [{error.code()}]")
    if not said:
        return tensorrt_fault("TensorRT's parser does not take the graph", "bad_graph", logger, file=settings.name)
    logger.errors.clear()
    return EngineError(
        f"TensorRT's parser does not take the graph: {'; '.join(said)}",
        code="bad_graph",
        where=Place(settings.name),
        hint="see what the rules say of it: edgezsl compile --dry-run; keep such nodes in float, or export another precision",
    )


def _add_profile(
    builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, settings: BuildSettings
) -> None:
    """Give the builder the range of the batch; a graph of a fixed number of frames has none."""
    contract, batch = settings.contract, settings.batch
    if network.num_inputs != 1 or network.get_input(0).name != contract.input:
        names = [network.get_input(number).name for number in range(network.num_inputs)]
        message = f"the graph has the inputs {names}"
        expected = f"{contract.input!r}, as the contract says"
        raise EngineError(message, code="bad_graph", where=Place(settings.name), expected=expected)
    if all(axis >= 0 for axis in network.get_input(0).shape):
        return
    profile = builder.create_optimization_profile()
    shapes = [(count, CHANNELS, *contract.size) for count in (batch.min, batch.opt, batch.max)]
    profile.set_shape(contract.input, *shapes)
    config.add_optimization_profile(profile)


def _timing_cache(config: trt.IBuilderConfig, data: bytes) -> tuple[trt.ITimingCache, bool]:
    """Give the builder what it measured before; return that, and whether it is of this machine and version."""
    cache = config.create_timing_cache(data)
    if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
        return cache, True
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache, False


def _measured(cache: trt.ITimingCache) -> bytes:
    return bytes(cache.serialize())


def _monitor(trt: Any, name: str, report: Callable[[Progress], bool]) -> Any:
    """Return what TensorRT tells its progress; its phases overlap, and each is shown as it moves."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # a vendor's class
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase
            self._totals[phase_name] = max(1, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            total = self._totals.get(phase_name, step + 1)
            return report(Progress(f"building {name}: {phase_name}", min(step + 1, total), total))

        def phase_finish(self, phase_name: str) -> None:
            total = self._totals.pop(phase_name, 1)
            report(Progress(f"building {name}: {phase_name}", total, total))

    return Monitor()


def _inspected(trt: Any, logger: Any, plan: bytes, settings: BuildSettings) -> str:
    """Return what the inspector says of a plan, as JSON."""
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise tensorrt_fault("TensorRT does not load the plan it built", "build_failed", logger, file=settings.name)
    said = str(engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON))
    del engine  # before the runtime
    return said
