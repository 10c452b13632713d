"""Checks the output of a contestant before it is timed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.contestants import Build, Packed, ProductsAlone
from benchmarks.workloads import Workload
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.reference import samsa_block, samsa_conv
from pyg_samsa.functional.reference.samsa import SAMSABlockParams, SAMSAConvParams
from pyg_samsa.nn import SAMSABlock, SAMSAConv

SIZES = (3, 17, 1, 40)


@torch.no_grad()
def check(build: Build, heads: int) -> str:
    """Compare the output of a small version of a contestant on a ragged batch with a reference.

    SAMSA is compared with the equations of ``functional.reference``, everything else with itself on each graph alone,
    without padding. Our modules run in float64, others in float32.

    Returns:
        "equal", or the difference; nothing for products alone, whose output means nothing.
    """
    work = Workload("check", SIZES, 4 * heads, heads, (5,))
    module = build(work, 5).eval()
    if isinstance(module, ProductsAlone):
        return ""
    dtype, tolerance = (torch.float64, 1e-9) if isinstance(module, Packed) else (torch.float32, 1e-5)
    x, index = work.tensors(torch.device("cpu"), dtype)
    module = module.to(dtype)
    found, expected = module(x, index), _literal(module, x, index)
    error = float((found - expected).abs().max() / expected.abs().max())
    return "equal" if error < tolerance else f"depends on batch and padding (by {error:.0%})"


def _literal(module: nn.Module, x: Tensor, index: RaggedIndex) -> Tensor:
    inner = module.module if isinstance(module, Packed) else None
    ptr = index.ptr.tolist()
    if isinstance(inner, SAMSABlock) and isinstance(inner.conv, SAMSAConv):
        conv = inner.conv
        return samsa_block(x, ptr, SAMSABlockParams.of(inner), conv.heads, conv.num_samples, conv.tau, conv.sampling)
    if isinstance(inner, SAMSAConv):
        return samsa_conv(x, ptr, SAMSAConvParams.of(inner), inner.heads, inner.num_samples, inner.tau, inner.sampling)
    return torch.cat([module(part, RaggedIndex(torch.tensor([0, len(part)]))) for part in x.split(index.sizes)])
