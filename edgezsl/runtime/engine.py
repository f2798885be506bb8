"""The seam between edgezsl and whatever runs a network: two methods, chosen in one place.

Recognition knows only `Engine`. ONNX Runtime and OpenVINO implement it, each in a file of its own where its exceptions
become ours; `FunctionEngine` implements it for tests and for users with a runtime of their own.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edgezsl.errors import EdgezslError, EngineError, InputError, MissingExtraError, missing_extra
from edgezsl.runtime.packages import ENGINE_PACKAGES, PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.contract import PixelType
    from edgezsl.device_profile import DeviceProfile
    from edgezsl.runtime.onnx_engine import Provider

EngineName = Literal["onnx", "openvino", "tensorrt", "onnx:cuda", "onnx:tensorrt"]
# What runs a bundle's own file; TensorRT runs a plan that was made of it.
GRAPH_ENGINES: tuple[EngineName, ...] = ("onnx", "openvino")
ENGINES: tuple[EngineName, ...] = (*GRAPH_ENGINES, "tensorrt")  # out of which `auto` chooses
# ONNX Runtime's ways to a GPU, in a build of it that has them: taken where they are asked for, never by `auto`.
GPU_PROVIDERS: tuple[EngineName, ...] = ("onnx:cuda", "onnx:tensorrt")
NAMED_ENGINES: tuple[EngineName, ...] = (*ENGINES, *GPU_PROVIDERS)
PROVIDERS: Mapping[str, Provider] = {"onnx": "cpu", "onnx:cuda": "cuda", "onnx:tensorrt": "tensorrt"}
# OpenVINO took longer for a vision transformer whose ranges are found frame by frame than for it in full precision.
_SERVED_BY: Mapping[str, tuple[EngineName, ...]] = {"int8_dynamic": ("onnx",)}


class Engine(Protocol):
    """An image encoder, loaded and ready.

    Attributes:
        dtype: The dtype of the pixels that it takes.
        precision: The arithmetic inside: `fp32`, `bf16`, `fp16`, `int8`, `int8_fp16` or `int8_dynamic`.
        encoder: The precision of the file that it runs; its golden answers are that file's.
        description: What it is, for people: engine, version, threads.
    """

    dtype: PixelType
    precision: str
    encoder: str
    description: str

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` float32 of `pixels (N, 3, h, w)`, for any N ≥ 0, in an array of its own.

        Raises:
            EngineError: When the engine fails, or the pixels are not what it takes.
        """

    def close(self) -> None:
        """Release what the engine holds. Closing twice is allowed; running afterwards is not."""


