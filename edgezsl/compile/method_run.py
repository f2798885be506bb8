"""From a method's name, features and an encoder to a model directory: what `edgezsl train --method` does.

The visual encoder stays as it is. What the method makes of its features is put behind it, and the method's side of classes becomes
the semantic map: the result is a model like any other, whose classes are swapped on a device without training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.classes import SLOT
from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.compile.method_model import method_facts, method_files
from edgezsl.data.folder_set import EncoderOfFeatures, FolderFeatures, folder_features, folder_set
from edgezsl.data.named_sets import feature_set_named
from edgezsl.encoders.graph import portable_encoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.text_side import text_side
from edgezsl.errors import InputError, Place
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import Chosen, Judgement, Trial, fit_chosen, judge
from edgezsl.zsl.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.space import Value


@dataclass(frozen=True, slots=True)
class MethodSettings:
    """What training a method is asked for.

    Attributes:
        method: Its name.
        encoder: The model directory whose image encoder gives features, and whose text side describes classes; None for the
            model that comes with edgezsl.
        out: The model directory to write.
        size: Of the run.
        seed: Of methods that start from random numbers, and of what is held back.
        settings: Hyper-parameters; the others are chosen on validation classes.
        unseen: Classes of a folder that are judged and not fitted on.
        cache: Where features of pictures are kept, or None.
    """

    method: str
    encoder: Path | None
    out: Path
    size: Size = "full"
    seed: int = 0
    settings: Mapping[str, Value] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    cache: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMethod:
    """What came out.

    Attributes:
        model: The model directory.
        chosen: The method, fitted, with what validation chose.
        judgement: On unseen classes; None where the set has none.
        trials: What was tried.
        data: What it was fitted on.
        skipped: Pictures of a folder that could not be read, by path, with the reason.
    """

    model: Model
    chosen: Chosen
    judgement: Judgement | None
    trials: tuple[Trial, ...]
    data: FeatureSet
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        """Accuracies in [0, 1] by name: of validation classes, and of unseen ones where the set has any."""
        found = {"validation T1": self.chosen.val_t1}
        if self.judgement is not None:
            of = self.judgement
            named = {"unseen T1": of.t1, "U": of.u, "S": of.s, "H": of.h, "H with the seen penalty": of.h_calibrated}
            found |= {name: value for name, value in named.items() if value is not None}
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what `edgezsl train --json` prints."""
        facts = self.model.facts
        return {
            "model": str(self.model.folder),
            "digest": self.model.digest,
            "method": facts.method,
            "settings": self.chosen.settings,
            "trials": [asdict(trial) for trial in self.trials],
            "seen_penalty": facts.seen_penalty,
            "figures": self.figures,
            "skipped": dict(self.skipped),
        }


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
    method_named(settings.method)  # before any work, as the place
    Model.check_place(settings.out)
    if Path(data).is_dir():
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
    found = yield from _embedded(folder, base, settings.cache)
    templates = base.facts.semantics.templates

    def describe(names: Sequence[str]) -> NDArray[np.float32]:
        rows = texts.encode([template.replace(SLOT, name) for name in names for template in templates])
        return np.asarray(rows.reshape(len(names), len(templates), -1).mean(axis=1))

    data = folder_set(folder.name, found, describe, unseen=settings.unseen, seed=settings.seed)
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
    if data.features.shape[1] != base.facts.space.dim:
        raise InputError(
            f"the features have {data.features.shape[1]} values, the encoder {base.facts.name!r} gives {base.facts.space.dim}",
            code="other_encoder",
            where=Place(data.name),
            expected="the encoder that the features are of",
            hint="name its model directory with --encoder",
        )
    trials, chosen = yield from _chosen(entry, data, settings)
    judgement = judge(chosen.method, data, gamma=chosen.gamma) if len(data.rows["test_unseen"]) else None
    yield Progress("writing the model", 1, 1)
    sides = sides_of(chosen.method)
    files = method_files(base, sides, width=data.semantics.shape[1], words=words)
    facts = method_facts(base, data, chosen, sides=sides, method=settings.method, files=files, seed=settings.seed)
    yield TrainedMethod(Model.write(settings.out, facts, files), chosen, judgement, trials, data)


def _embedded(folder: Path, base: Model, cache: Path | None) -> Generator[Progress, None, FolderFeatures]:
    contract, space = base.facts.contract, base.facts.space
    graph = portable_encoder(base.read(IMAGE_ENCODER), contract, space, str(base.folder / IMAGE_ENCODER))
    engine, preprocess = encoder_engine(graph, contract, space.dim), Preprocessor(contract)

    def embed(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.asarray(engine.run(preprocess(list(pictures))), np.float32)

    for step in folder_features(folder, EncoderOfFeatures(base.digest, embed), cache):
        if isinstance(step, FolderFeatures):
            return step
        yield Progress("embedding pictures", *step)
    raise RuntimeError("the pictures ended without features")


def _chosen(
    entry: MethodEntry, data: FeatureSet, settings: MethodSettings
) -> Generator[Progress, None, tuple[tuple[Trial, ...], Chosen]]:
    trials: list[Trial] = []
    total = entry.grid_size(settings.settings)
    for step in fit_chosen(entry, data, size=settings.size, seed=settings.seed, settings=dict(settings.settings)):
        if isinstance(step, Chosen):
            return tuple(trials), step
        trials.append(step)
        yield Progress("choosing settings", len(trials), total)
    raise RuntimeError("the choice ended without a method")
