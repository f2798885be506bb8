"""Small models with random weights, saved as their libraries save them, are loaded by what a person types."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from edgezsl.compile.import_run import load_source
from edgezsl.compile.torch_engine import torch_subjects
from edgezsl.encoders.clip_tokenizer import clip_tokenizer_json
from edgezsl.encoders.modules import module_files
from edgezsl.encoders.torchvision_import import import_torchvision
from edgezsl.errors import InputError, ModelError
from tests.encoders.sources import SIDE, clip_tokenizer, small_clip
from tests.factories import small_space, write_small_bundle

import_torchvision()
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")
open_clip = pytest.importorskip("open_clip")

TEXTS = ["a dog", "two red ÉCLAIRS &amp; more"]
ENDS = 49406, 49407
CARD = "---\nlicense: apache-2.0\n---\n"
CLIP_CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def pixels(side=SIDE):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=-1)


@pytest.fixture(scope="module")
def merges():
    ranks = clip_tokenizer().bpe_ranks
    return sorted(ranks, key=ranks.__getitem__)


@pytest.fixture(scope="module")
def transformers_clip(tmp_path_factory, merges):
    """A folder as `save_pretrained` leaves it, and the model that was saved."""
    folder = tmp_path_factory.mktemp("hub") / "small-clip"
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**sizes, "image_size": SIDE, "patch_size": 16}
    text = {**sizes, "vocab_size": 49408, "bos_token_id": ENDS[0], "eos_token_id": ENDS[1]}
    config = transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=32)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    transformers.CLIPImageProcessor(**size).save_pretrained(folder)
    held = json.loads(clip_tokenizer_json(merges, length=77))["model"]
    vocabulary = {word: number for word, number in held["vocab"].items() if number < ENDS[0]}
    vocabulary |= dict(zip(("<|startoftext|>", "<|endoftext|>"), ENDS, strict=True))
    transformers.CLIPTokenizer(vocab=vocabulary, merges=[tuple(one) for one in held["merges"]]).save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    return folder, model


def test_a_local_import_is_compared_with_pytorch_where_its_path_is_given(transformers_clip, tmp_path):
    folder, _ = transformers_clip
    source = f"hf:{folder}"
    space = small_space(id=load_source(source).space.id)
    same = write_small_bundle(tmp_path / "same", space=space)
    other = write_small_bundle(tmp_path / "other")
    (loaded,) = torch_subjects([same, same, other], source=source, threads=1)
    assert loaded.name.endswith("as loaded")
    with pytest.raises(InputError, match="has other weights") as caught:
        list(torch_subjects([other], source=source, threads=1))
    assert caught.value.code == "other_weights"
    with pytest.raises(InputError, match="PyTorch cannot load") as caught:
        list(torch_subjects([other], source=None, threads=1))
    assert "--compare" in caught.value.hint
    with pytest.raises(InputError, match="there is no 'tirch'"):
        list(torch_subjects([other], source="tirch", threads=1))


def test_a_folder_of_transformers(transformers_clip):
    folder, model = transformers_clip
    source = load_source(f"hf:{folder}")
    assert (source.name, source.licence.id, source.contract.size) == ("small-clip", "apache-2.0", (SIDE, SIDE))
    assert str(folder) not in source.source
    with torch.no_grad():
        expected = unit(model.get_image_features(pixel_values=pixels()).pooler_output)
        torch.testing.assert_close(source.image_encoder(pixels()), expected)
        ids = source.text.tokenize(TEXTS)
        texts = model.get_text_features(input_ids=ids).pooler_output
        torch.testing.assert_close(source.text.encoder(ids), texts)
    ours = Tokenizer.from_str(source.text.tokenizer.decode()).encode_batch(TEXTS)
    assert [one.ids for one in ours] == ids.tolist()


@pytest.mark.parametrize("missing", ["model.safetensors", "preprocessor_config.json", "config.json"])
def test_a_folder_of_transformers_that_lacks_a_file_is_refused(transformers_clip, tmp_path, missing):
    folder, _ = transformers_clip
    for path in folder.iterdir():
        if path.name != missing:
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(ModelError) as fault:
        load_source(f"hf:{tmp_path}")
    assert fault.value.code == "not_readable"
    assert "bring these files" in fault.value.hint


@pytest.fixture
def clip_folder(tmp_path):
    """A folder as OpenCLIP pushes one to a hub, and the model."""
    folder = tmp_path / "small-open-clip"
    folder.mkdir()
    model = small_clip().eval()
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    settings = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "interpolation": "bilinear", "resize_mode": "squash"}
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": settings}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(CARD)
    return folder, model


def test_a_folder_of_open_clip(clip_folder):
    folder, model = clip_folder
    source = load_source(f"open_clip:local-dir:{folder}")
    assert (source.name, source.licence.id) == ("small-open-clip", "apache-2.0")
    assert (source.contract.mean, source.contract.resize) == ((0, 0, 0), "squash"), "its own, not OpenAI's"
    with torch.no_grad():
        torch.testing.assert_close(source.image_encoder(pixels()), unit(model.encode_image(pixels())))
        ids = source.text.tokenize(TEXTS)
        torch.testing.assert_close(source.text.encoder(ids), model.encode_text(ids))


@pytest.fixture
def small_architecture(tmp_path, monkeypatch):
    """A small architecture that OpenCLIP knows for the length of a test, and the mapping of its pretrained tags."""
    (tmp_path / "small-for-a-test.json").write_text(json.dumps(CLIP_CONFIG))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [*open_clip.factory._MODEL_CONFIG_PATHS])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", {**open_clip.factory._MODEL_CONFIGS})
    open_clip.add_model_config(tmp_path / "small-for-a-test.json")
    tags = {}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "small-for-a-test", tags)
    return tags


def test_an_architecture_whose_preprocessing_nobody_says_is_refused(small_architecture, clip_folder):
    assert small_architecture == {}
    with pytest.raises(ModelError, match="nothing says how small-for-a-test preprocesses") as fault:
        load_source(f"open_clip:small-for-a-test@{clip_folder[0] / 'open_clip_model.safetensors'}")
    assert "local-dir" in fault.value.expected


def test_a_name_and_a_file_of_open_clip(small_architecture, clip_folder, monkeypatch):
    folder, model = clip_folder
    small_architecture["own"] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "interpolation": "bilinear"}
    monkeypatch.chdir(folder)
    for file in (folder / "open_clip_model.safetensors", "open_clip_model.safetensors"):
        source = load_source(f"open_clip:small-for-a-test@{file}")
        assert source.source == "open_clip:small-for-a-test@open_clip_model.safetensors"
        assert (source.contract.mean, source.contract.interpolation) == ((0, 0, 0), "bilinear")
        with torch.no_grad():
            torch.testing.assert_close(source.image_encoder(pixels()), unit(model.encode_image(pixels())))


def test_the_tag_says_with_which_activation_the_weights_were_trained(small_architecture, clip_folder):
    folder, model = clip_folder
    file = folder / "open_clip_model.safetensors"
    looks = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    small_architecture |= {"plain": looks, "quick": {**looks, "quick_gelu": True}}
    embeddings = {}
    for tag in ("plain", "quick"):
        source = load_source(f"open_clip:small-for-a-test@{tag}={file}")
        assert source.source == f"open_clip:small-for-a-test@{tag}=open_clip_model.safetensors"
        names = {type(layer).__name__ for layer in source.image_encoder.modules()}
        assert ("QuickGELU" in names) == (tag == "quick")
        with torch.no_grad():
            embeddings[tag] = source.image_encoder(pixels())
    with torch.no_grad():
        torch.testing.assert_close(embeddings["plain"], unit(model.encode_image(pixels())))
    assert (embeddings["plain"] - embeddings["quick"]).abs().max() > 1e-4
    with pytest.raises(ModelError, match="was trained in 2 ways") as fault:
        load_source(f"open_clip:small-for-a-test@{file}")
    assert "TAG one of plain, quick" in fault.value.expected


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"model_cfg": None}, "model_cfg"),
        ({"model_cfg": [1]}, "model_cfg"),
        ({"model_cfg": {"text_cfg": None}}, "text_cfg"),
    ],
)
def test_a_configuration_of_open_clip_that_says_nothing_is_refused_by_field(clip_folder, config, field):
    folder, _ = clip_folder
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as fault:
        load_source(f"open_clip:local-dir:{folder}")
    assert field in fault.value.where.field


def copied(folder, target, *, without=(), **changes):
    """Copy a folder of transformers, its preprocessor's configuration with changes."""
    for path in folder.iterdir():
        if path.name not in without:
            (target / path.name).write_bytes(path.read_bytes())
    config = target / "preprocessor_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    return target


