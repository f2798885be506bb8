"""Build the reference bundle: MobileNetV2 features, MiniLM texts, and a semantic map between them.

    EDGEZSL_DATA=DIR python benchmarks/reference_bundle.py [--out DIR]          default: build/reference

A fixture for the tests marked `data` and for the benchmarks, never shipped. Equal inputs give equal bytes, and when
none of them has changed since the last run nothing is done. It knows graphs, golden frames and the manifest; what the
map is fitted from is `reference_fit.py`, the text encoder `minilm_onnx.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import reference_fit as fit
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

import edgezsl
from edgezsl.bundle import GOLDEN, SEMANTIC_MAP, TEXT_ENCODER, TOKENIZER, Bundle, GoldenSet
from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.errors import EdgezslError
from edgezsl.manifest import Batch, Licence, Manifest, Provenance, Semantics
from edgezsl.preprocess import Preprocessor
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.runtime.golden import LEAST_COSINE
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.sources import read_image
from edgezsl.runtime.text import TextEncoder
from edgezsl.zsl.shaping import shaping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgezsl.zsl.kernel import KernelRidge

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_OUT = ROOT / "build" / "reference"
MINILM = ROOT / "build" / "minilm"
# The parts of the library that decide a byte of the bundle.
DECIDING_MODULES = (
    *("bundle", "contract", "manifest", "preprocess", "records"),
    *("runtime/embedder", "runtime/golden", "runtime/onnx_engine", "runtime/text", "encoders/minilm"),
    *("zsl/kernel", "zsl/shaping"),
)
DECIDING_PACKAGES = ("numpy", "onnx", "onnxruntime", "opencv-python", "safetensors", "tokenizers", "torch")

IMAGE_ENCODER = "image_encoder.fp32.onnx"
CLASSIFIER_WEIGHTS = "W52"  # (1001, 1280, 1, 1); row 0 is the background
OPSET, IR_VERSION = 17, 10
DIM, TEXT_DIM, TOKEN_LIMIT = 1280, 384, 128
LARGEST_BATCH = 16
SHORTEST = 1e-12  # of an embedding, before it is divided by its length
# The whole frame, squashed, was measured 1.3 points below on the network's own logits.
CONTRACT = InputContract(
    (224, 224), "shortest_edge_crop", "area", (0.5,) * 3, (0.5,) * 3, "float32", "image", "embedding"
)
GOLDEN_SIZES = ((224, 224), (120, 160), (96, 128), (180, 101), (64, 64), (135, 240), (150, 150), (90, 160))
GOLDEN_FRAMES = 32
GOLDEN_COSINES = {precision: LEAST_COSINE[precision] for precision in ("fp32", "bf16", "fp16")}
GOLDEN_NAMES = ("bottle", "car", "dog", "cat", "cup", "banana", "keyboard", "person walking")
LICENCE = Licence(
    "Apache-2.0",
    "Image encoder: MobileNetV2, Apache-2.0. Text encoder: all-MiniLM-L6-v2, Apache-2.0. Fitted with the class names and "
    "statistics of 377 photographs of ImageNet, whose terms allow non-commercial research only. Not for distribution.",
    "github google-coral/test_data at 104342d2d3480b3e66203073dac24f4e2dbb4c41; sentence-transformers/all-MiniLM-L6-v2",
)


def main() -> None:
    """Build the bundle, or say that it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    out = parser.parse_args().out.absolute()
    data = data_folder()
    inputs = inputs_digest(data)
    stamp = out.with_name(f"{out.name}.inputs")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == f"{inputs} {_identity(out)}":
        print(f"{out}: up to date")
        return
    stamp.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    bundle = build(data, out)
    stamp.write_text(f"{inputs} {bundle.digest}", encoding="utf-8")
    total = sum(entry.bytes for entry in bundle.manifest.files.values())
    print(f"{out}: {len(bundle.manifest.files)} files, {total / 1e6:.1f} MB, {bundle.digest[:12]}")


