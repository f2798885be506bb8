"""What a comparison of an export with its model found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgezsl.compile.worst import WorstImage

Outcome = Literal["passed", "too_few", "broken"]
REFERENCE_ENGINE = "onnx"  # whose figures stand in the manifest: it is always there


@dataclass(frozen=True, slots=True)
class EngineParity:
    """What one engine said.

    Attributes:
        description: Engine, version, threads and arithmetic.
        figures: By name: `cosine_mean`, `cosine_min`, `cosine_worst1` (the first percentile), the same three `centred`,
            and where they could be measured `top1_agreement`, `accuracy`, `model_accuracy`, `drop`, `drop_low` and
            `drop_high` (model less export, and its 95% interval).
        broken: The bounds that do not hold, by name; that of a share where even the upper end of its interval is below.
        latency: Of one frame: `p50_ms`, `p95_ms`, `runs`, `threads`.
        worst: The images on which it is farthest from the model.
    """

    description: str
    figures: Mapping[str, float]
    broken: tuple[str, ...]
    latency: Mapping[str, float]
    worst: tuple[WorstImage, ...] = ()

    def said(self, figure: str) -> str:
        """Return a figure in words, a share with its 95% interval."""
        value = f"{self.figures[figure]:.4f}"
        if figure != "top1_agreement":
            return value
        return f"{value} (95% between {self.figures['top1_low']:.3f} and {self.figures['top1_high']:.3f})"

    def to_json(self) -> dict[str, Any]:
        """Return the object that the report holds."""
        return {
            "description": self.description,
            "figures": dict(self.figures),
            "broken": list(self.broken),
            "latency": dict(self.latency),
            "worst": [one.to_json() for one in self.worst],
        }


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was compared, and what came out.

    Attributes:
        outcome: `passed`; `broken`: a bound does not hold, or an engine refuses the file; `too_few`: fewer than 100
            images or 20 photographs, which proves nothing either way.
        precision: Of the exported file.
        kind: What the images were, in words: generated ones are no photographs.
        images: How many.
        photographs: How many photographs they came from.
        left_out: Images not used, because calibration had used them or their photograph.
        unreadable: Files that are no image.
        bounds: What had to be reached; on generated images that is not the agreement of decisions.
        engines: What each engine said.
        refused: Engines that are installed and do not serve the bundle, and why.
        skipped: What was not measured, and why: engines that are not installed, figures without classes or labels.
        vocabulary: The classes among which the best was looked for, in words.
        bytes: Of the image encoder: `model` in full precision, and `export`.
        model_latency: Of the model itself in the reference engine, as of an engine: what the export must be compared with.
    """

    outcome: Outcome
    precision: str
    kind: str
    images: int
    photographs: int
    left_out: int
    unreadable: int
    bounds: Mapping[str, float]
    engines: Mapping[str, EngineParity]
    refused: Mapping[str, str]
    skipped: Mapping[str, str]
    vocabulary: str
    bytes: Mapping[str, int]
    model_latency: Mapping[str, float]

    @property
    def faults(self) -> list[str]:
        """What does not hold, in words: an engine that refuses the file, a bound that is not reached."""
        refusals = [f"{name} refuses it ({reason})" for name, reason in self.refused.items()]
        return refusals + [
            f"{bound} is {engine.said(bound)} in {name}, expected at least {self.bounds[bound]:g}"
            for name, engine in self.engines.items()
            for bound in engine.broken
        ]

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the reference engine, with the number of images: what a manifest keeps."""
        known = self.engines.get(REFERENCE_ENGINE)
        generated = self.images if self.kind.startswith("generated") else 0
        counts = {"images": self.images, "photographs": self.photographs, "generated_images": generated}
        return {**(known.figures if known else {}), **counts}

    def to_json(self) -> dict[str, Any]:
        """Return the content of the report file."""
        return {
            "format": "edgezsl-parity/1",
            "outcome": self.outcome,
            "precision": self.precision,
            "images": {
                "kind": self.kind,
                "count": self.images,
                "photographs": self.photographs,
                "left_out": self.left_out,
                "unreadable": self.unreadable,
            },
            "bounds": dict(self.bounds),
            "engines": {name: engine.to_json() for name, engine in self.engines.items()},
            "refused": dict(self.refused),
            "skipped": dict(self.skipped),
            "vocabulary": self.vocabulary,
            "bytes": dict(self.bytes),
            "model_latency": dict(self.model_latency),
        }
