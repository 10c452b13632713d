"""When kernels written in Triton run, and what they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

# Searching the import path takes longer than a small block: once is enough. PyTorch's builds for CUDA bring Triton along.
HAS_TRITON = find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_CHANNELS = 256
SWITCH = "PYG_SAMSA_TRITON"


def is_interpreted() -> bool:
    """Whether Triton was told, by the environment variable TRITON_INTERPRET, to run kernels in its interpreter, on the CPU too."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def refuse_triton(values: Tensor) -> str | None:
    """Return why kernels in Triton cannot run on vectors [..., C], and the cure, or None."""
    if values.device.type != "cuda" and not (values.device.type == "cpu" and is_interpreted()):
        return f"it needs a CUDA device, and the tokens are on {values.device.type}"
    if not HAS_TRITON:
        return "the package triton is not installed: pip install triton"
    if values.device.type == "cuda" and torch.cuda.get_device_capability(values.device) < (8, 0):
        return "it needs an Ampere GPU (compute capability 8.0) or newer"
    if torch.compiler.is_compiling():
        return "torch.compile writes kernels of its own: set train.compile to False"
    if values.dtype not in DTYPES:
        return f"it needs at most single precision, and the vectors are {str(values.dtype).removeprefix('torch.')}"
    if is_interpreted() and values.dtype == torch.bfloat16:
        return "Triton's interpreter does not know bfloat16: unset TRITON_INTERPRET"
    if values.size(-1) > MAX_CHANNELS:
        return f"it needs vectors of at most {MAX_CHANNELS} channels, and these have {values.size(-1)}"
    return None


def runs_in_triton(values: Tensor, scores: Tensor) -> bool:
    """Whether the relaxation of vectors [..., K, C] and their scores is computed by `triton_relaxation`; otherwise PyTorch computes it.

    Only where the environment variable PYG_SAMSA_TRITON is 1: the kernels have not been timed on a GPU.
    """
    return os.environ.get(SWITCH) == "1" and scores.dtype == torch.float32 and refuse_triton(values) is None


def jit(kernel: Callable[..., Any]) -> Any:
    """``triton.jit``, or the function itself where there is no Triton: modules with kernels can be imported everywhere."""
    if not HAS_TRITON:
        return kernel
    import triton

    return triton.jit(kernel)


def tile(values: Tensor) -> tuple[int, dict[str, Any]]:
    """Return the rows of a square tile of products of vectors [..., C], and how kernels multiply them.

    Single precision is exact, as in PyTorch, unless ``torch.set_float32_matmul_precision`` allows otherwise. Without matrix units tiles are smaller,
    so that they fit into the registers. The sizes are not tuned: no GPU was at hand.
    """
    width = max(16, 1 << (values.size(-1) - 1).bit_length())
    exact = values.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return (64 if width <= 64 else 32) // (2 if exact else 1), {
        "CHANNELS": width,
        "PRECISION": "ieee" if exact else "tf32",
    }


def rowwise(x: Tensor) -> Tensor:
    """Return ``x`` with the channels of a row next to each other."""
    return x if x.stride(-1) == 1 else x.contiguous()
