"""What goes wrong when a model is fetched from a hub or read by its library, as one list of exceptions."""

from __future__ import annotations


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
