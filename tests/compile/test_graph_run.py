"""A toy graph, the whole way: trained, exported, a class file to a pack, a photograph recognised."""

import json
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgezsl.bundle import SEMANTIC_MAP, TEXT_ENCODER, TOKENIZER
from edgezsl.classes import ClassFile
from edgezsl.cli.app import app
from edgezsl.compile.embed_run import embed_with_model
from edgezsl.compile.everyday_names import EVERYDAY_NAMES
from edgezsl.compile.export import ExportResult, ExportSettings, export
from edgezsl.compile.method_run import train_method
from edgezsl.compile.method_steps import MethodSettings, TrainedMethod
from edgezsl.data.feature_set import PARTS
from edgezsl.encoders.model import IMAGE_ENCODER, KNOWLEDGE_GRAPH, Model
from edgezsl.encoders.text_side import text_side
from edgezsl.errors import ClassFileError, InputError
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.sources import read_image
from edgezsl.runtime.text import SemanticCache
from edgezsl.scoring import scores
from edgezsl.zsl.knowledge.new_classes import rows_by_nearest_names, rows_by_parents
from edgezsl.zsl.knowledge.node_classifier import row_prototypes
from tests.factories import CONV_DIM, FILLERS, conv_encoder, conv_facts, text_encoder, tokenizer_json

GROUPS = ("animals", "fruits", "tools")
NAMES = EVERYDAY_NAMES[5:17]  # four below each group
UNSEEN = NAMES[::4]
PER_CLASS = 4


