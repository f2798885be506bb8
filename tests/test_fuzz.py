"""Whatever the bytes, a class file is taken as another reader understands it, or refused with code, place and hint."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import yaml

from edgezsl.errors import InputError
from edgezsl.names import canonical_name
from edgezsl.runtime.embed_process import EmbedProcess
from tests.factories import colour_frame, small_manifest, write_small_bundle
from tests.mutations import GOOD_FILES, mutants

SEED = 20251123
OF_THE_WHOLE_FILE = {"empty", "too_large"}  # refusals that have no line
UNREAD = "taken, and refused by the other reader, which knows YAML 1.1 only"
REFERENCES = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken, yaml.DirectiveToken)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle whose template gives every name a direction, so that what the reader takes is embedded too."""
    semantics = replace(small_manifest().semantics, templates=("the {} thing",))
    return write_small_bundle(tmp_path_factory.mktemp("fuzz") / "bundle", semantics=semantics)


@pytest.fixture
def embedder(bundle):
    process = EmbedProcess(bundle)
    yield process
    process.close()


@pytest.fixture
def folder(tmp_path):
    import cv2

    (tmp_path / "pictures").mkdir()
    for path in (tmp_path / "red.png", tmp_path / "pictures" / "red.png"):
        cv2.imwrite(str(path), colour_frame("red")[..., ::-1])
    return tmp_path


def as_pyyaml_reads_it(data):
    """Return the file's own fields and its classes, as PyYAML's pure Python loader composes them: text everywhere."""
    tree = yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506  # BaseLoader makes nothing but text, lists and dicts
    tree = {"classes": tree} if isinstance(tree, list) else tree
    if "names" in tree:
        names = tree.pop("names")
        tree["classes"] = [names[key] for key in sorted(names, key=int)] if isinstance(names, dict) else names
    return tree, [{"name": entry} if isinstance(entry, str) else entry for entry in tree["classes"]]


def check_taken(data, classes):
    """Check a class set against the other reader, and against what no class file may say."""
    assert not any(isinstance(token, REFERENCES) for token in yaml.scan(data, Loader=yaml.BaseLoader))
    tree, entries = as_pyyaml_reads_it(data)
    assert list(classes.names) == [canonical_name(entry["name"]) for entry in entries]
    assert len(set(classes.names)) == len(entries)
    assert classes.negative.tolist() == [entry.get("negative") == "true" for entry in entries]
    thresholds = [float(entry.get("threshold", "nan")) for entry in entries]
    np.testing.assert_array_equal(classes.thresholds, np.array(thresholds, np.float32))
    assert classes.reject == (float(tree["reject"]) if "reject" in tree else None)
    assert classes.seen_penalty == float(tree.get("seen_penalty", 0))
    np.testing.assert_allclose(np.linalg.norm(classes.vectors, axis=1), 1, atol=1e-3)
    for row, entry in enumerate(entries):
        if "vector" in entry:
            np.testing.assert_array_equal(classes.vectors[row], np.array(entry["vector"], np.float32))


def check_refused(fault, file):
    assert fault.code
    assert fault.hint
    assert fault.where.file == file
    assert fault.where.line or fault.code in OF_THE_WHOLE_FILE
    assert str(fault).isprintable()
    assert len(str(fault)) < 1_000


def outcomes(embedder, folder, seed, count):
    """Feed `count` mutants to one child, check each outcome, and count them by code."""
    embedder.embed(GOOD_FILES[0], file="good.yaml", folder=folder)
    pid, counts = embedder.pid, Counter()
    for number, data in enumerate(mutants(seed, count)):
        file = f"mutant-{number}.yaml"
        try:
            classes = embedder.embed(data, file=file, folder=folder)
        except InputError as fault:
            check_refused(fault, file)
            counts[fault.code] += 1
        else:
            counts["taken"] += 1
            try:
                check_taken(data, classes)
            except yaml.YAMLError:  # a tab between two words, a question mark at a word's end: YAML since 1.2
                counts[UNREAD] += 1
        assert embedder.pid == pid, f"the child died of mutant {number} of seed {seed}: {data!r}"
    assert counts[UNREAD] <= count // 100
    return counts


@pytest.mark.parametrize("data", GOOD_FILES)
def test_the_files_that_mutants_are_made_of_are_good(data, embedder, folder):
    check_taken(data, embedder.embed(data, file="good.yaml", folder=folder))


def test_mutants_are_the_same_in_every_run():
    assert list(mutants(1, 50)) == list(mutants(1, 50))
    assert list(mutants(1, 50)) != list(mutants(2, 50))


def test_a_mutant_is_taken_as_another_reader_understands_it_or_refused_with_its_place(embedder, folder):
    counts = outcomes(embedder, folder, SEED, 300)
    # Neither arm of the test is empty, and the refusals are of many kinds.
    assert 30 <= counts["taken"] <= 270
    assert len(counts) > 10


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_mutants_leave_one_child_alive(seed, embedder, folder):
    counts = outcomes(embedder, folder, seed, 1_000)
    assert 100 <= counts["taken"] <= 900
