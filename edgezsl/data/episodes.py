"""Episodes: small recognition tasks drawn from many classes, for learning to learn.

An episode has `ways` classes, `shots` images of each to learn from (the support) and `queries` of each to be judged on
(Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016). What is drawn depends on the seed and the
number of the episode alone, so that two methods can be judged on the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgezsl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from torch import Tensor

    Augment: TypeAlias = "Callable[[Tensor, np.random.Generator], Tensor]"


@dataclass(frozen=True, slots=True)
class EpisodeLaw:
    """How an episode is drawn.

    Attributes:
        ways: Classes.
        shots: Images of each class to learn from.
        queries: Images of each class to be judged on.
    """

    ways: int
    shots: int
    queries: int

    def __str__(self) -> str:
        return f"{self.ways}-way {self.shots}-shot"


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One or more tasks of one law, row i of each class being class i.

    Attributes:
        support: `(T, ways, shots, ...)`.
        query: `(T, ways, queries, ...)`.
    """

    support: Tensor
    query: Tensor

    def targets(self) -> Tensor:
        """Return the class of each query when classes and queries are one axis, `(ways · queries,)` int64."""
        ways, queries = self.query.shape[1:3]
        return torch.arange(ways, device=self.query.device).repeat_interleave(queries)


class Episodes:
    """Draws episodes from classes with as many images each.

    Args:
        images: `(C, M, ...)`, M ≥ shots + queries, C ≥ ways; they stay on their device.
        law: How an episode is drawn.
        seed: Of what is drawn.
        augment: Takes the drawn images `(N, ...)` and random numbers, and returns others in their place.

    Raises:
        InputError: When there are too few classes, or too few images of a class.
    """

    def __init__(self, images: Tensor, law: EpisodeLaw, *, seed: int, augment: Augment | None = None) -> None:
        classes, each = images.shape[:2]
        if classes < law.ways or each < law.shots + law.queries:
            raise InputError(
                f"no {law} episode with {law.queries} queries can be drawn from {classes} classes of {each} images",
                code="too_few_images",
                expected=f"at least {law.ways} classes of {law.shots + law.queries} images",
            )
        self.law = law
        self._images = images
        self._seed = seed
        self._augment = augment

    def draw(self, number: int, tasks: int = 1) -> Episode:
        """Return episode `number`, of `tasks` tasks."""
        law = self.law
        rng = np.random.default_rng((self._seed, number))
        classes, each = self._images.shape[:2]
        chosen = np.stack([rng.choice(classes, law.ways, replace=False) for _ in range(tasks)])
        shown = rng.permuted(np.tile(np.arange(each), (tasks, law.ways, 1)), axis=2)[..., : law.shots + law.queries]
        rows = torch.from_numpy(chosen[..., None] * each + shown).to(self._images.device)
        drawn = self._images.flatten(0, 1)[rows]
        if self._augment is not None:
            drawn = self._augment(drawn.flatten(0, 2), rng).view(drawn.shape)
        return Episode(drawn[:, :, : law.shots], drawn[:, :, law.shots :])
