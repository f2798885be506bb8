"""Every broken input is refused with a code, a place and a hint, while a stream beside it goes on undisturbed.

The class files lie in corpus/classes, with the words of their refusals in corpus/classes.txt; run pytest with
`--update-goldens` to write the words anew. The others are made in corpus/cases.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgezsl.bundle import Bundle
from edgezsl.classes import LARGEST_FILE, ClassFile
from edgezsl.errors import ClassFileError, EdgezslError, InputError, PackError
from edgezsl.prototypes import ClassPrototypes
from edgezsl.runtime.embed_process import EmbedProcess
from edgezsl.runtime.embedder import ClassEmbedder
from edgezsl.runtime.engine import open_engine
from edgezsl.runtime.events import ClassesRefused, SourceChanged
from edgezsl.runtime.recognizer import SHORT_DIGEST
from edgezsl.runtime.sources import open_source
from edgezsl.runtime.text import SemanticCache
from tests.corpus.beside import stream_beside
from tests.corpus.cases import (
    BUNDLES,
    LARGE_CLASS_FILES,
    PACKS,
    SOURCES,
    class_file_folder,
    pack,
    source_folder,
)
from tests.factories import colour_prototypes

CORPUS = Path(__file__).parent / "corpus"
GOLDENS = CORPUS / "classes.txt"
CLASS_FILES = {path.stem: path.read_bytes() for path in sorted((CORPUS / "classes").glob("*.yaml"))} | LARGE_CLASS_FILES


@pytest.fixture(scope="module")
def stream(small_bundle):
    with stream_beside(small_bundle, colour_prototypes()) as running:
        yield running


@pytest.fixture(scope="module")
def embedder(small_bundle):
    process = EmbedProcess(small_bundle)
    yield process
    process.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of pictures, good and bad, for class files that ask for them."""
    copied = tmp_path_factory.mktemp("corpus") / "classes"
    shutil.copytree(CORPUS / "classes", copied)
    return class_file_folder(copied)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return source_folder(tmp_path_factory.mktemp("sources"))


def refusal(act):
    """Return the error that `act` is refused with: one of ours, with a code, a place, and what to do."""
    with pytest.raises(EdgezslError) as caught:
        act()
    fault = caught.value
    assert fault.code
    assert str(fault.where)
    assert fault.hint
    assert len(str(fault)) < 1_000
    assert str(fault).isprintable()
    return fault


def golden_block(name, fault):
    """Return a refusal as the golden file words it."""
    parts = {"code": fault.code, "field": fault.where.field, "what": fault.message, "expected": fault.expected}
    lines = [f"{name}.yaml:{fault.where.line or '-'}"]
    lines += [f"    {part:<9}{text}" for part, text in (parts | {"hint": fault.hint}).items() if text]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def goldens(request):
    """The golden blocks by name; those that a test sets are written back under `--update-goldens`."""
    blocks = dict(CLASS_FILES.fromkeys(CLASS_FILES))
    for block in GOLDENS.read_text().split("\n\n") if GOLDENS.exists() else []:
        blocks[block.partition(".yaml:")[0].strip()] = block.strip("\n")
    yield blocks
    if request.config.getoption("--update-goldens", default=False):
        GOLDENS.write_text("\n\n".join(blocks[name] or name for name in CLASS_FILES) + "\n")


@pytest.mark.parametrize("name", CLASS_FILES)
def test_a_broken_class_file_is_refused_in_these_words(name, embedder, folder, goldens, stream, request):
    file = f"{name}.yaml"
    fault = refusal(lambda: embedder.embed(CLASS_FILES[name], file=file, folder=folder))
    assert isinstance(fault, ClassFileError)
    assert fault.where.file == file
    assert fault.where.line or fault.code in {"empty", "too_large"}
    words = golden_block(name, fault).replace(str(folder), "FOLDER")
    if request.config.getoption("--update-goldens", default=False):
        goldens[name] = words
    assert words == goldens[name]
    told = stream.told(fault, file)
    assert isinstance(told, ClassesRefused)
    assert told.error is fault


def test_the_golden_words_are_of_the_files_that_there_are(goldens):
    assert set(goldens) == set(CLASS_FILES)


def test_a_good_class_file_is_taken_after_all_the_broken_ones(embedder, folder):
    taken = embedder.embed(b"- red\n- {name: rose, examples: [red.png]}\n", file="good.yaml", folder=folder)
    assert taken.names == ("red", "rose")