def words():
    """Return a text side that knows every everyday word as a random direction, and any other as nothing."""
    vocabulary = sorted({word for name in EVERYDAY_NAMES for word in name.split()})
    table = np.random.default_rng(6).normal(size=(len(FILLERS) + len(vocabulary), CONV_DIM)).astype(np.float32)
    table[: len(FILLERS)] = 0
    return {TEXT_ENCODER: text_encoder(table=table), TOKENIZER: tokenizer_json(vocabulary)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base model, a graph of twelve classes below three groups, and photographs of the classes."""
    root = tmp_path_factory.mktemp("graph")
    Model.write(root / "base", conv_facts(), {IMAGE_ENCODER: conv_encoder(), **words()})
    names = ("everything", *GROUPS, *NAMES, "oven, stove", "oven, kiln")
    parents = [0, 0, 0, *np.repeat([1, 2, 3], 4), 3, 3]
    kinds = np.stack([np.arange(1, len(names)), parents], axis=1)
    ids = np.array([f"x{number}" for number in range(len(names))])
    np.savez(root / "own.npz", wnids=ids, names=np.array(names), edges=kinds[:, ::-1], kinds=kinds)
    random = np.random.default_rng(3)
    for number, name in enumerate(NAMES):
        if number % 4 == 0:
            colour = random.integers(0, 256, (2, 2, 3))
        own = np.clip(colour + random.normal(scale=25, size=(2, 2, 3)), 0, 255)
        (root / "photographs" / name).mkdir(parents=True)
        for picture in range(PER_CLASS):
            pixels = own.repeat(20, axis=0).repeat(20, axis=1) + random.normal(scale=8, size=(40, 40, 3))
            path = root / "photographs" / name / f"{picture}.png"
            cv2.imwrite(str(path), np.clip(pixels, 0, 255).astype(np.uint8))
    return root


def asked(folder, method="dgp", **changes):
    settings = {"settings": {"steps": 30}, "unseen": tuple(UNSEEN), "graph": folder / "own.npz", **changes}
    return MethodSettings(method, folder / "base", folder / method, size="quick", **settings)


@pytest.fixture(scope="module")
def trained(folder):
    return last(train_method(asked(folder), str(folder / "photographs"), None))


@pytest.fixture(scope="module")
def bundle(folder, trained):
    result = last(export(ExportSettings(model=trained.model.folder, out=folder / "bundle", precision="fp32")))
    assert isinstance(result, ExportResult)
    return result.bundle


def last(steps):
    *_, result = steps
    return result


def pack_of(trained, text, folder):
    """Return what a device reads from the pack of a class file."""
    (folder / "classes.yaml").write_text(text, encoding="utf-8")
    made = last(embed_with_model(trained.model.folder, folder / "classes.yaml", threads=1))
    made.write(folder / "classes.safetensors")
    return ClassPrototypes.read(folder / "classes.safetensors", trained.model.facts.space)


def test_the_model_holds_the_graph_and_says_what_was_learned(folder, trained):
    facts = trained.model.facts
    assert isinstance(trained, TrainedMethod)
    assert (facts.method, facts.semantics.kinds, facts.semantics.templates) == ("dgp", ("words",), ("{}",))
    assert set(facts.seen_classes) == set(NAMES) - set(UNSEEN)
    assert facts.hyper_parameters["steps"] == 30
    assert set(facts.data) >= {"graph", "photographs"}
    assert trained.model.has(KNOWLEDGE_GRAPH)
    assert trained.judgement.t1 >= 0


def test_a_bundle_has_no_graph_and_no_words_and_says_so(bundle, tmp_path):
    assert bundle.manifest.semantics.kinds == ("vector",)
    assert not any(bundle.has(name) for name in (KNOWLEDGE_GRAPH, TEXT_ENCODER, SEMANTIC_MAP))
    path = tmp_path / "classes.yaml"
    path.write_text("- {name: okapi, parents: [animals]}\n")
    done = CliRunner().invoke(app, ["embed", str(path), "--bundle", str(bundle.folder)])
    assert isinstance(done.exception, ClassFileError)
    assert "edgezsl embed --model" in done.exception.hint


def test_a_device_scores_classes_that_no_training_saw_as_the_workstation_does(folder, trained, bundle, tmp_path):
    """By node, by parents and by nearest names, after a swap to classes absent from training."""
    method, graph = trained.chosen.method, trained.chosen.method.graph
    features = text_side(trained.model).encode(["moon hut", "snow lion", "fire beach"])
    nodes = trained.data.semantics[[trained.data.class_names.index(name) for name in UNSEEN], 0].astype(int)
    rows = np.concatenate(
        [
            method.classifier.rows(graph, nodes),
            rows_by_parents(method.classifier, graph, features[:1], [[3, 2]]),
            rows_by_nearest_names(method.classifier, graph, features[1:]),
        ]
    )
    text = "\n".join(
        [*(f"- {name}" for name in UNSEEN), "- {name: moon hut, parents: [tools, x2]}", "- snow lion", "- fire beach"]
    )
    pack = pack_of(trained, text, tmp_path)
    pictures = [read_image(path) for path in sorted((folder / "photographs").rglob("0.png"))]
    vectors, bias = row_prototypes(rows, method.classifier.mean_)
    with closing(open_engine(bundle, "onnx", threads=1)) as engine:
        preprocess = Preprocessor(bundle.manifest.contract)
        embedded = np.concatenate([engine.run(preprocess([picture])) for picture in pictures])
        recognizer = Recognizer(engine, bundle.manifest.contract, pack)  # takes the pack: it is of the bundle's space
        assert recognizer.prototypes is pack
    expected = method.embed(embedded) @ vectors.T + bias
    found = scores(embedded, pack.vectors, pack.bias)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)


def test_what_a_class_file_says_of_a_class_stands_in_the_pack(trained, tmp_path):
    text = (
        "reject: 0.1\nclasses:\n"
        f"  - {{name: {NAMES[1]}, threshold: 0.3}}\n  - {{name: mine, synonyms: [{NAMES[2]}], negative: true}}\n"
        "  - {name: hut, parents: [tools]}\n"
    )
    pack = pack_of(trained, text, tmp_path)
    assert pack.names == (NAMES[1], "mine", "hut")
    assert pack.seen.tolist() == [True, True, False]
    assert pack.negative.tolist() == [False, True, False]
    assert pack.thresholds[0] == pytest.approx(0.3)
    assert (pack.reject, pack.seen_penalty) == (0.1, pytest.approx(trained.model.facts.seen_penalty))


def test_a_class_that_joins_by_parents_hangs_on_them(trained, tmp_path):
    pack = pack_of(trained, "- {name: hut, parents: [tools]}\n- {name: hut b, parents: [animals]}", tmp_path)
    by_animals = pack_of(trained, "- {name: hut, parents: [animals]}", tmp_path)
    assert np.abs(pack.vectors[0] - by_animals.vectors[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("{name: a, parents: [unheard of]}", "unknown_node"),
        ("{name: a, parents: [tools, oven]}", "ambiguous_node"),
        ("oven", "ambiguous_node"),
        ("{name: a, examples: [a.png]}", "kind_not_offered"),
        ("{name: a, vector: [1, 0]}", "kind_not_offered"),
        ("zzz", "unknown_words"),
    ],
)
def test_what_the_graph_does_not_know_is_refused_with_its_line(trained, tmp_path, entry, code):
    (tmp_path / "classes.yaml").write_text(f"- {NAMES[0]}\n- {entry}\n")
    with pytest.raises(ClassFileError) as fault:
        last(embed_with_model(trained.model.folder, tmp_path / "classes.yaml"))
    assert (fault.value.code, fault.value.where.line) == (code, 2)
    assert fault.value.hint
    if code == "ambiguous_node":
        assert "x16 (oven, stove), a kind of tools; x17 (oven, kiln), a kind of tools" in str(fault.value)


def test_a_name_of_several_nodes_is_made_clear_by_a_synonym(trained, tmp_path):
    pack = pack_of(trained, "- {name: oven, synonyms: [x17]}\n- kiln", tmp_path)
    np.testing.assert_allclose(pack.vectors[0], pack.vectors[1])


@pytest.mark.parametrize("method", ["gcnz", "dgp-u"])
def test_every_network_gives_a_model(folder, method, tmp_path):
    found = last(train_method(asked(folder, method), str(folder / "photographs"), None))
    assert len(pack_of(found, "- moon sea\n- {name: hut, parents: [tools]}", tmp_path)) == 2


def test_the_command_line_goes_the_whole_way(folder, tmp_path):
    (tmp_path / "classes.yaml").write_text("- {name: hut, parents: [tools]}\n- snow lion\n")
    model, pack = tmp_path / "model", tmp_path / "classes.safetensors"
    (tmp_path / "settings.json").write_text('{"steps": 15}')
    words = [
        "train",
        "--method",
        "dgp",
        "--data",
        folder / "photographs",
        "--graph",
        folder / "own.npz",
        "--out",
        model,
    ]
    words += ["--encoder", folder / "base", "--size", "quick", "--work", tmp_path / "work"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "edgezsl embed --model" in done.output
    done = CliRunner().invoke(app, ["embed", str(tmp_path / "classes.yaml"), "--model", str(model), "-o", str(pack)])
    assert done.exit_code == 0, done.output
    assert ClassPrototypes.read(pack, Model.open(model).facts.space).names == ("hut", "snow lion")
    assert "snow lion: no node of the graph, placed by its nearest names: " in done.output
    assert "hut: no node" not in done.output
    done = CliRunner().invoke(
        app, ["embed", str(tmp_path / "classes.yaml"), "--model", str(model), "--dry-run", "--json"]
    )
    (near,) = json.loads(done.stdout)["by_nearest_names"]
    assert (near["class"], len(near["nodes"])) == ("snow lion", 3)


def test_a_bundle_and_a_model_are_not_asked_at_once(folder, tmp_path):
    (tmp_path / "classes.yaml").write_text("- cat\n")
    words = ["embed", tmp_path / "classes.yaml", "--bundle", folder / "bundle", "--model", folder / "base"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 2
    assert "one of --bundle and --model" in done.output


def test_a_model_without_a_graph_embeds_as_its_bundle_does(folder, tmp_path):
    (tmp_path / "classes.yaml").write_text(f"- {NAMES[0]}\n- {NAMES[1]}\n")
    made = last(embed_with_model(folder / "base", tmp_path / "classes.yaml", threads=1))
    bundle = last(export(ExportSettings(model=folder / "base", out=tmp_path / "bundle", precision="fp32"))).bundle
    with closing(ClassEmbedder(bundle, SemanticCache(), threads=1)) as embedder:
        expected = embedder.embed(ClassFile.open(tmp_path / "classes.yaml"), tmp_path)
    assert made.digest == expected.digest


def test_a_folder_that_is_no_node_is_refused(folder, tmp_path):
    for name in ("animals", "unheard of"):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photographs" / name / "0.png"), np.zeros((40, 40, 3), np.uint8))
    for number in range(6):
        (tmp_path / "photographs" / NAMES[number]).mkdir()
        cv2.imwrite(str(tmp_path / "photographs" / NAMES[number] / "0.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match="no node 'unheard of'"):
        last(train_method(asked(folder, unseen=()), str(tmp_path / "photographs"), None))


def test_features_of_a_file_say_by_ids_which_nodes_their_classes_are(folder, trained, tmp_path):
    data, ids = trained.data, [f"x{4 + NAMES.index(name)}" for name in trained.data.class_names]
    arrays = {
        "features": data.features,
        "labels": data.labels,
        "semantics": np.zeros((len(ids), 1)),
        "ids": np.array(ids),
    }
    parts = {f"{part}_loc": data.rows[part] for part in PARTS}
    np.savez(tmp_path / "own.npz", **arrays, **parts, class_names=np.array([f"class {one}" for one in ids]))
    settings = replace(asked(folder), out=tmp_path / "model")
    found = last(train_method(settings, str(tmp_path / "own.npz"), None))
    np.testing.assert_array_equal(found.data.semantics, data.semantics)
    assert found.figures == trained.figures


def test_a_graph_that_says_no_directions_wants_wordnet_for_them(folder, tmp_path):
    with np.load(folder / "own.npz") as file:
        np.savez(tmp_path / "plain.npz", **{name: file[name] for name in ("wnids", "names", "edges")})
    settings = asked(folder, graph=tmp_path / "plain.npz", wordnet=tmp_path)
    with pytest.raises(InputError, match="WordNet cannot be read"):
        last(train_method(settings, str(folder / "photographs"), None))


def test_without_a_graph_the_option_is_named(folder):
    with pytest.raises(InputError, match="and there is none") as fault:
        last(train_method(asked(folder, graph=None), str(folder / "photographs"), None))
    assert "--graph" in fault.value.hint
