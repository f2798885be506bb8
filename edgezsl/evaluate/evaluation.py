"""What an evaluation found: the figures that a report shows and `--json` writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgezsl.evaluate.intervals import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgezsl.evaluate.folder_robustness import Robustness
    from edgezsl.evaluate.questions import GrowthPoint, Hubness, Nearness, SemanticGap
    from edgezsl.evaluate.recognition_figures import RecognitionFigures
    from edgezsl.evaluate.seen_unseen import SeenUnseenCurve
    from edgezsl.evaluate.temperature import TemperatureFit
    from edgezsl.evaluate.thresholds import Rejection, ThresholdFit


@dataclass(frozen=True, slots=True, eq=False)
class SeenUnseen:
    """Seen and unseen classes together: the curve over penalties, and the one that was chosen.

    Attributes:
        curve: Of every penalty.
        penalty: What validation chose, in units of scores.
        gamma: The same in units of σ.
    """

    curve: SeenUnseenCurve
    penalty: float
    gamma: float

    def to_json(self) -> dict[str, Any]:
        """Return U, S and H without a penalty, with the chosen one and with the best (an oracle's), and AUSUC."""
        best = self.curve.best()[0]
        found = {"uncalibrated": 0.0, "chosen": self.penalty, "oracle": best}
        triples = {name: self.curve.at(penalty) for name, penalty in found.items()}
        return {
            "gamma": self.gamma,
            "penalty": self.penalty,
            "ausuc": round(self.curve.area(), 6),
            **{
                name: dict(zip("ush", (round(value, 6) for value in triple), strict=True))
                for name, triple in triples.items()
            },
        }


@dataclass(frozen=True, slots=True, eq=False)
class HardQuestions:
    """Measures of the field's hard questions, each where it was asked.

    Attributes:
        gap: Between looks and descriptions of classes.
        hubness: Of the classes.
        growth: Accuracy against the number of seen classes, and of images of each.
        nearness: Accuracy against the similarity to the nearest seen class.
        shots: Accuracy against the number of examples of each unseen class beside its description, where the method takes any.
    """

    gap: SemanticGap
    hubness: Hubness
    growth: tuple[GrowthPoint, ...]
    nearness: Nearness
    shots: tuple[GrowthPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the measures as an object."""
        return {
            "semantic_gap": self.gap.to_json(),
            "hubness": self.hubness.to_json(),
            "growth": [one.to_json() for one in self.growth],
            "shots": [one.to_json() for one in self.shots],
            "nearest_seen": self.nearness.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation found.

    Attributes:
        title: What was judged, in words.
        facts: How it was measured, by a word.
        figures: Among the classes of the vocabulary; of a method those are the unseen classes, and `top[1]` is T1.
        runs: Figures of every seed in percent, by name, where there are several.
        seen_unseen: Seen and unseen classes together, where seen ones are judged.
        rejection: "None of these", where classes were left out.
        temperature: Of the scores, where one could be fitted.
        thresholds: Of the classes, where images of theirs could be fitted on.
        questions: The hard ones, where they were asked.
        robustness: Under corruptions and attacks, where that was asked.
    """

    title: str
    facts: Mapping[str, str]
    figures: RecognitionFigures
    runs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    seen_unseen: SeenUnseen | None = None
    rejection: Rejection | None = None
    temperature: TemperatureFit | None = None
    thresholds: ThresholdFit | None = None
    questions: HardQuestions | None = None
    robustness: Robustness | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as an object; shares in [0, 1], figures of several seeds in percent; what was not measured is null."""
        names = ("seen_unseen", "rejection", "temperature", "thresholds", "questions", "robustness")
        parts = [getattr(self, name) for name in names]
        return {
            "title": self.title,
            "facts": dict(self.facts),
            "figures": self.figures.to_json(),
            "seeds": {
                name: {"values": [round(value, 4) for value in values], **mean_interval(values).to_json()}
                for name, values in self.runs.items()
            },
            **{name: None if part is None else part.to_json() for name, part in zip(names, parts, strict=True)},
        }
