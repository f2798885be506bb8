"""How well the built-in model recognises: the table of its card (edgezsl/builtin/README.md), each figure from files.

    EDGEZSL_DATA=DIR python benchmarks/builtin_accuracy.py [--bundle DIR] [--against DIR] [--left-out DIR] [--json FILE]

Everything goes through a bundle as a device would: class files, preprocessing by contract, ONNX Runtime. `--against` is
the same model in another precision, judged beside it on the same images. `--left-out` is a folder with the bundles `0`
to `4` of the models that never met one of the five sets of 20 classes (`edgezsl train --left-out`).
"""

from __future__ import annotations

import argparse
import os
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from report import Report

from edgezsl import Bundle, ClassEmbedder, ClassFile, ClassPrototypes, Preprocessor, open_engine
from edgezsl.classes import ClassEntry
from edgezsl.data.wordnet import WordNet
from edgezsl.errors import NOWHERE
from edgezsl.evaluate.metrics import auroc, fpr95, per_class_accuracy
from edgezsl.runtime.sources import decode_image, open_source, read_image
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import scores
from edgezsl.zsl.training_data import left_out_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

TINY = "zsl_tinyimagenet/tinyimagenet_images_20_per_class.zip"
TINY_CLASSES = "zsl_tinyimagenet/tinyimagenet_mnv2_u8.npz"
PHOTOGRAPHS = "imagenet1k_samples/images"
PHOTOS = "photos_video/photos"
VIDEO = "photos_video/bottle-detection.mp4"
SEEDS = range(5)
FOLDS = 5
BATCH = 64
# What the photographs of photos_video show, and what they do not: forty names.
CONTENT = {
    "airplane": ("airplane_0",),
    "banana": ("banana_0",),
    "bear": ("black_bear", "brown_bear", "polar_bear"),
    "bird": ("bird_1", "coral_owl", "coral_parrot"),
    "cat": ("cat_0", "coral_cat_720p"),
    "coral reef": ("coral",),
    "desk": ("desk",),
    "dog": ("dog_0",),
    "fruit": ("fruit_0", "granny_smith_0", "orange_0"),
    "hot dog": ("coral_hot_dog",),
    "jellyfish": ("jellyfish",),
    "person": ("coral_grace_hopper",),
    "stingray": ("stingray",),
}
OTHERS = (
    *("car", "bicycle", "train", "boat", "horse", "cow", "sheep", "elephant", "zebra", "fish"),
    *("bottle", "cup", "chair", "clock", "book", "keyboard", "telephone"),
    *("umbrella", "backpack", "shoe", "guitar", "piano", "bridge", "house", "tree", "flower", "pizza"),
)
VIDEO_NAMES = ("bottle", "car", "person walking", "dog", "cup")


@dataclass(frozen=True, slots=True)
class Judged:
    """An opened bundle.

    Attributes:
        bundle: The bundle.
        embedder: Its class side.
    """

    bundle: Bundle
    embedder: ClassEmbedder

    @classmethod
    def open(cls, folder: Path | None) -> Judged:
        """Open a bundle, or the built-in one."""
        bundle = Bundle.open(folder)
        return cls(bundle, ClassEmbedder(bundle, SemanticCache()))

    def embed(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the embeddings `(N, D)` of images."""
        engine, preprocess = open_engine(self.bundle, "onnx"), Preprocessor(self.bundle.manifest.contract)
        rows = [engine.run(preprocess(batch)) for batch in batches(images)]
        engine.close()
        return np.concatenate(rows)

    def prototypes(self, entries: Iterable[ClassEntry], folder: Path = Path()) -> ClassPrototypes:
        """Return the prototypes of classes, pictures found in `folder`."""
        return self.embedder.embed(ClassFile("benchmark", tuple(entries)), folder)


def batches(images: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    """Return the images in lists of at most `BATCH`."""
    batch = []
    for image in images:
        batch.append(image)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def words_of(ids: Sequence[str], wordnet: WordNet, *, gloss: bool) -> list[ClassEntry]:
    """Return a class for each WordNet id: its names, and its gloss where asked for; equal names get a number."""
    taken: Counter[str] = Counter()
    entries = []
    for one in ids:
        first, *others = wordnet.synsets[one].names
        taken[first] += 1
        name = first if taken[first] == 1 else f"{first} {taken[first]}"
        descriptions = (wordnet.synsets[one].gloss,) if gloss else ()
        entries.append(ClassEntry(name, NOWHERE, synonyms=tuple(others), descriptions=descriptions))
    return entries


def tiny_images(data: Path) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Return the 4,000 validation images of Tiny-ImageNet and their WordNet ids."""
    with zipfile.ZipFile(data / TINY) as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith((".jpeg", ".jpg")))
        images = [decode_image(archive.read(name), name=name) for name in names]
    return images, [next(part for part in name.split("/") if part[:1] == "n" and part[1:].isdigit()) for name in names]


