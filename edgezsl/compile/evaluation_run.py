"""A model on a folder of labelled photographs: what `edgezsl eval IMAGES` does, for a bundle or for a model directory."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.bundle import Bundle
from edgezsl.compile.pictures import folder_pictures
from edgezsl.device import detect_profile
from edgezsl.errors import InputError
from edgezsl.evaluate.evaluation import Evaluation
from edgezsl.evaluate.folder_accuracy import folder_accuracy, vocabulary
from edgezsl.evaluate.folder_robustness import Robustness, corruption_accuracy
from edgezsl.runtime.engine import open_first_engine

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from edgezsl.compile.attack_run import AttackSettings
    from edgezsl.compile.pictures import Pictures
    from edgezsl.contract import InputContract
    from edgezsl.evaluate.progress import Progress
    from edgezsl.prototypes import ClassPrototypes
    from edgezsl.runtime.engine import Engine


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """What is asked of a folder.

    Attributes:
        images: Its sub-folders are the labels.
        bundle: A bundle's folder; None is the model that comes with edgezsl.
        model: A model directory that is judged in its place, in full precision, or None.
        classes: A class file that is the vocabulary; None: the labels are.
        left_out: Classes that are left out of the vocabulary.
        engine: `auto` or the name of an engine.
        threads: Of the engine, or None for all cores.
        corruptions: Whether corrupted photographs are recognised, too.
        attack: What to attack the model directory with, or None.
    """

    images: Path
    bundle: Path | None = None
    model: Path | None = None
    classes: Path | None = None
    left_out: tuple[str, ...] = ()
    engine: str = "auto"
    threads: int | None = None
    corruptions: bool = False
    attack: AttackSettings | None = None


def evaluate_folder(settings: FolderSettings) -> Iterator[Progress | Evaluation]:
    """Recognise labelled photographs; yield how far that is, and last what was found.

    Raises:
        SourceError: When the folder has no photographs in sub-folders, or none of them can be read.
        BundleError: When the bundle is damaged.
        ModelError: When the model directory is damaged, or its graph is not one that this version exports.
        InputError: When a class cannot be left out, no photograph's class is in the vocabulary, or a bundle is to be attacked.
        ClassFileError: When a class asks for what the model does not offer.
        PackError: When a class pack is damaged; of another model, SpaceMismatchError.
        EngineError: When the model does not run.
        MissingExtraError: When ONNX Runtime, OpenCV, tokenizers or onnx is needed and not installed.
    """
    if settings.attack is not None and settings.bundle is not None:
        message, expected = "a bundle carries no gradient to attack it with", "the model directory it was exported from"
        raise InputError(message, code="no_gradient", expected=expected, hint="give --model DIR in place of --bundle")
    pictures = folder_pictures(settings.images, labels=True)
    with tempfile.TemporaryDirectory(prefix="edgezsl-eval-") as place:
        if settings.model is None:
            bundle = Bundle.open(settings.bundle)
        else:
            bundle = yield from drafted(settings.model, Path(place))
        prototypes = vocabulary(
            bundle, pictures.labels, classes=settings.classes, left_out=settings.left_out, threads=settings.threads
        )
        engine, _ = open_first_engine(bundle, settings.engine, detect_profile().profile, threads=settings.threads)
        with closing(engine):
            title = f"{bundle.manifest.name} on {settings.images.resolve().name}"
            contract = bundle.manifest.contract
            for step in folder_accuracy(pictures.each, pictures.count, engine, contract, prototypes, title=title):
                if isinstance(step, Evaluation):
                    robustness = yield from _robustness(settings, engine, contract, prototypes)
                    yield replace(_with_origin(step, bundle, pictures), robustness=robustness)
                else:
                    yield step


def _robustness(
    settings: FolderSettings, engine: Engine, contract: InputContract, prototypes: ClassPrototypes
) -> Generator[Progress, None, Robustness | None]:
    if settings.attack is None and not settings.corruptions:
        return None
    found = Robustness()
    if settings.corruptions:
        again = folder_pictures(settings.images, labels=True)
        shares = yield from corruption_accuracy(again.each, again.count, engine, contract, prototypes)
        found = replace(found, corrupted=shares)
    if settings.attack is not None:
        from edgezsl.compile.attack_run import attacked_accuracy
        from edgezsl.encoders.model import Model

        again, model = folder_pictures(settings.images, labels=True), Model.open(settings.model)
        attacked = yield from attacked_accuracy(model, prototypes, again, settings.attack)
        found = replace(found, attacked=attacked, attack=str(settings.attack))
    return found


def _with_origin(found: Evaluation, bundle: Bundle, pictures: Pictures) -> Evaluation:
    manifest = bundle.manifest
    facts = {
        **found.facts,
        "unreadable": f"{len(pictures.skipped)} files, which are left out",
        "model": f"{manifest.name}, {manifest.precision}: {manifest.provenance.source_model}",
        "seen penalty": f"{manifest.seen_penalty:g}, unless the class file says otherwise",
    }
    return replace(found, facts=facts)


def drafted(folder: Path, place: Path) -> Generator[Progress, None, Bundle]:
    """Return a bundle of a model directory in full precision, as an export without photographs would make it.

    Args:
        folder: The model directory.
        place: Where the bundle may be written.

    Raises:
        ModelError: When the model directory is damaged, or its graph is not one that this version exports.
        MissingExtraError: When onnx, ONNX Runtime or OpenCV is not installed.
    """
    from edgezsl.compile.draft import make_draft
    from edgezsl.compile.recipe import load_recipe
    from edgezsl.compile.vocabulary import everyday_prototypes
    from edgezsl.encoders.graph import require_onnx
    from edgezsl.encoders.model import Model
    from edgezsl.manifest import Batch

    require_onnx()
    model = Model.open(folder)
    recipe = load_recipe(model.facts.recipe)
    draft = yield from make_draft(model, recipe, ("fp32",), batch=Batch(), calibration=None, uint8=False)
    first = draft.write(place / "first", ("fp32",))
    names = everyday_prototypes(first)
    return first if names is None else draft.write(place / "bundle", ("fp32",), names=names)
