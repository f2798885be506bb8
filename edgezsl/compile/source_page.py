"""The report of an import as a page to look at: the library's preprocessing beside ours, and what holds."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edgezsl.compile.source_parity import LEAST, MOST
from edgezsl.evaluate.document import document, facts, jpeg, row, table

if TYPE_CHECKING:
    from edgezsl.compile.source_parity import SourceParity
    from edgezsl.encoders.model import ModelFacts

_WORDS = {
    "preprocessing_mean": "image files, its preprocessing to ours: cosine, mean",
    "preprocessing_centred": "the same, centred",
    "image_graph_difference": "pixels, its network to the graph: largest difference",
    "texts_of_other_tokens": "texts, its tokenizer to ours: share of other tokens",
    "as_loaded_difference": "its network as loaded to the re-parameterised one: largest difference",
    "texts_worst": "texts, its tokenizer to ours: cosine, worst",
    "text_graph_difference": "tokens, its network to the graph: largest difference",
}


def source_page(model: ModelFacts, parity: SourceParity) -> str:
    """Return the report of an import as an HTML document.

    Args:
        model: What was imported.
        parity: How near it is to its library.
    """
    holds = "is what its library says" if not parity.faults else "is not what its library says"
    title = f"{model.name}: the import {holds}"
    rows = [row((_WORDS[name], _bound(name)), (f"{value:.6g}",)) for name, value in parity.figures.items()]
    known = {
        "source": model.source,
        "licence": model.licence.id,
        "recipe": model.recipe,
        "input": f"{model.contract.size[1]}x{model.contract.size[0]}, {model.contract.resize}, {model.contract.interpolation}",
        "mean and std": f"{model.contract.mean}, {model.contract.std}",
    }
    return document(
        title,
        (
            f"<h1>{escape(title)}</h1>\n{_said(parity)}",
            "<h2>From the library to the graphs</h2>\n"
            + table(("what", "bound", "measured"), rows, numbers=("measured",)),
            _worst(parity),
            f"<h2>What was imported</h2>\n{facts(known.items())}",
        ),
    )


def _bound(name: str) -> str:
    return f"at least {LEAST[name]:g}" if name in LEAST else f"at most {MOST[name]:g}"


def _said(parity: SourceParity) -> str:
    if not parity.faults:
        return '<p class="held">Every bound holds.</p>'
    suspect = f" Most likely wrong: {escape(parity.suspect)}." if parity.suspect else ""
    faults = "; ".join(parity.faults)
    return f'<p class="fault"><b class="wrong">Does not hold:</b> {escape(faults)}.{suspect}</p>'


def _worst(parity: SourceParity) -> str:
    figures = "".join(
        f'<figure><div class="two">{jpeg(one.taken[0], f"{one.name}, by its library")}'
        f"{jpeg(one.taken[1], f'{one.name}, by us')}</div><figcaption>{escape(one.name)}: centred cosine "
        f"{one.centred:.4f}</figcaption></figure>"
        for one in parity.worst
    )
    return (
        "<h2>The images that differ most</h2>\n<p>Left as the library's preprocessing gives them to its network, right as ours "
        f'does.</p>\n<div class="pair">{figures}</div>'
    )
