import numpy as np
import pytest
import torch
from torch import nn

from edgezsl.encoders.graph_chain import chained
from edgezsl.encoders.onnx_export import module_graph
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.factories import CONV_DIM, CONV_SIDE, OPSET, conv_encoder


class TwoAnswers(nn.Module):
    def forward(self, rows):
        return rows * 2, rows.sum(dim=1)


def test_a_chain_says_what_its_two_graphs_say_one_after_the_other():
    torch.manual_seed(0)
    head, first = nn.Sequential(nn.Linear(CONV_DIM, 5), nn.Tanh()), conv_encoder()
    second = module_graph(head, [torch.zeros(1, CONV_DIM)], inputs=["features"], outputs=["embedding"], opset=OPSET)
    whole = OnnxGraph(chained(first, second, output="embedding"), file="chain")
    pixels = np.random.default_rng(0).normal(size=(3, 3, CONV_SIDE, CONV_SIDE)).astype(np.float32)
    features = OnnxGraph(first, file="first").run({"image": pixels})[0]
    with torch.no_grad():
        expected = head(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(whole.run({"image": pixels})[0], expected, atol=1e-6)
    assert list(whole.outputs) == ["embedding"]


def test_a_chain_is_put_before_others():
    torch.manual_seed(0)
    layers = [nn.Linear(CONV_DIM, CONV_DIM) for _ in range(3)]
    whole = first = conv_encoder()
    names = {"inputs": ["features"], "outputs": ["embedding"], "opset": OPSET}
    for layer in layers:
        whole = chained(whole, module_graph(layer, [torch.zeros(1, CONV_DIM)], **names), output="embedding")
    pixels = np.random.default_rng(0).normal(size=(2, 3, CONV_SIDE, CONV_SIDE)).astype(np.float32)
    features = OnnxGraph(first, file="first").run({"image": pixels})[0]
    with torch.no_grad():
        expected = nn.Sequential(*layers)(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(OnnxGraph(whole, file="chain").run({"image": pixels})[0], expected, atol=1e-6)


@pytest.mark.parametrize("opset", [17, 18])
def test_a_module_with_two_outputs_keeps_both_names(opset):
    outputs = ["vectors", "bias"]
    data = module_graph(TwoAnswers(), [torch.zeros(1, 3)], inputs=["semantics"], outputs=outputs, opset=opset)
    graph = OnnxGraph(data, file="two")
    assert list(graph.outputs) == outputs
    vectors, bias = graph.run({"semantics": np.ones((4, 3), np.float32)})
    assert vectors.tolist() == [[2.0] * 3] * 4
    assert bias.tolist() == [3.0] * 4
