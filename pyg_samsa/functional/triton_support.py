"""When Triton kernels run, and helpers that they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.typing import Float, Shaped

# Searching the import path takes longer than a small block, so it is done once. PyTorch builds for CUDA include Triton.
HAS_TRITON = find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_CHANNELS = 256
SWITCH = "PYG_SAMSA_TRITON"


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU too: the environment variable TRITON_INTERPRET is 1.

    Example:
        >>> is_interpreted() == (os.environ.get("TRITON_INTERPRET") == "1")
        True
    """
    return os.environ.get("TRITON_INTERPRET") == "1"


def refuse_triton(values: Float[Tensor, "... C"]) -> str | None:
    """Return why kernels in Triton cannot run on these vectors and the cure, or None.

    Args:
        values: Vectors of C channels.

    Example:
        >>> "CUDA" in refuse_triton(torch.zeros(3, 8)) or is_interpreted()
        True

    Cost: O(1).
    """
    if values.device.type != "cuda" and not (values.device.type == "cpu" and is_interpreted()):
        return f"it needs a CUDA device, and the tokens are on {values.device.type}"
    if not HAS_TRITON:
        return "the package triton is not installed: pip install triton"
    if values.device.type == "cuda" and torch.cuda.get_device_capability(values.device) < (8, 0):
        return "it needs an Ampere GPU (compute capability 8.0) or newer"
    if torch.compiler.is_compiling():
        return "torch.compile writes its own kernels: set train.compile to False"
    if values.dtype not in DTYPES:
        return f"it needs at most single precision, and the vectors are {str(values.dtype).removeprefix('torch.')}"
    if is_interpreted() and values.dtype == torch.bfloat16:
        return "Triton's interpreter does not support bfloat16: unset TRITON_INTERPRET"
    if values.size(-1) > MAX_CHANNELS:
        return f"it needs vectors of at most {MAX_CHANNELS} channels, and these have {values.size(-1)}"
    return None


def runs_in_triton(values: Float[Tensor, "*b K C"], scores: Float[Tensor, "*b K"]) -> bool:
    """Whether the relaxation of sampling is computed by `triton_relaxation`; otherwise PyTorch computes it.

    Only where the environment variable PYG_SAMSA_TRITON is 1: the kernels have not been timed on a GPU.

    Args:
        values: Vectors.
        scores: Their scores.

    Example:
        >>> runs_in_triton(torch.zeros(2, 4).double(), torch.zeros(2).double())
        False

    Cost: O(1).
    """
    return os.environ.get(SWITCH) == "1" and scores.dtype == torch.float32 and refuse_triton(values) is None


def jit(kernel: Callable[..., Any]) -> Any:
    """Compile a kernel with ``triton.jit``; without Triton return the function itself, so that its module can be
    imported.

    Example:
        >>> jit(len) is len or HAS_TRITON
        True
    """
    if not HAS_TRITON:
        return kernel
    import triton

    return triton.jit(kernel)


def tile(values: Float[Tensor, "... C"]) -> tuple[int, dict[str, Any]]:
    r"""Return the rows of a square tile of products of vectors, and how kernels multiply them.

    Channels are padded to :math:`2^{\lceil \log_2 C \rceil}`, at least 16. Single precision is exact, as in PyTorch,
    unless ``torch.set_float32_matmul_precision`` allows otherwise; its tiles are half as large, so that they fit into
    the registers. The sizes have not been tuned on a GPU.

    Args:
        values: Vectors of C channels.

    Example:
        >>> tile(torch.zeros(3, 20).bfloat16())
        (64, {'CHANNELS': 32, 'PRECISION': 'tf32'})

    Cost: O(1).
    """
    width = max(16, 1 << (values.size(-1) - 1).bit_length())
    exact = values.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return (64 if width <= 64 else 32) // (2 if exact else 1), {
        "CHANNELS": width,
        "PRECISION": "ieee" if exact else "tf32",
    }


def rowwise(x: Shaped[Tensor, "*size"]) -> Shaped[Tensor, "*size"]:
    """Return the same tensor with the channels of a row next to each other in memory; a copy only where needed.

    Example:
        >>> rowwise(torch.zeros(3, 2).T).stride()
        (3, 1)

    Cost: O(elements) for a copy, else O(1).
    """
    return x if x.stride(-1) == 1 else x.contiguous()
