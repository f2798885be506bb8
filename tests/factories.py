"""A complete small bundle, made on the spot: an encoder that tells colours apart, and words for the colours.

The image encoder is the mean colour of a frame, rotated into D dimensions; the text encoder knows each colour's word
as that same vector. So every answer can be worked out by hand, in milliseconds, without data or torch.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgezsl.bundle import GOLDEN, SEMANTIC_MAP, TEXT_ENCODER, TOKENIZER, Bundle, GoldenSet
from edgezsl.compile.everyday_names import EVERYDAY_NAMES
from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.encoders.graph import with_half_weights
from edgezsl.encoders.model import IMAGE_ENCODER, Model, ModelFacts
from edgezsl.manifest import Batch, Licence, Manifest, Provenance, Semantics
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes, ClassRow
from edgezsl.records import sha256_hex
from edgezsl.runtime.onnx_engine import OnnxGraph

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
ATTRIBUTES = ("reddish", "greenish", "bluish", "bright")
FILLERS = ("[PAD]", "[UNK]", "a", "photo", "of", "the", "colour", "thing")
SIZE = (16, 16)
A, D = 4, 6
TOKEN_LIMIT = 12
OPSET, IR_VERSION = 17, 10


def colour_frame(name: str, *, height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """Return a frame `(height, width, 3)` of one colour."""
    return np.full((height, width, 3), COLOURS[name], np.uint8)


def colour_vector(rgb: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return the semantic embedding `(A,)` of a colour: what the text encoder knows its word as."""
    scaled = np.array(rgb, np.float32) / 127.5 - 1
    vector = np.append(scaled, 0.5)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def rotation() -> NDArray[np.float32]:
    """Return the map `(A, D)` with orthonormal rows that both sides share."""
    random = np.random.RandomState(7).randn(D, D)
    return np.linalg.qr(random)[0][:A].astype(np.float32)


def graph_bytes(nodes, inputs, outputs, constants, *, opset: int = OPSET, ir_version: int = IR_VERSION) -> bytes:
    """Return an ONNX file. `inputs` and `outputs` are (name, element type, shape); `constants` maps names to arrays."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir_version
    onnx.checker.check_model(model)
    return model.SerializeToString()


def image_encoder(contract: InputContract, *, normalise: bool = True) -> bytes:
    """Return the image encoder: mean colour, a constant 0.5, rotation, and length 1 where the space is cosine."""
    uint8 = contract.dtype == "uint8"
    cast = [helper.make_node("Cast", [contract.input], ["raw"], to=TensorProto.FLOAT)] if uint8 else []
    scaling = [helper.make_node("Div", ["raw", "half"], ["lifted"]), helper.make_node("Sub", ["lifted", "one"], ["x"])]
    nodes = [
        *(cast + scaling if uint8 else []),
        helper.make_node("ReduceMean", ["x" if uint8 else contract.input], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "rotation"], ["rotated"]),
        helper.make_node("Add", ["rotated", "offset"], ["raw_embedding" if normalise else contract.output]),
    ]
    if normalise:
        nodes += [
            helper.make_node("ReduceL2", ["raw_embedding"], ["length"], axes=[1], keepdims=1),
            helper.make_node("Div", ["raw_embedding", "length"], [contract.output]),
        ]
    constants = {"rotation": rotation()[:3], "offset": 0.5 * rotation()[3]}
    if uint8:
        constants |= {"half": np.float32(127.5), "one": np.float32(1)}
    return graph_bytes(
        nodes,
        [(contract.input, TensorProto.UINT8 if uint8 else TensorProto.FLOAT, ["N", 3, *contract.size])],
        [(contract.output, TensorProto.FLOAT, ["N", D])],
        {name: np.asarray(array) for name, array in constants.items()},
    )


def colour_table(*, unknown: float = 0.0) -> NDArray[np.float32]:
    """Return the vector `(A,)` of every filler and colour; every unknown word's has this first value."""
    table = np.zeros((len(FILLERS) + len(COLOURS), A), np.float32)
    for row, rgb in enumerate(COLOURS.values(), len(FILLERS)):
        table[row] = colour_vector(rgb)
    table[FILLERS.index("[UNK]"), 0] = unknown
    table[FILLERS.index("thing")] = 0.05  # so that a text without a colour still points somewhere
    return table


