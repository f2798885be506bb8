import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from edgezsl.bundle import GOLDEN, LEAST_GOLDEN_FRAMES, MANIFEST, TOKENIZER, Bundle, GoldenSet
from edgezsl.errors import BundleError, ContractError, InputError
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.recognizer import Recognizer
from tests.factories import (
    bundle_files,
    colour_frame,
    colour_prototypes,
    golden_frames,
    small_manifest,
    write_small_bundle,
)

FROZEN = Path(__file__).parent / "data" / "bundles" / "v1"


@pytest.fixture
def copy(small_bundle, tmp_path):
    """A copy of the small bundle's folder, to be damaged."""
    return Path(shutil.copytree(small_bundle.folder, tmp_path / "copy"))


def refusal(call):
    with pytest.raises(BundleError) as caught:
        call()
    return caught.value


def contents(folder):
    """Return the bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewrite_manifest(folder, change):
    """Write the manifest again after `change(value)`."""
    path = folder / MANIFEST
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(canonical_json(value))


# --- opening ---


def test_a_bundle_opens_and_is_named_by_the_digest_of_its_manifest(small_bundle):
    bundle = Bundle.open(small_bundle.folder)
    assert bundle.digest == sha256_hex((small_bundle.folder / MANIFEST).read_bytes())
    assert bundle.manifest.name == "colours"
    for name, data in contents(small_bundle.folder).items():
        if name != MANIFEST:
            assert bundle.has(name)
            assert bundle.read(name) == data


def test_a_bundle_may_lie_anywhere_and_be_opened_through_a_link(copy, tmp_path):
    copy.rename(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert Bundle.open(tmp_path / "link").digest == Bundle.open(tmp_path / "elsewhere").digest


def test_an_old_bundle_stays_readable_and_gives_its_old_answers():
    bundle = Bundle.open(FROZEN)
    recognizer = Recognizer(open_engine(bundle, "onnx", threads=1), bundle.manifest.contract, colour_prototypes())
    region = recognizer.recognize(colour_frame("cyan")).regions[0]
    recognizer.close()
    assert bundle.manifest.files.keys() == set(contents(FROZEN)) - {MANIFEST}
    assert region.decision == "cyan"
    assert region.top[0].score == pytest.approx(1, abs=1e-5)


DAMAGE = {
    "missing": (lambda folder: (folder / TOKENIZER).unlink(), "tokenizer.json is missing"),
    "extra": (lambda folder: (folder / "notes.txt").touch(), "'notes.txt' is not listed"),
    "hidden": (lambda folder: (folder / ".DS_Store").touch(), "'.DS_Store' is not listed"),
    "folder": (lambda folder: (folder / "more").mkdir(), "'more' is not listed"),
    "altered": (lambda folder: flip(folder / TOKENIZER), "tokenizer.json has another digest"),
    "truncated": (lambda folder: cut(folder / TOKENIZER), "tokenizer.json has 100 bytes, the manifest says"),
    "longer": (lambda folder: lengthen(folder / TOKENIZER), "tokenizer.json has"),
    "linked": (lambda folder: link(folder / TOKENIZER), "tokenizer.json is not a regular file"),
    "dangling": (lambda folder: dangle(folder / TOKENIZER), "tokenizer.json is not a regular file"),
    "fifo": (lambda folder: fifo(folder / TOKENIZER), "tokenizer.json is not a regular file"),
    "directory": (lambda folder: directory(folder / TOKENIZER), "tokenizer.json is not a regular file"),
}


def flip(path):
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b" ")


def link(path):
    path.symlink_to(path.rename(path.parent.parent / "outside"))


def dangle(path):
    path.unlink()
    path.symlink_to("nowhere")


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_bundle_that_differs_from_its_manifest_is_refused_by_file(copy, damage, said):
    damage(copy)
    error = refusal(lambda: Bundle.open(copy))
    assert (error.code, error.where.file) == ("altered", str(copy))
    assert said in str(error)
    assert error.hint


def test_all_differences_stand_in_one_message(copy):
    (copy / TOKENIZER).unlink()
    (copy / "notes.txt").touch()
    flip(copy / GOLDEN)
    cut(copy / "semantic_map.onnx")
    message = str(refusal(lambda: Bundle.open(copy)))
    for said in ("tokenizer.json is missing", "'notes.txt' is not listed", "golden.safetensors has", "semantic_map"):
        assert said in message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda value: value.update(format="edgezsl-bundle/2"), "unknown_format"),
        (lambda value: value.update(later=1), "unknown_key"),
        (lambda value: value["space"].update(later=1), "unknown_key"),
        (lambda value: value.pop("space"), "missing_key"),
        (lambda value: value["files"].pop(TOKENIZER), "altered"),
        (lambda value: value.update(files={}), "altered"),
        (lambda value: value["files"].pop("image_encoder.fp32.onnx"), "bad_manifest"),
        (lambda value: value["files"].update({MANIFEST: value["files"][TOKENIZER]}), "altered"),
        (lambda value: value["files"].update({"../outside": value["files"][TOKENIZER]}), "bad_manifest"),
    ],
)
def test_a_manifest_that_says_what_this_version_does_not_know_is_refused(copy, change, code):
    rewrite_manifest(copy, change)
    error = refusal(lambda: Bundle.open(copy))
    assert error.code == code
    assert error.where.file.startswith(str(copy))


def test_a_fault_in_the_contract_is_found_in_the_bundle_s_manifest(copy):
    rewrite_manifest(copy, lambda value: value["contract"].update(size=[0, 16]))
    with pytest.raises(ContractError) as caught:
        Bundle.open(copy)
    assert caught.value.where.file == str(copy / MANIFEST)
    assert caught.value.where.field == "contract.size"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"{}", "missing_key"),
        (b"[]", "wrong_type"),
        (b"\xff\xfe", "not_json"),
        (b"{" * 100_000, "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"format": "a", "format": "b"}', "duplicate_key"),
        (b" " * ((16 << 20) + 1), "too_large"),
    ],
    ids=lambda part: repr(part[:12]),
)
def test_a_manifest_that_is_none_is_refused(copy, data, code):
    (copy / MANIFEST).write_bytes(data)
    error = refusal(lambda: Bundle.open(copy))
    assert (error.code, error.where.file) == (code, str(copy / MANIFEST))


def test_a_manifest_that_is_a_link_is_refused(copy):
    link(copy / MANIFEST)
    assert refusal(lambda: Bundle.open(copy)).code == "not_a_file"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("absent", "not_a_bundle"),
        ("file", "not_a_bundle"),
        ("a\0b", "not_a_bundle"),
        ("empty", "not_a_bundle"),
        ("a" * 300, "not_readable"),
    ],
)
def test_what_is_no_bundle_is_refused_with_its_path(tmp_path, name, code):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    error = refusal(lambda: Bundle.open(tmp_path / name))
    assert error.code == code
    assert error.where.file == str(tmp_path / name)


def opened_or_error(folder):
    try:
        return Bundle.open(folder)
    except (BundleError, ContractError) as error:
        return error


def test_random_damage_to_any_file_is_noticed(copy):
    chance, whole = random.Random(7), contents(copy)
    digest = Bundle.open(copy).digest
    for _ in range(60):
        name = chance.choice(sorted(whole))
        data = bytearray(whole[name])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (copy / name).write_bytes(data)
        outcome = opened_or_error(copy)
        (copy / name).write_bytes(whole[name])
        # A bit of a word that only people read may flip in the manifest; then the bundle has another digest.
        assert isinstance(outcome, InputError) or (name == MANIFEST and outcome.digest != digest)
    assert Bundle.open(copy).digest == digest


# --- reading ---


def test_reading_notices_a_change_since_the_bundle_was_opened(copy):
    bundle = Bundle.open(copy)
    flip(copy / TOKENIZER)
    error = refusal(lambda: bundle.read(TOKENIZER))
    assert (error.code, error.where.file) == ("altered", str(copy / TOKENIZER))


@pytest.mark.parametrize(
    "damage", [cut, link, dangle, fifo, directory, Path.unlink], ids=lambda damage: damage.__name__
)
def test_reading_refuses_a_file_that_was_replaced(copy, damage):
    bundle = Bundle.open(copy)
    damage(copy / TOKENIZER)
    assert refusal(lambda: bundle.read(TOKENIZER)).where.file == str(copy / TOKENIZER)


def test_reading_never_reads_more_than_the_manifest_promises(copy):
    bundle = Bundle.open(copy)
    lengthen(copy / TOKENIZER)
    assert refusal(lambda: bundle.read(TOKENIZER)).code == "too_large"


@pytest.mark.parametrize("name", ["absent.onnx", MANIFEST, "../colours/tokenizer.json", "/etc/passwd"])
def test_only_listed_files_can_be_read(small_bundle, name):
    assert not small_bundle.has(name)
    assert refusal(lambda: small_bundle.read(name)).code == "no_such_file"


# --- writing ---


def test_writing_replaces_the_bundle_that_stood_there_and_leaves_nothing_beside_it(tmp_path):
    folder = tmp_path / "bundle"
    write_small_bundle(folder)
    bundle = write_small_bundle(folder, name="second")
    assert bundle.manifest.name == "second"
    assert Bundle.open(folder) == bundle
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_writing_makes_the_folders_above(tmp_path):
    assert write_small_bundle(tmp_path / "a" / "b").folder == tmp_path / "a" / "b"


def test_an_empty_folder_may_become_a_bundle(tmp_path):
    (tmp_path / "bundle").mkdir()
    assert write_small_bundle(tmp_path / "bundle").manifest.name == "colours"


def test_writing_never_removes_what_is_not_a_bundle(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    (tmp_path / "file").write_text("a file")
    before = sorted(tmp_path.rglob("*"))
    for name in ("home", "link", "file"):
        assert refusal(lambda name=name: write_small_bundle(tmp_path / name)).code == "not_a_bundle"
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


FOREIGN = {
    "a browser extension": lambda folder: (folder / MANIFEST).write_text('{"manifest_version": 3, "name": "mine"}'),
    "a format that is a number": lambda folder: (folder / MANIFEST).write_text('{"format": 1, "files": {}}'),
    "a class pack's format": lambda folder: rewrite_manifest(folder, lambda v: v.update(format="edgezsl-classes/1")),
    "a list": lambda folder: (folder / MANIFEST).write_text("[]"),
    "no JSON": lambda folder: (folder / MANIFEST).write_text("notes"),
    "no list of files": lambda folder: rewrite_manifest(folder, lambda value: value.update(files=[TOKENIZER])),
    "a manifest that is a link": lambda folder: link(folder / MANIFEST),
    "a bundle with notes": lambda folder: (folder / "notes.txt").write_text("years of work"),
    "a bundle with a hidden file": lambda folder: (folder / ".git").write_text("years of work"),
    "a bundle with a file that it does not list": lambda folder: rewrite_manifest(
        folder, lambda value: value["files"].pop(TOKENIZER)
    ),
    "a bundle with a folder": lambda folder: directory(folder / TOKENIZER),
}


@pytest.mark.parametrize("make_foreign", FOREIGN.values(), ids=FOREIGN)
def test_writing_removes_no_folder_that_holds_more_than_a_bundle(copy, make_foreign):
    make_foreign(copy)
    before = everything(copy)
    error = refusal(lambda: write_small_bundle(copy, name="second"))
    assert (error.code, error.where.file) == ("not_a_bundle", str(copy))
    assert everything(copy) == before
    assert error.expected
    assert error.hint


def everything(folder):
    """Return what lies in a folder, with the bytes of the files."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("names", "said"),
    [(("notes.txt",), "'notes.txt'"), ([f"{number}.txt" for number in range(9)], "'4.txt' and 4 more")],
    ids=["one", "many"],
)
def test_the_refusal_to_write_names_what_would_be_lost(copy, names, said):
    for name in names:
        (copy / name).touch()
    message = str(refusal(lambda: write_small_bundle(copy)))
    assert said in message
    assert TOKENIZER not in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / TOKENIZER),
        lambda folder: cut(folder / GOLDEN),
        lambda folder: (folder / TOKENIZER).unlink(),
        lambda folder: link(folder / TOKENIZER),
        lambda folder: dangle(folder / TOKENIZER),
        lambda folder: rewrite_manifest(folder, lambda value: value.pop("space")),
        lambda folder: rewrite_manifest(folder, lambda value: value.update(format="edgezsl-bundle/2")),
    ],
    ids=["altered", "truncated", "missing", "linked", "dangling", "a broken manifest", "a later version"],
)
def test_a_damaged_bundle_may_be_replaced(copy, damage):
    damage(copy)
    assert write_small_bundle(copy, name="second").manifest.name == "second"
    assert Bundle.open(copy).manifest.name == "second"


