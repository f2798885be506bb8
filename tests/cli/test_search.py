"""`edgezsl search` as a user meets it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app
from edgezsl.data.feature_set import read_feature_set
from edgezsl.errors import InputError
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import validation_accuracy
from edgezsl.zsl.settings_file import read_settings


@pytest.fixture
def data(tmp_path):
    """Write a small feature set of a linear world."""
    random = np.random.default_rng(0)
    semantics, labels = random.normal(size=(12, 6)), np.repeat(np.arange(12), 8)
    features = semantics[labels] @ random.normal(size=(6, 16)) + random.normal(size=(96, 16))
    parts = {"train": labels < 6, "val": (labels >= 6) & (labels < 9), "trainval": labels < 9}
    parts |= {"test_seen": labels < 0, "test_unseen": labels >= 9}
    rows = {f"{part}_loc": np.flatnonzero(kept) for part, kept in parts.items()}
    names = np.array([f"class {number}" for number in range(12)])
    np.savez(tmp_path / "world.npz", features=features, labels=labels, semantics=semantics, class_names=names, **rows)
    return tmp_path / "world.npz"


def search(*arguments):
    return CliRunner().invoke(app, ["search", *map(str, arguments)])


def test_the_best_settings_are_printed_and_written_for_training(data, tmp_path):
    out = tmp_path / "best.json"
    done = search("--method", "eszsl", "--data", data, "--trials", 6, "--json", "--out", out)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["study"], report["trials"], report["pruned"]) == ("eszsl-world-quick", 6, 0)
    assert read_settings(out) == report["settings"]
    method = method_named("eszsl").make(read_settings(out), size="quick")
    assert validation_accuracy(method, read_feature_set(data)) == pytest.approx(report["val_t1"])


def test_the_report_for_people_names_the_same(data):
    done = search("--method", "prototype-ridge", "--data", data, "--sampler", "grid")
    assert done.exit_code == 0, done.output
    facts = dict(line.split(None, 1) for line in done.stdout.splitlines())
    assert set(facts) == {"study", "best", "val", "trials"}
    assert facts["trials"] == "13, 0 of them given up"
    assert facts["best"].startswith("penalty ")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--method", "eszls", "--data", "flo"), "unknown_method"),
        (("--method", "eszsl", "--data", "rose"), "unknown_data"),
        (("--method", "eszsl", "--data", "absent.npz"), "not_found"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, code):
    done = search(*arguments)
    assert isinstance(done.exception, InputError)
    assert done.exception.code == code
