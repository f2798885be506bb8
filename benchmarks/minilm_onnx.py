"""Write all-MiniLM-L6-v2 as `text_encoder.onnx` and `tokenizer.json`, for the reference bundle.

python benchmarks/minilm_onnx.py DIRECTORY
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import torch

from edgezsl.encoders.minilm import MiniLM, minilm_from, minilm_tokenizer, weights_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

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
    source = weights_folder()
    tokenizer = minilm_tokenizer(source / "tokenizer.json")
    model = minilm_from(source / "model.safetensors")
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
