"""Pairs of documents: the document of every node."""

from __future__ import annotations

from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.typing import Int


def tower_batch(batch: Int[Tensor, " N"], document: Int[Tensor, " N"]) -> Int[Tensor, " N"]:
    r"""Return the document of every node in a batch of pairs of documents.

    .. math::
        t_i = 2 b_i + d_i

    A readout over :math:`t` gives one vector per document, [2B, D]; ``readout.view(B, 2 * D)`` joins those of a pair.

    Args:
        batch: Pair :math:`b_i` of each node.
        document: Document :math:`d_i` of each node within its pair, 0 or 1.

    Returns:
        Documents t, from 0 to 2B-1; ascending if the nodes of a pair are ordered by document.

    Raises:
        ShapeError: The two arguments differ in shape.

    Example:
        >>> import torch
        >>> tower_batch(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 0, 1]))
        tensor([0, 0, 1, 2, 3])

    Cost: O(N).
    """
    if batch.shape != document.shape or batch.dim() != 1:
        raise ShapeError("document", list(document.shape), f"{list(batch.shape)}, one number per node")
    return 2 * batch + document
