"""A class file becomes rows as docs/classes-file.md says; the colours of the small bundle can be worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgezsl.bundle import GOLDEN, SEMANTIC_MAP, Bundle, GoldenSet
from edgezsl.classes import ClassFile
from edgezsl.errors import ClassFileError, EngineError
from edgezsl.manifest import Semantics
from edgezsl.preprocess import Preprocessor
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.embed_process import EmbedProcess
from edgezsl.runtime.embedder import ClassEmbedder, class_texts, unit
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.onnx_engine import OnnxGraph
from edgezsl.runtime.recognizer import Recognizer
from edgezsl.runtime.text import SemanticCache
from edgezsl.zsl.shots import with_examples
from tests.factories import (
    ATTRIBUTES,
    COLOURS,
    SIZE,
    A,
    D,
    bundle_files,
    colour_frame,
    colour_vector,
    golden_frames,
    graph_bytes,
    rotation,
    semantic_map,
    small_manifest,
    small_space,
    write_small_bundle,
)

ALL_KINDS = """\
templates: ["a photo of a {}", "the {} thing"]
reject: 0.6
seen_penalty: 0.05
classes:
  - {name: red, threshold: 0.9}
  - {name: blue, synonyms: [cyan], descriptions: [the colour blue]}
  - {name: meadow, attributes: {greenish: 1, bright: 0.25}}
  - {name: sun, examples: [yellow.png, pictures/white.png]}
  - {name: up, vector: [0, 0, 0, 0, 0, 1]}
  - {name: black, negative: true}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a picture of each colour, some of them in a folder below."""
    import cv2

    root = tmp_path_factory.mktemp("classes")
    (root / "pictures").mkdir()
    for name in COLOURS:
        for path in (root / f"{name}.png", root / "pictures" / f"{name}.png"):
            cv2.imwrite(str(path), colour_frame(name)[..., ::-1])
    return root


def embed(bundle, text, folder=None):
    embedder = ClassEmbedder(bundle, SemanticCache(), threads=1)
    try:
        return embedder.embed(ClassFile.parse(text.encode(), file="classes.yaml"), folder or bundle.folder)
    finally:
        embedder.close()


def refusal(bundle, text, folder=None):
    with pytest.raises(ClassFileError) as caught:
        embed(bundle, text, folder)
    assert caught.value.where.line
    assert caught.value.hint
    return caught.value


def known(*names):
    """Return the semantic embeddings of colours, `(n, A)`."""
    return np.stack([colour_vector(COLOURS[name]) for name in names])


def mapped(semantics):
    """Return the row of a semantic embedding: through the semantic map, at length 1."""
    return unit(unit(semantics) @ rotation())


def written(folder, files=None, **changes):
    """Write a small bundle with other files."""
    manifest = small_manifest(**changes)
    return Bundle.write(folder / "bundle", manifest, bundle_files(manifest) | (files or {}))


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_name_goes_through_every_template_of_the_bundle(small_bundle):
    rows = embed(small_bundle, "- red\n- yellow\n").vectors
    np.testing.assert_allclose(rows, [mapped(vector) for vector in known("red", "yellow")], atol=1e-6)


def test_names_and_synonyms_take_every_template_and_descriptions_stand_as_they_are():
    entry = ClassFile.parse(
        b"- {name: cat, synonyms: [kitty], descriptions: ['a {} of prey']}", file="classes.yaml"
    ).entries[0]
    assert class_texts(entry, ["a {}.", "my {}"]) == ["a cat.", "my cat", "a kitty.", "my kitty", "a {} of prey"]


def test_the_texts_of_a_class_count_alike_however_long_they_are(small_bundle):
    text = "- {name: red, synonyms: [blue], descriptions: [the colour of a photo of the colour yellow]}"
    np.testing.assert_allclose(
        embed(small_bundle, text).vectors[0], mapped(known("red", "blue", "yellow").mean(axis=0)), atol=1e-6
    )


def test_the_templates_of_the_file_take_the_place_of_the_bundles(small_bundle):
    rows = embed(small_bundle, 'templates: ["{} cyan", "{}"]\nclasses: [red]').vectors
    red, cyan = known("red", "cyan")
    np.testing.assert_allclose(rows[0], mapped(unit(red + cyan) + red), atol=1e-6)


def test_a_class_without_any_known_word_is_refused_as_it_would_answer_nothing(small_bundle):
    fault = refusal(small_bundle, "- red\n- zebra\n")
    assert (fault.code, fault.where.line, fault.where.field) == ("unknown_words", 2, "[1]")


# --- attributes, vectors ---------------------------------------------------------------------------------------------


def test_attributes_that_are_not_named_are_zero(small_bundle):
    text = "- {name: meadow, attributes: {bright: 0.5, greenish: 2}}"
    wanted = np.zeros(len(ATTRIBUTES), np.float32)
    wanted[[1, 3]] = 2, 0.5
    np.testing.assert_allclose(embed(small_bundle, text).vectors[0], mapped(wanted), atol=1e-6)


def test_attributes_of_any_size_keep_their_direction(small_bundle):
    small, large = (
        embed(small_bundle, f"- {{name: meadow, attributes: {{bright: {size}, reddish: {size}}}}}").vectors
        for size in ("1e-6", "1e30")
    )
    np.testing.assert_allclose(small, large, atol=1e-6)


def test_a_vector_is_taken_as_it_stands(small_bundle):
    rows = embed(small_bundle, "- {name: up, vector: [0, 0, 0.6, 0, 0, -0.8]}\n- red").vectors
    assert rows[0].tolist() == np.array([0, 0, 0.6, 0, 0, -0.8], np.float32).tolist()


@pytest.mark.parametrize("length", [0.9996, 1.0004])
def test_a_vector_of_almost_length_one_is_taken_and_makes_a_pack(small_bundle, length):
    found = embed(small_bundle, f"- {{name: up, vector: [{length}, 0, 0, 0, 0, 0]}}")
    again = ClassPrototypes.from_bytes(found.to_bytes(), found.space, file="pack")
    assert again.vectors[0, 0] == np.float32(length)


@pytest.mark.parametrize(
    "vector", ["[0.998, 0, 0, 0, 0, 0]", "[1.002, 0, 0, 0, 0, 0]", "[1, 0, 0]", "[0, 0, 0, 0, 0, 0]"]
)
def test_a_vector_that_no_pack_would_take_is_refused_with_its_line(small_bundle, vector):
    fault = refusal(small_bundle, f"- red\n- name: up\n  vector: {vector}\n")
    assert (fault.code, fault.where.line, fault.where.field) == ("bad_vector", 3, "[1].vector")


# --- examples --------------------------------------------------------------------------------------------------------


def test_a_picture_becomes_its_embedding_moved_from_pictures_to_words(small_bundle, folder):
    row = embed(small_bundle, "- {name: rose, examples: [red.png]}", folder).vectors[0]
    space = small_bundle.manifest.space
    shift = np.array(space.text_mean) - np.array(space.image_mean)
    np.testing.assert_allclose(row, unit(known("red")[0] @ rotation() + shift), atol=1e-6)


def test_pictures_count_alike_whatever_their_contrast(small_bundle, folder):
    row = embed(small_bundle, "- {name: sun, examples: [yellow.png, pictures/white.png]}", folder).vectors[0]
    mean = unit((known("yellow", "white") @ rotation()).mean(axis=0))
    np.testing.assert_allclose(row, unit(mean + small_bundle.manifest.space.example_shift), atol=1e-6)


def test_a_class_by_pictures_does_not_depend_on_its_neighbours(small_bundle, folder):
    alone = embed(small_bundle, "- {name: rose, examples: [red.png]}", folder)
    among = embed(
        small_bundle, "- white\n- {name: rose, examples: [red.png]}\n- {name: sky, attributes: {bright: 1}}", folder
    )
    assert among.select(["rose"]).vectors.tolist() == alone.vectors.tolist()


def test_a_space_without_means_takes_pictures_alone_unmoved(tmp_path, folder):
    bundle = write_small_bundle(tmp_path / "bundle", space=small_space(image_mean=None, text_mean=None))
    row = embed(
        bundle, "- {name: rose, examples: [red.png]}\n- {name: up, vector: [1, 0, 0, 0, 0, 0]}", folder
    ).vectors[0]
    np.testing.assert_allclose(row, known("red")[0] @ rotation(), atol=1e-6)


@pytest.mark.parametrize("words", ["red", "{name: meadow, attributes: {greenish: 1}}"])
def test_a_space_without_means_refuses_pictures_beside_words_by_name(tmp_path, folder, words):
    bundle = write_small_bundle(tmp_path / "bundle", space=small_space(image_mean=None, text_mean=None))
    fault = refusal(bundle, f"- {words}\n- {{name: rose, examples: [red.png]}}", folder)
    assert (fault.code, fault.where.line) == ("mixture_not_offered", 2)
    assert "rose" in fault.message


@pytest.mark.parametrize("path", ["../outside.png", "linked/outside.png", "pictures/../../outside.png"])
def test_a_picture_outside_the_folder_is_never_read(tmp_path, small_bundle, path):
    inside = tmp_path / "inside"
    (inside / "pictures").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(b"would be refused as no image if it were read")
    (inside / "linked").symlink_to(tmp_path)
    fault = refusal(small_bundle, f"- {{name: rose, examples: [{path}]}}", inside)
    assert (fault.code, fault.where.field) == ("outside_folder", "[0].examples")


def test_a_link_to_a_picture_inside_the_folder_is_followed(tmp_path, small_bundle, folder):
    (tmp_path / "real.png").write_bytes((folder / "red.png").read_bytes())
    (tmp_path / "link.png").symlink_to("real.png")
    assert embed(small_bundle, "- {name: rose, examples: [link.png]}", tmp_path).names == ("rose",)


def test_every_picture_is_looked_for_before_the_first_is_embedded(small_bundle, folder):
    fault = refusal(small_bundle, "- name: rose\n  examples: [red.png, gone.png]", folder)
    assert (fault.code, fault.where.line) == ("not_found", 2)
    assert "gone.png" in fault.message


# --- the rest of the file --------------------------------------------------------------------------------------------


def test_thresholds_flags_and_order_are_those_of_the_file(small_bundle, folder):
    found = embed(small_bundle, ALL_KINDS, folder)
    assert found.names == ("red", "blue", "meadow", "sun", "up", "black")
    np.testing.assert_array_equal(found.thresholds, np.array([0.9] + [np.nan] * 5, np.float32))
    np.testing.assert_array_equal(found.limits, np.array([0.9] + [0.6] * 5, np.float32))
    assert found.negative.tolist() == [False] * 5 + [True]
    assert found.seen.tolist() == [True] + [False] * 5
    assert (found.reject, found.seen_penalty) == (0.6, 0.05)


@pytest.mark.parametrize(
    ("in_file", "in_manifest", "resolved"), [("0.3", 0.2, 0.3), ("0", 0.2, 0.0), (None, 0.2, 0.2), (None, 0.0, 0.0)]
)
def test_the_seen_penalty_is_the_files_else_the_models_else_none(tmp_path, in_file, in_manifest, resolved):
    bundle = write_small_bundle(tmp_path / "bundle", seen_penalty=in_manifest)
    text = "classes: [red, blue]\n" + (f"seen_penalty: {in_file}\n" if in_file else "")
    found = embed(bundle, text)
    assert found.seen_penalty == resolved
    np.testing.assert_allclose(found.offset, [-resolved, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("attributes", "{name: a, attributes: {bright: 1}}"),
        ("examples", "{name: a, examples: [red.png]}"),
        ("vector", "{name: a, vector: [1, 0, 0, 0, 0, 0]}"),
    ],
)
def test_a_kind_that_the_bundle_does_not_offer_is_refused_by_name(tmp_path, folder, kind, entry):
    bundle = write_small_bundle(tmp_path / "bundle", semantics=Semantics(kinds=("words",)))
    fault = refusal(bundle, f"- red\n- {entry}", folder)
    assert (fault.code, fault.where.line) == ("kind_not_offered", 2)
    assert kind in fault.message
    assert "words" in fault.expected


def test_parents_are_refused_where_there_is_no_graph_with_what_makes_a_pack_of_them(tmp_path):
    fault = refusal(write_small_bundle(tmp_path / "bundle"), "- red\n- {name: okapi, parents: [giraffe]}")
    assert (fault.code, fault.where.line) == ("kind_not_offered", 2)
    assert "given by parents" in fault.message
    assert "edgezsl embed --model" in fault.hint


def test_a_bundle_that_takes_ready_rows_alone_says_where_they_are_made(tmp_path):
    bundle = write_small_bundle(tmp_path / "bundle", semantics=Semantics(kinds=("vector",)))
    assert "edgezsl embed --model" in refusal(bundle, "- red").hint


# --- models of other kinds -------------------------------------------------------------------------------------------


def test_a_bias_of_the_semantic_map_is_the_bias_of_classes_by_words_or_attributes(tmp_path, folder):
    bundle = written(tmp_path, {SEMANTIC_MAP: semantic_map(with_bias=True)})
    text = "- red\n- {name: m, attributes: {bright: 1}}\n- {name: sun, examples: [yellow.png]}\n- {name: up, vector: [1, 0, 0, 0, 0, 0]}"
    found = embed(bundle, text, folder)
    assert found.bias.tolist() == [0.25, 0.25, 0, 0]
    np.testing.assert_allclose(found.vectors[0], mapped(known("red")[0]), atol=1e-6)


def test_classes_by_pictures_alone_lose_the_example_penalty(tmp_path, folder):
    kinds = ("words", "attributes", "examples", "vector")
    semantics = Semantics(kinds=kinds, attributes=ATTRIBUTES, example_penalty=0.125)
    bundle = write_small_bundle(tmp_path / "bundle", semantics=semantics)
    found = embed(
        bundle, "- red\n- {name: sun, examples: [yellow.png]}\n- {name: up, vector: [1, 0, 0, 0, 0, 0]}", folder
    )
    assert found.bias.tolist() == [0, -0.125, 0]


# --- a description and pictures --------------------------------------------------------------------------------------


def joint(bundle, folder, *examples, beside=""):
    """Embed the class red, by its name and by pictures, and other classes of a class file."""
    red, *others = ClassFile.parse(f"- red\n{beside}".encode(), file="classes.yaml").entries
    embedder = ClassEmbedder(bundle, SemanticCache(), threads=1)
    try:
        return embedder.embed(ClassFile("classes.yaml", (replace(red, examples=examples), *others)), folder)
    finally:
        embedder.close()


def weighing(folder, weight=0.5, **space):
    """Write a small bundle by which a description counts as so many pictures."""
    kinds = ("words", "attributes", "examples", "vector")
    semantics = Semantics(kinds=kinds, attributes=ATTRIBUTES, description_weight=weight)
    return write_small_bundle(folder / "bundle", space=small_space(**space), semantics=semantics)


@pytest.mark.parametrize("means", [{}, {"image_mean": None, "text_mean": None}])
def test_a_description_counts_beside_pictures_as_the_rule_of_shots_says(tmp_path, folder, means):
    bundle = weighing(tmp_path, **means)
    found = joint(bundle, folder, "yellow.png", "pictures/white.png")
    shift = bundle.manifest.space.example_shift
    mean = np.mean([known(name)[0] @ rotation() for name in ("yellow", "white")], axis=0)
    moved = mean if shift is None else mean + shift  # as a class by pictures alone is
    wanted = with_examples(mapped(known("red")[0])[None], moved[None], count=2, kappa=0.5)
    np.testing.assert_allclose(found.vectors, wanted, atol=1e-6)
    assert found.bias.tolist() == [0]


@pytest.mark.parametrize("choice", [{"weight": 0.0}, {"similarity": "dot"}])
def test_a_model_that_does_not_know_how_much_a_description_counts_refuses_both(tmp_path, folder, choice):
    with pytest.raises(ClassFileError, match="'red' is given by words and examples") as caught:
        joint(weighing(tmp_path, **choice), folder, "yellow.png")
    assert caught.value.code == "kind_not_offered"
    assert "that a method trained on features" in caught.value.hint


def test_a_model_without_pictures_says_that_it_takes_none(tmp_path, folder):
    bundle = write_small_bundle(tmp_path / "bundle", semantics=Semantics(kinds=("words",)))
    with pytest.raises(ClassFileError) as caught:
        joint(bundle, folder, "yellow.png")
    assert "this model takes none" in caught.value.hint


@pytest.mark.parametrize(("beside", "by"), [("- blue", "words"), ("- {name: sun, examples: [yellow.png]}", "pictures")])
def test_both_beside_one_of_them_is_a_mixture(tmp_path, folder, beside, by):
    with pytest.raises(ClassFileError) as caught:
        joint(weighing(tmp_path, image_mean=None, text_mean=None), folder, "yellow.png", beside=beside)
    assert caught.value.code == "mixture_not_offered"
    assert set(re.findall(r"by (words and pictures|words|pictures)", caught.value.message)) == {
        "words and pictures",
        by,
    }


@pytest.mark.parametrize("example_bias", ["none", "half_squared_norm"])
def test_in_a_dot_space_pictures_are_averaged_as_they_are(tmp_path, folder, example_bias):
    kinds = ("words", "attributes", "examples", "vector")
    semantics = Semantics(kinds=kinds, attributes=ATTRIBUTES, example_bias=example_bias)
    bundle = write_small_bundle(tmp_path / "bundle", space=small_space(similarity="dot"), semantics=semantics)
    found = embed(
        bundle,
        "- red\n- {name: sun, examples: [yellow.png, white.png]}\n- {name: far, vector: [3, 0, 4, 0, 0, 0]}",
        folder,
    )
    raw = [np.append(np.array(COLOURS[name]) / 127.5 - 1, 0.5) @ rotation() for name in ("yellow", "white")]
    mean = np.mean(raw, axis=0) + bundle.manifest.space.example_shift
    np.testing.assert_allclose(found.vectors[1], mean, atol=1e-6)
    assert found.vectors[2].tolist() == [3, 0, 4, 0, 0, 0]
    np.testing.assert_allclose(found.vectors[0], unit(known("red")[0]) @ rotation(), atol=1e-6)
    bias = -0.5 * mean @ mean if example_bias == "half_squared_norm" else 0
    np.testing.assert_allclose(found.bias, [0, bias, 0], atol=1e-6)


@pytest.mark.parametrize("vector", ["[0, 0, 0, 0, 0, 0]", "[1e20, 0, 0, 0, 0, 0]"])
def test_in_a_dot_space_a_vector_without_a_score_is_refused_with_its_line(tmp_path, vector):
    bundle = write_small_bundle(tmp_path / "bundle", space=small_space(similarity="dot"))
    fault = refusal(bundle, f"- red\n- {{name: far, vector: {vector}}}")
    assert (fault.code, fault.where.line) == ("no_direction", 2)


def test_a_class_side_of_another_dimension_than_the_space_is_the_models_fault(tmp_path):
    manifest = small_manifest()
    files = bundle_files(manifest)
    del files[SEMANTIC_MAP]  # texts of length A would be rows of length D
    bundle = Bundle.write(tmp_path / "bundle", manifest, files)
    with pytest.raises(EngineError, match=rf"contradicts itself: .*\(1, {A}\)") as caught:
        embed(bundle, "- red")
    assert caught.value.code == "bad_class_side"
    assert str((1, D)) in caught.value.expected


def test_texts_and_attributes_of_two_lengths_are_the_models_fault(tmp_path):
    semantics = Semantics(kinds=("words", "attributes"), attributes=("bright",))
    bundle = write_small_bundle(tmp_path / "bundle", semantics=semantics)
    with pytest.raises(EngineError, match="texts and its attributes") as caught:
        embed(bundle, "- red\n- {name: a, attributes: {bright: 1}}")
    assert caught.value.code == "bad_class_side"


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_class_file_and_its_pack_give_identical_answers(small_bundle, folder, tmp_path):
    direct = embed(small_bundle, ALL_KINDS, folder)
    process = EmbedProcess(small_bundle)
    try:
        through_child = process.embed(ALL_KINDS.encode(), file="classes.yaml", folder=folder)
    finally:
        process.close()
    direct.write(tmp_path / "classes.safetensors")
    read_back = ClassPrototypes.read(tmp_path / "classes.safetensors", small_bundle.manifest.space)
    assert direct.to_bytes() == through_child.to_bytes() == read_back.to_bytes()
    assert direct.digest == through_child.digest == read_back.digest

    engine = open_engine(small_bundle, "onnx", threads=1)
    random = np.random.RandomState(5)
    frames = [colour_frame(name) for name in COLOURS]
    frames += [np.full((20, 20, 3), random.randint(0, 256, 3), np.uint8) for _ in range(40)]
    contract = small_bundle.manifest.contract
    answers = [
        [Recognizer(engine, contract, classes).recognize(frame).regions for frame in frames]
        for classes in (direct, through_child, read_back)
    ]
    assert answers[0] == answers[1] == answers[2]
    decisions = {regions[0].decision for regions in answers[0]}
    assert None in decisions
    assert len(decisions) > 3


GAP = 1.5  # how far pictures and texts of the gapped bundle lie from where colours alone would put them


def gapped_bundle(folder, *, with_means):
    """A bundle as real ones are: its pictures lie nearer to each other than to any text, and the other way round."""
    away = np.linalg.qr(np.random.RandomState(7).randn(D, D))[0][A].astype(np.float32)  # orthogonal to every colour
    encoder = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "rotation"], ["rotated"]),
        helper.make_node("Add", ["rotated", "offset"], ["raw"]),
        helper.make_node("ReduceL2", ["raw"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["raw", "length"], ["embedding"]),
    ]
    image = graph_bytes(
        encoder,
        [("image", TensorProto.FLOAT, ["N", 3, *SIZE])],
        [("embedding", TensorProto.FLOAT, ["N", D])],
        {"rotation": rotation()[:3], "offset": 0.5 * rotation()[3] + GAP * away},
    )
    text_map = graph_bytes(
        [
            helper.make_node("MatMul", ["semantics", "rotation"], ["rotated"]),
            helper.make_node("Sub", ["rotated", "offset"], ["vectors"]),
        ],
        [("semantics", TensorProto.FLOAT, ["N", A])],
        [("vectors", TensorProto.FLOAT, ["N", D])],
        {"rotation": rotation(), "offset": GAP * away},
    )
    colours = np.array(list(COLOURS.values()), np.float32) / 127.5 - 1
    pictures = np.array([unit(c @ rotation()[:3] + 0.5 * rotation()[3] + GAP * away) for c in colours])
    texts = np.array([unit(colour_vector(rgb) @ rotation() - GAP * away) for rgb in COLOURS.values()])
    means = {"image_mean": tuple(pictures.mean(axis=0).tolist()), "text_mean": tuple(texts.mean(axis=0).tolist())}
    space = small_space(**(means if with_means else {"image_mean": None, "text_mean": None}))
    manifest = small_manifest(space=space, seen_classes=())
    frames, preprocess = golden_frames(), Preprocessor(manifest.contract)
    graph = OnnxGraph(image, file="image_encoder.fp32.onnx", threads=1)
    embeddings = np.concatenate([graph.run({"image": preprocess([frame])})[0] for frame in frames])
    golden = GoldenSet(frames, {"fp32": embeddings}, texts, embeddings @ texts.T).to_bytes()
    files = {"image_encoder.fp32.onnx": image, SEMANTIC_MAP: text_map, GOLDEN: golden}
    return Bundle.write(folder, manifest, bundle_files(manifest) | files)


def share_of_pictures(bundle, classes, by_picture):
    """Return the share of a balanced set of frames that goes to a class of `by_picture`, and the share that is right."""
    recognizer = Recognizer(open_engine(bundle, "onnx", threads=1), bundle.manifest.contract, classes)
    random = np.random.RandomState(11)
    decisions = []
    for name in COLOURS:
        for _ in range(20):
            noise = random.randint(-60, 61, 3)
            frame = np.clip(colour_frame(name).astype(int) + noise, 0, 255).astype(np.uint8)
            decisions.append((recognizer.recognize(frame).regions[0].decision, name))
    taken = [decision in by_picture for decision, _ in decisions]
    return float(np.mean(taken)), float(np.mean([decision == name for decision, name in decisions]))


def test_classes_by_pictures_and_classes_by_words_share_a_vocabulary(tmp_path, folder):
    by_picture = tuple(COLOURS)[::2]
    words = "".join(f"- {name}\n" for name in COLOURS if name not in by_picture)
    pictures = "".join(f"- {{name: {name}, examples: [{name}.png]}}\n" for name in by_picture)
    bundle = gapped_bundle(tmp_path / "with", with_means=True)
    share, right = share_of_pictures(bundle, embed(bundle, words + pictures, folder), by_picture)
    assert 0.4 <= share <= 0.6
    assert right > 0.9
    # The same pictures unmoved would take every frame: the gap of this bundle is real.
    bare = gapped_bundle(tmp_path / "without", with_means=False)
    unmoved = embed(bare, words, folder).extend(embed(bare, pictures, folder))
    assert share_of_pictures(bare, unmoved, by_picture)[0] == 1.0
