"""Whether a contestant computes what it should, before it is timed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.contestants import Build, Packed
from benchmarks.workloads import Workload
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.reference import samsa_block, samsa_conv
from pyg_samsa.functional.reference.samsa import SAMSABlockParams, SAMSAConvParams
from pyg_samsa.nn import SAMSABlock, SAMSAConv

SIZES = (3, 17, 1, 40)


@torch.no_grad()
def check(build: Build, heads: int) -> str:
    """Run a small twin of a contestant on a small ragged batch and compare: in float64, or in float32 where a peer knows nothing else.

    SAMSA is compared with the literal equations of ``functional.reference``; everything else with itself, run on each graph alone, where nothing is
    padded and nothing else is in the batch.

    Returns:
        "equal", or what is different.
    """
    work = Workload("check", SIZES, 4 * heads, heads, (5,))
    module = build(work, 5).eval()
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
