"""How fast CLIP image encoders are on a GPU: PyTorch, ONNX Runtime on CUDA and TensorRT, in one run.

    python benchmarks/gpu.py [--models NAME ...] [--batches N ...] [--runs N] [--json FILE]

Architectures are whole, weights random: speed does not depend on what weights say. PyTorch runs eagerly, and compiled
with CUDA graphs, both in TF32 and in half precision; ONNX Runtime by `--engine onnx:cuda`; TensorRT by plans that are
built here. What is not installed is left out and said. A round runs each once, in turn, between two CUDA events: from
pixels in the host's memory to embeddings in the host's memory, as a station does it; PyTorch and ONNX Runtime then
once more with the pixels on the GPU already ("encoder alone"). Each answers as eager PyTorch does, or is not timed.
"""

from __future__ import annotations

import argparse
import copy
import logging
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from clip_speed import drafted
from report import Report

from edgezsl.errors import EdgezslError
from edgezsl.runtime.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.encoders.source_model import SourceModel
    from edgezsl.manifest import Precision

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.encoders.sources import mobile_clip_source, tiny_clip_source, vit_b_32_source  # beside this folder

MODELS = {"mobileclip2-s0": mobile_clip_source, "tinyclip": tiny_clip_source, "vit-b-32": vit_b_32_source}
PRECISIONS: tuple[Precision, ...] = ("fp16", "fp32")
LEAST_COSINE = 0.999  # of each embedding with that of eager PyTorch in full precision
WARM_UP = 5
_CUDA = torch.device("cuda")


@dataclass(frozen=True, slots=True)
class Runner:
    """One way to run an image encoder.

    Attributes:
        name: What it is called.
        run: Takes pixels `(N, 3, h, w)` float32 in the host's memory; returns embeddings `(N, D)` there.
        alone: Enqueues the encoder on PyTorch's stream, for pixels that are on the GPU; None where it does not offer that.
    """

    name: str
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    alone: Callable[[torch.Tensor], object] | None


def torch_runners(source: SourceModel) -> Iterator[Runner]:
    """Yield the encoder as PyTorch runs it: eagerly and compiled with CUDA graphs, in TF32 and in half precision."""
    for called, dtype in (("fp32", torch.float32), ("fp16", torch.float16)):
        module = copy.deepcopy(source.image_encoder).to(_CUDA, dtype).eval()
        compiled = torch.compile(module, mode="reduce-overhead", dynamic=False)
        for how, network in (("eager", module), ("compiled", compiled)):

            @torch.inference_mode()
            def alone(pixels: torch.Tensor, network: Any = network, dtype: torch.dtype = dtype) -> torch.Tensor:
                embeddings: torch.Tensor = network(pixels.to(dtype))
                return embeddings

            def run(pixels: NDArray[np.float32], alone: Any = alone) -> NDArray[np.float32]:
                rows: NDArray[np.float32] = alone(torch.from_numpy(pixels).to(_CUDA)).float().cpu().numpy()
                return rows

            yield Runner(f"torch {how}, {called}", run, alone)


