"""Models of transformers and timm, constructed with random weights, become model directories that say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgezsl.encoders.model import IMAGE_ENCODER, Model
from edgezsl.encoders.source_model import family, licence_of_card
from edgezsl.encoders.timm_models import source_from_timm
from edgezsl.encoders.torchvision_import import import_torchvision
from edgezsl.encoders.transformers_models import source_from_transformers
from edgezsl.errors import ModelError
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.onnx_engine import OnnxGraph
from tests.encoders.sources import small_clip

import_torchvision()
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

VISION = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
}
TEXT = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}


def clip():
    torch.manual_seed(0)
    config = transformers.CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=32)
    size = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    return source_from_transformers(
        transformers.CLIPModel(config), name="clip", image_processor=transformers.CLIPImageProcessor(**size)
    )


def siglip():
    torch.manual_seed(0)
    text = {**TEXT, "vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.SiglipConfig(vision_config=VISION, text_config=text)
    processor = transformers.SiglipImageProcessor(size={"height": 64, "width": 64})
    return source_from_transformers(transformers.SiglipModel(config), name="siglip", image_processor=processor)


def convnet():
    torch.manual_seed(0)
    return source_from_timm(timm.create_model("mobilenetv3_small_050"), name="mobilenetv3")


@pytest.mark.parametrize("build", [clip, siglip, convnet])
@pytest.mark.parametrize("opset", [17, 18])
def test_a_model_goes_round(tmp_path, build, opset):
    source = build()
    model = Model.from_modules(tmp_path / "model", source, opset=opset)
    images = np.random.RandomState(0).randint(0, 256, (4, 90, 80, 3)).astype(np.uint8)
    pixels = Preprocessor(source.contract)(list(images))
    graph = OnnxGraph(model.read(IMAGE_ENCODER), file="x", threads=1)
    for count in (1, 4):
        with torch.no_grad():
            expected = source.image_encoder(torch.from_numpy(pixels[:count])).numpy()
        np.testing.assert_allclose(graph.run({"image": pixels[:count]})[0], expected, rtol=0, atol=1e-5)
    assert model.facts.space.dim == expected.shape[1]
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


def test_the_contract_is_the_models_own():
    assert clip().contract.resize == "shortest_edge_crop"
    siglips = siglip()
    assert (siglips.contract.resize, siglips.contract.mean) == ("squash", (0.5, 0.5, 0.5))
    assert (siglips.space.activation, clip().space.activation) == ("sigmoid", "softmax")
    assert clip().space.logit_scale == pytest.approx(np.exp(2.6592), rel=1e-4)
    assert convnet().contract.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("architecture", "recipe"),
    [
        ("mobilenetv3_small_050", "convnet"),
        ("resnet18", "convnet"),
        ("efficientvit_b0", "convnet"),
        ("vitamin_small_224", "vit"),
        ("vit_small_r26_s32_224", "vit"),
        ("vit_tiny_patch16_224", "vit"),
        ("swin_tiny_patch4_window7_224", "vit"),
        ("fastvit_t8", "fastvit"),
    ],
)
def test_the_recipe_is_of_the_architecture_whatever_library_it_comes_from(architecture, recipe):
    assert family(timm.create_model(architecture)) == recipe


def test_a_clip_of_convolutions_has_the_recipe_of_convolutions():
    vision = {"image_size": 64, "layers": (1, 1, 1, 1), "width": 16, "patch_size": None, "head_width": 16}
    assert family(small_clip(vision=vision).visual) == "convnet"
    assert family(small_clip().visual) == "vit"


def test_equal_weights_are_one_space_and_others_are_not():
    torch.manual_seed(1)
    other = source_from_timm(timm.create_model("mobilenetv3_small_050"), name="mobilenetv3")
    assert convnet().space.id == convnet().space.id != other.space.id


def test_a_tokenizer_that_is_no_file_of_tokenizers_is_refused():
    config = transformers.CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=32)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
    with pytest.raises(ModelError, match="object is no file") as caught:
        source_from_transformers(
            transformers.CLIPModel(config), name="clip", image_processor=processor, tokenizer=object()
        )
    assert caught.value.code == "bad_tokenizer"


def test_a_model_of_another_kind_is_refused():
    config = transformers.ViTConfig(**VISION)
    with pytest.raises(ModelError, match="'vit'") as caught:
        source_from_transformers(transformers.ViTModel(config), name="x", image_processor=None)
    assert caught.value.code == "unknown_model"


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: mit\ntags:\n- clip\n---\n# A model\nlicense: other\n", "mit"),
        ("---\nlicense: other\nlicense_name: apple-amlr\nlicense_link: LICENSE\n---\n", "apple-amlr"),
        ("---\nlicense: mit\x1b[2J\n---\n", "mit[2J"),
        ("# No head\nlicense: mit\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_licence_is_read_from_the_head_of_the_model_card(tmp_path, card, expected):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence_of_card(tmp_path).id == expected
