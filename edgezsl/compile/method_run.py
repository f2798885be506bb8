"""From a method's name, features and an encoder to a model directory: what `edgezsl train --method` does.

The visual encoder stays as it is. What the method makes of its features is put behind it, and the method's side of classes becomes
the semantic map: the result is a model like any other, whose classes are swapped on a device without training.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgezsl.classes import SLOT
from edgezsl.compile.graph_run import train_on_graph
from edgezsl.compile.method_model import method_facts, method_files
from edgezsl.compile.method_steps import TrainedMethod, embedded_pictures, fitted_by_protocol
from edgezsl.data.folder_set import folder_set
from edgezsl.data.named_sets import feature_set_named, names_features
from edgezsl.encoders.model import Model
from edgezsl.encoders.text_side import text_side
from edgezsl.errors import InputError, Place
from edgezsl.zsl.knowledge.node_classifier import GRAPH_METHODS
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.sides import check_folds, sides_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.compile.method_steps import MethodSettings
    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.encoders.model import ModelFacts
    from edgezsl.evaluate.progress import Progress
    from edgezsl.zsl.selection import Chosen


def train_method(settings: MethodSettings, data: str, reference: Path | None) -> Iterator[Progress | TrainedMethod]:
    """Train a method, and yield how far it is; last what came out.

    Args:
        settings: What is asked for.
        data: A folder whose sub-folders are classes, or what `feature_set_named` takes.
        reference: The folder of the reference data, for a benchmark's name.

    Raises:
        InputError: When the data hold too little or are not the encoder's, or the method or a setting is unknown.
        ModelError: When the encoder cannot be used, or the method does not fold.
    """
    Model.check_place(settings.out)
    if settings.method in GRAPH_METHODS:
        yield from train_on_graph(settings, data, reference)
        return
    check_folds(
        method_named(settings.method).make(dict(settings.settings)), settings.method
    )  # before any work, as the place
    if Path(data).is_dir() and not names_features(data):
        yield from train_on_folder(settings, Path(data))
    else:
        yield from train_on_features(settings, feature_set_named(data, reference))


def train_on_folder(settings: MethodSettings, folder: Path) -> Iterator[Progress | TrainedMethod]:
    """Train a method on photographs whose sub-folders are the classes, and yield how far it is; last what came out.

    Args:
        settings: What is asked for.
        folder: The photographs.

    Raises:
        InputError: When the folder holds too little, or the method or a setting is unknown.
        ModelError: When the encoder cannot be used, or the method does not fold.
    """
    base = Model.open(settings.encoder)
    texts = text_side(base)
    if texts is None:
        raise InputError(
            f"the model {base.facts.name!r} knows no words, so that names of folders say nothing to it",
            code="no_text_side",
            where=Place(str(base.folder)),
            expected="a model with a text encoder or a table of words",
            hint="give another --encoder, or a feature set (.npz) with semantics as --data",
        )
    found = yield from embedded_pictures(folder, base, settings.cache)
    templates = base.facts.semantics.templates

    def describe(names: Sequence[str]) -> NDArray[np.float32]:
        rows = texts.encode([template.replace(SLOT, name) for name in names for template in templates])
        return np.asarray(rows.reshape(len(names), len(templates), -1).mean(axis=1))

    data = folder_set(folder.resolve().name, found, describe, unseen=settings.unseen, seed=settings.seed)
    for step in train_on_features(settings, data, words=True):
        yield replace(step, skipped=found.skipped) if isinstance(step, TrainedMethod) else step


def train_on_features(
    settings: MethodSettings, data: FeatureSet, *, words: bool = False
) -> Iterator[Progress | TrainedMethod]:
    """Train a method on features of the encoder, and yield how far it is; last what came out.

    Args:
        settings: What is asked for.
        data: The features; their classes are described by attributes, or by vectors whose columns are taken for attributes.
        words: Whether its semantics are those of the encoder's text side.

    Raises:
        InputError: When the method or a setting is unknown, or the features are not of the encoder's width.
        ModelError: When the encoder cannot be used, or the method does not fold.
    """
    base, entry = Model.open(settings.encoder), method_named(settings.method)

    def written(chosen: Chosen) -> tuple[ModelFacts, dict[str, bytes]]:
        sides = sides_of(chosen.method)
        files = method_files(base, sides, width=data.semantics.shape[1], words=words)
        facts = method_facts(
            base,
            data,
            chosen,
            sides=sides,
            method=settings.method,
            files=files,
            fixed={**entry.fixed(settings.size), "seed": settings.seed},
        )
        return facts, files

    yield (yield from fitted_by_protocol(entry, data, settings, base, written))
