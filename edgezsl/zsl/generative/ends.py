"""How a generative model ends as rows: the means of generated features, or a classifier that is trained on them.

A mean takes one run of the generator, so that classes can be swapped; a classifier is the end of the papers, and has to be
trained again for each new class.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgezsl.zsl.accelerator import accelerator
from edgezsl.zsl.generative.classifier import fitted_classifier
from edgezsl.zsl.generative.conditioning import as_rows, as_tensor
from edgezsl.zsl.kernel import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from edgezsl.zsl.generative.training import FeatureGenerator, Synthesizer
    from edgezsl.zsl.method import Rows

Nearness = Literal["cosine", "euclidean"]


class MeanSynthesizer(nn.Module):
    """Descriptions `(K, A)` to the means `(K, D)` of rows that are generated from stored noise.

    Args:
        synthesizer: Fitted.
        noise: `(M, Z)`.
        nearness: Of `cosine`, means are brought to length 1.
    """

    noise: Tensor

    def __init__(self, synthesizer: Synthesizer, noise: Tensor, nearness: Nearness) -> None:
        super().__init__()
        self.synthesizer, self.nearness = synthesizer, nearness
        self.register_buffer("noise", noise)

    def forward(self, semantics: Tensor) -> Tensor:
        """Return class prototypes `(K, D)`."""
        means: Tensor = self.synthesizer(semantics, self.noise).mean(dim=1)
        return means if self.nearness == "euclidean" else functional.normalize(means, dim=1)


@dataclass(slots=True, eq=False)
class MeanPrototypes:
    """The nearest mean of generated features.

    Attributes:
        generator: Of features.
        nearness: `cosine`, or `euclidean`: also by how long a mean is, and it is longer the less its class varies.
        samples: Features generated for each class.
        module_: Descriptions `(K, A)` to class prototypes `(K, D)`: what is exported as the semantic map.
    """

    generator: FeatureGenerator
    nearness: Nearness = "cosine"
    samples: int = 64
    module_: MeanSynthesizer = field(init=False, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> MeanPrototypes:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; return itself."""
        self.generator.fit(features, labels, semantics)
        noise = self.generator.noise(self.samples)
        self.module_ = MeanSynthesizer(self.generator.synthesizer_, noise, self.nearness).eval()
        return self

    def embed(self, features: Rows) -> Rows:
        """Return embeddings `(N, D)`: features where generated ones live, for cosines at length 1."""
        rows = self.generator.embed(features)
        return rows if self.nearness == "euclidean" else unit(rows)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return means μ `(K, D)` and bias `(K,)`: of `euclidean` `−‖μ‖²/2`, so that the nearest has the best score; else nothing."""
        with torch.no_grad():
            vectors = as_rows(self.module_(as_tensor(semantics)))
        if self.nearness == "euclidean":
            return vectors, -np.square(vectors).sum(axis=1) / 2
        return vectors, np.zeros(len(vectors))


@dataclass(slots=True, eq=False)
class FinalClassifier:
    """A linear softmax classifier, trained on real features of seen classes and on generated ones of all others.

    Xian et al., "Feature generating networks for zero-shot learning", CVPR 2018, section 3.2. A class is seen where its description
    is that of one that was fitted on. Scores depend on which classes were asked for together: to add one is to train again.

    Attributes:
        generator: Of features.
        per_class: Features generated for each class that is not seen.
        prior: How many times as much as a seen class, in the mean, a generated one counts in the loss. The papers set it by how
            many features they generate; a weight costs no time. Among unseen classes alone it changes nothing.
        classifier_epochs: Passes over real and generated rows.
        classifier_rate: Learning rate of Adam, falling to 0 by half a cosine.
        seen_: Real rows of seen classes `(n, D)` by description.
    """

    retrains: ClassVar[bool] = True
    nearest_folded: ClassVar[str] = "the same generator with means for its end (-mean)"
    generator: FeatureGenerator
    per_class: int = 100
    prior: float = 30.0
    classifier_epochs: int = 10
    classifier_rate: float = 3e-3
    seen_: dict[bytes, Rows] = field(init=False, repr=False)
    last_: tuple[bytes, tuple[Rows, Rows]] | None = field(init=False, default=None, repr=False)

    def fit(self, features: Rows, labels: NDArray[np.integer], semantics: Rows) -> FinalClassifier:
        """Learn from `features (N, F)` with `labels (N,)`, each a row of `semantics (C, A)`; return itself."""
        self.generator.fit(features, labels, semantics)
        real, keys = self.generator.embed(features), np.array([_key(row) for row in semantics], object)[labels]
        self.seen_ = {key: real[keys == key] for key in dict.fromkeys(keys)}
        self.last_ = None
        return self

    def weighed(self, *, prior: float) -> FinalClassifier:
        """Return the same with another prior: the generator is kept, and only the classifier is trained again."""
        other = copy(self)
        other.prior, other.last_ = prior, None
        return other

    def embed(self, features: Rows) -> Rows:
        """Return `features (N, F)` where generated ones live `(N, D)`."""
        return self.generator.embed(features)

    def prototypes(self, semantics: Rows) -> tuple[Rows, Rows]:
        """Return weights `(K, D)` and bias `(K,)` of a classifier of just these classes; it is trained unless it was the last one."""
        key = _key(semantics)
        if self.last_ is None or self.last_[0] != key:
            self.last_ = key, self._trained(semantics)
        return self.last_[1]

    def _trained(self, semantics: Rows) -> tuple[Rows, Rows]:
        real = [self.seen_.get(_key(row)) for row in semantics]
        groups = [
            self.generator.synthesize(row[None], self.per_class)[0] if rows is None else rows
            for row, rows in zip(semantics, real, strict=True)
        ]
        counts = [len(rows) for rows in groups]
        seen = [len(rows) for rows in real if rows is not None]
        weight = self.prior * float(np.mean(seen)) / self.per_class if seen else 1.0
        device = accelerator()
        layer = fitted_classifier(
            as_tensor(np.concatenate(groups)).to(device),
            torch.from_numpy(np.repeat(np.arange(len(groups)), counts)).to(device),
            weights=torch.tensor([weight if rows is None else 1.0 for rows in real], device=device),
            epochs=self.classifier_epochs,
            learning_rate=self.classifier_rate,
            random=torch.Generator(device).manual_seed(self.generator.schedule.seed),
        ).cpu()
        return as_rows(layer.weight), as_rows(layer.bias)


def _key(description: Rows) -> bytes:
    return np.ascontiguousarray(description, np.float64).tobytes()
