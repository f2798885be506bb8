"""What a TensorRT plan is bound to, and what its sidecar says of it. Data alone: no disk, no TensorRT, no GPU.

A plan fits one image encoder, one version of TensorRT and one kind of board (docs/bundle-format.md). The compute
capability does not tell boards apart: Jetson Orin Nano, Orin NX and AGX Orin are all 8.7.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.errors import InputError, Place, shown
from edgezsl.manifest import Batch
from edgezsl.records import Fields, canonical_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.bundle import Bundle

PLAN_FORMAT = "edgezsl-plan/1"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHORT = 12  # digits of a digest that a message shows
_WORDS = {
    "onnx_sha256": "SHA-256 of the image encoder",
    "batch": "batch",
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "sm_count": "number of SMs",
    "cuda_driver": "CUDA driver",
    "l4t": "Jetson Linux (L4T)",
    "precision": "precision",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPU of a machine and the software under a plan.

    Attributes:
        tensorrt: The full version, such as `10.3.0`.
        gpu: The name that the driver gives it, such as `Orin`.
        compute_capability: Such as `8.7`.
        sm_count: Its streaming multiprocessors.
        cuda_driver: The CUDA version of the driver, such as `12.6`.
        l4t: The release of Jetson Linux, or empty where the machine is no Jetson.
    """

    tensorrt: str
    gpu: str
    compute_capability: str
    sm_count: int
    cuda_driver: str
    l4t: str = ""

    def __str__(self) -> str:
        system = f", Jetson Linux {self.l4t}" if self.l4t else ""
        gpu = f"{self.gpu} ({self.compute_capability}, {self.sm_count} SMs)"
        return f"{gpu}, TensorRT {self.tensorrt}, CUDA driver {self.cuda_driver}{system}"


