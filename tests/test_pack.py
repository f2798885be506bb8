import json
import os
import random
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgezsl.contract import EmbeddingSpace
from edgezsl.errors import EdgezslError, PackError, SpaceMismatchError
from edgezsl.names import canonical_name, name_fault
from edgezsl.pack import LARGEST_HEADER, PACK_FORMAT
from edgezsl.prototypes import ClassPrototypes
from edgezsl.records import canonical_json, sha256_hex
from tests.factories import colour_prototypes, small_space

SPACE = EmbeddingSpace("c0ffee00", 4, "dot")
COLUMNS = ("vectors", "bias", "thresholds", "seen", "negative")

SMALL = st.floats(-1e6, 1e6, width=32)
NAMES = st.text(max_size=12).filter(lambda text: name_fault(text) is None)


@st.composite
def class_sets(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique_by=canonical_name))
    count = len(names)
    vectors = draw(arrays(np.float32, (count, SPACE.dim), elements=SMALL))
    vectors[:, 0] = 1 + np.abs(vectors[:, 0])  # no zero row
    return ClassPrototypes(
        tuple(names),
        vectors,
        SPACE,
        draw(arrays(np.float32, count, elements=SMALL)),
        draw(arrays(np.float32, count, elements=st.just(float("nan")) | SMALL)),
        draw(arrays(np.bool_, count)),
        draw(arrays(np.bool_, count)),
        draw(st.none() | st.floats(-1e6, 1e6)),
        draw(st.floats(0, 1e6)),
    )


def assert_equal_sets(first, second):
    assert (first.names, first.space, first.reject, first.seen_penalty) == (
        second.names,
        second.space,
        second.reject,
        second.seen_penalty,
    )
    for name in (*COLUMNS, "offset", "limits"):
        assert getattr(first, name).dtype == getattr(second, name).dtype
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name


def read(data, space=SPACE):
    return ClassPrototypes.from_bytes(data, space, file="classes.safetensors")


@given(class_sets())
def test_a_pack_reads_back_as_the_set_that_it_was_made_from(prototypes):
    data = prototypes.to_bytes()
    back = read(data)
    assert_equal_sets(back, prototypes)
    assert back.to_bytes() == data
    assert back.digest == prototypes.digest == sha256_hex(data)


def test_a_set_that_was_read_is_as_read_only_as_one_that_was_made():
    back = read(colour_prototypes().to_bytes(), small_space())
    for name in COLUMNS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(back, name)[0] = 1


def test_a_transposed_or_strided_matrix_is_written_row_by_row():
    columns = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
    spread = np.zeros((2, 8), np.float32)
    spread[:, ::2] = columns.T
    for vectors in (columns.T, spread[:, ::2], spread[:, ::2][::-1][::-1]):
        prototypes = ClassPrototypes(
            ("a", "b"),
            vectors,
            SPACE,
            np.zeros(4, np.float32)[::2],
            np.zeros(4, np.float32)[::2],
            np.array([True, True, False, False])[::2],
            np.array([False, False, True, True])[::2],
        )
        back = read(prototypes.to_bytes())
        assert np.array_equal(back.vectors, columns.T)
        assert back.seen.tolist() == [True, False]
        assert back.negative.tolist() == [False, True]


WRITER = """
import sys
from tests.factories import colour_prototypes
sys.stdout.buffer.write(colour_prototypes(reject=0.1, seen_penalty=0.2).to_bytes())
"""


