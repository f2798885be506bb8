"""Where words lie in the space of a teacher's classifier rows: targets to train a class side on.

Three sources say where the prototype of a noun should be, and they are combined: the rows of the classes that the
teacher knows, spread over WordNet (`edgezsl.zsl.graph`); a sentence encoder's embedding of the noun's gloss, by kernel
ridge regression on the known rows; and CLIP's text vectors, whose geometry was learned from pictures, by the same
regression. A class side trained on the result knows a noun by its bare name, though it never saw a picture of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.zsl.graph import Spread, spread
from edgezsl.zsl.kernel import KernelRidge, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.wordnet import WordNet

_NEAR = 4  # steps down from something known: farther away the hierarchy says little


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Nouns to learn, those with a meaning first.

    Attributes:
        wordnet: Meanings.
        nodes: Ids of synsets, every ancestor among them.
        glosses: `(nodes, A)`: unit embeddings of "name: gloss" by a sentence encoder.
        visual_names: Names of the vocabulary that has visual vectors, the usual one first.
        visual_nodes: For each, the id of its synset, or empty.
        visual_vectors: `(names, V)` unit, centred: CLIP's text vectors.
        visual_texts: `(names, A)`: unit embeddings of the first names by the sentence encoder.
    """

    wordnet: WordNet
    nodes: tuple[str, ...]
    glosses: NDArray[np.float32]
    visual_names: tuple[tuple[str, ...], ...]
    visual_nodes: tuple[str, ...]
    visual_vectors: NDArray[np.float32]
    visual_texts: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordTargets:
    """Texts and where they belong.

    Attributes:
        texts: For each target, the texts that mean it; each may stand alone.
        targets: `(T, D)` float32 unit rows.
        weights: `(T,)`: how often a target is drawn, relatively.
    """

    texts: tuple[tuple[str, ...], ...]
    targets: NDArray[np.float32]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordWeights:
    """How the sources are weighed; chosen on left-out classes (the built-in model's card).

    Attributes:
        known_weight: Of known classes: their rows are no guess, and a word for one must find it.
        graph_weight: Of targets that the hierarchy supports from below.
        far_weight: Of the other nodes.
        visual_weight: Of names with visual vectors.
        blend: Of the second source beside the first.
        text_sharpness: γ of the kernel on sentence embeddings.
        visual_sharpness: γ of the kernel on visual vectors.
    """

    known_weight: float = 4.0
    graph_weight: float = 0.3
    far_weight: float = 0.15
    visual_weight: float = 0.5
    blend: float = 0.5
    text_sharpness: float = 6.0
    visual_sharpness: float = 2.0


def word_targets(
    vocabulary: Vocabulary,
    known: Mapping[str, NDArray[np.floating]],
    *,
    left_out: Collection[str] = (),
    choices: WordWeights | None = None,
) -> WordTargets:
    """Return where every noun of a vocabulary belongs.

    Args:
        vocabulary: The nouns.
        known: Unit row `(D,)` of each known class, by id.
        left_out: Ids whose texts must not be learned: neither as a node nor as a name with a visual vector.
        choices: The weights.
    """
    choices = choices or WordWeights()
    dim = len(next(iter(known.values())))
    index = {node: number for number, node in enumerate(vocabulary.nodes)}
    parents = [
        [index[one] for one in vocabulary.wordnet.synsets[node].parents if one in index] for node in vocabulary.nodes
    ]
    graph = spread(parents, {index[node]: row for node, row in known.items()}, dim)
    kept = np.array([node not in left_out for node in vocabulary.visual_nodes])
    visual = _visual_rows(vocabulary, graph, index, kept, choices)
    text = _text_ridge(vocabulary, known, index, (visual, kept), choices)
    nodes = _node_targets(graph, text(vocabulary.glosses), choices)
    weights = np.where(graph.distance == 0, choices.graph_weight, choices.far_weight)
    for node, row in known.items():
        nodes[index[node]], weights[index[node]] = row, choices.known_weight
    for node in left_out:
        if node in index:
            weights[index[node]] = 0.0
    names = unit(unit(visual) + choices.blend * unit(text(vocabulary.visual_texts[kept])))
    return WordTargets(
        texts=(
            *(node_texts(vocabulary.wordnet, node, known) for node in vocabulary.nodes),
            *(name for name, keep in zip(vocabulary.visual_names, kept, strict=True) if keep),
        ),
        targets=np.concatenate([nodes, names]).astype(np.float32),
        weights=np.concatenate([weights, np.full(int(kept.sum()), choices.visual_weight)]),
    )


def node_texts(wordnet: WordNet, node: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return the texts that mean a synset: its names, "name: gloss" and the gloss.

    A name that usually means something else is left out, unless the synset is one of `known`.
    """
    synset = wordnet.synsets[node]
    names = [
        name
        for name in synset.names
        if node in known or wordnet.sense(f"{name.lower().replace(' ', '_')}.n.01") == node
    ]
    return (*names, f"{synset.names[0]}: {synset.gloss}", synset.gloss)


def gloss_texts(wordnet: WordNet, nodes: Sequence[str]) -> list[str]:
    """Return what a sentence encoder is asked about each node."""
    return [f"{wordnet.synsets[node].names[0]}: {wordnet.synsets[node].gloss}" for node in nodes]


def _visual_rows(
    vocabulary: Vocabulary,
    graph: Spread,
    index: Mapping[str, int],
    kept: NDArray[np.bool_],
    choices: WordWeights,
) -> NDArray[np.float64]:
    """Return a row for each kept name, from the kept names whose node the hierarchy supports."""
    linked = [
        (number, index[node])
        for number, node in enumerate(vocabulary.visual_nodes)
        if kept[number] and node in index and graph.distance[index[node]] == 0
    ]
    anchors = vocabulary.visual_vectors[[number for number, _ in linked]]
    rows = unit(graph.rows[[node for _, node in linked]])
    ridge = KernelRidge.fit(anchors, rows, sharpness=choices.visual_sharpness)
    return unit(ridge(vocabulary.visual_vectors[kept]))


def _text_ridge(
    vocabulary: Vocabulary,
    known: Mapping[str, NDArray[np.floating]],
    index: Mapping[str, int],
    visual: tuple[NDArray[np.float64], NDArray[np.bool_]],
    choices: WordWeights,
) -> Callable[[NDArray[np.floating]], NDArray[np.float64]]:
    """Return the map from sentence embeddings to rows."""
    rows, kept = visual
    anchors = np.concatenate([vocabulary.glosses[[index[node] for node in known]], vocabulary.visual_texts[kept]])
    weights = np.concatenate([np.ones(len(known)), np.full(len(rows), choices.graph_weight)])
    targets = np.concatenate([np.stack(list(known.values())), rows])
    return KernelRidge.fit(anchors, targets, sharpness=choices.text_sharpness, weights=weights)


def _node_targets(graph: Spread, text: NDArray[np.float64], choices: WordWeights) -> NDArray[np.float64]:
    """Return the blend of hierarchy and gloss: the hierarchy leads where it is supported from below."""
    supported = (graph.distance == 0)[:, None]
    near = (graph.distance < _NEAR)[:, None]
    leading, following = unit(graph.rows), unit(text)
    return unit(np.where(supported, leading + choices.blend * following, following + choices.blend * leading * near))