def data_folder() -> Path:
    """Return the folder of the reference data, or end the program when there is none."""
    named = os.environ.get("EDGEZSL_DATA", "")
    if not (named and (Path(named) / fit.NETWORK).is_file()):
        sys.exit(f"EDGEZSL_DATA is {named!r}, expected the folder of the reference data with {fit.NETWORK}")
    return Path(named)


def inputs_digest(data: Path) -> str:
    """Return a digest of everything that decides a byte of the bundle."""
    files = [ROOT / "benchmarks" / name for name in ("reference_bundle.py", "reference_fit.py", "minilm_onnx.py")]
    files += [ROOT / "edgezsl" / f"{name}.py" for name in DECIDING_MODULES]
    files += [data / fit.NETWORK, data / fit.LABELS, data / fit.WNIDS]
    files += [photograph.path for photograph in fit.development_photographs(data)]
    packages = [f"{name} {version(name)}" for name in DECIDING_PACKAGES]
    return _digest([*files, *packages, edgezsl.__version__])


def build(data: Path, out: Path) -> Bundle:
    """Build the bundle and return it opened.

    Args:
        data: The reference data.
        out: The bundle's folder; the one that stood there is replaced.
    """
    network = onnx.load(data / fit.NETWORK)
    photographs = fit.development_photographs(data)
    features = embeddings_of(feature_graph(network), photographs)
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    encoder = feature_graph(network, mean)
    minilm = text_encoder_folder()
    text_encoder = TextEncoder(
        Tokenizer.from_file(str(minilm / TOKENIZER)), _graph((minilm / TEXT_ENCODER).read_bytes(), TEXT_ENCODER)
    )
    names = fit.class_names(data)
    semantics = fit.class_semantics(names, text_encoder, fit.RECIPE.templates)
    targets = fit.class_targets(classifier_rows(network), shaping(features, fit.RECIPE.power))
    semantic_map = semantic_map_graph(fit.semantic_map(semantics, targets))
    prototypes = _mapper(semantic_map)

    space = EmbeddingSpace(
        id=weights_digest(encoder),
        dim=DIM,
        similarity="cosine",
        logit_scale=fit.RECIPE.logit_scale,
        image_mean=_stored(embeddings_of(encoder, photographs).mean(axis=0, dtype=np.float64)),
        text_mean=_stored(prototypes(semantics).mean(axis=0, dtype=np.float64)),
    )
    golden_rows = prototypes(
        fit.class_semantics([(name,) for name in GOLDEN_NAMES], text_encoder, fit.RECIPE.templates)
    )
    versions = json.loads((minilm / "versions.json").read_text(encoding="utf-8"))
    files = {
        IMAGE_ENCODER: encoder,
        TEXT_ENCODER: (minilm / TEXT_ENCODER).read_bytes(),
        TOKENIZER: (minilm / TOKENIZER).read_bytes(),
        SEMANTIC_MAP: semantic_map,
        GOLDEN: golden_set(encoder, golden_rows).to_bytes(),
    }
    return Bundle.write(out, manifest(space, names, versions), files)


def manifest(space: EmbeddingSpace, names: Iterable[tuple[str, ...]], versions: dict[str, str]) -> Manifest:
    """Return the manifest. Every name that the map was fitted on is seen, synonyms too."""
    built_with = {name: version(name) for name in DECIDING_PACKAGES} | {"torch": versions["torch"]}
    return Manifest(
        name="reference-mobilenetv2-minilm",
        contract=CONTRACT,
        space=space,
        precision="fp32",
        image_encoders={"fp32": IMAGE_ENCODER},
        semantics=Semantics(
            kinds=("words", "examples", "vector"), templates=fit.RECIPE.templates, token_limit=TOKEN_LIMIT
        ),
        golden=GOLDEN_COSINES,
        opset=OPSET,
        ir_version=IR_VERSION,
        batch=Batch(1, 1, LARGEST_BATCH),
        seen_classes=tuple(dict.fromkeys(name for of_class in names for name in of_class)),
        licence=LICENCE,
        provenance=Provenance(
            "MobileNetV2 1.0/224, dequantised, features of 1280 values; all-MiniLM-L6-v2",
            "benchmarks/reference_bundle.py",
            versions=dict(sorted((built_with | {"edgezsl": edgezsl.__version__}).items())),
        ),
    )


