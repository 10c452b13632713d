from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ShapeError
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Shaped


class MaskedEncoder(Module):
    r"""Encodes features of which some are hidden, for training without labels; a learned vector stands for each.

    .. math::
        h_i = \mathrm{Encoder}\bigl(x_i \odot (1 - m_i)\bigr) + \sum_f m_{if} u_f

    The masks :math:`m \in \{0, 1\}^{N \times F}` come beside the features, in which hidden values are zero.

    Args:
        encoder: Encoder of the features, such as a linear layer or a `CategoricalEncoder`.
        num_features: Number F of features.
        channels: Channels D of the result.

    Shapes:
        - **input:** features and masks, [N, 2 F]
        - **output:** [N, D]

    Raises:
        ShapeError: There are not 2 F columns.

    Example:
        >>> encoder = MaskedEncoder(torch.nn.Linear(3, 8), 3, 8)
        >>> encoder(torch.cat([torch.randn(5, 3), torch.zeros(5, 3)], dim=1)).shape
        torch.Size([5, 8])

    Cost: That of the encoder and O(N F D).
    """

    def __init__(self, encoder: Module, num_features: int, channels: int) -> None:
        super().__init__()
        check_integer("num_features", num_features)
        self.encoder, self.num_features = encoder, int(num_features)
        self.hidden = Parameter(torch.empty(num_features, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, of the vectors from a normal distribution with a deviation of 0.02."""
        reset(self.encoder)
        torch.nn.init.normal_(self.hidden, std=0.02)

    def forward(self, features: Shaped[Tensor, "N F2"]) -> Float[Tensor, "N D"]:
        r"""Return the encoded features :math:`h` of the equation above.

        Example:
            >>> MaskedEncoder(torch.nn.Linear(1, 8), 1, 8)(torch.tensor([[0.5, 0.0], [0.0, 1.0]])).shape
            torch.Size([2, 8])
        """
        if features.dim() != 2 or features.size(1) != 2 * self.num_features:
            raise ShapeError("features", list(features.shape), f"[N, {2 * self.num_features}], features and masks")
        visible, hidden = features.chunk(2, dim=1)
        return self.encoder(visible) + hidden.to(self.hidden.dtype) @ self.hidden
