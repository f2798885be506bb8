"""The files of a model directory, made of PyTorch modules: ONNX graphs, a tokenizer, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgezsl.bundle import TEXT_ENCODER, TOKENIZER
from edgezsl.encoders.model import IMAGE_ENCODER, ModelFacts
from edgezsl.encoders.onnx_export import module_graph
from edgezsl.errors import ModelError
from edgezsl.manifest import Semantics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.encoders.source_model import SourceModel, TextSide

IDS, TEXT_EMBEDDING = "input_ids", "text_embedding"
_TWO_TEXTS = ("a photo of a cat.", "a forklift in an empty aisle")


def module_files(source: SourceModel, *, opset: int) -> dict[str, bytes]:
    """Return the files of a model directory.

    Args:
        source: The model.
        opset: 17 or 18.

    Raises:
        ModelError: When PyTorch cannot export a module, or the tokenizer is of another model.
        MissingExtraError: When the package onnx is not installed.
    """
    contract, text = source.contract, source.text
    pixels = torch.zeros(1, 3, *contract.size)
    graph = module_graph(
        source.image_encoder, [pixels], inputs=[contract.input], outputs=[contract.output], opset=opset
    )
    files = {IMAGE_ENCODER: graph}
    if text is not None:
        _check_tokenizer(text)
        ids = text.tokenize(_TWO_TEXTS[:1])
        with torch.no_grad():
            text.encoder(ids)  # what it refuses, the exporter would wrap into a refusal of its own
        files[TEXT_ENCODER] = module_graph(text.encoder, [ids], inputs=[IDS], outputs=[TEXT_EMBEDDING], opset=opset)
        files[TOKENIZER] = text.tokenizer
    return files


def _check_tokenizer(text: TextSide) -> None:
    """Check that two texts are not the same to a tokenizer: where none lies beside the weights, one may be made up."""
    first, second = text.tokenize(_TWO_TEXTS)
    if torch.equal(first, second):
        raise ModelError(
            f"its tokenizer gives {_TWO_TEXTS[0]!r} and {_TWO_TEXTS[1]!r} the same tokens",
            code="unfit_tokenizer",
            expected="the tokenizer that the weights were trained with, as tokenizer.json beside them",
        )


def module_facts(source: SourceModel, *, proof: Mapping[str, float] | None = None) -> ModelFacts:
    """Return what the model directory says of itself.

    Args:
        source: The model.
        proof: What comparing it with its library found, by name.
    """
    text = source.text
    semantics = Semantics(kinds=("examples", "vector"))
    if text is not None:
        semantics = Semantics(
            kinds=("words", "examples", "vector"),
            templates=text.templates,
            token_limit=text.length,
            text_cleaning=text.cleaning,
        )
    return ModelFacts(
        name=source.name,
        source=source.source,
        recipe=source.recipe,
        contract=source.contract,
        space=source.space,
        semantics=semantics,
        licence=source.licence,
        proof=proof or {},
    )
