"""The index of a batch in any of the forms in which PyG passes it."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Int


def resolve(
    num_tokens: int,
    device: torch.device,
    batch: Int[Tensor, " T"] | RaggedIndex | None = None,
    ptr: Int[Tensor, " offsets"] | RaggedIndex | None = None,
    batch_size: int | None = None,
    *,
    allow_none: bool = False,
) -> tuple[RaggedIndex, Int[Tensor, " T"] | None]:
    """Return the index of a batch in any of PyG's forms, and a permutation if tokens are not sorted by graph.

    Args:
        num_tokens: Number of tokens T.
        device: Device of the tokens.
        batch: Graph number of every token, in any order, or an index that was made before; None means one graph.
        ptr: Offsets [B+1], or an index that was made before; replaces ``batch``.
        batch_size: Number of graphs, if some at the end may be empty.
        allow_none: Whether no graph counts as one without tokens, for operators that return rows of tokens alone.

    Returns:
        The index, and ``perm`` for which ``x[perm]`` is sorted by graph (stable); None if ``x`` is sorted already.

    Raises:
        ShapeError: The arguments contradict each other, or there is no graph.

    Example:
        >>> index, perm = resolve(3, torch.device("cpu"), batch=torch.tensor([1, 0, 1]))
        >>> index.sizes, perm
        ([1, 2], tensor([1, 0, 2]))

    Cost: O(T), and O(T log T) if tokens are not sorted.
    """
    if isinstance(batch, RaggedIndex):
        batch, ptr = None, batch
    if (
        isinstance(ptr, RaggedIndex)
        and ptr.num_tokens == num_tokens
        and batch_size in (None, ptr.num_graphs)
        and ptr.num_graphs
    ):
        return ptr, None
    if batch is None and ptr is None:
        # Sizes are known without reading a tensor, so that a network for one graph can be exported.
        if batch_size is not None and batch_size < 1:
            raise ShapeError("batch_size", batch_size, "at least one graph")
        return RaggedIndex.from_sizes([num_tokens] + [0] * ((batch_size or 1) - 1), device), None
    index, perm = _resolve(num_tokens, device, batch, ptr, batch_size)
    if index.num_graphs == 0:
        if allow_none:
            return RaggedIndex.from_sizes([0], device), None
        raise ShapeError(
            "batch",
            "no graph",
            "at least one graph",
            hint="An empty list of graphs has no output; check the data set or the filter.",
        )
    return index, perm


@torch.compiler.disable
def _resolve(
    num_tokens: int,
    device: torch.device,
    batch: Tensor | None,
    ptr: Tensor | RaggedIndex | None,
    batch_size: int | None,
) -> tuple[RaggedIndex, Tensor | None]:
    perm = None
    if ptr is not None:
        index = ptr if isinstance(ptr, RaggedIndex) else RaggedIndex(ptr.to(device))
    else:
        assert batch is not None
        if batch.numel() != num_tokens:
            raise ShapeError("batch", f"{list(batch.shape)}", f"[{num_tokens}], one graph number per token")
        batch = batch.to(device)
        index = RaggedIndex.from_batch(batch, batch_size)
        if bool((batch.diff() < 0).any()):
            perm = torch.argsort(batch, stable=True)
    if index.num_tokens != num_tokens:
        raise ShapeError(
            "ptr", f"offsets up to {index.num_tokens}", f"offsets up to the number of tokens, {num_tokens}"
        )
    if batch_size is not None and index.num_graphs != batch_size:
        raise ShapeError("batch_size", batch_size, f"the number of graphs in ptr, {index.num_graphs}")
    return index, perm
