"""What models of other libraries have in common: what goes wrong with them, what their weights lie in, and their cards."""

from __future__ import annotations

import contextlib
import difflib
from typing import TYPE_CHECKING

from edgezsl.errors import ModelError, Place, first_line, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CARD = "README.md"
SEE = "docs/importing.md has every form of a source, and what to bring"
_NEAREST = 3  # names of models that are offered for a misspelt one


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


def loading_reason(cause: Exception) -> str:
    """Return why weights do not load, on one line: of a state dictionary's long list, its first entry."""
    told = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if len(told) > 1 and told[0].startswith("Error(s) in loading"):
        return f"{told[0].rstrip(':')}: {told[1]}"
    return first_line(cause)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the names that look most like a misspelt one, in words, or nothing."""
    return " or ".join(difflib.get_close_matches(name, list(known), _NEAREST))


def check_safetensors(file: Path, called: str) -> None:
    """Check that a file of weights is there, and is safetensors.

    Args:
        file: The file.
        called: What was asked for, for the refusal.

    Raises:
        ModelError: When it is not.
    """
    if not file.is_file():
        message, code, expected = (
            f"there is no file {shown(str(file))}",
            "not_found",
            "the weights, a .safetensors file",
        )
    elif file.suffix != ".safetensors":
        message, code = f"{file.name} is not safetensors", "not_safetensors"
        expected = "a .safetensors file: others may run code when they are read"
    else:
        return
    raise ModelError(message, code=code, where=Place(called), expected=expected, hint=SEE)
