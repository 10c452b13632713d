"""The pooling ``attention``, for heads that can hold one with weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.graphgym import register

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn import make_pool


class AttentionPooling:
    """Makes PyG's ``AttentionalAggregation``; GraphGym's registry otherwise holds functions without weights."""

    def build(self, channels: int) -> nn.Module:
        """Return the pooling of tokens of ``channels``.

        Example:
            >>> AttentionPooling().build(8)
            AttentionalAggregation(gate_nn=Gate(in_features=8, out_features=1, bias=True), nn=None)
        """
        return make_pool("attention", channels)

    def __call__(self, x: Tensor, batch: Any) -> Tensor:
        """Refuse to pool without weights.

        Raises:
            ConfigError: Always: GraphGym's own head 'graph' has no place for weights.
        """
        raise ConfigError(
            "model.graph_pooling",
            "attention",
            "add, mean or max for the head 'graph'",
            hint="Or set gnn.head mlp_graph.",
        )


register_once(register.pooling_dict, "attention", AttentionPooling())
