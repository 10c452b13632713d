"""Options: arguments that say in their annotation what they mean and which values are allowed.

An option is declared once, where it is used: on an argument of a class, a function or a dataclass. GraphGym's
configuration, the command line and the documentation read it from there.
"""

from __future__ import annotations

import inspect
import math
import numbers
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from pyg_samsa.errors import ConfigError

Options = TypeVar("Options")


@dataclass(frozen=True)
class Option:
    """What an argument means, and its allowed values; written into the argument's annotation.

    Args:
        help: One sentence, with the unit.
        choices: All allowed values; empty for any. Pass a registry to allow names that are added later.
        low: Smallest allowed number; None for any.
        high: Largest allowed number; None for any.
        below: The number must be less than this; None for any.
        above: The number must be greater than this; None for any.

    Example:
        >>> def train(epochs: Annotated[int, Option("Number of epochs.", low=1)] = 10): ...
        >>> options_of(train)["epochs"].default
        10
    """

    help: str
    choices: Collection[Any] = field(default=(), hash=False)
    low: float | None = None
    high: float | None = None
    below: float | None = None
    above: float | None = None

    def allowed(self) -> str:
        """Say which values are allowed.

        Example:
            >>> Option("", low=0, below=1).allowed()
            'a number of at least 0, below 1'
        """
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = [
            f"{words} {bound:.10g}"
            for words, bound in (
                ("of at least", self.low),
                ("above", self.above),
                ("of at most", self.high),
                ("below", self.below),
            )
            if bound is not None
        ]
        return f"a number {', '.join(bounds)}" if bounds else "any value"

    def check(self, key: str, value: Any) -> None:
        """Check a value of the right type.

        Args:
            key: Name of the option, for the error.
            value: Its value.

        Raises:
            ConfigError: The value is not allowed.

        Example:
            >>> Option("Temperature.", above=0).check("tau", 0.5)
        """
        if self.choices:
            if value not in self.choices:
                raise ConfigError(key, value, self.choices)
            return
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(key, value, "a finite number")
        fits = (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )
        if not fits:
            raise ConfigError(key, value, self.allowed())


@dataclass(frozen=True)
class Argument:
    """An argument that carries an `Option`.

    Attributes:
        name: Name of the argument.
        type: Its type, without the option.
        default: Its default, or ``inspect.Parameter.empty``.
        option: What it means.
    """

    name: str
    type: Any
    default: Any
    option: Option

    def check(self, value: Any, *, key: str = "") -> None:
        """Check type and value.

        Args:
            value: What was given.
            key: Name for the error; by default that of the argument.

        Raises:
            ConfigError: The value has another type, or is not allowed.

        Example:
            >>> def train(epochs: Annotated[int, Option("Number of epochs.", low=1)] = 10): ...
            >>> options_of(train)["epochs"].check(0)
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: epochs: got 0, expected a number of at least 1
        """
        key, value = key or self.name, plain(value)
        if value is None and self.default is None:
            return
        kinds = {kind for kind in get_args(self.type) or (self.type,) if kind is not type(None)}
        if value is None and type(None) in get_args(self.type):
            return
        if kinds == {bool} and not isinstance(value, bool):
            raise ConfigError(key, value, "True or False")
        if kinds in ({int}, {float}) and not is_number(value, whole=kinds == {int}):
            raise ConfigError(key, value, "an integer" if kinds == {int} else "a number")
        self.option.check(key, value)


