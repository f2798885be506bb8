from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgezsl import Bundle, ClassEmbedder, ClassFile, Preprocessor, open_engine
from edgezsl.bundle import SEMANTIC_MAP, TOKEN_TABLE, TOKENIZER
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.recipe import load_recipe
from edgezsl.compile.trained_model import model_facts, model_files
from edgezsl.encoders.compact import CompactEncoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.errors import Place, RecipeError
from edgezsl.manifest import Licence
from edgezsl.records import Fields
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.text import SemanticCache
from edgezsl.zsl.alignment import Alignment
from edgezsl.zsl.open_vocabulary import TrainedModel
from edgezsl.zsl.recipe import TrainingRecipe
from edgezsl.zsl.token_table import TableSide

DIM, WIDTH = 16, 6
WORDS = ("[CLS]", "[SEP]", "[UNK]", "red", "green", "blue", "ball", "cat", "猫", "кот", "café")


def tokenizer():
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106  # a token
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)])
    return made


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("builtin")


@pytest.fixture(scope="module")
def training(recipe):
    whole = TrainingRecipe.from_fields(Fields(dict(recipe.training), Place("builtin.yaml"), RecipeError))
    return replace(whole, dim=DIM, side=64, class_side=replace(whole.class_side, width=WIDTH, hidden=12))


@pytest.fixture(scope="module")
def trained(training):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    encoder = CompactEncoder(DIM)
    encoder(torch.rand(32, 3, 64, 64) * 2 - 1)  # batch normalisation has seen something
    rows = np.random.default_rng(0).standard_normal((len(WORDS), WIDTH))
    side = TableSide(rows, np.ones(len(WORDS)), DIM, training.class_side).eval()
    mean = np.full(DIM, 0.01, np.float32)
    shift = np.eye(DIM, dtype=np.float32)[0]
    return TrainedModel(encoder.eval(), side, ("n1",), None, Alignment(10 * mean, shift, mean, -mean, 0.25))


@pytest.fixture(scope="module")
def model(trained, recipe, training, tmp_path_factory):
    files = model_files(trained, recipe, training, tokenizer())
    facts = model_facts(
        files, recipe, training, alignment=trained.alignment, seen=["cat"], data={}, licence=Licence("Apache-2.0")
    )
    return Model.write(tmp_path_factory.mktemp("model") / "model", facts, files)


def test_the_graph_says_what_the_encoder_says_centred_and_without_the_domain_shift(model, trained):
    pixels = torch.rand(3, 3, 64, 64) * 2 - 1
    graph = OnnxGraph(model.read(IMAGE_ENCODER), file="encoder", threads=1)
    with torch.no_grad():
        expected = trained.encoder(pixels).numpy() - 0.1
    expected[:, 0] = 0  # the domain shift is the first direction
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    (got,) = graph.run({"image": pixels.numpy()})
    cosines = (got * expected).sum(axis=1)
    assert cosines.min() > 0.9999, "weights are stored as float16"


def test_the_map_gives_unit_rows_as_the_module_does(model, trained):
    semantics = torch.nn.functional.normalize(torch.randn(4, WIDTH), dim=1)
    graph = OnnxGraph(model.read(SEMANTIC_MAP), file="map", threads=1)
    with torch.no_grad():
        expected = trained.side(semantics).numpy()
    (got,) = graph.run({"semantics": semantics.numpy()})
    assert np.allclose(got, expected, atol=2e-3)


def test_tokens_that_no_text_of_the_training_held_are_zero(model):
    rows = load(model.read(TOKEN_TABLE))["table"]
    known = {word for word, row in zip(WORDS, rows, strict=True) if row.any()}
    assert known == {"red", "green", "blue", "ball", "cat", "café"}


def test_the_tokenizer_adds_nothing(model):
    plain = Tokenizer.from_str(model.read(TOKENIZER).decode())
    assert plain.encode("red ball").tokens == ["red", "ball"]


def test_the_files_are_those_of_a_model_by_words(model):
    assert {TOKEN_TABLE, TOKENIZER, SEMANTIC_MAP, IMAGE_ENCODER} == set(model.facts.files)
    assert model.facts.space.image_mean is not None
    assert model.facts.semantics.example_penalty == 0.25
    assert model.facts.semantics.kinds == ("words", "examples", "vector")


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "bundle"
    # A random network's answers lie so close together that bounds say nothing of it.
    settings = ExportSettings(model.folder, out, precision="int8", allow_broken_parity=True)
    result = next(item for item in export(settings) if isinstance(item, ExportResult))
    return Bundle.open(result.bundle.folder)


def test_it_becomes_a_bundle_whose_words_are_embedded_by_the_table(bundle, trained):
    classes = ClassEmbedder(bundle, SemanticCache()).embed(
        ClassFile.parse(b"[red ball, cat]", file="classes.yaml"), bundle.folder
    )
    with torch.no_grad():
        ids = [np.array([3, 6]), np.array([7])]
        expected = trained.side(trained.side.semantics(ids)).numpy()
    assert ((classes.vectors * expected).sum(axis=1) > 0.99).all()
    assert classes.seen.tolist() == [False, True]


def test_its_int8_encoder_runs_on_frames(bundle):
    frame = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    engine = open_engine(bundle, "onnx", threads=1)
    rows = engine.run(Preprocessor(bundle.manifest.contract)([frame]))
    assert np.linalg.norm(rows[0]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"teacher": "/etc/passwd"}, "teacher"),
        ({"teacher": "../outside.onnx"}, "teacher"),
        ({"images": []}, "images"),
        ({"dim": 0}, "dim"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_training_recipe_that_breaks_its_format_is_refused_by_field(recipe, change, field):
    with pytest.raises(RecipeError) as caught:
        TrainingRecipe.from_fields(Fields({**recipe.training, **change}, Place("r.yaml"), RecipeError))
    assert field in str(caught.value)
