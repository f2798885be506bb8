"""`edgezsl compile` as it is typed: what it prints, and what it says when it cannot."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from edgezsl.cli import compile as compile_command
from edgezsl.compile.plan_run import Compiled, PlanOutcome
from edgezsl.errors import MissingExtraError, ModelError
from edgezsl.runtime.plan_record import Machine, PlanBuild, PlanIdentity, PlanRecord
from tests.factories import write_small_bundle

NANO = Machine("10.3.0", "Orin", "8.7", 8, "12.6", "36.4.3")
app = typer.Typer()
app.command("compile")(compile_command.compile_plans)
app.command("other")(lambda: None)  # one command alone would need no name


def typed(*arguments):
    """Run the command and return what it did."""
    return CliRunner().invoke(app, ["compile", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def bundle(tmp_path):
    return write_small_bundle(tmp_path / "colours")


def test_a_dry_run_needs_no_gpu_and_shows_a_table(bundle):
    done = typed(bundle.folder, "--dry-run")
    assert done.exit_code == 0, done.output
    rows = [line.split("  ") for line in done.stdout.splitlines()]
    assert rows[0][0] == "bundle"
    assert "the graphs, judged now" in done.stdout
    assert [cell.strip() for cell in rows[2] if cell] == [
        "precision",
        *(f"TensorRT {one}" for one in ("10.3", "10.13", "10.16", "11.4")),
    ]
    assert rows[3][0] == "fp32"
    assert done.stdout.count("no rule broken ") >= 4


def test_a_dry_run_of_a_broken_graph_ends_with_an_error_after_the_table(tmp_path, monkeypatch):
    verdicts = {"fp32": {"10.3": "refused: window is a HannWindow [unsupported_operator]", "11.4": "no rule is broken"}}
    bundle = write_small_bundle(tmp_path / "colours", verdicts=verdicts)
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = typed(bundle.folder, "--dry-run")
    assert isinstance(done.exception, ModelError)
    assert done.exception.code == "refused_graph"
    assert str(done.exception).startswith(
        f"{bundle.folder}: TensorRT's rules refuse fp32 for TensorRT 10.3: window is a HannWindow [unsupported_operator];"
    )
    assert "the manifest, as the export found it" in done.stdout
    assert "refused: fp32 for TensorRT 10.3: window is a HannWindow [unsupported_operator]" in done.stdout


def test_a_dry_run_for_programs_is_one_object(bundle):
    value = json.loads(typed(bundle.folder, "--dry-run", "--json").stdout)
    assert value["digest"] == bundle.digest
    assert list(value["verdicts"]) == ["fp32"]
    assert value["refusals"] == []


@pytest.mark.parametrize("option", [["--force"], ["--plans", "x"], ["--workspace", "9"], ["--optimization-level", "1"]])
def test_an_option_that_would_do_nothing_is_refused(bundle, option):
    done = typed(bundle.folder, "--dry-run", *option)
    assert done.exit_code == 2
    assert option[0] in done.output


@pytest.mark.parametrize("option", [["--precision", "int4"], ["--optimization-level", "6"], ["--workspace", "0"]])
def test_an_option_out_of_range_is_a_usage_error(bundle, option):
    assert typed(bundle.folder, *option).exit_code == 2


def test_without_tensorrt_the_missing_package_is_named(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    done = typed(bundle.folder, "--plans", tmp_path / "plans")
    assert isinstance(done.exception, MissingExtraError)
    assert not (tmp_path / "plans").exists()


def test_what_came_out_is_said(bundle, capsys):
    build = PlanBuild(512, 3, "", 41.5, {"FP16": 40, "INT8": 2})
    timing, agreement = {"p50_ms": 2.5, "p95_ms": 2.75, "runs": 100}, {"golden": 0.99991}
    record = PlanRecord(
        "colours", PlanIdentity.of(bundle, NANO, "fp32"), "ab" * 32, 5_000_000, build, timing, agreement
    )
    whole = replace(record, agreement={"golden": 0.9999, "onnx": 0.99995})
    outcomes = (
        PlanOutcome("fp32", record, built=True),
        PlanOutcome("fp16", whole),
        PlanOutcome("int8", None, reason="no plan"),
    )
    compile_command._say_compiled(Compiled(bundle, NANO, bundle.folder, outcomes, "fp32", ("INT8 is slower",)))
    said = capsys.readouterr().out
    assert "Orin (8.7, 8 SMs), TensorRT 10.3.0, CUDA driver 12.6, Jetson Linux 36.4.3" in " ".join(said.split())
    lines = [line.split() for line in said.splitlines()]
    assert ["workspace", "512", "MiB"] in lines
    assert "fp32 built 2.50 2.75 0.99991 - 5.00" in " ".join(said.split())
    assert ["int8", "refused", *["-"] * 7] in lines
    assert {
        "int8: refused: no plan",
        "INT8 is slower",
        "selected: fp32, the fastest that agrees with the golden answers",
    } <= set(said.splitlines())
    compile_command._say_compiled(Compiled(bundle, NANO, bundle.folder, outcomes[:1], "fp32", ()))
    assert "selected: fp32, compared with no other" in capsys.readouterr().out.splitlines()
