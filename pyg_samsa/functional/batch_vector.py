"""PyG's ``batch`` vectors as offsets, and permutations of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.typing import Int


def batch_to_ptr(batch: Int[Tensor, " T"], batch_size: int | None = None) -> Int[Tensor, " offsets"]:
    r"""Return the offsets [B+1] of a ``batch`` vector in any order.

    .. math::
        \mathrm{ptr}_b = |\{\, t : \mathrm{batch}_t < b \,\}|

    Args:
        batch: Graph number of every token, from 0.
        batch_size: Number of graphs B; by default the largest number in ``batch`` plus one.

    Raises:
        ShapeError: ``batch`` is not a vector of integers from 0 to B-1.

    Example:
        >>> batch_to_ptr(torch.tensor([0, 0, 2]), batch_size=4)
        tensor([0, 2, 2, 3, 3])

    Cost: O(T).
    """
    if batch.dim() != 1 or batch.is_floating_point() or batch.dtype == torch.bool:
        raise ShapeError("batch", f"{list(batch.shape)} {batch.dtype}", "integers [T]")
    if batch.numel() and int(batch.min()) < 0:
        raise ShapeError("batch", f"graph number {int(batch.min())}", "numbers from 0")
    counts = torch.bincount(batch, minlength=batch_size or 0)
    if batch_size is not None and counts.numel() > batch_size:
        raise ShapeError("batch", f"graph number {counts.numel() - 1}", f"numbers below batch_size = {batch_size}")
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def inverse_permutation(perm: Int[Tensor, " T"]) -> Int[Tensor, " T"]:
    r"""Return the permutation that undoes ``perm``: ``x[perm][inverse_permutation(perm)]`` is ``x``.

    .. math::
        \pi^{-1}(\pi(t)) = t

    Example:
        >>> inverse_permutation(torch.tensor([2, 0, 1]))
        tensor([1, 2, 0])

    Cost: O(T).
    """
    return torch.empty_like(perm).scatter_(0, perm, torch.arange(perm.numel(), device=perm.device))
