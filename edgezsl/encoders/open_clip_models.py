"""Models of OpenCLIP: MobileCLIP, TinyCLIP, ViT, SigLIP and kin. The only module that imports `open_clip`.

The input contract is that of the pretrained tag, or of the model's own configuration: a checkpoint file alone gets
OpenAI's mean and standard deviation, whatever it was trained with, so that the tags of its architecture are asked. So
they are of the activation: weights that were trained with QuickGELU load into a model with GELU without a word.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.encoders.clip_tokenizer import clip_tokenizer_json
from edgezsl.encoders.hub import SEE, check_safetensors, fetch_card, loading_errors, loading_reason, nearest
from edgezsl.encoders.source_model import (
    SourceModel,
    TextEmbeddings,
    TextSide,
    UnitEmbeddings,
    embedding_dim,
    family,
    licence_of_card,
    triple,
    weights_digest,
)
from edgezsl.encoders.tokenizer_file import fixed_length
from edgezsl.encoders.torchvision_import import import_torchvision
from edgezsl.errors import ModelError, Place, missing_extra, shown
from edgezsl.manifest import Licence
from edgezsl.records import Fields, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from edgezsl.contract import Interpolation, Resize
    from edgezsl.manifest import TextCleaning

IMAGE, EMBEDDING = "image", "embedding"
_RESIZES: Mapping[str, Resize] = {"shortest": "shortest_edge_crop", "squash": "squash", "longest": "letterbox"}
_CLEANINGS: Mapping[str, TextCleaning] = {"_clean_lower": "clip", "_clean_canonicalize": "canonicalize"}
_LOCAL = "local-dir:"
_CONFIG = "open_clip_config.json"
_LARGEST_CONFIG = 1 << 20  # bytes
_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".npz"}
_LOOKS = ("mean", "std", "interpolation", "resize_mode")


def source_from_open_clip(
    model: Any,
    *,
    name: str,
    source: str = "",
    preprocess: Mapping[str, Any] | None = None,
    tokenizer: Any = None,
    templates: Sequence[str] = ("a photo of a {}.",),
    licence: Licence | None = None,
) -> SourceModel:
    """Return a constructed OpenCLIP model as a source.

    Args:
        model: A `CLIP` or `CustomTextCLIP`; it is put into evaluation mode and re-parameterised.
        name: What people call it.
        source: Where it comes from, in words.
        preprocess: OpenCLIP's preprocessing configuration; None: the model's own.
        tokenizer: OpenCLIP's tokenizer of the model, or None for a model that is used by pictures alone.
        templates: Prompt templates.
        licence: Terms of its weights; None: unknown.

    Raises:
        ModelError: When its preprocessing is not one that a contract can say.
        MissingExtraError: When the package open_clip is not installed.
    """
    open_clip = _open_clip()
    from timm.utils import reparameterize_model

    known = open_clip.transform.PreprocessCfg(**dict(preprocess or model.visual.preprocess_cfg))
    digest = weights_digest(model.visual.state_dict())
    loaded = UnitEmbeddings(model.eval(), _encode_image).eval()
    model = reparameterize_model(model)  # a copy
    contract = _contract(known)
    scale, bias = model.logit_scale.exp().item(), getattr(model, "logit_bias", None)
    encoder = UnitEmbeddings(model, _encode_image).eval()
    return SourceModel(
        name=name,
        source=source or f"open_clip: {name}",
        recipe=family(model.visual),
        image_encoder=encoder,
        contract=contract,
        space=EmbeddingSpace(
            id=digest,
            dim=embedding_dim(encoder, contract),
            similarity="cosine",
            logit_scale=scale,
            logit_bias=0.0 if bias is None else float(bias),
            activation="softmax" if bias is None else "sigmoid",
        ),
        preprocess=open_clip.transform.image_transform_v2(known, is_train=False),
        text=None if tokenizer is None else _text_side(model, tokenizer, tuple(templates)),
        licence=licence or Licence(),
        as_loaded=loaded,
    )


def load_open_clip(reference: str) -> SourceModel:
    """Load a pretrained OpenCLIP model.

    Args:
        reference: `NAME@TAG` (downloads), `NAME@/path/to/file.safetensors`, `NAME@TAG=/path/to/file.safetensors`, or
            `local-dir:/path`.

    Raises:
        ModelError: When there is no such model or file, the file is not safetensors, or nothing can be downloaded.
        MissingExtraError: When the package open_clip is not installed.
    """
    open_clip = _open_clip()
    called = f"open_clip:{reference}"
    if reference.startswith(_LOCAL):
        folder = Path(reference.removeprefix(_LOCAL)).resolve()
        _check_folder(folder, called)
        model = _built(open_clip, f"{_LOCAL}{folder}", called, {"require_pretrained": True})
        return source_from_open_clip(
            model,
            name=folder.name,
            source=f"open_clip:{_LOCAL}{folder.name}",
            tokenizer=_tokenizer(open_clip, f"{_LOCAL}{folder}", called),
            licence=licence_of_card(folder),
        )
    name, tag, path = _parts(reference)
    if name not in open_clip.list_models():
        expected = nearest(name, open_clip.list_models()) or "a name of open_clip.list_models()"
        raise _refuse(f"there is no OpenCLIP model {shown(name)}", called, "unknown_model", expected)
    config = _pretrained(open_clip, name, tag, called, downloads=not path)
    file = Path(path) if path else _downloaded(open_clip, config, called)
    check_safetensors(file, called)
    settings = {
        "pretrained": str(file),
        "force_preprocess_cfg": {key: config[key] for key in _LOOKS if config.get(key) is not None},
        "force_quick_gelu": bool(config.get("quick_gelu")),
        "require_pretrained": True,
    }
    model = _built(open_clip, name, called, settings)
    return source_from_open_clip(
        model,
        name=name,
        source=f"open_clip:{name}@{f'{tag}=' if tag else ''}{file.name}" if path else called,
        tokenizer=_tokenizer(open_clip, name, called),
        licence=licence_of_card(file.parent),
    )


def _parts(reference: str) -> tuple[str, str, str]:
    """Return name, tag and file of `NAME@TAG`, `NAME@FILE` or `NAME@TAG=FILE`."""
    name, _, rest = reference.partition("@")
    if "=" in rest:
        tag, _, path = rest.rpartition("=")
        return name, tag, path
    return (name, "", rest) if "/" in rest or Path(rest).suffix in _WEIGHTS else (name, rest, "")


def _encode_image(model: Any, pixels: Tensor) -> Tensor:
    return cast("Tensor", model.encode_image(pixels))


def _contract(known: Any) -> InputContract:
    size = (known.size, known.size) if isinstance(known.size, int) else tuple(known.size)
    if known.resize_mode not in _RESIZES:
        raise ModelError(
            f"the model resizes by {shown(known.resize_mode)}", code="bad_contract", expected=" or ".join(_RESIZES)
        )
    return InputContract(
        size=(int(size[0]), int(size[1])),
        resize=_RESIZES[known.resize_mode],
        interpolation=cast("Interpolation", known.interpolation),
        mean=triple(known.mean),
        std=triple(known.std),
        dtype="float32",
        input=IMAGE,
        output=EMBEDDING,
    )


def _text_side(model: nn.Module, tokenizer: Any, templates: tuple[str, ...]) -> TextSide:
    length = int(tokenizer.context_length)
    cleaner = getattr(tokenizer.clean_fn, "__name__", "")
    if cleaner not in _CLEANINGS:
        raise ModelError(
            f"its tokenizer cleans texts by {shown(cleaner)}", code="bad_tokenizer", expected=" or ".join(_CLEANINGS)
        )
    if getattr(tokenizer, "strip_sep_token", False):
        message = "its tokenizer replaces the token that ends a text, which no tokenizer.json can say"
        raise ModelError(message, code="bad_tokenizer", expected="a tokenizer without strip_sep_token")
    cleaning = _CLEANINGS[cleaner]
    if hasattr(tokenizer, "bpe_ranks"):
        merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
        data = clip_tokenizer_json(merges, length=length)
    else:
        held = tokenizer.tokenizer
        data = fixed_length(held.backend_tokenizer.to_str().encode(), length, pad_id=held.pad_token_id)
    encoder = TextEmbeddings(model, lambda held, ids: held.encode_text(ids)).eval()

    def tokenize(texts: Sequence[str]) -> Tensor:
        return cast("Tensor", tokenizer(list(texts)))

    return TextSide(encoder, data, cleaning, templates, length, tokenize)


def _pretrained(open_clip: Any, name: str, tag: str, called: str, *, downloads: bool) -> dict[str, Any]:
    """Return the configuration of a tag; of a file without a tag, that of all tags, where it is the same for all."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    if (tag or downloads) and tag not in tags:
        message = f"{name} has no pretrained tag {shown(tag)}" if tag else "no pretrained tag is named"
        raise _refuse(message, called, "unknown_model", f"open_clip:{name}@TAG, TAG one of {', '.join(tags) or 'none'}")
    known = [open_clip.get_pretrained_cfg(name, one) for one in ([tag] if tag else tags)]
    looks = {(*(str(one.get(key)) for key in _LOOKS), bool(one.get("quick_gelu"))) for one in known}
    if len(looks) > 1:
        message = (
            f"{name} was trained in {len(looks)} ways, which preprocess images otherwise or have another activation"
        )
        raise _refuse(message, called, "ambiguous", f"open_clip:{name}@TAG=/path/to/file, TAG one of {', '.join(tags)}")
    if not known:
        expected = "a folder whose open_clip_config.json has a preprocess_cfg: open_clip:local-dir:/path"
        raise _refuse(
            f"nothing says how {name} preprocesses images: it has no pretrained tag", called, "ambiguous", expected
        )
    return dict(known[0])


