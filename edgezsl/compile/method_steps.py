"""What training has in common, whatever a method takes for the description of a class: settings, steps, and what comes out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.contract import LARGEST_SCALE
from edgezsl.data.folder_set import EncoderOfFeatures, FolderFeatures, folder_features
from edgezsl.encoders.graph import portable_encoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.errors import InputError, Place
from edgezsl.evaluate.progress import Progress
from edgezsl.preprocess import Preprocessor
from edgezsl.zsl.evaluation import fitted_logit_scale
from edgezsl.zsl.method import ZeroShotMethod
from edgezsl.zsl.selection import Chosen, Judgement, Trial, fit_chosen, judge
from edgezsl.zsl.shots import chosen_kappa

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgezsl.data.feature_set import FeatureSet
    from edgezsl.encoders.model import ModelFacts
    from edgezsl.zsl.methods import MethodEntry, Size
    from edgezsl.zsl.space import Value

DRAWS = range(20)  # of examples among validation classes


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
        graph: The graph of a method on one, or None for that of the reference data.
        wordnet: The database files of WordNet 3.0, which say what of a graph is a kind of what.
    """

    method: str
    encoder: Path | None
    out: Path
    size: Size = "full"
    seed: int = 0
    settings: Mapping[str, Value] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    cache: Path | None = None
    graph: Path | None = None
    wordnet: Path = Path("/usr/share/wordnet")  # where Debian puts it


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
        """Accuracies in [0, 1] by name: of validation classes, and of unseen ones where the set has any.

        T1 of a single unseen class is left out: among itself alone every picture is right.
        """
        found = {"validation T1": self.chosen.val_t1}
        if self.judgement is not None:
            of, several = self.judgement, len(self.data.classes("test_unseen")) > 1
            named = {"unseen T1": of.t1 if several else None, "U": of.u, "S": of.s, "H": of.h}
            named |= {"H with the seen penalty": of.h_calibrated}
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


def embedded_pictures(folder: Path, base: Model, cache: Path | None) -> Generator[Progress, None, FolderFeatures]:
    """Embed photographs whose sub-folders are the classes, and yield how far that is.

    Args:
        folder: The photographs.
        base: The encoder of the features.
        cache: Where features are kept, or None.

    Raises:
        InputError: When there is no photograph in a sub-folder.
        ModelError: When the encoder cannot be used.
    """
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


def fitted_by_protocol(
    entry: MethodEntry,
    data: FeatureSet,
    settings: MethodSettings,
    base: Model,
    write: Callable[[Chosen], tuple[ModelFacts, dict[str, bytes]]],
) -> Generator[Progress, None, TrainedMethod]:
    """Choose settings on validation classes, fit on all seen ones, judge on unseen ones; yield how far that is.

    Args:
        entry: The method.
        data: What it learns on.
        settings: What is asked for.
        base: The encoder of the features.
        write: Returns facts and files of the model directory of what was chosen.

    Raises:
        InputError: When a setting is unknown, or the features are not of the encoder's width.
        ModelError: When the model cannot be written.
    """
    _check_width(data, base)
    trials: list[Trial] = []
    total = entry.grid_size(settings.settings, settings.size)
    for step in fit_chosen(entry, data, size=settings.size, seed=settings.seed, settings=dict(settings.settings)):
        if isinstance(step, Chosen):
            judgement = judge(step.method, data, gamma=step.gamma) if len(data.rows["test_unseen"]) else None
            yield Progress("fitting a temperature and writing the model", 1, 1)
            facts, files = write(step)
            model = Model.write(settings.out, _with_validated(facts, entry, data, settings, step), files)
            return TrainedMethod(model, step, judgement, tuple(trials), data)
        trials.append(step)
        yield Progress("choosing settings", len(trials), total)
    raise RuntimeError("the choice ended without a method")


def _with_validated(
    facts: ModelFacts, entry: MethodEntry, data: FeatureSet, settings: MethodSettings, chosen: Chosen
) -> ModelFacts:
    """Return facts with what validation classes say of a device's answers, by the method fitted without them.

    The logit scale makes probabilities that are right as often as they say; κ is as how many pictures a description counts.
    """
    held = entry.make(chosen.settings, size=settings.size, seed=settings.seed)
    held.fit(*data.of("train"), data.semantics)
    scale = fitted_logit_scale(held, chosen.method, data)
    if scale is None:  # validation classes are not told apart, and say nothing of κ either
        return facts
    facts = replace(facts, space=replace(facts.space, logit_scale=min(scale, LARGEST_SCALE)))
    kinds = set(facts.semantics.kinds)
    fewest = np.unique(data.of("val")[1], return_counts=True)[1].min()
    by_both = "examples" in kinds and bool({"words", "attributes"} & kinds)
    if not by_both or fewest < 2 or not isinstance(held, ZeroShotMethod):  # noqa: PLR2004  # an example, and one to judge
        return facts
    return replace(facts, semantics=replace(facts.semantics, description_weight=chosen_kappa(held, data, seeds=DRAWS)))


def _check_width(data: FeatureSet, base: Model) -> None:
    if data.features.shape[1] != base.facts.space.dim:
        raise InputError(
            f"the features have {data.features.shape[1]} values, the encoder {base.facts.name!r} gives {base.facts.space.dim}",
            code="other_encoder",
            where=Place(data.name),
            expected="the encoder that the features are of",
            hint="name its model directory with --encoder; docs/importing.md makes one of another library's model, or of an ONNX file",
        )