def test_replacing_a_damaged_bundle_leaves_what_a_link_in_it_points_to(copy):
    link(copy / TOKENIZER)
    write_small_bundle(copy)
    assert (copy.parent / "outside").read_bytes() == (copy / TOKENIZER).read_bytes()


def test_a_bundle_is_written_into_the_working_directory_only_if_it_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    assert refusal(lambda: write_small_bundle(Path())).code == "not_a_bundle"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tokenizer.json": b"{}"},
        {"image_encoder.fp32.onnx": b"x", "../outside": b"x"},
        {"image_encoder.fp32.onnx": b"x", "a/b": b"x"},
        {"image_encoder.fp32.onnx": b"x", MANIFEST: b"{}"},
    ],
    ids=str,
)
def test_a_write_that_fails_leaves_the_old_bundle_and_nothing_else(tmp_path, files):
    old = write_small_bundle(tmp_path / "bundle")
    refusal(lambda: Bundle.write(tmp_path / "bundle", small_manifest(name="new"), files))
    assert Bundle.open(tmp_path / "bundle") == old
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    error = refusal(lambda: write_small_bundle(tmp_path / "file" / "bundle"))
    assert error.code == "not_writable"


WRITER = """
import sys
from pathlib import Path
from tests.factories import write_small_bundle
write_small_bundle(Path(sys.argv[1]))
"""


