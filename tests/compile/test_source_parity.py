"""An import is proved against its library, and each mistake that libraries and people make turns the proof red."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from edgezsl.bundle import TEXT_ENCODER, TOKENIZER
from edgezsl.compile.import_run import ImportResult, ImportSettings, import_source
from edgezsl.compile.pictures import folder_pictures, generated_pictures
from edgezsl.compile.source_parity import fitted_contract, measure_source
from edgezsl.encoders.clip_tokenizer import clip_tokenizer_json
from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.modules import module_files
from edgezsl.errors import ModelError, ParityError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.documents import Page
from tests.encoders.sources import (
    clip_tokenizer,
    mobile_clip_source,
    preprocessing,
    small_clip,
    small_clip_source,
    small_siglip_source,
    tiny_clip_source,
)
from tests.factories import finished

from edgezsl.encoders.open_clip_models import source_from_open_clip  # isort: skip  # after sources.py made open_clip importable


@pytest.fixture(scope="module")
def pictures():
    return list(generated_pictures(1_000_000, 16).each)


@pytest.fixture(scope="module")
def source():
    return small_clip_source()


@pytest.fixture(scope="module")
def files(source):
    return module_files(source, opset=17)


def proved(source, files, pictures):
    contract, stage = finished(fitted_contract(source, pictures))[0]
    return finished(measure_source(replace(source, contract=contract), files, stage, pictures))[0]


def test_a_faithful_import_holds_and_suspects_nothing(source, files, pictures):
    parity = proved(source, files, pictures)
    assert parity.faults == []
    assert parity.suspect == ""
    assert parity.figures["image_graph_difference"] <= 1e-5
    assert parity.figures["text_graph_difference"] <= 1e-5
    assert parity.figures["texts_of_other_tokens"] == 0


def squashing():
    return source_from_open_clip(
        small_clip(), name="small", preprocess=preprocessing(resize_mode="squash"), tokenizer=clip_tokenizer()
    )


def bgr(source):
    """Return a source whose library looks at blue, green and red, which our contract does not know of."""
    library = source.preprocess
    return replace(source, preprocess=lambda image: library(Image.fromarray(np.asarray(image)[..., ::-1].copy())))


@pytest.mark.parametrize(
    ("made", "change", "suspect"),
    [
        ("plain", {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}, "mean and std"),
        ("squash", {"resize": "shortest_edge_crop"}, "resize, which looks like squash"),
        ("plain", {"interpolation": "nearest"}, "interpolation"),
        ("swapped", {}, "the order of channels"),
    ],
    ids=["mean and std", "crop for squash", "nearest for bicubic", "channels"],
)
def test_each_wrong_field_of_a_contract_is_seen_and_named(source, files, pictures, made, change, suspect):
    model = {"plain": lambda: source, "squash": squashing, "swapped": lambda: bgr(source)}[made]()
    parity = proved(replace(model, contract=replace(model.contract, **change)), files, pictures)
    assert any(fault.startswith("preprocessing") for fault in parity.faults), parity.figures
    assert parity.suspect.startswith(suspect)
    assert len(parity.worst) == 6


def test_texts_of_siglip_that_are_not_padded_are_seen(pictures):
    siglip = small_siglip_source()
    made = module_files(siglip, opset=17)
    assert proved(siglip, made, pictures).faults == []
    unpadded = json.dumps({**json.loads(made[TOKENIZER]), "padding": None}).encode()
    parity = proved(siglip, {**made, TOKENIZER: unpadded}, pictures)
    assert parity.figures["texts_of_other_tokens"] > 0.9  # all but the texts that are too long
    assert parity.figures["texts_worst"] == 0
    assert any("texts_of_other_tokens" in fault for fault in parity.faults)


def test_tokens_that_the_text_encoder_does_not_know_are_said_to_be_of_another_model(source, files, pictures):
    texts = {"context_length": 77, "vocab_size": 500, "width": 64, "heads": 2, "layers": 1}
    other = source_from_open_clip(
        small_clip(text=texts), name="other", preprocess=preprocessing(), tokenizer=clip_tokenizer()
    )
    with pytest.raises(ModelError, match="tokens up to 49407") as caught:
        proved(other, module_files(other, opset=17), pictures)
    assert caught.value.code == "unfit_tokenizer"


def test_the_library_reads_an_image_file_itself(source, pictures, tmp_path):
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    images = [Image.fromarray(one.image) for one in pictures[:6]]
    for number, image in enumerate(images):
        image.save(tmp_path / f"turned{number}.jpg", exif=turned)
        image.convert("CMYK").save(tmp_path / f"cmyk{number}.jpg")
        image.convert("P").save(tmp_path / f"palette{number}.png")
        Image.fromarray(257 * np.asarray(image.convert("L")).astype(np.uint16)).save(tmp_path / f"grey{number}.png")
    read = list(folder_pictures(tmp_path).each)
    assert read[-1].image.shape == (*images[-1].size, 3)
    assert finished(fitted_contract(source, read))[0][1].holds
    other = [replace(one, file=two.file) for one, two in itertools.pairwise(read)]
    assert not finished(fitted_contract(source, other))[0][1].holds


def test_texts_that_are_not_padded_as_the_model_wants_are_seen(source, files, pictures):
    ranks = clip_tokenizer().bpe_ranks
    merges = sorted(ranks, key=ranks.__getitem__)
    short = clip_tokenizer_json(merges, length=16)
    parity = proved(source, {**files, "tokenizer.json": short}, pictures)
    assert parity.figures["texts_of_other_tokens"] == 1
    assert any("texts_of_other_tokens" in fault for fault in parity.faults)


def test_texts_that_are_not_cleaned_are_seen(source, files, pictures):
    parity = proved(replace(source, text=replace(source.text, cleaning="none")), files, pictures)
    assert 0 < parity.figures["texts_of_other_tokens"] < 1
    assert any("texts_of_other_tokens" in fault for fault in parity.faults)


def test_a_graph_that_says_something_else_is_seen(source, files, pictures):
    torch.manual_seed(1)
    other = source_from_open_clip(small_clip(layers=1), name="other", preprocess=preprocessing())
    parity = proved(source, {**files, IMAGE_ENCODER: module_files(other, opset=17)[IMAGE_ENCODER]}, pictures)
    assert any("image_graph_difference" in fault for fault in parity.faults)
    assert parity.suspect == ""


def test_a_network_that_was_re_parameterised_wrongly_is_seen(source, files, pictures):
    other = source_from_open_clip(small_clip(layers=1), name="other", preprocess=preprocessing())
    parity = proved(replace(source, as_loaded=other.image_encoder), files, pictures)
    assert [fault.split()[0] for fault in parity.faults] == ["as_loaded_difference"]
    assert proved(source, files, pictures).figures["as_loaded_difference"] == 0


def test_a_bilinear_contract_holds(pictures):
    bilinear = source_from_open_clip(small_clip(), name="small", preprocess=preprocessing(interpolation="bilinear"))
    contract, stage = finished(fitted_contract(bilinear, pictures))[0]
    assert stage.holds
    assert contract.interpolation == "bilinear"


def imported(source, tmp_path, **settings):
    return list(import_source(source, ImportSettings("a test", out=tmp_path / "model", **settings)))[-1]


def test_an_import_that_does_not_hold_is_refused_or_recorded(source, tmp_path):
    wrong = replace(source, contract=replace(source.contract, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    with pytest.raises(ParityError, match="most likely mean and std") as caught:
        imported(wrong, tmp_path)
    assert "--allow-broken-parity" in caught.value.hint
    assert not (tmp_path / "model").exists()
    text = Page((tmp_path / "model.import.html").read_text()).text
    assert "the import is not what its library says" in text
    assert "Most likely wrong: mean and std" in text
    result = imported(wrong, tmp_path, allow_broken_parity=True)
    assert isinstance(result, ImportResult)
    assert result.model.facts.proof["preprocessing_centred"] < 0.99


def difference(module, data, name, rows):
    with torch.no_grad():
        expected = torch.nn.functional.normalize(module(torch.from_numpy(rows)), dim=1).numpy()
    found = OnnxGraph(data, file=name, threads=1).run({name: rows})[0]
    return float(np.abs(expected - found / np.linalg.norm(found, axis=1, keepdims=True)).max())


@pytest.mark.parametrize(
    ("build", "opset", "family"),
    [(tiny_clip_source, 17, "vit"), (tiny_clip_source, 18, "vit"), (mobile_clip_source, 17, "fastvit")],
)
def test_a_whole_architecture_goes_round(tmp_path, build, opset, family):
    source = build()
    assert source.recipe == family
    model = Model.from_modules(tmp_path / "model", source, opset=opset)
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (4, 300, 320, 3)).astype(np.uint8)
    pixels = Preprocessor(source.contract)(list(images))
    ids = source.text.tokenize(["a cat", "it's a “dog”", "🐈", "a forklift in an aisle"]).numpy()
    for count in (1, 4):
        assert difference(source.image_encoder, model.read(IMAGE_ENCODER), "image", pixels[:count]) <= 1e-5
        assert difference(source.text.encoder, model.read(TEXT_ENCODER), "input_ids", ids[:count]) <= 1e-5
    if family == "fastvit":
        assert model.facts.contract.mean == (0, 0, 0)
        assert model.facts.contract.interpolation == "bilinear"
    assert model.facts.semantics.text_cleaning == "clip"
    assert model.facts.licence.id == "unknown"
