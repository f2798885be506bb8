"""What our source uses of a module: found in its syntax tree, with the types that a binding's own signatures give.

A name `trt` (or what `alias` says) is the module, wherever it stands. The type of an object is followed through assignments,
attributes of `self`, annotations (`engine: trt.ICudaEngine`) and what the calls of the module return. What cannot be followed
is not found, which is why the uses that a recording fake saw are compared with these.
"""

import ast
import contextlib
from dataclasses import dataclass

from tests.tensorrt.api import MODULE


@dataclass(frozen=True)
class Use:
    """A name that is used: `owner` is a class, or `MODULE`; `call` is how many positional arguments, and which keywords.

    What stands in an annotation only, no machine ever reads.
    """

    owner: str
    name: str
    line: int
    call: tuple | None = None
    stored: bool = False
    annotation: bool = False

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}" if self.owner else self.name


@dataclass(frozen=True)
class _Type:
    """What an expression is: the `module`, a `class` or an `object` of it, a `function`; or a `local class`, an object `of` it."""

    kind: str
    name: str = ""
    member: str = ""


def uses_of(source, api, *, alias="trt"):
    """Return every use of the module in a source text, in order of lines.

    Args:
        source: The text.
        api: Gives the types.
        alias: The name of the module.
    """
    tree = ast.parse(source)
    walk = _Walk(api, alias)
    for _ in range(3):  # a type may be known only after what gives it
        walk.uses = []
        walk.visit(tree)
    return sorted(set(walk.uses), key=lambda use: (use.line, str(use), use.call is not None))


