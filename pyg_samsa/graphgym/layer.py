"""The layer ``samsaconv``, for GraphGym's own network ``gnn`` and its like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.init import init_weights

from pyg_samsa.graphgym.network_options import samsa_options
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn import SAMSAOptions
from pyg_samsa.nn.conv.operators import make_operator, operator_options


class SAMSAConvLayer(nn.Module):
    """An attention operator on ``batch.x``, by default `pyg_samsa.nn.SAMSAConv`.

    The operator is ``samsa.attention``, with its options from ``samsa.*``. Where the widths differ, a linear layer
    comes before it. GraphGym's ``gnn`` initialises every linear layer again; this layer keeps its own initialisation.

    Args:
        layer_config: GraphGym's description of a layer: ``dim_in``, ``dim_out``, ``has_bias``.
        options: Ignored, as in GraphGym's own layers.

    Example:
        >>> from types import SimpleNamespace
        >>> from torch_geometric.graphgym.config import cfg, set_cfg
        >>> set_cfg(cfg)
        >>> layer = SAMSAConvLayer(SimpleNamespace(dim_in=16, dim_out=32, has_bias=True))
        >>> layer.lin, layer.conv.channels
        (Linear(in_features=16, out_features=32, bias=True), 32)
    """

    def __init__(self, layer_config: Any, **options: Any) -> None:
        super().__init__()
        self.lin = (
            nn.Linear(layer_config.dim_in, layer_config.dim_out)
            if layer_config.dim_in != layer_config.dim_out
            else None
        )
        chosen = SAMSAOptions(**samsa_options())
        arguments = chosen.operator()
        if "bias" in operator_options(chosen.attention):
            arguments["bias"] = layer_config.has_bias
        self.conv = make_operator(chosen.attention, layer_config.dim_out, **arguments)

    def forward(self, batch: Any) -> Any:
        """Replace ``batch.x`` [N, dim_in] by the layer's output [N, dim_out]."""
        x = batch.x if self.lin is None else self.lin(batch.x)
        places = {"pos": batch.get("pos"), "normal": batch.get("normal")} if self.conv.uses_positions else {}
        batch.x = self.conv(x, batch.edge_index, batch.batch, **places)
        return batch

    def apply(self, fn: Callable[[nn.Module], None]) -> SAMSAConvLayer:
        """Apply a function to all submodules, except GraphGym's re-initialisation."""
        return self if fn is init_weights else super().apply(fn)


register_once(register.layer_dict, "samsaconv", SAMSAConvLayer)
