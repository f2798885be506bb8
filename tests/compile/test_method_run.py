from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgezsl.bundle import SEMANTIC_MAP, TOKENIZER
from edgezsl.compile.encoder_run import encoder_engine
from edgezsl.compile.everyday_names import EVERYDAY_NAMES
from edgezsl.compile.method_run import train_method
from edgezsl.compile.method_steps import DRAWS, MethodSettings, TrainedMethod
from edgezsl.data.feature_set import PARTS, FeatureSet
from edgezsl.encoders.graph import portable_encoder
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.errors import InputError, ModelError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.sources import read_image
from edgezsl.zsl.evaluation import evaluate_method
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.shots import chosen_kappa
from tests.factories import CONV_DIM, write_conv_model
from tests.zsl.worlds import feature_set

NAMES = EVERYDAY_NAMES[:10]
PER_CLASS = 6


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_conv_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of ten classes, each a pattern of its own with noise, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(3)
    for name in NAMES:
        pattern = random.integers(0, 256, (4, 4, 3)).repeat(10, axis=0).repeat(10, axis=1)
        (folder / name).mkdir()
        for number in range(PER_CLASS):
            picture = np.clip(pattern + random.normal(scale=12, size=pattern.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)
    (folder / NAMES[0] / "torn.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def trained(base, photographs, tmp_path_factory):
    settings = MethodSettings(
        "prototype-ridge",
        base.folder,
        tmp_path_factory.mktemp("trained") / "model",
        unseen=tuple(NAMES[:3]),
        cache=tmp_path_factory.mktemp("cache"),
    )
    return settings, last(train_method(settings, str(photographs), None))


def features_of(base, picture):
    facts = base.facts
    graph = portable_encoder(base.read(IMAGE_ENCODER), facts.contract, facts.space, "encoder")
    return encoder_engine(graph, facts.contract, CONV_DIM).run(Preprocessor(facts.contract)([picture]))


def test_the_model_embeds_a_picture_as_the_method_embeds_its_features(base, photographs, trained):
    _, found = trained
    picture = read_image(photographs / NAMES[0] / "0.png")
    pixels = Preprocessor(found.model.facts.contract)([picture])
    graph = OnnxGraph(found.model.read(IMAGE_ENCODER), file="encoder")
    (embedding,) = graph.run({found.model.facts.contract.input: pixels})
    np.testing.assert_allclose(embedding, found.chosen.method.embed(features_of(base, picture)), atol=1e-5)


def test_the_map_makes_rows_of_classes_that_no_training_saw(trained):
    _, found = trained
    new = np.random.default_rng(0).normal(size=(3, found.data.semantics.shape[1])).astype(np.float32)
    (vectors,) = OnnxGraph(found.model.read(SEMANTIC_MAP), file="map").run({"semantics": new})
    np.testing.assert_allclose(vectors, found.chosen.method.prototypes(new)[0], atol=1e-5)


def test_the_model_says_what_was_learned_and_how(base, trained):
    _, found = trained
    facts = found.model.facts
    assert facts.method == "prototype-ridge"
    assert facts.hyper_parameters["penalty"] == found.chosen.settings["penalty"]
    assert set(facts.seen_classes) == set(NAMES[3:])
    assert facts.semantics.kinds == ("words", "examples", "vector")
    assert facts.seen_penalty >= 0
    assert found.model.has(TOKENIZER)
    assert facts.data["nothing"] == base.facts.data["nothing"]
    assert len(found.trials) == 13
    assert found.judgement.t1 is not None


def test_accuracy_among_unseen_classes_is_said_where_there_are_several(trained):
    _, found = trained
    assert found.figures["unseen T1"] == found.judgement.t1
    rows = found.data.rows["test_unseen"]
    one_class = rows[found.data.labels[rows] == found.data.labels[rows[0]]]
    alone = replace(found, data=replace(found.data, rows={**found.data.rows, "test_unseen": one_class}))
    assert set(found.figures) - set(alone.figures) == {"unseen T1"}


def test_a_picture_that_is_none_is_told_and_the_rest_learned(photographs, trained):
    _, found = trained
    assert list(found.skipped) == [str(photographs / NAMES[0] / "torn.png")]
    assert len(found.data.labels) == len(NAMES) * PER_CLASS


def test_features_are_kept_and_the_same_command_gives_the_same_model(photographs, trained, monkeypatch):
    settings, found = trained
    (kept,) = settings.cache.iterdir()
    written = kept.stat().st_mtime_ns
    again = last(train_method(settings, str(photographs), None))
    assert kept.stat().st_mtime_ns == written
    assert again.model.digest == found.model.digest
    assert again.skipped == found.skipped


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        ("eszsl", ("attributes", "vector")),
        ("dem", ("attributes", "vector")),
        ("sae", ("attributes", "examples", "vector")),
    ],
)
def test_features_of_a_file_give_a_model_by_attributes(base, tmp_path, method, kinds):
    data = with_width(feature_set(), CONV_DIM)
    settings = MethodSettings(method, base.folder, tmp_path / "model", size="quick")
    found = last(train_method(settings, str(write(data, tmp_path)), None))
    facts = found.model.facts
    assert facts.semantics.kinds == kinds
    assert facts.semantics.attributes[:2] == ("semantic 0", "semantic 1")
    assert not found.model.has(TOKENIZER)
    answers = OnnxGraph(found.model.read(SEMANTIC_MAP), file="map").run({"semantics": data.semantics})
    vectors, bias = found.chosen.method.prototypes(data.semantics)
    np.testing.assert_allclose(answers[0], vectors, atol=1e-4)
    assert (len(answers) == 2) == bool(np.any(bias))


