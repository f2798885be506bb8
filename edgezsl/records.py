"""Strict JSON objects: written in one canonical form, read field by field, refused where they hold anything unknown.

A reader that ignores what it does not know lets a newer file mean something else on an older device. Here every object
is read through `Fields`, and `Fields.done()` names what is left over.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from typing import Any

from edgezsl.errors import InputError, Place, shown

_REQUIRED: Any = object()
_LONGEST_INTEGER = 19  # characters: what a 64-bit integer needs; Python refuses very long ones with an error of its own


def sha256_hex(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON with sorted keys, no spaces, UTF-8, and no NaN: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse_json(data: bytes, *, file: str, error: type[InputError], max_bytes: int) -> Any:
    """Return the value of one JSON document.

    Args:
        data: The document, UTF-8.
        file: Its name, for the error.
        error: The error to raise.
        max_bytes: The cap, checked before the parser sees a byte.

    Raises:
        InputError: As `error`, when the document is too long, not JSON in UTF-8, nested too deeply, holds a key
            twice, a number that is not finite, or half of a surrogate pair.
    """
    place = Place(file)
    if len(data) > max_bytes:
        raise error(f"{len(data)} bytes of JSON", code="too_large", where=place, expected=f"at most {max_bytes}")
    try:
        text = data.decode()
        value = json.loads(text, **_strict_hooks(place, error))
        if "\\u" in text:
            canonical_json(value)  # an escape may hide half of a surrogate pair: text that cannot be written again
    except (UnicodeError, json.JSONDecodeError) as cause:
        line = getattr(cause, "lineno", None)
        raise error(f"this is not JSON ({cause})", code="not_json", where=Place(file, line)) from cause
    except RecursionError as cause:
        raise error("the JSON is nested too deeply", code="too_deep", where=place) from cause
    return value


def _strict_hooks(place: Place, error: type[InputError]) -> dict[str, Any]:
    """Return what makes `json.loads` refuse a key that stands twice and a number that is out of range."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, count in counts.items() if count > 1)
            raise error(f"the key {shown(twice)} stands twice", code="duplicate_key", where=place)
        return found

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise error(f"{shown(text)} is not a finite number", code="not_finite", where=place)
        return value

    def short(text: str) -> int:
        if len(text) > _LONGEST_INTEGER:
            raise error(f"an integer of {len(text)} digits", code="not_finite", where=place)
        return int(text)

    return {"object_pairs_hook": unique, "parse_constant": finite, "parse_float": finite, "parse_int": short}