@pytest.mark.parametrize("changes", [{"image_mean": None}, {"size": {"longest_edge": SIDE}}, {"image_std": [1.0]}])
def test_preprocessing_that_transformers_does_not_say_is_refused(transformers_clip, tmp_path, changes):
    with pytest.raises(ModelError, match="does not say how images become pixels") as fault:
        load_source(f"hf:{copied(transformers_clip[0], tmp_path, **changes)}")
    assert fault.value.code == "bad_contract"


def test_a_tokenizer_that_transformers_made_up_is_refused(transformers_clip, tmp_path):
    folder = copied(transformers_clip[0], tmp_path, without={"tokenizer.json", "tokenizer_config.json"})
    source = load_source(f"hf:{folder}")
    with pytest.raises(ModelError, match="the same tokens") as fault:
        module_files(source, opset=17)
    assert fault.value.code == "unfit_tokenizer"


@pytest.mark.parametrize("path", ["/no/such", "./none", "~/none"])
def test_a_folder_that_is_not_there_is_no_name_on_a_hub(path):
    with pytest.raises(ModelError, match="there is no folder"):
        load_source(f"hf:{path}")


@pytest.mark.parametrize(
    ("source", "meant"), [("timm:mobilenetv3_smal_050", "mobilenetv3_small_050"), ("open_clip:ViT-B32@x", "ViT-B-32")]
)
def test_a_misspelt_name_is_answered_with_what_looks_like_it(source, meant):
    with pytest.raises(ModelError, match="there is no") as fault:
        load_source(source)
    assert meant in fault.value.expected.split(" or ")


def test_open_clip_without_a_tag_is_asked_for_one():
    with pytest.raises(ModelError, match="no pretrained tag is named") as fault:
        load_source("open_clip:ViT-B-32")
    assert "laion2b_s34b_b79k" in fault.value.expected


def test_a_name_and_a_file_of_timm(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet").eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    source = load_source(f"timm:test_efficientnet@{tmp_path / 'model.safetensors'}")
    side = source.contract.size[0]
    with torch.no_grad():
        expected = unit(model.forward_head(model.forward_features(pixels(side)), pre_logits=True))
        torch.testing.assert_close(source.image_encoder(pixels(side)), expected, atol=1e-5, rtol=0)
    assert source.licence.id == "unknown"
    assert np.isfinite(source.space.logit_scale)


@pytest.mark.parametrize("library", ["timm:test_efficientnet@{}", "open_clip:ViT-B-32@openai={}"])
def test_weights_of_another_model_are_refused(tmp_path, library):
    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as fault:
        load_source(library.format(tmp_path / "model.safetensors"))
    assert fault.value.code in {"not_readable", "not_built"}
    assert "Missing key" in fault.value.message or "nexpected key" in fault.value.message, "the reason, on one line"
    assert "\n" not in str(fault.value)