@pytest.mark.parametrize("method", ["prototype-ridge", "eszsl"])
def test_probabilities_are_those_of_the_temperature_that_evaluation_finds(base, tmp_path, method):
    data = with_width(feature_set(), CONV_DIM)
    settings = MethodSettings(method, base.folder, tmp_path / "model", size="quick")
    found = last(train_method(settings, str(write(data, tmp_path)), None))
    evaluation = last(evaluate_method(method_named(method), data, size="quick", questions=False))
    assert found.model.facts.space.logit_scale == pytest.approx(1 / evaluation.temperature.temperature, rel=1e-5)


@pytest.mark.parametrize(("method", "offered"), [("prototype-ridge", True), ("eszsl", False)])
def test_a_description_counts_beside_pictures_as_validation_classes_say(base, tmp_path, method, offered):
    data = with_width(feature_set(), CONV_DIM)
    settings = MethodSettings(method, base.folder, tmp_path / "model", size="quick")
    found = last(train_method(settings, str(write(data, tmp_path)), None))
    held = method_named(method).make(found.chosen.settings, size="quick").fit(*data.of("train"), data.semantics)
    wanted = chosen_kappa(held, data, seeds=DRAWS) if offered else 0.0
    assert Model.open(found.model.folder).facts.semantics.description_weight == wanted


def test_features_of_another_encoder_are_refused(base, tmp_path):
    settings = MethodSettings("eszsl", base.folder, tmp_path / "model")
    with pytest.raises(InputError, match="30 values, the encoder 'convolutions' gives 16"):
        last(train_method(settings, str(write(feature_set(), tmp_path)), None))


def test_a_model_without_words_cannot_learn_from_names_of_folders(photographs, tmp_path):
    silent = write_conv_model(tmp_path / "silent", words=False)
    with pytest.raises(InputError, match="knows no words"):
        last(train_method(MethodSettings("eszsl", silent.folder, tmp_path / "out"), str(photographs), None))


def test_an_unseen_class_without_a_folder_is_refused(base, photographs, tmp_path):
    settings = MethodSettings("eszsl", base.folder, tmp_path / "out", unseen=("zebra crossing",))
    with pytest.raises(InputError, match="no folder 'zebra crossing'"):
        last(train_method(settings, str(photographs), None))


def test_a_folder_with_too_few_classes_is_refused(base, photographs, tmp_path):
    few = tmp_path / "few"
    for name in NAMES[:3]:
        (few / name).mkdir(parents=True)
        cv2.imwrite(str(few / name / "0.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="3 classes to learn from"):
        last(train_method(MethodSettings("eszsl", base.folder, tmp_path / "out"), str(few), None))


def test_what_stands_where_the_model_would_go_is_refused_before_any_work(base, photographs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me", encoding="utf-8")
    steps = train_method(MethodSettings("eszsl", base.folder, tmp_path / "mine"), str(photographs), None)
    with pytest.raises(ModelError):
        next(steps)
    assert (tmp_path / "mine" / "letter.txt").read_text(encoding="utf-8") == "keep me"


def test_progress_counts_pictures_and_settings(base, photographs, tmp_path):
    steps = list(train_method(MethodSettings("sae", base.folder, tmp_path / "out"), str(photographs), None))
    assert [step.step for step in steps[:-1]].count("choosing settings") == 13
    assert steps[0].total == len(NAMES) * PER_CLASS + 1
    assert isinstance(steps[-1], TrainedMethod)


def last(steps):
    *_, result = steps
    return result


def with_width(data, width):
    return FeatureSet(data.name, data.features[:, :width], data.labels, data.class_names, data.semantics, data.rows)


def write(data, folder):
    path = folder / "own.npz"
    parts = {f"{part}_loc": data.rows[part] for part in PARTS}
    names = np.array(data.class_names)
    np.savez(path, features=data.features, labels=data.labels, semantics=data.semantics, class_names=names, **parts)
    return path
