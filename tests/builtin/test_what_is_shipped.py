"""What lies in `edgezsl/builtin`: that it is what its card says, that `edgezsl export` makes it, and that it is small."""

import zlib
from pathlib import Path

import pytest

import edgezsl
from edgezsl import Bundle
from edgezsl.bundle import GOLDEN
from edgezsl.catalogue import builtin_folder
from edgezsl.encoders.model import IMAGE_ENCODER, Model

MOST_BYTES = 15_000_000  # of both, compressed as in a wheel: the program itself needs the rest of 16 MB
CARD = Path(edgezsl.__file__).parent / "builtin" / "README.md"


def test_bundle_and_model_are_one_model():
    manifest, facts = Bundle.open().manifest, Model.open().facts
    assert manifest.precision == "int8"
    assert manifest.space.id == facts.space.id
    assert manifest.contract == facts.contract
    assert manifest.seen_classes == facts.seen_classes
    assert manifest.licence == facts.licence
    assert manifest.parity.outcome == "passed"
    assert manifest.semantics == facts.semantics
    assert manifest.space.to_json() == facts.space.to_json()
    assert set(manifest.semantics.kinds) == {"words", "examples", "vector"}
    assert manifest.semantics.example_penalty > 0
    assert manifest.space.example_shift is not None


def test_both_fit_into_a_wheel():
    files = [path for kind in ("bundle", "model") for path in builtin_folder(kind).iterdir()]
    assert sum(len(zlib.compress(path.read_bytes(), 6)) for path in files) < MOST_BYTES


def test_the_card_stands_where_the_licence_says_and_gives_the_sizes():
    card = CARD.read_text()
    for kind in ("bundle", "model"):
        size = sum(path.stat().st_size for path in builtin_folder(kind).iterdir())
        assert f"| `{kind}/` | {size / 1e6:.1f} MB" in card
    assert Bundle.open().manifest.licence.source.endswith("builtin/README.md")


def test_the_export_of_the_model_is_the_bundle(tmp_path):
    """To the byte where this processor and these packages give the same golden answers; elsewhere in what it says."""
    pytest.importorskip("onnx")
    from edgezsl.compile.export import ExportResult, ExportSettings, export

    *_, result = export(ExportSettings(precision="int8", out=tmp_path / "bundle"))
    assert isinstance(result, ExportResult)
    ours, made = Bundle.open(), result.bundle
    assert made.manifest.parity.outcome == "passed"
    assert set(made.manifest.files) == set(ours.manifest.files)
    assert IMAGE_ENCODER not in made.manifest.files
    if made.manifest.files[GOLDEN] == ours.manifest.files[GOLDEN]:
        assert made.manifest.files == ours.manifest.files
    else:
        first, second = (one.golden().embeddings["int8"] for one in (ours, made))
        assert (first * second).sum(axis=1).min() > ours.manifest.golden["int8"]
