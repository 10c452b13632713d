from __future__ import annotations

from torch import Tensor
from torch.nn import GELU, Linear, Module, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn.dropout import Dropout


class MLPHead(Module):
    r"""Two-layer network from a pooled vector, or a token, to predictions: Linear, GELU, dropout, Linear.

    Args:
        in_channels: Channels of the input.
        out_channels: Number of predictions.
        hidden_channels: Hidden channels; by default ``in_channels``.
        dropout: Dropout between the layers, 0 to below 1.

    Shapes:
        - **input:** [..., in_channels]
        - **output:** [..., out_channels]

    Example:
        >>> import torch
        >>> MLPHead(16, 10)(torch.randn(3, 16)).shape
        torch.Size([3, 10])
    """

    def __init__(self, in_channels: int, out_channels: int, hidden_channels: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        if out_channels < 1:
            raise ConfigError("out_channels", out_channels, "an integer of at least 1")
        self.in_channels, self.out_channels = in_channels, out_channels
        hidden = hidden_channels or in_channels
        self.net = Sequential(Linear(in_channels, hidden), GELU(), Dropout(dropout), Linear(hidden, out_channels))

    def reset_parameters(self) -> None:
        """Draw new weights."""
        reset(self.net)

    def forward(self, x: Tensor) -> Tensor:
        """Return the predictions."""
        return self.net(x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"
