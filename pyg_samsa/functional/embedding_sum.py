"""The sum of the rows of a table that belong to a graph element, with a gradient that is a product."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.functional.device_path import is_exporting
from pyg_samsa.functional.fused import can_fuse
from pyg_samsa.typing import Float, Int

# Above this many rows of the table, the product costs more than adding the gradients one by one.
_MOST_ROWS = 512


def embedding_sum(index: Int[Tensor, "N F"], weight: Float[Tensor, "V D"]) -> Float[Tensor, "N D"]:
    r"""Return the sum of F rows of a table for each of N elements.

    .. math::
        h_i = \sum_f W[x_{if}], \qquad \frac{\partial L}{\partial W} = M^\top \frac{\partial L}{\partial h}, \qquad
        M_{iv} = |\{f : x_{if} = v\}|

    On the CPU, and for tables of at most 512 rows, the gradient of the table is this product. PyTorch adds F N rows one
    after the other instead.

    Args:
        index: Rows of the table, from 0 to V - 1.
        weight: The table.

    Example:
        >>> embedding_sum(torch.tensor([[0, 2], [1, 1]]), torch.tensor([[1.0], [10.0], [100.0]]))
        tensor([[101.],
                [ 20.]])

    Cost: O(N F D); the gradient O(N V D) where it is a product, else O(N F D).
    """
    if is_exporting():  # ONNX has no sum of bags without elements
        return F.embedding(index, weight).sum(dim=1)
    if weight.requires_grad and torch.is_grad_enabled() and weight.size(0) <= _MOST_ROWS and can_fuse(weight):
        return _EmbeddingSum.apply(index, weight)
    return F.embedding_bag(index, weight, mode="sum")


class _EmbeddingSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = weight.size(0)
        return F.embedding_bag(index, weight, mode="sum")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        (index,) = ctx.saved_tensors
        counts = grad.new_zeros(index.size(0), ctx.rows)
        counts.scatter_add_(1, index, grad.new_ones(()).expand_as(index))
        return None, counts.t() @ grad
