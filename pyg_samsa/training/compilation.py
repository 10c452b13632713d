"""Compile a network with ``torch.compile``."""

from __future__ import annotations

from torch import nn

from pyg_samsa.nn import Encoder


def compile_network(network: nn.Module) -> None:
    """Compile the blocks of every encoder in a network, or the whole network if there is none.

    All blocks of an encoder share one compiled graph. If the whole network was compiled, the layers would be unrolled
    into one large graph.

    Args:
        network: The network; its weights and its ``state_dict`` stay as they are.

    Example:
        >>> from pyg_samsa.nn import SAMSA
        >>> network = SAMSA.from_options(5, 2, channels=16, num_layers=2)
        >>> compile_network(network)
        >>> [block._compiled_call_impl is not None for block in network.encoder.blocks]
        [True, True]
    """
    encoders: list[nn.Module] = [module for module in network.modules() if isinstance(module, Encoder)]
    for module in encoders or [network]:
        module.compile(dynamic=True)
