"""An encoder of columns of numbers that describe where a node is, such as probabilities of walks to return."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import BatchNorm

from pyg_samsa.errors import check_choice
from pyg_samsa.functional.device_path import is_exporting
from pyg_samsa.nn.encoding.laplacian_encoder import RAW_NORMS, relu_mlp
from pyg_samsa.nn.encoding.positional import check_encodings, flip_columns
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

COLUMN_MODELS = ("linear", "mlp")


class StructuralEncoder(Module):
    r"""Precomputed encodings of nodes, mapped as in `GraphGPS <https://arxiv.org/abs/2205.12454>`_.

    .. math::
        h_i = W \, \mathrm{BatchNorm}(s_{b(i)} \odot \mathrm{pe}_i) + b \quad \text{or} \quad
        h_i = \mathrm{MLP}\bigl(\mathrm{BatchNorm}(s_{b(i)} \odot \mathrm{pe}_i)\bigr)

    The signs s of ``flip_signs`` are 1 or -1 in training, and 1 otherwise. `PositionalEncoder` does the same with one
    linear map, and limits the normalised encodings.

    Args:
        pe_channels: Width P of the encodings.
        channels: Channels C of the result.
        model: ``"linear"``, or ``"mlp"``, whose hidden layers have 2 C channels, with a ReLU after each layer.
        layers: Layers of the MLP.
        norm: ``"batch"``: a batch norm before; ``"none"``.
        flip_signs: Whether to multiply each column of the encodings of each graph by a random sign in training; or how
            many columns, from the first.

    Shapes:
        - **input:** encodings [N, P], graph numbers [N]
        - **output:** [N, C]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> import torch
        >>> StructuralEncoder(20, 28, model="mlp")(torch.rand(3, 20), torch.tensor([0, 0, 1]), 2).shape
        torch.Size([3, 28])

    Cost: O(N P C), with an MLP O(N (P C + layers C^2)).
    """

    def __init__(
        self,
        pe_channels: int,
        channels: int,
        *,
        model: str = "linear",
        layers: int = 2,
        norm: str = "batch",
        flip_signs: bool | int = False,
    ) -> None:
        super().__init__()
        for key, count in {"pe_channels": pe_channels, "channels": channels, "layers": layers}.items():
            check_integer(key, count)
        check_integer("flip_signs", int(flip_signs), low=0, high=pe_channels)
        check_choice("model", model, COLUMN_MODELS)
        check_choice("norm", norm, RAW_NORMS)
        self.pe_channels, self.channels, self.model = pe_channels, channels, model
        self.flip_signs = pe_channels if flip_signs is True else int(flip_signs)
        """How many columns get a random sign in training."""
        self.norm = BatchNorm(pe_channels, allow_single_element=True) if norm == "batch" else None
        self.encoder = Linear(pe_channels, channels) if model == "linear" else relu_mlp(pe_channels, channels, layers)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.encoder.reset_parameters()
        if self.norm is not None:
            self.norm.reset_parameters()

    def forward(
        self, pe: Float[Tensor, "N P"] | None, graph: Int[Tensor, " N"], num_graphs: int
    ) -> Float[Tensor, "N C"]:
        """Return the encodings, mapped to channels.

        Args:
            pe: Encodings of the nodes.
            graph: Graph number of every node.
            num_graphs: Number of graphs.

        Example:
            >>> import torch
            >>> StructuralEncoder(2, 8)(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), 1).shape  # no nodes
            torch.Size([0, 8])
        """
        pe = check_encodings(pe, graph.size(0), self.pe_channels)
        pe = pe.to(next(self.parameters()).dtype)
        if self.training:
            pe = flip_columns(pe, self.flip_signs, graph, num_graphs)
        if not pe.size(0):
            return pe.new_zeros(0, self.channels)
        if self.norm is not None:
            # PyG's layer looks at the number of nodes, which an exported program must not.
            pe = self.norm.module(pe) if is_exporting() else self.norm(pe)
        return self.encoder(pe)

    def extra_repr(self) -> str:
        """Return the sizes as they appear in the ``repr``."""
        return f"{self.pe_channels}, {self.channels}, model={self.model!r}"
