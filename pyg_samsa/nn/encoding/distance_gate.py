"""Gates of messages: learned functions of the distance of two nodes in their positional encodings."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import Linear, Module, ReLU, Sequential, Sigmoid

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.nn.encoding.positional import check_encodings
from pyg_samsa.nn.precision import as_weights
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

PE_ROLES = ("add", "gate", "mapped_gate")
"""What positional encodings do: they are added to the nodes, or their distances weight messages (`EncodingDistance`),
without or with a learned map before."""


class EncodingDistance(Module):
    r"""Squared distances of the positional encodings of both nodes of each edge.

    .. math::
        d_{ij} = \lVert W (\mathrm{pe}_i - \mathrm{pe}_j) \rVert^2

    from `"Equivariant and Stable Positional Encoding for More Powerful Graph Neural Networks"
    <https://arxiv.org/abs/2203.00199>`_, where W is the identity. Then distances stay the same when eigenvectors change
    their sign, or when those of equal eigenvalues are rotated, as long as all of them are among the encodings. With the
    learned W of `GraphGPS <https://arxiv.org/abs/2205.12454>`_ they do not stay the same.

    Args:
        pe_channels: Width P of the encodings.
        channels: Rows D of a learned W; None for the identity.

    Shapes:
        - **input:** encodings [N, P], edges [2, E]
        - **output:** [E, 1]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> import torch
        >>> pe, edge_index = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0, 1], [1, 1]])
        >>> EncodingDistance(2)(pe, edge_index, 2).tolist()
        [[25.0], [0.0]]

    Cost: O(E P), or O(N P D + E D) with W.
    """

    def __init__(self, pe_channels: int, channels: int | None = None) -> None:
        super().__init__()
        check_integer("pe_channels", pe_channels)
        self.pe_channels = pe_channels
        # The bias of GraphGPS's map is the same for both nodes, so it is left out.
        self.lin = None if channels is None else Linear(pe_channels, channels, bias=False)

    def reset_parameters(self) -> None:
        """Draw a new W."""
        if self.lin is not None:
            self.lin.reset_parameters()

    def forward(
        self, pe: Float[Tensor, "N P"] | None, edge_index: Int[Tensor, "2 E"], num_nodes: int
    ) -> Float[Tensor, "E 1"]:
        r"""Return the distances, :math:`d_{ij} = \lVert W (\mathrm{pe}_i - \mathrm{pe}_j) \rVert^2`.

        Args:
            pe: Encodings of the nodes.
            edge_index: Directed edges.
            num_nodes: Number of nodes N.

        Example:
            >>> import torch
            >>> EncodingDistance(2, 8)(torch.randn(3, 2), torch.tensor([[0, 1], [1, 2]]), 3).shape
            torch.Size([2, 1])
        """
        pe = check_encodings(pe, num_nodes, self.pe_channels)
        with without_autocast(pe):  # differences of similar encodings, and squares of large ones
            pe = at_least_float32(pe if self.lin is None else self.lin(as_weights(self.lin, pe)))
        return (pe.index_select(0, edge_index[0]) - pe.index_select(0, edge_index[1])).square().sum(1, keepdim=True)

    def extra_repr(self) -> str:
        """Return the width of the encodings as it appears in the ``repr``.

        Example:
            >>> EncodingDistance(8)
            EncodingDistance(8)
        """
        return str(self.pe_channels)


class DistanceGate(Module):
    r"""A factor from 0 to 1 for the message of each edge, from the distance of its nodes.

    .. math::
        r_{ij} = \mathrm{sigmoid}\bigl(w_2^\top \, \sigma(w_1 d_{ij} + b_1) + b_2\bigr)

    from `"Equivariant and Stable Positional Encoding for More Powerful Graph Neural Networks"
    <https://arxiv.org/abs/2203.00199>`_, with one hidden layer as in `GraphGPS <https://arxiv.org/abs/2205.12454>`_.

    Args:
        channels: Hidden channels D.
        act: Makes the activation :math:`\sigma`.

    Shapes:
        - **input:** distances [E, 1], see `EncodingDistance`
        - **output:** [E, 1], from 0 to 1

    Raises:
        ConfigError: ``channels`` is less than 1.
        ShapeError: There is not one distance for each edge.

    Example:
        >>> import torch
        >>> DistanceGate(16)(torch.tensor([[0.5], [2.0]]), 2).shape
        torch.Size([2, 1])

    Cost: O(E D).
    """

    def __init__(self, channels: int, act: Callable[[], Module] = ReLU) -> None:
        super().__init__()
        check_integer("channels", channels)
        self.mlp = Sequential(Linear(1, channels), act(), Linear(channels, 1), Sigmoid())

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for layer in self.mlp:
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, distance: Float[Tensor, "E 1"] | None, num_edges: int) -> Float[Tensor, "E 1"]:
        r"""Return the factors, :math:`r_{ij} = \mathrm{sigmoid}(\mathrm{MLP}(d_{ij}))`.

        Args:
            distance: Distances of the edges.
            num_edges: Number of edges E.

        Example:
            >>> import torch
            >>> gate = DistanceGate(4)(torch.tensor([[1e4], [0.0]]), 2)
            >>> bool(((gate >= 0) & (gate <= 1)).all())
            True
        """
        if distance is None or distance.shape != (num_edges, 1):
            found = None if distance is None else list(distance.shape)
            hint = "Make the tokenizer with pe_role='gate', or pass edge_distance." if distance is None else ""
            raise ShapeError("edge_distance", found, f"[{num_edges}, 1], one distance for each edge", hint=hint)
        return self.mlp(distance.to(next(self.parameters(), distance).dtype))
