"""The model that a bundle was imported from, as its own library runs it in PyTorch: what a benchmark compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgezsl.compile.import_run import load_source
from edgezsl.errors import InputError
from edgezsl.evaluate.bench import Subject
from edgezsl.runtime.engine import FunctionEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.encoders.source_model import SourceModel


def torch_subjects(bundle: Bundle, *, threads: int | None) -> Iterator[Subject]:
    """Load the model that a bundle was made from; yield it as loaded, and as re-parameterised where that differs.

    Args:
        bundle: A bundle of an imported model.
        threads: Of PyTorch, or None for its own choice.

    Raises:
        InputError: When the bundle was not made from a model that can be loaded again.
        ModelError: When it cannot be loaded now.
        MissingExtraError: When its library is not installed.
    """
    origin = bundle.manifest.provenance.source_model
    if origin.partition(":")[0] not in {"open_clip", "hf", "timm"} or " " in origin:
        raise InputError(
            f"{bundle.manifest.name!r} was made from {origin!r}, which PyTorch cannot load",
            code="no_torch_model",
            expected="a bundle of `edgezsl import open_clip:…`, `hf:…` or `timm:…`",
        )
    return source_subjects(load_source(origin), threads=threads)


def source_subjects(source: SourceModel, *, threads: int | None) -> Iterator[Subject]:
    """Yield a constructed model as PyTorch runs it, eagerly: as loaded, and as re-parameterised where that differs.

    Args:
        source: The model.
        threads: Of PyTorch, or None for its own choice.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    kinds = {"as loaded": source.as_loaded, "re-parameterised": source.image_encoder}
    for how, module in kinds.items():
        if module is not None:
            name = f"{source.name} {source.contract.size[0]} px, torch {torch.__version__} {how}"
            yield Subject(name, FunctionEngine(_runner(module)), source.contract, source.space)


def _runner(module: Any) -> Any:
    import torch

    def run(pixels: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows: NDArray[np.float32] = module(torch.from_numpy(pixels)).numpy()
        return rows

    return run