def best(embeddings: NDArray[np.float32], classes: ClassPrototypes) -> NDArray[np.intp]:
    """Return the row of the best class for each embedding."""
    return scores(embeddings, classes.vectors, classes.offset).argmax(axis=1)


def tiny_accuracy(
    report: Report, models: dict[str, Judged], images: Any, wordnet: WordNet
) -> dict[str, NDArray[np.bool_]]:
    """Report 200-way accuracy by words, and return which images each model had right."""
    pictures, ids = images
    known = sorted(set(ids))
    labels = np.array([known.index(one) for one in ids])
    right = {}
    for name, model in models.items():
        classes = model.prototypes(words_of(known, wordnet, gloss=True))
        right[name] = best(model.embed(pictures), classes) == labels
        report.add(f"Tiny-ImageNet val, 200-way, {name}", 100 * float(right[name].mean()), "%")
    return right


def report_drop(report: Report, right: dict[str, NDArray[np.bool_]]) -> None:
    """Report how much the first model loses against the second, with a paired bootstrap interval."""
    (first, a), (second, b) = right.items()
    difference = b.astype(float) - a.astype(float)
    rng = np.random.default_rng(0)
    drops = 100 * difference[rng.integers(0, len(difference), (2000, len(difference)))].mean(axis=1)
    low, high = np.percentile(drops, (2.5, 97.5))
    report.add(f"drop from {second} to {first}, Tiny-ImageNet val", 100 * float(difference.mean()), "points", most=0.5)
    report.note(f"paired 95% interval of the drop: {low:.2f} to {high:.2f} points over {len(difference):,} images")


def left_out_accuracy(report: Report, folder: Path, images: Any, wordnet: WordNet, data: Path) -> None:
    """Report T1 over the five sets of 20 classes that a model never met, and the photographs held back from it."""
    pictures, ids = images
    described, named, right = [], [], []
    for seed in SEEDS:
        model = Judged.open(folder / str(seed))
        unseen = sorted(left_out_ids(data / TINY_CLASSES, seed))
        rows = [number for number, one in enumerate(ids) if one in unseen]
        labels = np.array([unseen.index(ids[number]) for number in rows])
        embeddings = model.embed(pictures[number] for number in rows)
        for accuracies, gloss in ((described, True), (named, False)):
            classes = model.prototypes(words_of(unseen, wordnet, gloss=gloss))
            accuracies.append(100 * per_class_accuracy(best(embeddings, classes), labels))
        right.append(held_photographs(model, data, seed, wordnet))
    texts = {"name, synonyms and gloss": described, "name and synonyms": named}
    for text, accuracies in texts.items():
        spread = f"{np.mean(accuracies):.1f} ± {np.std(accuracies):.1f}; {' '.join(f'{one:.1f}' for one in accuracies)}"
        report.add(f"20 left-out classes by {text}, mean of 5 sets", float(np.mean(accuracies)), "%")
        report.note(spread)
    report.add(
        f"{sum(map(len, right))} photographs, each by the model that it was held back from, 750-way",
        float(np.mean(np.concatenate(right)) * 100),
        "%",
    )


def held_photographs(model: Judged, data: Path, seed: int, wordnet: WordNet) -> NDArray[np.bool_]:
    """Return which of the photographs held back from a model it has right among the classes of all photographs."""
    paths = sorted((data / PHOTOGRAPHS).iterdir())
    ids = [path.name.partition("_")[0] for path in paths]
    unseen = left_out_ids(data / TINY_CLASSES, seed)
    held = [number for number in range(len(paths)) if number % FOLDS == seed and ids[number] not in unseen]
    known = sorted(set(ids))
    classes = model.prototypes(words_of(known, wordnet, gloss=True))
    predicted = best(model.embed(read_image(paths[number]) for number in held), classes)
    return predicted == np.array([known.index(ids[number]) for number in held])


def photograph_accuracy(report: Report, model: Judged, data: Path, wordnet: WordNet) -> None:
    """Report the sample photographs, which the shipped model was trained on, and twenty which it was not."""
    paths = sorted((data / PHOTOGRAPHS).iterdir())
    ids = [path.name.partition("_")[0] for path in paths]
    classes = model.prototypes(words_of(ids, wordnet, gloss=True))
    ranked = np.argsort(-scores(model.embed(map(read_image, paths)), classes.vectors, classes.offset), axis=1)[:, :5]
    hits = ranked == np.arange(len(paths))[:, None]
    report.add("750 photographs it was trained on, 750-way, top-1", 100 * float(hits[:, 0].mean()), "%")
    report.add("the same, top-5", 100 * float(hits.any(axis=1).mean()), "%")
    shown = {stem: name for name, stems in CONTENT.items() for stem in stems}
    names = [*CONTENT, *OTHERS]
    files = [path for path in sorted((data / PHOTOS).iterdir()) if path.stem in shown]
    rows = best(model.embed(map(read_image, files)), model.prototypes(ClassEntry(name, NOWHERE) for name in names))
    said = [(path.stem, names[row]) for path, row in zip(files, rows, strict=True)]
    report.add(
        f"{len(files)} photographs with {len(names)} bare names",
        sum(shown[stem] == name for stem, name in said),
        "right",
    )
    wrong = [f"{stem}: {name}" for stem, name in said if shown[stem] != name]
    report.note(f"wrong: {'; '.join(wrong) or 'none'}")