class Fields:
    """The fields of one JSON object, taken one by one.

    Args:
        value: The parsed value, which must be an object.
        place: Where it stands; `place.field` is the prefix of every field named in an error.
        error: The error to raise.

    Raises:
        InputError: As `error`, when `value` is not an object.
    """

    def __init__(self, value: Any, place: Place, error: type[InputError]) -> None:
        self._place = place
        self._error = error
        if not isinstance(value, dict):
            raise error(f"{shown(value)} is not an object", code="wrong_type", where=place, expected="a JSON object")
        self._left = dict(value)

    def place(self, name: str) -> Place:
        """Return the place of the field `name`."""
        prefix, visible = self._place.field, shown(name).strip("'\"")
        return Place(self._place.file, self._place.line, f"{prefix}.{visible}" if prefix else visible)

    def placed(self, fault: InputError) -> InputError:
        """Return `fault`, which a value built from these fields raised about one of them, with the whole place."""
        fault.where = self.place(fault.where.field or "")
        return fault

    def refuse(self, name: str, message: str, *, code: str, expected: str | None = None) -> InputError:
        """Return the error for the field `name`, for the caller to raise."""
        return self._error(message, code=code, where=self.place(name), expected=expected)

    def take(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return the raw value of a field, or `default`.

        Raises:
            InputError: When the field is required and absent.
        """
        if name not in self._left and default is _REQUIRED:
            raise self.refuse(name, f"the field {name!r} is missing", code="missing_key")
        return self._left.pop(name, default)

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """Return a string.

        Raises:
            InputError: When the value is not a string.
        """
        return self._typed(name, default, str, "a string")  # type: ignore[no-any-return]  # _typed has checked it

    def flag(self, name: str, default: Any = _REQUIRED) -> bool:
        """Return a boolean.

        Raises:
            InputError: When the value is neither true nor false.
        """
        return self._typed(name, default, bool, "true or false")  # type: ignore[no-any-return]  # _typed has checked it

    def count(self, name: str, default: Any = _REQUIRED, *, least: int = 0) -> int:
        """Return an integer ≥ `least`.

        Raises:
            InputError: When the value is not an integer, or too small.
        """
        value = self.take(name, default)
        if value is default:
            return value  # type: ignore[no-any-return]  # the caller's own default
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.refuse(
                name, f"{shown(value)} is not a count", code="wrong_type", expected=f"an integer ≥ {least}"
            )
        return value

    def counts(self, name: str) -> tuple[int, ...]:
        """Return a list of integers ≥ 0 as a tuple.

        Raises:
            InputError: When the value is not a list of such integers.
        """
        values = self._typed(name, _REQUIRED, (list, tuple), "a list of integers")
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise self.refuse(
                    name, f"{shown(value)} is not a count", code="wrong_type", expected="integers ≥ 0 only"
                )
        return tuple(values)

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        """Return a finite number.

        Raises:
            InputError: When the value is not a number.
        """
        value = self.take(name, default)
        return value if value is default else self._number(name, value)

    def numbers(self, name: str, default: Any = _REQUIRED) -> tuple[float, ...]:
        """Return a list of finite numbers as a tuple.

        Raises:
            InputError: When the value is not a list of numbers.
        """
        value = self._typed(name, default, (list, tuple), "a list of numbers")
        return value if value is default else tuple(self._number(name, item) for item in value)

    def texts(self, name: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        """Return a list of strings as a tuple.

        Raises:
            InputError: When the value is not a list of strings.
        """
        value = self._typed(name, default, (list, tuple), "a list of strings")
        if value is default:
            return value  # type: ignore[no-any-return]  # the caller's own default
        for item in value:
            if not isinstance(item, str):
                raise self.refuse(name, f"{shown(item)} is not a string", code="wrong_type", expected="strings only")
        return tuple(value)

    def inner(self, name: str) -> Fields:
        """Return the fields of an object inside this one.

        Raises:
            InputError: When the value is not an object.
        """
        return Fields(self.take(name), self.place(name), self._error)

    def inner_or_none(self, name: str) -> Fields | None:
        """Return the fields of an object inside this one, or None where the value is null or absent.

        Raises:
            InputError: When the value is something else.
        """
        value = self.take(name, None)
        return None if value is None else Fields(value, self.place(name), self._error)

    def one_of(self, name: str, allowed: tuple[str, ...], default: Any = _REQUIRED) -> Any:
        """Return a string that is one of `allowed`, as the literal type that the caller expects.

        Raises:
            InputError: When it is another.
        """
        value = self.text(name, default)
        if value not in allowed:
            expected = " or ".join(allowed)
            raise self.refuse(name, f"{shown(value)} is unknown", code="unknown_value", expected=expected)
        return value

    def text_map(self) -> dict[str, str]:
        """Return every field that is left, each a string: for objects whose keys are data.

        Raises:
            InputError: When a value is not a string.
        """
        return {name: self.text(name) for name in self.names()}

    def number_map(self) -> dict[str, float]:
        """Return every field that is left, each a finite number: for objects whose keys are data.

        Raises:
            InputError: When a value is not a number.
        """
        return {name: self.number(name) for name in self.names()}

    def names(self) -> tuple[str, ...]:
        """Return the names of the fields that are left, in order: for objects whose keys are data."""
        return tuple(self._left)

    def done(self) -> None:
        """Check that no field is left.

        Raises:
            InputError: When one is, naming it.
        """
        for name in self._left:
            raise self.refuse(name, f"the field {shown(name)} is unknown to this version", code="unknown_key")

    def _typed(self, name: str, default: Any, kind: type | tuple[type, ...], expected: str) -> Any:
        value = self.take(name, default)
        if value is not default and not isinstance(value, kind):
            raise self.refuse(name, f"{shown(value)} does not fit", code="wrong_type", expected=expected)
        return value

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.refuse(
                name, f"{shown(value)} is not a finite number", code="wrong_type", expected="a finite number"
            )
        return float(value)
