"""Tokenizers of further modalities, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.nn.tokenizers.node import NodeTokenizer
from pyg_samsa.options import check_takes
from pyg_samsa.registry import register_in

TOKENIZERS: dict[str, type[NodeTokenizer]] = {}
"""Tokenizers that were added by `register_tokenizer`, by name. Those of the package are chosen by ``bridge`` and
``coordinate_free`` of `SAMSAOptions`."""
Tokenizer = TypeVar("Tokenizer", bound=type[NodeTokenizer])


def register_tokenizer(name: str) -> Callable[[Tokenizer], Tokenizer]:
    """Make a tokenizer available by name, as ``samsa.tokenizer`` in configurations.

    Its constructor takes ``channels`` and ``in_channels`` first, and ``edge_channels`` where it reads edge features.
    Its own options are annotated with `pyg_samsa.options.Option`.

    Args:
        name: Name of the tokenizer; it must not be taken by another class.

    Raises:
        ConfigError: The name is taken.

    Example:
        >>> @register_tokenizer("mine")
        ... class MyTokenizer(NodeTokenizer): ...
        >>> make_tokenizer("mine", 16, 5).channels
        16
        >>> del TOKENIZERS["mine"]
    """
    return register_in(TOKENIZERS, "tokenizer", name)


def make_tokenizer(
    name: str, channels: int, in_channels: Features, edge_channels: Features | None = None, **options: Any
) -> NodeTokenizer:
    """Make a registered tokenizer.

    Args:
        name: A name in :obj:`TOKENIZERS`.
        channels: Channels D of a token.
        in_channels: The node features, as in `NodeTokenizer`.
        edge_channels: The edge features, in the same forms; dropped where the tokenizer does not read them.
        **options: Arguments of the tokenizer.

    Raises:
        ConfigError: There is no such tokenizer, or it does not take an option.

    Example:
        >>> make_tokenizer("unknown", 16, 5)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: tokenizer: got 'unknown', expected the name of a registered tokenizer
    """
    if not TOKENIZERS:
        raise ConfigError("tokenizer", name, "the name of a registered tokenizer")
    check_choice("tokenizer", name, tuple(TOKENIZERS))
    tokenizer: Any = TOKENIZERS[name]
    check_takes(tokenizer, options, part=f"tokenizer {name!r}")
    if "edge_channels" in inspect.signature(tokenizer).parameters:
        options["edge_channels"] = edge_channels
    return tokenizer(channels, in_channels, **options)
