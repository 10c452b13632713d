from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.options import check_probability


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
        self.rate = rate

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the branch ``x`` [T, D]; in training the rows of dropped graphs are zero."""
        keep = self.keep(x, index)
        return x if keep is None else x * keep

    def keep(self, x: Tensor, index: RaggedIndex) -> Tensor | None:
        """Return the factors of the rows [T, 1], 0 for dropped graphs, or None where nothing is dropped."""
        if not self.training or self.rate == 0:
            return None
        graphs = torch.empty(index.num_graphs, 1, dtype=x.dtype, device=x.device)
        return graphs.bernoulli_(1 - self.rate).div_(1 - self.rate)[index.batch]

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"
