"""Does a device say what the trained method says? One model of every family, exported and run as a board runs it.

    python benchmarks/device_path.py [--json FILE] [--family graph]

Each is fitted on seen classes, written as a model directory, exported in full precision, and asked about photographs with classes that
its training did not see: from a class file, by the bundle's own class side, on every engine here. Of the graph a device has no part: its
classes come as a class pack that the model directory made. EDGEZSL_DATA is the reference data.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx
import torch
from reference_bundle import CONTRACT, DIM, feature_graph
from report import Report
from torch import nn

from edgezsl.classes import ClassFile
from edgezsl.compile.embed_run import embed_with_model
from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.graph_run import REFERENCE_GRAPH
from edgezsl.compile.method_model import method_facts, method_files
from edgezsl.compile.method_run import train_method
from edgezsl.compile.method_steps import MethodSettings, TrainedMethod
from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.data.benchmark_sets import flo
from edgezsl.data.episodes import EpisodeLaw, Episodes
from edgezsl.data.omniglot import CharacterSplit
from edgezsl.data.wordnet_graph import read_wordnet_graph
from edgezsl.encoders.graph import portable_encoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model, ModelFacts
from edgezsl.encoders.onnx_export import module_graph
from edgezsl.encoders.text_side import text_side
from edgezsl.manifest import Licence, Semantics
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes
from edgezsl.records import sha256_hex
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.engine import ENGINES, open_engine
from edgezsl.runtime.openvino_engine import OpenVinoEngine
from edgezsl.runtime.sources import read_image
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import scores
from edgezsl.zsl.fusion import Member, WeightedFusion
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.knowledge.graph_method import GraphMethod
from edgezsl.zsl.knowledge.new_classes import rows_by_nearest_names, rows_by_parents
from edgezsl.zsl.knowledge.node_classifier import row_prototypes
from edgezsl.zsl.meta.convnet import ConvEncoder
from edgezsl.zsl.meta.prototypical import ProtoNetSchedule, fit_prototypical, rows_of_examples
from edgezsl.zsl.method import class_scores
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import Chosen, SeenPenalty
from edgezsl.zsl.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgezsl.bundle import Bundle
    from edgezsl.runtime.engine import Engine
    from edgezsl.zsl.method import Method

NETWORK = "backbones/mobilenet_v2_ptq_fp32.onnx"
LARGEST_DIFFERENCE = 1e-4  # of a score of unit embeddings
EPISODES = 60  # of the few-shot encoder: what is asked here is whether it runs as it was trained, not how good it is
SHOTS, ASKED, CHARACTERS = 3, 10, 5
JOINED = 10  # classes that join the graph by their parents
NOWHERE = (
    "striped desert horse",
    "paper boat with a sail",
    "tin of painted biscuits",
    "night market stall",
)  # no nodes


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things lie.

    Attributes:
        data: The reference data.
        wordnet: The database files of WordNet.
        folder: For models and bundles.
    """

    data: Path
    wordnet: Path
    folder: Path


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the workstation says of some pictures.

    Attributes:
        pictures: RGB uint8.
        scores: `(N, K)`, divided by the length of what was embedded where that is not 1.
        lengths: `(N, 1)`, of the embeddings.
    """

    pictures: Sequence[NDArray[np.uint8]]
    scores: NDArray[np.float64]
    lengths: NDArray[np.float64]


def main() -> int:
    """Train, export, run, compare, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("EDGEZSL_DATA"), help="the folder of the reference data"
    )
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--family", choices=FAMILIES, help="one alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        parser.error("give the folder of the reference data: --data or EDGEZSL_DATA")

    report = Report("Does a device say what the trained method says?")
    with tempfile.TemporaryDirectory() as place:
        paths = Paths(options.data, options.wordnet, Path(place))
        for family in (options.family,) if options.family else FAMILIES:
            FAMILIES[family](report, paths)
    return report.finish(options.json)


def check_semantic(report: Report, paths: Paths) -> None:
    """Check a method of semantic embedding."""
    report.section("semantic: prototype-ridge")
    check_named(report, "prototype-ridge", paths)


def check_generative(report: Report, paths: Paths) -> None:
    """Check a generative method, by the means of what it generates."""
    report.section("generative: f-clswgan-mean")
    check_named(report, "f-clswgan-mean", paths)


