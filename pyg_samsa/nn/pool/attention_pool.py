from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.utils import scatter, softmax

from pyg_samsa.functional.ragged import RaggedIndex, resolve


class AttentionPool(Module):
    r"""One vector per graph: a weighted sum of its tokens, with learned weights (readout of `SAMSA <https://arxiv.org/abs/2408.05391>`_).

    .. math::
        w_t = \mathrm{softmax}_{t \in b}(u^\top x_t + c), \qquad y_b = \sum_{t \in b} w_t x_t

    Args:
        channels: Channels D of a token.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** [B, D]; an empty graph gives zeros

    Example:
        >>> AttentionPool(4)(torch.ones(3, 4), batch=torch.tensor([0, 0, 2])).sum(1)
        tensor([4., 0., 4.], grad_fn=<SumBackward1>)

    Cost: O(T D).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.gate = Linear(channels, 1)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.gate.reset_parameters()

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Return one vector per graph."""
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        x = x if perm is None else x[perm]
        weight = softmax(
            self.gate(x).to(torch.promote_types(x.dtype, torch.float32)), index.batch, num_nodes=index.num_graphs
        )
        return scatter(weight.to(x.dtype) * x, index.batch, dim=0, dim_size=index.num_graphs, reduce="sum")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels})"


class MeanPool(Module):
    r"""One vector per graph: the mean of its tokens, :math:`y_b = \frac{1}{n_b} \sum_{t \in b} x_t`.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** [B, D]; an empty graph gives zeros

    Example:
        >>> MeanPool()(torch.tensor([[1.0], [3.0]])).tolist()
        [[2.0]]

    Cost: O(T D).
    """

    def forward(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Return one vector per graph."""
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        return scatter(x if perm is None else x[perm], index.batch, dim=0, dim_size=index.num_graphs, reduce="mean")
