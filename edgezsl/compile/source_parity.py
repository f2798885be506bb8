"""Is an import what its library says? From the library's own preprocessing and tokenizer to ours, and on to the graphs.

Stage 0 is the library: an image file, read by Pillow, and a text through its own code. Stage 1 is its network on our
pixels and our tokens, stage 2 the ONNX graphs. Only 0 to 1 sees a wrong contract; where it does, the contract's fields are varied one at a time,
and the variation that helps most names what is wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from edgezsl.bundle import TEXT_ENCODER, TOKENIZER
from edgezsl.compile.figures import agreement_figures, cosines
from edgezsl.compile.worst import Gallery
from edgezsl.contract import Interpolation, Resize
from edgezsl.encoders.model import IMAGE_ENCODER
from edgezsl.encoders.modules import IDS
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text import tokenizer_from
from edgezsl.runtime.text_cleaning import text_cleaner

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgezsl.compile.pictures import Picture
    from edgezsl.compile.worst import WorstImage
    from edgezsl.contract import InputContract
    from edgezsl.encoders.source_model import SourceModel, TextSide

# What must hold: at least, for what is alike; at most, for what differs.
LEAST = {"preprocessing_mean": 0.99, "preprocessing_centred": 0.995, "texts_worst": 0.999}
MOST = {
    "as_loaded_difference": 1e-4,  # folding a normalisation into a convolution rounds otherwise
    "image_graph_difference": 1e-5,
    "text_graph_difference": 1e-5,
    "texts_of_other_tokens": 0.0,
}
TEXTS = (
    *("a photo of a cat.", "a photo of the dog on a red sofa.", "forklift", "an empty aisle in a warehouse", "a"),
    *(
        "it's a child's toy, isn't it?",
        "  two   spaces\tand a tab ",
        "C++ & C# &amp; &lt;tags&gt;",
        "3.14 and 1,000 m²",
    ),
    *(
        "“curly quotes” and \u2018others\u2019 — with dashes…",
        "café crème, naïve façade",
        "über straße",
        "snake_case_name",
        "UPPER CASE",
    ),
    *(
        "🐈 a cat emoji 👍🏽",
        "猫と犬",
        "кошка и собака",
        "a 'quoted' word",
        "x" * 120,
        "word " * 120,
        "half-open (brackets",
        "#1 @home",
    ),
)
_MEANS_AND_STDS = (
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
)
_EXACT = ("bilinear", "bicubic")  # filters that are computed as Pillow does where OpenCV's is not near enough
_SUSPECT_IMAGES = 12
_CLEAR = 0.5  # a variation is named where it takes away half of what is missing, or more
_BATCHES = (1, 4)
_FAR = 2.0  # of unit embeddings: as far as can be


@dataclass(frozen=True, slots=True, eq=False)
class SourceParity:
    """What a comparison with the library found.

    Attributes:
        figures: By name: `preprocessing_mean`, `preprocessing_centred` (cosines of stage 0 to 1), `image_graph_difference`
            (largest difference of an embedding's values, stage 1 to 2), `as_loaded_difference` (the same from the network
            before it was re-parameterised to after), and for texts `texts_of_other_tokens` (share),
            `texts_worst` (least cosine) and `text_graph_difference`.
        suspect: The field of the contract that is most likely wrong, in words, or empty.
        worst: The images that the library's preprocessing and ours differ on most, the library's first.
    """

    figures: Mapping[str, float]
    suspect: str
    worst: tuple[WorstImage, ...]

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words."""
        low = [
            f"{name} is {self.figures[name]:.4f}, expected at least {least:g}"
            for name, least in LEAST.items()
            if self.figures.get(name, least) < least
        ]
        high = [
            f"{name} is {self.figures[name]:.2g}, expected at most {most:g}"
            for name, most in MOST.items()
            if self.figures.get(name, most) > most
        ]
        return low + high


