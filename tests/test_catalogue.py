"""The catalogues are found wherever edgezsl is installed, and an entry is plain values or it is refused."""

from __future__ import annotations

import pytest

from edgezsl.catalogue import catalogue_folder, entries, parse_entry
from edgezsl.errors import InputError, ProfileError


def package_in(folder, *catalogues):
    """Make a package folder, and files `a.yaml` and `b.yaml` in each of the folders `catalogues`."""
    (folder / "edgezsl").mkdir()
    for catalogue in catalogues:
        (folder / catalogue).mkdir(parents=True)
        for name in ("b.yaml", "a.yaml", "README.md"):
            (folder / catalogue / name).write_text("x: 1")
    return folder / "edgezsl"


def parse(text):
    return parse_entry(text.encode() if isinstance(text, str) else text, file="a.yaml", error=ProfileError)


def test_the_catalogue_in_the_wheel_comes_before_the_one_in_a_checkout(tmp_path):
    package = package_in(tmp_path, "edgezsl/_catalogue/devices", "devices")
    assert catalogue_folder("devices", package=package) == package / "_catalogue" / "devices"


def test_a_checkout_has_its_catalogue_beside_the_package(tmp_path):
    package = package_in(tmp_path, "devices")
    assert catalogue_folder("devices", package=package) == tmp_path / "devices"


@pytest.mark.parametrize("kind", ["devices", "export"])
def test_an_installation_without_a_catalogue_is_named(tmp_path, kind):
    with pytest.raises(InputError, match=f"catalogue '{kind}' is missing") as caught:
        catalogue_folder(kind, package=package_in(tmp_path))
    assert caught.value.code == "catalogue_missing"
    assert caught.value.hint


def test_entries_are_the_yaml_files_in_order(tmp_path):
    package = package_in(tmp_path, "devices")
    assert [path.name for path in entries("devices", package=package)] == ["a.yaml", "b.yaml"]


def test_recipes_may_be_absent_and_devices_may_not(tmp_path):
    package = package_in(tmp_path)
    assert entries("export", package=package) == ()
    with pytest.raises(InputError, match="missing"):
        entries("devices", package=package)


def test_an_empty_folder_of_recipes_has_no_entries(tmp_path):
    package = package_in(tmp_path)
    (tmp_path / "export").mkdir()
    assert entries("export", package=package) == ()


def test_an_entry_is_plain_values_and_its_keys_are_text():
    text = "name: a\ncount: 3\nwanted: null\non: [1.5, true, 'no']\n3: {x: y}\n"
    assert parse(text) == {"name": "a", "count": 3, "wanted": None, "on": [1.5, True, "no"], "3": {"x": "y"}}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\nb: &x 2\nc: *x\n", "not_allowed", 2),
        ("a: !!python/object/apply:os.system [true]\n", "not_allowed", 1),
        ("a: 1\nb: 2\na: 3\n", "duplicate_key", 3),
        ("a: {b: 1, b: 2}\n", "duplicate_key", 1),
        ("? [1, 2]\n: 3\n", "bad_key", 1),
        ("- a\n- b\n", "wrong_type", None),
        ("", "empty", None),
        ("a: 1\n---\nb: 2\n", "not_allowed", 2),
        ("a: [1\n", "not_yaml", 2),
        (b"a: \xff\xfe\n", "not_text", 1),
        (b"a: \x00\n", "not_text", 1),
        ("a: " + "x" * 70_000, "too_large", None),
        ("[" * 60_000, "too_deep", 1),
        ("- " * 30_000, "too_deep", 1),
        ("a: " + "{a: " * 16 + "1" + "}" * 16, "too_deep", 1),
    ],
)
def test_an_entry_that_is_not_plain_values_is_refused_with_its_line(text, code, line):
    with pytest.raises(ProfileError) as caught:
        parse(text)
    assert (caught.value.code, caught.value.where.file, caught.value.where.line) == (code, "a.yaml", line)


@pytest.mark.parametrize("text", ["2024-13-45", "9" * 5000, "1" + ":59" * 5000, "0x_", "1e999", "012", "yes"])
def test_what_is_no_plain_number_or_word_stays_text(text):
    assert parse(f"a: {text}\n") == {"a": text}


def test_sixteen_levels_are_still_read():
    assert parse("a: " + "{a: " * 15 + "1" + "}" * 15)
