import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgezsl.errors import BundleError, ContractError
from edgezsl.manifest import (
    BUNDLE_FORMAT,
    LARGEST_BATCH,
    PRECISIONS,
    Batch,
    Fallback,
    FileEntry,
    Licence,
    Manifest,
    Parity,
    Provenance,
    Semantics,
)
from edgezsl.records import canonical_json, parse_json
from tests.factories import small_manifest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COSINES = st.floats(0, 1, exclude_min=True)


@st.composite
def manifests(draw):
    encoders = draw(st.lists(st.sampled_from(PRECISIONS), min_size=1, unique=True))
    files = {f"image_encoder.{precision}.onnx": draw(file_entries()) for precision in encoders}
    attributes = tuple(draw(st.lists(TEXT, max_size=3)))
    kinds = ("words", "attributes") if attributes else draw(st.sampled_from([("words", "vector"), ("examples",)]))
    lowest, middle, highest = sorted(draw(st.tuples(*[st.integers(1, LARGEST_BATCH)] * 3)))
    return replace(
        small_manifest(),
        name=draw(TEXT),
        precision=draw(st.sampled_from(encoders)),
        image_encoders={precision: f"image_encoder.{precision}.onnx" for precision in encoders},
        semantics=Semantics(
            kinds=kinds,
            templates=tuple(
                draw(st.lists(TEXT.map(lambda text: text.replace("{", "") + "{}"), min_size=1, max_size=3))
            ),
            attributes=attributes,
            token_limit=draw(st.integers(0, 1000)),
            example_bias=draw(st.sampled_from(["none", "half_squared_norm"])),
            example_penalty=draw(st.floats(0, 2)) if "examples" in kinds else 0.0,
            description_weight=draw(st.floats(0, 100)) if "examples" in kinds else 0.0,
        ),
        golden=draw(st.dictionaries(st.sampled_from([*PRECISIONS, "bf16"]), COSINES)),
        opset=draw(st.integers(1, 30)),
        ir_version=draw(st.integers(1, 20)),
        batch=Batch(lowest, middle, highest),
        seen_classes=tuple(draw(st.lists(TEXT, max_size=3))),
        seen_penalty=draw(st.floats(0, 1e6)),
        licence=draw(st.builds(Licence, TEXT, TEXT, TEXT)),
        provenance=draw(
            st.builds(Provenance, TEXT, TEXT, st.integers(0, 10**9), TEXT, st.dictionaries(TEXT, TEXT, max_size=3))
        ),
        parity=draw(st.none() | parities()),
        fallback=draw(st.none() | st.builds(Fallback, TEXT, TEXT, TEXT)),
        verdicts=draw(
            st.dictionaries(st.sampled_from(PRECISIONS), st.dictionaries(TEXT, TEXT, max_size=2), max_size=2)
        ),
        files=files,
    )


def file_entries():
    return st.builds(FileEntry, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 2**40))


def parities():
    figures = st.dictionaries(TEXT, NUMBERS, max_size=2)
    return st.builds(Parity, st.sampled_from(["passed", "too_few", "broken_allowed"]), figures, figures)


@given(manifests())
def test_a_manifest_reads_back_as_itself(manifest):
    data = canonical_json(manifest.to_json())
    back = Manifest.from_json(parse_json(data, file="f", error=BundleError, max_bytes=1 << 20), file="f")
    assert back == manifest
    assert canonical_json(back.to_json()) == data


def test_a_manifest_reads_back_from_the_object_itself():
    manifest = small_manifest()
    assert Manifest.from_json(manifest.to_json(), file="f") == manifest


def test_a_manifest_never_changes():
    with pytest.raises(FrozenInstanceError):
        small_manifest().name = "other"


def written(**changes):
    """Return the small manifest as it is parsed from disk, with changes; `...` removes a key."""
    value = json.loads(canonical_json(small_manifest().to_json())) | changes
    return {name: entry for name, entry in value.items() if entry is not ...}


def nested(name, **changes):
    """Return the small manifest with changes inside one of its objects."""
    inner = written()[name] | changes
    return written(**{name: {key: entry for key, entry in inner.items() if entry is not ...}})


def refusal(value):
    with pytest.raises((BundleError, ContractError)) as caught:
        Manifest.from_json(value, file="b/manifest.json")
    return caught.value


def test_the_format_is_edgezsl_bundle_1():
    assert written()["format"] == BUNDLE_FORMAT == "edgezsl-bundle/1"


@pytest.mark.parametrize("form", ["edgezsl-bundle/2", "edgezsl-classes/1", ""])
def test_another_format_is_refused_by_name(form):
    error = refusal(written(format=form))
    assert (error.code, error.expected) == ("unknown_format", BUNDLE_FORMAT)
    assert repr(form) in str(error)


@pytest.mark.parametrize("name", sorted(written()))
def test_every_field_of_a_manifest_is_required_but_what_may_be_null(name):
    value = written(**{name: ...})
    if name in {"parity", "fallback"}:
        assert Manifest.from_json(value, file="f") == small_manifest()
    else:
        assert refusal(value).code == "missing_key"


