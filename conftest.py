"""Checks the shapes in the annotations of `pyg_samsa` while the tests run.

A function whose annotations hold shapes (see `pyg_samsa.typing`) is wrapped when its module is imported. After every
call that returns, its arguments and its result must fit the annotations, and a letter must mean the same number in all
of them. The check comes after the call, so that wrong arguments meet the function's own errors first. Shapes that a
function has passed are not checked again. Compiled and exported code is not checked. ``PYG_SAMSA_SHAPES=0`` switches
the checks off.
"""

import functools
import gc
import importlib.abc
import importlib.machinery
import inspect
import os
import re
import sys
from types import FunctionType, ModuleType

import pytest

ROOMS = ("pyg_samsa.functional", "pyg_samsa.nn")
SHAPE = re.compile(r"\b(Bool|Complex|Float|Int|Shaped)\[")


def check_shapes(function):
    """Return the function with a check of its shapes after every call, or as it is when its annotations hold none."""
    import jaxtyping
    import torch
    from beartype.door import is_bearable

    marked = {
        name: text for name, text in function.__annotations__.items() if isinstance(text, str) and SHAPE.search(text)
    }
    if not marked:
        return function
    hints = {name: eval(text, inspect.unwrap(function).__globals__) for name, text in marked.items()}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [name for name, one in inspect.signature(function).parameters.items() if one.kind in positional]
    seen = set()

    def form(value):
        if isinstance(value, torch.Tensor):
            return value.dtype, tuple(map(str, value.shape))  # of exported code they are no numbers
        return tuple(map(form, value)) if isinstance(value, tuple | list) else type(value)

    def describe(value):
        if isinstance(value, torch.Tensor):
            return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        return f"({', '.join(map(describe, value))})" if isinstance(value, tuple | list) else type(value).__name__

    def check(args, kwargs, result):
        values = {**dict(zip(parameters, args, strict=False)), **kwargs, "return": result}
        forms = tuple((name, form(values[name])) for name in hints if name in values)
        if forms in seen:
            return
        with jaxtyping.jaxtyped("context"):
            for name, hint in hints.items():
                if name in values and not is_bearable(values[name], hint):
                    found = ", ".join(f"{key}: {describe(values[key])}" for key in hints if key in values)
                    raise TypeError(f"{function.__qualname__}: {name} is not {marked[name]}; {found}")
        seen.add(forms)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        result = function(*args, **kwargs)
        if not torch.compiler.is_compiling() and result is not NotImplemented:
            check(args, kwargs, result)
        return result

    return checked


def check_module(module: ModuleType) -> None:
    """Wrap the functions and methods that a module defines."""
    import torch

    for name, item in list(vars(module).items()):
        if getattr(item, "__module__", None) != module.__name__:
            continue
        if isinstance(item, FunctionType):
            setattr(module, name, check_shapes(item))
        elif isinstance(item, type) and not issubclass(item, torch.autograd.Function):
            for key, member in list(vars(item).items()):
                if isinstance(member, FunctionType):
                    # torch.compile cannot trace a wrapped __init__ that a dataclass has generated.
                    if member.__code__.co_filename != "<string>":
                        setattr(item, key, check_shapes(member))
                elif isinstance(member, staticmethod | classmethod):
                    setattr(item, key, type(member)(check_shapes(member.__func__)))


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module as always, then wraps what it defines."""

    def exec_module(self, module):
        super().exec_module(module)
        check_module(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the rooms whose annotations are checked."""

    def find_spec(self, fullname, path=None, target=None):
        if not any(fullname == room or fullname.startswith(f"{room}.") for room in ROOMS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect the tests without garbage collection, and leave their objects out of all later garbage collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Run doctests without the notes of our errors, which doctest would take for the message."""
    if not isinstance(item, pytest.DoctestItem):
        return (yield)
    from pyg_samsa.errors import SAMSAError

    SAMSAError.add_note = lambda self, note: None
    try:
        return (yield)
    finally:
        del SAMSAError.add_note


def pytest_report_header():
    """Say whether shapes are checked."""
    return f"shapes in annotations: {'checked' if CHECKED else 'not checked'}"


CHECKED = os.environ.get("PYG_SAMSA_SHAPES") != "0" and all(map(importlib.util.find_spec, ("jaxtyping", "beartype")))
if CHECKED:
    sys.meta_path.insert(0, Finder())
