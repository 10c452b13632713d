"""The one way in which classes and functions get a name that configurations can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyg_samsa.errors import ConfigError

Entry = TypeVar("Entry", bound=Callable[..., Any])


def register_in(registry: dict[str, Any], kind: str, name: str) -> Callable[[Entry], Entry]:
    """Return a decorator that adds a class or function to a registry under a name.

    A module that is imported again may register its classes again.

    Args:
        registry: Classes or functions by name.
        kind: What is registered, for the error.
        name: The name; it must not be taken by another class or function.

    Raises:
        ConfigError: The name is taken.

    Example:
        >>> losses = {"l1": max}
        >>> register_in(losses, "loss", "mine")(min) is losses["mine"]
        True
        >>> register_in(losses, "loss", "l1")(min)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: loss: got 'l1', expected an unused name; max has this one
    """

    def register(entry: Entry) -> Entry:
        present = registry.get(name)
        if present is not None and (present.__module__, present.__qualname__) != (entry.__module__, entry.__qualname__):
            raise ConfigError(kind, name, f"an unused name; {present.__qualname__} has this one")
        registry[name] = entry
        return entry

    return register