def onnx_runner(bundle: Bundle, precision: Precision) -> Runner:
    """Return the bundle's encoder as `--engine onnx:cuda` runs it; alone, on PyTorch's stream, without copies.

    Raises:
        EdgezslError: When ONNX Runtime, its provider or a GPU is missing, or it disagrees with the golden set.
    """
    engine = open_engine(bundle, "onnx:cuda", precision=precision)
    import onnxruntime

    manifest = bundle.manifest
    options = {"user_compute_stream": str(torch.cuda.current_stream().cuda_stream)}
    graph = bundle.read(manifest.image_encoders[precision])
    session = onnxruntime.InferenceSession(graph, providers=[("CUDAExecutionProvider", options)], enable_fallback=0)

    def alone(pixels: torch.Tensor) -> None:
        embeddings = torch.empty((len(pixels), manifest.space.dim), device=_CUDA)
        binding = session.io_binding()
        for bind, name, tensor in (
            (binding.bind_input, manifest.contract.input, pixels),
            (binding.bind_output, manifest.contract.output, embeddings),
        ):
            bind(name, "cuda", 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
        session.run_with_iobinding(binding)

    return Runner(f"{engine.description} (onnx:cuda)", engine.run, alone)


def tensorrt_runner(bundle: Bundle, precision: Precision, plans: Path) -> Runner:
    """Build a plan of the bundle's encoder, and return it as `--engine tensorrt` runs it.

    Raises:
        EdgezslError: When TensorRT or a GPU is missing, or the plan does not pass.
    """
    from edgezsl.compile.plan_run import CompileSettings, compile_bundle

    list(compile_bundle(CompileSettings(bundle.folder, precision, plans)))
    engine = open_engine(bundle, "tensorrt", precision=precision, plans=plans)
    return Runner(engine.description, engine.run, None)


def runners(report: Report, source: SourceModel, place: Path, batch: int) -> list[Runner]:
    """Return every way that works here; note why another does not."""
    bundle = drafted(source, place, PRECISIONS, batch)
    found = list(torch_runners(source))
    for precision in PRECISIONS:
        for way in (onnx_runner, partial(tensorrt_runner, plans=place / "plans")):
            found += opened(report, way, bundle, precision)
    return found


def opened(report: Report, way: Callable[..., Runner], bundle: Bundle, precision: Precision) -> Iterator[Runner]:
    """Yield what `way` opens, or note why it does not."""
    try:
        yield way(bundle, precision)
    except EdgezslError as fault:
        report.note(f"{bundle.manifest.name}, {precision}: not timed: {fault}")


def events_ms(work: Callable[[], object]) -> float:
    """Return how long `work` takes between two events on PyTorch's stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def agreeing(report: Report, every: Sequence[Runner], pixels: NDArray[np.float32]) -> list[Runner]:
    """Return those that answer as the first does, warmed up; note the others."""
    wanted, kept = every[0].run(pixels), []
    for one in every:
        for _ in range(WARM_UP):
            rows = one.run(pixels)
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted, axis=1)
        least = float(((rows * wanted).sum(1) / lengths).min())
        if least >= LEAST_COSINE:
            kept.append(one)
        else:
            report.note(f"{one.name}: not timed: its cosine with eager PyTorch is {least:.4f}")
    return kept


def measure(report: Report, name: str, every: Sequence[Runner], pixels: NDArray[np.float32], runs: int) -> None:
    """Time what agrees, interleaved; report medians and how many times as fast as eager PyTorch in full precision."""
    kept = agreeing(report, every, pixels)
    on_gpu = torch.from_numpy(pixels).to(_CUDA)
    whole: dict[str, list[float]] = {one.name: [] for one in kept}
    alone: dict[str, list[float]] = {one.name: [] for one in kept if one.alone}
    for _ in range(WARM_UP + runs):
        for one in kept:
            whole[one.name].append(events_ms(partial(one.run, pixels)))
            if one.alone:
                alone[one.name].append(events_ms(partial(one.alone, on_gpu)))
    for kind, taken in (("host to host", whole), ("encoder alone", alone)):
        report.section(f"{name}, {len(pixels)} at once, {kind}: median ms [5th, 95th percentile], times eager fp32")
        first = None
        for called, times in taken.items():
            low, middle, high = np.percentile(times[WARM_UP:], [5, 50, 95])
            first = first or middle
            report.add(f"{name}, {len(pixels)}: {kind}: {called}", round(float(middle), 4), "ms")
            report.note(f"    [{low:.3f}, {high:.3f}]  {first / middle:.2f} x")


def main() -> None:
    """Measure and print; write JSON where asked, after each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns of weights that it was not asked for
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py: PyTorch sees no GPU here")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as ONNX Runtime and TensorRT do
    report = Report("How fast are CLIP image encoders on a GPU?")
    report.note(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    random, status = np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory(prefix="edgezsl-gpu-") as folder:
        for name in asked.models:
            source = MODELS[name]()
            every = runners(report, source, Path(folder), max(asked.batches))
            for batch in asked.batches:
                shape = (batch, 3, *source.contract.size)
                measure(report, source.name, every, random.standard_normal(shape, np.float32), asked.runs)
            status = report.finish(asked.json)
    raise SystemExit(status)


if __name__ == "__main__":
    main()
