"""`edgezsl train` as it is typed: what is refused before any work."""

import pytest
from typer.testing import CliRunner

from edgezsl.cli.app import app


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("--method", "eszsl"), {}, "a method learns on --data"),
        (("--method", "eszsl", "--data", "flo"), {"WORLD_SIZE": "2"}, "a method is fitted in one process"),
        ((), {"EDGEZSL_DATA": ""}, "a recipe learns on the reference data"),
    ],
)
def test_half_a_question_is_wrong_usage(arguments, environment, said):
    found = CliRunner().invoke(app, ["train", *arguments], env={"COLUMNS": "200", **environment})
    assert found.exit_code == 2
    assert said in found.stderr
