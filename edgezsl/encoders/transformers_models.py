"""Models of Hugging Face transformers: CLIP, TinyCLIP, SigLIP, MetaCLIP 2. The only module that imports it.

SigLIP's texts are padded to the length that it was trained with, and its probabilities are sigmoids: both come from the
model's own configuration (Zhai et al., "Sigmoid loss for language image pre-training", 2023).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.encoders.hub import CARD, SEE, loading_errors, loading_reason
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
from edgezsl.errors import InputError, ModelError, Place, first_line, missing_extra, shown
from edgezsl.manifest import Licence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from edgezsl.contract import Interpolation, Resize

KINDS = ("clip", "siglip", "metaclip_2")  # SigLIP 2 of one image size calls itself siglip
_FILES = "config.json, model.safetensors, preprocessor_config.json and tokenizer.json"
_FILTERS: Mapping[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # PIL's numbers


def source_from_transformers(
    model: nn.Module,
    *,
    name: str,
    image_processor: Any,
    tokenizer: Any = None,
    source: str = "",
    templates: Sequence[str] = ("a photo of a {}.",),
    licence: Licence | None = None,
) -> SourceModel:
    """Return a constructed CLIP-like model of transformers as a source.

    Args:
        model: A `CLIPModel`, `SiglipModel` or `MetaClip2Model`.
        name: What people call it.
        image_processor: Its image processor.
        tokenizer: Its tokenizer, with a tokenizers backend, or None for a model that is used by pictures alone.
        source: Where it comes from, in words.
        templates: Prompt templates.
        licence: Terms of its weights; None: unknown.

    Raises:
        ModelError: When it is of another kind, or its preprocessing is not one that a contract can say.
    """
    held = cast("Any", model.eval())
    kind = held.config.model_type
    if kind not in KINDS:
        raise ModelError(f"{name} is a {shown(kind)}", code="unknown_model", expected=", ".join(KINDS))
    bias = getattr(held, "logit_bias", None)
    image_side = {key: value for key, value in model.state_dict().items() if not key.startswith(("text_", "logit_"))}

    def pixels_of(image: Any) -> Tensor:
        return cast("Tensor", image_processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0])

    encoder = UnitEmbeddings(model, lambda m, pixels: _pooled(m.get_image_features(pixel_values=pixels))).eval()
    contract = _contract(image_processor.to_dict(), name)
    return SourceModel(
        name=name,
        source=source or f"transformers: {name}",
        recipe=family(held.vision_model),
        image_encoder=encoder,
        contract=contract,
        space=EmbeddingSpace(
            id=weights_digest(image_side),
            dim=embedding_dim(encoder, contract),
            similarity="cosine",
            logit_scale=held.logit_scale.exp().item(),
            logit_bias=0.0 if bias is None else bias.item(),
            activation="softmax" if bias is None else "sigmoid",
        ),
        preprocess=pixels_of,
        text=None if tokenizer is None else _text_side(held, tokenizer, tuple(templates)),
        licence=licence or Licence(),
    )


def load_transformers(reference: str) -> SourceModel:
    """Load a pretrained model of transformers.

    Args:
        reference: `ORG/NAME` (downloads), or `/path` of a folder with `config.json` and `model.safetensors`.

    Raises:
        ModelError: When there is no such model, its weights are not safetensors, or nothing can be downloaded.
        MissingExtraError: When the package transformers is not installed.
    """
    import_torchvision()
    try:
        import transformers
    except ImportError as cause:
        raise missing_extra("transformers", "import", "importing a model of transformers", cause) from cause
    called, local = f"hf:{reference}", Path(reference)
    folder = local if local.is_dir() else None
    if folder is None and (local.is_absolute() or reference.startswith((".", "~"))):
        message = f"there is no folder {shown(reference)}"
        raise ModelError(message, code="not_found", where=Place(called), expected=_FILES, hint=SEE)
    settings: dict[str, Any] = {"trust_remote_code": False, "local_files_only": folder is not None}
    try:
        model = transformers.AutoModel.from_pretrained(reference, use_safetensors=True, **settings)
        processor = transformers.AutoImageProcessor.from_pretrained(reference, **settings)
        tokenizer = transformers.AutoTokenizer.from_pretrained(reference, **settings)
    except loading_errors() as cause:
        raise ModelError(
            f"the model cannot be {'read' if folder else 'fetched'} ({loading_reason(cause)})",
            code="not_readable" if folder else "not_reached",
            where=Place(called),
            expected=_FILES,
            hint="bring these files into one folder, and type edgezsl import hf:/path/to/folder",
        ) from cause
    name = (folder.resolve() if folder else local).name
    card = folder or _card_folder(transformers, reference)
    return source_from_transformers(
        model,
        name=name,
        image_processor=processor,
        tokenizer=tokenizer,
        source=f"hf:{name}" if folder else called,
        licence=licence_of_card(card),
    )


def _card_folder(transformers: Any, reference: str) -> Path:
    """Return where the hub's model card lies now, or a folder without one."""
    try:
        return Path(transformers.utils.cached_file(reference, CARD)).parent
    except loading_errors():
        return Path(CARD) / "none"


