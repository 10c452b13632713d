"""Slow, literal versions of all equations of SAMSA, SFT and FLT as plain loops, to compare with the papers.

Papers: SAMSA, arXiv 2408.05391; SFT, arXiv 2408.05822; FLT, arXiv 2302.01925. Nothing here is fast, batched or padded,
and nothing draws noise: Gumbel noise, position codes and drop-path factors are arguments. Everything is differentiable
by plain autograd. Results have the dtype of the inputs; use float64 to compare with other versions.

The candidates of one graph are its tokens in their order, then the support tokens; "lower index" refers to that order.
"""

from pyg_samsa.functional.reference.flt import flt_attention, flt_conv
from pyg_samsa.functional.reference.graph_tokens import attention_pool, graph_bridge, mean_pool
from pyg_samsa.functional.reference.sampling import (
    hard_sample_without_replacement,
    rank,
    sample_score_gradient,
    sample_with_replacement,
    soft_sample_without_replacement,
    systematic_draws,
)
from pyg_samsa.functional.reference.samsa import (
    SAMSABlockParams,
    SAMSAConvParams,
    attention,
    gelu,
    importance_score,
    linear,
    rms_norm,
    samsa_block,
    samsa_conv,
)
from pyg_samsa.functional.reference.sft import (
    SFTConvParams,
    leaky_attention,
    maxout_score,
    pair_features,
    paired_sample,
    sft_conv,
)

__all__ = [
    "SAMSABlockParams",
    "SAMSAConvParams",
    "SFTConvParams",
    "attention",
    "attention_pool",
    "flt_attention",
    "flt_conv",
    "gelu",
    "graph_bridge",
    "hard_sample_without_replacement",
    "importance_score",
    "leaky_attention",
    "linear",
    "maxout_score",
    "mean_pool",
    "pair_features",
    "paired_sample",
    "rank",
    "rms_norm",
    "sample_score_gradient",
    "sample_with_replacement",
    "samsa_block",
    "samsa_conv",
    "sft_conv",
    "soft_sample_without_replacement",
    "systematic_draws",
]
