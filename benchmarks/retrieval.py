"""How well do images find the sentence of a class that was never seen, and sentences its images?

    EDGEZSL_DATA=FOLDER python benchmarks/retrieval.py --json FILE

Each method is chosen on validation classes and fitted on all seen ones, with reduced widths and epochs; recall is looked at once.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from report import Report

from edgezsl.data.benchmark_sets import cub50, flo
from edgezsl.zsl.methods import METHODS, method_named
from edgezsl.zsl.retrieval import RECALLS, retrieval
from edgezsl.zsl.selection import Chosen, fit_chosen

SETS = {"flo": flo, "cub50": cub50}
DEFAULT = ("prototype-ridge", "eszsl", "sae", "devise")
LEAST_TIMES_CHANCE = 3.0  # of the method that validation prefers, both ways at 1


def main() -> int:
    """Measure every method on both sets, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("EDGEZSL_DATA")
    parser.add_argument("--folder", type=Path, default=folder, required=not folder, help="default: EDGEZSL_DATA")
    parser.add_argument("--methods", default=",".join(DEFAULT), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = Report("retrieval: images find sentences of unseen classes, and sentences images")
    for name, read in SETS.items():
        report.section(f"{name}, sentences")
        data, best = read(options.folder), (-1.0, "", 0.0, 0.0)
        for method in options.methods.split(","):
            chosen = next(
                one for one in fit_chosen(method_named(method), data, size="quick") if isinstance(one, Chosen)
            )
            found = retrieval(chosen.method, data)
            for k in RECALLS:
                report.add(f"{name} {method} image to sentence recall@{k}", 100 * found.to_sentence[k], "%")
                report.add(f"{name} {method} sentence to image recall@{k}", 100 * found.to_image[k], "%")
            times = (
                found.to_sentence[1] / found.chance_to_sentence[1],
                found.to_image[1] / found.chance_to_image[1],
            )
            best = max(best, (chosen.val_t1, method, *times))
        for k in RECALLS:
            report.add(f"{name} chance image to sentence recall@{k}", 100 * found.chance_to_sentence[k], "%")
            report.add(f"{name} chance sentence to image recall@{k}", 100 * found.chance_to_image[k], "%")
        report.note(f"{found.images} images, {found.sentences} sentences; validation prefers {best[1]}")
        ways = zip(("image to sentence", "sentence to image"), best[2:], strict=True)
        for way, times_chance in ways:
            report.add(
                f"{name} {way} recall@1 over chance, the preferred method", times_chance, least=LEAST_TIMES_CHANCE
            )
    return report.finish(options.json)


if __name__ == "__main__":
    raise SystemExit(main())
