"""Small models of other libraries, with random weights, built and never downloaded."""

from __future__ import annotations

import functools
import logging

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from edgezsl.compile.source_parity import TEXTS
from edgezsl.encoders.open_clip_models import source_from_open_clip
from edgezsl.encoders.torchvision_import import import_torchvision
from edgezsl.encoders.transformers_models import source_from_transformers

import_torchvision()
open_clip = pytest.importorskip("open_clip")
logging.getLogger().setLevel(logging.ERROR)  # open_clip warns, on the root logger, of weights that it was not asked for

SIDE = 64


def preprocessing(**changes):
    """Return OpenCLIP's preprocessing configuration: OpenAI's, on small images."""
    return {
        "size": SIDE,
        "mode": "RGB",
        "mean": open_clip.OPENAI_DATASET_MEAN,
        "std": open_clip.OPENAI_DATASET_STD,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
        **changes,
    }


def small_clip(*, side=SIDE, layers=2, width=64, patch=8, text=None, vision=None):
    """Return a CLIP of OpenCLIP's own classes."""
    torch.manual_seed(0)
    vision = vision or {"image_size": side, "layers": layers, "width": width, "patch_size": patch}
    texts = text or {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    return open_clip.model.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=texts)


def small_clip_source(*, layers=2):
    """Return a small CLIP as a source, with CLIP's own tokenizer."""
    return source_from_open_clip(
        small_clip(layers=layers), name="small", preprocess=preprocessing(), tokenizer=clip_tokenizer()
    )


def tiny_clip():
    """Return TinyCLIP ViT 8M/16, its architecture whole (Wu et al., "TinyCLIP", 2023)."""
    texts = {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 3}
    torch.manual_seed(0)
    vision = {"image_size": 224, "layers": 10, "width": 256, "patch_size": 16}
    return open_clip.model.CLIP(embed_dim=512, vision_cfg=vision, text_cfg=texts)


@functools.cache
def clip_tokenizer():
    """Return CLIP's tokenizer, which lies in the package."""
    return open_clip.get_tokenizer("ViT-B-32")


def small_siglip_source():
    """Return a small SigLIP with a tokenizer of its kind: a unigram model, texts padded to 64 tokens."""
    transformers = pytest.importorskip("transformers")
    words = Tokenizer(models.Unigram())
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = dict(zip(("pad_token", "eos_token", "unk_token"), ("<pad>", "</s>", "<unk>"), strict=True))
    settings = {"special_tokens": list(specials.values()), "unk_token": specials["unk_token"]}
    trainer = trainers.UnigramTrainer(vocab_size=200, show_progress=False, **settings)
    words.train_from_iterator(TEXTS, trainer)
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, **specials)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.SiglipConfig(
        vision_config={**sizes, "image_size": SIDE, "patch_size": 16},
        text_config={
            **sizes,
            "vocab_size": words.get_vocab_size(),
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
        },
    )
    torch.manual_seed(0)
    return source_from_transformers(
        transformers.SiglipModel(config),
        name="siglip",
        image_processor=transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
    )


def tiny_clip_source():
    """Return TinyCLIP as a source."""
    return source_from_open_clip(
        tiny_clip(), name="TinyCLIP-8M-16", preprocess=preprocessing(size=224), tokenizer=clip_tokenizer()
    )


def settled(model, side):
    """Return a network with random weights that tells images apart, as a trained one does.

    As it is made, a deep one answers everything nearly alike: its layer scales are 1e-5, and its normalisations know
    nothing of what comes in.
    """
    norms = [one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # the mean of all that it meets
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("layer_scale.gamma"):
                values.fill_(1)
        model.train()
        model(torch.randn(8, 3, side, side))
    return model.eval()


def mobile_clip_source():
    """Return MobileCLIP2-S0 as a source, its architecture whole, with the contract of its pretrained tag."""
    torch.manual_seed(0)
    tag = open_clip.get_pretrained_cfg("MobileCLIP2-S0", "dfndr2b")
    fields = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    model = open_clip.create_model("MobileCLIP2-S0", force_preprocess_cfg=fields)
    settled(model.visual, 256)
    return source_from_open_clip(model, name="MobileCLIP2-S0", tokenizer=open_clip.get_tokenizer("MobileCLIP2-S0"))


def vit_b_32_source():
    """Return CLIP ViT-B/32 as a source, its architecture whole."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    return source_from_open_clip(model, name="ViT-B-32", tokenizer=clip_tokenizer())


def siglip_b_16_source():
    """Return SigLIP-B/16 as a source, its architecture whole; a random model has no tokenizer."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.SiglipModel(transformers.SiglipConfig())
    processor = transformers.SiglipImageProcessor()
    return source_from_transformers(model, name="SigLIP-B-16", image_processor=processor)
