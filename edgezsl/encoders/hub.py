"""What a hub's models have in common: what goes wrong with them, as one list of exceptions, and their cards."""

from __future__ import annotations

import contextlib

CARD = "README.md"


def loading_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the hub, its HTTP client and the loaders of models."""
    from safetensors import SafetensorError

    known = (OSError, ValueError, RuntimeError, LookupError, TypeError, SafetensorError)
    try:
        from huggingface_hub import errors
    except ImportError:
        return known
    # With them stands the base of its HTTP client's, which changes from version to version.
    own = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*known, *own)


def fetch_card(repository: str) -> None:
    """Fetch a hub's model card into the cache, beside the weights; without one the licence is unknown.

    Args:
        repository: `ORG/NAME`, maybe with a `/` at its end; anything else has no card.
    """
    with contextlib.suppress(*loading_errors()):
        from huggingface_hub import hf_hub_download

        hf_hub_download(repository.strip("/"), CARD)
