"""Few-shot recognition of Omniglot's characters: how near do our meta-learners come to what was published?

    python benchmarks/omniglot.py --data $EDGEZSL_DATA --split alphabets --method protonet --json FILE

A GAN of images (`--method gan`) has no published figure here: pixels and an untrained discriminator stand beside it.
`--split characters` is the only split whose figures can be laid beside published ones; `--device cuda` for it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from report import Report
from torch import nn

from edgezsl.data.episodes import Episode, EpisodeLaw, Episodes
from edgezsl.data.omniglot import CharacterSplit
from edgezsl.data.warps import AffineWarp
from edgezsl.zsl.generative.images import (
    DiscriminatorFeatures,
    ImageDiscriminator,
    ImageGanSchedule,
    ImageGenerator,
    fit_image_gan,
)
from edgezsl.zsl.meta.convnet import ConvEncoder, conv_classifier
from edgezsl.zsl.meta.maml import Adaptation, MamlSchedule, adapted_accuracies, fit_maml
from edgezsl.zsl.meta.prototypical import ProtoNetSchedule, confidence, embed, fit_prototypical, nearest_prototypes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgezsl.zsl.meta.prototypical import MetaStep

QUERIES = 15  # of each class, in a test episode
TEST_EPISODES = 1000
PUBLISHED = {"protonet": (98.8, 99.7, 96.0, 98.9), "maml": (98.7, 99.9, 95.8, 98.9)}  # both second order
# Of the test, of the split by alphabets, each within an hour of one core.
BARS = {
    ("protonet", "test 5w1s"): 98.0,
    ("protonet", "test 5w5s"): 99.3,
    ("protonet", "test 20w1s"): 94.5,
    ("protonet", "test 20w5s"): 98.4,
    ("maml", "test 5w1s"): 96.0,
}
MINUTES = 60
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}


def main() -> int:
    """Train, measure, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    folder = os.environ.get("EDGEZSL_DATA")
    parser.add_argument(
        "--data", type=Path, default=folder, required=folder is None, help="the folder of the reference data"
    )
    parser.add_argument("--split", choices=("alphabets", "characters"), default="alphabets")
    parser.add_argument("--method", choices=tuple(METHODS), default="protonet")
    parser.add_argument("--setting", choices=tuple(SETTINGS), default="5w1s", help="of maml: one network for each")
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--strided", action="store_true", help="of maml: strides halve, not pooling, as in the paper")
    parser.add_argument("--tasks", type=int, default=32, help="of maml, in a meta-step")
    parser.add_argument("--steps", type=int, default=1, help="of maml, in training")
    parser.add_argument("--test-steps", type=int, default=3, help="of maml, in the test")
    parser.add_argument("--rate", type=float, default=0.4, help="of maml, in a task")
    parser.add_argument("--queries", type=int, default=5, help="in training")
    parser.add_argument("--shots", type=int, default=5, help="of protonet, in training")
    parser.add_argument("--ways", type=int, default=60, help="of protonet, in training")
    parser.add_argument("--warp", action="store_true", help="of protonet: training drawings turned and moved a little")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    split = getattr(CharacterSplit, f"by_{options.split}")(options.data / "omniglot")
    report = Report(f"Omniglot, {options.method}, split by {options.split}, {options.device}")
    torch.manual_seed(options.seed)
    start = time.perf_counter()
    parts = {part: torch.from_numpy(getattr(split, part).images) for part in split.__slots__}
    bars = BARS if options.split == "alphabets" else {}
    for name, value, half in METHODS[options.method](options, parts):
        least = bars.get((options.method, name))
        report.add(f"{options.method}: {name}, per cent (95% interval ± {half:.2f})", value, least=least)
    if options.split == "characters" and options.method != "gan":
        published = ", ".join(
            f"{name} {value}" for name, value in zip(SETTINGS, PUBLISHED[options.method.partition("-")[0]], strict=True)
        )
        report.note(f"published: {published}")
    report.add("from start to figures", time.perf_counter() - start, "s")
    most = MINUTES if bars and options.device == "cpu" else None
    report.add("processor time of it", time.process_time() / 60, "min", most=most)
    return report.finish(options.json)


