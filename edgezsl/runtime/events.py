"""What a stream says: one answer for each frame, and the few events between them.

Each type is one line of `edgezsl run --jsonl` (docs/jsonl.md); `to_json` gives that line's object. All times are
Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from edgezsl.errors import EdgezslError

SCORE_DIGITS = 6
TIME_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class in a region's top list.

    Attributes:
        name: The class's name.
        score: Similarity plus the class's bias, less the seen penalty; thresholds are compared with this.
        probability: In [0, 1], by the space's activation over all classes, negatives included.
    """

    name: str
    score: float
    probability: float


@dataclass(frozen=True, slots=True)
class RegionAnswer:
    """What was recognised in one region of a frame.

    Attributes:
        region: The region's name; `frame` is the whole frame.
        decision: The class decided on, or None for "none of these".
        top: The best classes, best first; negative classes never stand here.
    """

    region: str
    decision: str | None
    top: tuple[ClassScore, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object under `regions`."""
        top = [
            {
                "name": one.name,
                "score": round(one.score, SCORE_DIGITS),
                "probability": round(one.probability, SCORE_DIGITS),
            }
            for one in self.top
        ]
        return {"region": self.region, "decision": self.decision, "top": top}


@dataclass(frozen=True, slots=True)
class Recognition:
    """The answer to one frame, and which class matrix gave it.

    Attributes:
        frame: The frame's number in its source, from 0.
        time: When the frame was captured.
        media_time: Seconds into a file, else None.
        source: The source's URI without credentials.
        revision: How many class sets this process had served when it answered, from 1.
        classes: The first 12 hexadecimal digits of the class pack's digest.
        release: A fleet's release number, or None.
        dropped: Frames dropped so far, because a newer one had come.
        latency_ms: From capture to answer.
        regions: One answer for each region.
        file: The picture's path as the user would write it, where the source is pictures; else None.
    """

    frame: int
    time: float
    media_time: float | None
    source: str
    revision: int
    classes: str
    release: int | None
    dropped: int
    latency_ms: float
    regions: tuple[RegionAnswer, ...]
    file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the line of type `recognition`."""
        return {
            "type": "recognition",
            "frame": self.frame,
            "time": round(self.time, TIME_DIGITS),
            "media_time": self.media_time,
            "source": self.source,
            "file": self.file,
            "revision": self.revision,
            "classes": self.classes,
            "release": self.release,
            "dropped": self.dropped,
            "latency_ms": round(self.latency_ms, 3),
            "regions": [region.to_json() for region in self.regions],
        }


@dataclass(frozen=True, slots=True)
class ClassesSwapped:
    """A new class set answers from the next frame on.

    Attributes:
        time: When it was swapped in.
        revision: Its revision.
        classes: The first 12 hexadecimal digits of its pack's digest.
        names: How many classes it holds.
        origin: Where it came from.
    """

    time: float
    revision: int
    classes: str
    names: int
    origin: str

    def to_json(self) -> dict[str, Any]:
        """Return the line of type `classes_swapped`."""
        return {
            "type": "classes_swapped",
            "time": round(self.time, TIME_DIGITS),
            "revision": self.revision,
            "classes": self.classes,
            "names": self.names,
            "from": self.origin,
        }


@dataclass(frozen=True, slots=True)
class ClassesRefused:
    """A class set was refused; the one before it goes on answering.

    Attributes:
        time: When it was refused.
        origin: Where it came from.
        error: Why.
    """

    time: float
    origin: str
    error: EdgezslError

    def to_json(self) -> dict[str, Any]:
        """Return the line of type `classes_refused`."""
        return {
            "type": "classes_refused",
            "time": round(self.time, TIME_DIGITS),
            "from": self.origin,
            "code": self.error.code,
            "line": self.error.where.line,
            "field": self.error.where.field,
            "message": str(self.error),
        }


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """A source was opened, ended or lost.

    Attributes:
        type: Which of the three.
        time: When.
        source: The source's URI without credentials.
        message: One sentence for a person.
    """

    type: Literal["source_opened", "source_ended", "source_lost"]
    time: float
    source: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the line of this type."""
        return {
            "type": self.type,
            "time": round(self.time, TIME_DIGITS),
            "source": self.source,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class FrameSkipped:
    """A picture of a folder or glob was left out, because it cannot be read.

    Attributes:
        time: When it was left out.
        source: The source's URI without credentials.
        file: The picture's path as the user would write it, without secrets.
        message: One sentence for a person.
    """

    time: float
    source: str
    file: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return the line of type `frame_skipped`."""
        return {
            "type": "frame_skipped",
            "time": round(self.time, TIME_DIGITS),
            "source": self.source,
            "file": self.file,
            "message": self.message,
        }


Event = ClassesSwapped | ClassesRefused | SourceChanged | FrameSkipped