def test_two_processes_in_two_folders_write_byte_identical_bundles(small_bundle, tmp_path):
    root = str(Path(__file__).parents[1])
    for seed in ("1", "2"):
        folder = tmp_path / f"in{seed}"
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", WRITER, "bundle"],
            check=True,
            cwd=folder,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
        )
    first, second = contents(tmp_path / "in1" / "bundle"), contents(tmp_path / "in2" / "bundle")
    assert first == second == contents(small_bundle.folder)


def test_a_bundle_holds_no_path_of_the_machine_that_made_it(small_bundle):
    for name, data in contents(small_bundle.folder).items():
        assert str(small_bundle.folder.parent).encode() not in data, name
        assert str(Path(__file__).parents[1]).encode() not in data, name


# --- the golden set ---


def test_the_golden_set_has_enough_frames_and_one_of_another_size(small_bundle):
    golden = small_bundle.golden()
    assert len(golden.frames) >= LEAST_GOLDEN_FRAMES
    assert {frame.shape for frame in golden.frames} > {(16, 16, 3)}
    for frame, expected in zip(golden.frames, golden_frames(), strict=True):
        assert np.array_equal(frame, expected)
    assert golden.embeddings.keys() == {"fp32"}
    np.testing.assert_allclose(golden.scores, golden.embeddings["fp32"] @ golden.prototypes.T, atol=1e-6)