def check_fused(report: Report, paths: Paths) -> None:
    """Check two methods with one matrix."""
    report.section("fused: prototype-ridge and eszsl")
    members = (
        Member("prototype-ridge", method_named("prototype-ridge").make({"penalty": 0.01})),
        Member("eszsl", method_named("eszsl").make({})),
    )
    check_method(report, "fused", WeightedFusion(members, (0.7, 0.3)), paths)


def check_named(report: Report, name: str, paths: Paths) -> None:
    """Check a method by its name, with the first of its settings."""
    entry = method_named(name)
    settings = {key: space.grid()[0] for key, space in entry.spaces.items()}
    check_method(report, name, entry.make(settings, size="quick"), paths)


def base_model(data: Path, folder: Path) -> Model:
    """Write the encoder of the features as a model directory."""
    encoder = feature_graph(onnx.load(data / NETWORK))
    space = EmbeddingSpace(sha256_hex(encoder), DIM, "dot")
    facts = ModelFacts(
        "mobilenetv2",
        "MobileNetV2 1.0 224",
        "convnet",
        CONTRACT,
        space,
        Semantics(("vector",)),
        licence=Licence("Apache-2.0"),
    )
    return Model.write(folder, facts, {IMAGE_ENCODER: encoder})


def check_method(report: Report, name: str, method: Method, paths: Paths) -> None:
    """Fit a method, send it the whole way to a device, and compare what both say of unseen classes."""
    base, data, folder = base_model(paths.data, paths.folder / f"{name}-base"), flo(paths.data), paths.folder
    method.fit(*data.of("trainval"), data.semantics)
    sides = sides_of(method)
    files = method_files(base, sides, width=data.semantics.shape[1], words=False)
    chosen = Chosen(method, {}, 0.0, SeenPenalty(0.0, 0.0, 0.0), 0.0)
    facts = method_facts(base, data, chosen, sides=sides, method=name, files=files, fixed={"seed": 0})
    bundle = exported(Model.write(folder / name, facts, files), folder / f"{name}-bundle")
    unseen = data.classes("test_unseen")
    described = unit(data.semantics.astype(np.float64))
    pictures = photographs(paths.data, 2 * len(unseen))
    features = features_of(base, pictures)
    halves = {"the first unseen classes": unseen[:10], "after a swap to others": unseen[10:]}
    for words, classes in halves.items():
        lengths = np.linalg.norm(method.embed(features), axis=1, keepdims=True)
        expected = Expected(pictures, class_scores(method, features, described[classes]), lengths)
        entries = {
            data.class_names[one]: {
                "attributes": dict(zip(facts.semantics.attributes, described[one].tolist(), strict=True))
            }
            for one in classes
        }
        prototypes = embedded(bundle, entries, folder)
        compare(report, f"{name}, {words} ({len(classes)})", bundle, prototypes, expected)


def check_graph(report: Report, paths: Paths) -> None:
    """Train on a graph, and compare unseen classes that are nodes of it, then others that join by their parents or by their names."""
    report.section("graph: dgp")
    base = base_model(paths.data, paths.folder / "graph-base")
    settings = MethodSettings("dgp", base.folder, paths.folder / "dgp", size="quick", wordnet=paths.wordnet)
    (found,) = [one for one in train_method(settings, "tinyimagenet:0", paths.data) if isinstance(one, TrainedMethod)]
    method, data = found.chosen.method, found.data
    assert isinstance(method, GraphMethod)
    bundle = exported(found.model, paths.folder / "dgp-bundle")
    nodes = data.semantics[data.classes("test_unseen"), 0].astype(np.int64)
    ids = [data.ids[one] for one in data.classes("test_unseen")]
    above = [method.graph.parents_of(node) for node in nodes.tolist()]
    wnids = read_wordnet_graph(paths.data / REFERENCE_GRAPH).wnids
    texts = text_side(found.model)
    assert texts is not None
    new = [f"new {one}" for one in ids[:JOINED]]
    told = {
        "unseen nodes": ({one: {} for one in ids}, method.classifier.rows(method.graph, nodes)),
        "after a swap to classes by parents": (
            {one: {"parents": [wnids[node] for node in parents]} for one, parents in zip(new, above, strict=False)},
            rows_by_parents(method.classifier, method.graph, texts.encode(new), above[:JOINED]),
        ),
        "after a swap to classes by nearest names": (
            {one: {} for one in NOWHERE},
            rows_by_nearest_names(method.classifier, method.graph, texts.encode(list(NOWHERE))),
        ),
    }
    pictures = photographs(paths.data, 2 * len(nodes))
    features = features_of(base, pictures)
    for words, (entries, rows) in told.items():
        vectors, bias = row_prototypes(rows, method.classifier.mean_)
        lengths = np.ones((len(pictures), 1))
        expected = Expected(pictures, method.embed(features) @ vectors.T + bias, lengths)
        prototypes = packed(found.model, entries, bundle, paths.folder)
        compare(report, f"dgp, {words} ({len(entries)})", bundle, prototypes, expected)


