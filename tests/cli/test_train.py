"""`edgezsl train` as it is typed: what is refused before any work."""

import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app
from edgezsl.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("--method", "eszsl"), {}, "a method learns on --data"),
        (("--method", "eszsl", "--data", "flo"), {"WORLD_SIZE": "2"}, "a method is fitted in one process"),
        ((), {"EDGEZSL_DATA": ""}, "a recipe learns on the reference data"),
        (("--data", "a", "--unseen", "teapot"), {}, "--unseen is for a method"),
        (("--data", "a", "--size", "quick"), {}, "--size is for a method"),
        (("--method", "eszsl", "--data", "flo", "--recipe", "builtin"), {}, "--recipe is for a recipe"),
        (("--method", "eszsl", "--data", "flo", "--left-out", "0"), {}, "--left-out is for a recipe"),
        (("--method", "eszsl", "--data", "flo", "--graph", "a.npz"), {}, "--graph is for a method on a graph: gcnz"),
        (("--method", "eszsl", "--data", "flo", "--unseen", "rose"), {}, "--unseen is for photographs"),
        (("--method", "dgp", "--data", "own.npz", "--unseen", "rose"), {}, "--unseen is for photographs"),
    ],
)
def test_half_a_question_or_an_option_that_would_do_nothing_is_wrong_usage(arguments, environment, said):
    found = CliRunner().invoke(app, ["train", *arguments], env={"COLUMNS": "200", **environment})
    assert found.exit_code == 2
    assert said in found.stderr


def test_photographs_without_a_method_are_told_from_the_reference_data(tmp_path):
    found = CliRunner().invoke(app, ["train", "--data", str(tmp_path), "--out", str(tmp_path / "model")])
    assert isinstance(found.exception, InputError)
    assert found.exception.code == "no_reference_data"
    assert "name a --method" in str(found.exception)