def fitted_contract(
    source: SourceModel, pictures: Sequence[Picture]
) -> Generator[Progress, None, tuple[InputContract, Stage]]:
    """Return the source's contract, with Pillow's filters to the level where OpenCV's are not near enough.

    Args:
        source: The model.
        pictures: Images to compare on.

    Returns:
        The contract, and how near its pixels come to the library's.
    """
    stage = yield from _stage(source, source.contract, pictures)
    if stage.holds or source.contract.interpolation not in _EXACT:
        return source.contract, stage
    exact = replace(source.contract, exact_resize=True)
    other = yield from _stage(source, exact, pictures)
    return (
        (exact, other)
        if other.figures["preprocessing_centred"] > stage.figures["preprocessing_centred"]
        else (source.contract, stage)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The network on the library's pixels and on ours.

    Attributes:
        theirs: Embeddings `(N, D)`.
        ours: Embeddings `(N, D)`.
        worst: The images on which they differ most.
    """

    theirs: NDArray[np.float32]
    ours: NDArray[np.float32]
    worst: tuple[WorstImage, ...]

    @property
    def figures(self) -> dict[str, float]:
        """How near they are."""
        found = agreement_figures(self.theirs, self.ours)
        return {"preprocessing_mean": found["cosine_mean"], "preprocessing_centred": found["centred_mean"]}

    @property
    def holds(self) -> bool:
        """Whether the bounds hold."""
        return all(value >= LEAST[name] for name, value in self.figures.items())


def measure_source(
    source: SourceModel, files: Mapping[str, bytes], stage: Stage, pictures: Sequence[Picture]
) -> Generator[Progress, None, SourceParity]:
    """Compare the files of a model directory with the library's model; yield progress.

    Args:
        source: The model, with the contract that was fitted.
        files: Of the model directory.
        stage: What `fitted_contract` found.
        pictures: Images to compare on.

    Returns:
        What was found.

    Raises:
        EngineError: When a graph does not run.
    """
    figures = dict(stage.figures)
    pixels = [Preprocessor(source.contract)([one.image]) for one in pictures[: max(_BATCHES)]]
    rows, loaded = np.concatenate(pixels), source.as_loaded
    figures["image_graph_difference"] = _difference(
        lambda rows: _run(source.image_encoder, rows),
        lambda rows: _graph(files[IMAGE_ENCODER], {source.contract.input: rows}),
        rows,
    )
    if loaded is not None:
        figures["as_loaded_difference"] = _difference(
            lambda rows: _run(loaded, rows), lambda rows: _run(source.image_encoder, rows), rows
        )
    yield Progress("comparing the graphs", 1, 2)
    if source.text is not None:
        figures |= _texts(source.text, files)
    yield Progress("comparing the graphs", 2, 2)
    suspect = "" if stage.holds else _suspect(source, pictures[:_SUSPECT_IMAGES])
    return SourceParity({name: round(value, 7) for name, value in figures.items()}, suspect, stage.worst)


def _stage(
    source: SourceModel, contract: InputContract, pictures: Sequence[Picture]
) -> Generator[Progress, None, Stage]:
    preprocess, gallery = Preprocessor(contract), Gallery(contract, contract)
    library: list[NDArray[np.float32]] = []
    ours: list[NDArray[np.float32]] = []
    for number, picture in enumerate(pictures, 1):
        pixels = _library_pixels(source, picture), preprocess([picture.image])
        for rows, found in zip((library, ours), pixels, strict=True):
            rows.append(_run(source.image_encoder, found))
        gallery.offer(picture, pixels, {"": float(cosines(library[-1], ours[-1])[0])})
        yield Progress("comparing the preprocessing", number, len(pictures))
    both = np.concatenate(library), np.concatenate(ours)
    return Stage(*both, gallery.worst("", *both, None))


def _library_pixels(source: SourceModel, picture: Picture) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = source.preprocess(_library_image(picture)).detach().numpy()[None]
    return pixels


def _library_image(picture: Picture) -> Image:
    """Return a picture as Pillow reads its file, upright: every library here leaves that to its caller."""
    from PIL import Image, ImageOps

    if picture.file is not None:
        with contextlib.suppress(OSError, ValueError, Image.DecompressionBombError), Image.open(picture.file) as opened:
            if not opened.mode.startswith(("I", "F")):  # of 16 bits: Pillow clips those where others scale them
                return ImageOps.exif_transpose(opened).convert("RGB")
    return Image.fromarray(picture.image)  # generated, or of a form that Pillow does not read


def _run(module: torch.nn.Module, *inputs: NDArray[Any]) -> NDArray[np.float32]:
    with torch.no_grad():
        rows: NDArray[np.float32] = module(*map(torch.from_numpy, inputs)).numpy()
    return rows


def _graph(data: bytes, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    graph = OnnxGraph(data, file="the graph", threads=1)
    rows = np.asarray(graph.run(inputs)[0], np.float32)
    graph.close()
    return rows


def _difference(
    module: Callable[[NDArray[Any]], NDArray[np.float32]],
    graph: Callable[[NDArray[Any]], NDArray[np.float32]],
    rows: NDArray[Any],
) -> float:
    """Return the largest difference of unit embeddings, one row at a time and several together."""
    found = [np.abs(_unit(module(rows[:count])) - _unit(graph(rows[:count]))) for count in _BATCHES]
    return max(float(np.nan_to_num(one, nan=_FAR, posinf=_FAR).max()) for one in found)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return result


def _texts(text: TextSide, files: Mapping[str, bytes]) -> dict[str, float]:
    tokenizer, clean = tokenizer_from(files[TOKENIZER], TOKENIZER), text_cleaner(text.cleaning)
    library = text.tokenize(TEXTS).numpy().astype(np.int64)
    ours = [np.array([tokenizer.encode(clean(one)).ids], np.int64) for one in TEXTS]
    other = [one.shape[1] != library.shape[1] or (one[0] != row).any() for one, row in zip(ours, library, strict=True)]
    if any(one.shape[1] != text.length for one in ours):
        return {"texts_of_other_tokens": float(np.mean(other)), "texts_worst": 0.0}
    both = [
        np.concatenate([_run(text.encoder, ids) for ids in rows]) for rows in ([row[None] for row in library], ours)
    ]
    return {
        "texts_of_other_tokens": float(np.mean(other)),
        "texts_worst": float(cosines(*both).min()),
        "text_graph_difference": _difference(
            lambda ids: _run(text.encoder, ids),
            lambda ids: _graph(files[TEXT_ENCODER], {IDS: ids}),
            library,
        ),
    }


def _suspect(source: SourceModel, pictures: Sequence[Picture]) -> str:
    """Return the change of the contract that brings our pixels nearest to the library's, where it is a clear one."""
    library = np.concatenate([_run(source.image_encoder, _library_pixels(source, one)) for one in pictures])

    def missing(contract: InputContract, *, swapped: bool = False) -> float:
        preprocess = Preprocessor(contract)
        images = (one.image[..., ::-1] if swapped else one.image for one in pictures)
        rows = [_run(source.image_encoder, preprocess([np.ascontiguousarray(image)])) for image in images]
        return 1 - agreement_figures(library, np.concatenate(rows))["centred_mean"]

    now = missing(source.contract)
    found = {words: missing(other) for words, other in _variations(source.contract)}
    found["the order of channels"] = missing(source.contract, swapped=True)
    best = min(found, key=found.__getitem__)
    return best if found[best] < _CLEAR * now else ""


def _variations(contract: InputContract) -> Iterator[tuple[str, InputContract]]:
    for mean, std in _MEANS_AND_STDS:
        if (mean, std) != (contract.mean, contract.std):
            yield f"mean and std, which look like {mean} and {std}", replace(contract, mean=mean, std=std)
    for resize in get_args(Resize):
        if resize != contract.resize:
            yield f"resize, which looks like {resize}", replace(contract, resize=resize)
    for filter_ in get_args(Interpolation):
        if filter_ != contract.interpolation:
            exact = filter_ in _EXACT
            other = replace(contract, interpolation=filter_, exact_resize=exact)
            yield f"interpolation, which looks like {filter_}", other
