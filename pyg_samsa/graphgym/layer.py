"""The layer ``samsaconv``, for GraphGym's own network ``gnn`` and its like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.init import init_weights

from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn import SAMSAConv


class SAMSAConvLayer(nn.Module):
    """:class:`pyg_samsa.nn.SAMSAConv` on ``batch.x``; a linear map goes before it where the widths differ.

    Heads, samples, sampling, temperature and noise come from ``cfg.samsa``. GraphGym's ``gnn`` re-initialises every
    linear map that it finds inside it; this layer keeps its own initialisation.

    Args:
        layer_config: GraphGym's description of a layer: ``dim_in``, ``dim_out``, ``has_bias``.
        options: Ignored, as in GraphGym's own layers.

    Example:
        >>> from types import SimpleNamespace
        >>> from torch_geometric.graphgym.config import set_cfg
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
        settings = cfg.samsa
        self.conv = SAMSAConv(
            layer_config.dim_out,
            heads=settings.heads,
            num_samples=settings.num_samples,
            sampling=settings.sampling,
            tau=settings.tau,
            dropout=settings.attn_dropout,
            noise=settings.noise,
            bias=layer_config.has_bias,
            attn_backend=settings.attn_backend,
        )

    def forward(self, batch: Any) -> Any:
        """Replace ``batch.x`` [N, dim_in] by the layer's output [N, dim_out]."""
        x = batch.x if self.lin is None else self.lin(batch.x)
        batch.x = self.conv(x, batch.edge_index, batch.batch)
        return batch

    def apply(self, fn: Callable[[nn.Module], None]) -> SAMSAConvLayer:
        """Apply a function to all submodules, except GraphGym's re-initialisation."""
        return self if fn is init_weights else super().apply(fn)


register_once(register.layer_dict, "samsaconv", SAMSAConvLayer)
