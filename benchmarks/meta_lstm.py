"""Does a learned optimizer reach further than gradient descent from the same start, in as many steps? On Omniglot.

    python benchmarks/meta_lstm.py --json FILE

Split by alphabets. Gradient descent has one rate, the best on validation episodes, for each seed and each start anew. Two starts
can be called the same: the one that Meta-LSTM learned with its optimizer, where the optimizers alone differ, and the random one
that all of Meta-LSTM was learned from. Both are told; a third one is random too, and no part of Meta-LSTM.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omniglot import SETTINGS, followed
from report import Report

from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.data.omniglot import CharacterSplit
from edgezsl.evaluate.intervals import mean_interval
from edgezsl.zsl.meta.convnet import conv_classifier
from edgezsl.zsl.meta.maml import Adaptation, adapted_accuracies
from edgezsl.zsl.meta.meta_lstm import MetaLstm, MetaLstmSchedule, fit_meta_lstm, optimized_accuracies

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from edgezsl.data.episodes import Episode

QUERIES = 15  # of each class
TASKS = 10  # drawn at once
RATES = tuple(10 ** (exponent / 4) for exponent in range(-6, 3))  # 0.032 to 3.2, four in a decade
LARGEST_RATE = 10.0  # of the learned optimizer: with 1 its gates were wholly open after 800 tasks
LEARNED = "Meta-LSTM"
STARTS = ("the start that Meta-LSTM learned", "the start that Meta-LSTM had at first", "another random start")


def main() -> int:
    """Train, measure, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("EDGEZSL_DATA")
    parser.add_argument(
        "--data", type=Path, default=folder, required=folder is None, help="the folder of the reference data"
    )
    parser.add_argument("--iterations", type=int, default=700, help="tasks that the optimizer is learned from")
    parser.add_argument("--steps", type=int, default=3, help="in a task, of either optimizer")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="of the meta-steps")
    parser.add_argument("--first-order", action="store_true", help="take gradients as constants, as the paper does")
    parser.add_argument("--channels", type=int, default=16, help="of the network")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=["5w1s", "5w5s"])
    parser.add_argument("--validation-episodes", type=int, default=50, help="by which a rate is chosen")
    parser.add_argument("--episodes", type=int, default=300, help="of the test")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    split = CharacterSplit.by_alphabets(options.data / "omniglot")
    parts = {part: torch.from_numpy(getattr(split, part).images) for part in split.__slots__}
    report = Report("A learned optimizer beside gradient descent, Omniglot split by alphabets")
    start = time.perf_counter()
    for setting in options.settings:
        report.section(setting)
        runs = [measured(options, parts, setting, seed) for seed in range(options.seeds)]
        told(report, setting, runs)
    report.add("from start to figures", time.perf_counter() - start, "s")
    report.add("processor time of it", time.process_time() / 60, "min")
    return report.finish(options.json)


def told(report: Report, setting: str, runs: list[dict[str, tuple[float, str]]]) -> None:
    """Report what the seeds of one setting gave."""
    intervals = {name: mean_interval([run[name][0] for run in runs]) for name in runs[0]}
    for name, interval in intervals.items():
        half = interval.high - interval.value
        report.add(f"{setting}: {name}, per cent (95% interval of {len(runs)} seeds ± {half:.2f})", interval.value)
    for name in map(descent, STARTS[:2]):
        gap = intervals[LEARNED].low - intervals[name].high
        report.add(f"{setting}: from {name} to Meta-LSTM, between the ends of the intervals, points", gap, least=0)
    for name in map(descent, STARTS):
        report.note(f"{setting}: rates of {name}: {', '.join(run[name][1] for run in runs)}")


def measured(
    options: argparse.Namespace, parts: dict[str, Tensor], setting: str, seed: int
) -> dict[str, tuple[float, str]]:
    """Return the test accuracy of one seed in per cent, by optimizer and start, with the rate that was chosen."""
    ways, shots = SETTINGS[setting]
    torch.manual_seed(seed)
    network, other = (conv_classifier(ways, options.channels, strided=True) for _ in range(2))
    first = copy.deepcopy(network)
    optimizer = MetaLstm(network, largest_rate=LARGEST_RATE)
    learning = Episodes(parts["training"], EpisodeLaw(ways, shots, QUERIES), seed=seed)
    schedule = MetaLstmSchedule(
        options.iterations, options.learning_rate, options.steps, second_order=not options.first_order
    )
    followed(fit_meta_lstm(optimizer, learning, schedule, every=max(1, options.iterations // 4)))
    network.load_state_dict(optimizer.parameters_of(optimizer.start.detach()))

    law = EpisodeLaw(ways, shots, QUERIES)
    validation, test = (Episodes(parts[part], law, seed=1) for part in ("validation", "test"))
    learned = accuracy(lambda episode: optimized_accuracies(optimizer, episode, options.steps), test, options.episodes)
    found = {LEARNED: (learned, "")}
    for name, begun in zip(STARTS, (network, first, other), strict=True):
        rate = best_rate(begun, validation, options)
        reached = accuracy(stepping(begun, options.steps, rate), test, options.episodes)
        found[descent(name)] = (reached, f"{rate:.3g}")
    print(f"  seed {seed}: " + ", ".join(f"{value:.2f} {rate}".strip() for value, rate in found.values()), flush=True)
    return found


def descent(start: str) -> str:
    """Return the name of gradient descent from a start."""
    return f"gradient descent from {start}"


def best_rate(network: nn.Module, episodes: Episodes, options: argparse.Namespace) -> float:
    """Return the rate after whose steps from a network's weights most queries are right."""
    count = options.validation_episodes
    return max(RATES, key=lambda rate: accuracy(stepping(network, options.steps, rate), episodes, count))


def stepping(network: nn.Module, steps: int, rate: float) -> Callable[[Episode], Tensor]:
    """Return the share of right answers after gradient descent from a network's weights."""
    return lambda episode: adapted_accuracies(network, episode, Adaptation(steps, rate))


def accuracy(judge: Callable[[Episode], Tensor], episodes: Episodes, count: int) -> float:
    """Return the mean of what a judge says of `count` tasks, in per cent."""
    return 100 * torch.cat([judge(episodes.draw(number, TASKS)) for number in range(count // TASKS)]).mean().item()


if __name__ == "__main__":
    raise SystemExit(main())
