"""The `training` part of a recipe in `export/`: what an open-vocabulary model is trained from, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgezsl.contract import InputContract
from edgezsl.data.crops import CropLaw
from edgezsl.errors import RecipeError, shown
from edgezsl.zsl.distill import Schedule, Stage
from edgezsl.zsl.token_table import TableSchedule

if TYPE_CHECKING:
    from edgezsl.records import Fields

LABELS = ("file_name", "none")
INPUT, OUTPUT = "image", "embedding"


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One set of images.

    Attributes:
        name: What reports call it.
        path: Below the data folder: an `.npz` of packed images, or a folder of pictures.
        labels: `file_name`: the word before the first `_` of a picture's name; `none`: the pictures have no label that
            the teacher knows. Packed images carry their own.
        learned: Whether the labels are learned. A few pictures are learned by heart before they teach what a class
            looks like; then the teacher's answers alone are better, and the labels only say what to leave out.
        law: How crops are drawn.
        share: Of a batch.
    """

    name: str
    path: PurePosixPath
    labels: str
    learned: bool
    law: CropLaw
    share: float


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """How an open-vocabulary model is trained.

    Attributes:
        seed: Of everything that is drawn.
        dim: D.
        row_power: How far classifier rows are turned towards pictures (`TeacherSpace.fit`).
        side: S of the contract, pixels.
        teacher: The teacher's ONNX file, below the data folder.
        teacher_side: What it is shown, pixels.
        classes: A JSON file with the WordNet ids of the teacher's classes, below the data folder.
        hierarchy: An `.npz` with the ids of the nouns to learn.
        visual: An `.npz` of names with visual text vectors.
        images: The image sets.
        schedule: Of the visual encoder.
        left_out_share: Of the schedule, for the models that measure left-out classes.
        class_side: Of the class side.
    """

    seed: int
    dim: int
    row_power: float
    side: int
    teacher: PurePosixPath
    teacher_side: int
    classes: PurePosixPath
    hierarchy: PurePosixPath
    visual: PurePosixPath
    images: tuple[ImageSource, ...]
    schedule: Schedule
    left_out_share: float
    class_side: TableSchedule

    @property
    def contract(self) -> InputContract:
        """How frames become the pixels that the visual encoder is trained on."""
        return InputContract(
            size=(self.side, self.side),
            resize="shortest_edge_crop",
            interpolation="area",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            dtype="float32",
            input=INPUT,
            output=OUTPUT,
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> TrainingRecipe:
        """Read the mapping.

        Raises:
            RecipeError: When a field is missing, unknown or of the wrong type.
        """
        rows = fields.take("images")
        if not isinstance(rows, list) or not rows:
            raise fields.refuse("images", f"{shown(rows)} is no list", code="wrong_type", expected="image sets")
        recipe = cls(
            seed=fields.count("seed"),
            dim=fields.count("dim", least=1),
            row_power=fields.number("row_power"),
            side=fields.count("side", least=1),
            teacher=_below(fields, "teacher"),
            teacher_side=fields.count("teacher_side", least=1),
            classes=_below(fields, "classes"),
            hierarchy=_below(fields, "hierarchy"),
            visual=_below(fields, "visual"),
            images=tuple(_image_source(_row(fields, row, index)) for index, row in enumerate(rows)),
            schedule=_schedule(fields.inner("schedule")),
            left_out_share=fields.number("left_out_share"),
            class_side=_class_side(fields.inner("class_side")),
        )
        fields.done()
        if not any(source.learned for source in recipe.images):
            raise fields.refuse(
                "images", "no image set is learned", code="bad_value", expected="one with learned: true"
            )
        return recipe


def _row(fields: Fields, row: Any, index: int) -> Fields:
    return type(fields)(row, fields.place(f"images[{index}]"), RecipeError)


def _below(fields: Fields, name: str) -> PurePosixPath:
    path = PurePosixPath(fields.text(name))
    if path.is_absolute() or ".." in path.parts:
        raise fields.refuse(name, f"the path {shown(str(path))}", code="bad_value", expected="a path below the data")
    return path


def _image_source(fields: Fields) -> ImageSource:
    source = ImageSource(
        name=fields.text("name"),
        path=_below(fields, "path"),
        labels=fields.one_of("labels", LABELS, "none"),
        learned=fields.flag("learned", default=False),
        law=CropLaw(fields.count("crops", least=1), fields.number("least_area")),
        share=fields.number("share"),
    )
    fields.done()
    return source


def _schedule(fields: Fields) -> Schedule:
    samples = fields.inner("samples")
    stages = tuple(Stage(int(side), samples.count(side, least=1)) for side in sorted(samples.names(), key=int))
    return Schedule(stages, **_numbers(fields, Schedule, without=("stages",)))


def _class_side(fields: Fields) -> TableSchedule:
    return TableSchedule(**_numbers(fields, TableSchedule))


def _numbers(fields: Fields, kind: type, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return every field of a dataclass of numbers; each must be there."""
    names = {one.name: one.type for one in dataclass_fields(kind) if one.name not in without}
    values = {
        name: fields.count(name, least=1) if kind_of == "int" else fields.number(name)
        for name, kind_of in names.items()
    }
    fields.done()
    return values
