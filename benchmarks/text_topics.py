"""Does `edgezsl classify-text` know what a text is about, by nothing but the topic's name?

    apt-get install fortunes
    python benchmarks/text_topics.py --corpus /usr/share/games/fortunes --json FILE

The corpus is Debian's `fortunes` (BSD licence; quotations, jokes, definitions): a file is a topic, and so its name is the label and
the only thing that a class is given by. No text of it was learned from by the built-in model, whose token table knows words from
WordNet's glosses. Every second topic, by the alphabet, served to choose how texts are compared; the others are judged. A
label says which file somebody put a joke into: many fit two, and some say nothing of their topic.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from report import Report

from edgezsl.bundle import Bundle
from edgezsl.classes import ClassFile
from edgezsl.evaluate.metrics import auroc, per_class_accuracy
from edgezsl.runtime.text_recognizer import TextRecognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Files of the corpus whose name is a topic; not forms (riddles), people (zippy), nor two names for one thing (linux, computers).
TOPICS = (
    *("art", "computers", "drugs", "education", "food", "kids", "law", "literature"),
    *("love", "medicine", "news", "pets", "politics", "science", "sports", "work"),
)
CHOSEN_BY, JUDGED = TOPICS[::2], TOPICS[1::2]
TIMES_CHANCE = 3
SCALES = (5.0, 10.0, 20.0)


def main() -> int:
    """Measure, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder of the package's files")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = Report("Lines of text: unseen topics by their names")
    bundle = Bundle.open(None)
    report.section("the topics that chose how texts are compared")
    chosen = Judged(bundle, options.corpus, CHOSEN_BY)
    for name, scores in chosen.ways().items():
        report.add(f"{len(CHOSEN_BY)} topics, {name}: T1, per cent", 100 * chosen.accuracy(scores))
    for scale in SCALES:
        report.add(f"cross-entropy at logit scale {scale:g}", chosen.cross_entropy(scale))
    report.section("topics that nothing was chosen by")
    judged = Judged(bundle, options.corpus, JUDGED)
    reported(report, judged)
    outside = judged.recognizer.embed(chosen.texts) @ judged.recognizer.prototypes.vectors.T
    report.add(
        '"none of these": AUROC of judged topics against the others', auroc(judged.scores.max(1), outside.max(1))
    )
    report.section("all of them")
    reported(report, Judged(bundle, options.corpus, TOPICS))
    return report.finish(options.json)


class Judged:
    """Texts of some topics, and what the recognizer makes of them.

    Args:
        bundle: The model.
        corpus: The folder of the package's files.
        topics: Names of files.
    """

    def __init__(self, bundle: Bundle, corpus: Path, topics: Sequence[str]) -> None:
        found = [texts_of(corpus / topic) for topic in topics]
        self.topics = topics
        self.texts = [text for texts in found for text in texts]
        self.labels = np.repeat(np.arange(len(topics)), [len(texts) for texts in found])
        names = "".join(f"- {topic}\n" for topic in topics)
        self.recognizer = TextRecognizer.open(bundle, ClassFile.parse(names.encode(), file="topics"))
        self.scores = self.recognizer.embed(self.texts) @ self.recognizer.prototypes.vectors.T
        self._bundle = bundle

    def accuracy(self, scores: NDArray[np.floating]) -> float:
        """Return the mean over topics of top-1 accuracy."""
        return per_class_accuracy(scores.argmax(axis=1), self.labels)

    def ways(self) -> dict[str, NDArray[np.floating]]:
        """Return the scores of texts by each way of comparing them `(N, K)`."""
        from edgezsl.bundle import SEMANTIC_MAP
        from edgezsl.runtime.onnx_engine import OnnxGraph
        from edgezsl.runtime.token_table import TokenTable

        table = TokenTable.open(self._bundle)
        graph = OnnxGraph(self._bundle.read(SEMANTIC_MAP), file=SEMANTIC_MAP)
        texts, names = table.encode(self.texts), table.encode(list(self.topics))
        mapped = [unit(graph.run({graph.inputs[0]: rows})[0]) for rows in (texts, names)]
        center = names.mean(axis=0)
        return {
            "where images and words meet": mapped[0] @ mapped[1].T,
            "cosine of text embeddings": texts @ names.T,
            "less the mean of the topics' names": unit(texts - center) @ unit(names - center).T,
            "less what ordinary sentences share (ships)": self.scores,
        }

    def cross_entropy(self, scale: float) -> float:
        """Return the mean over topics of the cross-entropy of probabilities at a logit scale."""
        logits = scale * self.scores.astype(np.float64)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), self.labels]
        return float(np.mean([losses[self.labels == label].mean() for label in range(len(self.topics))]))


def reported(report: Report, judged: Judged) -> None:
    """Report accuracy against chance, and print where each topic's texts went."""
    count = len(judged.topics)
    chance = 100 / count
    report.add(f"{count} topics, {len(judged.texts)} texts: chance, per cent", chance)
    best = judged.scores.argmax(axis=1)
    t1 = 100 * judged.accuracy(judged.scores)
    report.add(f"{count} topics: mean over topics of top-1, per cent", t1, least=TIMES_CHANCE * chance)
    report.add(f"{count} topics: times chance", t1 / chance)
    print(f"  {'went to, per cent':<12}" + "".join(f"{topic[:6]:>8}" for topic in judged.topics))
    for label, topic in enumerate(judged.topics):
        shares = 100 * np.bincount(best[judged.labels == label], minlength=count) / (judged.labels == label).sum()
        print(f"  {topic:<17}" + "".join(f"{share:8.1f}" for share in shares), flush=True)
        report.add(f"{count} topics: {topic}, per cent", float(shares[label]))


def texts_of(path: Path) -> list[str]:
    """Return the texts of a file of fortunes, each on one line: they stand between lines of a per cent sign."""
    parts = path.read_text(encoding="utf-8", errors="replace").split("\n%\n")
    lines = (" ".join(part.removesuffix("%\n").split()) for part in parts)
    return [line for line in lines if line]


def unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    raise SystemExit(main())
