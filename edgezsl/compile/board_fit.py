"""What a board's profile decides of an export, and whether the bundle fits into the board.

It knows what a profile says and what a bundle is made of. It measures nothing: how much memory a bundle needs is an
estimate, on the high side, from the sizes of its files and of what lies between its layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.device import load_profile, require_supported
from edgezsl.encoders.graph import load_graph, require_onnx
from edgezsl.errors import InputError
from edgezsl.runtime.doctor_board import LEAST_MEMORY_MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.compile.recipe import Recipe
    from edgezsl.contract import PixelType
    from edgezsl.device_profile import DeviceProfile
    from edgezsl.manifest import Batch, Precision

# What TensorRT builds from, beside the file for every engine: the float remainder of INT8 is fastest in float16 there.
FOR_TENSORRT: tuple[Precision, ...] = ("fp16", "int8_fp16")
_COPIES = 2  # of the weights: an engine keeps its own beside the file that it reads
_LIVE = 2  # tensors: what a layer reads, and what it writes
_VALUE_BYTES = 4
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class BoardFit:
    """What a profile decided, and what is known of the fit.

    Attributes:
        profile: The board's.
        precision: Of the encoder that runs unless another is asked for.
        reason: Why this one.
        input_type: What pixels the graph takes.
        opset: Of the graph.
        need_mib: How much memory running it needs, an estimate in MiB.
        warning: What speaks against it, in a sentence, or None.
    """

    profile: DeviceProfile
    precision: Precision
    reason: str
    input_type: PixelType
    opset: int
    need_mib: int
    warning: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl export --json` prints under `device`."""
        return {
            "name": self.profile.name,
            "status": self.profile.status,
            "precision": self.precision,
            "reason": self.reason,
            "input_type": self.input_type,
            "opset": self.opset,
            "need_mib": self.need_mib,
            "memory_mib": self.profile.memory_mib,
            "warning": self.warning,
        }


def load_supported_profile(name_or_path: str) -> DeviceProfile:
    """Return the profile of a board that an export can be for.

    Args:
        name_or_path: As `edgezsl.device.load_profile` takes it.

    Raises:
        ProfileError: When there is no such profile, it breaks its format, or its board is not supported.
        InputError: When the catalogue is missing from the installation.
    """
    profile = load_profile(name_or_path)
    require_supported(profile)
    return profile


def chosen_precision(profile: DeviceProfile | None, recipe: Recipe, asked: Precision | None) -> tuple[Precision, str]:
    """Return the precision of an export, and why, as a clause.

    What was asked for is taken. Else the recipe's, which knows the model, where it pays on the board; else the board's first.

    Args:
        profile: The board's, or None.
        recipe: The model's.
        asked: What the user named, or None.
    """
    if asked is not None:
        return asked, "as asked"
    wanted = recipe.precision_default
    if profile is None or not profile.precisions:
        return wanted, f"the recipe {recipe.name} says so"
    for row in profile.precisions:
        if row.precision == wanted:
            return wanted, f"the recipe {recipe.name} and {profile.name} say so"
    return profile.precisions[0].precision, f"{profile.name} says so, where the recipe's {wanted} does not pay"


def with_companions(precision: Precision, profile: DeviceProfile | None) -> tuple[Precision, ...]:
    """Return what a bundle is to hold, the one that runs last: for TensorRT, INT8 comes with what that builds from."""
    if precision == "int8" and profile is not None and "tensorrt" in profile.engines:
        return (*FOR_TENSORRT, precision)
    return (precision,)


def fitted(
    profile: DeviceProfile,
    chosen: tuple[Precision, str],
    encoders: Mapping[Precision, bytes],
    *,
    beside: int,
    batch: Batch,
    input_type: PixelType,
    opset: int,
) -> BoardFit:
    """Return what the board decided and whether the bundle fits, once its encoders are made.

    Args:
        profile: The board's.
        chosen: As `chosen_precision` gives it.
        encoders: The ONNX files of the bundle.
        beside: Bytes of the files beside them.
        batch: Frames at once.
        input_type: What pixels the graphs take.
        opset: Of the graphs.

    Raises:
        InputError: When the board's engines do not take the opset, or it has too little memory in every size that it is
            sold in.
    """
    if profile.opsets is not None and not profile.opsets[0] <= opset <= profile.opsets[1]:
        raise InputError(
            f"the graph is of opset {opset}",
            code="unfit_opset",
            expected=f"{profile.opsets[0]} to {profile.opsets[1]}, which {profile.name} takes",
            hint="import the model again with a recipe of such an opset",
        )
    heaviest = max(encoders.values(), key=len)
    need = memory_need_mib(heaviest, beside=beside, batch=batch)
    return BoardFit(profile, *chosen, input_type, opset, need, _memory_warning(profile, need))


def memory_need_mib(encoder: bytes, *, beside: int, batch: Batch) -> int:
    """Return how much memory running a bundle needs at most, roughly, in MiB.

    Python, the engine, a stream and the child that embeds classes; the weights twice, since an engine keeps its own beside
    the file's; and the two largest tensors between the layers, what one reads and what it writes.

    Args:
        encoder: The bundle's largest ONNX file.
        beside: Bytes of the files that are no image encoder.
        batch: Frames at once.
    """
    weights = _COPIES * (len(encoder) + beside)
    return LEAST_MEMORY_MIB + math.ceil((weights + activation_bytes(encoder, batch)) / _MIB)


def activation_bytes(encoder: bytes, batch: Batch) -> int:
    """Return the bytes of the two largest tensors between the layers of a graph, in float32, for the largest batch."""
    model = load_graph(encoder, "the image encoder")
    inferred = require_onnx().shape_inference.infer_shapes(model).graph
    sizes: list[int] = []
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        # A dimension without a number is the batch: an encoder has no other that is free.
        dims = [dim.dim_value or batch.max for dim in value.type.tensor_type.shape.dim]
        sizes.append(_VALUE_BYTES * int(math.prod(dims)))
    return sum(sorted(sizes)[-_LIVE:])


def _memory_warning(profile: DeviceProfile, need_mib: int) -> str | None:
    least, most = profile.memory_mib, profile.most_memory_mib
    if most is not None and need_mib > most:
        raise InputError(
            f"running this needs about {need_mib} MiB, and {profile.title} has {most} MiB at most",
            code="too_large_for_device",
            expected=f"a model that fits into {profile.name}",
            hint="take a smaller model or batch, or a smaller precision, such as --int8",
        )
    if least is not None and need_mib > least:
        return f"running this needs about {need_mib} MiB, and {profile.title} is sold with {least} MiB too"
    return None
