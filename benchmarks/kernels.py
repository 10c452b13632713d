"""Which attention kernel a contestant runs; full attention takes the best one for packed tokens that there is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyg_samsa.functional import RaggedIndex, explain_backends, full_attention
from pyg_samsa.functional.varlen import flash_kernel, flash_version, refuse_varlen, torch_varlen
from pyg_samsa.nn import AttentionConv, SAMSAConv


class PackedFullAttention(AttentionConv):
    """Full attention with one kernel for packed tokens where there is one: half precision on CUDA."""

    def attend(self, x: Tensor, context: Any) -> tuple[Tensor, None]:
        """Let every token attend to all tokens of its graph."""
        query = self.split_heads(self.query(x))
        key, value = self.split_heads(self.key_value(x)).chunk(2, dim=-1)
        return packed_full(query, key, value, context.index), None


def packed_full(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex) -> Tensor:
    """Return full attention [T, H, C] of packed tokens, by the kernel that `full_kernel` names."""
    name = full_kernel(query)
    if name in ("padded", "graph by graph"):
        return full_attention(query, key, value, index)
    offsets, longest = index.ptr.int(), index.max_size
    packed = (query, key, value, offsets, offsets, longest, longest)
    return torch_varlen()(*packed) if name == "varlen" else flash_kernel(query, 0.0)(*packed)


def full_kernel(query: Tensor) -> str:
    """Return how full attention of such queries is computed: FlashAttention, PyTorch's varlen, or with padding.

    On the CPU there is no padding: graphs are computed one after the other.
    """
    if query.device.type == "cpu":
        return "graph by graph"
    if (version := flash_version(query)) is not None:
        return f"FlashAttention {version}"
    return "padded" if refuse_varlen(query, 0.0) is not None else "varlen"


def kernel_of(module: nn.Module, device: torch.device, dtype: torch.dtype) -> str:
    """Return the attention kernel of a contestant of this package; empty for others."""
    for part in module.modules():
        if isinstance(part, AttentionConv):
            return full_kernel(torch.empty(0, 1, part.head_channels, dtype=dtype, device=device))
        if isinstance(part, SAMSAConv):
            verdicts = explain_backends(device, dtype, head_channels=part.head_channels)
            return next(name for name, verdict in verdicts.items() if verdict == "taken by auto")
    return ""
