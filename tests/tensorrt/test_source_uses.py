"""What the check is made of, without a binding: signatures out of docstrings, uses out of a syntax tree."""

import pytest

from tests.tensorrt.api import Api, signatures_of
from tests.tensorrt.bindings import Binding, fetched
from tests.tensorrt.source_uses import uses_of

T = "tensorrt_bindings.tensorrt"
RUNTIME = {
    "__init__": ["function", None, False, f"__init__(self: {T}.Runtime, logger: {T}.ILogger) -> None"],
    "load": [
        "function",
        None,
        False,
        f"load(self: {T}.Runtime, plan: buffer, size: int = 0) -> {T}.Engine\n\nwords (in brackets)",
    ],
}
ENGINE = {
    "count": ["property", None, False, f"(arg0: {T}.Engine) -> int"],
    "runtime": ["property", None, False, f"(arg0: {T}.Engine) -> {T}.Runtime"],
    "level": ["property", None, True, f"(arg0: {T}.Engine) -> int"],
}
API = Api.from_json(
    {
        "version": "1.0",
        "names": {
            "": {name: ["class", None, False, None] for name in ("Runtime", "Engine", "Flag", "ILogger")},
            "Runtime": RUNTIME,
            "Engine": ENGINE,
            "Flag": {"ONE": ["value", "Flag", False, "1"]},
            "ILogger": {
                "__init__": ["function", None, False, f"__init__(self: {T}.ILogger) -> None"],
                "log": RUNTIME["load"],
            },
        },
    }
)


def uses(text):
    return {f"{use}{list(use.call) if use.call else ''}" for use in uses_of(text, API)}


@pytest.mark.parametrize(
    ("doc", "parameters", "required", "returns"),
    [
        (f"f(self: {T}.A, a: int, b: float = 1.0) -> {T}.B", ("a", "b"), 1, "B"),
        (f"f(self: {T}.A, s: {T}.S = <S.X: 0>, t: Tuple[int, str] = (1, 2)) -> Optional[{T}.B]", ("s", "t"), 0, "B"),
        (f"f(self: {T}.A, a: Callable[[int, int], None]) -> List[{T}.B]", ("a",), 1, None),
        ("f(arg0: int) -> None", (), 0, None),
        (f"(arg0: {T}.A) -> {T}.L.Severity", (), 0, "L.Severity"),
        ("cudaMalloc(size)", ("size",), 1, None),
    ],
    ids=range(6),
)
def test_a_signature_is_read_from_the_head_of_a_docstring(doc, parameters, required, returns):
    (found,) = signatures_of(doc)
    assert (found.parameters, found.required, found.returns, found.open) == (parameters, required, returns, False)


def test_of_overloads_each_is_read():
    doc = f"f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: {T}.A, a: int) -> bool\n\nwords\n\n2. f(self: {T}.A, b: str) -> bool"
    assert [one.parameters for one in signatures_of(doc)] == [("a",), ("b",)]


@pytest.mark.parametrize("doc", [None, "", "Initialize self.  See help(type(self)) for accurate signature."])
def test_where_no_signature_stands_any_call_is_allowed(doc):
    (found,) = signatures_of(doc)
    assert found.refusal(9, ("anything",)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trt.Flag.ONE", {"Flag", "Flag.ONE"}),
        ("trt.Runtime(1).load(b'', size=2).count", {"Runtime.load[1, ('size',)]", "Engine.count"}),
        ("r = trt.Runtime(1)\nr.x", {"Runtime.x", "Runtime.__init__[1, ()]"}),
        ("def f(e: trt.Engine | None):\n    e.runtime.x", {"Engine", "Engine.runtime", "Runtime.x"}),
        ("def f(e: 'trt.Engine'):\n    g = e\n    (h := g).x", {"Engine.x"}),
        ("def f() -> trt.Engine: ...\nf().x", {"Engine.x"}),
        ("def f():\n    return trt.Runtime(1)\nf().x", {"Runtime.x"}),
        (
            "class A:\n    def a(self):\n        self.e.x\n    def b(self):\n        self.e = trt.Runtime(1).load(b'')",
            {"Engine.x"},
        ),
        (
            "class A:\n    e: trt.Engine\nclass B:\n    a: A | None = None\n    def f(self):\n        self.a.e.x",
            {"Engine.x"},
        ),
        ("class A:\n    e: trt.Engine\ndef f():\n    a = A()\n    a.e.x", {"Engine.x"}),
        ("class A:\n    def make(self) -> trt.Engine: ...\n    def f(self):\n        self.make().x", {"Engine.x"}),
        (
            "class L(trt.ILogger):\n    def __init__(self):\n        trt.ILogger.__init__(self)\n    def log(self): ...",
            {"ILogger.log"},
        ),
        ("class L(trt.ILogger):\n    def f(self):\n        self.x", {"ILogger.x", "ILogger.f"}),
        ("with trt.Runtime(1) as r:\n    r.x", {"Runtime.x"}),
        ("a, b = 1, trt.Runtime(1)\n[b.x for _ in a]", {"Runtime.x"}),
        ("def f(trt, r: trt.Runtime):\n    return lambda: r.x", {"Runtime.x"}),
        ("def f(e: trt.Engine):\n    if e:\n        e = unknown()\n    e.x", {"Engine.x"}),
        ("import tensorrt as trt\ntrt.missing.more", {"missing"}),
    ],
    ids=range(18),
)
def test_what_is_used_is_found(text, expected):
    assert expected <= uses(text)


@pytest.mark.parametrize(
    "text",
    ["class A:\n    def f(self):\n        self.x = 1\n        self.x.y", "x.y", "import numpy\nnumpy.x(trt)", "trt"],
)
def test_what_is_not_of_the_module_is_no_use(text):
    assert uses(text) == set()


def test_setting_is_told_from_reading():
    (name, first, second) = uses_of("def f(e: trt.Engine):\n    e.level = 1\n    e.count = 2", API)
    assert (name.annotation, first.stored, second.stored) == (True, True, True)


@pytest.mark.parametrize(
    "text",
    ["import tensorrt", "import tensorrt as t", "from tensorrt import Runtime", "from cuda.bindings import runtime"],
)
def test_another_name_for_the_module_is_refused(text):
    with pytest.raises(
        AssertionError, match=r"line 1: (import tensorrt as trt|from cuda\.bindings import runtime as cudart)"
    ):
        uses_of(text, API)


def test_a_binding_that_cannot_be_fetched_fails_the_check(monkeypatch, tmp_path):
    monkeypatch.setattr("tests.tensorrt.bindings.CACHE", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AssertionError, match=r"tensorrt-cu12-bindings==10\.3\.0 cannot be fetched"):
        fetched(Binding(("tensorrt-cu12-bindings==10.3.0",), "tensorrt_bindings", 10))
