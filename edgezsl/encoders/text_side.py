"""The text side of a model directory, opened: what a method takes for the semantic embedding of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgezsl.bundle import TEXT_ENCODER, TOKEN_TABLE, TOKENIZER
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text import TextEncoder, tokenizer_from
from edgezsl.runtime.token_table import TokenTable

if TYPE_CHECKING:
    from edgezsl.encoders.model import Model


def text_side(model: Model, *, threads: int | None = None) -> TextEncoder | TokenTable | None:
    """Return the text encoder or token table of a model, or None where it has neither.

    Args:
        model: The model directory.
        threads: Threads for the encoder, or None for all cores.

    Raises:
        ModelError: When a file has changed since the model was opened.
        EngineError: When the files do not load or do not fit each other.
        MissingExtraError: When the package tokenizers, or ftfy where the model needs it, is not installed.
    """
    place = str(model.folder / TOKENIZER)
    if model.has(TOKEN_TABLE):
        tokenizer = tokenizer_from(model.read(TOKENIZER), place)
        return TokenTable.from_bytes(model.read(TOKEN_TABLE), tokenizer, file=str(model.folder / TOKEN_TABLE))
    if model.has(TEXT_ENCODER):
        tokenizer = tokenizer_from(model.read(TOKENIZER), place)
        graph = OnnxGraph(model.read(TEXT_ENCODER), file=str(model.folder / TEXT_ENCODER), threads=threads)
        return TextEncoder(tokenizer, graph, model.facts.semantics.text_cleaning)
    return None