UNREADABLE = {
    "missing": (lambda path: path.parent.mkdir(), "not_found"),
    "in-a-file": (lambda path: path.parent.write_text("not a folder"), "not_found"),
    "a-folder": (lambda path: path.mkdir(parents=True), "not_a_file"),
    "a-pipe": (lambda path: (path.parent.mkdir(), os.mkfifo(path)), "not_a_file"),
    "a-device": (lambda path: (path.parent.mkdir(), path.symlink_to("/dev/zero")), "not_a_file"),
    "a-link-to-itself": (lambda path: (path.parent.mkdir(), path.symlink_to(path.name)), "not_a_file"),
    "a-link-to-nothing": (lambda path: (path.parent.mkdir(), path.symlink_to("gone")), "not_found"),
    "too-large": (lambda path: (path.parent.mkdir(), path.write_bytes(b"#" * (LARGEST_FILE + 1))), "too_large"),
    "empty": (lambda path: (path.parent.mkdir(), path.touch()), "empty"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_as_a_class_file_is_refused(name, tmp_path, stream):
    path = tmp_path / "folder" / "classes.yaml"
    make, code = UNREADABLE[name]
    make(path)
    fault = refusal(lambda: ClassFile.open(path))
    assert (type(fault), fault.code, fault.where.file) == (ClassFileError, code, str(path))
    assert stream.still_answers()


def test_a_good_pack_is_read(small_bundle):
    assert ClassPrototypes.from_bytes(pack(), small_bundle.manifest.space, file="good").names == ("red", "green")


@pytest.mark.parametrize("name", PACKS)
def test_a_broken_pack_is_refused(name, small_bundle, stream):
    data, code = PACKS[name]
    file = f"{name}.safetensors"
    fault = refusal(lambda: ClassPrototypes.from_bytes(data, small_bundle.manifest.space, file=file))
    assert isinstance(fault, InputError)
    assert (fault.code, fault.where.file) == (code, file)
    assert stream.told(fault, file).error is fault


@pytest.mark.parametrize("name", ["missing", "a-folder", "a-pipe", "a-device", "a-link-to-itself"])
def test_what_cannot_be_read_as_a_pack_is_refused(name, tmp_path, small_bundle, stream):
    path = tmp_path / "folder" / "classes.safetensors"
    make, code = UNREADABLE[name]
    make(path)
    fault = refusal(lambda: ClassPrototypes.read(path, small_bundle.manifest.space))
    assert (type(fault), fault.code, fault.where.file) == (PackError, code, str(path))
    assert stream.still_answers()


def use(folder):
    """Open a bundle, its engine, and embed a word with it: what a station does before its first frame."""
    bundle = Bundle.open(folder)
    open_engine(bundle, "onnx", threads=1)
    ClassEmbedder(bundle, SemanticCache(), threads=1).embed(ClassFile.parse(b"- red", file="c.yaml"), folder)


def test_a_copied_bundle_can_be_used(small_bundle, tmp_path):
    use(shutil.copytree(small_bundle.folder, tmp_path / "copy"))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_broken_bundle_is_refused(name, small_bundle, tmp_path, stream):
    folder = shutil.copytree(small_bundle.folder, tmp_path / "bundle")
    BUNDLES[name].break_it(folder)
    fault = refusal(lambda: use(folder))
    assert fault.code == BUNDLES[name].code
    assert fault.where.file.startswith(str(folder))
    assert stream.still_answers()


@pytest.mark.parametrize("name", SOURCES)
def test_a_broken_source_is_refused(name, sources, stream):
    uri, code = SOURCES[name]
    fault = refusal(lambda: open_source(uri.replace("{folder}", str(sources)), timeout_s=2.0))
    assert fault.code == code
    assert stream.still_answers()


def test_the_stream_beside_all_this_answered_by_the_same_classes(stream):
    assert stream.still_answers()
    assert stream.digests == {colour_prototypes().digest[:SHORT_DIGEST]}
    assert {type(event) for event in stream.events} <= {SourceChanged, ClassesRefused}
    assert [event.type for event in stream.events if isinstance(event, SourceChanged)] == ["source_opened"]


def test_the_corpus_is_as_large_as_was_promised():
    assert len(CLASS_FILES) + len(UNREADABLE) + len(PACKS) + len(BUNDLES) + len(SOURCES) >= 80
