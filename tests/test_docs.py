"""What the pages say, held against the program: commands, options, keys, codes, links.

Run pytest with `--update-goldens` to write the help texts of docs/cli.md anew.
"""

import ast
import json
import re
import struct
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import edgezsl.classes
from edgezsl.classes import LARGEST_NUMBER, LONGEST_TEXT, MOST_CLASSES, MOST_TEMPLATES, MOST_TEXTS, ClassFile
from edgezsl.cli.app import app
from edgezsl.contract import LARGEST_DIM, LARGEST_SIDE
from edgezsl.errors import ClassFileError, Place
from edgezsl.manifest import LARGEST_BATCH
from edgezsl.names import LONGEST_NAME
from edgezsl.pack import PACK_FORMAT
from edgezsl.runtime.events import (
    ClassesRefused,
    ClassesSwapped,
    ClassScore,
    FrameSkipped,
    Recognition,
    RegionAnswer,
    SourceChanged,
)
from edgezsl.runtime.lint import Finding
from edgezsl.strict_yaml import YamlLimits
from tests.factories import colour_prototypes, small_manifest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CARD = ROOT / "edgezsl" / "builtin" / "README.md"
FOR_USERS = [ROOT / "README.md", CARD, *sorted(DOCS.rglob("*.md"))]
PAGES = [*FOR_USERS, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "devices/README.md"))]
GENERATED = "<!-- The rest of this page"
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
# Of a station, not of somebody's machine: where the service is installed, and the socket of a Jetson's camera daemon.
OF_A_STATION = r"tmp(?=/)(?!/argus_socket)|opt(?!/edgezsl)"
MACHINE_PATHS = re.compile(rf"(?<![\w.:/])/(?:home|root|work|{OF_A_STATION}|mnt|srv|Users|private)\b|\b[A-Z]:\\")


def of_page(page):
    return str(page.relative_to(ROOT))


def fenced(page, language):
    """Return the fenced blocks of one language."""
    return [text for found, text in FENCED.findall(page.read_text()) if found == language]


def prose(page):
    """Return a page without its fenced blocks."""
    return FENCED.sub("", page.read_text())


def section(page, heading):
    """Return what stands below a heading, down to the next of its level or above."""
    text = page.read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"{of_page(page)} has no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(text, first):
    """Return the rows below the table heading whose first cell is `first`: for each the code spans of its first cell."""
    lines = iter(text.splitlines())
    assert any(line.startswith(f"| {first} |") for line in lines), f"no table with the column {first!r}"
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(SPAN.findall(line.split("|")[1]))
    return rows


def first_cells(text, first):
    return {span for row in table(text, first) for span in row}


def requirements():
    """Return the part of pyproject.toml that lists packages and extras; Python 3.10 has no reader of TOML."""
    text = (ROOT / "pyproject.toml").read_text()
    return text[text.index("\ndependencies = [") : text.index("[project.scripts]")]


