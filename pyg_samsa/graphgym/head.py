"""Heads for GraphGym's own networks: ``mlp_graph``, ``inductive_node``, ``inductive_edge`` and ``default``.

GraphGym's head ``graph`` normalises its hidden layers to length one and ignores ``gnn.act`` and ``gnn.dropout``; its
head ``node`` needs masks, which data sets that are split by graph do not have. These heads have neither limitation.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn.pair_decoder import PairDecoder
from pyg_samsa.nn.precision import as_weights, in_full_precision


def mlp(dim_in: int, dim_out: int) -> nn.Sequential:
    """Return ``gnn.layers_post_mp`` linear maps with ``gnn.act`` and ``gnn.dropout`` between them.

    Raises:
        ConfigError: GraphGym knows no such activation.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> mlp(8, 3)
        Sequential(
          (0): Linear(in_features=8, out_features=3, bias=True)
        )
    """
    if cfg.gnn.act not in register.act_dict:
        raise ConfigError("gnn.act", cfg.gnn.act, sorted(register.act_dict))
    layers: list[nn.Module] = []
    for _ in range(max(1, cfg.gnn.layers_post_mp) - 1):
        layers += [nn.Linear(dim_in, dim_in), register.act_dict[cfg.gnn.act](), nn.Dropout(cfg.gnn.dropout)]
    return nn.Sequential(*layers, nn.Linear(dim_in, dim_out))


class GraphHead(nn.Module):
    """Pools nodes by ``model.graph_pooling`` and predicts one row per graph.

    Args:
        dim_in: Width of the nodes.
        dim_out: Width of the prediction.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        pooling = register.pooling_dict.get(cfg.model.graph_pooling)
        if pooling is None:
            raise ConfigError("model.graph_pooling", cfg.model.graph_pooling, sorted(register.pooling_dict))
        self.pool = pooling.build(dim_in) if hasattr(pooling, "build") else pooling
        self.mlp = mlp(dim_in, dim_out)

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction [B, dim_out], target)."""
        return in_full_precision(self.mlp, self.pool(at_least_float32(batch.x), batch.batch)), batch.y


class InductiveNodeHead(nn.Module):
    """Predicts one row per node of whole graphs.

    Args:
        dim_in: Width of the nodes.
        dim_out: Width of the prediction.

    Example:
        >>> from torch_geometric.data import Data
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> import torch
        >>> set_cfg(cfg)
        >>> InductiveNodeHead(8, 3)(Data(x=torch.zeros(5, 8)))[0].shape
        torch.Size([5, 3])
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.mlp = mlp(dim_in, dim_out)

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction [N, dim_out], target)."""
        return in_full_precision(self.mlp, batch.x), batch.y


class InductiveEdgeHead(nn.Module):
    """Predicts one row per pair of nodes of whole graphs, by ``model.edge_decoding``, see `pyg_samsa.nn.PairDecoder`.

    Args:
        dim_in: Width of the nodes.
        dim_out: Width of the prediction.

    Example:
        >>> from torch_geometric.data import Data
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> import torch
        >>> set_cfg(cfg)
        >>> pairs = torch.tensor([[0, 0], [3, 4]])
        >>> graph = Data(x=torch.zeros(5, 8), batch=torch.zeros(5, dtype=torch.long), edge_label_index=pairs)
        >>> InductiveEdgeHead(8, 1)(graph)[0].shape
        torch.Size([2, 1])
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.decoder = PairDecoder(mlp, dim_in, dim_out, cfg.model.edge_decoding)

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction [L, dim_out], target)."""
        with without_autocast(batch.x):
            x = as_weights(self.decoder, batch.x)
            return self.decoder(x, batch.edge_label_index, batch.batch), batch.get("edge_label")


def default_head(dim_in: int, dim_out: int) -> nn.Module:
    """Return the head that fits: ``mlp_graph``, ``inductive_node`` or ``inductive_edge``, by the level of the targets.

    GraphGym's own runner replaces the name ``default`` by ``dataset.task`` before it builds a network.

    Args:
        dim_in: Width of the nodes.
        dim_out: Width of the prediction.
    """
    heads = {"graph": GraphHead, "link": InductiveEdgeHead}
    return heads.get(cfg.share.level, InductiveNodeHead)(dim_in, dim_out)


register_once(register.head_dict, "default", default_head)
register_once(register.head_dict, "mlp_graph", GraphHead)
register_once(register.head_dict, "inductive_node", InductiveNodeHead)
register_once(register.head_dict, "inductive_edge", InductiveEdgeHead)