def _pooled(answer: Any) -> Tensor:
    """Return the embeddings: themselves up to transformers 4, a field of the answer from 5 on."""
    return cast("Tensor", getattr(answer, "pooler_output", answer))


def _contract(known: Mapping[str, Any], name: str) -> InputContract:
    try:
        resize, sides = _resize(known, name)
        number = known.get("resample")
        if number is None or int(number) not in _FILTERS:
            raise ModelError(f"{name} resizes by filter {number}", code="bad_contract", expected="bilinear or bicubic")
        return InputContract(
            size=(int(sides[0]), int(sides[1])),
            resize=resize,
            interpolation=_FILTERS[int(number)],
            mean=triple(known["image_mean"]),
            std=triple(known["image_std"]),
            dtype="float32",
            input="image",
            output="embedding",
        )
    except InputError:
        raise
    except (LookupError, TypeError, ValueError) as cause:  # a field that is absent, null, or of another length
        raise ModelError(
            f"preprocessor_config.json of {name} does not say how images become pixels ({first_line(cause)})",
            code="bad_contract",
            expected="size, resample, image_mean and image_std",
            hint=SEE,
        ) from cause


def _resize(known: Mapping[str, Any], name: str) -> tuple[Resize, tuple[Any, Any]]:
    """Return how an image is resized, and to which height and width."""
    size, crop = dict(known["size"]), known.get("crop_size")
    if "shortest_edge" not in size:
        return "squash", (size["height"], size["width"])
    sides = (crop["height"], crop["width"]) if known.get("do_center_crop") and crop else (size["shortest_edge"],) * 2
    if size["shortest_edge"] != min(sides):
        message = f"{name} crops {sides} from an image whose short edge is {size['shortest_edge']}"
        raise ModelError(message, code="bad_contract", expected="a crop as high as the resized image")
    return "shortest_edge_crop", sides


def _text_side(model: Any, tokenizer: Any, templates: tuple[str, ...]) -> TextSide:
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelError(
            f"its {type(tokenizer).__name__} is no file of the package tokenizers",
            code="bad_tokenizer",
            expected="a tokenizer.json beside the weights",
        )
    length = int(model.config.text_config.max_position_embeddings)
    data = fixed_length(tokenizer.backend_tokenizer.to_str().encode(), length, pad_id=tokenizer.pad_token_id)
    encoder = TextEmbeddings(model, lambda m, ids: _pooled(m.get_text_features(input_ids=ids))).eval()

    def tokenize(texts: Sequence[str]) -> Tensor:
        found = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return cast("Tensor", found["input_ids"])

    return TextSide(encoder, data, "none", templates, length, tokenize)
