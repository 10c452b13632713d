from __future__ import annotations

from torch import Tensor
from torch.nn import GELU, Linear, Module, Sequential
from torch_geometric.nn import BatchNorm
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import check_choice
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.precision import in_full_precision
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float

HEAD_NORMS = ("none", "batch")


class MLPHead(Module):
    r"""Two-layer network from a pooled vector, or a token, to predictions: Linear, GELU, dropout, Linear.

    .. math::
        \hat y = W_2 \, \mathrm{Drop}(\mathrm{GELU}(W_1 x + b_1)) + b_2

    With ``norm="batch"`` [ours], every channel of the input is first normalised over the batch, and by running
    statistics in evaluation. Most of a pooled vector is the same for all graphs, and the differences between graphs are
    so small at first that the head acts like a linear map. With normalisation, training does not have to wait until the
    differences have grown.

    Args:
        in_channels: Channels of the input.
        out_channels: Number of predictions.
        hidden_channels: Hidden channels; by default ``in_channels``.
        dropout: Dropout between the layers, 0 to below 1.
        norm: ``"none"`` (the paper) or ``"batch"``.

    Shapes:
        - **input:** [..., in_channels], with ``norm="batch"`` [n, in_channels]
        - **output:** [..., out_channels]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> import torch
        >>> MLPHead(16, 10)(torch.randn(3, 16)).shape
        torch.Size([3, 10])

    Cost: O(D^2) per row.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int | None = None,
        dropout: float = 0.0,
        norm: str = "none",
    ) -> None:
        super().__init__()
        check_choice("norm", norm, HEAD_NORMS)
        check_integer("out_channels", out_channels)
        self.in_channels, self.out_channels = in_channels, out_channels
        hidden = hidden_channels or in_channels
        self.norm = BatchNorm(in_channels, allow_single_element=True) if norm == "batch" else None
        self.net = Sequential(Linear(in_channels, hidden), GELU(), Dropout(dropout), Linear(hidden, out_channels))

    def reset_parameters(self) -> None:
        """Draw new weights."""
        reset(self.net)
        if self.norm is not None:
            self.norm.reset_parameters()

    def forward(self, x: Float[Tensor, "*b D"]) -> Float[Tensor, "*b out"]:
        """Return the predictions, computed in the number type of the weights, also under autocast.

        Example:
            >>> import torch
            >>> MLPHead(16, 10, norm="batch")(torch.randn(3, 16)).shape
            torch.Size([3, 10])
        """
        x = x if self.norm is None else in_full_precision(self.norm, x)
        return in_full_precision(self.net, x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"
