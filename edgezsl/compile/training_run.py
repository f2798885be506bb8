"""From a recipe with a training section to a model directory: what `edgezsl train` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgezsl.compile.recipe import load_recipe
from edgezsl.compile.trained_model import model_facts, model_files
from edgezsl.data.wordnet import WordNet
from edgezsl.encoders.minilm import minilm_tokenizer, weights_folder
from edgezsl.encoders.model import Model
from edgezsl.errors import InputError, Place, RecipeError, shown
from edgezsl.files import file_digest
from edgezsl.manifest import Licence
from edgezsl.records import Fields, sha256_hex
from edgezsl.zsl.data_parallel import processes_of_torchrun
from edgezsl.zsl.open_vocabulary import LeftOut, TrainedModel, Training, TrainingStep
from edgezsl.zsl.recipe import TrainingRecipe
from edgezsl.zsl.training_data import left_out_ids

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path, PurePosixPath

    from edgezsl.compile.recipe import Recipe

_LEFT_OUT_SETS = "zsl_tinyimagenet/tinyimagenet_mnv2_u8.npz"
LICENCE = Licence(
    "Apache-2.0",
    "Weights trained by this project. The images they were learned from are not part of it; their terms allow "
    "non-commercial research: the model's card says which they are.",
    "edgezsl/builtin/README.md",
)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What a training run is asked for.

    Attributes:
        recipe: The name of a recipe in `export/`, or its path.
        data: The reference data.
        wordnet: WordNet's database files.
        work: Where parts and checkpoints are kept; a run that was cut off goes on from there.
        out: The model directory to write.
        left_out: The number of a set of classes to leave out, or None.
        threads: Of PyTorch.
    """

    recipe: str
    data: Path
    wordnet: Path
    work: Path
    out: Path
    left_out: int | None = None
    threads: int = 2


def train_model(settings: TrainingSettings) -> Iterator[TrainingStep | Model]:
    """Train, and write the model directory; yields how far it is, and last the model.

    Of several processes that `torchrun` started, each computes its share of the batches of the visual encoder, and the first does
    everything else: it alone yields.

    Raises:
        RecipeError: When the recipe has no training section, or breaks its format.
        InputError: When a file of the data folder is missing, which is said before any work, or is not what the recipe says, or the
            processes cannot share the batches or the work folder.
        MissingExtraError: When the sentence encoder's weights are not installed.
        ModelError: When the directory cannot be written.
        TransientError: When another process has ended.
    """
    recipe = load_recipe(settings.recipe)
    if not recipe.training:
        raise RecipeError(
            f"the recipe {recipe.name!r} says nothing of training",
            code="no_training",
            where=Place(f"export/{recipe.name}.yaml"),
            expected="a section 'training'",
            hint="take the recipe 'builtin', or write such a section",
        )
    place = Place(f"export/{recipe.name}.yaml", field="training")
    training = TrainingRecipe.from_fields(Fields(dict(recipe.training), place, RecipeError))
    _check_data(settings, recipe, training)
    torch.set_num_threads(settings.threads)
    # Moments and tails of a softmax fade into denormal numbers, with which this costs three times as long.
    torch.set_flush_denormal(True)
    left_out = None
    if settings.left_out is not None:
        ids = left_out_ids(settings.data / _LEFT_OUT_SETS, settings.left_out)
        left_out = LeftOut(ids, settings.left_out)
    with processes_of_torchrun() as processes:
        run = Training(training, settings.data, settings.wordnet, settings.work, left_out=left_out, processes=processes)
        for item in run.run():
            if isinstance(item, TrainedModel):
                yield _write(item, settings, recipe, training)
            elif processes.is_first:
                yield item


def _learned_from(training: TrainingRecipe) -> tuple[PurePosixPath, ...]:
    """Return what a recipe reads below the data folder."""
    named = (training.teacher, training.classes, training.hierarchy, training.visual)
    return (*named, *(source.path for source in training.images))


def _check_data(settings: TrainingSettings, recipe: Recipe, training: TrainingRecipe) -> None:
    left_out = () if settings.left_out is None else (_LEFT_OUT_SETS,)
    missing = [str(path) for path in (*_learned_from(training), *left_out) if not (settings.data / path).exists()]
    if missing:
        raise InputError(
            f"this is not the folder of the reference data that the recipe {recipe.name!r} learns from",
            code="no_reference_data",
            where=Place(str(settings.data)),
            got=f"no {shown(missing[0])} in it",
            hint="for photographs or a feature set, name a --method",
        )
    WordNet.read(settings.wordnet)  # refused before any work


def _write(trained: TrainedModel, settings: TrainingSettings, recipe: Recipe, training: TrainingRecipe) -> Model:
    files = model_files(trained, recipe, training, minilm_tokenizer(weights_folder() / "tokenizer.json"))
    wordnet = WordNet.read(settings.wordnet)
    facts = model_facts(
        files,
        recipe,
        training,
        alignment=trained.alignment,
        seen=[*dict.fromkeys(wordnet.synsets[one].names[0] for one in trained.known)],
        data={str(path): _data_digest(settings.data / path) for path in _learned_from(training)},
        licence=LICENCE,
    )
    return Model.write(settings.out, facts, files)


def _data_digest(path: Path) -> str:
    """Return SHA-256 over a file, or over digests and paths of all files below a folder, as `sha256sum` lists them."""
    if not path.is_dir():
        return file_digest(path)
    files = sorted(one for one in path.rglob("*") if one.is_file())
    lines = (f"{file_digest(one)}  {one.relative_to(path).as_posix()}\n" for one in files)
    return sha256_hex("".join(lines).encode())
