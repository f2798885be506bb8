"""What a binding offers, in the words of its own docstrings: classes, members, signatures."""

import re
from dataclasses import dataclass, field

MODULE = ""  # the name under which the functions and classes of the module itself stand


@dataclass(frozen=True)
class Signature:
    """How a function may be called: its parameters without `self`, how many must be given, what comes back.

    `bound` says whether there is a `self`, which a call on the class itself must give.
    """

    parameters: tuple
    required: int
    open: bool = False  # takes anything
    returns: str | None = None
    bound: bool = False

    def refusal(self, positional, keywords):
        """Return why a call does not fit, or None."""
        if self.open:
            return None
        odd = [word for word in keywords if word not in self.parameters[positional:]]
        if odd:
            return f"takes no keyword {odd[0]!r}"
        given = positional + len(keywords)
        if positional > len(self.parameters) or given < self.required:
            return f"takes {self.required} to {len(self.parameters)} arguments, not {given}"
        return None


@dataclass(frozen=True)
class Member:
    """One name: a `class`, a `value`, of an enumeration with its `number`, a `property`, or a `function`."""

    kind: str
    type: str | None = None  # of a value, or of what a property holds
    settable: bool = False
    signatures: tuple = ()
    number: int | None = None


@dataclass(frozen=True)
class Api:
    """A binding: `names[class][member]`, where the class of the module's own names is `MODULE`."""

    version: str
    names: dict = field(repr=False)

    def member(self, owner, name):
        return self.names.get(owner, {}).get(name)

    def class_named(self, name):
        """Return a class by the name that a signature gives it, or None: bindings leave some in C++, such as `IParserError`."""
        for called in (name, (name or "").removeprefix("I")):
            if called in self.names:
                return called
        return None

    def nested(self, owner, name):
        """Return the full name of a class that is a member of a class or of the module."""
        return f"{owner}.{name}" if owner else name

    @classmethod
    def from_json(cls, value):
        """Read what `describe.py` printed."""
        names = {
            owner: {name: _member(*rest) for name, rest in members.items()} for owner, members in value["names"].items()
        }
        return cls(value["version"], names)


def _member(kind, type_name, settable, doc):
    signatures = tuple(signatures_of(doc)) if kind == "function" else ()
    if kind == "property" and type_name is None:
        type_name = next((one.returns for one in signatures_of(doc)), None)
    number = int(doc) if kind == "value" and doc else None
    return Member(kind, type_name, settable, signatures, number)


def signatures_of(doc):
    """Return the signatures that pybind11 wrote at the head of a docstring, or one that takes anything."""
    lines = (doc or "").strip().splitlines()
    overloads = [line for line in lines if re.match(r"\d+\. \w+\(", line)]
    heads = overloads if any("Overloaded function" in line for line in lines[:3]) else lines[:1]
    found = [
        _signature(re.sub(r"^\d+\. ", "", head)) for head in heads if re.match(r"(\d+\. )?\w*\(.*\)( -> .*)?$", head)
    ]
    return found or [Signature((), 0, open=True)]


def _signature(head):
    inside, returns = _split_call(head)
    parameters, required, anything = [], 0, False
    parts = _parts(inside)
    bound = bool(parts) and re.match(r"(self|arg0)\b", parts[0]) is not None
    for part in parts[bound:]:
        name = re.match(r"\**\w*", part)[0]
        if name.startswith("*") or not name:
            anything = True
        else:
            parameters.append(name)
            required += "=" not in re.sub(r"\[.*\]", "", part)
    return Signature(tuple(parameters), required, anything, _class_name(returns), bound)


def _split_call(head):
    start, depth = head.index("("), 0
    for place in range(start, len(head)):
        depth += (head[place] in "([{<") - (head[place] in ")]}" or (head[place] == ">" and head[place - 1] != "-"))
        if depth == 0:
            return head[start + 1 : place], head[place + 1 :].partition("->")[2].strip()
    return head[start + 1 :], ""


def _parts(text):
    """Split at the commas that are in no bracket."""
    parts, depth, last = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in "([{<") - (sign in ")]}" or (sign == ">" and text[place - 1] != "-"))
        if sign == "," and depth == 0:
            parts.append(text[last:place].strip())
            last = place + 1
    return [part for part in [*parts, text[last:].strip()] if part and part != "/"]


def _class_name(text):
    """Return the class in a type, such as `ICudaEngine` of `tensorrt_bindings.tensorrt.ICudaEngine`, or `nvinfer1::ICudaEngine`."""
    found = re.fullmatch(r"(?:Optional\[)?(?:\w+\.tensorrt\.|(?:\w+::)+)([\w.]+)\]?(?: \| None)?", text)
    return found[1] if found else None