def video_accuracy(report: Report, model: Judged, data: Path) -> None:
    """Report how often the bottle in the video is called a bottle."""
    source = open_source(str(data / VIDEO), as_fast_as_possible=True)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame.image)
    source.close()
    classes = model.prototypes(ClassEntry(name, NOWHERE) for name in VIDEO_NAMES)
    said = Counter(VIDEO_NAMES[row] for row in best(model.embed(frames), classes))
    report.add("bottle-detection.mp4: frames called a bottle", 100 * said["bottle"] / len(frames), "%")
    report.note(", ".join(f"{name} {100 * count / len(frames):.1f}%" for name, count in said.most_common()))


def rejection(report: Report, model: Judged, images: Any, wordnet: WordNet) -> None:
    """Report how well the best score tells images of 100 known classes from those of 100 others."""
    pictures, ids = images
    known = sorted(set(ids))
    embeddings = model.embed(pictures)
    order = np.random.default_rng(0).permutation(len(known))
    vocabulary = [known[number] for number in sorted(order[: len(known) // 2])]
    classes = model.prototypes(words_of(vocabulary, wordnet, gloss=True))
    highest = scores(embeddings, classes.vectors, classes.offset).max(axis=1)
    inside = np.array([one in vocabulary for one in ids])
    report.add(
        "none of these: AUROC, 100 classes in the vocabulary, 100 not",
        100 * auroc(highest[inside], highest[~inside]),
        "%",
    )
    report.add("none of these: FPR95", 100 * fpr95(highest[inside], highest[~inside]), "%")


def mixture(report: Report, model: Judged, images: Any, wordnet: WordNet) -> None:
    """Report which share of a balanced set the half of a vocabulary takes that is given by example pictures."""
    pictures, ids = images
    known = sorted(set(ids))
    chosen = [known[number] for number in np.random.default_rng(0).permutation(len(known))[:40]]
    by_pictures = set(chosen[::2])
    folder = Path("build/mixture")
    folder.mkdir(parents=True, exist_ok=True)
    entries, asked = [], []
    for entry, one in zip(words_of(chosen, wordnet, gloss=True), chosen, strict=True):
        numbers = [number for number, label in enumerate(ids) if label == one]
        asked += [(number, one) for number in numbers[5:]]
        if one in by_pictures:
            names = [f"{one}_{number}.png" for number in numbers[:5]]
            for name, number in zip(names, numbers[:5], strict=True):
                write_png(folder / name, pictures[number])
            entry = ClassEntry(entry.name, NOWHERE, examples=tuple(names))  # noqa: PLW2901  # the same class, otherwise given
        entries.append(entry)
    rows = best(model.embed(pictures[number] for number, _ in asked), model.prototypes(entries, folder))
    taken = float(np.mean([chosen[row] in by_pictures for row in rows]))
    right = float(np.mean([chosen[row] == one for row, (_, one) in zip(rows, asked, strict=True)]))
    report.add("20 classes by words, 20 by 5 pictures: answers that fall on pictures", 100 * taken, "%")
    report.add("the larger half of the two", 100 * max(taken, 1 - taken), "%", most=60)
    report.note(f"right in {100 * right:.1f}% of {len(asked)} images, 40-way")


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image."""
    import cv2

    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def main() -> None:
    """Measure and print; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, help="default: the built-in one")
    parser.add_argument("--against", type=Path, help="the same model as fp32")
    parser.add_argument("--left-out", type=Path, help="a folder with the bundles 0 to 4")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    data, wordnet = Path(os.environ["EDGEZSL_DATA"]), WordNet.read(asked.wordnet)
    report = Report("What the built-in model recognises")
    model, images = Judged.open(asked.bundle), tiny_images(data)
    models = {model.bundle.manifest.precision: model}
    if asked.against:
        other = Judged.open(asked.against)
        models[other.bundle.manifest.precision] = other
    right = tiny_accuracy(report, models, images, wordnet)
    if asked.against:
        report_drop(report, right)
    photograph_accuracy(report, model, data, wordnet)
    video_accuracy(report, model, data)
    rejection(report, model, images, wordnet)
    mixture(report, model, images, wordnet)
    if asked.left_out:
        left_out_accuracy(report, asked.left_out, images, wordnet, data)
    raise SystemExit(report.finish(asked.json))


if __name__ == "__main__":
    main()
