"""Attention of packed, ragged queries over the fixed number of keys that every graph sampled."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex, check_choice
from pyg_samsa.functional.topk import dense_candidates

Backend = Callable[[Tensor, Tensor, Tensor, RaggedIndex, float], Tensor]


def sampled_attention(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, *, dropout: float = 0.0, backend: str = "auto") -> Tensor:
    r"""Let every token attend to the keys that its own graph sampled.

    .. math::
        o_t = \mathrm{softmax}\bigl(q_t \tilde{K}_{b(t)}^\top / \sqrt{C}\bigr) \tilde{V}_{b(t)}

    Args:
        query: Packed queries [T, H, C].
        key: Sampled keys [B, H, K, C].
        value: Sampled values [B, H, K, C].
        index: Where each graph begins and ends.
        dropout: Probability that an attention weight is dropped, 0 to 1.
        backend: ``"auto"``, or a name in `ATTENTION_BACKENDS`.

    Returns:
        Output [T, H, C].

    Raises:
        ConfigError: Unknown backend.

    Example:
        >>> index = RaggedIndex(torch.tensor([0, 2, 3]))
        >>> sampled_attention(torch.randn(3, 2, 4), torch.randn(2, 2, 5, 4), torch.ones(2, 2, 5, 4), index).shape
        torch.Size([3, 2, 4])

    Cost: O(T K H C) time, O(T H C) memory.
    """
    check_choice("attn_backend", backend, ("auto", *ATTENTION_BACKENDS))
    if backend == "auto":
        backend = "sdpa"
    # Mixed precision leaves the query in half precision and may leave the relaxed keys in another type.
    return ATTENTION_BACKENDS[backend](query, key.to(query.dtype), value.to(query.dtype), index, dropout)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    """PyTorch's scaled_dot_product_attention: one call a graph on the CPU, one call a group of graphs elsewhere.

    On the CPU a call costs microseconds and padding costs arithmetic; on an accelerator it is the other way round.
    """
    if query.device.type == "cpu":
        pieces = [
            F.scaled_dot_product_attention(q.transpose(0, 1)[None], k[None], v[None], dropout_p=dropout)[0].transpose(0, 1)
            for q, k, v in zip(query.split(index.sizes), key.unbind(), value.unbind(), strict=True)
            if q.size(0)
        ]
        return torch.cat(pieces) if pieces else query.new_zeros(query.shape)
    if index.num_tokens == 0:
        return query.new_zeros(query.shape)
    pieces, order = [], []
    for graphs, width in index.groups():
        number, real = dense_candidates(index, graphs, width)
        k, v = (key, value) if graphs is None else (key[graphs], value[graphs])
        out = F.scaled_dot_product_attention(query[number].transpose(1, 2), k, v, dropout_p=dropout).transpose(1, 2)
        pieces.append(out[real])
        order.append(number[real])
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)[torch.cat(order).argsort()]


ATTENTION_BACKENDS: dict[str, Backend] = {"sdpa": _sdpa}
"""Ways to compute `sampled_attention`; later, faster ones are added here."""