def packed(model: Model, entries: dict[str, Any], bundle: Bundle, folder: Path) -> ClassPrototypes:
    """Return what a device, which has the bundle, reads from the class pack that a model directory makes of a class file."""
    steps = embed_with_model(model.folder, class_file(entries, folder))
    (made,) = [one for one in steps if isinstance(one, ClassPrototypes)]
    made.write(folder / "classes.safetensors")
    return ClassPrototypes.read(folder / "classes.safetensors", bundle.manifest.space)


def features_of(base: Model, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return what the encoder of the features makes of pictures `(N, F)`."""
    graph = portable_encoder(base.read(IMAGE_ENCODER), CONTRACT, base.facts.space, "base")
    return encoder_engine(graph, CONTRACT, DIM).run(Preprocessor(CONTRACT)(pictures))


def photographs(reference: Path, count: int) -> list[NDArray[np.uint8]]:
    """Return some of the photographs of the reference data, evenly chosen."""
    paths = sorted((reference / "zsl_flo" / "images").rglob("*.jpg"))
    return [read_image(paths[number * len(paths) // count]) for number in range(count)]


def check_few_shot(report: Report, paths: Paths) -> None:
    """Train an encoder by episodes, and compare classes that are given by example pictures of new characters."""
    report.section("few-shot: prototypical network")
    folder, split = paths.folder, CharacterSplit.by_alphabets(paths.data / "omniglot")
    torch.manual_seed(0)
    encoder = ConvEncoder()
    drawn = Episodes(torch.from_numpy(split.training.images), EpisodeLaw(20, 5, 5), seed=0)
    for _ in fit_prototypical(encoder, drawn, ProtoNetSchedule(EPISODES)):
        pass
    bundle = exported(few_shot_model(encoder.eval(), folder / "protonet"), folder / "protonet-bundle")
    images = np.round(255 * split.test.images) / np.float32(255)  # as an eight-bit picture holds them
    for words, start in {"the first unseen characters": 0, "after a swap to others": 600}.items():
        chosen = images[start : start + CHARACTERS]
        with torch.no_grad():
            rows = encoder(torch.from_numpy(chosen).flatten(0, 1)).unflatten(0, chosen.shape[:2])
        vectors, bias = rows_of_examples(rows[:, :SHOTS])
        asked = rows[:, SHOTS : SHOTS + ASKED].flatten(0, 1)
        pictures = [as_picture(one) for kind in chosen for one in kind[SHOTS : SHOTS + ASKED]]
        lengths = asked.norm(dim=1, keepdim=True).double().numpy()
        expected = Expected(pictures, (asked @ vectors.T + bias).double().numpy(), lengths)
        entries = {
            split.test.names[start + number]: {"examples": written(folder, chosen[number][:SHOTS], f"{start + number}")}
            for number in range(CHARACTERS)
        }
        prototypes = embedded(bundle, entries, folder)
        compare(report, f"protonet, {words} ({CHARACTERS})", bundle, prototypes, expected)


class GreyPixels(nn.Module):
    """Pixels `(N, 3, 28, 28)` of a grey picture, dark on white, to the strokes that an encoder learned on, in [0, 1]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return embeddings `(N, D)`."""
        embedded: torch.Tensor = self.encoder(1 - pixels.mean(dim=1, keepdim=True))
        return embedded


def few_shot_model(encoder: ConvEncoder, folder: Path) -> Model:
    """Write a few-shot encoder as a model directory whose classes are given by pictures."""
    contract = InputContract((28, 28), "squash", "area", (0.0,) * 3, (1.0,) * 3, "float32", "image", "embedding")
    graph = module_graph(
        GreyPixels(encoder).eval(), [torch.zeros(1, 3, 28, 28)], inputs=["image"], outputs=["embedding"], opset=17
    )
    space = EmbeddingSpace(sha256_hex(graph), encoder.channels, "dot")
    semantics = Semantics(("examples", "vector"), example_bias="half_squared_norm")
    facts = ModelFacts(
        "protonet",
        "a prototypical network on Omniglot",
        "convnet",
        contract,
        space,
        semantics,
        method="protonet",
        licence=Licence("Apache-2.0"),
    )
    return Model.write(folder, facts, {IMAGE_ENCODER: graph})


def as_picture(strokes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return strokes `(1, 28, 28)` in [0, 1] as a picture `(28, 28, 3)`, dark on white."""
    levels = np.round(255 * (1 - strokes[0])).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(levels[:, :, None], 3, axis=2))


