"""A model as its own library built it: PyTorch modules, and that library's own way from an image file and from a text.

What an import makes a model directory of, and what the directory is proved against. It knows no library.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from edgezsl.errors import ModelError, printable
from edgezsl.manifest import Licence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from edgezsl.contract import EmbeddingSpace, InputContract
    from edgezsl.manifest import TextCleaning

_LARGEST_CARD = 256 << 10  # bytes of a model card that are read


@dataclass(frozen=True, slots=True, eq=False)
class TextSide:
    """How a model reads texts.

    Attributes:
        encoder: Takes `input_ids (N, L)` int64; gives `(N, A)`, not normalised.
        tokenizer: The bytes of a `tokenizer.json` that gives L ids for each text.
        cleaning: What is done to a text before that.
        templates: Prompt templates, each with `{}`.
        length: L.
        tokenize: The library's own way: n texts to `input_ids (n, L)` int64.
    """

    encoder: nn.Module
    tokenizer: bytes
    cleaning: TextCleaning
    templates: tuple[str, ...]
    length: int
    tokenize: Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class SourceModel:
    """A model of another library.

    Attributes:
        name: What people call it.
        source: Where it comes from, in words, such as `open_clip:ViT-B-32@laion2b_s34b_b79k`.
        recipe: The recipe in `export/` for its family.
        image_encoder: Takes pixels `(N, 3, h, w)` float32 as the contract says; gives embeddings `(N, D)`, of length 1
            where the space is cosine.
        contract: How images become pixels.
        space: Where embeddings and texts meet.
        preprocess: The library's own way: a PIL image to pixels `(3, h, w)`.
        text: How it reads texts, or None.
        licence: Terms of its weights.
        as_loaded: The image encoder as its library loads it, before it is re-parameterised; None where it is not kept.
    """

    name: str
    source: str
    recipe: str
    image_encoder: nn.Module
    contract: InputContract
    space: EmbeddingSpace
    preprocess: Callable[[Any], Tensor]
    text: TextSide | None = None
    licence: Licence = field(default_factory=Licence)
    as_loaded: nn.Module | None = None


class UnitEmbeddings(torch.nn.Module):
    """An image encoder whose embeddings have length 1.

    Args:
        model: Holds the weights.
        encode: Takes the model and pixels, gives `(N, D)`.
    """

    def __init__(self, model: nn.Module, encode: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._encode = encode

    def forward(self, pixels: Tensor) -> Tensor:
        """Return unit embeddings `(N, D)` of pixels `(N, 3, h, w)`."""
        return functional.normalize(self._encode(self.model, pixels), dim=-1)


class TextEmbeddings(torch.nn.Module):
    """A text encoder.

    Args:
        model: Holds the weights.
        encode: Takes the model and `input_ids (N, L)`, gives `(N, A)`.
    """

    def __init__(self, model: nn.Module, encode: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._encode = encode

    def forward(self, input_ids: Tensor) -> Tensor:
        """Return embeddings `(N, A)` of `input_ids (N, L)`.

        Raises:
            ModelError: When a token is not one of the model's: its tokenizer is of another.
        """
        try:
            return self._encode(self.model, input_ids)
        except IndexError as cause:  # what PyTorch raises for a row that an embedding table has not
            raise ModelError(
                f"the tokenizer gives tokens up to {int(input_ids.max())}, for which the text encoder has no row",
                code="unfit_tokenizer",
                expected="the tokenizer that the weights were trained with",
            ) from cause


def family(encoder: nn.Module) -> str:
    """Return the recipe in `export/` for an image encoder, by what it is made of, whatever library it came from.

    FastViT by its name; else that of vision transformers where matrix products outnumber convolutions, and that of
    convolutional networks where they do not: OpenCLIP's ResNets end in an attention, transformers may begin with
    convolutions.
    """
    layers = list(encoder.modules())
    if any(type(layer).__name__.lower().startswith("fastvit") for layer in layers):
        return "fastvit"
    products = sum(isinstance(layer, torch.nn.Linear) for layer in layers)
    convolutions = sum(isinstance(layer, torch.nn.Conv2d) for layer in layers)
    return "vit" if products > convolutions else "convnet"


def embedding_dim(encoder: nn.Module, contract: InputContract) -> int:
    """Return D of an image encoder, by running it once."""
    with torch.no_grad():
        return int(encoder(torch.zeros(1, 3, *contract.size)).shape[1])


def triple(values: Sequence[Any]) -> tuple[float, float, float]:
    """Return three numbers, one for each channel.

    Raises:
        ValueError: When there are not three.
    """
    red, green, blue = map(float, values)
    return red, green, blue


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return SHA-256 over weights: names in order, shapes and values; 64 hexadecimal digits.

    Args:
        weights: A state dictionary.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    return digest.hexdigest()


def licence_of_card(folder: Path) -> Licence:
    """Return the licence that a model card names in its head, or an unknown one.

    Args:
        folder: Where the card, `README.md`, lies.
    """
    card = folder / "README.md"
    if not card.is_file():
        return Licence(notice="no model card lies beside the weights", source="")
    with card.open("rb") as file:
        text = file.read(_LARGEST_CARD).decode("utf-8", "replace")
    head = text.partition("---")[2].partition("\n---")[0] if text.startswith("---") else ""
    found = {word: _value(head, word) for word in ("license", "license_name", "license_link")}
    name = found["license_name"] or found["license"]
    if not name:
        return Licence(notice="the model card names no licence", source=card.name)
    link = f"; {found['license_link']}" if found["license_link"] else ""
    return Licence(name, f"as the model card says{link}", card.name)


def _value(head: str, word: str) -> str:
    found = re.search(rf"^{word}:[ \t]*(.+)$", head, re.MULTILINE)
    return printable(found[1]).strip().strip("'\"") if found else ""
