"""Which nodes INT8 hurts: one group at a time is quantized, all others stay in float, and the loss is measured.

Losses of groups nearly add up, so their order says what to leave in float first. It does not know plans or bounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgezsl.compile.quantize import quantized_nodes
from edgezsl.encoders.graph import load_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

_RUNS = 8  # of one kind of node: a group is a run of neighbours
_WILD = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})


def node_groups(encoder: bytes) -> dict[str, tuple[str, ...]]:
    """Return the nodes that could be quantized, in groups of neighbours of one kind, each with a name for people.

    Kinds are the stem, depthwise convolutions, other convolutions and matrix products: the first two are what INT8 hurts
    most in small networks (one scale for channels of very different ranges).

    Args:
        encoder: As `edgezsl.encoders.graph.portable_encoder` makes it.

    Raises:
        ModelError: When it is no ONNX file.
        MissingExtraError: When the package onnx is not installed.
    """
    model = load_graph(encoder, "the image encoder")
    kinds: dict[str, list[str]] = {}
    for node in quantized_nodes(model, ()):
        kinds.setdefault(_kind(model, node), []).append(node.name)
    groups = {}
    for kind, names in kinds.items():
        count = min(_RUNS, len(names))
        for run in range(count):
            part = names[run * len(names) // count : (run + 1) * len(names) // count]
            groups[kind if count == 1 else f"{kind} {run + 1} of {count}"] = tuple(part)
    return groups


def _kind(model: onnx.ModelProto, node: onnx.NodeProto) -> str:
    kept = (
        rule for rule in ("stem", "depthwise") if node.name not in {n.name for n in quantized_nodes(model, (rule,))}
    )
    return next(kept, "convolutions" if node.op_type == "Conv" else "products")


def only(names: Sequence[str]) -> tuple[str, ...]:
    """Return the rules that keep exactly these nodes in float (`edgezsl.compile.quantize.KEEP_RULES`)."""
    return tuple(f"node:{name.translate(_WILD)}" for name in names)


def left_in_float(losses: Mapping[str, float], most: float) -> list[str]:
    """Return the groups to leave in float, the most sensitive first, so that the losses of the others add up to `most`.

    Args:
        losses: What each group loses when it alone is in INT8, ≥ 0.
        most: What may be lost.
    """
    order = sorted(losses, key=lambda name: -losses[name])
    enough = (n for n in range(len(order)) if math.fsum(losses[name] for name in order[n:]) <= most)
    return order[: next(enough, len(order))]
