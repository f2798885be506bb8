"""The YAML that a class file may use: plain lists, mappings and text; nothing is retyped, nothing refers elsewhere."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgezsl.errors import ClassFileError
from edgezsl.strict_yaml import Mapping, Scalar, Sequence, YamlLimits, parse_yaml

NORWAY = ("no", "NO", "off", "on", "y", "Yes", "true", "null", "~", "1:30", "012", "2024-02-29")


@pytest.fixture(autouse=True, scope="module", params=["libyaml", "python"])
def parser(request):
    """Every rule holds with libyaml, and on a board whose PyYAML was built without it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.delattr(yaml, "CSafeLoader")
        yield request.param


def parse(text, **limits):
    data = text if isinstance(text, bytes) else text.encode()
    return parse_yaml(data, file="classes.yaml", limits=YamlLimits(**limits) if limits else None)


def refusal(text, **limits):
    with pytest.raises(ClassFileError) as caught:
        parse(text, **limits)
    fault = caught.value
    assert fault.where.file == "classes.yaml"
    assert fault.hint
    return fault


def plain(node):
    """Return a tree of nodes as lists, dicts and strings."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.items.items()}


def test_a_document_becomes_a_tree_of_text():
    tree = parse("classes:\n  - {name: cat, threshold: 0.2}\n  - dog\n")
    assert plain(tree) == {"classes": [{"name": "cat", "threshold": "0.2"}, "dog"]}


def test_every_node_and_every_key_knows_its_line():
    tree = parse("# a comment\nreject: 0.1\n\nclasses:\n  - cat\n  - name: dog\n    threshold: 1\n")
    assert tree.key_lines == {"reject": 2, "classes": 4}
    cat, dog = tree.items["classes"].items
    assert (cat.line, dog.line, dog.items["threshold"].line) == (5, 6, 7)


@pytest.mark.parametrize("word", NORWAY)
def test_no_scalar_is_ever_retyped(word):
    assert plain(parse(f"- {word}")) == [word]


def test_quotes_escapes_and_blocks_are_read_as_yaml_says():
    tree = parse("- \"caf\\u00e9\"\n- 'it''s'\n- |\n  two\n  lines\n- >\n  one\n  line\n")
    assert plain(tree) == ["café", "it's", "two\nlines\n", "one line\n"]


def test_a_byte_order_mark_at_the_start_is_not_part_of_the_text():
    assert plain(parse(b"\xef\xbb\xbf- cat")) == ["cat"]


@pytest.mark.parametrize("text", ["", " \n\t\n", "\ufeff", "# only a comment\n", "\ufeff# a comment"])
def test_a_file_without_content_is_empty(text):
    assert refusal(text).code == "empty"


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("- cat\n- &a dog\n", 2, "&a"),
        ("- cat\n- *a\n", 2, "*a"),
        ("- !!str cat\n", 1, "tag:yaml.org,2002:str"),
        ("- cat\n- !!python/object:os.system {}\n", 2, "python/object"),
        ("- ! cat\n", 1, "tag '!'"),
        ("classes: []\n<<: {reject: 1}\n", 2, "merge key"),
        ("- cat\n---\n- dog\n", 2, "second document"),
        ("%YAML 1.1\n---\n- cat\n", 1, "directive"),
        ("%TAG ! tag:example.org,2000:\n---\n- cat\n", 1, "directive"),
        ("&a classes: [cat]\n", 1, "&a"),
    ],
)
def test_what_refers_elsewhere_or_retypes_is_refused_by_name(text, line, named):
    fault = refusal(text)
    assert (fault.code, fault.where.line) == ("not_allowed", line)
    assert named in fault.message


def test_a_quoted_merge_sign_is_a_key_like_any_other():
    assert plain(parse('"<<": 1')) == {"<<": "1"}


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    fault = refusal("reject: 1\nclasses: [cat]\nreject: 2\n")
    assert (fault.code, fault.where.line) == ("duplicate_key", 3)
    assert "line 1" in fault.message


def test_two_spellings_of_one_key_are_one_key():
    assert refusal("{a: 1, 'a': 2}").code == "duplicate_key"


def test_a_list_or_mapping_cannot_be_a_key():
    assert refusal("? [a, b]\n: 1\n").code == "bad_key"
    assert refusal("? {a: b}\n: 1\n").code == "bad_key"


@pytest.mark.parametrize(
    ("data", "line", "named"),
    [
        (b"- cat\n- d\xe9j\xe0\n", 2, "0xe9"),
        ("- cat\n".encode("utf-16"), 1, "0xff"),
        (b"- \xed\xa0\x80\n", 1, "0xed"),
        (b"- cat\n- a\x00b\n", 2, "U+0000"),
        (b"- cat\n\n- \x1b[31m\n", 3, "U+001B"),
        ("- \ufffe\n".encode(), 1, "U+FFFE"),
    ],
)
def test_bytes_that_are_not_text_are_refused_with_their_line(data, line, named):
    fault = refusal(data)
    assert (fault.code, fault.where.line) == ("not_text", line)
    assert named in fault.message


@pytest.mark.parametrize(
    ("text", "line"),
    [("- [cat, dog\n", 2), ('- cat\n- "dog\n', 3), ("a: 1\n\tb: 2\n", 2), ('- "\\q"\n', 1)],
)
def test_what_is_not_yaml_is_refused_where_the_parser_gave_up(text, line):
    fault = refusal(text)
    assert (fault.code, fault.where.line) == ("not_yaml", line)


@pytest.mark.parametrize("escape", ["\\ud800", "\\udc00", "\\ud83d\\ude00", "\\U00110000", "\\UFFFFFFFF"])
def test_an_escape_that_is_no_character_is_refused(escape):
    assert refusal(f'- "{escape}"').code in {"not_yaml", "not_text"}


@pytest.mark.parametrize("bracket", ["[", "{", "[{"])
def test_brackets_are_counted_before_the_parser_sees_a_byte(bracket):
    fault = refusal("- cat\n" + bracket * 50_000)
    assert (fault.code, fault.where.line) == ("too_deep", 2)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- " * 1_000 + "cat", 1),
        ("\n".join(f"{' ' * depth}a:" for depth in range(100)), 17),
        ('["]", ' * 1_000, 1),  # a bracket in quotes hides one outside from the count
        ("? " * 1_000, 1),
    ],
)
def test_depth_without_brackets_is_counted_while_parsing(text, line):
    fault = refusal(text)
    assert fault.code in {"too_deep", "bad_key"}
    assert fault.where.line == line


def test_a_cap_is_met_exactly_and_not_exceeded():
    assert plain(parse("[[a]]", depth=2)) == [["a"]]
    assert refusal("[[[a]]]", depth=2).code == "too_deep"
    assert plain(parse("[a, b]", nodes=3)) == ["a", "b"]
    assert refusal("[a, b, c]", nodes=3).code == "too_large"
    assert plain(parse("- abc", bytes=5)) == ["abc"]
    fault = refusal("- abcd", bytes=5)
    assert (fault.code, fault.where.line) == ("too_large", None)
    assert "6 bytes" in fault.message


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff", categories=("L", "N", "P", "S", "Zs")))
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)


def written(tree):
    """Return a tree as YAML with every text in double quotes."""
    if isinstance(tree, str):
        return '"' + tree.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(tree, list):
        return "[" + ", ".join(written(item) for item in tree) + "]"
    return "{" + ", ".join(f"? {written(key)} : {written(value)}" for key, value in tree.items()) + "}"


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_what_was_written_is_what_is_read(tree):
    # Brackets inside a text count towards the depth, so that the cap holds whatever the quoting.
    assert plain(parse(written(tree), depth=1_000)) == tree


def test_a_node_is_a_scalar_a_sequence_or_a_mapping():
    assert parse("a") == Scalar("a", 1)
    assert parse("[]") == Sequence(1)
    assert parse("{}") == Mapping(1)