def text_encoder(*, unknown: float = 0.0, table: NDArray[np.float32] | None = None) -> bytes:
    """Return the text encoder: the mean of the known words' vectors, of the colours or of another table `(V, A)`."""
    table = colour_table(unknown=unknown) if table is None else table
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceMean", ["tokens"], ["semantics"], axes=[1], keepdims=0),
    ]
    inputs = [("input_ids", TensorProto.INT64, ["N", "L"])]
    return graph_bytes(nodes, inputs, [("semantics", TensorProto.FLOAT, ["N", table.shape[1]])], {"table": table})


def semantic_map(*, with_bias: bool = False) -> bytes:
    """Return the semantic map: the rotation, optionally with a bias of 0.25 for every class."""
    nodes = [helper.make_node("MatMul", ["semantics", "rotation"], ["vectors"])]
    outputs = [("vectors", TensorProto.FLOAT, ["N", D])]
    constants = {"rotation": rotation()}
    if with_bias:
        nodes += [
            helper.make_node("ReduceSum", ["semantics", "axis"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "quarter"], ["bias"]),
        ]
        outputs.append(("bias", TensorProto.FLOAT, ["N"]))
        constants |= {"axis": np.array([1], np.int64), "zero": np.float32(0), "quarter": np.float32(0.25)}
    inputs = [("semantics", TensorProto.FLOAT, ["N", A])]
    return graph_bytes(nodes, inputs, outputs, {name: np.asarray(array) for name, array in constants.items()})


def tokenizer_json(words=tuple(COLOURS)) -> bytes:
    """Return a word-level tokenizer of the colours, or other words, and a few fillers."""
    vocabulary = {word: index for index, word in enumerate((*FILLERS, *words))}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": TOKEN_LIMIT, "strategy": "LongestFirst", "stride": 0},
            "padding": {
                "strategy": "BatchLongest",
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            },
            "added_tokens": [],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        }
    ).encode()