def written(folder: Path, characters: NDArray[np.float32], name: str) -> list[str]:
    """Write example pictures, and return their names."""
    names = [f"{name}-{number}.png" for number in range(len(characters))]
    for one, character in zip(names, characters, strict=True):
        cv2.imwrite(str(folder / one), as_picture(character))
    return names


def exported(model: Model, out: Path) -> Bundle:
    """Return the bundle of a model in full precision, proved on generated images."""
    settings = ExportSettings(model=model.folder, out=out, precision="fp32")
    found = [step for step in export(settings) if isinstance(step, ExportResult)]
    return found[-1].bundle


def embedded(bundle: Bundle, entries: dict[str, Any], folder: Path) -> ClassPrototypes:
    """Return the prototypes of a class file, by the bundle's own class side."""
    with closing(ClassEmbedder(bundle, SemanticCache())) as embedder:
        return embedder.embed(ClassFile.open(class_file(entries, folder)), folder)


def class_file(entries: dict[str, Any], folder: Path) -> Path:
    """Write a class file, and return its path."""
    path = folder / "classes.yaml"
    classes = [{"name": name, **given} for name, given in entries.items()]
    path.write_text(json.dumps({"classes": classes}), encoding="utf-8")  # JSON is YAML
    return path


def compare(report: Report, words: str, bundle: Bundle, prototypes: ClassPrototypes, expected: Expected) -> None:
    """Score pictures on each engine, and compare.

    OpenVINO takes bfloat16 where a processor has it. Then it is asked twice: the bar is that of scores in float32.
    """
    pixels = Preprocessor(bundle.manifest.contract)(list(expected.pictures))
    for name, engine in engines_of(bundle):
        with closing(engine):
            embeddings = np.concatenate([engine.run(one[None]) for one in pixels])
        found = scores(embeddings, prototypes.vectors, prototypes.bias)
        difference = np.abs(found - expected.scores) / expected.lengths
        same = (found.argmax(axis=1) == expected.scores.argmax(axis=1)).mean()
        most = LARGEST_DIFFERENCE if engine.precision == "fp32" else None
        report.add(f"{words}: largest difference of a score, {name}", float(difference.max()), most=most)
        report.add(f"{words}: same best class of {len(found)} pictures, {name}", 100 * float(same), "%", least=100)


def engines_of(bundle: Bundle) -> Iterator[tuple[str, Engine]]:
    """Yield what a device may run, by name, and OpenVINO in float32 where that is not what it does by itself."""
    for name in ENGINES:
        engine = open_engine(bundle, name)
        in_full = engine.precision == "fp32"
        yield name if in_full else f"{name} in {engine.precision}", engine
        if not in_full:
            yield f"{name} in fp32", OpenVinoEngine.open(bundle, "fp32", arithmetic="f32")


FAMILIES: dict[str, Callable[[Report, Paths], None]] = {
    "semantic": check_semantic,
    "generative": check_generative,
    "graph": check_graph,
    "fused": check_fused,
    "few-shot": check_few_shot,
}


if __name__ == "__main__":
    raise SystemExit(main())
