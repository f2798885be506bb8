"""INT8 on real weights: is what the recipe makes of a model still that model, and does the recipe matter?

    EDGEZSL_DATA=DIR python benchmarks/int8_proof.py [--reference DIR] [--json FILE]

Three models, each exported by its recipe, calibrated on flowers and birds and judged on other photographs: the reference
MobileNetV2, whose weights lie on an INT8 grid already, so that it shows the ranges of activations alone; the same network
made hard, its bottleneck channels rescaled at random, which changes no answer; and the built-in model. Beside each, all
in INT8 with one scale for a whole weight, of the very network that was quantized: the second, equalized. A drop depends on which images set the ranges: of the built-in model it is
measured for five other random calibration sets too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from builtin_accuracy import PHOTOGRAPHS, Judged, best, tiny_images, words_of
from onnx import numpy_helper
from report import Report

from edgezsl import Bundle, Preprocessor
from edgezsl.compile.calibration import CalibrationSet
from edgezsl.compile.choice import quantize_by_recipe
from edgezsl.compile.encoder_run import embeddings_one_by_one, encoder_engine
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.figures import agreement_figures, paired_interval
from edgezsl.compile.quantize import collect_histograms, quantized_graph
from edgezsl.compile.recipe import load_recipe
from edgezsl.data.wordnet import WordNet
from edgezsl.encoders.model import IMAGE_ENCODER, Model, ModelFacts
from edgezsl.runtime.sources import read_image

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from edgezsl.classes import ClassEntry
    from edgezsl.compile.choice import Quantized

ROOT = Path(__file__).resolve().parent.parent
CALIBRATION = ("zsl_flo/images", "zsl_cub50/images")
FACTORS = 30.0  # the rescaling of a channel lies between one over this and this, evenly on a logarithmic scale
BOUNDS = {"cosine_mean": 0.99, "centred_mean": 0.98, "top1_agreement": 0.95}
HARD = "mobilenetv2-hard"
VISIBLE = 0.02  # of the centred cosine: what one scale for a whole weight must cost a network that is hard for it
MOST_DROP_TINY, MOST_DROP_PHOTOGRAPHS = 0.5, 1.0  # points
DRAWS, DRAWN = 5, 64  # calibration sets, and images of each


def reference_model(bundle: Bundle, folder: Path, encoder: bytes, name: str) -> Model:
    """Write the model directory of the reference bundle, with another encoder that says the same."""
    manifest = bundle.manifest
    sides = ("text_encoder.onnx", "tokenizer.json", "semantic_map.onnx")
    facts = ModelFacts(
        name, manifest.provenance.source_model, "convnet", manifest.contract, manifest.space, manifest.semantics
    )
    files = {side: bundle.read(side) for side in sides if side in manifest.files}
    return Model.write(folder, facts, {IMAGE_ENCODER: encoder, **files})


def hardened(data: bytes) -> bytes:
    """Return a MobileNetV2 whose bottleneck channels are rescaled at random: its answers stay, its weights spread.

    A bottleneck is linear: what its last convolutions multiply, the convolutions that read it divide by. All that meet in
    a sum share their factors.
    """
    model = onnx.load_from_string(data)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    rng = np.random.default_rng(0)
    for tensor in _bottlenecks(model):
        writers = list(_writers(tensor, made))
        readers = [
            node for node in model.graph.node if node.op_type == "Conv" and node.input[0] in _sums(tensor, model)
        ]
        channels = numpy_helper.to_array(stored[writers[0].input[1]]).shape[0]
        factors = np.exp(rng.uniform(-np.log(FACTORS), np.log(FACTORS), channels)).astype(np.float32)
        for node in writers:
            for name in node.input[1:]:
                _multiply(stored[name], factors, axis=0)
        for node in readers:
            _multiply(stored[node.input[1]], 1 / factors, axis=1)
    return model.SerializeToString()


def _bottlenecks(model: onnx.ModelProto) -> Iterator[str]:
    """Yield the first linear tensor of each chain of sums: one that no activation follows, and that a convolution made."""
    read: dict[str, list[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            read.setdefault(name, []).append(node.op_type)
    summed = {node.input[1] for node in model.graph.node if node.op_type == "Add"}
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type == "Conv" and name not in summed and set(read.get(name, [""])) <= {"Conv", "Add"}:
            yield name


def _sums(first: str, model: onnx.ModelProto) -> set[str]:
    """Return a tensor and the sums that it goes into."""
    found = {first}
    for node in model.graph.node:
        if node.op_type == "Add" and found & set(node.input):
            found.add(node.output[0])
    return found


def _writers(first: str, made: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the convolutions whose results meet in the sums that a tensor goes into."""
    yield made[first]
    sums = {first}
    for name, node in made.items():
        if node.op_type == "Add" and sums & set(node.input):
            sums.add(name)
            yield from (made[other] for other in node.input if other not in sums and made[other].op_type == "Conv")


