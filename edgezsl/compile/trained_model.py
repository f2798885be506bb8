"""A model that `edgezsl.zsl` trained, as a model directory: PyTorch modules to ONNX graphs and a token table."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.bundle import SEMANTIC_MAP, TOKEN_TABLE, TOKENIZER
from edgezsl.contract import EmbeddingSpace
from edgezsl.encoders.graph import with_full_weights, with_half_weights
from edgezsl.encoders.model import IMAGE_ENCODER, ModelFacts
from edgezsl.encoders.onnx_export import module_graph
from edgezsl.manifest import Licence, Semantics
from edgezsl.records import sha256_hex
from edgezsl.runtime.token_table import table_bytes
from edgezsl.zsl.alignment import CentredEncoder
from edgezsl.zsl.recipe import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.compile.recipe import Recipe
    from edgezsl.zsl.alignment import Alignment
    from edgezsl.zsl.open_vocabulary import TrainedModel
    from edgezsl.zsl.recipe import TrainingRecipe


class _Map(nn.Module):
    """Semantic embeddings to unit prototypes, as one graph."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, semantics: Tensor) -> Tensor:
        return functional.normalize(self.layers(semantics), dim=1)


def model_files(trained: TrainedModel, recipe: Recipe, training: TrainingRecipe, tokenizer: Any) -> dict[str, bytes]:
    """Return the files of the model directory: float weights as float16, the token table as int8.

    Args:
        trained: The model.
        recipe: Gives the opset.
        training: Gives sizes.
        tokenizer: The `tokenizers.Tokenizer` whose tokens the table has rows for.
    """
    pixels = torch.zeros(1, 3, training.side, training.side)
    semantics = torch.zeros(1, training.class_side.width)
    contiguous = trained.encoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # its stub knows no memory format
    encoder = CentredEncoder(contiguous, trained.alignment).eval()
    table, weights = trained.side.table.weight.detach().numpy(), trained.side.weights.numpy()
    return {
        IMAGE_ENCODER: with_half_weights(
            module_graph(encoder, [pixels], inputs=[INPUT], outputs=[OUTPUT], opset=recipe.opset)
        ),
        SEMANTIC_MAP: with_half_weights(
            module_graph(
                _Map(trained.side.map).eval(),
                [semantics],
                inputs=["semantics"],
                outputs=["vectors"],
                opset=recipe.opset,
            )
        ),
        TOKEN_TABLE: table_bytes(np.where(_foreign_tokens(tokenizer, len(table))[:, None], 0, table), weights),
        TOKENIZER: plain_tokenizer(tokenizer),
    }


def model_facts(
    files: dict[str, bytes],
    recipe: Recipe,
    training: TrainingRecipe,
    *,
    alignment: Alignment,
    seen: Sequence[str],
    data: dict[str, str],
    licence: Licence,
) -> ModelFacts:
    """Return what `model.json` says.

    Args:
        files: The files of the model.
        recipe: What it was trained by.
        training: The same, its training.
        alignment: How its images and words meet.
        seen: Names of the classes that it was trained on.
        data: Digests of what it was trained on.
        licence: Terms of use.
    """
    image_mean, text_mean = (
        tuple(float(value) for value in mean.round(6)) for mean in (alignment.image_mean, alignment.text_mean)
    )
    schedule = training.schedule
    return ModelFacts(
        name=recipe.name,
        source=recipe.describes,
        recipe=recipe.name,
        contract=training.contract,
        space=EmbeddingSpace(
            id=sha256_hex(with_full_weights(files[IMAGE_ENCODER])),
            dim=training.dim,
            similarity="cosine",
            logit_scale=schedule.logit_scale,
            image_mean=image_mean,
            text_mean=text_mean,
        ),
        semantics=Semantics(kinds=("words", "examples", "vector"), example_penalty=alignment.example_penalty),
        method="distillation",
        hyper_parameters={
            "seed": training.seed,
            "samples": [stage.samples for stage in schedule.stages],
            "sides": [stage.side for stage in schedule.stages],
            "learning_rate": schedule.learning_rate,
        },
        seen_classes=tuple(seen),
        licence=licence,
        data=data,
    )


def _foreign_tokens(tokenizer: Any, count: int) -> NDArray[np.bool_]:
    """Return which of `count` tokens no text of the training held: other scripts than Latin, marks such as `[PAD]`.

    Their rows were never trained. As zeros they say nothing, and a class of nothing else is refused, not guessed.
    """
    foreign = np.zeros(count, bool)
    for token, number in tokenizer.get_vocab().items():
        text = token.removeprefix("##")
        mark = text.startswith("[") and text.endswith("]") and len(text) > len("[]")
        script = any(letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN") for letter in text)
        foreign[number] = mark or script
    return foreign


def plain_tokenizer(tokenizer: Any) -> bytes:
    """Return a tokenizer as `tokenizer.json` without special tokens, padding and truncation: a table sums what is there."""
    known = json.loads(tokenizer.to_str())
    return json.dumps(known | {"post_processor": None, "padding": None, "truncation": None}).encode()
