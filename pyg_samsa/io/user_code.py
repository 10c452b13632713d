"""Imports of the user's own modules, which register heads, layers, losses, loaders and operators."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from pyg_samsa.errors import ConfigError, UserCodeError

CUSTOM = "custom_graphgym"
"""The package of a GraphGym project that registers its own modules."""


def import_user_code(modules: Sequence[str], *, custom: bool = False) -> list[str]:
    """Import modules of the user's own, found in the working folder or among the installed packages.

    Args:
        modules: Names of modules, or Python files.
        custom: Whether to import also the package or module ``custom_graphgym`` of the working folder, if there is one.

    Returns:
        The names that were imported, ``custom_graphgym`` first.

    Raises:
        ConfigError: There is no such module, or ``custom_graphgym`` is a folder that Python imports nothing from.
        UserCodeError: A module raises an error.

    Example:
        >>> import_user_code(["math"])
        ['math']
    """
    names = [*_custom(Path.cwd()), *modules] if custom else list(modules)
    here = str(Path.cwd())
    if names and here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    for name in names:
        if not name.endswith(".py") and not all(part.isidentifier() for part in name.split(".")):
            hint = "Files end in .py, as in --import parts/heads.py; modules are written with dots, as in parts.heads."
            raise ConfigError("--import", name, "the name of a module, or a Python file", hint=hint)
        try:
            _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if isinstance(error, ModuleNotFoundError) and error.name and _leads_to(error.name, name):
                hint = "Modules are found in the working folder and among the installed packages."
                raise ConfigError("--import", name, "a module or a Python file that exists", hint=hint) from None
            raise UserCodeError(name, error) from error
    return names


def own_traceback(error: BaseException) -> str:
    """Return the traceback of an error in the user's code, without the frames that led to it.

    Example:
        >>> try:
        ...     1 / 0
        ... except ZeroDivisionError as error:
        ...     own_traceback(error).splitlines()[-1]
        'ZeroDivisionError: division by zero'
    """
    trace = error.__traceback__
    while trace is not None and _is_import(trace):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_import(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file == __file__ or "importlib" in file


def _custom(folder: Path) -> list[str]:
    package = folder / CUSTOM
    if (package / "__init__.py").is_file() or package.with_suffix(".py").is_file():
        return [CUSTOM]
    if package.is_dir() and any(package.glob("*.py")):
        hint = f"Add {CUSTOM}/__init__.py that imports the modules of the folder."
        raise ConfigError(CUSTOM, str(package), "a package with the file __init__.py", hint=hint)
    return []


def _leads_to(missing: str, name: str) -> bool:
    """Say whether a missing module is the one that was asked for, or a package that it is in."""
    return name == missing or name.startswith(f"{missing}.")


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModuleNotFoundError(f"No module named {path}", name=str(path))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module
