"""Small models of other libraries, with random weights, built and never downloaded."""

from __future__ import annotations

import functools
import logging

import pytest
import torch

from edgezsl.encoders.open_clip_models import source_from_open_clip
from edgezsl.encoders.torchvision_import import import_torchvision

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


def small_clip(*, side=SIDE, layers=2, width=64, patch=8, text=None):
    """Return a CLIP of OpenCLIP's own classes."""
    torch.manual_seed(0)
    vision = {"image_size": side, "layers": layers, "width": width, "patch_size": patch}
    texts = text or {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    return open_clip.model.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=texts)


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


def tiny_clip_source():
    """Return TinyCLIP as a source."""
    return source_from_open_clip(
        tiny_clip(), name="TinyCLIP-8M-16", preprocess=preprocessing(size=224), tokenizer=clip_tokenizer()
    )


def mobile_clip_source():
    """Return MobileCLIP2-S0 as a source, its architecture whole, with the contract of its pretrained tag."""
    torch.manual_seed(0)
    tag = open_clip.get_pretrained_cfg("MobileCLIP2-S0", "dfndr2b")
    fields = {key: tag[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    model = open_clip.create_model("MobileCLIP2-S0", force_preprocess_cfg=fields)
    return source_from_open_clip(model, name="MobileCLIP2-S0", tokenizer=open_clip.get_tokenizer("MobileCLIP2-S0"))
