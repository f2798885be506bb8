"""What is known of some nodes of a hierarchy, spread to the others.

Label propagation in its simplest form (Zhu and Ghahramani, "Learning from labeled and unlabeled data with label
propagation", 2002): a node above known ones is the mean of its children, a node below is what it is a kind of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

UNREACHED = 99


@dataclass(frozen=True, slots=True)
class Spread:
    """Rows of every node.

    Attributes:
        rows: `(nodes, D)`; zero where nothing is known anywhere above.
        distance: `(nodes,)`: 0 for known nodes and what lies above them, else steps down from such a node.
    """

    rows: NDArray[np.float64]
    distance: NDArray[np.int64]


def spread(parents: Sequence[Sequence[int]], known: Mapping[int, NDArray[np.floating]], dim: int) -> Spread:
    """Return a row for each node.

    Args:
        parents: For each node, the nodes that it is a kind of; no circles.
        known: Rows `(D,)` by node.
        dim: D.
    """
    order = children_first(parents)
    children: list[list[int]] = [[] for _ in parents]
    for node, above in enumerate(parents):
        for one in above:
            children[one].append(node)
    rows = np.zeros((len(parents), dim))
    distance = np.full(len(parents), UNREACHED)
    for node in order:
        below = [one for one in children[node] if distance[one] == 0]
        if node in known or below:
            rows[node] = known[node] if node in known else rows[below].mean(axis=0)
            distance[node] = 0
    for node in reversed(order):
        if distance[node]:
            nearest = min((distance[one] for one in parents[node]), default=UNREACHED)
            if nearest < UNREACHED:
                rows[node] = rows[[one for one in parents[node] if distance[one] == nearest]].mean(axis=0)
                distance[node] = nearest + 1
    return Spread(rows, distance)


def children_first(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return the nodes so that each comes after everything that is a kind of it (Kahn, 1962)."""
    waiting = [0] * len(parents)
    for above in parents:
        for one in above:
            waiting[one] += 1
    ready = [node for node, count in enumerate(waiting) if not count]
    for node in ready:  # grows while it is walked
        for one in parents[node]:
            waiting[one] -= 1
            if not waiting[one]:
                ready.append(one)
    return ready