def golden_frames() -> tuple[NDArray[np.uint8], ...]:
    """Return 32 frames of different colours, two of them not of the contract's size."""
    random = np.random.RandomState(3)
    frames = [np.full((*SIZE, 3), random.randint(0, 256, 3), np.uint8) for _ in range(30)]
    gradient = np.linspace(0, 255, 30 * 40 * 3).reshape(30, 40, 3).astype(np.uint8)
    return (*frames, gradient, np.ascontiguousarray(gradient[::-1, :, ::-1] // 2))


def small_contract(**changes) -> InputContract:
    """Return the small bundle's contract, with changes."""
    contract = InputContract(
        SIZE, "shortest_edge_crop", "area", (0.5,) * 3, (0.5,) * 3, "float32", "image", "embedding"
    )
    return replace(contract, **changes)


def small_space(**changes) -> EmbeddingSpace:
    """Return the small bundle's space, with changes."""
    space = EmbeddingSpace(
        id=sha256_hex(b"colours"),
        dim=D,
        similarity="cosine",
        logit_scale=20.0,
        image_mean=tuple(0.1 * rotation()[3].astype(float)),
        text_mean=tuple(0.2 * rotation()[3].astype(float)),
    )
    return replace(space, **changes)


def small_manifest(**changes) -> Manifest:
    """Return the small bundle's manifest, with changes."""
    manifest = Manifest(
        name="colours",
        contract=small_contract(),
        space=small_space(),
        precision="fp32",
        image_encoders={"fp32": "image_encoder.fp32.onnx"},
        semantics=Semantics(
            kinds=("words", "attributes", "examples", "vector"),
            templates=("a photo of a {}",),
            attributes=ATTRIBUTES,
            token_limit=TOKEN_LIMIT,
        ),
        golden={"fp32": 0.9999},
        opset=OPSET,
        ir_version=IR_VERSION,
        batch=Batch(1, 1, 8),
        seen_classes=("red", "green"),
        licence=Licence("Apache-2.0", "made by a test", "tests/factories.py"),
        provenance=Provenance("mean colour", "none"),
    )
    return replace(manifest, **changes)


def bundle_files(manifest: Manifest) -> dict[str, bytes]:
    """Return every file of the small bundle but its manifest."""
    encoder = image_encoder(manifest.contract, normalise=manifest.space.similarity == "cosine")
    frames = golden_frames()
    preprocess = Preprocessor(manifest.contract)
    graph = OnnxGraph(encoder, file="image_encoder.fp32.onnx", threads=1)
    embeddings = np.concatenate([graph.run({manifest.contract.input: preprocess([frame])})[0] for frame in frames])
    rows = np.stack([colour_vector(rgb) @ rotation() for rgb in COLOURS.values()])
    golden = GoldenSet(frames, dict.fromkeys(manifest.image_encoders, embeddings), rows, embeddings @ rows.T)
    return {
        **dict.fromkeys(manifest.image_encoders.values(), encoder),
        TEXT_ENCODER: text_encoder(),
        TOKENIZER: tokenizer_json(),
        SEMANTIC_MAP: semantic_map(),
        GOLDEN: golden.to_bytes(),
    }


def write_small_bundle(folder: Path, **changes) -> Bundle:
    """Write the small bundle, its manifest with changes, and return it opened."""
    manifest = small_manifest(**changes)
    return Bundle.write(folder, manifest, bundle_files(manifest))


def colour_prototypes(*names: str, space: EmbeddingSpace | None = None, **optional) -> ClassPrototypes:
    """Return the prototypes of colours, or of all."""
    wanted = names or tuple(COLOURS)
    rows = [ClassRow(name, colour_vector(COLOURS[name]) @ rotation()) for name in wanted]
    return ClassPrototypes.from_rows(rows, space or small_space(), **optional)


def finished(steps):
    """Run work that yields its progress; return what it returns, and the progress."""
    seen = []

    def run():
        result = yield from steps
        seen.append(result)

    progress = list(run())
    return seen[0], progress


CONV_SIDE, CONV_DIM = 32, 16
_CONV_WORDS = sorted({word for name in EVERYDAY_NAMES for word in name.split()})


def conv_space(**changes) -> EmbeddingSpace:
    """Return the convolutional model's space, without means, with changes."""
    space = EmbeddingSpace(id=sha256_hex(b"convolutions"), dim=CONV_DIM, similarity="cosine", logit_scale=20.0)
    return replace(space, **changes)


def conv_encoder(*, seed: int = 5, batch: int | str = "N", output: str = "embedding") -> bytes:
    """Return a small convolutional image encoder: stem, two depthwise blocks, pooling, a linear layer, length 1.

    Weights are random, of float16 values; the linear layer's bias puts the mean embedding of random frames at 0, as
    training would, so that frames do not all point one way.
    """
    random = np.random.RandomState(seed)
    nodes, constants, at, width = [], {}, "image", 3

    def layer(name, channels, *, kernel, stride, group=1):
        nonlocal at, width
        fan = width // group * kernel * kernel
        weight = random.randn(channels, width // group, kernel, kernel) * np.sqrt(2 / fan)
        constants[f"{name}.weight"] = weight.astype(np.float16).astype(np.float32)
        constants[f"{name}.bias"] = (0.1 * random.randn(channels)).astype(np.float32)
        pads = [kernel // 2] * 4
        inputs = [at, f"{name}.weight", f"{name}.bias"]
        settings = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": group}
        nodes.append(helper.make_node("Conv", inputs, [f"{name}.sum"], name=name, **settings))
        nodes.append(helper.make_node("Relu", [f"{name}.sum"], [f"{name}.out"]))
        at, width = f"{name}.out", channels

    layer("stem", 16, kernel=3, stride=2)
    layer("first.depthwise", 16, kernel=3, stride=1, group=16)
    layer("first.pointwise", 32, kernel=1, stride=1)
    layer("second.depthwise", 32, kernel=3, stride=2, group=32)
    layer("second.pointwise", 48, kernel=1, stride=1)
    nodes += [
        helper.make_node("GlobalAveragePool", [at], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["raw"], name="head", transB=1),
    ]
    constants["head.weight"] = random.randn(CONV_DIM, width).astype(np.float16).astype(np.float32)
    constants["head.bias"] = np.zeros(CONV_DIM, np.float32)
    pixels = ("image", TensorProto.FLOAT, [batch, 3, CONV_SIDE, CONV_SIDE])
    raw = graph_bytes(nodes, [pixels], [("raw", TensorProto.FLOAT, [batch, CONV_DIM])], constants)
    frames = 2 * random.rand(24, 3, 4, 4).repeat(8, axis=2).repeat(8, axis=3).astype(np.float32) - 1
    graph = OnnxGraph(raw, file="raw", threads=1)
    constants["head.bias"] = -np.concatenate([graph.run({"image": frame[None]})[0] for frame in frames]).mean(axis=0)
    nodes += [
        helper.make_node("ReduceL2", ["raw"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["raw", "length"], [output]),
    ]
    return graph_bytes(nodes, [pixels], [(output, TensorProto.FLOAT, [batch, CONV_DIM])], constants)


def with_loud_channel(data: bytes, *, factor: float = 400.0) -> bytes:
    """Return a convolutional encoder that says the same, in which one channel of the stem is `factor` times as loud.

    A rectifier keeps positive factors, so the next layer takes it back; one INT8 scale for the whole tensor cannot.
    """
    model = onnx.load_from_string(data)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, by in (("stem.weight", factor), ("stem.bias", factor), ("first.depthwise.weight", 1 / factor)):
        values = numpy_helper.to_array(stored[name]).copy()
        values[0] *= by
        stored[name].CopyFrom(numpy_helper.from_array(values, name))
    return model.SerializeToString()


def two_outputs() -> bytes:
    """Return the convolutional image encoder with its raw embedding as a second output."""
    model = onnx.load_from_string(conv_encoder())
    model.graph.output.append(helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["N", CONV_DIM]))
    return model.SerializeToString()


def conv_class_side() -> dict[str, bytes]:
    """Return a text encoder that knows every everyday word as a random direction, and its tokenizer."""
    table = np.random.RandomState(6).randn(len(FILLERS) + len(_CONV_WORDS), CONV_DIM).astype(np.float32)
    return {TEXT_ENCODER: text_encoder(table=table), TOKENIZER: tokenizer_json(_CONV_WORDS)}


def conv_facts(**changes) -> ModelFacts:
    """Return the convolutional model's facts, with changes."""
    facts = ModelFacts(
        name="convolutions",
        source="random weights, made by a test",
        recipe="convnet",
        contract=small_contract(size=(CONV_SIDE, CONV_SIDE)),
        space=conv_space(),
        semantics=Semantics(kinds=("words", "examples", "vector"), token_limit=TOKEN_LIMIT),
        method="none",
        hyper_parameters={"seed": 5, "schedule": ["a", 1, None], "fast": True},
        seen_classes=("cat", "dog"),
        licence=Licence("Apache-2.0", "made by a test", "tests/factories.py"),
        data={"nothing": sha256_hex(b"")},
    )
    return replace(facts, **changes)


def write_conv_model(folder: Path, *, encoder: bytes | None = None, words: bool = True, **changes) -> Model:
    """Write the convolutional model directory, its facts with changes, and return it opened."""
    if not words:
        changes = {"semantics": Semantics(kinds=("examples", "vector")), **changes}
    files = {IMAGE_ENCODER: encoder or with_half_weights(conv_encoder()), **(conv_class_side() if words else {})}
    return Model.write(folder, conv_facts(**changes), files)


if __name__ == "__main__":
    import sys
    from pathlib import Path as _Path

    write_small_bundle(_Path(sys.argv[1]))
