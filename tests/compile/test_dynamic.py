"""Products whose ranges are found frame by frame: ONNX Runtime's alone, and said so everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.quantize import dynamic_graph
from edgezsl.compile.rules import faults
from edgezsl.compile.tensorrt_rows import ROWS
from edgezsl.encoders.graph import load_graph, portable_encoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.errors import InputError, ModelError
from edgezsl.evaluate.bench import open_subjects
from edgezsl.manifest import Batch
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.encoders.sources import small_clip_source
from tests.factories import graph_bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    source = small_clip_source(layers=4)
    return Model.from_modules(tmp_path_factory.mktemp("dynamic") / "model", source, opset=17)


@pytest.fixture(scope="module")
def bundle(model):
    *_, result = export(ExportSettings(model.folder, model.folder.with_name("bundle"), precision="int8_dynamic"))
    assert isinstance(result, ExportResult)
    return result


def test_products_by_a_weight_become_integers_and_the_answers_stay(model):
    full = portable_encoder(model.read(IMAGE_ENCODER), model.facts.contract, model.facts.space, "the encoder")
    made = dynamic_graph(full)
    assert len(made) < 0.6 * len(full)
    assert load_graph(made, "the encoder").ir_version == load_graph(full, "the encoder").ir_version
    pixels = np.random.RandomState(0).randn(1, 3, *model.facts.contract.size).astype(np.float32)
    answers = [OnnxGraph(data, file="it", threads=1).run({"image": pixels})[0] for data in (full, made)]
    assert 0.99 < float((answers[0] * answers[1]).sum()) < 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.version)
def test_no_tensorrt_takes_it_and_the_rule_and_the_node_are_named(model, row):
    full = portable_encoder(model.read(IMAGE_ENCODER), model.facts.contract, model.facts.space, "the encoder")
    found = faults(load_graph(dynamic_graph(full), "the encoder"), row)
    integers = [fault for fault in found if fault.rule == "integer_operator"]
    assert {fault.message.split()[-1] for fault in integers} == {"DynamicQuantizeLinear", "MatMulInteger"}
    assert all(fault.node for fault in integers)


def test_the_bundle_says_that_it_is_for_onnx_runtime_alone(bundle):
    manifest = bundle.bundle.manifest
    assert (manifest.precision, manifest.parity.outcome) == ("int8_dynamic", "passed")
    assert all(said.startswith("refused: ") for said in manifest.verdicts["int8_dynamic"].values())
    assert list(bundle.report.engines) == ["onnx"]
    assert bundle.report.skipped["openvino"] == "not for int8_dynamic"
    assert bundle.calibration == ""
    engine = open_engine(bundle.bundle, "onnx")
    assert engine.precision == "int8_dynamic"
    with pytest.raises(InputError, match="not for the engine openvino") as fault:
        open_engine(bundle.bundle, "openvino")
    assert (fault.value.code, fault.value.expected) == ("unfit_engine", "onnx")


def test_a_benchmark_passes_over_the_engine_that_it_is_not_for(bundle):
    (subject,) = open_subjects(bundle.bundle, None, (), threads=1, cold=False)
    assert "onnxruntime" in subject.name
    subject.engine.close()
    with pytest.raises(InputError, match="not for the engine openvino"):
        list(open_subjects(bundle.bundle, ["openvino"], (), threads=1, cold=True))


def test_it_is_made_only_where_the_recipe_allows_it(model, tmp_path):
    settings = ExportSettings(model.folder, tmp_path / "bundle", recipe="convnet", precision="int8_dynamic")
    with pytest.raises(InputError, match="recipe convnet does not allow int8_dynamic") as fault:
        list(export(settings))
    assert "--int8" in fault.value.hint
    assert not settings.out.exists()


def test_it_is_made_for_one_frame_at_a_time(model, tmp_path):
    settings = ExportSettings(model.folder, tmp_path / "bundle", precision="int8_dynamic", batch=Batch(1, 2, 4))
    with pytest.raises(InputError, match="one range for all frames at once") as fault:
        list(export(settings))
    assert fault.value.expected == "--batch 1"


def test_a_network_without_such_products_is_refused():
    given, answer = ("image", TensorProto.FLOAT, [1, 3, 4, 4]), ("embedding", TensorProto.FLOAT, [1, 3, 1, 1])
    means = graph_bytes([helper.make_node("GlobalAveragePool", ["image"], ["embedding"])], [given], [answer], {})
    with pytest.raises(
        ModelError, match=r"none of \d+ nodes of the image encoder is a matrix product by a weight"
    ) as fault:
        dynamic_graph(means)
    assert "--int8" in fault.value.hint
