"""A fitted method and the encoder of its features, as the files and facts of a model directory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from edgezsl.bundle import SEMANTIC_MAP, TEXT_ENCODER, TOKEN_TABLE, TOKENIZER
from edgezsl.encoders.graph import load_graph, opset_of, portable_encoder, with_batch
from edgezsl.encoders.graph_chain import chained
from edgezsl.encoders.model import IMAGE_ENCODER, ModelFacts
from edgezsl.encoders.onnx_export import module_graph
from edgezsl.manifest import Batch, Semantics
from edgezsl.records import sha256_hex
from edgezsl.zsl.selection import penalty_in_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.encoders.model import Model
    from edgezsl.manifest import SemanticKind
    from edgezsl.zsl.selection import Chosen
    from edgezsl.zsl.sides import Sides
    from edgezsl.zsl.space import Value

OUTPUT = "embedding"
_ANY = Batch(1, 1, 4096)
_LOGIT_SCALE = {"cosine": 20.0, "dot": 1.0}


def method_files(base: Model, sides: Sides, *, width: int, words: bool) -> dict[str, bytes]:
    """Return the files of the model directory.

    Args:
        base: The encoder of the features, and the text side.
        sides: Of the method.
        width: A.
        words: Whether classes are given by the text side of `base`.

    Raises:
        ModelError: When a graph cannot be used or made.
        MissingExtraError: When the package onnx is not installed.
    """
    semantics = torch.ones(2, width)
    outputs = ["vectors", "bias"] if sides.biased else ["vectors"]
    encoder, opset = encoder_with(base, sides.image)
    classes = module_graph(sides.classes.eval(), [semantics], inputs=["semantics"], outputs=outputs, opset=opset)
    return {IMAGE_ENCODER: encoder, SEMANTIC_MAP: classes, **(text_files(base) if words else {})}


def encoder_with(base: Model, image: nn.Module) -> tuple[bytes, int]:
    """Return the encoder of a model with something behind it, as one graph, and its opset.

    Args:
        base: The encoder of the features.
        image: What makes embeddings `(N, D)` of features `(N, F)`.

    Raises:
        ModelError: When a graph cannot be used or made.
        MissingExtraError: When the package onnx is not installed.
    """
    facts = base.facts
    encoder = portable_encoder(base.read(IMAGE_ENCODER), facts.contract, facts.space, str(base.folder / IMAGE_ENCODER))
    opset = opset_of(load_graph(encoder, "the image encoder"))
    features = torch.zeros(2, facts.space.dim)
    behind = module_graph(image.eval(), [features], inputs=["features"], outputs=[OUTPUT], opset=opset)
    return chained(with_batch(encoder, _ANY), behind, output=OUTPUT), opset


def text_files(model: Model) -> dict[str, bytes]:
    """Return the files of a model's text side, by name.

    Raises:
        ModelError: When one has changed since the model was opened.
    """
    return {name: model.read(name) for name in (TEXT_ENCODER, TOKEN_TABLE, TOKENIZER) if model.has(name)}


def method_facts(
    base: Model,
    data: FeatureSet,
    chosen: Chosen,
    *,
    sides: Sides,
    method: str,
    files: Mapping[str, bytes],
    fixed: Mapping[str, Value],
) -> ModelFacts:
    """Return what `model.json` says.

    Args:
        base: The encoder of the features.
        data: What the method was fitted on.
        chosen: The method, fitted.
        sides: The same, taken apart.
        method: Its name.
        files: Of the model directory.
        fixed: What nothing chose: the seed, and the settings of the size of the run.
    """
    facts, words = base.facts, TOKENIZER in files
    with torch.no_grad():
        dim = sides.image(torch.from_numpy(data.features[:1])).shape[1]
    space = replace(
        facts.space,
        id=sha256_hex(files[IMAGE_ENCODER]),
        dim=dim,
        similarity=sides.similarity,
        logit_scale=_LOGIT_SCALE[sides.similarity],
        logit_bias=0.0,
        image_mean=None,
        text_mean=None,
    )
    return replace(
        facts,
        name=f"{facts.name}-{method}-{data.name}",
        source=f"{method} on {data.name}, behind {facts.name}: {facts.source}",
        contract=replace(facts.contract, output=OUTPUT),
        space=space,
        semantics=_semantics(facts.semantics, data, sides, words=words),
        method=method,
        hyper_parameters={**fixed, **chosen.settings},
        seen_classes=tuple(data.class_names[one] for one in data.classes("trainval")),
        seen_penalty=max(penalty_in_scores(chosen.method, data, chosen.gamma), 0.0),
        data={**facts.data, data.name: data.digest()},
        proof={},
        files={},
    )


def _semantics(base: Semantics, data: FeatureSet, sides: Sides, *, words: bool) -> Semantics:
    """Return what classes may be given by: pictures only where they live at length 1, as rows of classes do."""
    pictures: tuple[SemanticKind, ...] = ("examples",) if sides.similarity == "cosine" else ()
    if words:
        return replace(base, kinds=("words", *pictures, "vector"), attributes=(), example_penalty=0.0)
    names = data.attributes or tuple(f"semantic {number}" for number in range(data.semantics.shape[1]))
    return Semantics(kinds=("attributes", *pictures, "vector"), attributes=names)
