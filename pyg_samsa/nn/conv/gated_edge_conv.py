from __future__ import annotations

from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ShapeError
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

_SMALLEST = 1e-6


class GatedEdgeConv(Module):
    r"""The gated graph convolution that also returns new features of edges.

    .. math::
        \hat{e}_{ij} = A x_i + B x_j + C e_{ij}, \qquad
        x_i' = U x_i + \frac{\sum_{j \in N(i)} r_{ij} \, \sigma(\hat{e}_{ij}) \odot V x_j}
        {\sum_{j \in N(i)} r_{ij} \, \sigma(\hat{e}_{ij}) + 10^{-6}}

    from `"Residual Gated Graph ConvNets" <https://arxiv.org/abs/1711.07553>`_ in the form of
    `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_: the gates of a node are normalised by
    their sum. PyG's ``ResGatedGraphConv`` neither normalises them nor returns features of edges. The factor r is 1, or
    with ``gate`` that of `DistanceGate`, as in `GraphGPS <https://arxiv.org/abs/2205.12454>`_.

    Args:
        channels: Channels D of a node and of an edge.
        gate: Makes the factor of each edge of ``edge_distance``, such as a `DistanceGate`; None for 1.

    Shapes:
        - **input:** nodes [N, D], edges j -> i [2, E], edge features [E, D], distances [E, 1] (*with* ``gate``)
        - **output:** nodes [N, D], edge features [E, D]

    Raises:
        ConfigError: ``channels`` is less than 1.
        ShapeError: There is not one row of features, or with ``gate`` one distance, per edge.

    Example:
        >>> import torch
        >>> conv = GatedEdgeConv(16)
        >>> nodes, edges = conv(torch.randn(3, 16), torch.tensor([[0, 1], [1, 2]]), torch.randn(2, 16))
        >>> nodes.shape, edges.shape
        (torch.Size([3, 16]), torch.Size([2, 16]))

    Cost: O((N + E) D^2).
    """

    def __init__(self, channels: int, gate: Module | None = None) -> None:
        super().__init__()
        check_integer("channels", channels)
        self.channels = channels
        self.of_target = Linear(channels, 2 * channels)
        self.of_source = Linear(channels, 2 * channels)
        self.of_edge = Linear(channels, channels)
        self.gate = gate

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for layer in (self.of_target, self.of_source, self.of_edge, self.gate):
            reset(layer)

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "rows D"],
        edge_distance: Float[Tensor, "rows2 1"] | None = None,
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "E D"]]:
        r"""Return the new features of nodes and edges.

        .. math::
            \hat{e}_{ij} = A x_i + B x_j + C e_{ij}

        Args:
            x: Nodes.
            edge_index: Directed edges.
            edge_attr: Features of the edges.
            edge_distance: Distances of the edges, see `EncodingDistance`; read with ``gate`` only.

        Example:
            >>> import torch
            >>> conv = GatedEdgeConv(4)
            >>> conv(torch.randn(2, 4), torch.tensor([[0], [1]]), torch.randn(1, 4))[1].shape
            torch.Size([1, 4])
        """
        if edge_attr.size(0) != edge_index.size(1):
            raise ShapeError("edge_attr", list(edge_attr.shape), f"[{edge_index.size(1)}, {self.channels}]")
        source, target = edge_index
        own, gate_of_target = self.of_target(x).chunk(2, dim=1)
        value, gate_of_source = self.of_source(x).chunk(2, dim=1)
        edges = gate_of_target.index_select(0, target) + gate_of_source.index_select(0, source)
        edges = edges + self.of_edge(edge_attr)
        gates = edges.sigmoid()
        if self.gate is not None:
            gates = gates * self.gate(edge_distance, edge_index.size(1))
        total = gates.new_zeros(x.shape).index_add(0, target, gates)
        sums = gates.new_zeros(x.shape).index_add(0, target, gates * value.index_select(0, source).to(gates.dtype))
        return own + sums / (total + _SMALLEST), edges

    def extra_repr(self) -> str:
        """Return the channels as they appear in the ``repr``.

        Example:
            >>> GatedEdgeConv(16).extra_repr()
            '16'
        """
        return str(self.channels)
