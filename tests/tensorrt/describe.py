"""Run in a child process: imports one binding and prints as JSON what it offers, with its docstrings.

Arguments: the folder that holds the package, the package's name, and libraries to load before it.
"""

import ctypes
import importlib
import inspect
import json
import sys

DEEPEST = 3  # classes in classes: `ILogger.Severity`


def described(value, name):
    """Return what it is, its type, whether it can be set, and its docstring or number."""
    if inspect.isclass(value):
        return "class", None, False, None
    if isinstance(value, property):
        return "property", None, value.fset is not None, getattr(value.fget, "__doc__", None)
    if inspect.isgetsetdescriptor(value) or inspect.ismemberdescriptor(value):
        return "property", "", True, None
    if callable(value) or isinstance(value, (staticmethod, classmethod)):
        return "function", None, False, headed(value, name)
    number = str(int(value)) if hasattr(value, "__int__") else None
    return "value", type(value).__qualname__, False, number


def headed(function, name):
    """Return a docstring; where Cython wrote C's types into its head, with a head of names alone."""
    if not type(function).__name__.startswith("cython"):
        return function.__doc__
    names = ", ".join(inspect.signature(function).parameters)
    return f"{name}({names})"


def members(owner, full_name, found):
    """Describe a class, or the module, and the classes inside it."""
    found[full_name] = {}
    for name in dir(owner):
        value = inspect.getattr_static(owner, name)
        if (name.startswith("_") and name not in {"__init__", "__version__"}) or inspect.ismodule(value):
            continue
        found[full_name][name] = described(value, name)
        inner = f"{full_name}.{name}" if full_name else name
        if inspect.isclass(value) and inner.count(".") < DEEPEST:
            members(value, inner, found)


def main():
    folder, package, *libraries = sys.argv[1:]
    for library in libraries:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    sys.path[0] = folder
    module = importlib.import_module(package)
    found = {}
    members(module, "", found)
    sys.stdout.write(json.dumps({"version": getattr(module, "__version__", ""), "names": found}))


if __name__ == "__main__":
    main()