def feature_graph(network: onnx.ModelProto, mean: NDArray[np.float32] | None = None) -> bytes:
    """Return the network up to `features`, raw, or less `mean (D,)` and divided by their length."""
    kept: list[onnx.NodeProto] = []
    wanted = {"features"}
    for node in reversed(network.graph.node):
        if wanted & set(node.output):
            kept.insert(0, node)
            wanted |= set(node.input)
    constants = {tensor.name: tensor for tensor in network.graph.initializer if tensor.name in wanted}
    output = CONTRACT.output
    tail = [helper.make_node("Identity", ["features"], [output])]
    if mean is not None:
        constants |= {
            "mean": numpy_helper.from_array(mean, "mean"),
            "shortest": numpy_helper.from_array(np.float32(SHORTEST), "shortest"),
        }
        tail = [
            helper.make_node("Sub", ["features", "mean"], ["centred"]),
            helper.make_node("ReduceL2", ["centred"], ["length"], axes=[1], keepdims=1),
            helper.make_node("Max", ["length", "shortest"], ["divisor"]),
            helper.make_node("Div", ["centred", "divisor"], [output]),
        ]
    pixels = helper.make_tensor_value_info(CONTRACT.input, TensorProto.FLOAT, ["N", 3, *CONTRACT.size])
    return _onnx_bytes([*kept, *tail], pixels, (output, DIM), list(constants.values()))


def semantic_map_graph(fitted: KernelRidge) -> bytes:
    """Return the map as a graph: `exp(γ S Aᵀ - γ) C`, which is attention over the anchors A, not normalised."""
    constants = {
        "anchors": fitted.sharpness * fitted.anchors.T,
        "sharpness": np.float64(fitted.sharpness),
        "coefficients": fitted.coefficients,
    }
    nodes = [
        helper.make_node("MatMul", ["semantics", "anchors"], ["likeness"]),
        helper.make_node("Sub", ["likeness", "sharpness"], ["logits"]),
        helper.make_node("Exp", ["logits"], ["kernel"]),
        helper.make_node("MatMul", ["kernel", "coefficients"], ["vectors"]),
    ]
    semantics = helper.make_tensor_value_info("semantics", TensorProto.FLOAT, ["N", TEXT_DIM])
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    return _onnx_bytes(nodes, semantics, ("vectors", DIM), tensors)


def classifier_rows(network: onnx.ModelProto) -> NDArray[np.float32]:
    """Return the rows `(1000, D)` of the network's own classifier, without the background's."""
    weights = next(tensor for tensor in network.graph.initializer if tensor.name == CLASSIFIER_WEIGHTS)
    rows: NDArray[np.float32] = numpy_helper.to_array(weights).reshape(-1, DIM)[1:]
    return rows