def _multiply(tensor: Any, factors: np.ndarray, *, axis: int) -> None:
    values = numpy_helper.to_array(tensor).copy()
    shape = [1] * values.ndim
    shape[axis] = -1
    tensor.CopyFrom(numpy_helper.from_array(values * factors.reshape(shape), tensor.name))


def exported(model: Model, place: Path, data: Path, precision: str) -> ExportResult:
    """Export a model, and prove it on the sample photographs."""
    settings = ExportSettings(
        model.folder,
        place / f"{model.facts.name}-{precision}",
        precision=precision,  # type: ignore[arg-type]  # one of the two below
        calibration=str(place / "calibration"),
        parity_images=data / PHOTOGRAPHS,
        classes=place / "classes.yaml",
        allow_broken_parity=True,
    )
    *_, result = export(settings)
    assert isinstance(result, ExportResult)
    return result


def judge(report: Report, result: ExportResult, full: Judged, sets: Sequence[Any]) -> None:
    """Report parity, and what INT8 costs in accuracy, image by image."""
    name = result.bundle.manifest.name
    figures = result.report.figures
    for figure in ("cosine_mean", "centred_mean", "centred_worst1", "top1_agreement"):
        report.add(f"{name}: {figure}, 750 photographs", figures[figure], least=BOUNDS.get(figure))
    report.note(f"{name}: {result.quantized.plan if result.quantized else ''}")
    small = Judged.open(result.bundle.folder)
    for called, images, ids, entries, most in sets:
        right = [best(one.embed(images), one.prototypes(entries)) == ids for one in (full, small)]
        loss = right[0].astype(float) - right[1].astype(float)
        low, high = (100 * value for value in paired_interval(loss, [str(number) for number in range(len(loss))]))
        accuracies = " ".join(f"{100 * float(one.mean()):.2f}" for one in right)
        report.add(f"{name}: drop, {called}", 100 * float(loss.mean()), "points", most=most)
        only = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        report.note(
            f"accuracy in fp32 and INT8, %: {accuracies}; 95% interval {low:.2f} to {high:.2f}; right in fp32 alone {only[0]}, in INT8 alone {only[1]}"
        )


def per_tensor(report: Report, quantized: Quantized, full: Judged, images: tuple[Sequence[Any], Sequence[Any]]) -> None:
    """Report what one scale for a whole weight costs: the network as it was quantized, with and without, all in INT8.

    Args:
        report: Takes the figures.
        quantized: What the recipe made of the model.
        full: Its bundle in full precision.
        images: Those to compare on, and those to calibrate on.
    """
    pictures, calibration = images
    manifest = full.bundle.manifest
    contract, dim, plan = manifest.contract, manifest.space.dim, quantized.plan
    preprocess, histograms = Preprocessor(contract), {}
    list(collect_histograms(quantized.encoder, [preprocess([image]) for image in calibration], histograms))
    ranges = {name: one.range(plan.calibrator, plan.percentile) for name, one in histograms.items()}
    pixels = [preprocess([image])[0] for image in pictures]
    whole = embeddings_one_by_one(encoder_engine(quantized.encoder, contract, dim), pixels)
    centred = []
    for words, each in (("each channel", True), ("a whole weight", False)):
        data = quantized_graph(quantized.encoder, ranges, (), per_channel=each)
        found = agreement_figures(whole, embeddings_one_by_one(encoder_engine(data, contract, dim), pixels))
        centred.append(found["centred_mean"])
        report.add(f"{manifest.name}: centred_mean, all in INT8, one scale for {words}", centred[-1])
    least = VISIBLE if manifest.name == HARD else None
    report.add(f"{manifest.name}: what one scale for a whole weight costs", centred[0] - centred[1], least=least)


def ended(steps: Generator[Any, None, Quantized]) -> Quantized:
    """Return what a generator of progress returns at its end."""
    found: list[Quantized] = []

    def run() -> Iterator[Any]:
        found.append((yield from steps))

    list(run())
    return found[0]