@dataclass(frozen=True, slots=True)
class PlanIdentity:
    """Everything that must be the same for a plan to be used.

    Attributes:
        onnx_sha256: SHA-256 of the image encoder that it was built from.
        machine: What it was built on.
        precision: Of the image encoder.
        batch: The optimisation profile.
    """

    onnx_sha256: str
    machine: Machine
    precision: str
    batch: Batch

    @classmethod
    def of(cls, bundle: Bundle, machine: Machine, precision: str) -> PlanIdentity:
        """Return what a plan of one of a bundle's image encoders would be bound to on a machine.

        Raises:
            InputError: When the bundle has no image encoder of that precision.
        """
        manifest = bundle.manifest
        file = manifest.image_encoders.get(precision)
        if file is None:
            expected = " or ".join(manifest.image_encoders)
            message = f"the bundle {manifest.name!r} has no {precision} encoder"
            raise InputError(message, code="no_such_precision", expected=expected)
        return cls(manifest.files[file].sha256, machine, precision, manifest.batch)

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: the name of the plan's file."""
        return sha256_hex(canonical_json(self.to_json()))

    def differences(self, here: PlanIdentity) -> dict[str, str]:
        """Return what differs between this and what is here, in words, by field: `number of SMs 16, here 8`."""
        ours, theirs = here._flat(), self._flat()
        return {
            name: f"{_WORDS[name]} {value or 'none'}, here {ours[name] or 'none'}"
            for name, value in theirs.items()
            if value != ours[name]
        }

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_fields` reads back."""
        return {
            "onnx_sha256": self.onnx_sha256,
            "machine": asdict(self.machine),
            "precision": self.precision,
            "batch": asdict(self.batch),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> PlanIdentity:
        """Read the object that `to_json` made.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of range.
        """
        inner, batch = fields.inner("machine"), fields.inner("batch")
        machine = Machine(
            tensorrt=inner.text("tensorrt"),
            gpu=inner.text("gpu"),
            compute_capability=inner.text("compute_capability"),
            sm_count=inner.count("sm_count"),
            cuda_driver=inner.text("cuda_driver"),
            l4t=inner.text("l4t"),
        )
        identity = cls(
            onnx_sha256=_digest(fields, "onnx_sha256"),
            machine=machine,
            precision=fields.text("precision"),
            batch=Batch(batch.count("min"), batch.count("opt"), batch.count("max")),
        )
        for one in (inner, batch, fields):
            one.done()
        return identity

    def _flat(self) -> dict[str, str]:
        batch = f"{self.batch.min}:{self.batch.opt}:{self.batch.max}"
        machine = {name: str(value) for name, value in asdict(self.machine).items()}
        encoder = {"onnx_sha256": self.onnx_sha256[:_SHORT], "precision": self.precision, "batch": batch}
        return {**encoder, **machine}


@dataclass(frozen=True, slots=True)
class PlanBuild:
    """How a plan was built; none of it is part of its identity.

    Attributes:
        workspace_mib: What the builder was allowed.
        optimization_level: How hard it tried.
        timing_cache: The file that its timings came from and went to, or empty.
        seconds: How long it took.
        layers: How many layers compute in each type, such as `{"FP16": 40, "INT8": 12}`.
    """

    workspace_mib: int
    optimization_level: int
    timing_cache: str
    seconds: float
    layers: Mapping[str, int]

    @classmethod
    def from_fields(cls, fields: Fields) -> PlanBuild:
        """Read the object that `asdict` made.

        Raises:
            InputError: When a field is missing, unknown or of the wrong type.
        """
        layers = fields.inner("layers")
        build = cls(
            workspace_mib=fields.count("workspace_mib"),
            optimization_level=fields.count("optimization_level"),
            timing_cache=fields.text("timing_cache"),
            seconds=fields.number("seconds"),
            layers={name: layers.count(name) for name in layers.names()},
        )
        fields.done()
        return build


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """What the sidecar of a plan says.

    Attributes:
        bundle: The name of the bundle, for people: its digest is the folder's name.
        identity: What the plan is bound to.
        sha256: Of the plan.
        bytes: Its length.
        build: How it was built.
        timing: How long a run takes: `p50_ms` and `p95_ms` of `runs` runs, of `frames` frames at once.
        agreement: The least agreement with the golden answers (`golden`), and with ONNX Runtime on this machine (`onnx`).
        selected: Whether the last `edgezsl compile` chose it: what runs when no precision is asked for.
    """

    bundle: str
    identity: PlanIdentity
    sha256: str
    bytes: int
    build: PlanBuild
    timing: Mapping[str, float]
    agreement: Mapping[str, float]
    selected: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the object that `from_json` reads back."""
        return {
            "format": PLAN_FORMAT,
            "bundle": self.bundle,
            "identity": self.identity.to_json(),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "build": {**asdict(self.build), "layers": dict(self.build.layers)},
            "timing": dict(self.timing),
            "agreement": dict(self.agreement),
            "selected": self.selected,
        }

    @classmethod
    def from_json(cls, value: Any, *, file: str) -> PlanRecord:
        """Read a parsed sidecar.

        Raises:
            InputError: When a field is missing, unknown, of the wrong type or out of range.
        """
        fields = Fields(value, Place(file), InputError)
        fields.one_of("format", (PLAN_FORMAT,))
        record = cls(
            bundle=fields.text("bundle"),
            identity=PlanIdentity.from_fields(fields.inner("identity")),
            sha256=_digest(fields, "sha256"),
            bytes=fields.count("bytes"),
            build=PlanBuild.from_fields(fields.inner("build")),
            timing=fields.inner("timing").number_map(),
            agreement=fields.inner("agreement").number_map(),
            selected=fields.flag("selected"),
        )
        fields.done()
        return record


def _digest(fields: Fields, name: str) -> str:
    text: str = fields.text(name)
    if not _DIGEST.fullmatch(text):
        raise fields.refuse(name, f"the digest {shown(text)}", code="bad_value", expected="64 hexadecimal digits")
    return text
