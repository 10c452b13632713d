"""Attention of packed queries: over the keys that each graph sampled, and over all tokens of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional import varlen
from pyg_samsa.functional.dense_layout import DenseLayout
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.functional.graph_pairs import PairBias
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.triton_support import refuse_triton, runs_in_triton
from pyg_samsa.typing import Float

# On the CPU, products of tiles beat a call per graph for at most this many keys and tokens per graph (measured on one
# and two threads). A tile has as many tokens as the largest graph, but not more than a few.
_FEW_KEYS, _FEW_TOKENS, _TILE = 32, 256, 64


class AttentionBackend(NamedTuple):
    """One way to compute `sampled_attention`.

    Attributes:
        run: Called with query, key, value, index and dropout.
        refuse: Called with query and dropout; returns why the backend cannot run and what to change, or None if it can
            run.
        suits: Called with the query; whether ``"auto"`` may take the backend.
    """

    run: Callable[[Tensor, Tensor, Tensor, RaggedIndex, float], Tensor]
    refuse: Callable[[Tensor, float], str | None]
    suits: Callable[[Tensor], bool] = lambda query: True


def sampled_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "B H K C"],
    value: Float[Tensor, "B H K Cv"],
    index: RaggedIndex,
    *,
    dropout: float = 0.0,
    backend: str = "auto",
) -> Float[Tensor, "T H Cv"]:
    r"""Let every token attend to the keys that its graph sampled.

    .. math::
        o_t = \mathrm{softmax}\bigl(q_t \tilde{K}_{b(t)}^\top / \sqrt{C}\bigr) \tilde{V}_{b(t)}

    Args:
        query: Packed queries.
        key: Sampled keys.
        value: Sampled values.
        index: Where each graph begins and ends.
        dropout: Probability that an attention weight is dropped, 0 to 1.
        backend: A name in `ATTENTION_BACKENDS`, or ``"auto"`` for the first one that can run, see `explain_backends`.

    Returns:
        Attended values.

    Raises:
        ConfigError: The backend is unknown or cannot run on these tokens.

    Example:
        >>> index = RaggedIndex(torch.tensor([0, 2, 3]))
        >>> sampled_attention(torch.randn(3, 2, 4), torch.randn(2, 2, 5, 4), torch.ones(2, 2, 5, 4), index).shape
        torch.Size([3, 2, 4])

    Cost: O(T K H C) time, O(T H C) memory.
    """
    check_choice("attn_backend", backend, ("auto", *ATTENTION_BACKENDS))
    if backend == "auto":
        backend = _first(query, dropout)
    elif (reason := ATTENTION_BACKENDS[backend].refuse(query, dropout)) is not None:
        raise ConfigError("attn_backend", backend, "one that can run here, or auto", hint=f"{backend}: {reason}.")
    # Under autocast the query is in half precision, but relaxed keys may have another dtype.
    return ATTENTION_BACKENDS[backend].run(query, key.to(query.dtype), value.to(query.dtype), index, dropout)


def explain_backends(
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    head_channels: int = 16,
    dropout: float = 0.0,
) -> dict[str, str]:
    """Return whether each backend can run, and if not, why; ``"auto"`` takes the first one that can.

    Args:
        device: Where the tokens are.
        dtype: Type of the queries; under autocast, the type of autocast.
        head_channels: Channels C of a head.
        dropout: Dropout of attention weights.

    Returns:
        For each backend ``"taken by auto"``, ``"can run"``, or why it cannot run and what to change.

    Example:
        >>> explain_backends("cpu")["sdpa"]
        'taken by auto'
    """
    query = torch.empty(0, 1, head_channels, dtype=dtype, device=device)
    reasons = {name: backend.refuse(query, dropout) for name, backend in ATTENTION_BACKENDS.items()}
    first = _first(query, dropout)
    return {name: reason or ("taken by auto" if name == first else "can run") for name, reason in reasons.items()}


def _first(query: Tensor, dropout: float) -> str:
    """Return the first backend that can run and suits the query."""
    return next(
        name
        for name, backend in ATTENTION_BACKENDS.items()
        if backend.suits(query) and backend.refuse(query, dropout) is None
    )


def _sdpa(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    """PyTorch's scaled_dot_product_attention: one call per large graph on the CPU, one per group of graphs otherwise.

    On the CPU padding of large graphs is expensive; for small ones, and on an accelerator, calls are.
    """
    if index.num_tokens == 0:
        return query.new_zeros(query.shape)
    if takes_cpu_path(query) and not index.uniform:
        if key.size(2) <= _FEW_KEYS and index.num_tokens <= _FEW_TOKENS * index.num_graphs:
            return _tiled(query, key, value, index, dropout)
        return _each(query, zip(key.unbind(), value.unbind(), strict=True), index, dropout)

    def attend(layout: DenseLayout) -> Tensor:
        q, k, v = layout.to_table(query).transpose(1, 2), layout.of_graphs(key), layout.of_graphs(value)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2)

    return index.in_tables(attend)


def _tiled(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    """Products of all tiles of queries at once; keys and values [B, H, K, C]."""
    rows = min(index.max_size, _TILE)
    graphs, _ = index.tiles(rows)
    tokens, cells = index.tile_cells(rows)
    scaled = (query * query.size(-1) ** -0.5).transpose(0, 1)
    tiles = scaled.index_select(1, tokens).unflatten(1, (-1, rows)).flatten(0, 1)
    k, v = (pair.transpose(0, 1).index_select(1, graphs).flatten(0, 1) for pair in (key, value))
    weights = F.dropout((tiles @ k.transpose(1, 2)).softmax(-1), dropout)
    return (weights @ v).unflatten(0, (-1, graphs.size(0))).flatten(1, 2).index_select(1, cells).transpose(0, 1)


def _each(query: Tensor, pairs: Iterable[tuple[Tensor, Tensor]], index: RaggedIndex, dropout: float) -> Tensor:
    """One call per graph; keys and values [H, n, C].

    The keys are views, not selections: the gradient of a selection fills a tensor with zeros first.
    """
    out = [
        F.scaled_dot_product_attention(
            q.transpose(0, 1).unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), dropout_p=dropout
        )
        .squeeze(0)
        .transpose(0, 1)
        for q, (k, v) in zip(query.split(index.sizes), pairs, strict=True)
        if q.size(0)
    ]
    return torch.cat(out)


def full_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "T H C"],
    value: Float[Tensor, "T H Cv"],
    index: RaggedIndex,
    *,
    dropout: float = 0.0,
    bias: PairBias | None = None,
) -> Float[Tensor, "T H Cv"]:
    r"""Let every token attend to all tokens of its graph.

    .. math::
        o_i = \sum_j \mathrm{softmax}_j\bigl(q_i^\top k_j / \sqrt{C} + b_{ij}\bigr) v_j

    Args:
        query: Packed queries.
        key: Packed keys.
        value: Packed values.
        index: Where each graph begins and ends.
        dropout: Probability that an attention weight is dropped, 0 to 1.
        bias: Added to the scores of each pair, see `pair_bias`; None for none.

    Returns:
        Attended values.

    Example:
        >>> index = RaggedIndex(torch.tensor([0, 2, 3]))
        >>> full_attention(torch.randn(3, 2, 4), torch.randn(3, 2, 4), torch.ones(3, 2, 4), index).shape
        torch.Size([3, 2, 4])

    Cost: O(sum of n^2 H C) time; memory O(T H C) on the CPU, and elsewhere a mask per group of graphs of similar size.
    With a bias O(sum of n^2 H), that of its tables.
    """
    if index.num_tokens == 0:
        return query.new_zeros(query.shape)
    if bias is not None:
        return _with_bias(query, key, value, bias, dropout)
    if takes_cpu_path(query) and not index.uniform:
        pairs = zip(
            *((piece.transpose(0, 1) for piece in tensor.split(index.sizes)) for tensor in (key, value)), strict=True
        )
        return _each(query, pairs, index, dropout)

    def attend(layout: DenseLayout) -> Tensor:
        q, k, v = (layout.to_table(tensor).transpose(1, 2) for tensor in (query, key, value))
        # A padded query attends to everything, so that no row is empty; its output is discarded.
        real = layout.real
        mask = None if index.uniform else real[:, None, None, :] | ~real[:, None, :, None]
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout).transpose(1, 2)

    return index.in_tables(attend)


def _with_bias(query: Tensor, key: Tensor, value: Tensor, bias: PairBias, dropout: float) -> Tensor:
    out = []
    for layout, table in zip(bias.pairs.layouts, bias.tables, strict=True):
        q, k, v = (layout.to_table(tensor).transpose(1, 2) for tensor in (query, key, value))
        attended = F.scaled_dot_product_attention(q, k, v, table.to(q.dtype), dropout_p=dropout)
        out.append(attended.transpose(1, 2))
    return bias.pairs.join(out)


def _triton(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    from pyg_samsa.functional.triton_attention import triton_attention

    return triton_attention(query, key, value, index)


def _refuse_triton(query: Tensor, dropout: float) -> str | None:
    return refuse_triton(query) or (
        "it does not support dropout of attention weights: set attn_dropout to 0" if dropout else None
    )


def _suits_triton(query: Tensor) -> bool:
    """Only in single precision, which the kernels of the libraries do not support."""
    return query.dtype == torch.float32 and query.device.type == "cuda" and runs_in_triton("attention", query)


ATTENTION_BACKENDS: dict[str, AttentionBackend] = {
    "flash": AttentionBackend(varlen.flash, varlen.refuse_flash),
    "varlen": AttentionBackend(varlen.varlen, varlen.refuse_varlen),
    "triton": AttentionBackend(_triton, _refuse_triton, _suits_triton),
    "sdpa": AttentionBackend(_sdpa, lambda query, dropout: None),
}
"""Ways to compute `sampled_attention`, in the order in which ``"auto"`` tries them."""
