"""What `edgezsl compile --dry-run` says: whether a bundle's image encoders keep TensorRT's rules. No GPU, no TensorRT.

Where the package onnx is installed the graphs themselves are judged anew; a board has none, and is shown what the export
wrote into the manifest. That no rule is broken does not say that a graph builds: only a board says that.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.errors import InputError, ModelError, missing_extra
from edgezsl.evaluate.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgezsl.bundle import Bundle

# What TensorRT builds, the likely fastest first; `int8_dynamic` is ONNX Runtime's alone.
COMPILED = ("int8_fp16", "fp16", "int8", "fp32")
AUTO = "auto"
_REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """What the rules say.

    Attributes:
        bundle: The bundle.
        verdicts: For each precision, what the rules of each version of TensorRT say.
        judged: Whether the graphs were judged now; False: it is what the export found.
    """

    bundle: Bundle
    verdicts: Mapping[str, Mapping[str, str]]
    judged: bool

    @property
    def source(self) -> str:
        """Where the verdicts come from, in words."""
        if self.judged:
            return "the graphs, judged now"
        return "the manifest, as the export found it: to judge the graphs here takes the package onnx"

    @property
    def refusals(self) -> tuple[str, ...]:
        """What is refused, in words: the precision, the versions, and the first rule that is broken."""
        said = []
        for precision, rows in self.verdicts.items():
            for verdict in dict.fromkeys(rows.values()):
                if verdict.startswith(_REFUSED):
                    versions = ", ".join(version for version, one in rows.items() if one == verdict)
                    said.append(f"{precision} for TensorRT {versions}: {verdict.removeprefix(f'{_REFUSED}: ')}")
        return tuple(said)

    def refused(self, precision: str, version: str) -> bool:
        """Return whether the rules of a version of TensorRT refuse a precision."""
        return self.verdicts[precision].get(version, "").startswith(_REFUSED)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `edgezsl compile --dry-run --json` prints."""
        return {
            "bundle": str(self.bundle.folder),
            "digest": self.bundle.digest,
            "judged": self.judged,
            "verdicts": {precision: dict(rows) for precision, rows in self.verdicts.items()},
            "refusals": list(self.refusals),
        }


def wanted_precisions(bundle: Bundle, asked: str) -> tuple[str, ...]:
    """Return which image encoders of a bundle become plans.

    Args:
        bundle: The bundle.
        asked: A precision, or `auto` for all that the bundle holds and TensorRT builds.

    Raises:
        InputError: When the bundle holds none of them.
    """
    manifest = bundle.manifest
    held = tuple(one for one in COMPILED if one in manifest.image_encoders)
    wanted = held if asked == AUTO else tuple(one for one in held if one == asked)
    if not wanted:
        what = "image encoder that TensorRT builds" if asked == AUTO else f"{asked} encoder"
        hint = "export the model for a board: edgezsl export --int8 --device NAME"
        raise InputError(
            f"the bundle {manifest.name!r} holds no {what}, only {', '.join(manifest.image_encoders)}",
            code="no_such_precision",
            expected=" or ".join(held or COMPILED),
            hint=f"take --precision {held[0]}, or {hint}" if held else hint,
        )
    return wanted


def check_plans(bundle: Bundle, asked: str = AUTO) -> Iterator[Progress | PlanCheck]:
    """Judge the image encoders of a bundle by TensorRT's rules; yield progress, and last what they say.

    Args:
        bundle: The bundle.
        asked: A precision, or `auto`.

    Yields:
        Progress, and last the verdicts.

    Raises:
        InputError: When the bundle holds no such image encoder.
        BundleError: When one of its files has changed.
        MissingExtraError: When the package onnx is not installed and the manifest holds no verdict.
    """
    precisions, manifest = wanted_precisions(bundle, asked), bundle.manifest
    if importlib.util.find_spec("onnx") is None:
        if any(not manifest.verdicts.get(one) for one in precisions):
            raise missing_extra("onnx", "quantize", "judging a graph whose bundle holds no verdict")
        yield PlanCheck(bundle, {one: manifest.verdicts[one] for one in precisions}, judged=False)
        return
    found = {}
    for number, precision in enumerate(precisions):
        yield Progress(f"judging the {precision} encoder", number, len(precisions))
        found[precision] = _judged(bundle.read(manifest.image_encoders[precision]))
    yield PlanCheck(bundle, found, judged=True)


def _judged(data: bytes) -> Mapping[str, str]:
    from edgezsl.compile.rules import verdicts

    try:
        return verdicts(data)
    except ModelError as fault:  # what is no valid ONNX, no version builds
        return {row.version: f"{_REFUSED}: {fault.message} [{fault.code}]" for row in ROWS}
