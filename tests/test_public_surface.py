import ast
import inspect
from pathlib import Path

import pytest

import edgezsl

SURFACE = [
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


def test_the_public_surface_is_this_list_and_nothing_else():
    assert edgezsl.__all__ == SURFACE
    assert dir(edgezsl) == sorted([*SURFACE, "__version__"])


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_resolves_and_is_documented(name):
    thing = getattr(edgezsl, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith("edgezsl.")
    assert inspect.getdoc(thing)


def test_a_star_import_brings_the_public_surface():
    names = {}
    exec("from edgezsl import *", names)  # noqa: S102  # a star import is a syntax error inside a function
    assert set(SURFACE) <= set(names)


def test_type_checkers_see_the_same_names_as_programs():
    tree = ast.parse(Path(edgezsl.__file__).read_text())
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(set(imported) & set(SURFACE)) == SURFACE


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Recogniser"):
        _ = edgezsl.Recogniser


def test_the_version_is_three_numbers():
    assert len([int(part) for part in edgezsl.__version__.split(".")]) == 3