def test_two_processes_write_equal_bytes():
    packs = [
        subprocess.run(
            [sys.executable, "-c", WRITER],
            check=True,
            capture_output=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert packs[0] == packs[1] == colour_prototypes(reject=0.1, seen_penalty=0.2).to_bytes()


def test_a_pack_is_written_and_read_as_a_file(tmp_path):
    path = tmp_path / "classes.safetensors"
    colour_prototypes().write(path)
    assert_equal_sets(ClassPrototypes.read(path, small_space()), colour_prototypes())


@pytest.mark.parametrize("name", ["absent/classes.safetensors", "."])
def test_a_pack_that_cannot_be_written_says_so(tmp_path, name):
    with pytest.raises(PackError) as caught:
        colour_prototypes().write(tmp_path / name)
    assert caught.value.code == "not_writable"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_a_pack_that_cannot_be_read_says_so(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(PackError) as caught:
        ClassPrototypes.read(tmp_path / name, small_space())
    assert caught.value.where.file == str(tmp_path / name)


@pytest.mark.parametrize(
    "space",
    [small_space(id="c0ffee00"), EmbeddingSpace(small_space().id, 7, "cosine"), EmbeddingSpace("c0ffee00", 7, "dot")],
    ids=["id", "dim", "both"],
)
def test_a_pack_of_another_space_gives_an_error_and_never_a_score(space):
    with pytest.raises(SpaceMismatchError) as caught:
        read(colour_prototypes().to_bytes(), space)
    assert caught.value.code == "space_mismatch"
    assert caught.value.where.file == "classes.safetensors"
    assert "edgezsl embed" in caught.value.hint


# --- damage: a pack of three classes, taken apart and put together wrongly ---


def whole():
    """Return the pack that the mutants below are made from."""
    vectors = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    no = np.zeros(3, np.bool_)
    zero = np.zeros(3, np.float32)
    return ClassPrototypes(("a", "b", "c"), vectors, SPACE, zero, zero.copy(), no, no.copy()).to_bytes()


def parts():
    """Return header (a dictionary) and body of the pack."""
    data = whole()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def glued(header, body):
    """Return a pack of a header (a dictionary or bytes) and a body."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def with_known(**changes):
    """Return the pack with changes to what `__metadata__.edgezsl` says; None removes a key."""
    header, body = parts()
    known = json.loads(header["__metadata__"]["edgezsl"])
    known |= changes
    known = {name: value for name, value in known.items() if value is not ...}
    header["__metadata__"]["edgezsl"] = json.dumps(known)
    return glued(header, body)


def with_known_text(text):
    header, body = parts()
    header["__metadata__"]["edgezsl"] = text
    return glued(header, body)


def with_metadata(value):
    header, body = parts()
    header["__metadata__"] = value
    return glued(header, body)


def with_tensor(name, **changes):
    """Return the pack with changes to one tensor's entry."""
    header, body = parts()
    header[name] |= changes
    return glued(header, body)


def with_entry(name, value):
    header, body = parts()
    header[name] = value
    return glued(header, body)


def without(name):
    header, body = parts()
    del header[name]
    return glued(header, body)


def with_value(name, position, data):
    """Return the pack with bytes of a tensor's content replaced."""
    header, body = parts()
    start = header[name]["data_offsets"][0] + position
    return glued(header, body[:start] + data + body[start + len(data) :])


def with_body(change):
    header, body = parts()
    return glued(header, change(body))


def with_header(change):
    header, body = parts()
    return glued(change(json.dumps(header).encode()), body)


def renamed(old, new):
    header, body = parts()
    return glued({new if name == old else name: value for name, value in header.items()}, body)


NAN, INFINITY = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))

MUTANTS = {
    "empty": (lambda: b"", "truncated"),
    "seven bytes": (lambda: whole()[:7], "truncated"),
    "eight bytes": (lambda: whole()[:8], "bad_header"),
    "cut in the header": (lambda: whole()[:100], "bad_header"),
    "cut by one byte": (lambda: whole()[:-1], "damaged"),
    "cut by one tensor": (lambda: whole()[:-16], "damaged"),
    "one byte more": (lambda: whole() + b"\0", "damaged"),
    "another pack behind it": (lambda: whole() + whole(), "damaged"),
    "a header of 100 MB claimed": (lambda: struct.pack("<Q", 100 << 20) + whole()[8:], "bad_header"),
    "a header of 2^64 - 1 bytes claimed": (lambda: b"\xff" * 8 + whole()[8:], "bad_header"),
    "a header above the cap": (lambda: struct.pack("<Q", LARGEST_HEADER + 1) + bytes(1000), "bad_header"),
    "an empty header": (lambda: bytes(8) + whole()[8:], "not_json"),
    "a header that is a list": (lambda: glued(b"[]", b""), "bad_header"),
    "a header that is null": (lambda: glued(b"null", b""), "bad_header"),
    "a header that is no JSON": (lambda: with_header(lambda text: text[:-1]), "not_json"),
    "a header in UTF-16": (lambda: glued(json.dumps(parts()[0]).encode("utf-16"), parts()[1]), "not_json"),
    "a header with a byte-order mark": (lambda: with_header(lambda text: b"\xef\xbb\xbf" + text), "not_json"),
    "an image instead": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000), "bad_header"),
    "a zip instead": (lambda: b"PK\x03\x04" + bytes(1000), "bad_header"),
    "no metadata": (lambda: without("__metadata__"), "wrong_type"),
    "metadata that is a list": (lambda: with_metadata([]), "wrong_type"),
    "metadata without our key": (lambda: with_metadata({}), "missing_key"),
    "an unknown metadata key": (lambda: with_metadata({**parts()[0]["__metadata__"], "author": "me"}), "unknown_key"),
    "metadata that is no JSON": (lambda: with_known_text("edgezsl"), "not_json"),
    "metadata that is a number": (lambda: with_known_text("1"), "wrong_type"),
    "another format number": (lambda: with_known(format="edgezsl-classes/2"), "unknown_format"),
    "another format": (lambda: with_known(format="pt"), "unknown_format"),
    "no format": (lambda: with_known(format=...), "missing_key"),
    "no names": (lambda: with_known(names=...), "missing_key"),
    "zero names": (lambda: with_known(names=[]), "bad_shape"),
    "more names than rows": (lambda: with_known(names=["a", "b", "c", "d"]), "bad_shape"),
    "a name twice": (lambda: with_known(names=["a", "b", "a"]), "duplicate_name"),
    "a name twice after NFC": (lambda: with_known(names=["\u00e9", "e\u0301", "c"]), "duplicate_name"),
    "an empty name": (lambda: with_known(names=["a", "", "c"]), "bad_name"),
    "a name that is a number": (lambda: with_known(names=["a", 1, "c"]), "wrong_type"),
    "a name with half a surrogate pair": (lambda: with_known(names=["a", "\ud800", "c"]), "not_json"),
    "half a surrogate pair in the header": (lambda: with_known_text('{"format": "\ud800"}'), "not_json"),
    "half a surrogate pair as bytes": (
        lambda: with_header(lambda text: text.replace(b"edgezsl-classes", b"\xed\xa0\x80")),
        "not_json",
    ),
    "a name that turns the text around": (lambda: with_known(names=["a", "b\u202ec", "c"]), "bad_name"),
    "an unknown key of ours": (lambda: with_known(author="me"), "unknown_key"),
    "no space": (lambda: with_known(space=...), "missing_key"),
    "a space that is null": (lambda: with_known(space=None), "wrong_type"),
    "a seen penalty below zero": (lambda: with_known(seen_penalty=-1), "bad_value"),
    "no seen penalty": (lambda: with_known(seen_penalty=...), "missing_key"),
    "a reject that is a word": (lambda: with_known(reject="high"), "wrong_type"),
    "a reject that is NaN": (lambda: with_known(reject=float("nan")), "not_finite"),
    "a reject above float32": (lambda: with_known(reject=1e39), "bad_value"),
    "a number of 5000 digits": (
        lambda: with_known_text('{"format": "edgezsl-classes/1", "reject": ' + "9" * 5000 + "}"),
        "not_finite",
    ),
    "a key of ours twice": (lambda: with_known_text('{"format": "edgezsl-classes/1", "format": ""}'), "duplicate_key"),
    "a JSON bomb of brackets": (lambda: with_known_text("[" * 1_000_000), "too_deep"),
    "a JSON bomb of objects": (lambda: glued(b'{"a":' * 1_000_000, b""), "too_deep"),
    "an extra tensor": (
        lambda: with_entry("w", {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "unknown_key",
    ),
    "a missing tensor": (lambda: without("bias"), "missing_key"),
    "a tensor of another name": (lambda: renamed("bias", "biases"), "missing_key"),
    "a tensor twice": (
        lambda: with_header(
            lambda text: text[:-1] + b', "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}'
        ),
        "duplicate_key",
    ),
    "a tensor that is a list": (lambda: with_entry("bias", []), "wrong_type"),
    "a tensor with an unknown key": (lambda: with_tensor("bias", scale=1), "unknown_key"),
    "a tensor without offsets": (
        lambda: with_entry("bias", {"dtype": "F32", "shape": [3]}),
        "missing_key",
    ),
    "half-precision vectors": (lambda: with_tensor("vectors", dtype="F16"), "bad_shape"),
    "double-precision bias": (lambda: with_tensor("bias", dtype="F64"), "bad_shape"),
    "an unknown dtype": (lambda: with_tensor("bias", dtype="Q4"), "bad_shape"),
    "flags as float32": (lambda: with_tensor("seen", dtype="F32"), "bad_shape"),
    "vectors of rank 1": (lambda: with_tensor("vectors", shape=[12]), "bad_shape"),
    "vectors of rank 3": (lambda: with_tensor("vectors", shape=[3, 4, 1]), "bad_shape"),
    "vectors with zero columns": (lambda: with_tensor("vectors", shape=[3, 0]), "bad_shape"),
    "vectors with a negative side": (lambda: with_tensor("vectors", shape=[3, -4]), "wrong_type"),
    "vectors with half a column": (lambda: with_tensor("vectors", shape=[3, 4.5]), "wrong_type"),
    "a shape that is no list": (lambda: with_tensor("vectors", shape=12), "wrong_type"),
    "overlapping tensors": (
        lambda: with_tensor("bias", data_offsets=parts()[0]["thresholds"]["data_offsets"]),
        "damaged",
    ),
    "offsets that run backwards": (lambda: with_tensor("bias", data_offsets=[12, 0]), "damaged"),
    "offsets beyond the end": (lambda: with_tensor("bias", data_offsets=[10**6, 10**6 + 12]), "damaged"),
    "negative offsets": (lambda: with_tensor("bias", data_offsets=[-12, 0]), "wrong_type"),
    "a hole before the first tensor": (lambda: with_body(lambda body: bytes(4) + body), "damaged"),
    "NaN in a vector": (lambda: with_value("vectors", 4, NAN), "bad_row"),
    "infinity in a vector": (lambda: with_value("vectors", 20, INFINITY), "bad_row"),
    "a zero row": (lambda: with_value("vectors", 16, bytes(16)), "bad_row"),
    "NaN as bias": (lambda: with_value("bias", 0, NAN), "bad_row"),
    "infinity as threshold": (lambda: with_value("thresholds", 0, INFINITY), "bad_row"),
    "seen is 2": (lambda: with_value("seen", 1, b"\x02"), "bad_value"),
    "negative is 255": (lambda: with_value("negative", 2, b"\xff"), "bad_value"),
}


def test_the_mutants_are_made_from_a_sound_pack():
    assert read(whole()).names == ("a", "b", "c")
    assert read(glued(*parts())).names == ("a", "b", "c")
    assert with_known_text(canonical_json(json.loads(parts()[0]["__metadata__"]["edgezsl"])).decode())
    assert read(with_known()).names == ("a", "b", "c")
    assert json.loads(parts()[0]["__metadata__"]["edgezsl"])["format"] == PACK_FORMAT


@pytest.mark.parametrize(("mutant", "code"), MUTANTS.values(), ids=MUTANTS)
def test_a_damaged_pack_is_refused_with_its_file_and_a_code(mutant, code):
    with pytest.raises(PackError) as caught:
        read(mutant())
    assert caught.value.code == code
    assert caught.value.where.file == "classes.safetensors"
    str(caught.value).encode()  # can be printed
    assert len(str(caught.value)) < 500


def test_a_row_that_is_not_of_length_one_is_refused_under_cosine():
    with pytest.raises(PackError) as caught:
        read(whole(), EmbeddingSpace("c0ffee00", 4, "cosine"))
    assert (caught.value.code, caught.value.where.field) == ("bad_row", "vectors[0]")


def mutated(data, chance):
    """Return bytes with a few flipped, replaced, removed or inserted."""
    mutant = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        kind, place = chance.randrange(4), chance.randrange(len(mutant))
        if kind == 0:
            mutant[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            mutant[place] = chance.randrange(256)
        elif kind == 2:
            del mutant[place : place + chance.randint(1, 8)]
        else:
            mutant[place:place] = chance.randbytes(chance.randint(1, 8))
    return bytes(mutant)


def read_or_error(data):
    try:
        return read(data)
    except (PackError, SpaceMismatchError) as error:
        return error


def test_random_damage_gives_an_error_or_a_sound_set_and_nothing_else():
    chance, data = random.Random(20_261_124), whole()
    outcomes = [read_or_error(mutated(data, chance)) for _ in range(300)]
    errors = [one for one in outcomes if isinstance(one, EdgezslError)]
    taken = [one for one in outcomes if isinstance(one, ClassPrototypes)]
    assert len(errors) > 200
    assert all(error.code and error.where.file == "classes.safetensors" for error in errors)
    assert taken, "a changed number is still a number"
    for back in taken:
        assert_equal_sets(back, read(back.to_bytes()))
        assert np.isfinite(back.vectors).all()


def test_a_matrix_larger_than_any_machine_is_refused_by_its_header():
    with pytest.raises(SpaceMismatchError):
        read(with_tensor("vectors", shape=[3, 2**40]), SPACE)


def test_a_hostile_space_id_cannot_break_the_message():
    with pytest.raises(SpaceMismatchError) as caught:
        read(with_known(space="\n\x1b[2J" + "x" * 10_000))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500
