from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.options import check_probability
from pyg_samsa.typing import Float


class DropPath(Module):
    r"""Stochastic depth from the `"Deep Networks with Stochastic Depth" <https://arxiv.org/abs/1603.09382>`_ paper.

    In training, the residual branch of each graph :math:`b` is dropped with probability :math:`p`:

    .. math::
        y_t = \frac{m_{b(t)}}{1 - p} \, x_t, \qquad m_b \sim \mathrm{Bernoulli}(1 - p)

    Args:
        rate: Probability :math:`p` that the branch of a graph is dropped, 0 to below 1.

    Shapes:
        - **input:** branch [T, D]
        - **output:** branch [T, D]

    Raises:
        ConfigError: ``rate`` is out of range.

    Example:
        >>> DropPath(0.5).eval()(torch.ones(2, 1), RaggedIndex(torch.tensor([0, 1, 2]))).tolist()
        [[1.0], [1.0]]

    Cost: O(T D).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        check_probability("drop_path", rate)
        self.rate = float(rate)

    def forward(self, x: Float[Tensor, "T D"], index: RaggedIndex) -> Float[Tensor, "T D"]:
        """Drop the branches of some graphs, in training.

        Args:
            x: The branch.
            index: Where each graph begins and ends.

        Returns:
            The branch; the rows of dropped graphs are zero and the others are scaled up.

        Example:
            >>> x, index = torch.ones(3, 2), RaggedIndex(torch.tensor([0, 2, 3]))
            >>> first, second, _ = DropPath(0.5)(x, index)[:, 0].tolist()
            >>> first == second and first in (0.0, 2.0)
            True
        """
        keep = self.keep(x, index)
        return x if keep is None else x * keep

    def keep(self, x: Float[Tensor, "T D"], index: RaggedIndex) -> Float[Tensor, "T 1"] | None:
        r"""Return the factors of the rows, 0 for dropped graphs; None if nothing is dropped.

        .. math::
            f_t = \frac{m_{b(t)}}{1 - p}, \qquad m_b \sim \mathrm{Bernoulli}(1 - p)

        Args:
            x: Tokens, for their dtype and device.
            index: Where each graph begins and ends.

        Example:
            >>> x, index = torch.ones(3, 2), RaggedIndex(torch.tensor([0, 2, 3]))
            >>> DropPath(0.5).keep(x, index).shape, DropPath(0.5).eval().keep(x, index)
            (torch.Size([3, 1]), None)
        """
        if not self.training or self.rate == 0:
            return None
        graphs = torch.empty(index.num_graphs, 1, dtype=x.dtype, device=x.device)
        return graphs.bernoulli_(1 - self.rate).div_(1 - self.rate)[index.batch]

    def extra_repr(self) -> str:
        """Return the rate as it appears in the ``repr``.

        Example:
            >>> DropPath(0.1)
            DropPath(rate=0.1)
        """
        return f"rate={self.rate}"
