"""The model that a bundle was imported from, as its own library runs it in PyTorch: what a benchmark compares with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgezsl.compile.import_run import load_source
from edgezsl.errors import InputError, shown
from edgezsl.evaluate.bench import Subject
from edgezsl.runtime.engine import FunctionEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.encoders.source_model import SourceModel
    from edgezsl.evaluate.bench import Preprocess


def torch_subjects(bundle: Bundle, *, source: str | None, threads: int | None) -> Iterator[Subject]:
    """Load the model that a bundle was made from; yield it as loaded, and as re-parameterised where that differs.

    Args:
        bundle: A bundle of an imported model.
        source: What was imported, such as `open_clip:NAME@/path/file`; None: what the bundle says, which of a local file is
            its name alone.
        threads: Of PyTorch, or None for its own choice.

    Raises:
        InputError: When the bundle was not made from a model that can be loaded again, or from another than `source`.
        ModelError: When it cannot be loaded now.
        MissingExtraError: When its library is not installed.
    """
    origin = source or bundle.manifest.provenance.source_model
    if origin.partition(":")[0] not in {"open_clip", "hf", "timm"} or " " in origin:
        raise InputError(
            f"{bundle.manifest.name!r} was made from {origin!r}, which PyTorch cannot load",
            code="no_torch_model",
            expected="a bundle of `edgezsl import open_clip:…`, `hf:…` or `timm:…`",
            hint="name what was imported, with its path: --compare open_clip:NAME@/path/file",
        )
    loaded = load_source(origin)
    if loaded.space.id != bundle.manifest.space.id:
        message = f"{shown(origin)} has other weights than {bundle.manifest.name!r} was made from"
        raise InputError(message, code="other_weights", expected=bundle.manifest.provenance.source_model)
    return source_subjects(loaded, threads=threads)


def source_subjects(source: SourceModel, *, threads: int | None) -> Iterator[Subject]:
    """Yield a constructed model as PyTorch runs it, eagerly: as loaded, and as re-parameterised where that differs.

    Frames go through its own library's preprocessing, as they do where no edgezsl is.

    Args:
        source: The model.
        threads: Of PyTorch, or None for its own choice.
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    kinds = {"as loaded": source.as_loaded or source.image_encoder}
    if source.as_loaded is not None:
        kinds["re-parameterised"] = source.image_encoder
    for how, module in kinds.items():
        name = f"{source.name} {source.contract.size[0]} px, torch {torch.__version__} {how}"
        engine = FunctionEngine(_runner(module))
        yield Subject(name, engine, source.contract, source.space, preprocess=_preprocess(source))


def _preprocess(source: SourceModel) -> Preprocess:
    """Return the preprocessing of a model's own library, for arrays in place of its images."""
    import torch
    from PIL import Image

    def pixels_of(frames: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        stacked: NDArray[Any] = torch.stack([source.preprocess(Image.fromarray(frame)) for frame in frames]).numpy()
        return stacked

    return pixels_of


def _runner(module: Any) -> Any:
    import torch

    def run(pixels: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            rows: NDArray[np.float32] = module(torch.from_numpy(pixels)).numpy()
        return rows

    return run
