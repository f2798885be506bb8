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


_KINDS = ("open_clip", "hf", "timm")


def torch_subjects(bundles: Sequence[Bundle], *, source: str | None, threads: int | None) -> Iterator[Subject]:
    """Load the models that bundles were made from; yield each as loaded, and as re-parameterised where that differs.

    Args:
        bundles: Bundles of imported models; several of one model are compared with it once.
        source: What was imported, such as `open_clip:NAME@/path/file`; None: what each bundle says, which of a local file
            is its name alone.
        threads: Of PyTorch, or None for its own choice.

    Yields:
        The subjects.

    Raises:
        InputError: When there is no such source, a bundle was not made from a model that can be loaded again, or `source`
            is another model than that of every bundle.
        ModelError: When one cannot be loaded now.
        MissingExtraError: When its library is not installed.
    """
    if source is not None and source.partition(":")[0] not in _KINDS:
        expected = "torch, or what was imported: open_clip:…, hf:… or timm:…"
        raise InputError(f"there is no {shown(source)} to compare with", code="unknown_source", expected=expected)
    spaces = {bundle.manifest.space.id: bundle for bundle in bundles}
    origins = [source] if source is not None else [_origin(bundle) for bundle in spaces.values()]
    for origin in origins:
        loaded = load_source(origin)
        if loaded.space.id not in spaces:
            expected = ", ".join(bundle.manifest.provenance.source_model for bundle in spaces.values())
            message = f"{shown(origin)} has other weights than the bundle was made from"
            raise InputError(message, code="other_weights", expected=expected)
        yield from source_subjects(loaded, threads=threads)


def _origin(bundle: Bundle) -> str:
    """Return what a bundle says it was made from, where that can be loaded again."""
    origin = bundle.manifest.provenance.source_model
    if origin.partition(":")[0] not in _KINDS or " " in origin:
        raise InputError(
            f"{bundle.manifest.name!r} was made from {origin!r}, which PyTorch cannot load",
            code="no_torch_model",
            expected="a bundle of `edgezsl import open_clip:…`, `hf:…` or `timm:…`",
            hint="name what was imported, with its path: --compare open_clip:NAME@/path/file",
        )
    return origin


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
