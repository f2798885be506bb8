"""What is allowed and probably not meant is named, with its line and with what to do about it."""

from __future__ import annotations

import numpy as np
import pytest

from edgezsl.bundle import SEMANTIC_MAP, Bundle
from edgezsl.classes import ClassFile
from edgezsl.errors import ClassFileError
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.lint import Finding, _pairs_above, lint
from edgezsl.runtime.text import SemanticCache
from tests.factories import (
    TOKEN_LIMIT,
    bundle_files,
    semantic_map,
    small_manifest,
    small_space,
    write_small_bundle,
)

GOOD = "reject: 0.2\nclasses: [red, green, blue]\n"


@pytest.fixture(scope="module")
def embedder(small_bundle):
    opened = ClassEmbedder(small_bundle, SemanticCache(), threads=1)
    yield opened
    opened.close()


def findings(embedder, text, **options):
    class_file = ClassFile.parse(text.encode(), file="classes.yaml")
    return lint(class_file, embedder.bundle.folder, embedder, **options)


def codes(embedder, text, **options):
    return [(finding.code, finding.line) for finding in findings(embedder, text, **options)]


def test_a_file_as_it_should_be_gives_no_advice(embedder):
    assert findings(embedder, GOOD) == ()


def test_two_classes_that_the_model_cannot_tell_apart_are_named_with_both_lines(embedder):
    text = (
        "reject: 0.2\nclasses:\n  - red\n  - blue\n  - {name: crimson, synonyms: [red], descriptions: [a red thing]}\n"
    )
    (found,) = findings(embedder, text)
    assert (found.code, found.line) == ("near_duplicate", 5)
    assert "'crimson' and 'red' (line 3)" in found.message
    assert "cosine" in found.message
    assert found.hint


def test_the_cosine_from_which_classes_count_as_near_can_be_chosen(embedder):
    assert codes(embedder, GOOD, near=-1.0) == [("near_duplicate", 2)] * 3
    assert codes(embedder, GOOD, near=0.9999) == []


def test_near_duplicates_are_found_across_kinds(embedder):
    vector = ", ".join(str(value) for value in embedder.embed(ClassFile.parse(b"- red", file="c"), None).vectors[0])
    text = f"reject: 0.2\nclasses:\n  - red\n  - {{name: kept, vector: [{vector}]}}\n"
    assert codes(embedder, text) == [("near_duplicate", 4)]


def test_pairs_are_found_in_every_block_and_no_class_beside_itself():
    rows = np.eye(1500, dtype=np.float32)
    rows[1400], rows[1499] = rows[10], rows[1200]
    assert _pairs_above(rows, 0.95) == [(10, 1400, 1.0), (1200, 1499, 1.0)]


def test_advice_on_a_file_of_copies_stays_readable(embedder):
    text = "reject: 0.2\nclasses:\n" + "".join(f"  - red {number}\n" for number in range(40))
    assert len(findings(embedder, text)) == 100


def test_a_text_that_the_model_would_cut_is_named(embedder):
    long = " ".join(["a red thing of the colour"] * 4)
    text = f"reject: 0.2\nclasses:\n  - blue\n  - name: red\n    descriptions: [{long}]\n"
    (found,) = findings(embedder, text)
    assert (found.code, found.line) == ("text_too_long", 4)
    assert "24 tokens" in found.message
    assert f"reads {TOKEN_LIMIT}" in found.message


def test_a_template_counts_towards_the_length_of_a_text(embedder):
    template = "a photo of the colour of a thing of a {}"
    assert codes(embedder, f'reject: 0.2\ntemplates: ["{template}"]\nclasses: [red, blue]') == []
    assert codes(embedder, f'reject: 0.2\ntemplates: ["{template} a photo of"]\nclasses: [red, blue]') == [
        ("text_too_long", 3),
        ("text_too_long", 3),
    ]


def test_a_file_in_which_every_frame_gets_a_class_is_pointed_out(embedder):
    assert codes(embedder, "- red\n- blue\n") == [("no_threshold", None)]
    for remedy in ("- {name: green, negative: true}", "- {name: green, threshold: 0.3}"):
        assert codes(embedder, f"- red\n- blue\n{remedy}\n") == []


def test_one_class_alone_is_pointed_out(embedder):
    (found,) = findings(embedder, "reject: 0.2\nclasses: [red]")
    assert (found.code, found.line) == ("one_class", None)
    assert "probability" in found.message


def test_a_threshold_that_no_cosine_reaches_is_named_with_its_line(embedder):
    assert codes(embedder, "reject: 25\nclasses: [red, blue]") == [("odd_threshold", None)]
    text = "classes:\n  - red\n  - name: blue\n    threshold: -1.5\n"
    assert codes(embedder, text) == [("odd_threshold", 4)]
    assert codes(embedder, "reject: 1\nclasses: [red, blue]") == []


def test_where_scores_are_no_cosines_any_threshold_is_fine(tmp_path):
    bundle = write_small_bundle(tmp_path / "bundle", space=small_space(similarity="dot"))
    embedder = ClassEmbedder(bundle, SemanticCache(), threads=1)
    assert codes(embedder, "reject: 25\nclasses: [red, blue]") == []


def test_a_bias_of_a_class_moves_what_a_threshold_may_be(tmp_path):
    manifest = small_manifest()
    files = bundle_files(manifest) | {SEMANTIC_MAP: semantic_map(with_bias=True)}
    embedder = ClassEmbedder(Bundle.write(tmp_path / "bundle", manifest, files), SemanticCache(), threads=1)
    assert codes(embedder, "reject: 1.2\nclasses: [red, blue]") == []
    (found,) = findings(embedder, "reject: 25\nclasses: [red, blue]")
    assert found.code == "odd_threshold"
    assert "between -0.75 and 1.25" in found.message


def test_what_is_refused_is_refused_by_lint_too(embedder):
    with pytest.raises(ClassFileError, match="stripes"):
        findings(embedder, "- {name: zebra, attributes: {stripes: 1}}")


def test_a_finding_is_an_object_for_programs():
    finding = Finding("one_class", 3, "what", "hint")
    assert finding.to_json() == {"code": "one_class", "line": 3, "message": "what", "hint": "hint"}