def test_the_golden_set_reads_back_as_itself(small_bundle):
    data = small_bundle.read(GOLDEN)
    assert GoldenSet.from_bytes(data, small_bundle.manifest, file="golden").to_bytes() == data


def golden_tensors(**changes):
    """Return the golden set's tensors, with changes; None removes one."""
    tensors = load(bundle_files(small_manifest())[GOLDEN]) | changes
    return {name: array for name, array in tensors.items() if array is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": None},
        {"prototypes": None},
        {"embeddings.fp32": None},
        {"embeddings.int8": np.zeros((32, 6), np.float32)},
        {"extra": np.zeros(1, np.float32)},
        {"frame.000": None},
        {"frame.000": np.zeros((16, 16, 3), np.float32)},
        {"frame.000": np.zeros((16, 16), np.uint8)},
        {"frame.000": np.zeros((16, 16, 4), np.uint8)},
        {"frame.000": np.zeros((0, 16, 3), np.uint8)},
        {"embeddings.fp32": np.zeros((32, 6), np.float32)},
        {"embeddings.fp32": np.full((32, 6), np.nan, np.float32)},
        {"embeddings.fp32": np.ones((32, 6))},
        {"embeddings.fp32": np.ones((32, 7), np.float32)},
        {"embeddings.fp32": np.ones((31, 6), np.float32)},
        {"prototypes": np.ones((8, 7), np.float32)},
        {"prototypes": np.ones(8, np.float32)},
        {"scores": np.ones((32, 9), np.float32)},
        {"scores": np.full((32, 8), np.inf, np.float32)},
        {"scores": np.ones((32, 8), np.float32)},
        {"scores": np.zeros((32, 8), np.float32)},
        {"prototypes": np.ones((), np.float32)},
        {"prototypes": np.ones((8, 6), np.float32)},
        {"prototypes": np.full((8, 6), 3e38, np.float32)},
        {"frame.030": np.zeros((16, 16, 3), np.uint8), "frame.031": np.zeros((16, 16, 3), np.uint8)},
    ],
    ids=lambda changes: " ".join(f"{name}={getattr(array, 'shape', array)}" for name, array in changes.items()),
)
def test_a_golden_set_that_proves_nothing_is_refused(changes):
    error = refusal(lambda: GoldenSet.from_bytes(save(golden_tensors(**changes)), small_manifest(), file="golden"))
    assert (error.code, error.where.file) == ("bad_golden", "golden")
    assert error.expected