def slugs(page):
    """Return the anchors of a page, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(page))}


def commands():
    """Return every command with its words, from `("run",)` to `("devices", "show")`, and the program itself as `()`."""
    found = {}

    def walk(words, command):
        found[words] = command
        for name, child in getattr(command, "commands", {}).items():
            walk((*words, name), child)

    walk((), get_command(app))
    return found


def options(command):
    """Return the option strings of a command."""
    named = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return {string for option in named for string in (*option.opts, *option.secondary_opts)} | {"--help"}


def help_of(words):
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="edgezsl", env={"COLUMNS": "80"})
    assert done.exit_code == 0
    return done.output.rstrip()


def typed_commands(page):
    """Return each line that a reader would type: `edgezsl …` as a code span, or at the start of a line of a block."""
    spans = [span for span in SPAN.findall(prose(page)) if span.startswith("edgezsl ")]
    lines = [
        line.strip().removeprefix("$ ") for _, block in FENCED.findall(page.read_text()) for line in block.split("\n")
    ]
    return [*spans, *(line for line in lines if line.startswith("edgezsl ") and not line.endswith("."))]


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_link_inside_the_project_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{of_page(page)} links to {link}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in slugs(target), f"{of_page(page)} links to {link}: {sorted(slugs(target))}"


@pytest.mark.parametrize("page", FOR_USERS, ids=of_page)
def test_every_command_and_option_that_a_page_names_exists(page):
    known = commands()
    for line in typed_commands(page):
        words = []
        for word in line.split()[1:]:
            if (*words, word) not in known:
                break
            words.append(word)
        asked = re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", line)
        assert words or asked or not re.match(r"edgezsl [a-z]", line), f"there is no command {line!r}"
        unknown = set(asked) - options(known[tuple(words)]) - options(known[()])
        assert not unknown, f"{line!r} has the options {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_every_make_target_and_extra_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = set(re.findall(r"^(\w+) = \[", requirements(), re.MULTILINE))
    code = "\n".join([*SPAN.findall(prose(page)), *(block for _, block in FENCED.findall(page.read_text()))])
    assert set(re.findall(r"^(?:\$ )?(?:\w+=\S+ )?make ([a-z-]+)", code, re.MULTILINE)) <= targets
    assert {extra for found in re.findall(r"edgezsl\[([\w,]+)\]", code) for extra in found.split(",")} <= extras


def test_every_command_and_option_is_documented():
    text = (ROOT / "README.md").read_text() + (DOCS / "cli.md").read_text()
    for words, command in commands().items():
        assert " ".join(("edgezsl", *words)) in text
        for option in options(command):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{words} {option}"


def test_the_help_texts_are_the_programs_own(request):
    page = DOCS / "cli.md"
    intro = page.read_text().partition(GENERATED)
    assert intro[1], "docs/cli.md has lost the line below which its help texts stand"
    blocks = [f"### `{' '.join(('edgezsl', *words))}`\n\n```text\n{help_of(words)}\n```\n" for words in commands()]
    marker = intro[1] + intro[2].split("\n", 1)[0]
    if request.config.getoption("--update-goldens"):
        page.write_text(f"{intro[0]}{marker}\n\n" + "\n".join(blocks))
    written = page.read_text().partition(marker)[2]
    # Words, not lines: versions of typer may wrap differently.
    assert written.split() == "\n".join(blocks).split(), "run: pytest --update-goldens tests/test_docs.py"


def test_the_examples_of_class_files_are_class_files():
    examples = fenced(DOCS / "classes-file.md", "yaml")
    assert len(examples) >= 3
    parsed = [ClassFile.parse(example.encode(), file="classes.yaml") for example in examples]
    assert {entry.kind for one in parsed for entry in one.entries} >= {"words", "attributes", "examples"}


def test_the_fields_of_class_files_are_the_readers_own():
    text = section(DOCS / "classes-file.md", "The long form")
    known = {name: set(value) for name, value in vars(edgezsl.classes).items() if name.endswith("_KEYS")}
    of_file, of_class = text.split("**A class's fields**")
    assert first_cells(of_file, "field") == known["_TOP_KEYS"]
    assert first_cells(of_class, "field") == known["_CLASS_KEYS"]


def test_the_limits_on_the_pages_are_those_in_the_code():
    limits = YamlLimits()
    of_classes = (DOCS / "classes-file.md").read_text()
    for limit in (
        f"1 to {MOST_CLASSES:,}",
        f"1 to {MOST_TEXTS} texts",
        f"1 to {MOST_TEMPLATES}, each",
        f"1 to {LONGEST_TEXT:,} characters",
        f"1 to {LONGEST_NAME} characters",
        f"within ±{LARGEST_NUMBER:g}".replace("+", ""),
        f"{limits.bytes >> 20} MiB, {limits.nodes:,} values, and {limits.depth} levels",
    ):
        assert limit in of_classes
    of_bundles = (DOCS / "bundle-format.md").read_text()
    for limit in (f"each 1 to {LARGEST_SIDE}", f"1 to {LARGEST_DIM:,}", f"≤ max ≤ {LARGEST_BATCH}"):
        assert limit in of_bundles


def events():
    score = ClassScore("cat", 0.3, 0.8)
    error = ClassFileError("wrong", code="not_yaml", where=Place("classes.yaml", 1))
    yield Recognition(0, 0.0, None, "a", 1, "0", None, 0, 1.0, (RegionAnswer("frame", None, (score,)),))
    yield ClassesSwapped(0.0, 2, "0", 1, "classes.yaml")
    yield ClassesRefused(0.0, "classes.yaml", error)
    yield FrameSkipped(0.0, "file:photos", "photos/b.jpg", "b")
    for kind in ("source_opened", "source_ended", "source_lost"):
        yield SourceChanged(kind, 0.0, "a", "b")


def keys(value):
    """Return the keys of an object and of the objects inside it, as paths, in order."""
    if isinstance(value, list):
        return list(dict.fromkeys(path for item in value for path in keys(item)))
    if not isinstance(value, dict):
        return []
    return [path for name, inner in value.items() for path in (name, *(f"{name}.{below}" for below in keys(inner)))]


def test_the_examples_of_lines_have_the_keys_that_are_written():
    written = {line["type"]: keys(line) for line in (event.to_json() for event in events())}
    examples = [json.loads(block) for block in fenced(DOCS / "jsonl.md", "json")]
    assert {example["type"] for example in examples} >= {"recognition", "classes_swapped", "classes_refused"}
    for example in examples:
        assert keys(example) == written[example["type"]]
    headings = " ".join(HEADING.findall(prose(DOCS / "jsonl.md")))
    assert set(re.findall(r"`([a-z]+_?[a-z]+)`", headings)) == set(written)


def codes_in(path, functions=()):
    """Return the codes of the errors that a module makes, or only those of some of its functions."""
    tree = ast.parse((ROOT / path).read_text())
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    assert len(parts) == len(functions)
    return {
        code.value
        for part in (parts or [tree])
        for node in ast.walk(part)
        for expression in code_expressions(node)
        for code in ast.walk(expression)
        if isinstance(code, ast.Constant) and isinstance(code.value, str)
    }


def code_expressions(node):
    """Return the expressions in a node that become a code."""
    match node:
        case ast.Call(func=ast.Attribute(attr="_refuse"), args=[_, _, _, code, *_]):
            yield code
        case ast.keyword(arg="code", value=ast.Constant() | ast.IfExp()):
            yield node.value
        case ast.Assign(targets=[ast.Name(id="code")], value=ast.IfExp(body=yes, orelse=no)):
            yield from (yes, no)
        case ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id="code"), _])]):
            yield from (pair.elts[0] for pair in ast.walk(node.value) if isinstance(pair, ast.Tuple))


def test_the_table_of_error_codes_is_that_of_the_readers():
    pictures = "edgezsl/runtime/example_pictures.py"
    embedders = ("edgezsl/runtime/embedder.py", pictures, "edgezsl/compile/graph_rows.py")
    modules = ("edgezsl/classes.py", "edgezsl/strict_yaml.py", *embedders)
    text = section(DOCS / "classes-file.md", "Every error code").partition("\n### ")[0]
    assert first_cells(text, "code") == set().union(*map(codes_in, modules))


def test_the_table_of_codes_around_a_class_file_is_that_of_files_pictures_and_process():
    text = section(DOCS / "classes-file.md", "Codes of the files and the process")
    around = codes_in("edgezsl/files.py") | codes_in("edgezsl/runtime/embed_process.py")
    pictures = codes_in("edgezsl/runtime/sources.py", ("read_image", "_check_readable"))
    assert first_cells(text, "code") == around | pictures


def test_the_table_of_advice_is_that_of_check():
    advice = typing.get_args(typing.get_type_hints(Finding)["code"])
    assert first_cells(section(DOCS / "classes-file.md", "Editing while it runs"), "advice") == set(advice)


def test_the_bundle_page_names_every_key_and_tensor():
    page = DOCS / "bundle-format.md"
    manifest = small_manifest().to_json()
    text = section(page, "The manifest")
    of_manifest, _, rest = text.partition("**`contract`**")
    of_contract, _, of_space = rest.partition("**`space`**")
    assert first_cells(of_manifest, "key") == set(manifest)
    assert first_cells(of_contract, "key") == set(manifest["contract"])
    assert first_cells(of_space, "key") == set(manifest["space"])
    for key in manifest["semantics"]:
        assert f"`{key}`" in of_manifest
    assert PACK_FORMAT in section(page, "Class pack")
    assert first_cells(section(page, "Class pack"), "tensor") == {"vectors", "bias", "thresholds", "seen", "negative"}


def test_a_reader_written_from_the_bundle_page_alone_reads_a_pack():
    prototypes = colour_prototypes("red", "blue", reject=0.25, seen_penalty=0.5)
    data = prototypes.to_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, values = json.loads(data[8 : 8 + length]), data[8 + length :]
    said = json.loads(header.pop("__metadata__")["edgezsl"])
    assert said == {
        "format": "edgezsl-classes/1",
        "names": ["red", "blue"],
        "reject": 0.25,
        "seen_penalty": 0.5,
        "space": prototypes.space.id,
    }
    assert length % 8 == 0
    offset = 0
    for name in ("bias", "thresholds", "vectors", "negative", "seen"):
        tensor = header.pop(name)
        begin, end = tensor["data_offsets"]
        assert begin == offset
        offset = end
        array = np.frombuffer(values[begin:end], {"F32": "<f4", "U8": "u1"}[tensor["dtype"]]).reshape(tensor["shape"])
        np.testing.assert_array_equal(array, getattr(prototypes, name))
    assert not header
    assert offset == len(values)


@pytest.mark.parametrize("page", PAGES, ids=of_page)
def test_no_page_holds_a_path_of_somebodys_machine(page):
    text = page.read_text()
    assert not MACHINE_PATHS.findall(text)
    assert str(ROOT) not in text


@pytest.mark.parametrize("results", sorted((ROOT / "benchmarks" / "results").rglob("*.json")), ids=of_page)
def test_no_result_holds_a_path_of_a_machine(results):
    assert not MACHINE_PATHS.findall(results.read_text())


def test_every_test_that_the_security_page_names_exists():
    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert named
    for path, name in named:
        source = (ROOT / path).read_text()
        assert not name or f"def {name}(" in source, f"{path} has no {name}"


def test_every_decision_has_its_parts_and_stands_in_the_list():
    pages = sorted((DOCS / "adr").glob("[0-9]*.md"))
    listed = (DOCS / "adr" / "README.md").read_text()
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        title, *parts = HEADING.findall(prose(page))
        assert parts[:3] == ["Context", "Decision", "Consequences"]
        assert f"[{title[:4]}]({page.name}) | {title[5:]} |" in listed


def test_every_dependency_has_its_reason():
    text = (DOCS / "adr" / "0003-dependencies.md").read_text()
    packages = set(re.findall(r'"([A-Za-z][\w-]*)[^"]*"', requirements())) - {"edgezsl"}
    assert {"numpy", "onnxruntime", "pytest"} <= packages
    for name in packages:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text, re.IGNORECASE), name


def figures_of(results):
    """Return every number in a file of results, those in its notes too."""
    found = []

    def walk(value):
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                walk(inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(float(value))
        elif isinstance(value, str):
            found.extend(float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", value))

    walk({key: value for key, value in json.loads(results.read_text()).items() if key != "environment"})
    return found


@pytest.mark.parametrize(
    ("page", "heading", "least"),
    [(ROOT / "README.md", "Measured", 8), (CARD, "What it recognises", 12), (CARD, "Classes it never met", 2)],
    ids=["README", "card", "left-out classes"],
)
def test_every_figure_of_a_table_was_measured_and_its_result_is_kept(page, heading, least):
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(page, heading).splitlines()
        if line.startswith("|") and "benchmarks/results" in line
    ]
    assert len(rows) >= least
    for what, measured, *_, source in rows:
        found = figures_of(page.parent / LINK.search(source)[1])
        numbers = re.findall(r"\d+(?:\.\d+)?", measured)
        assert numbers, what
        for number in numbers:
            digits = len(number.partition(".")[2])
            assert any(f"{figure:.{digits}f}" == number for figure in found), f"{what}: {number} is in no result"


def test_the_figures_of_methods_are_those_that_were_kept():
    found = subprocess.run(
        [sys.executable, "-c", "import methods_page; print(methods_page.kept())"],
        cwd=ROOT / "benchmarks",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert found.count("|") > 300
    assert found.strip() in (DOCS / "methods.md").read_text()
