"""Training of an open-vocabulary model from a recipe: visual encoder and class side, each with what it learns from.

Every long part keeps what it has done in a work folder and goes on from there: the teacher's answers, the sentence
embeddings, the checkpoint of the visual encoder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load, save

from edgezsl.data.images import PictureFiles
from edgezsl.data.pool import CropPool, Crops
from edgezsl.data.wordnet import WordNet
from edgezsl.encoders.compact import CompactEncoder
from edgezsl.encoders.minilm import SentenceEncoder
from edgezsl.errors import InputError, Place
from edgezsl.files import write_durably
from edgezsl.preprocess import Preprocessor
from edgezsl.records import sha256_hex
from edgezsl.zsl.alignment import Alignment, Words, embed_learned, embed_photographs
from edgezsl.zsl.data_parallel import ALONE, Processes
from edgezsl.zsl.distill import Distiller, Stage, TeacherSpace, known_targets
from edgezsl.zsl.sentences import Sentences
from edgezsl.zsl.teacher import Teacher, TeacherAnswers
from edgezsl.zsl.token_table import TableSide, first_rows, token_weights, train_table
from edgezsl.zsl.training_data import classifier_rows, open_images, read_vocabulary
from edgezsl.zsl.words import gloss_texts, word_targets

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from edgezsl.data.images import ImageSet
    from edgezsl.zsl.distill import Schedule
    from edgezsl.zsl.recipe import ImageSource, TrainingRecipe
    from edgezsl.zsl.words import Vocabulary

_SAMPLE = 8192  # crops by which the space is fitted
_EVERY = 200  # steps between checkpoints
_ILSVRC = "ilsvrc1k"
_FOLDS = 5  # of the photographs, when classes are left out


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """How far a part is.

    Attributes:
        part: Its name.
        done: Of `total`.
        total: Images, texts or steps.
        note: What a person may want to know of it.
    """

    part: str
    done: int
    total: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """An open-vocabulary model.

    Attributes:
        encoder: Pixels `(N, 3, S, S)` to unit embeddings `(N, D)`, not centred.
        side: Token ids to unit prototypes.
        known: Ids of the classes whose rows it was trained on.
        space: Where it embeds.
        alignment: How images and words meet.
    """

    encoder: CompactEncoder
    side: TableSide
    known: tuple[str, ...]
    space: TeacherSpace
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Classes that a model must never have met.

    Attributes:
        ids: WordNet ids.
        fold: Which fifth of the pictures with a label in their file name is held back besides.
    """

    ids: frozenset[str]
    fold: int