def followed(steps: Iterable[MetaStep]) -> None:
    """Let a training run, and print how far it is."""
    start = time.perf_counter()
    for step in steps:
        spent = time.perf_counter() - start
        print(f"  {step.done}/{step.total} loss {step.loss:.4f} right {step.accuracy:.4f} {spent:.0f} s", flush=True)


def fitted_prototypical(options: argparse.Namespace, parts: dict[str, torch.Tensor]) -> list[tuple[str, float, float]]:
    """Train one encoder, and return its accuracy in each setting."""
    encoder = ConvEncoder().to(options.device)
    law = EpisodeLaw(options.ways, options.shots, options.queries)
    augment = AffineWarp() if options.warp else None
    episodes = Episodes(parts["training"].to(options.device), law, seed=options.seed, augment=augment)
    followed(
        fit_prototypical(encoder, episodes, ProtoNetSchedule(options.iterations, halved_every=options.iterations // 7))
    )
    return embedded(encoder, parts)


def embedded(encoder: nn.Module, parts: dict[str, torch.Tensor], names: str = "") -> list[tuple[str, float, float]]:
    """Return the accuracy of an encoder's class prototypes in each setting."""
    found = []
    for part in ("validation", "test"):
        images = parts[part].to(next(encoder.parameters(), parts[part]).device)
        rows = embed(encoder, images.flatten(0, 1)).unflatten(0, images.shape[:2])
        for name, (ways, shots) in SETTINGS.items():
            drawn = Episodes(rows, EpisodeLaw(ways, shots, QUERIES), seed=1)
            rights = [right(drawn.draw(number)) for number in range(TEST_EPISODES)]
            found.append((f"{names}{part} {name}", *percent(torch.cat(rights))))
    return found


def fitted_gan(options: argparse.Namespace, parts: dict[str, torch.Tensor]) -> list[tuple[str, float, float]]:
    """Train GANs of images, and return the accuracy of their discriminators' features beside those of pixels."""
    images = parts["training"]
    found = embedded(nn.Flatten(), parts, "pixels, ")
    found += embedded(DiscriminatorFeatures(ImageDiscriminator(1)), parts, "untrained discriminator, ")
    for names, grouped in (("without classes, ", images.flatten(0, 1)[None]), ("with classes, ", images)):
        generator, discriminator = ImageGenerator(len(grouped)), ImageDiscriminator(len(grouped))
        schedule = ImageGanSchedule(options.iterations, seed=options.seed)
        followed(fit_image_gan(generator, discriminator, grouped, schedule))
        found += embedded(DiscriminatorFeatures(discriminator), parts, names)
    return found


def right(episode: Episode) -> torch.Tensor:
    """Return the share of right answers of an episode of embeddings `(T,)`."""
    return (nearest_prototypes(episode) == episode.targets()).float().mean(1)


def fitted_maml(options: argparse.Namespace, parts: dict[str, torch.Tensor]) -> list[tuple[str, float, float]]:
    """Train first weights for one setting, and return the accuracy after adaptation."""
    ways, shots = SETTINGS[options.setting]
    network = conv_classifier(ways, strided=options.strided).to(options.device)
    episodes = Episodes(
        parts["training"].to(options.device), EpisodeLaw(ways, shots, options.queries), seed=options.seed
    )
    schedule = MamlSchedule(
        options.iterations,
        options.tasks,
        1e-3,
        Adaptation(options.steps, options.rate),
        second_order=options.method == "maml",
    )
    followed(fit_maml(network, episodes, schedule))
    found = []
    for part in ("validation", "test"):
        drawn = Episodes(parts[part].to(options.device), EpisodeLaw(ways, shots, QUERIES), seed=1)
        adaptation = Adaptation(options.test_steps, options.rate)
        rights = [
            adapted_accuracies(network, drawn.draw(number, 10), adaptation) for number in range(TEST_EPISODES // 10)
        ]
        found.append((f"{part} {options.setting}", *percent(torch.cat(rights))))
    return found


def percent(accuracies: torch.Tensor) -> tuple[float, float]:
    """Return mean and half interval of accuracies, in per cent."""
    mean, half = confidence(accuracies)
    return 100 * mean, 100 * half


METHODS = {
    "protonet": fitted_prototypical,
    "maml": fitted_maml,
    "maml-first-order": fitted_maml,
    "gan": fitted_gan,
}


if __name__ == "__main__":
    raise SystemExit(main())
