"""Image encoders of timm, for heads that are trained on them and for classes by pictures. The only module that imports it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgezsl.contract import EmbeddingSpace, InputContract
from edgezsl.encoders.hub import SEE, check_safetensors, fetch_card, loading_errors, loading_reason, nearest
from edgezsl.encoders.source_model import (
    SourceModel,
    UnitEmbeddings,
    embedding_dim,
    family,
    licence_of_card,
    triple,
    weights_digest,
)
from edgezsl.encoders.torchvision_import import import_torchvision
from edgezsl.errors import ModelError, Place, missing_extra, shown
from edgezsl.manifest import Licence

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgezsl.contract import Interpolation


def source_from_timm(model: nn.Module, *, name: str, source: str = "", licence: Licence | None = None) -> SourceModel:
    """Return a constructed timm model as a source of image embeddings: its pooled features, at length 1.

    An image is resized to the model's size by its short edge. timm's own evaluation cuts a margin off, which a camera's
    view has no use for: preprocessing is compared with timm's at a crop of 100%.

    Args:
        model: A model of `timm.create_model`; it is put into evaluation mode and re-parameterised.
        name: What people call it.
        source: Where it comes from, in words.
        licence: Terms of its weights; None: unknown.

    Raises:
        MissingExtraError: When the package timm is not installed.
    """
    timm = _timm()
    digest = weights_digest(model.state_dict())
    loaded = UnitEmbeddings(model.eval(), _pooled).eval()
    model = timm.utils.reparameterize_model(model)  # a copy
    known = timm.data.resolve_data_config({}, model=model) | {"crop_pct": 1.0}
    height, width = known["input_size"][1:]
    contract = InputContract(
        size=(height, width),
        resize="shortest_edge_crop",
        interpolation=cast("Interpolation", known["interpolation"]),
        mean=triple(known["mean"]),
        std=triple(known["std"]),
        dtype="float32",
        input="image",
        output="embedding",
    )
    encoder = UnitEmbeddings(model, _pooled).eval()
    return SourceModel(
        name=name,
        source=source or f"timm: {name}",
        recipe=family(model),
        image_encoder=encoder,
        contract=contract,
        space=EmbeddingSpace(id=digest, dim=embedding_dim(encoder, contract), similarity="cosine"),
        preprocess=timm.data.create_transform(**known, is_training=False),
        licence=licence or Licence(),
        as_loaded=loaded,
    )


def load_timm(reference: str) -> SourceModel:
    """Load a pretrained timm model.

    Args:
        reference: `NAME` (downloads), or `NAME@/path/to/file.safetensors`.

    Raises:
        ModelError: When there is no such model or file, the file is not safetensors, or nothing can be downloaded.
        MissingExtraError: When the package timm is not installed.
    """
    timm = _timm()
    called = f"timm:{reference}"
    name, _, path = reference.partition("@")
    if not timm.is_model(name.partition(".")[0]):
        expected = nearest(name, timm.list_models()) or "a name of timm.list_models()"
        message = f"there is no timm model {shown(name)}"
        raise ModelError(message, code="unknown_model", where=Place(called), expected=expected, hint=SEE)
    if path:
        check_safetensors(Path(path), called)
    try:
        weights = Path(path or _downloaded(timm, name))
        model: Any = timm.create_model(name, pretrained=False, checkpoint_path=str(weights))
    except loading_errors() as cause:
        raise ModelError(
            f"the weights cannot be {'read' if path else 'fetched'} ({loading_reason(cause)})",
            code="not_readable" if path else "not_reached",
            where=Place(called),
            hint=f"bring its model.safetensors, and type edgezsl import timm:{name}@/path/to/model.safetensors",
        ) from cause
    source = f"timm:{name}@{weights.name}" if path else called
    return source_from_timm(model, name=name, source=source, licence=licence_of_card(weights.parent))


def _downloaded(timm: Any, name: str) -> str:
    """Fetch the weights of a model's default tag, as safetensors alone, and its card where there is one."""
    from huggingface_hub import hf_hub_download

    repository = timm.models.get_pretrained_cfg(name).hf_hub_id
    if not repository:
        raise ValueError(f"{name} has no weights on a hub")
    fetch_card(repository)
    return str(hf_hub_download(repository, "model.safetensors"))


def _pooled(model: Any, pixels: Tensor) -> Tensor:
    return cast("Tensor", model.forward_head(model.forward_features(pixels), pre_logits=True))


def _timm() -> Any:
    import_torchvision()
    try:
        import timm
        import timm.data
        import timm.utils
    except ImportError as cause:
        raise missing_extra("timm", "import", "importing a timm model", cause) from cause
    return timm
