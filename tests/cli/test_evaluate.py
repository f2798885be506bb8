"""`edgezsl eval` as it is typed: both uses, what is printed, and what is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app
from edgezsl.errors import InputError, SinkError
from tests.documents import Page
from tests.factories import colour_frame
from tests.zsl.worlds import feature_set

cv2 = pytest.importorskip("cv2")


def edgezsl(*arguments):
    """Run the command in this process: importing torch again would cost more than the work."""
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], env={"COLUMNS": "200"})


def done(*arguments):
    """Run the command, and return what it wrote to standard output."""
    found = edgezsl(*arguments)
    assert found.exit_code == 0, found.exception or found.stderr
    assert found.stderr == ""
    return found.stdout


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """A generic feature set in a file."""
    data, path = feature_set(), tmp_path_factory.mktemp("data") / "world.npz"
    rows = {f"{part}_loc": numbers for part, numbers in data.rows.items()}
    arrays = {"features": data.features, "labels": data.labels, "semantics": data.semantics}
    np.savez(path, class_names=np.array(data.class_names), **arrays, **rows)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for label in ("red", "green", "blue"):
        (folder / label).mkdir()
        for number in range(2):
            cv2.imwrite(str(folder / label / f"{number}.png"), colour_frame(label)[..., ::-1])
    return folder


def test_a_method_is_judged_with_a_report_and_as_json(features, tmp_path):
    out, asked = tmp_path / "report.html", ["--method", "prototype-ridge", "--data", features, "--no-questions"]
    said = done(*asked, "--out", out)
    found = json.loads(done(*asked, "--json"))
    (t1,) = found["seeds"]["T1"]["values"]
    assert re.search(rf"^T1 +{t1:.1f}", said, re.MULTILINE)
    assert t1 / 100 == pytest.approx(found["figures"]["top1"], abs=1e-6)
    assert str(out) in said
    assert f"{t1:.1f}" in Page(out.read_text()).text


def test_a_bundle_is_judged_and_json_is_printed_alone(small_bundle, photographs):
    found = json.loads(done(photographs, "--bundle", small_bundle.folder, "--leave-out", "blue", "--json"))
    assert found["figures"]["top1"] == 1.0
    assert found["rejection"]["left_out"] == ["blue"]


def test_settings_of_a_file_are_taken(features, tmp_path):
    (tmp_path / "settings.json").write_text('{"penalty": 3.0}')
    settings = ["--settings", tmp_path / "settings.json", "--no-questions", "--json"]
    found = json.loads(done("--method", "prototype-ridge", "--data", features, *settings))
    assert found["facts"]["settings"].startswith("penalty 3;")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a folder of photographs, or --method with --data"),
        (("--method", "eszsl"), "a method is judged on --data"),
        (("photographs", "--bundle", "a", "--model", "b"), "give one of --bundle and --model"),
        (("--method", "eszsl", "--data", "flo", "--attack", "pgd"), "--attack is for photographs"),
        (("--method", "eszsl", "--data", "flo", "--corruptions"), "--corruptions is for photographs"),
        (("--method", "eszsl", "--data", "flo", "--bundle", "a"), "--bundle is for photographs"),
        (("photographs", "--seeds", "3"), "--seeds is for a method"),
        (("photographs", "--no-questions"), "--questions is for a method"),
        (("photographs", "--epsilon", "1"), "--epsilon is of an attack: give --attack, too"),
    ],
)
def test_half_a_question_or_an_option_that_would_do_nothing_is_wrong_usage(arguments, said):
    found = edgezsl(*arguments)
    assert found.exit_code == 2
    assert said in found.stderr


def test_what_is_unknown_is_refused_with_what_there_is(features):
    found = edgezsl("--method", "eszls", "--data", features)
    assert isinstance(found.exception, InputError)
    assert "there is no method 'eszls'" in str(found.exception)
    assert "prototype-ridge" in found.exception.expected


def test_a_place_that_cannot_be_written_is_refused_before_the_work(photographs, small_bundle):
    out = photographs / "red" / "0.png" / "x.html"
    found = edgezsl(photographs, "--bundle", small_bundle.folder, "--out", out)
    assert isinstance(found.exception, SinkError)
    assert "the report cannot be written" in str(found.exception)
    assert found.stdout == ""
