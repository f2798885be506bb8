"""What a training recipe names, read from the data folder: images, the teacher's rows, the nouns to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from edgezsl.data.images import PackedImages, PictureFiles
from edgezsl.errors import InputError, Place
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.words import Vocabulary, gloss_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.data.wordnet import WordNet
    from edgezsl.zsl.recipe import ImageSource, TrainingRecipe
    from edgezsl.zsl.sentences import Sentences

_LEFT_OUT = 20


def open_images(source: ImageSource, data: Path) -> PackedImages | PictureFiles:
    """Open an image set.

    Raises:
        InputError: When it is not there, or is no image set.
    """
    path = data / source.path
    if path.suffix == ".npz":
        return PackedImages(path)
    named = source.labels == "file_name"
    return PictureFiles.of_folder(path, lambda picture: picture.name.partition("_")[0] if named else "")


def classifier_rows(network: bytes, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rows `(count, F)` and biases `(count,)` of an ONNX classifier whose first class is the background.

    Raises:
        InputError: When there is no such layer in it.
    """
    tensors = [numpy_helper.to_array(one) for one in onnx.load_model_from_string(network).graph.initializer]
    weights = [tensor for tensor in tensors if tensor.squeeze().ndim == 2 and tensor.shape[0] == count + 1]  # noqa: PLR2004  # a matrix
    biases = [tensor for tensor in tensors if tensor.shape == (count + 1,)]
    if len(weights) != 1 or len(biases) != 1:
        raise InputError(
            f"the teacher has {len(weights)} weights and {len(biases)} biases of {count + 1} classes",
            code="bad_teacher",
            where=Place("the teacher's ONNX file"),
            expected="one of each: the background and the classes",
        )
    return weights[0].squeeze()[1:].astype(np.float32), biases[0][1:].astype(np.float32)


def read_vocabulary(
    recipe: TrainingRecipe, data: Path, wordnet: WordNet, sentences: Sentences
) -> Iterator[tuple[int, int, Vocabulary | None]]:
    """Read the nouns to learn; yields (texts embedded, texts, None) and, at the end, the vocabulary.

    Raises:
        InputError: When a file is missing or is not what the recipe says.
    """
    with np.load(data / recipe.hierarchy, allow_pickle=False) as file:
        nodes = tuple(wordnet.with_ancestors(file["wnids"].tolist()))
    with np.load(data / recipe.visual, allow_pickle=False) as file:
        names, aliases, senses = (file[key].tolist() for key in ("name", "aliases", "synset"))
        vectors = file["vectors"].astype(np.float64)
    every = tuple(tuple(dict.fromkeys([name, *more.split("|")])) for name, more in zip(names, aliases, strict=True))
    glosses, first = gloss_texts(wordnet, nodes), list(names)
    for done, rows in sentences.encode([*glosses, *first]):
        known = rows is not None and Vocabulary(
            wordnet=wordnet,
            nodes=nodes,
            glosses=rows[: len(nodes)],
            visual_names=every,
            visual_nodes=tuple(_node(name, sense, wordnet) for name, sense in zip(names, senses, strict=True)),
            # CLIP's text vectors lie in a narrow cone: without its axis they differ.
            visual_vectors=unit(vectors - vectors.mean(axis=0)).astype(np.float32),
            visual_texts=rows[len(nodes) :],
        )
        yield done, len(glosses) + len(first), known or None


def _node(name: str, sense: str, wordnet: WordNet) -> str:
    """Return the synset of a visual name: the one it is given with, else the usual meaning of the name, or nothing."""
    return wordnet.sense(sense) or wordnet.sense(f"{name.lower().replace(' ', '_')}.n.01") or ""


def left_out_ids(features: Path, seed: int) -> frozenset[str]:
    """Return the 20 WordNet ids that a seed leaves out of Tiny-ImageNet's 109 classes with a CLIP text vector.

    Args:
        features: `tinyimagenet_mnv2_u8.npz` of the reference data, whose README defines the sets.
        seed: 0 to 4.
    """
    with np.load(features, allow_pickle=False) as file:
        ids, vectors = file["wnids"], file["clip_index"]
    return frozenset(ids[np.random.RandomState(seed).permutation(np.flatnonzero(vectors >= 0))[:_LEFT_OUT]].tolist())