def weights_digest(encoder: bytes) -> str:
    """Return the digest of a graph's constants: what defines an embedding space."""
    digest = hashlib.sha256()
    for tensor in sorted(onnx.load_from_string(encoder).graph.initializer, key=lambda one: one.name):
        digest.update(f"{tensor.name} {list(tensor.dims)}\n".encode() + numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def embeddings_of(encoder: bytes, photographs: Iterable[fit.Photograph]) -> NDArray[np.float32]:
    """Return the graph's answers `(N, D)` for photographs."""
    return frame_embeddings(encoder, (read_image(photograph.path) for photograph in photographs))


def frame_embeddings(encoder: bytes, frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the graph's answers `(N, D)` for frames, one at a time."""
    preprocess, graph = Preprocessor(CONTRACT), _graph(encoder, IMAGE_ENCODER)
    return np.concatenate([graph.run({CONTRACT.input: preprocess([frame])})[0] for frame in frames])


def golden_set(encoder: bytes, prototypes: NDArray[np.float32]) -> GoldenSet:
    """Return the golden set of seeded pictures."""
    frames = tuple(golden_frame(number) for number in range(GOLDEN_FRAMES))
    embeddings = frame_embeddings(encoder, frames)
    return GoldenSet(frames, {"fp32": embeddings}, prototypes, embeddings @ prototypes.T)


def golden_frame(number: int) -> NDArray[np.uint8]:
    """Return a seeded picture: a gradient between two colours, discs and boxes, stripes, and noise."""
    random = np.random.RandomState(number)
    height, width = GOLDEN_SIZES[number % len(GOLDEN_SIZES)]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slope = random.uniform(-1, 1, 2)
    share = np.clip(0.5 + slope[0] * (x - 0.5) + slope[1] * (y - 0.5), 0, 1)[..., None]
    picture = random.uniform(0, 255, 3) * share + random.uniform(0, 255, 3) * (1 - share)
    for _ in range(random.randint(2, 9)):
        (column, row), (across, down) = random.uniform(0, 1, 2), random.uniform(0.05, 0.4, 2)
        right, below = (x - column) / across, (y - row) / down
        inside = right**2 + below**2 < 1 if random.rand() < 0.5 else np.maximum(abs(right), abs(below)) < 1
        stripes = 30 * np.sin(random.uniform(0, 120) * x + random.uniform(0, 120) * y)[..., None]
        picture = np.where(inside[..., None], random.uniform(0, 255, 3) + stripes, picture)
    noisy = picture + random.normal(0, random.uniform(0, 20), picture.shape)
    return np.array(noisy.round().clip(0, 255), np.uint8)


def text_encoder_folder() -> Path:
    """Return the folder with MiniLM's graph and tokenizer, exported anew when what exports it changed."""
    script, stamp = ROOT / "benchmarks" / "minilm_onnx.py", MINILM / "inputs"
    inputs = _digest([script, ROOT / "edgezsl" / "encoders" / "minilm.py", f"torch {version('torch')}"])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == inputs:
        return MINILM
    shutil.rmtree(MINILM, ignore_errors=True)
    _call([Path(sys.executable), script, MINILM])
    stamp.write_text(inputs, encoding="utf-8")
    return MINILM


def _mapper(semantic_map: bytes) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return what turns semantics `(N, A)` into unit rows `(N, D)` with the graph itself, as a device does."""
    graph = _graph(semantic_map, SEMANTIC_MAP)

    def rows(semantics: NDArray[Any]) -> NDArray[np.float32]:
        vectors = graph.run({"semantics": semantics})[0]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    return rows


def _onnx_bytes(nodes: list[Any], given: Any, output: tuple[str, int], constants: list[Any]) -> bytes:
    answer = helper.make_tensor_value_info(output[0], TensorProto.FLOAT, ["N", output[1]])
    graph = helper.make_graph(nodes, "reference", [given], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _graph(data: bytes, name: str) -> OnnxGraph:
    return OnnxGraph(data, file=name, threads=1)


def _stored(vector: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in vector.astype(np.float32))


def _digest(parts: Sequence[Path | str]) -> str:
    """Return a digest of texts, and of files by their content."""
    return sha256_hex(
        canonical_json([sha256_hex(part.read_bytes()) if isinstance(part, Path) else part for part in parts])
    )


def _identity(folder: Path) -> str | None:
    try:
        return Bundle.open(folder).digest
    except EdgezslError:
        return None


def _call(command: list[Any]) -> None:
    print("+", *(Path(part).name if isinstance(part, Path) else part for part in command), flush=True)
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
