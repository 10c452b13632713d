"""The attention operators by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyg_samsa.errors import check_choice
from pyg_samsa.nn.conv.token_conv import TokenConv
from pyg_samsa.options import check_options, check_takes, options_of, plain
from pyg_samsa.registry import register_in

OPERATORS: dict[str, type[TokenConv]] = {}
"""The attention operators by name; `register_operator` adds to it."""
Operator = TypeVar("Operator", bound=type[TokenConv])


def register_operator(name: str) -> Callable[[Operator], Operator]:
    """Return a decorator that makes an operator available by name.

    The name is a value of ``samsa.attention`` in configurations and of ``conv`` in `SAMSABlock`. The first argument of
    its constructor is ``channels``; its options are annotated with `pyg_samsa.options.Option`.

    Args:
        name: Name of the operator; it must not be taken by another class.

    Raises:
        ConfigError: The name is taken.

    Example:
        >>> @register_operator("mine")
        ... class MyConv(TokenConv): ...
        >>> make_operator("mine", 16, heads=2).heads
        2
        >>> del OPERATORS["mine"]
    """
    return register_in(OPERATORS, "operator", name)


def make_operator(name: str, channels: int, **options: Any) -> TokenConv:
    """Make a registered attention operator.

    Args:
        name: A name in :obj:`OPERATORS`.
        channels: Channels D of a token.
        **options: Arguments of the operator.

    Raises:
        ConfigError: There is no such operator, it does not take an option, or a value is not allowed.

    Example:
        >>> from pyg_samsa.nn import AttentionConv
        >>> make_operator("full", 16, heads=4)
        AttentionConv(16, heads=4)
    """
    check_choice("attention", name, tuple(OPERATORS))
    operator = OPERATORS[name]
    check_takes(operator, options, part=f"attention {name!r}")
    check_options(operator, options)
    return operator(channels, **plain(options))


def operator_options(name: str) -> dict[str, Any]:
    """Return the options of a registered operator, see `pyg_samsa.options.options_of`.

    Args:
        name: A name in :obj:`OPERATORS`.

    Example:
        >>> from pyg_samsa.nn import AttentionConv
        >>> list(operator_options("full"))
        ['heads', 'dropout', 'bias']
    """
    check_choice("attention", name, tuple(OPERATORS))
    operator: Any = OPERATORS[name]
    return dict(options_of(operator))
