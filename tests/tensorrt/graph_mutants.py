"""Graphs that went wrong at random, for what no corpus thought of: other operators, types, attributes and inputs.

`mutants(graphs, seed, count)` gives the same files in every run and on every machine.
"""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper

OPERATORS = (
    *(
        "Abs",
        "Atanh",
        "Bernoulli",
        "BitShift",
        "Ceil",
        "Celu",
        "Compress",
        "CumSum",
        "Det",
        "DFT",
        "Einsum",
        "Elu",
        "Erf",
    ),
    *(
        "EyeLike",
        "Flatten",
        "GlobalLpPool",
        "HardSwish",
        "Hardmax",
        "Identity",
        "IsNaN",
        "LRN",
        "Mish",
        "NonZero",
        "Not",
    ),
    *(
        "MeanVarianceNormalization",
        "RandomNormalLike",
        "Reciprocal",
        "Relu",
        "Round",
        "STFT",
        "Selu",
        "SequenceAt",
        "Shrink",
    ),
    *(
        "Sigmoid",
        "Sign",
        "Softmax",
        "Softsign",
        "StringNormalizer",
        "Tan",
        "ThresholdedRelu",
        "TopK",
        "Trilu",
        "Unique",
    ),
)


def mutants(graphs, seed, count):
    """Yield what was changed, in words, and the file."""
    chance = random.Random(seed)  # not a secret
    for _ in range(count):
        model = onnx.load_from_string(chance.choice(graphs))
        change = chance.choice((another_operator, one_more, another_type, another_attribute, another_input))
        yield f"{change.__name__}: {change(model, chance)}", model.SerializeToString()


def another_operator(model, chance):
    node = chance.choice(model.graph.node)
    before, node.op_type = node.op_type, chance.choice(OPERATORS)
    del node.attribute[:]
    return f"{before} becomes {node.op_type}"


def one_more(model, chance):
    result = model.graph.output[0].name
    last = next(node for node in model.graph.node if result in node.output)
    last.output[list(last.output).index(result)] = f"{result}.before"
    model.graph.node.append(helper.make_node(chance.choice(OPERATORS), [f"{result}.before"], [result], name="mutant"))
    return model.graph.node[-1].op_type


def another_type(model, chance):
    tensor = chance.choice(model.graph.initializer)
    kind = chance.choice((np.float16, np.float64, np.int32, np.int64, np.uint8))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), tensor.name))
    return f"{tensor.name} in {kind.__name__}"


def another_attribute(model, chance):
    node = chance.choice([node for node in model.graph.node if node.attribute])
    attribute = chance.choice(node.attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = chance.choice((-7, -1, 0, 1, 2, 3, 100))
    elif attribute.type == AttributeProto.INTS:
        attribute.ints[0] = chance.choice((-1, 0, 1, 2, 5, 100))
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = chance.choice((float("nan"), 0.0, -1.0, 1e30))
    return f"{node.op_type}.{attribute.name}"


def another_input(model, chance):
    node = chance.choice([node for node in model.graph.node if node.op_type == "Conv"])
    number = chance.randrange(len(node.input))
    node.input[number] = chance.choice(model.graph.initializer).name
    return f"{node.name}, input {number} is {node.input[number]}"
