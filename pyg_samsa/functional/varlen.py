"""Kernels for CUDA that take packed queries and the graphs' offsets as they are: no padding, one launch for the whole batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex

# Searching the import path takes longer than a small block: once is enough.
_HAS_FLASH = find_spec("flash_attn") is not None


def varlen(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    """``torch.nn.attention.varlen``; without split keys, so that the output of a graph is bit for bit the same in any batch."""
    attend = _torch_varlen()
    options = {"num_splits": 1} if "num_splits" in inspect.signature(attend).parameters else {}
    return attend(*_packed(query, key, value, index), **options)


def flash(query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex, dropout: float) -> Tensor:
    """The ``flash-attn`` package, which knows dropout."""
    from flash_attn import flash_attn_varlen_func

    return flash_attn_varlen_func(*_packed(query, key, value, index), dropout_p=dropout)


def refuse_varlen(query: Tensor, dropout: float) -> str | None:
    """Return why `varlen` cannot run here, or None."""
    try:
        _torch_varlen()
    except ImportError:
        return f"torch {torch.__version__} has no torch.nn.attention.varlen: install torch 2.10 or newer"
    return _refuse_half(query) or (
        "it knows no dropout of attention weights: set attn_dropout to 0" if dropout else None
    )


def refuse_flash(query: Tensor, dropout: float) -> str | None:
    """Return why `flash` cannot run here, or None."""
    if not _HAS_FLASH:
        return "the package flash-attn is not installed: pip install 'pyg-samsa[flash]'"
    return _refuse_half(query)


def _torch_varlen() -> Callable[..., Any]:
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn


def _refuse_half(query: Tensor) -> str | None:
    if query.device.type != "cuda":
        return f"it needs a CUDA device, and the tokens are on {query.device.type}"
    if query.dtype not in (torch.float16, torch.bfloat16):
        return f"it needs half precision, and the queries are {str(query.dtype).removeprefix('torch.')}: set train.precision to bf16-mixed"
    if query.size(-1) % 8 or query.size(-1) > 256:
        return f"it needs heads of a multiple of 8 channels, at most 256, and these have {query.size(-1)}"
    if torch.cuda.get_device_capability(query.device) < (8, 0):
        return "it needs an Ampere GPU (compute capability 8.0) or newer"
    return None


def _packed(
    query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int, int]:
    """Return queries [T, H, C], keys and values [B K, H, C], int32 offsets of both and the longest of both: what such kernels take."""
    graphs, _, samples, _ = key.shape
    offsets = torch.arange(0, (graphs + 1) * samples, samples, dtype=torch.int32, device=query.device)
    keys, values = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (key, value))
    return query, keys, values, index.ptr.int(), offsets, index.max_size, samples
