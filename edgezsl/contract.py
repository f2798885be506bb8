"""What an image encoder takes (`InputContract`) and where its answers live (`EmbeddingSpace`).

Both travel in the manifest of a bundle. Preprocessing depends on the contract alone, never on the pixel values of a
frame; scores depend on the space alone, never on the engine that filled it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from edgezsl.errors import ContractError, Place, SpaceMismatchError, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgezsl.records import Fields

Resize = Literal["shortest_edge_crop", "squash", "letterbox"]
Interpolation = Literal["area", "bilinear", "bicubic", "nearest"]
PixelType = Literal["float32", "uint8"]
Similarity = Literal["cosine", "dot"]
Activation = Literal["softmax", "sigmoid"]

CHANNELS = 3
LARGEST_SIDE = 4096  # pixels; a contract above it is a mistake, not a model
LARGEST_DIM = 65_536
LARGEST_SCALE = 1e6  # CLIP's is 100
_SHORTEST_DIGEST = 8


def _refuse(field: str, message: str, expected: str) -> ContractError:
    return ContractError(message, code="bad_contract", where=Place(field=field), expected=expected)


def _check_choice(field: str, value: str, choices: Any) -> None:
    allowed = get_args(choices)
    if value not in allowed:
        raise _refuse(field, f"{field} is {shown(value)}", " or ".join(allowed))


def _is_side(value: object) -> bool:
    return isinstance(value, int) and 1 <= value <= LARGEST_SIDE


def _all_finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)


@dataclass(frozen=True, slots=True)
class InputContract:
    """How a frame becomes the pixels of an image encoder.

    A frame is RGB uint8 `(H, W, 3)`; pixels are `(3, h, w)` in `dtype`, channels in the order R, G, B.

    Attributes:
        size: Height and width `(h, w)` of the encoder's input, in pixels.
        resize: `shortest_edge_crop` scales the shorter edge and crops the centre, `squash` ignores the aspect ratio,
            `letterbox` fits the whole frame and pads with the mean colour.
        interpolation: `area`, `nearest`, or `bilinear` and `bicubic` as Pillow's antialiased filters.
        mean: Per channel, subtracted after division by 255.
        std: Per channel, > 0; the difference is divided by it.
        dtype: `float32`: normalised before the engine; `uint8`: the graph normalises.
        input: The name of the graph's input.
        output: The name of the graph's output.
        exact_resize: Whether `bilinear` and `bicubic` must be Pillow's filters exactly; otherwise area averaging
            stands in for them when shrinking.
        layout: Always `NCHW`.

    Raises:
        ContractError: When a value is out of its range.
    """

    size: tuple[int, int]
    resize: Resize
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dtype: PixelType
    input: str
    output: str
    exact_resize: bool = False
    layout: Literal["NCHW"] = "NCHW"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(_is_side(side) for side in self.size):  # noqa: PLR2004  # (h, w)
            raise _refuse("size", f"the input size is {self.size}", f"(h, w), each from 1 to {LARGEST_SIDE} pixels")
        if len(self.mean) != CHANNELS or len(self.std) != CHANNELS or not _all_finite(*self.mean, *self.std):
            raise _refuse("mean", f"mean {self.mean} and std {self.std}", "three finite numbers each")
        if min(self.std) <= 0:
            raise _refuse("std", f"std is {self.std}", "three numbers > 0")
        _check_choice("resize", self.resize, Resize)
        _check_choice("interpolation", self.interpolation, Interpolation)
        _check_choice("dtype", self.dtype, PixelType)
        _check_choice("layout", self.layout, Literal["NCHW"])
        if not self.input or not self.output:
            raise _refuse("input", f"input {self.input!r} and output {self.output!r}", "the names of a graph's tensors")

    @classmethod
    def from_fields(cls, fields: Fields) -> InputContract:
        """Read a contract from a JSON object.

        Raises:
            InputError: When a field is missing, unknown or of the wrong type.
            ContractError: When a value is out of its range.
        """
        read: dict[str, Any] = {
            "size": fields.counts("size"),
            "resize": fields.text("resize"),
            "interpolation": fields.text("interpolation"),
            "mean": fields.numbers("mean"),
            "std": fields.numbers("std"),
            "dtype": fields.text("dtype"),
            "input": fields.text("input"),
            "output": fields.text("output"),
            "exact_resize": fields.flag("exact_resize", default=False),
            "layout": fields.text("layout", "NCHW"),
        }
        fields.done()
        try:
            return cls(**read)
        except ContractError as fault:
            raise fields.placed(fault) from None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_fields` reads back as an equal contract."""
        return {
            "size": list(self.size),
            "resize": self.resize,
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
            "dtype": self.dtype,
            "input": self.input,
            "output": self.output,
            "exact_resize": self.exact_resize,
            "layout": self.layout,
        }


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSpace:
    """The space in which an image encoder's embeddings and class prototypes meet.

    Two spaces are equal if and only if `id`, `dim` and `similarity` are.

    Attributes:
        id: Digest of the visual encoder's weights that define the space, hexadecimal.
        dim: D, the length of an embedding.
        similarity: `cosine` (rows have length 1) or `dot`.
        logit_scale: logit = `logit_scale` · score + `logit_bias`.
        logit_bias: See `logit_scale`.
        activation: How logits become probabilities: `softmax` over all classes or `sigmoid` for each.
        image_mean: Mean image embedding `(D,)`, or none.
        text_mean: Mean text prototype `(D,)`, or none. Both means are there or neither is; an example prototype is
            moved by `text_mean - image_mean`.

    Raises:
        ContractError: When a value is out of its range.
    """

    id: str
    dim: int
    similarity: Similarity
    logit_scale: float = 1.0
    logit_bias: float = 0.0
    activation: Activation = "softmax"
    image_mean: tuple[float, ...] | None = None
    text_mean: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.id) < _SHORTEST_DIGEST or set(self.id) - set("0123456789abcdef"):
            raise _refuse("id", f"the space's id is {shown(self.id)}", "at least 8 lower-case hexadecimal digits")
        if not 1 <= self.dim <= LARGEST_DIM:
            raise _refuse("dim", f"the space has {self.dim} dimensions", f"1 to {LARGEST_DIM}")
        _check_choice("similarity", self.similarity, Similarity)
        _check_choice("activation", self.activation, Activation)
        if not 0 < self.logit_scale <= LARGEST_SCALE:
            raise _refuse("logit_scale", f"the logit scale is {self.logit_scale}", f"above 0, at most {LARGEST_SCALE}")
        if not abs(self.logit_bias) <= LARGEST_SCALE:
            raise _refuse(
                "logit_bias", f"the logit bias is {self.logit_bias}", f"from -{LARGEST_SCALE} to {LARGEST_SCALE}"
            )
        if (self.image_mean is None) != (self.text_mean is None):
            raise _refuse("image_mean", "one of image_mean and text_mean is there without the other", "both or neither")
        for name, mean in (("image_mean", self.image_mean), ("text_mean", self.text_mean)):
            if mean is not None and len(mean) != self.dim:
                raise _refuse(name, f"{name} has {len(mean)} values", f"{self.dim}, the space's dimension")
            if mean is not None and not _all_finite(*mean):
                raise _refuse(name, f"{name} holds a value that is not finite", "finite numbers")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EmbeddingSpace):
            return NotImplemented
        return (self.id, self.dim, self.similarity) == (other.id, other.dim, other.similarity)

    def __hash__(self) -> int:
        return hash((self.id, self.dim, self.similarity))

    def __str__(self) -> str:
        return f"{self.id[:12]} (D={self.dim}, {self.similarity})"

    @property
    def example_shift(self) -> NDArray[np.float32] | None:
        """What moves an example prototype to where texts live, `(D,)`, or none where the means were not measured."""
        if self.image_mean is None or self.text_mean is None:
            return None
        import numpy as np

        return np.asarray(self.text_mean, np.float32) - np.asarray(self.image_mean, np.float32)

    def check_same(self, other: EmbeddingSpace, what: str) -> None:
        """Check that `other`, the space of `what`, is this one.

        Raises:
            SpaceMismatchError: When it is not.
        """
        if self != other:
            raise SpaceMismatchError(
                f"{what} lives in the embedding space {other}, this model in {self}",
                code="space_mismatch",
                hint="embed the classes again with this model: edgezsl embed --bundle DIR classes.yaml, or --model DIR on a graph",
            )

    @classmethod
    def from_fields(cls, fields: Fields) -> EmbeddingSpace:
        """Read a space from a JSON object.

        Raises:
            InputError: When a field is missing, unknown or of the wrong type.
            ContractError: When a value is out of its range.
        """
        read: dict[str, Any] = {
            "id": fields.text("id"),
            "dim": fields.count("dim"),
            "similarity": fields.text("similarity"),
            "logit_scale": fields.number("logit_scale"),
            "logit_bias": fields.number("logit_bias"),
            "activation": fields.text("activation"),
            "image_mean": fields.numbers("image_mean", None),
            "text_mean": fields.numbers("text_mean", None),
        }
        fields.done()
        try:
            return cls(**read)
        except ContractError as fault:
            raise fields.placed(fault) from None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_fields` reads back as an equal space."""
        return {
            "id": self.id,
            "dim": self.dim,
            "similarity": self.similarity,
            "logit_scale": self.logit_scale,
            "logit_bias": self.logit_bias,
            "activation": self.activation,
            "image_mean": None if self.image_mean is None else list(self.image_mean),
            "text_mean": None if self.text_mean is None else list(self.text_mean),
        }
