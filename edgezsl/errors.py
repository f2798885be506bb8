"""The errors of edgezsl, and the words in which they speak.

    EdgezslError
    ├── InputError (ValueError)            something that a person must change
    │   ├── ClassFileError                 classes.yaml
    │   ├── PackError                      classes.safetensors
    │   ├── BundleError                    a bundle, its manifest or one of its files
    │   ├── ContractError                  an input contract or pixels that do not meet it
    │   ├── SpaceMismatchError             vectors of two embedding spaces
    │   ├── SourceError                    a source that cannot be what its URI says
    │   ├── ProfileError                   a device profile
    │   ├── RecipeError                    an export recipe
    │   ├── ModelError                     a model directory, or a graph in it that cannot be exported
    │   ├── ParityError                    an export that does not say what its model says
    │   └── MissingExtraError (ImportError)  an optional package is not installed
    └── TransientError (RuntimeError)        something that failed while running; another try may go well
        ├── EngineError                    an engine that refuses a graph, fails, or disagrees with its golden set
        ├── SourceLostError                a source that went silent
        ├── SinkError                      an output that cannot be written
        └── EmbedderError                  the embedding child process died or took too long

Every error carries a stable `code`, a `Place`, what was `got`, what was `expected` and a `hint`: the message is for a
person, the fields are for a program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

# To the last @ before the next URL: a password that somebody did not encode may hold an @, a slash or a space.
_CREDENTIALS = re.compile(r"""(?s)(?<=//)(?:(?!(?<=[\s"'=;,(<|])[A-Za-z][A-Za-z0-9+.-]*://).)+(?=@)""")
_LONGEST_VALUE = 80


def redacted(uri: str) -> str:
    """Return `uri` with the user and password of every URL in it replaced by `***`.

    Rather too much than too little: of a URL that has an `@` in its path only, the host is hidden too.
    """
    return _CREDENTIALS.sub("***", uri)


def shown(value: object) -> str:
    """Return `value` as an error shows it: quoted, on one line, cut at 80 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def printable(text: str, *, keep: str = "") -> str:
    """Return `text` without what must not reach a terminal, such as an escape sequence's first sign.

    Args:
        text: Somebody else's: a driver's, a file's.
        keep: Signs that stay nevertheless, such as a line's end.
    """
    return "".join(sign for sign in text if sign.isprintable() or sign in keep)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error lies.

    Attributes:
        file: A path or a URI as the user wrote it, without credentials.
        line: The line in the file, from 1.
        field: The path of the field, such as `classes[2].threshold`.
    """

    file: str | None = None
    line: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        head = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ", ".join(part for part in (head, self.field) if part)

    def to_json(self) -> dict[str, str | int]:
        """Return the parts that are known, by name."""
        parts = {"file": self.file, "line": self.line, "field": self.field}
        return {name: part for name, part in parts.items() if part is not None}


NOWHERE = Place()


class EdgezslError(Exception):
    """The root of every error that edgezsl raises on purpose.

    Attributes:
        usual_hint: What to do about an error of this kind, where its place knows nothing better.

    Args:
        message: What is wrong, in one clause, with the value at fault.
        code: A stable word for programs, such as `unknown_key`.
        where: The place of the fault.
        got: What was found, if the message alone does not say it.
        expected: What would have been right.
        hint: What to do about it, as an imperative.
    """

    usual_hint: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        where: Place = NOWHERE,
        got: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.where = where
        self.got = got
        self.expected = expected
        self.hint = hint or self.usual_hint

    def __str__(self) -> str:
        place = str(self.where)
        text = f"{place}: {self.message}" if place else self.message
        if self.got is not None:
            text += f", got {self.got}"
        if self.expected is not None:
            text += f", expected {self.expected}"
        return f"{text}; {self.hint}" if self.hint else text

    def to_json(self) -> dict[str, Any]:
        """Return the error as the object that `--json` prints under `error`."""
        return {
            "type": type(self).__name__,
            "code": self.code,
            "message": self.message,
            "where": self.where.to_json(),
            "got": self.got,
            "expected": self.expected,
            "hint": self.hint,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> EdgezslError:
        """Return the error that `to_json` described: for errors that cross from another process of ours."""
        kinds: list[type[EdgezslError]] = [EdgezslError, *_descendants(EdgezslError)]
        return {kind.__name__: kind for kind in kinds}[value["type"]](
            value["message"],
            code=value["code"],
            where=Place(**value["where"]),
            got=value["got"],
            expected=value["expected"],
            hint=value["hint"],
        )


def _descendants(kind: type[EdgezslError]) -> list[type[EdgezslError]]:
    return [below for child in kind.__subclasses__() for below in (child, *_descendants(child))]


class InputError(EdgezslError, ValueError):
    """Something that was given is wrong; a person must change it."""

    usual_hint = "compare it with what the command says with --help"


class ClassFileError(InputError):
    """A class file breaks a rule of `docs/classes-file.md`."""

    usual_hint = "compare the file with docs/classes-file.md"


class PackError(InputError):
    """A class pack is damaged, or is not a class pack."""

    usual_hint = "make the pack again: edgezsl embed"


class BundleError(InputError):
    """A bundle is incomplete, altered, or of a format that this version does not read."""

    usual_hint = "copy the bundle again, whole, or export it again with this version"


class ContractError(InputError):
    """An input contract or embedding space is not valid, or an array does not meet it."""

    usual_hint = "compare it with docs/model-format.md, or with what `edgezsl inspect` says of the bundle"


class SpaceMismatchError(InputError):
    """Prototypes and embeddings live in different embedding spaces, so that no score between them means anything."""


class SourceError(InputError):
    """A source cannot be what its URI says it is."""

    usual_hint = "check the source's name and its file; `edgezsl doctor` lists the cameras"


class ProfileError(InputError):
    """A device profile breaks its format, or there is none of that name."""

    usual_hint = "compare the file with devices/README.md"


class RecipeError(InputError):
    """An export recipe breaks its format, or there is none of that name."""

    usual_hint = "compare the file with export/README.md"


class ModelError(InputError):
    """A model directory is incomplete or altered, or holds a graph that cannot be exported."""

    usual_hint = "write the model directory again, or compare it with docs/model-format.md"


class ParityError(InputError):
    """An exported file does not say what its model says, by a bound of the recipe."""


class MissingExtraError(InputError, ImportError):
    """An optional package is needed and absent, or broken; the hint says what brings it, or what helps."""


class TransientError(EdgezslError, RuntimeError):
    """Something failed while running; another try may go well."""


class EngineError(TransientError):
    """An engine refuses a graph, fails on an input, or disagrees with the bundle's golden answers."""

    usual_hint = "take another engine, of those that `edgezsl doctor` lists, or export the model again"


class SourceLostError(TransientError):
    """A source gave frames or promised to, and then went silent."""


class SinkError(TransientError):
    """An output cannot be written."""

    usual_hint = "choose another name or place for the output"


class EmbedderError(TransientError):
    """The child process that reads and embeds class files died or took too long."""


def missing_extra(package: str, extra: str, purpose: str, cause: ImportError | None = None) -> MissingExtraError:
    """Return the error for an optional package that is absent, or that is there and cannot be imported.

    Args:
        package: The import name that failed, such as `cv2`.
        extra: The extra of edgezsl that brings it, such as `camera`.
        purpose: What it is needed for, as a noun phrase.
        cause: What importing it raised, where it was tried.
    """
    if cause is not None and not (isinstance(cause, ModuleNotFoundError) and cause.name == package):
        return MissingExtraError(
            f"{purpose} needs the Python package {package!r}, which is installed and cannot be imported",
            code="broken_package",
            got=shown(str(cause)),
            hint="run: edgezsl doctor; it knows the usual cures",
        )
    return MissingExtraError(
        f"{purpose} needs the Python package {package!r}, which is not installed",
        code="missing_extra",
        expected=f"the extra {extra!r}",
        hint=f"run: pip install 'edgezsl[{extra}]'",
    )


def first_line(cause: Exception) -> str:
    """Return the first line of what another library's error says, or the error's name where it says nothing."""
    said = str(cause).strip()
    return said.splitlines()[0] if said else type(cause).__name__