class FunctionEngine:
    """An engine made of a function: for tests, and for a runtime that edgezsl does not know.

    Args:
        function: Takes pixels `(N, 3, h, w)`, returns embeddings `(N, D)`.
        dtype: The dtype of the pixels.
        encoder: The precision whose golden answers it should give.

    Example:
        >>> import numpy as np
        >>> engine = FunctionEngine(lambda pixels: pixels.mean(axis=(2, 3)))
        >>> engine.run(np.ones((2, 3, 4, 4), np.float32)).shape
        (2, 3)
    """

    def __init__(
        self, function: Callable[[NDArray[Any]], NDArray[Any]], *, dtype: PixelType = "float32", encoder: str = "fp32"
    ) -> None:
        self._function = function
        self.dtype: PixelType = dtype
        self.precision = encoder
        self.encoder = encoder
        self.description = "a function"

    def run(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the function returns, as float32."""
        return np.array(self._function(pixels), np.float32)

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine is taken, and why, in words for the user."""

    name: EngineName
    reason: str


def installed_engines(among: Sequence[EngineName] = ENGINES) -> tuple[EngineName, ...]:
    """Return those of some engines whose package is installed, without importing any."""
    return tuple(name for name in among if importlib.util.find_spec(_package(name)))


def serving_engines(precision: str) -> tuple[EngineName, ...]:
    """Return the engines that an encoder of a precision is for: all, but for `int8_dynamic`."""
    return _SERVED_BY.get(precision, NAMED_ENGINES)


def choose_engine(
    requested: str, order: Sequence[str], installed: Sequence[str], device: str, *, precision: str | None = None
) -> EngineChoice:
    """Choose an engine.

    Args:
        requested: `auto` or the name of an engine.
        order: The device profile's order of preference; may name engines that this version does not have.
        installed: The engines that could be loaded.
        device: The profile's name, for the reason.
        precision: Of the encoder that is to run, or None where that is not known yet.

    Raises:
        InputError: When `requested` is no engine's name.
        MissingExtraError: When the engine, or every engine, is not installed.
    """
    if requested == "auto":
        serving = NAMED_ENGINES if precision is None else serving_engines(precision)
        usable = "is installed" if serving == NAMED_ENGINES else f"is installed and serves {precision}"
        for name in (*order, *ENGINES):
            if name in installed and name in serving:
                wished = f"{', '.join(order)} for {device}"
                reason = f"first of {wished} that {usable}" if name in order else f"none of {wished} {usable}"
                return EngineChoice(name, reason)
        what = "running a model" if serving == NAMED_ENGINES or not installed else f"running an {precision} encoder"
        raise missing_extra("onnxruntime", "runtime", what)
    if requested not in NAMED_ENGINES:
        names = ", ".join(("auto", *NAMED_ENGINES))
        hint = "take one of these"
        raise InputError(f"there is no engine {requested!r}", code="unknown_engine", expected=names, hint=hint)
    if requested.partition(":")[0] not in installed:  # a provider is part of its engine's package, or is not
        raise missing_engine(requested)
    return EngineChoice(requested, "as asked")


def missing_engine(name: str, cause: ImportError | None = None) -> MissingExtraError:
    """Return the error for an engine whose package is absent, or is there and cannot be imported.

    Args:
        name: The engine, one of `NAMED_ENGINES`.
        cause: What importing its package raised, where it was tried.
    """
    package = _package(name)
    extra = PACKAGES[package][1] or ""
    fault = missing_extra(package, extra, f"the engine {name}", cause)
    if extra == "tensorrt" and fault.code == "missing_extra":  # on a Jetson the extra would bring the wrong one
        fault.hint = (
            f"{fault.hint}, which takes NVIDIA's libraries from NVIDIA's own index; on a Jetson JetPack brings it, for a venv "
            "made with --system-site-packages"
        )
    return fault


def _package(engine: str) -> str:
    """Return the package of an engine; a provider has that of its engine."""
    return ENGINE_PACKAGES[engine.partition(":")[0]]


def preload(name: EngineName) -> None:
    """Import what an engine and preprocessing need, ahead of `open_engine`; what is missing is left to it to say."""
    for package in (_package(name), "cv2"):
        with contextlib.suppress(ImportError):
            importlib.import_module(package)


def open_engine(
    bundle: Bundle,
    name: EngineName,
    *,
    threads: int | None = None,
    precision: str | None = None,
    plans: Path | None = None,
) -> Engine:
    """Load a bundle's image encoder and test it against the golden set.

    Args:
        bundle: The bundle.
        name: The engine.
        threads: Threads for one inference, or None for all cores.
        precision: Which encoder of the bundle, or None for its default.
        plans: Where TensorRT's plans lie, or None for the usual place.

    Raises:
        InputError: When the bundle has no encoder of that precision, or it is not for this engine.
        MissingExtraError: When the engine's package is not installed.
        EngineError: When the engine refuses the graph or disagrees with the golden set.
    """
    wanted = precision or bundle.manifest.precision
    if wanted not in bundle.manifest.image_encoders:
        offered = ", ".join(bundle.manifest.image_encoders)
        message = f"the bundle {bundle.manifest.name!r} has no {wanted} encoder"
        raise InputError(message, code="no_such_precision", expected=offered)
    if name not in serving_engines(wanted):
        served = " or ".join(serving_engines(wanted))
        hint = f"take --engine {served}, or another --precision of the bundle"
        message = f"an {wanted} encoder is not for the engine {name}"
        raise InputError(message, code="unfit_engine", expected=served, hint=hint)
    engine = _loaded(bundle, name, precision, threads, plans)
    try:
        return _proved(engine, bundle)
    except EngineError as fault:
        if engine.precision != "bf16" or fault.code != "golden_mismatch":
            raise
    # OpenVINO takes bfloat16 where the processor has it, unasked; this model needs more, and its description says so.
    from edgezsl.runtime.openvino_engine import OpenVinoEngine

    return _proved(OpenVinoEngine.open(bundle, wanted, threads=threads, arithmetic="f32"), bundle)


def open_first_engine(
    bundle: Bundle,
    requested: str,
    profile: DeviceProfile,
    *,
    threads: int | None = None,
    precision: str | None = None,
    plans: Path | None = None,
) -> tuple[Engine, str]:
    """Load a bundle's image encoder by the engine asked for; of `auto`, by the first that passes the golden test.

    Args:
        bundle: The bundle.
        requested: `auto` or the name of an engine.
        profile: Gives the order of preference.
        threads: Threads for one inference, or None for all cores.
        precision: Which encoder of the bundle, or None for its default.
        plans: Where TensorRT's plans lie, or None for the usual place.

    Returns:
        The engine, and why it was taken: what an engine before it said stands there too.

    Raises:
        InputError: As `choose_engine` and `open_engine`.
        MissingExtraError: When the engine, or every engine, is not installed.
        EngineError: When the engine asked for, or every one, refuses the graph or disagrees with the golden set.
    """
    wanted = precision or bundle.manifest.precision
    left = installed_engines()
    refusals = _preferred_and_absent(requested, profile, left)
    while True:
        choice = choose_engine(requested, profile.engines, left, profile.name, precision=wanted)
        try:
            engine = open_engine(bundle, choice.name, threads=threads, precision=precision, plans=plans)
        except (EngineError, MissingExtraError) as fault:  # the latter: TensorRT without what it needs beside it
            left = tuple(name for name in left if name != choice.name)
            if requested != "auto" or not set(left) & set(serving_engines(wanted)):
                raise
            refusals.append(f"{choice.name} was not taken: {str(fault).removeprefix(f'{fault.where}: ')}")
        else:
            return engine, "; ".join([*refusals, choice.reason])


def _preferred_and_absent(requested: str, profile: DeviceProfile, installed: Sequence[str]) -> list[str]:
    """Return a clause where `auto` cannot take what the board prefers, since it is not installed; else nothing."""
    first = profile.engines[0]
    if requested != "auto" or first in installed or first not in ENGINES:
        return []
    return [f"{first} is not installed; {missing_engine(first).hint}"]


def _loaded(bundle: Bundle, name: EngineName, asked: str | None, threads: int | None, plans: Path | None) -> Engine:
    encoder = asked or bundle.manifest.precision
    match name:
        case "onnx" | "onnx:cuda" | "onnx:tensorrt":
            from edgezsl.runtime.onnx_engine import OnnxEngine

            return OnnxEngine.open(bundle, encoder, threads=threads, provider=PROVIDERS[name])
        case "openvino":
            from edgezsl.runtime.openvino_engine import OpenVinoEngine

            return OpenVinoEngine.open(bundle, encoder, threads=threads)
        case "tensorrt":
            from edgezsl.runtime.plan_engine import open_plan

            return open_plan(bundle, precision=asked, plans=plans)


def _proved(engine: Engine, bundle: Bundle) -> Engine:
    """Return the engine once it has passed the golden test; close it where it does not."""
    from edgezsl.runtime.golden import check_golden

    try:
        check_golden(engine, bundle)
    except EdgezslError:
        engine.close()
        raise
    return engine
