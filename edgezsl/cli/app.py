"""The command `edgezsl`, and the one place where an error becomes a message and an exit status."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from edgezsl import __version__
from edgezsl.cli import (
    classes,
    classify_text,
    demo,
    evaluate,
    export,
    import_model,
    inspect,
    machine,
    provision,
    run,
    search,
    train,
)
from edgezsl.cli import compile as compile_command
from edgezsl.errors import EdgezslError

app = typer.Typer(
    name="edgezsl",
    help="Zero-shot image recognition on edge devices: classes are words or pictures, swapped while the camera runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("import")(import_model.import_model)
app.command("export")(export.export)
app.command("compile")(compile_command.compile_plans)
app.command("train")(train.train)
app.command("search")(search.search)
app.command("eval")(evaluate.evaluate)
app.command("embed")(classes.embed)
app.command("check")(classes.check)
app.command("classify-text")(classify_text.classify_text)
app.command("inspect")(inspect.inspect)
app.command("doctor")(machine.doctor)
app.add_typer(machine.devices, name="devices")
app.command("bench")(machine.bench)
app.command("provision")(provision.provision)

_DONE, _REFUSED, _INTERRUPTED = 0, 1, 130
_DEBUG = "EDGEZSL_DEBUG"


class _Interrupted(BaseException):
    """Ctrl-C: not a KeyboardInterrupt, which the parser of the command line would turn into exit status 1."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgezsl {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar=_DEBUG, help="Show a traceback with an error.")] = False,
) -> None:
    """Read the options that stand before the command."""
    del version
    if debug:
        os.environ[_DEBUG] = "1"


def main() -> int:
    """Run the command line.

    Returns:
        0 done, 1 refused with a message, 130 interrupted. Wrong usage exits with 2.
    """
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else _REFUSED
    except _Interrupted:
        return _INTERRUPTED
    except BrokenPipeError:
        return _output_gone()
    except EdgezslError as fault:
        return _output_gone() if isinstance(fault.__cause__, BrokenPipeError) else _report(fault)
    except Exception as fault:  # noqa: BLE001  # the last seam: a defect of ours must not greet a user with a traceback
        message = f"a defect of edgezsl: {type(fault).__name__}: {fault}"
        hint = "run it again with `edgezsl --debug …` and report what it prints"
        return _report(EdgezslError(message, code="internal", hint=hint))
    return _DONE


def _output_gone() -> int:
    """End in peace when whoever read our output has gone, as `edgezsl run --jsonl - | head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
    return _DONE


def _interrupt(*_: object) -> None:
    raise _Interrupted


def _report(fault: EdgezslError) -> int:
    if os.environ.get(_DEBUG):
        traceback.print_exc()
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps({"error": fault.to_json()}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"edgezsl: {fault}\n")
    return _REFUSED