@pytest.mark.parametrize(
    "value",
    [
        written(later=1),
        nested("contract", later=1),
        nested("space", later=1),
        nested("semantics", later=1),
        nested("batch", later=1),
        nested("licence", later=1),
        nested("provenance", later=1),
        nested("provenance", calibration={"count": 0, "digest": "", "later": 1}),
        written(parity={"outcome": "passed", "bounds": {}, "figures": {}, "later": 1}),
        written(fallback={"from": "int8", "to": "fp32", "reason": "", "later": 1}),
        written(files={"a": {"sha256": "0" * 64, "bytes": 1, "later": 1}}),
    ],
)
def test_an_unknown_key_is_refused_by_name_wherever_it_stands(value):
    error = refusal(value)
    assert error.code == "unknown_key"
    assert error.where.file == "b/manifest.json"
    assert error.where.field.endswith("later")
    assert "'later'" in str(error)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (written(name=1), "name"),
        (written(precision="fp8"), "image_encoders"),
        (written(precision="int8"), "image_encoders"),
        (written(image_encoders={}), "image_encoders"),
        (written(image_encoders={"fp32": "a.onnx", "fp8": "b.onnx"}), "image_encoders"),
        (written(image_encoders=["a.onnx"]), "image_encoders"),
        (written(image_encoders={"fp32": "../secret.onnx"}), "files"),
        (written(image_encoders={"fp32": "/etc/passwd"}), "files"),
        (written(files={"a/b": {"sha256": "0" * 64, "bytes": 1}}), "files"),
        (written(files={"..": {"sha256": "0" * 64, "bytes": 1}}), "files"),
        (written(files={"": {"sha256": "0" * 64, "bytes": 1}}), "files"),
        (written(files={"a\n": {"sha256": "0" * 64, "bytes": 1}}), "files"),
        (written(files={"other.onnx": {"sha256": "0" * 64, "bytes": 1}}), "files"),
        (written(files={"a": {"sha256": "0" * 63, "bytes": 1}}), "files.a"),
        (written(files={"a": {"sha256": "A" * 64, "bytes": 1}}), "files.a"),
        (written(files={"a": {"sha256": "0" * 64, "bytes": -1}}), "files.a.bytes"),
        (written(files={"a": "0" * 64}), "files.a"),
        (written(golden={"fp32": 0}), "golden"),
        (written(golden={"fp32": -5.0}), "golden"),
        (written(golden={"fp32": 1.5}), "golden"),
        (written(golden={"fp8": 0.9}), "golden"),
        (written(golden={"fp32": "0.9"}), "golden.fp32"),
        (written(opset=0), "opset"),
        (written(opset=17.0), "opset"),
        (written(ir_version="10"), "ir_version"),
        (nested("batch", min=0), "batch"),
        (nested("batch", min=9), "batch"),
        (nested("batch", max=LARGEST_BATCH + 1), "batch"),
        (nested("batch", max=1.5), "batch.max"),
        (written(seen_classes="red"), "seen_classes"),
        (written(seen_classes=[1]), "seen_classes"),
        (written(seen_penalty=-1), "seen_penalty"),
        (written(seen_penalty=True), "seen_penalty"),
        (nested("semantics", kinds=["pictures"]), "semantics.kinds"),
        (nested("semantics", templates=[]), "semantics.templates"),
        (nested("semantics", templates=["a photo"]), "semantics.templates"),
        (nested("semantics", templates=["{} {}"]), "semantics.templates"),
        (nested("semantics", attributes=[]), "semantics.attributes"),
        (nested("semantics", kinds=["words"]), "semantics.attributes"),
        (nested("semantics", token_limit=-1), "semantics.token_limit"),
        (nested("semantics", text_cleaning="ftfy"), "semantics.text_cleaning"),
        (nested("semantics", example_bias="half"), "semantics.example_bias"),
        (nested("semantics", example_penalty=-0.1), "semantics.example_penalty"),
        (nested("semantics", kinds=["words", "attributes"], example_penalty=0.1), "semantics.example_penalty"),
        (nested("semantics", description_weight=-1), "semantics.description_weight"),
        (nested("semantics", kinds=["words", "attributes"], description_weight=1), "semantics.description_weight"),
        (written(licence=None), "licence"),
        (nested("licence", id=None), "licence.id"),
        (nested("provenance", versions={"onnx": 1}), "provenance.versions.onnx"),
        (nested("provenance", calibration=None), "provenance.calibration"),
        (written(parity={"outcome": "failed", "bounds": {}, "figures": {}}), "parity.outcome"),
        (written(parity={"outcome": "passed", "bounds": {"a": "b"}, "figures": {}}), "parity.bounds.a"),
        (written(fallback={"from": "int8", "to": "fp32"}), "fallback.reason"),
        (written(verdicts={"fp32": "ok"}), "verdicts.fp32"),
        (written(verdicts={"fp32": {"10.3": True}}), "verdicts.fp32.10.3"),
        (nested("contract", size=[16]), "contract.size"),
        (nested("contract", size=[16, 16.5]), "contract.size"),
        (nested("contract", std=[1, 1, 0]), "contract.std"),
        (nested("contract", resize="stretch"), "contract.resize"),
        (nested("contract", mean=...), "contract.mean"),
        (nested("space", dim=0), "space.dim"),
        (nested("space", id="colours"), "space.id"),
        (nested("space", logit_scale=0), "space.logit_scale"),
        (nested("space", image_mean=None), "space.image_mean"),
        (nested("space", text_mean=[0.5]), "space.text_mean"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_value_that_means_nothing_is_refused_with_its_field(value, field):
    error = refusal(value)
    assert error.where.field == field
    assert error.code


@pytest.mark.parametrize("value", [None, [], "manifest", 1])
def test_a_manifest_is_an_object(value):
    assert refusal(value).code == "wrong_type"


def test_a_manifest_made_in_python_is_checked_like_one_that_was_read():
    for changes in ({"seen_penalty": math.nan}, {"golden": {"fp32": math.nan}}, {"precision": "int8"}):
        with pytest.raises(BundleError):
            small_manifest(**changes)


def test_a_tolerance_may_be_given_for_arithmetic_that_no_file_has():
    assert small_manifest(golden={"bf16": 0.999}).golden == {"bf16": 0.999}