class Training:
    """A run of a recipe.

    Args:
        recipe: The recipe.
        data: The data folder.
        wordnet: WordNet's folder.
        work: Where the parts keep what they have done.
        left_out: Classes to leave out, or None to train on all.
        processes: Those that train the visual encoder together; the first of them does the rest.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        data: Path,
        wordnet: Path,
        work: Path,
        *,
        left_out: LeftOut | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._recipe, self._data, self._work, self._left_out = recipe, data, work, left_out
        self._wordnet, self._processes = wordnet, processes
        processes.share_of(recipe.schedule.batch)  # refused before hours of work
        self._teacher = Teacher(data / recipe.teacher, recipe.teacher_side)
        ids = sorted(json.loads((data / recipe.classes).read_bytes())[_ILSVRC])
        away = left_out.ids if left_out else frozenset()
        self.known = tuple(one for one in ids if one not in away)
        classifier, bias = classifier_rows((data / recipe.teacher).read_bytes(), len(ids))
        kept = np.array([one not in away for one in ids])
        self._classifier, self._bias = classifier[kept], bias[kept]

    def run(self) -> Iterator[TrainingStep | TrainedModel]:
        """Train both sides, or go on; the last thing yielded is the model, by the first process.

        Raises:
            InputError: When a file of the data folder is missing or is not what the recipe says, or the processes do not share
                the work folder.
            MissingExtraError: When the sentence encoder's weights are not installed.
            TransientError: When another of the processes has ended.
        """
        sets = yield from self._sets()
        pool = CropPool(sets, seed=self._recipe.seed + 1)
        space = TeacherSpace.fit(
            pool.answers(_SAMPLE), self._classifier, self._bias, dim=self._recipe.dim, power=self._recipe.row_power
        )
        encoder = yield from self._visual_encoder(space, pool)
        if not self._processes.is_first:
            return
        side, words = yield from self._class_side(space)
        preprocess = Preprocessor(self._recipe.contract)
        learned = embed_learned(encoder, sets, preprocess=preprocess)
        photographs = embed_photographs(encoder, sets, preprocess=preprocess)
        alignment = Alignment.fit(learned, photographs, words=words, seed=self._recipe.seed)
        yield TrainedModel(encoder, side, self.known, space, alignment)

    def _sets(self) -> Generator[TrainingStep, None, list[Crops]]:
        """Return the image sets with the teacher's answers, which the first process computes and the others wait for."""
        if not self._processes.is_first:
            self._processes.wait()
        sets = []
        for source in self._recipe.images:
            images = open_images(source, self._data)
            kept, seed = self._work / "teacher", self._recipe.seed
            answers = TeacherAnswers(source.name, images, self._teacher, source.law, kept, seed=seed)
            if not self._processes.is_first and answers.done < len(images.labels):
                raise InputError(
                    f"the first process has the teacher's answers to {source.name}, this one finds {answers.done} of them",
                    code="work_not_shared",
                    where=Place(str(self._work)),
                    expected=f"{len(images.labels)}",
                    hint="give every machine a --work folder that all of them see",
                )
            for done in answers.compute():
                yield TrainingStep(f"teacher on {source.name}", done, len(images.labels))
            crops = self._crops(source, images, answers)
            sets += [crops] if crops else []
        if self._processes.is_first:
            self._processes.wait()
        return sets

    def _visual_encoder(self, space: TeacherSpace, pool: CropPool) -> Generator[TrainingStep, None, CompactEncoder]:
        torch.manual_seed(self._recipe.seed)
        encoder = CompactEncoder(self._recipe.dim)
        recipe, schedule = self._recipe, self._schedule()
        key = (recipe.seed, recipe.dim, recipe.row_power, recipe.teacher, recipe.teacher_side, recipe.images)
        kept = self._file(
            "encoder", *key, schedule, encoder
        )  # before layers are replaced: one file for any number of processes
        distiller = Distiller(encoder, space, schedule, seed=recipe.seed, processes=self._processes)
        for step in distiller.run(pool, kept, every=_EVERY):
            note = f"loss {step.loss:.3f}, cosine to the teacher {step.agreement:.3f}"
            yield TrainingStep("visual encoder", step.step, step.total, note)
        return encoder.cpu().eval()

    def _class_side(self, space: TeacherSpace) -> Generator[TrainingStep, None, tuple[TableSide, Words]]:
        sentences = Sentences(self._work / "sentences", SentenceEncoder())
        wordnet = WordNet.read(self._wordnet)
        vocabulary = yield from self._vocabulary(wordnet, sentences)
        counts = sentences.token_counts(gloss_texts(wordnet, tuple(wordnet.synsets)))
        schedule = self._recipe.class_side
        rows = first_rows(sentences.tokens_alone(), counts, schedule.width)
        torch.manual_seed(self._recipe.seed)
        side = TableSide(rows, token_weights(counts, schedule.frequency), self._recipe.dim, schedule)
        known = dict(zip(self.known, space.rows, strict=True))
        words = word_targets(vocabulary, known, left_out=self._left_out.ids if self._left_out else ())
        tokens = [sentences.tokens(texts) for texts in words.texts]
        kept = self._file("class-side", self._recipe)
        if kept.exists():
            side.load_state_dict(load(kept.read_bytes()))
        else:
            for step in train_table(side, words, tokens, schedule, seed=self._recipe.seed):
                if step % _EVERY == 0 or step == schedule.steps:
                    yield TrainingStep("class side", step, schedule.steps)
            write_durably(kept, save(side.state_dict()))
        side.eval()
        place = {node: number for number, node in enumerate(vocabulary.nodes)}
        everyday = [of_name[0] for of_name in tokens[len(vocabulary.nodes) :]]
        with torch.no_grad():
            semantics = torch.stack([side.semantics(tokens[place[one]]).mean(0) for one in self.known])
            return side, Words(side(semantics).numpy(), side(side.semantics(everyday)).mean(0).numpy())

    def _vocabulary(self, wordnet: WordNet, sentences: Sentences) -> Generator[TrainingStep, None, Vocabulary]:
        for done, total, vocabulary in read_vocabulary(self._recipe, self._data, wordnet, sentences):
            yield TrainingStep("sentence encoder on glosses", done, total)
            if vocabulary is not None:
                return vocabulary
        raise InputError("the recipe names no nouns to learn", code="no_nouns", where=Place(str(self._data)))

    def _file(self, part: str, *key: object) -> Path:
        """Return where a part is kept: another recipe, or other classes left out, is another file."""
        digest = sha256_hex(repr((key, self.known, self._left_out and self._left_out.fold)).encode())
        return self._work / f"{part}-{digest[:16]}.safetensors"

    def _schedule(self) -> Schedule:
        schedule = self._recipe.schedule
        if self._left_out is None:
            return schedule
        share = self._recipe.left_out_share
        return replace(schedule, stages=tuple(Stage(one.side, int(one.samples * share)) for one in schedule.stages))

    def _crops(self, source: ImageSource, images: ImageSet, answers: TeacherAnswers) -> Crops | None:
        """Return the crops of a set that may be looked at, or None."""
        away = self._left_out
        if away is None:
            kept = list(range(len(images.labels)))
        elif source.labels == "none" and isinstance(images, PictureFiles):
            return None  # nobody says what they show: it may be a class that is left out
        else:
            held = away.fold if isinstance(images, PictureFiles) else None
            kept = [
                number
                for number, label in enumerate(images.labels)
                if label not in away.ids and (held is None or number % _FOLDS != held)
            ]
        rows = slice(None) if len(kept) == len(images.labels) else np.asarray(kept)
        return Crops(
            images=[images.image(number) for number in kept],
            boxes=answers.boxes[rows],
            answers=answers.features[rows],
            targets=known_targets([images.labels[number] for number in kept], self.known if source.learned else ()),
            share=source.share,
        )