@cache
def options_of(owner: Callable[..., Any]) -> dict[str, Argument]:
    """Return the arguments of a class, dataclass or function that carry an `Option`, by name.

    Args:
        owner: What takes the arguments; of a class, its constructor does.

    Example:
        >>> @dataclass
        ... class Trees:
        ...     leaves: Annotated[int, Option("Leaves of a tree.", low=2)] = 31
        >>> options_of(Trees)["leaves"].option.help
        'Leaves of a tree.'

    An annotation may be shared, and made optional by ``| None``.
    """
    constructor = owner.__init__ if isinstance(owner, type) else owner  # type: ignore[misc]
    hints = get_type_hints(constructor, include_extras=True)
    found: dict[str, Argument] = {}
    for name, parameter in inspect.signature(constructor).parameters.items():
        hint: Any = hints.get(name)
        annotated, optional = _without_none(hint)
        if get_origin(annotated) is not Annotated:
            continue
        kind = annotated.__origin__ | None if optional else annotated.__origin__
        for extra in annotated.__metadata__:
            if isinstance(extra, Option):
                found[name] = Argument(name, kind, parameter.default, extra)
    return found


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into ``X`` and True; anything else is returned with False."""
    if get_origin(hint) not in (Union, UnionType):
        return hint, False
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    return (kinds[0], True) if len(kinds) == 1 else (hint, False)


def check_options(owner: Callable[..., Any], values: Mapping[str, Any], *, prefix: str = "") -> None:
    """Check values against the options of their owner; names that are no option are not looked at.

    Args:
        owner: See `options_of`.
        values: Name -> value.
        prefix: Put before the names in errors, such as ``"samsa."``.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> def train(epochs: Annotated[int, Option("Number of epochs.", low=1)] = 10): ...
        >>> check_options(train, {"epochs": 5})
    """
    for name, argument in options_of(owner).items():
        if name in values:
            argument.check(values[name], key=f"{prefix}{name}")


def plain(value: Any) -> Any:
    """Return NumPy's numbers, booleans and texts as Python's own, also inside lists, tuples and dictionaries.

    JSON, YAML and checkpoints that are loaded without executing code hold only Python's.

    Args:
        value: Any value; others are returned as they are.

    Example:
        >>> plain({"heads": np.int64(4), "rates": (np.float64(0.5), None), "sizes": np.array([3, 2])})
        {'heads': 4, 'rates': (0.5, None), 'sizes': [3, 2]}
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) is dict:
        return {plain(key): plain(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(inner) for inner in value)
    return value


def keep_plain(options: Options) -> Options:
    """Make the values of a dataclass of options `plain`, in place, and return it.

    Args:
        options: A dataclass, which may be frozen.

    Example:
        >>> @dataclass(frozen=True)
        ... class Trees:
        ...     leaves: int = 31
        >>> keep_plain(Trees(np.int64(7)))
        Trees(leaves=7)
    """
    for each in fields(options):  # type: ignore[arg-type]
        object.__setattr__(options, each.name, plain(getattr(options, each.name)))
    return options


def check_no_effect(owner: Callable[..., Any], values: Mapping[str, Any], *, reason: str) -> None:
    """Raise a `ConfigError` if an argument that has no effect is not at its default.

    Args:
        owner: Class, dataclass or function with the arguments.
        values: Arguments without effect, name -> value.
        reason: Why they have none.

    Raises:
        ConfigError: A value is not the default.

    Example:
        >>> def train(epochs=10): ...
        >>> check_no_effect(train, {"epochs": 5}, reason="the network is frozen")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: epochs: got 5, expected the default 10, because the network is frozen
    """
    parameters = inspect.signature(owner).parameters
    for name, value in values.items():
        default = parameters[name].default
        if plain(value) != default:
            raise ConfigError(name, value, f"the default {default!r}, because {reason}")


def check_takes(owner: Callable[..., Any], options: Mapping[str, Any], *, part: str) -> None:
    """Raise a `ConfigError` unless a class or function takes all options.

    Args:
        owner: Class or function.
        options: Arguments, name -> value.
        part: What the owner is called in the error, such as ``"attention 'full'"``.

    Raises:
        ConfigError: It does not take an option; the hint lists those that it takes.

    Example:
        >>> def train(epochs=10): ...
        >>> check_takes(train, {"steps": 5}, part="mode 'fast'")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: steps: got 5, expected left out: mode 'fast' does not use it
    """
    takes = inspect.signature(owner).parameters
    for name, value in options.items():
        if name not in takes:
            hint = f"{getattr(owner, '__name__', part)} takes {', '.join(takes)}."
            raise ConfigError(name, value, f"left out: {part} does not use it", hint=hint)


def is_number(value: Any, *, whole: bool = False) -> bool:
    """Say whether a value is a real number (with ``whole``, an integer); NumPy's numbers count, booleans do not.

    Example:
        >>> is_number(3, whole=True), is_number(True), is_number(2.5, whole=True)
        (True, False, False)
    """
    return isinstance(value, numbers.Integral if whole else numbers.Real) and not isinstance(value, bool)


def check_integer(key: str, value: Any, *, low: int = 1, high: int | None = None) -> None:
    """Raise a `ConfigError` unless ``value`` is an integer of at least ``low`` and, if given, at most ``high``.

    NumPy's integers are accepted, booleans are not.

    Example:
        >>> check_integer("heads", 0)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: heads: got 0, expected an integer of at least 1
    """
    if not is_number(value, whole=True) or value < low or (high is not None and value > high):
        allowed = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
        raise ConfigError(key, value, allowed)


def machine_memory() -> float:
    """Return the memory of this machine in bytes; infinity where the system does not tell.

    Example:
        >>> machine_memory() > 2**20
        True
    """
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        return float(pages * size) if pages > 0 and size > 0 else math.inf
    except (AttributeError, OSError, ValueError):  # not on Windows
        return math.inf


def check_memory(key: str, value: Any, weights: int) -> None:
    """Raise a `ConfigError` if the weights of a network do not fit into the memory of this machine.

    Args:
        key: Name of the option that makes it large, for the error.
        value: Its value.
        weights: Least number of weights, of 4 bytes each.

    Example:
        >>> check_memory("channels", 10**6, 10**15)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: channels: got 1000000, expected fewer: the weights of this network take ...
    """
    size, memory = 4 * weights, machine_memory()
    if size > memory:
        expected = (
            f"fewer: the weights of this network take at least {size / 2**30:,.0f} GiB, "
            f"and this machine has {memory / 2**30:,.0f} GiB of memory"
        )
        raise ConfigError(key, value, expected)


def check_positive(key: str, value: Any) -> None:
    """Raise a `ConfigError` unless ``value`` is a finite number above 0.

    Example:
        >>> check_positive("tau", 0.0)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: tau: got 0.0, expected a finite number above 0
    """
    if not is_number(value) or not 0 < value < math.inf:
        raise ConfigError(key, value, "a finite number above 0")


def check_probability(key: str, value: Any) -> None:
    """Raise a `ConfigError` unless ``value`` is a number from 0 to below 1.

    Example:
        >>> check_probability("dropout", 0.1)
    """
    if not is_number(value) or not 0 <= value < 1:
        raise ConfigError(key, value, "a probability from 0 to below 1")
