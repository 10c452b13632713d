"""Layers of PyG whose messages are multiplied by a factor for each edge, from the distance of its nodes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import Linear, Module, ReLU, Sequential
from torch_geometric.nn import GINEConv, ResGatedGraphConv
from torch_geometric.nn.inits import reset

from pyg_samsa.nn.encoding.distance_gate import DistanceGate
from pyg_samsa.typing import Float, Int


class DistanceGINEConv(GINEConv):
    r"""GINE with messages that are weighted by the distance of the positional encodings of both nodes.

    .. math::
        x_i' = \mathrm{MLP}\Bigl( x_i + \sum_{j \in N(i)} r_{ij} \, \mathrm{ReLU}(x_j + e_{ji}) \Bigr)

    with the factors r of `DistanceGate`, as in `GraphGPS <https://arxiv.org/abs/2205.12454>`_.

    Args:
        channels: Channels D of a node and of an edge.
        act: Makes the activation of the MLP.

    Shapes:
        - **input:** nodes [N, D], edges j -> i [2, E], edge features [E, D], distances [E, 1], see `EncodingDistance`
        - **output:** nodes [N, D]

    Raises:
        ShapeError: There is not one distance for each edge.

    Example:
        >>> import torch
        >>> conv = DistanceGINEConv(8)
        >>> x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]])
        >>> conv(x, edge_index, torch.randn(2, 8), torch.ones(2, 1)).shape
        torch.Size([3, 8])

    Cost: O(N D^2 + E D).
    """

    def __init__(self, channels: int, act: Callable[[], Module] = ReLU) -> None:
        super().__init__(Sequential(Linear(channels, channels), act(), Linear(channels, channels)))
        self.gate = DistanceGate(channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        super().reset_parameters()
        reset(getattr(self, "gate", None))  # PyG calls this before the gate is made

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"],
        edge_distance: Float[Tensor, "rows 1"] | None = None,
    ) -> Float[Tensor, "N D"]:
        r"""Return the new nodes.

        .. math::
            x_i' = \mathrm{MLP}\Bigl( x_i + \sum_{j \in N(i)} r_{ij} \, \mathrm{ReLU}(x_j + e_{ji}) \Bigr)

        Args:
            x: Nodes.
            edge_index: Directed edges.
            edge_attr: Features of the edges.
            edge_distance: Distances of the edges.

        Example:
            >>> import torch
            >>> conv, edge_index = DistanceGINEConv(4), torch.tensor([[0], [1]])
            >>> conv(torch.randn(2, 4), edge_index, torch.randn(1, 4), torch.zeros(1, 1)).shape
            torch.Size([2, 4])
        """
        gate = self.gate(edge_distance, edge_index.size(1))
        # propagate_type: (x: OptPairTensor, edge_attr: OptTensor, gate: Tensor)
        out = self.propagate(edge_index, x=(x, x), edge_attr=edge_attr, gate=gate)
        return self.nn(out + (1 + self.eps) * x)

    def message(  # type: ignore[override]
        self, x_j: Float[Tensor, "E D"], edge_attr: Float[Tensor, "E D"], gate: Float[Tensor, "E 1"]
    ) -> Float[Tensor, "E D"]:
        r"""Return the messages, :math:`r_{ij} \, \mathrm{ReLU}(x_j + e_{ji})`.

        Args:
            x_j: Sources of the edges.
            edge_attr: Features of the edges.
            gate: Factors of the edges.

        Example:
            >>> import torch
            >>> x, e, gate = torch.tensor([[2.0]]), torch.tensor([[1.0]]), torch.tensor([[0.5]])
            >>> DistanceGINEConv(1).message(x, e, gate)
            tensor([[1.5000]])
        """
        return gate * super().message(x_j, edge_attr)


class DistanceGatedConv(ResGatedGraphConv):
    r"""PyG's gated convolution with messages that are weighted by the distance of the positional encodings.

    .. math::
        x_i' = U x_i + \sum_{j \in N(i)} r_{ij} \, \sigma(A x_i + B x_j) \odot V x_j

    with the factors r of `DistanceGate`; A, B and V also see the features of an edge. `GatedEdgeConv` normalises its
    gates and changes the features of edges.

    Args:
        channels: Channels D of a node and of an edge.
        edge_features: Whether edges have features.

    Shapes:
        - **input:** nodes [N, D], edges j -> i [2, E], edge features [E, D] or None, distances [E, 1], see
          `EncodingDistance`
        - **output:** nodes [N, D]

    Raises:
        ShapeError: There is not one distance for each edge.

    Example:
        >>> import torch
        >>> conv = DistanceGatedConv(8, edge_features=False)
        >>> conv(torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]]), None, torch.ones(2, 1)).shape
        torch.Size([3, 8])

    Cost: O(N D^2 + E D), or O((N + E) D^2) with features of edges.
    """

    def __init__(self, channels: int, edge_features: bool = True) -> None:
        super().__init__(channels, channels, edge_dim=channels if edge_features else None)
        self.gate = DistanceGate(channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        super().reset_parameters()
        reset(getattr(self, "gate", None))  # PyG calls this before the gate is made

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"] | None = None,
        edge_distance: Float[Tensor, "rows 1"] | None = None,
    ) -> Float[Tensor, "N D"]:
        r"""Return the new nodes.

        .. math::
            x_i' = U x_i + \sum_{j \in N(i)} r_{ij} \, \sigma(A x_i + B x_j) \odot V x_j

        Args:
            x: Nodes.
            edge_index: Directed edges.
            edge_attr: Features of the edges; None if the layer was made without.
            edge_distance: Distances of the edges.

        Example:
            >>> import torch
            >>> conv, edge_index = DistanceGatedConv(4), torch.tensor([[0], [1]])
            >>> conv(torch.randn(2, 4), edge_index, torch.randn(1, 4), torch.zeros(1, 1)).shape
            torch.Size([2, 4])
        """
        gate = self.gate(edge_distance, edge_index.size(1))
        k = q = v = x
        if self.edge_dim is None:  # with features of edges, the message maps both together
            k, q, v = self.lin_key(x), self.lin_query(x), self.lin_value(x)
        # propagate_type: (k: Tensor, q: Tensor, v: Tensor, edge_attr: OptTensor, gate: Tensor)
        out = self.propagate(edge_index, k=k, q=q, v=v, edge_attr=edge_attr, gate=gate)
        return out + self.lin_skip(x) + self.bias

    def message(  # type: ignore[override]
        self,
        k_i: Float[Tensor, "E D"],
        q_j: Float[Tensor, "E D"],
        v_j: Float[Tensor, "E D"],
        edge_attr: Float[Tensor, "E D"] | None,
        gate: Float[Tensor, "E 1"],
    ) -> Float[Tensor, "E D"]:
        r"""Return the messages, :math:`r_{ij} \, \sigma(k_i + q_j) \odot v_j`.

        Args:
            k_i: Targets of the edges, mapped if edges have no features.
            q_j: Sources of the edges, mapped in the same case.
            v_j: Sources of the edges, mapped in the same case.
            edge_attr: Features of the edges.
            gate: Factors of the edges.

        Example:
            >>> import torch
            >>> zero, one = torch.zeros(1, 1), torch.ones(1, 1)
            >>> DistanceGatedConv(1, edge_features=False).message(zero, zero, one, None, one)
            tensor([[0.5000]])
        """
        return gate * super().message(k_i, q_j, v_j, edge_attr)
