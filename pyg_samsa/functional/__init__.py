"""Pure functions of tensors: sampling, ragged attention, deterministic codes."""

from pyg_samsa.functional.attention import ATTENTION_BACKENDS, explain_backends, full_attention, sampled_attention
from pyg_samsa.functional.codes import feature_keys, gaussian_codes, structural_keys
from pyg_samsa.functional.dropout import keep_mask
from pyg_samsa.functional.farthest_points import farthest_points
from pyg_samsa.functional.fused import feed_forward, residual, rms_norm
from pyg_samsa.functional.positions import sequence_positions, sinusoidal_positions
from pyg_samsa.functional.ragged import RaggedIndex, batch_to_ptr
from pyg_samsa.functional.sampling import (
    Samples,
    gumbel_noise,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
    sample_with_replacement,
    sample_without_replacement,
    systematic_draws,
)
from pyg_samsa.functional.topk import ragged_topk, topk

__all__ = [
    "ATTENTION_BACKENDS",
    "RaggedIndex",
    "Samples",
    "batch_to_ptr",
    "explain_backends",
    "farthest_points",
    "feature_keys",
    "feed_forward",
    "full_attention",
    "gaussian_codes",
    "gumbel_noise",
    "keep_mask",
    "ragged_sample_with_replacement",
    "ragged_sample_without_replacement",
    "ragged_topk",
    "residual",
    "rms_norm",
    "sample_with_replacement",
    "sample_without_replacement",
    "sampled_attention",
    "sequence_positions",
    "sinusoidal_positions",
    "structural_keys",
    "systematic_draws",
    "topk",
]
