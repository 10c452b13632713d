from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.aggr import MeanAggregation

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.ragged import resolve
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder
from pyg_samsa.nn.mlp_head import MLPHead


class BagOfFeatures(Module):
    r"""The baseline that sees no structure: the means of the encoded nodes and of the encoded edges of a graph, and
    an MLP.

    .. math::
        y_b = \mathrm{MLP}\Bigl(\Bigl[\tfrac{1}{N_b} \sum_{i \in b} h_i, \; \tfrac{1}{E_b} \sum_{ij \in b}
        h_{ij}\Bigr]\Bigr)

    A graph network that is not clearly better than this has learned nothing from the graph.

    Args:
        in_channels: What a node has, in one of the three forms of `SAMSA`.
        out_channels: Number of predictions per graph.
        edge_channels: What an edge has, or None when edges have no features.
        channels: Channels D of an encoded node or edge.
        dropout: Dropout of the head.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*)
        - **output:** [B, out_channels]

    Example:
        >>> model = BagOfFeatures(5, 2, channels=16)
        >>> model(torch.randn(4, 5), batch=torch.tensor([0, 0, 0, 1])).shape
        torch.Size([2, 2])

    Cost: O((N + E) D).
    """

    def __init__(
        self,
        in_channels: Features,
        out_channels: int,
        *,
        edge_channels: Features | None = None,
        channels: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.node_encoder = make_encoder("in_channels", in_channels, channels)
        self.edge_encoder = None if edge_channels is None else make_encoder("edge_channels", edge_channels, channels)
        self.pool = MeanAggregation()
        self.head = MLPHead(channels if self.edge_encoder is None else 2 * channels, out_channels, dropout=dropout)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        batch_size: int | None = None,
    ) -> Tensor:
        """Return the predictions [B, out_channels]; arguments as in `SAMSA`."""
        h = encode_features("x", self.node_encoder, x, self.channels)
        index, _ = resolve(h.size(0), h.device, batch, None, batch_size)
        graph = torch.zeros(h.size(0), dtype=torch.long, device=h.device) if batch is None else batch
        pooled = self.pool(h, graph, dim_size=index.num_graphs)
        if self.edge_encoder is not None:
            if edge_index is None or edge_attr is None:
                raise ShapeError(
                    "edge_attr", None, "edges and their features, because the network was made with edge_channels"
                )
            e = encode_features("edge_attr", self.edge_encoder, edge_attr, self.channels)
            pooled = torch.cat([pooled, self.pool(e, graph[edge_index[0]], dim_size=index.num_graphs)], dim=1)
        return self.head(pooled)
