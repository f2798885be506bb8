"""A board's profile decides what nobody named, and a bundle that does not fit into the board is refused or warned of."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from edgezsl.catalogue import catalogue_folder
from edgezsl.compile.board_fit import activation_bytes, chosen_precision, fitted, memory_need_mib, with_companions
from edgezsl.compile.export import ExportSettings, export
from edgezsl.compile.recipe import load_recipe
from edgezsl.device import all_profiles, load_profile
from edgezsl.device_rows import Module
from edgezsl.errors import InputError, ProfileError
from edgezsl.manifest import Batch
from edgezsl.runtime.doctor_board import LEAST_MEMORY_MIB
from tests.factories import conv_encoder, write_conv_model

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

SUPPORTED = [profile.name for profile in all_profiles() if profile.status != "unsupported"]
UNSUPPORTED = [profile.name for profile in all_profiles() if profile.status == "unsupported"]


def exported(**settings):
    *_, result = export(ExportSettings(**settings))
    return result


def mine(tmp_path, **fields):
    """A profile of the user's own, with the fields that every profile needs and those given."""
    text = (catalogue_folder("devices") / "x86-cpu.yaml").read_text()
    needed = ("format", "family", "arch", "detect", "engines", "engines_reason")
    lines = [line for line in text.splitlines() if line.split(":")[0] in needed]
    values = {"name": "mine", "title": "My board", "status": "built", "status_reason": "it stands here", **fields}
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join([*lines, *(f"{name}: {value}" for name, value in values.items())]) + "\n")
    return path


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_built_in_model_is_exported_for_every_supported_board(name, tmp_path):
    result = exported(device=name, precision="fp32", out=tmp_path / "out")
    board, manifest = result.board, result.bundle.manifest
    profile = load_profile(name)
    assert (board.profile.name, board.precision, board.reason) == (name, "fp32", "as asked")
    assert manifest.contract.dtype == board.input_type == profile.input_type
    assert profile.opsets[0] <= manifest.opset == board.opset <= profile.opsets[1]
    assert LEAST_MEMORY_MIB < board.need_mib < 2 * LEAST_MEMORY_MIB
    assert board.warning is None
    assert json.loads(json.dumps(result.to_json()))["device"]["name"] == name


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_unsupported_board_is_refused_in_a_sentence_before_anything_is_done(name, tmp_path):
    with pytest.raises(ProfileError, match="is not supported: its last JetPack is 5, whose system Python is") as caught:
        exported(device=name, model=tmp_path / "none", out=tmp_path / "out")
    assert (caught.value.code, list(tmp_path.iterdir())) == ("unsupported_board", [])


def test_without_a_board_nothing_is_decided_by_one(tmp_path):
    write_conv_model(tmp_path / "model")
    result = exported(model=tmp_path / "model", precision="fp32", out=tmp_path / "out")
    assert result.board is None
    assert result.to_json()["device"] is None


def test_the_recipes_precision_is_taken_where_it_pays_on_the_board_and_the_boards_first_where_not():
    recipe, board = load_recipe("convnet"), load_profile("jetson-orin-nano")
    assert recipe.precision_default == "int8"
    assert chosen_precision(board, recipe, "fp32") == ("fp32", "as asked")
    assert chosen_precision(board, recipe, None) == ("int8", "the recipe convnet and jetson-orin-nano say so")
    assert chosen_precision(None, recipe, None) == ("int8", "the recipe convnet says so")
    unknown = replace(board, precisions=())
    assert chosen_precision(unknown, recipe, None) == ("int8", "the recipe convnet says so")
    half = replace(board, precisions=board.precisions[1:])
    assert chosen_precision(half, recipe, None) == (
        "fp16",
        "jetson-orin-nano says so, where the recipe's int8 does not pay",
    )


def test_int8_comes_with_what_tensorrt_builds_from_where_tensorrt_runs():
    assert with_companions("int8", load_profile("jetson-thor")) == ("fp16", "int8_fp16", "int8")
    assert with_companions("int8", load_profile("x86-cpu")) == with_companions("int8", None) == ("int8",)
    assert with_companions("fp16", load_profile("jetson-thor")) == ("fp16",)


def test_a_profile_of_the_users_own_decides_precision_and_pixels(tmp_path):
    board = mine(tmp_path, precisions="[{precision: fp16, reason: mine}]", input_type="uint8", memory_mib="null")
    write_conv_model(tmp_path / "model")
    result = exported(model=tmp_path / "model", device=str(board), out=tmp_path / "out")
    manifest = result.bundle.manifest
    assert (manifest.precision, manifest.contract.dtype) == ("fp16", "uint8")
    assert (result.board.input_type, result.board.precision) == ("uint8", "fp16")
    assert result.report.outcome == "passed"


def test_a_graph_of_an_opset_that_the_board_does_not_take_is_refused(tmp_path):
    board = mine(tmp_path, opsets="[18, 18]")
    write_conv_model(tmp_path / "model")
    with pytest.raises(InputError, match="the graph is of opset 17") as caught:
        exported(model=tmp_path / "model", device=str(board), precision="fp32", out=tmp_path / "out")
    assert (caught.value.code, "18 to 18" in caught.value.expected) == ("unfit_opset", True)
    assert not (tmp_path / "out").exists()


def fit(profile, *, bytes_beside):
    chosen = ("fp32", "as asked")
    encoders = {"fp32": conv_encoder()}
    return fitted(profile, chosen, encoders, beside=bytes_beside, batch=Batch(), input_type="float32", opset=17)


def test_what_needs_more_than_the_smallest_board_has_is_warned_of_and_more_than_the_largest_refused():
    nano = load_profile("jetson-orin-nano")
    assert fit(nano, bytes_beside=0).warning is None
    warned = fit(nano, bytes_beside=2 << 30)
    assert re.fullmatch(r"running this needs about \d+ MiB, and .* is sold with 4096 MiB too", warned.warning)
    with pytest.raises(InputError, match=r"and NVIDIA Jetson Orin Nano .and Super. has 8192 MiB at most") as caught:
        fit(nano, bytes_beside=5 << 30)
    assert caught.value.code == "too_large_for_device"
    assert fit(load_profile("x86-cpu"), bytes_beside=50 << 30).warning is None, "its memory may be any"
    unknown = replace(nano, memory_mib=None, modules=(Module("one", None), Module("two", 1024)))
    with pytest.raises(InputError, match="has 1024 MiB at most"):
        fit(unknown, bytes_beside=1 << 30)


def test_the_estimate_counts_weights_twice_and_the_two_largest_tensors_for_the_largest_batch():
    data = conv_encoder()
    one, four = (activation_bytes(data, Batch(1, 1, count)) for count in (1, 4))
    assert one == activation_by_hand(data)
    assert four >= one
    mib = 1 << 20
    grown = memory_need_mib(data, beside=8 * mib, batch=Batch()) - memory_need_mib(data, beside=0, batch=Batch())
    assert grown == 16


def activation_by_hand(data):
    """The sizes that ONNX Runtime sees, tensor by tensor, of one frame."""
    import onnx
    import onnxruntime

    model = onnx.load_from_string(data)
    names = [name for node in model.graph.node for name in node.output]
    model.graph.ClearField("output")
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    pixels = np.zeros(shape, np.float32)
    sizes = [answer.size * 4 for answer in session.run(None, {given.name: pixels})]
    return sum(sorted([*sizes, pixels.nbytes])[-2:])
