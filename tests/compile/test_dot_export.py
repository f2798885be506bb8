"""A head whose similarity is the dot product: embeddings are exported raw, and scores are what the method says.

The head is ESZSL (Romera-Paredes and Torr, "An embarrassingly simple approach to zero-shot learning", ICML 2015).
"""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgezsl import ClassEmbedder, ClassFile, Preprocessor, open_engine
from edgezsl.bundle import SEMANTIC_MAP
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.manifest import Semantics
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import scores
from tests.factories import CONV_DIM, CONV_SIDE, conv_encoder, conv_facts, conv_space, graph_bytes

ATTRIBUTES = ("striped", "spotted", "furry", "winged")
SIGNATURES = {"zebra": (1, 0, 1, 0), "leopard": (0, 1, 1, 0), "ladybird": (0, 1, 0, 1), "bee": (1, 0, 0.5, 1)}
GAMMA, LAMBDA = 1.0, 0.1


def raw_encoder():
    """Return the convolutional encoder without its length 1."""
    model = onnx.load_from_string(conv_encoder())
    del model.graph.node[-2:]
    model.graph.node[-1].output[0] = "embedding"
    return model.SerializeToString()


def signatures():
    rows = np.array(list(SIGNATURES.values()))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def eszsl(features, labels):
    """Return V `(D, A)` of equation 5: scores are `x V s`."""
    rows = signatures()
    answers = np.where(labels[:, None] == np.arange(len(rows)), 1.0, -1.0)
    left = np.linalg.inv(features.T @ features + GAMMA * np.eye(features.shape[1]))
    return left @ features.T @ answers @ rows @ np.linalg.inv(rows.T @ rows + LAMBDA * np.eye(rows.shape[1]))


@pytest.fixture(scope="module")
def frames():
    """Frames of four kinds, each with a colour pattern of its own, and their kinds."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (len(SIGNATURES), 4, 4, 3))
    labels = np.repeat(np.arange(len(SIGNATURES)), 12)
    noise = rng.integers(-40, 41, (len(labels), 4, 4, 3))
    small = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    return small.repeat(CONV_SIDE // 4, axis=1).repeat(CONV_SIDE // 4, axis=2), labels


@pytest.fixture(scope="module")
def head(frames):
    """V, and the raw embeddings that it was fitted on."""
    graph = OnnxGraph(raw_encoder(), file="raw", threads=1)
    features = np.concatenate(
        [graph.run({"image": one[None]})[0] for one in Preprocessor(conv_facts().contract)(frames[0])]
    )
    return eszsl(features.astype(np.float64), frames[1]), features


@pytest.fixture(scope="module")
def model(tmp_path_factory, head):
    nodes = [helper.make_node("MatMul", ["semantics", "V"], ["vectors"])]
    ends = [("semantics", TensorProto.FLOAT, ["N", len(ATTRIBUTES)])], [("vectors", TensorProto.FLOAT, ["N", CONV_DIM])]
    files = {
        IMAGE_ENCODER: raw_encoder(),
        SEMANTIC_MAP: graph_bytes(nodes, *ends, {"V": head[0].T.astype(np.float32)}),
    }
    semantics = Semantics(kinds=("attributes",), attributes=ATTRIBUTES)
    facts = conv_facts(space=conv_space(similarity="dot"), semantics=semantics, method="eszsl")
    return Model.write(tmp_path_factory.mktemp("eszsl") / "model", facts, files)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_scores_of_a_bundle_are_those_of_the_method(model, frames, head, tmp_path, precision):
    *_, result = export(ExportSettings(model.folder, tmp_path / "bundle", precision=precision))
    assert isinstance(result, ExportResult)
    bundle = result.bundle
    assert bundle.manifest.parity.outcome == "passed"
    written = onnx.load_from_string(bundle.read(bundle.manifest.image_encoders[precision]))
    assert not {"ReduceL2", "LpNormalization", "Div"} & {node.op_type for node in written.graph.node}
    engine = open_engine(bundle, "onnx", threads=1)
    pixels = Preprocessor(bundle.manifest.contract)(list(frames[0]))
    embeddings = np.concatenate([engine.run(one[None]) for one in pixels])
    engine.close()
    lengths = np.linalg.norm(embeddings, axis=1)
    assert lengths.max() > 1.3 * lengths.min(), "lengths carry what the head was fitted on"
    text = "".join(
        f"- {{name: {name}, attributes: {{{', '.join(f'{a}: {v}' for a, v in zip(ATTRIBUTES, row, strict=True))}}}}}\n"
        for name, row in SIGNATURES.items()
    )
    classes = ClassEmbedder(bundle, SemanticCache()).embed(ClassFile.parse(text.encode(), file="x"), tmp_path)
    found = scores(embeddings, classes.vectors, classes.offset)
    expected = head[1] @ head[0] @ signatures().T
    error = np.abs(found - expected)
    assert error.max() < 1e-4 if precision == "fp32" else error.mean() < 0.2 * np.abs(expected).mean()
    assert (found.argmax(axis=1) == frames[1]).mean() == 1
