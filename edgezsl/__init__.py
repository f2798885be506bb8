"""edgezsl: zero-shot image recognition on edge devices.

A class is a row. A device turns a frame into an embedding and multiplies it by a matrix of class prototypes; changing
what the camera can recognise is replacing that matrix, safely, while it runs.

The names of `__all__` are the public surface. Each is imported when it is first used: `import edgezsl` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgezsl.bundle import Bundle
    from edgezsl.classes import ClassFile
    from edgezsl.contract import EmbeddingSpace, InputContract
    from edgezsl.errors import EdgezslError, InputError, TransientError
    from edgezsl.manifest import Manifest
    from edgezsl.preprocess import Preprocessor
    from edgezsl.prototypes import ClassPrototypes, ClassRow
    from edgezsl.runtime.embedder import ClassEmbedder
    from edgezsl.runtime.engine import Engine, FunctionEngine, open_engine
    from edgezsl.runtime.recognizer import Answer, Recognizer
    from edgezsl.station import Station, StationSettings

__version__ = "0.1.0"

_HOMES = {
    "Answer": "runtime.recognizer",
    "Bundle": "bundle",
    "ClassEmbedder": "runtime.embedder",
    "ClassFile": "classes",
    "ClassPrototypes": "prototypes",
    "ClassRow": "prototypes",
    "EdgezslError": "errors",
    "EmbeddingSpace": "contract",
    "Engine": "runtime.engine",
    "FunctionEngine": "runtime.engine",
    "InputContract": "contract",
    "InputError": "errors",
    "Manifest": "manifest",
    "Preprocessor": "preprocess",
    "Recognizer": "runtime.recognizer",
    "Station": "station",
    "StationSettings": "station",
    "TransientError": "errors",
    "open_engine": "runtime.engine",
}

__all__ = [
    "Answer",
    "Bundle",
    "ClassEmbedder",
    "ClassFile",
    "ClassPrototypes",
    "ClassRow",
    "EdgezslError",
    "EmbeddingSpace",
    "Engine",
    "FunctionEngine",
    "InputContract",
    "InputError",
    "Manifest",
    "Preprocessor",
    "Recognizer",
    "Station",
    "StationSettings",
    "TransientError",
    "open_engine",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'edgezsl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"edgezsl.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
