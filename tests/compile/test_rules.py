"""TensorRT's rules: green on what the export writes, red on a corpus of defects, each by rule and by node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

from edgezsl.compile.rules import RULES_VERSION, Fault, faults, verdicts
from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.encoders.graph import load_graph
from tests.compile.graph_defects import (
    DEFECTS,
    FRAME,
    float_encoder,
    operator_of_a_later_version,
    quantized_encoder,
)
from tests.factories import CONV_DIM, CONV_SIDE, graph_bytes

ROW = ROWS[0]


@pytest.fixture
def encoder():
    return float_encoder()


@pytest.fixture
def quantized():
    return quantized_encoder()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.version)
def test_what_the_export_writes_breaks_no_rule(encoder, quantized, row):
    assert faults(load_graph(encoder, "x"), row) == []
    assert faults(load_graph(quantized, "x"), row) == []


@pytest.mark.parametrize(("change", "rule"), DEFECTS, ids=lambda value: getattr(value, "__name__", None))
def test_each_seeded_defect_is_found_and_named(quantized, change, rule):
    model = onnx.load_from_string(quantized)
    at = change(model)
    found = [fault for fault in faults(model, ROW) if fault.rule == rule]
    assert found, faults(model, ROW)
    assert found[0].node == ("graph" if at is None else at.name)
    assert str(found[0]).endswith(f"[{rule}]")


def test_an_operator_that_came_later_is_taken_where_it_is_there(quantized):
    model = onnx.load_from_string(quantized)
    operator_of_a_later_version(model)
    assert [[fault.rule for fault in faults(model, row)] for row in ROWS] == [["unsupported_operator"], [], [], []]


def test_a_shape_of_the_frame_may_shape_a_tensor():
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Reshape", ["image", "shape"], ["embedding"]),
    ]
    size = [1, 3, CONV_SIDE, CONV_SIDE]
    data = graph_bytes(nodes, [("image", TensorProto.FLOAT, size)], [("embedding", TensorProto.FLOAT, size)], {})
    assert faults(onnx.load_from_string(data), ROW) == []


def product():
    nodes = [helper.make_node("MatMul", ["image", "weight"], ["embedding"], name="product")]
    tensors = [("image", TensorProto.FLOAT, [1, 8])], [("embedding", TensorProto.FLOAT, [1, CONV_DIM])]
    return graph_bytes(nodes, *tensors, {"weight": np.random.RandomState(0).randn(8, CONV_DIM).astype(np.float32)})


class Frames(CalibrationDataReader):
    """Gives one frame."""

    def __init__(self):
        self.left = [{"image": FRAME}]

    def get_next(self):
        return self.left.pop() if self.left else None


def test_the_defaults_of_onnx_runtime_are_refused_in_each_of_its_forms(tmp_path, encoder):
    (tmp_path / "product.onnx").write_bytes(product())
    (tmp_path / "encoder.onnx").write_bytes(encoder)
    quantize_dynamic(tmp_path / "product.onnx", tmp_path / "dynamic.onnx")
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        quantize_static(tmp_path / "encoder.onnx", tmp_path / f"{form.name}.onnx", Frames(), quant_format=form)
    found = {
        name: {fault.rule for fault in faults(onnx.load(tmp_path / f"{name}.onnx"), ROW)}
        for name in ("dynamic", "QDQ", "QOperator")
    }
    assert "integer_operator" in found["dynamic"]
    assert {"zero_point_value", "integer_constant"} <= found["QDQ"]
    assert "integer_operator" in found["QOperator"]


def test_verdicts_name_the_first_fault_and_the_version_of_the_rules(quantized):
    model = onnx.load_from_string(quantized)
    model.graph.node.append(helper.make_node("HannWindow", ["image.size"], ["window"], name="window"))
    model.graph.initializer.append(numpy_helper.from_array(np.int64(4), "image.size"))
    said = verdicts(model.SerializeToString())
    assert list(said) == ["10.3", "10.13", "10.16", "11.4"]
    fault = Fault("unsupported_operator", "window", "is a HannWindow, which TensorRT 10.3 lacks")
    assert said["10.3"] == f"refused: {fault} (rules {RULES_VERSION}, not run)"
    assert said["11.4"] == f"no rule is broken (rules {RULES_VERSION}, not run)"
