from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import BatchNorm

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn.encoding.feature_encoder import check_finite


class PositionalEncoder(Module):
    """Positional encodings of nodes that were computed beforehand (Laplacian eigenvectors, random-walk probabilities), mapped to channels.

    They are normalised over the batch, with running statistics in evaluation, and go through a linear layer.

    Args:
        pe_channels: Width P of the encodings.
        channels: Channels D of a node.
        flip_signs: In training, multiply each column of the encodings of each graph by a random sign, which is what eigenvectors need.

    Shapes:
        - **input:** encodings [N, P], graph numbers [N]
        - **output:** [N, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> PositionalEncoder(4, 16)(torch.randn(3, 4), torch.tensor([0, 0, 1]), 2).shape
        torch.Size([3, 16])

    Cost: O(N P D).
    """

    def __init__(self, pe_channels: int, channels: int, flip_signs: bool = False) -> None:
        super().__init__()
        if isinstance(pe_channels, bool) or not isinstance(pe_channels, int) or pe_channels < 1:
            raise ConfigError("pe_channels", pe_channels, "an integer of at least 1")
        self.pe_channels, self.flip_signs = pe_channels, flip_signs
        self.norm = BatchNorm(pe_channels, allow_single_element=True)
        self.lin = Linear(pe_channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.norm.reset_parameters()
        self.lin.reset_parameters()

    def forward(self, pe: Tensor | None, graph: Tensor, num_graphs: int) -> Tensor:
        """Return [N, D] from the encodings ``pe`` [N, P] of the nodes of ``num_graphs`` graphs, numbered ``graph`` [N]."""
        if pe is None or pe.shape != (graph.size(0), self.pe_channels):
            hint = "Set pe.kind, or give pe." if pe is None else ""
            raise ShapeError(
                "pe",
                None if pe is None else list(pe.shape),
                f"positional encodings [{graph.size(0)}, {self.pe_channels}]",
                hint=hint,
            )
        check_finite("pe", pe)
        pe = pe.to(self.lin.weight.dtype)
        if self.flip_signs and self.training:
            pe = pe * (torch.randint(0, 2, (num_graphs, self.pe_channels), device=pe.device) * 2 - 1)[graph]
        return self.lin(self.norm(pe)) if pe.size(0) else pe.new_zeros(0, self.lin.out_features)
