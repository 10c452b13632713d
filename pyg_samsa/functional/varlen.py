"""CUDA kernels for packed queries and offsets of the graphs: no padding, one launch for the whole batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.flash_packages import FLASH_2, FLASH_3, FlashPackage
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float


def varlen(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "B H K C"],
    value: Float[Tensor, "B H K C"],
    index: RaggedIndex,
    dropout: float,
) -> Float[Tensor, "T H C"]:
    r"""Attend with ``torch.nn.attention.varlen``: :math:`\mathrm{softmax}(q k^\top / \sqrt{C}) \, v` graph by graph.

    Keys are not split among programs, so that the output of a graph is bit for bit the same in any batch.

    Args:
        query: Packed queries, half precision, on a CUDA device.
        key: Sampled keys.
        value: Sampled values.
        index: Where each graph begins and ends.
        dropout: Must be 0, see `refuse_varlen`.

    Cost: O(T K H C) time, O(T H C) memory.
    """
    return torch_varlen()(*_packed(query, key, value, index))


def flash(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "B H K C"],
    value: Float[Tensor, "B H K C"],
    index: RaggedIndex,
    dropout: float,
) -> Float[Tensor, "T H C"]:
    r"""Attend with FlashAttention: :math:`\mathrm{softmax}(q k^\top / \sqrt{C}) \, v` graph by graph.

    On Hopper GPUs, FlashAttention 3 (``flash_attn_interface``) runs if it is installed and there is no dropout;
    otherwise version 2 (``flash_attn``).

    Args:
        query: Packed queries, half precision, on a CUDA device.
        key: Sampled keys.
        value: Sampled values.
        index: Where each graph begins and ends.
        dropout: Probability that a weight is dropped, 0 to below 1.

    Cost: O(T K H C) time, O(T H C) memory.
    """
    return flash_kernel(query, dropout)(*_packed(query, key, value, index))


def flash_kernel(query: Float[Tensor, "T H C"], dropout: float) -> Callable[..., Tensor]:
    """Return the kernel of FlashAttention for packed tokens of this kind.

    Args:
        query: Packed queries that `refuse_flash` does not refuse.
        dropout: Probability that a weight is dropped.

    Returns:
        A function of queries, keys, values, their int32 offsets and their greatest lengths.
    """
    if _refuse_flash_3(query, dropout) is None:
        from flash_attn_interface import flash_attn_varlen_func

        return lambda *packed: _first(flash_attn_varlen_func(*packed))
    from flash_attn import flash_attn_varlen_func

    return lambda *packed: flash_attn_varlen_func(*packed, dropout_p=dropout)


def refuse_varlen(query: Float[Tensor, "T H C"], dropout: float) -> str | None:
    """Return why `varlen` cannot run here and the cure, or None.

    Args:
        query: Packed queries.
        dropout: Probability that a weight is dropped.

    Example:
        >>> refuse_varlen(torch.zeros(3, 2, 8), 0.0)
        'it needs a CUDA device, and the tokens are on cpu'

    Cost: O(1).
    """
    try:
        _import_varlen()
    except ImportError:
        return f"torch {torch.__version__} has no torch.nn.attention.varlen: install torch 2.10 or newer"
    return _refuse_half(query) or (
        "it does not support dropout of attention weights: set attn_dropout to 0" if dropout else None
    )


def refuse_flash(query: Float[Tensor, "T H C"], dropout: float) -> str | None:
    """Return why `flash` cannot run here and the cure, or None.

    Args:
        query: Packed queries.
        dropout: Probability that a weight is dropped; every value is supported.

    Example:
        >>> "flash-attn" in refuse_flash(torch.zeros(3, 2, 8), 0.0) or "CUDA" in refuse_flash(torch.zeros(3, 2, 8), 0.0)
        True

    Cost: O(1).
    """
    if (reason := _refuse_flash_3(query, dropout)) is None:
        return None
    if FLASH_2.missing is not None and FLASH_3.missing is None:
        return reason
    return _refuse_flash_2(query)


def flash_version(query: Float[Tensor, "T H C"], dropout: float = 0.0) -> int | None:
    """Return the version of FlashAttention that `flash` runs, 2 or 3; None if it cannot run.

    Args:
        query: Packed queries.
        dropout: Probability that a weight is dropped.

    Example:
        >>> flash_version(torch.zeros(3, 2, 8)) is None
        True
    """
    if refuse_flash(query, dropout) is not None:
        return None
    return 2 if _refuse_flash_3(query, dropout) is not None else 3


def _refuse_flash_3(query: Tensor, dropout: float) -> str | None:
    return _refuse_package(FLASH_3, query) or (
        "FlashAttention 3 does not support dropout of attention weights: set attn_dropout to 0, or install flash-attn"
        if dropout
        else None
    )


def _refuse_flash_2(query: Tensor) -> str | None:
    return _refuse_package(FLASH_2, query)


def _refuse_package(package: FlashPackage, query: Tensor) -> str | None:
    # Importing the package is the most expensive question, so it comes last.
    return package.missing or _refuse_half(query) or package.refuse(query) or package.broken


def _first(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the output of FlashAttention 3, whose first releases return also the logarithms of the denominators."""
    return out[0] if isinstance(out, tuple) else out


def torch_varlen() -> Callable[..., Tensor]:
    """Return PyTorch's kernel for packed tokens, which does not split keys among programs.

    Returns:
        A function of queries, keys, values, their int32 offsets and their greatest lengths.

    Raises:
        ImportError: This version of PyTorch has none.
    """
    attend = _import_varlen()
    options = {"num_splits": 1} if "num_splits" in inspect.signature(attend).parameters else {}
    return lambda *packed: attend(*packed, **options)


def _import_varlen() -> Callable[..., Any]:
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn


def _refuse_half(query: Tensor) -> str | None:
    if query.device.type != "cuda":
        return f"it needs a CUDA device, and the tokens are on {query.device.type}"
    if query.dtype not in (torch.float16, torch.bfloat16):
        dtype = str(query.dtype).removeprefix("torch.")
        return f"it needs half precision, and the queries are {dtype}: set train.precision to bf16-mixed"
    if query.size(-1) % 8 or query.size(-1) > 256:
        return f"it needs heads with a multiple of 8 channels, at most 256, and these have {query.size(-1)}"
    if torch.cuda.get_device_capability(query.device) < (8, 0):
        return "it needs an Ampere GPU (compute capability 8.0) or newer"
    return None


def _packed(
    query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int, int]:
    """Return the arguments of these kernels.

    Queries [T, H, C], keys and values [B K, H, C], int32 offsets of both, and the longest graph of both.
    """
    graphs, _, samples, _ = key.shape
    offsets = torch.arange(0, (graphs + 1) * samples, samples, dtype=torch.int32, device=query.device)
    keys, values = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (key, value))
    return query, keys, values, index.ptr.int(), offsets, index.max_size, samples
