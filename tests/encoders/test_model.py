"""The model directory: complete or refused, and read without onnx or torch."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edgezsl.bundle import SEMANTIC_MAP, TEXT_ENCODER, TOKEN_TABLE, TOKENIZER
from edgezsl.encoders.model import IMAGE_ENCODER, KNOWLEDGE_GRAPH, LARGEST_FILE, MODEL_FILE, Model
from edgezsl.errors import ContractError, ModelError
from edgezsl.manifest import Semantics
from tests.factories import conv_facts, write_conv_model, write_small_bundle

ENCODER = {IMAGE_ENCODER: b"an encoder"}
WORDS = {TEXT_ENCODER: b"texts", TOKENIZER: b"tokens"}
NO_WORDS = Semantics(kinds=("examples", "vector"))


@pytest.fixture
def folder(tmp_path):
    """A model directory with words, of files that nobody looks into here."""
    return Model.write(tmp_path / "model", conv_facts(), ENCODER | WORDS).folder


def edited(folder, change):
    """Change what `model.json` says."""
    path = folder / MODEL_FILE
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


def refusal(folder, kind=ModelError):
    with pytest.raises(kind) as caught:
        Model.open(folder)
    assert caught.value.hint
    return caught.value


def test_what_is_written_is_read_back_whole(folder):
    model = Model.open(folder)
    assert replace(model.facts, files={}) == conv_facts()
    assert model.read(IMAGE_ENCODER) == b"an encoder"
    assert model.class_side() == WORDS
    assert len(model.digest) == 64


def test_equal_models_give_equal_directories_wherever_they_are_written(tmp_path):
    first = write_conv_model(tmp_path / "a")
    second = write_conv_model(tmp_path / "below" / "b")
    assert first.digest == second.digest
    assert str(tmp_path) not in (first.folder / MODEL_FILE).read_text()


@pytest.mark.parametrize("name", [IMAGE_ENCODER, TOKENIZER])
def test_an_altered_file_is_refused_by_name(folder, name):
    (folder / name).write_bytes(b"x" * len((folder / name).read_bytes()))
    fault = refusal(folder)
    assert fault.code == "altered"
    assert f"{name} has another digest" in fault.message


def test_a_file_that_changes_after_opening_is_not_used(folder):
    model = Model.open(folder)
    (folder / IMAGE_ENCODER).write_bytes(b"an encodes")
    with pytest.raises(ModelError, match="changed since the model was opened"):
        model.read(IMAGE_ENCODER)


def test_missing_and_unlisted_files_are_all_named_at_once(folder):
    (folder / TOKENIZER).unlink()
    (folder / "weights.pkl").write_bytes(b"")
    message = refusal(folder).message
    assert f"{TOKENIZER} is missing" in message
    assert "'weights.pkl' is not listed" in message


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        (lambda facts: facts.update(surprise=1), "unknown_key", "surprise"),
        (lambda facts: facts.update(format="edgezsl-model/2"), "unknown_format", "format"),
        (lambda facts: facts.pop("licence"), "missing_key", "licence"),
        (lambda facts: facts.update(recipe="../secret.yaml"), "bad_model", "recipe"),
        (lambda facts: facts.update(name=" "), "bad_model", "name"),
        (lambda facts: facts.update(seen_penalty=-1), "bad_model", "seen_penalty"),
        (lambda facts: facts.update(files={}), "bad_model", "files"),
        (lambda facts: facts["files"].pop(IMAGE_ENCODER), "bad_model", "files"),
        (lambda facts: facts["files"][TOKENIZER].update(sha256="0"), "bad_model", f"files.{TOKENIZER}"),
        (lambda facts: facts["files"].update({"../x": facts["files"][TOKENIZER]}), "bad_model", "files"),
        (lambda facts: facts["files"][IMAGE_ENCODER].update(bytes=LARGEST_FILE + 1), "bad_model", "files"),
        (lambda facts: facts["hyper_parameters"].update(deep={"a": 1}), "wrong_type", "hyper_parameters.deep"),
        (lambda facts: facts["semantics"].update(kinds=["smell"]), "bad_model", "semantics.kinds"),
    ],
)
def test_facts_that_are_unknown_or_contradict_themselves_are_refused_by_field(folder, change, code, field):
    edited(folder, change)
    fault = refusal(folder)
    assert (fault.code, fault.where.file, fault.where.field) == (code, str(folder / MODEL_FILE), field)


def test_a_space_out_of_range_is_refused_by_field(folder):
    edited(folder, lambda facts: facts["space"].update(dim=0))
    assert refusal(folder, ContractError).where.field == "space.dim"


@pytest.mark.parametrize(
    ("files", "semantics"),
    [
        ({TEXT_ENCODER: b""}, None),
        ({TOKENIZER: b""}, NO_WORDS),
        ({TEXT_ENCODER: b"", TOKEN_TABLE: b"", TOKENIZER: b""}, None),
        ({}, None),
        (WORDS, NO_WORDS),
    ],
)
def test_a_text_side_is_whole_or_absent_and_as_the_kinds_say(tmp_path, files, semantics):
    facts = conv_facts() if semantics is None else conv_facts(semantics=semantics)
    with pytest.raises(ModelError):
        Model.write(tmp_path / "model", facts, ENCODER | files)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("text", [{TEXT_ENCODER: b"t"}, {TOKEN_TABLE: b"t"}])
def test_a_text_encoder_may_be_a_graph_or_a_table_with_a_semantic_map(tmp_path, text):
    files = {**text, TOKENIZER: b"", SEMANTIC_MAP: b"m"}
    assert Model.write(tmp_path / "model", conv_facts(), ENCODER | files).class_side() == files


def test_a_model_with_a_graph_takes_words_and_its_bundles_ready_rows_alone(tmp_path):
    facts = conv_facts(semantics=Semantics(kinds=("words",)))
    model = Model.write(tmp_path / "model", facts, ENCODER | WORDS | {KNOWLEDGE_GRAPH: b"g"})
    assert model.facts.semantics.kinds == ("words",)
    assert model.device_semantics == Semantics(kinds=("vector",))
    assert model.class_side() == {}


@pytest.mark.parametrize(
    ("kinds", "files"),
    [(("words", "vector"), WORDS), (("words",), WORDS | {SEMANTIC_MAP: b"m"}), (("examples",), {})],
)
def test_a_graph_stands_beside_nothing_else_that_makes_rows(tmp_path, kinds, files):
    facts = conv_facts(semantics=Semantics(kinds=kinds))
    with pytest.raises(ModelError):
        Model.write(tmp_path / "model", facts, ENCODER | files | {KNOWLEDGE_GRAPH: b"g"})


def test_writing_replaces_an_older_model_and_nothing_else(tmp_path, folder):
    assert Model.write(folder, conv_facts(name="newer"), ENCODER | WORDS).facts.name == "newer"
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"notes\.txt"):
        Model.write(folder, conv_facts(), ENCODER | WORDS)
    bundle = write_small_bundle(tmp_path / "bundle")
    with pytest.raises(ModelError, match="not part of a model"):
        Model.write(bundle.folder, conv_facts(), ENCODER | WORDS)
    assert (folder / "notes.txt").read_text() == "mine"
    assert bundle.read(TOKENIZER)


def test_what_is_no_model_directory_is_refused_and_says_what_it_is(tmp_path, small_bundle):
    (tmp_path / "file").write_text("")
    for folder, words in ((tmp_path / "none", "no such folder"), (tmp_path / "file", "not a folder")):
        assert words in refusal(folder).message
    fault = refusal(small_bundle.folder)
    assert fault.code == "not_a_model"
    assert "no model.json" in fault.message
