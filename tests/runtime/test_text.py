"""Texts become unit vectors by the bundle's own tokenizer and encoder, and a text that was met before is not encoded."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgezsl.bundle import TEXT_ENCODER, TOKENIZER, Bundle
from edgezsl.errors import BundleError, EngineError, MissingExtraError
from edgezsl.runtime.text import SemanticCache, TextEncoder
from tests.factories import (
    COLOURS,
    FILLERS,
    TOKEN_LIMIT,
    A,
    bundle_files,
    colour_vector,
    graph_bytes,
    small_manifest,
)


@pytest.fixture(scope="module")
def encoder(small_bundle):
    opened = TextEncoder.open(small_bundle, threads=1)
    yield opened
    opened.close()


def bundle_with(folder, files, without=()):
    manifest = small_manifest()
    kept = {name: data for name, data in (bundle_files(manifest) | files).items() if name not in without}
    return Bundle.write(folder / "bundle", manifest, kept)


def test_a_text_becomes_a_unit_vector(encoder):
    rows = encoder.encode(["a photo of a red", "blue", "red blue"])
    red, blue = colour_vector(COLOURS["red"]), colour_vector(COLOURS["blue"])
    between = (red + blue) / np.linalg.norm(red + blue)
    np.testing.assert_allclose(rows, [red, blue, between], atol=1e-6)
    assert rows.dtype == np.float32


def test_the_order_of_texts_is_kept_over_many_batches(encoder):
    names = [name for _ in range(20) for name in COLOURS]
    texts = [f"{'a photo of ' * (number % 3)}{name}" for number, name in enumerate(names)]
    np.testing.assert_allclose(encoder.encode(texts), [colour_vector(COLOURS[name]) for name in names], atol=1e-6)


def test_a_text_does_not_depend_on_its_neighbours(encoder):
    alone = encoder.encode(["yellow"])
    beside = encoder.encode(["yellow", "a photo of the colour of a thing"])
    np.testing.assert_allclose(beside[0], alone[0], atol=1e-6)


def test_a_text_without_a_known_word_stays_a_vector_of_zeros(encoder):
    assert encoder.encode(["zebra"]).tolist() == [[0.0] * A]


def test_tokens_are_counted_as_if_nothing_were_cut(encoder):
    long = " ".join(["red"] * (3 * TOKEN_LIMIT))
    assert encoder.token_counts(["red", "a photo of a red", long]) == [1, 5, 3 * TOKEN_LIMIT]
    # ... and counting leaves the encoder's own truncation alone
    np.testing.assert_allclose(encoder.encode([f"{long} blue"])[0], colour_vector(COLOURS["red"]), atol=1e-6)


def test_an_attention_mask_is_given_to_a_graph_that_asks_for_one(tmp_path):
    table = np.zeros((len(FILLERS) + len(COLOURS), A), np.float32)
    table[len(FILLERS) :] = [colour_vector(rgb) for rgb in COLOURS.values()]
    table[0] = 9  # padding, which the mask must keep out
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["tokens", "column"], ["kept"]),
        helper.make_node("ReduceMean", ["kept"], ["semantics"], axes=[1], keepdims=0),
    ]
    inputs = [(name, TensorProto.INT64, ["N", "L"]) for name in ("input_ids", "attention_mask")]
    outputs = [("semantics", TensorProto.FLOAT, ["N", A])]
    graph = graph_bytes(nodes, inputs, outputs, {"table": table, "last": np.array([2])})
    encoder = TextEncoder.open(bundle_with(tmp_path, {TEXT_ENCODER: graph}), threads=1)
    rows = encoder.encode(["red", "blue of the a a"])  # the first is padded to the length of the second
    np.testing.assert_allclose(rows, [colour_vector(COLOURS[name]) for name in ("red", "blue")], atol=1e-6)


@pytest.mark.parametrize("absent", [TOKENIZER, TEXT_ENCODER])
def test_a_bundle_without_a_text_encoder_says_so(tmp_path, absent):
    with pytest.raises(BundleError, match=f"has no {absent}"):
        TextEncoder.open(bundle_with(tmp_path, {}, without=[absent]))


@pytest.mark.parametrize("data", [b"", b"{}", b"not json", b'{"model": {"type": "Unknown"}}'])
def test_a_tokenizer_that_does_not_load_is_an_error_of_ours(tmp_path, data):
    with pytest.raises(EngineError, match="tokenizer") as caught:
        TextEncoder.open(bundle_with(tmp_path, {TOKENIZER: data}))
    assert caught.value.code == "bad_tokenizer"
    assert caught.value.where.file.endswith(TOKENIZER)


def test_without_the_package_the_error_names_the_extra_that_brings_it(small_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgezsl\[text\]'"):
        TextEncoder.open(small_bundle)


class Counting:
    """Encodes a text as its length, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def test_a_text_is_encoded_once():
    cache, encode = SemanticCache(), Counting()
    first = cache.lookup(["a", "bb", "a"], encode)
    second = cache.lookup(iter(["bb", "ccc"]), encode)
    assert encode.asked == ["a", "bb", "ccc"]
    assert {text: row.tolist() for text, row in first.items()} == {"a": [1, 1], "bb": [2, 1]}
    assert list(second) == ["bb", "ccc"]


def test_what_was_encoded_is_remembered_in_the_file(tmp_path):
    texts = ["a", "ß", "two\nlines", "🙂", '"quoted"']
    SemanticCache(tmp_path / "cache").lookup(texts, Counting())
    encode = Counting()
    again = SemanticCache(tmp_path / "cache").lookup(texts, encode)
    assert encode.asked == []
    assert [again[text][0] for text in texts] == [len(text) for text in texts]


@pytest.mark.parametrize("damage", [b"", b"not a safetensors file", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_memory_that_cannot_be_read_is_started_anew(tmp_path, damage):
    (tmp_path / "cache").write_bytes(damage)
    cache, encode = SemanticCache(tmp_path / "cache"), Counting()
    assert cache.lookup(["a"], encode)["a"].tolist() == [1, 1]
    assert encode.asked == ["a"]
    assert SemanticCache(tmp_path / "cache").lookup(["a"], encode)["a"].tolist() == [1, 1]
    assert encode.asked == ["a"]


def test_a_memory_that_cannot_be_written_costs_nothing_but_the_memory(tmp_path):
    cache, encode = SemanticCache(tmp_path / "gone" / "cache"), Counting()
    assert cache.lookup(["a"], encode)["a"].tolist() == [1, 1]
    assert list(tmp_path.iterdir()) == []
