from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.aggr import MeanAggregation
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.autocast import at_least_float32
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder
from pyg_samsa.nn.mlp_head import MLPHead
from pyg_samsa.typing import Float, Int, Shaped


class BagOfFeatures(Module):
    r"""A baseline without structure: an MLP on the mean of the encoded nodes and the mean of the encoded edges.

    .. math::
        y_b = \mathrm{MLP}\Bigl(\Bigl[\tfrac{1}{N_b} \sum_{i \in b} h_i, \; \tfrac{1}{E_b} \sum_{ij \in b}
        h_{ij}\Bigr]\Bigr)

    A graph network that is not clearly better than this one has learned nothing from the structure of graphs.

    Args:
        in_channels: The node features, in one of the forms of `SAMSA.from_options`.
        out_channels: Number of predictions per graph.
        edge_channels: The edge features, in the same forms; None if edges have no features.
        channels: Channels D of an encoded node or edge.
        dropout: Dropout of the head, 0 to below 1.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*)
        - **output:** [B, out_channels]

    Raises:
        ShapeError: The inputs do not fit each other.
        NumericalError: A feature is not finite.

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

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)

    def forward(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | None = None,
        *,
        batch_size: int | None = None,
    ) -> Float[Tensor, "B out"]:
        """Return the predictions; arguments as in `SAMSA.encode`.

        Example:
            The order of nodes does not matter:

            >>> model, x = BagOfFeatures(5, 2, channels=16), torch.randn(4, 5)
            >>> torch.allclose(model(x), model(x.flip(0)), atol=1e-6)
            True
        """
        edge_index, edge_attr = edges_of(edge_index, edge_attr)
        h = encode_features("x", self.node_encoder, x, self.channels)
        index, _ = resolve(h.size(0), h.device, batch, None, batch_size)
        graph = torch.zeros(h.size(0), dtype=torch.long, device=h.device) if batch is None else batch
        pooled = self.pool(at_least_float32(h), graph, dim_size=index.num_graphs)
        if self.edge_encoder is not None:
            if edge_index is None or edge_attr is None:
                raise ShapeError(
                    "edge_attr", None, "edges and their features, because the network was made with edge_channels"
                )
            e = encode_features("edge_attr", self.edge_encoder, edge_attr, self.channels)
            pooled = torch.cat(
                [pooled, self.pool(at_least_float32(e), graph[edge_index[0]], dim_size=index.num_graphs)], dim=1
            )
        return self.head(pooled)
