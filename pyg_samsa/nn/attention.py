"""The attention operators by name, made from one set of arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch.nn import Module

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.nn.conv.attention_conv import AttentionConv
from pyg_samsa.nn.conv.flt_conv import FLTConv
from pyg_samsa.nn.conv.performer_conv import PerformerConv
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.conv.sft_conv import SFTConv

ATTENTION: dict[str, type[Module]] = {
    "samsa": SAMSAConv,
    "sft": SFTConv,
    "flt": FLTConv,
    "full": AttentionConv,
    "performer": PerformerConv,
}
"""Operators with one signature, by the name that ``samsa.attention`` has for them."""


def make_attention(
    name: str, channels: int, heads: int, *, options: Mapping[str, Any] | None = None, **common: Any
) -> Module:
    """Make an attention operator.

    Args:
        name: A name in :obj:`ATTENTION`.
        channels: Channels D of a token.
        heads: Number of heads H.
        options: Arguments of this operator alone, such as ``encoding`` of `SFTConv` and `FLTConv`.
        **common: Arguments such as ``num_samples``, ``sampling`` and ``dropout``; those that the operator does not have are left out.

    Raises:
        ConfigError: There is no such operator, or it has no such option.

    Example:
        >>> make_attention("full", 16, 4, num_samples=8)
        AttentionConv(16, heads=4)
    """
    check_choice("attention", name, tuple(ATTENTION))
    operator = ATTENTION[name]
    takes = inspect.signature(operator).parameters
    for option in options or ():
        if option not in takes:
            hint = f"It has {', '.join(takes)}."
            raise ConfigError(
                f"attention_options: {option}",
                (options or {})[option],
                f"an argument of {operator.__name__}",
                hint=hint,
            )
    return operator(
        channels, heads=heads, **{key: value for key, value in common.items() if key in takes}, **(options or {})
    )