def test_one_golden_frame_of_another_size_is_enough():
    data = save(golden_tensors(**{"frame.030": np.zeros((16, 16, 3), np.uint8)}))
    assert len(GoldenSet.from_bytes(data, small_manifest(), file="golden").frames) == LEAST_GOLDEN_FRAMES


@pytest.mark.parametrize("scale", [1, 1000])
def test_golden_scores_may_differ_from_the_product_by_a_thousandth_of_the_largest(scale):
    tensors = golden_tensors()
    prototypes, scores = scale * tensors["prototypes"], scale * tensors["scores"]
    largest, changed = np.abs(scores).max(), scores.copy()
    for share, accepted in ((0.0009, True), (0.0011, False)):
        changed.flat[np.abs(scores).argmin()] = np.abs(scores).min() + share * largest
        data = save(tensors | {"prototypes": prototypes, "scores": changed})
        outcome = read_or_code(data)
        assert outcome == ("read" if accepted else "bad_golden")


def read_or_code(data):
    try:
        GoldenSet.from_bytes(data, small_manifest(), file="golden")
    except BundleError as error:
        return error.code
    return "read"


def test_golden_scores_are_those_of_the_first_precision():
    manifest = small_manifest(image_encoders={"fp32": "image_encoder.fp32.onnx", "int8": "image_encoder.int8.onnx"})
    tensors = golden_tensors()
    rough = (tensors["embeddings.fp32"] + 0.1).astype(np.float32)
    golden = GoldenSet.from_bytes(save(tensors | {"embeddings.int8": rough}), manifest, file="golden")
    assert golden.embeddings.keys() == {"fp32", "int8"}
    error = refusal(
        lambda: GoldenSet.from_bytes(
            save(tensors | {"embeddings.int8": rough, "scores": rough @ tensors["prototypes"].T}),
            manifest,
            file="golden",
        )
    )
    assert "embeddings.fp32" in str(error)


def test_the_golden_set_of_a_frozen_bundle_reads():
    golden = Bundle.open(FROZEN).golden()
    assert len(golden.frames) >= LEAST_GOLDEN_FRAMES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        bundle_files(small_manifest())[GOLDEN][:-1],
        bundle_files(small_manifest())[GOLDEN].replace(b'"F32"', b'"I32"', 1).replace(b'"I32"', b'"BF16"', 1),
        b'\x36\0\0\0\0\0\0\0{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}\0\0',
    ],
    ids=["empty", "garbage", "truncated", "broken header", "a type that numpy lacks"],
)
def test_a_damaged_golden_set_is_refused(data):
    error = refusal(lambda: GoldenSet.from_bytes(data, small_manifest(), file="golden"))
    assert error.code in {"damaged", "bad_golden"}


def test_a_bundle_without_a_golden_set_says_so(tmp_path):
    manifest = small_manifest()
    files = {name: data for name, data in bundle_files(manifest).items() if name != GOLDEN}
    bundle = Bundle.write(tmp_path / "bundle", manifest, files)
    assert refusal(bundle.golden).code == "no_such_file"
