"""NVIDIA's own parser and builder, on a machine without a GPU.

TensorRT itself is not to be had as a package of its index alone, and builds nothing where there is no GPU. TensorRT for
RTX, which shares its parser, its networks and the interface of its builder, is, and builds ahead of time for a GPU that is
not there. So our files meet the real parser, and our own builder runs against the real library, unchanged. It is another
product all the same: it does not compute in INT8, it does not know Orin's 8.7, and what it builds never ran here. It is
NVIDIA's and proprietary: fetched for this check, never part of the project.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.tensorrt.bindings import Binding, in_child

COMPILER = Binding(
    ("tensorrt-rtx-cu13-bindings==1.7.1.116", "tensorrt-rtx-cu13-libs==1.7.1.116"), "tensorrt_rtx_bindings"
)
CHILD = Path(__file__).parent / "compile_child.py"


@dataclass(frozen=True)
class Order:
    """An ONNX file to build.

    Attributes:
        onnx: The file.
        input: The name of its input.
        size: `[h, w]`.
        batch: The least, the usual and the largest number of frames.
        cache: What an earlier build measured, as a path, or empty.
        stop_after: After how many steps of progress to ask the builder to stop; None: never.
        load: Whether to load the plan after the build, as our builder does where there is a GPU.
    """

    onnx: str
    input: str
    size: tuple
    batch: tuple = (1, 1, 1)
    cache: str = ""
    stop_after: int | None = None
    load: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of it.

    Attributes:
        plan_bytes: Of the plan; 0: there is none.
        error: What our builder said, or empty.
        code: Of the error, or empty.
        steps: How many steps of progress came.
        cache_bytes: Of the timing cache.
        fresh_cache: Whether the cache that was given was not used.
        seconds: How long it took.
    """

    plan_bytes: int = 0
    error: str = ""
    code: str = ""
    steps: int = 0
    cache_bytes: int = 0
    fresh_cache: bool = False
    seconds: float = 0.0


def built(*orders):
    """Return what our builder makes of each order on NVIDIA's library, in one child process."""
    told = in_child(COMPILER, CHILD, json.dumps([asdict(order) for order in orders]))
    answers = [Answer(**one) for one in json.loads(told.splitlines()[-1])]
    assert len(answers) == len(orders)
    return answers


def bundle_orders(bundle):
    """Return an order for each image encoder of a bundle, by its precision."""
    manifest = bundle.manifest
    contract, batch = manifest.contract, manifest.batch
    return {
        precision: Order(
            str(bundle.folder / file), contract.input, tuple(contract.size), (batch.min, batch.opt, batch.max)
        )
        for precision, file in manifest.image_encoders.items()
    }