class _Walk(ast.NodeVisitor):
    def __init__(self, api, alias) -> None:
        self.api = api
        self.alias = alias
        self.uses = []
        self.names = [{}]  # scopes, the innermost last
        self.attributes = {}  # (local class, attribute): type
        self.returns = {}  # (local class or "", function): type
        self.bases = {}  # local class: class of the module
        self.classes = set()
        self.inside = []  # local classes, functions

    # --- scopes ---

    def visit_ClassDef(self, node):
        self.classes.add(node.name)
        for base in node.bases:
            self.visit(base)
            kind = self.type_of(base)
            if kind and kind.kind == "class":
                self.bases[node.name] = kind.name
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self.attributes[node.name, statement.target.id] = self.annotated(statement.annotation)
            named = isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_")
            if named and node.name in self.bases:  # the binding calls what the class overrides
                self.uses.append(Use(self.bases[node.name], statement.name, statement.lineno))
        with self.scope(node.name):
            for statement in node.body:
                self.visit(statement)

    def visit_FunctionDef(self, node):
        owner = self.inside[-1] if self.inside and self.inside[-1] in self.classes else ""
        for decorator in node.decorator_list:
            self.visit(decorator)
        returned = self.annotated(node.returns)
        if returned or (owner, node.name) not in self.returns:
            self.returns[owner, node.name] = returned
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        with self.scope(node.name):
            for argument in arguments:
                self.names[-1][argument.arg] = self.annotated(argument.annotation)
            if owner and arguments and arguments[0].arg == "self":
                self.names[-1]["self"] = _Type("of", owner)
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if default is not None:
                    self.visit(default)
            for statement in node.body:
                self.visit(statement)

    @contextlib.contextmanager
    def scope(self, name):
        self.names.append({})
        self.inside.append(name)
        yield
        self.names.pop()
        self.inside.pop()

    # --- what binds a name ---

    def visit_Import(self, node):
        for name in node.names:
            assert name.name != "tensorrt" or name.asname == "trt", f"line {node.lineno}: import tensorrt as trt"

    def visit_ImportFrom(self, node):
        assert node.module != "tensorrt", f"line {node.lineno}: import tensorrt as trt, and write trt. before its names"
        if node.module == "cuda.bindings":
            called = [name.asname for name in node.names]
            assert called == ["cudart"], f"line {node.lineno}: from cuda.bindings import runtime as cudart"

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            self.bind(target, node.value)

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)
        self.store(node.target, self.annotated(node.annotation) or (node.value and self.type_of(node.value)))

    def visit_NamedExpr(self, node):
        self.visit(node.value)
        self.bind(node.target, node.value)

    def visit_With(self, node):
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, item.context_expr)
        for statement in node.body:
            self.visit(statement)

    def visit_Return(self, node):
        if node.value is None:
            return
        self.visit(node.value)
        function = self.inside[-1]
        owner = self.inside[-2] if len(self.inside) > 1 and self.inside[-2] in self.classes else ""
        if self.returns.get((owner, function)) is None:
            self.returns[owner, function] = self.type_of(node.value)

    def bind(self, target, value):
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts, strict=True):
                self.bind(one, its)
        else:
            self.store(target, self.type_of(value))

    def store(self, target, kind):
        if isinstance(target, ast.Name):
            if kind or target.id not in self.names[-1]:  # a branch that is not understood takes nothing away
                self.names[-1][target.id] = kind
        elif isinstance(target, ast.Attribute):
            self.visit(target.value)
            of = self.type_of(target.value)
            if of and of.kind == "of":
                if kind or (of.name, target.attr) not in self.attributes:
                    self.attributes[of.name, target.attr] = kind
            elif of and of.kind in {"object", "class", "module"}:
                self.uses.append(Use(of.name, target.attr, target.lineno, stored=True))
        elif isinstance(target, ast.Tuple):
            for one in target.elts:
                self.store(one, None)
        else:
            self.visit(target)

    # --- what is a use ---

    def visit_Attribute(self, node):
        self.visit(node.value)
        owner = self.owner_of(node)
        if owner is not None:
            self.uses.append(Use(owner, node.attr, node.lineno))

    def visit_Call(self, node):
        self.generic_visit(node)
        kind = self.type_of(node.func)
        # Starred arguments hide how many there are; then only the names are looked at.
        hidden = any(isinstance(one, ast.Starred) for one in node.args) or None in {word.arg for word in node.keywords}
        positional = len(node.args) - self.gives_self(node.func)
        call = (positional, tuple(word.arg for word in node.keywords))
        if kind and kind.kind == "class":
            self.uses.append(Use(kind.name, "__init__", node.lineno, None if hidden else call))
        elif not hidden and isinstance(node.func, ast.Attribute) and self.owner_of(node.func) is not None:
            self.uses.append(Use(self.owner_of(node.func), node.func.attr, node.lineno, call))

    def gives_self(self, function):
        """Return whether a method is called on its class, so that the first argument is `self`."""
        of = self.type_of(function.value) if isinstance(function, ast.Attribute) else None
        member = self.api.member(of.name, function.attr) if of and of.kind == "class" else None
        return member is not None and any(one.bound for one in member.signatures)

    def owner_of(self, node):
        """Return the class of which an attribute is used, or None where it is not one of the module's."""
        of = self.type_of(node.value)
        if of is None:
            return None
        if of.kind == "of":
            own = (of.name, node.attr) in self.attributes or (of.name, node.attr) in self.returns
            return None if own else self.bases.get(of.name)
        return of.name if of.kind in {"module", "class", "object"} else None

    # --- types ---

    def type_of(self, node):
        match node:
            case ast.Name(id=name):
                found = self.named(name)
            case ast.Attribute():
                found = self.attribute(node)
            case ast.Call(func=function):
                found = self.called(self.type_of(function))
            case ast.NamedExpr(value=value):
                found = self.type_of(value)
            case ast.IfExp(body=body, orelse=other):
                found = self.type_of(body) or self.type_of(other)
            case ast.BoolOp(values=values):
                found = next(filter(None, map(self.type_of, values)), None)
            case _:
                found = None
        return found

    def named(self, name):
        if name == self.alias:
            return _Type("module", MODULE)
        for scope in reversed(self.names):
            if name in scope:
                return scope[name]
        if name in self.classes:
            return _Type("local class", name)
        return _Type("local function", "", name) if ("", name) in self.returns else None

    def attribute(self, node):
        of = self.type_of(node.value)
        if of and of.kind == "of":
            if (of.name, node.attr) in self.attributes:
                return self.attributes[of.name, node.attr]
            if (of.name, node.attr) in self.returns:
                return _Type("local function", of.name, node.attr)
            of = _Type("object", self.bases.get(of.name, "?"))
        member = of and self.api.member(of.name, node.attr)
        if member and member.kind == "class":
            return _Type("class", self.api.nested(of.name, node.attr))
        if member and member.kind == "function":
            return _Type("function", of.name, node.attr)
        return self.object_of(member.type) if member else None

    def called(self, kind):
        if kind is None:
            return None
        if kind.kind == "class":
            return _Type("object", kind.name)
        if kind.kind == "local class":
            return _Type("of", kind.name)
        if kind.kind == "local function":
            return self.returns.get((kind.name, kind.member))
        if kind.kind == "function":
            member = self.api.member(kind.name, kind.member)
            return self.object_of(next((one.returns for one in member.signatures if one.returns), None))
        return None

    def object_of(self, class_name):
        name = self.api.class_named(class_name)
        return _Type("object", name) if name else None

    def annotated(self, node):
        """Return the type that an annotation names: of a class of the module, or of the source's own."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.annotated(ast.parse(node.value, mode="eval").body)
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left) or self.annotated(node.right)
        kind = self.type_of(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
        if kind and kind.kind == "class":
            if isinstance(node, ast.Attribute):
                self.uses.append(Use(self.type_of(node.value).name, node.attr, node.lineno, annotation=True))
            return _Type("object", kind.name)
        return _Type("of", kind.name) if kind and kind.kind == "local class" else None