def _downloaded(open_clip: Any, config: dict[str, Any], called: str) -> Path:
    try:
        file = Path(open_clip.download_pretrained(config))
    except loading_errors() as cause:
        raise ModelError(
            f"the weights cannot be fetched ({type(cause).__name__})",
            code="not_reached",
            where=Place(called),
            expected=f"a connection to {config.get('hf_hub') or config.get('url') or 'its hub'}",
            hint="bring its open_clip_model.safetensors from a machine with a network, and type "
            f"edgezsl import {called}=/path/to/open_clip_model.safetensors",
        ) from cause
    fetch_card(str(config.get("hf_hub") or ""))
    return file


def _check_folder(folder: Path, called: str) -> None:
    """Check that a folder's weights are safetensors, and nothing else that OpenCLIP would rather read."""
    if not (folder / _CONFIG).is_file():
        raise _refuse(f"{folder.name} has no {_CONFIG}", called, "not_found", "a folder of an OpenCLIP model")
    kinds = {path.suffix for path in folder.iterdir()} & _WEIGHTS
    if kinds != {".safetensors"}:
        found = ", ".join(sorted(kinds)) or "no weights"
        raise _refuse(
            f"{folder.name} holds {found}", called, "not_safetensors", "weights as .safetensors, and no others"
        )
    settings = parse_json((folder / _CONFIG).read_bytes(), file=_CONFIG, error=ModelError, max_bytes=_LARGEST_CONFIG)
    known = Fields(settings, Place(str(folder / _CONFIG)), ModelError).inner("model_cfg")
    if known.inner("text_cfg").take("tokenizer_kwargs", None):
        raise _refuse(f"{_CONFIG} has tokenizer_kwargs", called, "unsafe_config", "none: they may ask to run code")


def _built(open_clip: Any, name: str, called: str, settings: dict[str, Any]) -> nn.Module:
    try:
        return cast("nn.Module", open_clip.create_model(name, **settings))
    except loading_errors() as cause:
        message = f"OpenCLIP cannot build the model ({loading_reason(cause)})"
        raise _refuse(message, called, "not_built", "weights of this model") from cause


def _tokenizer(open_clip: Any, name: str, called: str) -> Any:
    try:
        return open_clip.get_tokenizer(name)
    except loading_errors() as cause:
        raise ModelError(
            f"its tokenizer cannot be fetched ({type(cause).__name__})",
            code="not_reached",
            where=Place(called),
            hint="bring the model's folder with tokenizer.json, and type edgezsl import open_clip:local-dir:/path",
        ) from cause


def _open_clip() -> Any:
    import_torchvision()
    try:
        import open_clip
    except ImportError as cause:
        raise missing_extra("open_clip", "import", "importing an OpenCLIP model", cause) from cause
    logging.getLogger("open_clip").setLevel(logging.ERROR)
    return open_clip


def _refuse(message: str, called: str, code: str, expected: str) -> ModelError:
    return ModelError(message, code=code, where=Place(called), expected=expected, hint=SEE)