def draws(report: Report, full: Judged, calibration: Sequence[Path], sets: Sequence[Any]) -> None:
    """Report what INT8 by the recipe costs in accuracy, for several random calibration sets."""
    contract, dim = full.bundle.manifest.contract, full.bundle.manifest.space.dim
    encoder, preprocess = full.bundle.read("image_encoder.fp32.onnx"), Preprocessor(contract)
    recipe, files = load_recipe("builtin"), []
    for seed in range(DRAWS):
        chosen = np.random.RandomState(seed).choice(len(calibration), DRAWN, replace=False)
        pixels = np.concatenate([preprocess([read_image(calibration[index])]) for index in chosen])
        drawn = CalibrationSet("images", pixels, "", frozenset(), frozenset())
        result = ended(quantize_by_recipe(encoder, contract, dim, recipe, drawn))
        report.note(f"calibration set {seed}: {result.plan}")
        files.append(result.data)
    for called, images, ids, entries, most in sets:
        pixels, prototypes = [preprocess([image])[0] for image in images], full.prototypes(entries)
        right = [
            best(embeddings_one_by_one(encoder_engine(data, contract, dim), pixels), prototypes) == ids
            for data in (encoder, *files)
        ]
        drops = [100 * float(right[0].mean() - one.mean()) for one in right[1:]]
        report.add(f"drop, mean of {DRAWS} calibration sets, {called}", float(np.mean(drops)), "points", most=most)
        report.note(f"each: {' '.join(f'{one:.2f}' for one in drops)}")


def main() -> None:
    """Measure and print; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reference", type=Path, default=ROOT / "build" / "reference")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    data, wordnet = Path(os.environ["EDGEZSL_DATA"]), WordNet.read(asked.wordnet)
    report = Report("Does INT8 say what the model says?")
    tiny, tiny_ids = tiny_images(data)
    paths = sorted((data / PHOTOGRAPHS).iterdir())
    photographs, known = [read_image(path) for path in paths], [path.name.partition("_")[0] for path in paths]
    with tempfile.TemporaryDirectory(prefix="edgezsl-int8-") as folder:
        place = Path(folder)
        (place / "calibration").mkdir()
        for number, path in enumerate(sorted(path for part in CALIBRATION for path in (data / part).rglob("*.jpg"))):
            (place / "calibration" / f"{number:03d}{path.suffix}").symlink_to(path)
        entries = words_of(known, wordnet, gloss=False)
        (place / "classes.yaml").write_text(
            "".join(f"- {{name: '{one.name.replace(chr(39), chr(39) * 2)}'}}\n" for one in entries)
        )
        sets = _sets(tiny, tiny_ids, photographs, known, wordnet)
        reference = Bundle.open(asked.reference)
        plain = reference.read("image_encoder.fp32.onnx")
        models = [
            reference_model(reference, place / "mobilenet", plain, "mobilenetv2"),
            reference_model(reference, place / "hard", hardened(plain), HARD),
            Model.open(),
        ]
        calibration = [read_image(path) for path in sorted((place / "calibration").iterdir())[::6]]
        for model in models:
            report.section(model.facts.name)
            full = Judged.open(exported(model, place, data, "fp32").bundle.folder)
            small = exported(model, place, data, "int8")
            judge(report, small, full, sets)
            assert small.quantized is not None
            per_tensor(report, small.quantized, full, (photographs, calibration))
        draws(report, full, sorted((place / "calibration").iterdir()), sets)
    raise SystemExit(report.finish(asked.json))


def _sets(
    tiny: Sequence[Any], tiny_ids: Sequence[str], photographs: Sequence[Any], known: Sequence[str], wordnet: WordNet
) -> list[tuple[str, Sequence[Any], np.ndarray, list[ClassEntry], float]]:
    """Return the sets on which accuracy is compared: images, the row of each one's class, the classes, and what is allowed."""
    names = sorted(set(tiny_ids))
    rows = np.array([names.index(one) for one in tiny_ids])
    own = words_of(names, wordnet, gloss=True), words_of(known, wordnet, gloss=True)
    return [
        ("Tiny-ImageNet val, 200-way", tiny, rows, own[0], MOST_DROP_TINY),
        ("750 photographs, 750-way", photographs, np.arange(len(known)), own[1], MOST_DROP_PHOTOGRAPHS),
    ]


if __name__ == "__main__":
    main()
