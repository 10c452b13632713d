"""Pure functions of tensors: sampling, ragged attention, deterministic codes."""

from pyg_samsa.functional.attention import ATTENTION_BACKENDS, explain_backends, full_attention, sampled_attention
from pyg_samsa.functional.batch_vector import batch_to_ptr
from pyg_samsa.functional.codes import distinct_keys, feature_keys, gaussian_codes, structural_keys
from pyg_samsa.functional.dropout import dropout, dropped, keep_mask
from pyg_samsa.functional.embedding_sum import embedding_sum
from pyg_samsa.functional.farthest_points import farthest_points
from pyg_samsa.functional.feature_levels import FeatureLevels, feature_levels, fit_feature_levels
from pyg_samsa.functional.feature_scale import fit_feature_scale, scale_features
from pyg_samsa.functional.fourier_features import (
    append_waves,
    fourier_features,
    fourier_waves,
    orthogonal_gaussian,
    positive_features,
)
from pyg_samsa.functional.fused import can_fuse, feed_forward, fused_kernels, residual, rms_norm
from pyg_samsa.functional.graph_index import GraphIndex
from pyg_samsa.functional.inputs import cast_floats, check_edge_shape, check_tensor, edges_of
from pyg_samsa.functional.linear_attention import Waves, linear_attention
from pyg_samsa.functional.maxout import leak_mass, leaky_probability, maxout_score
from pyg_samsa.functional.node_pairs import SIMILARITIES, check_pairs, score_pairs
from pyg_samsa.functional.pair_features import PAIR_FEATURES, pair_features
from pyg_samsa.functional.paired_sampling import ragged_sample_paired
from pyg_samsa.functional.positions import fourier_positions, sequence_positions, sinusoidal_positions
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import (
    Samples,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
)
from pyg_samsa.functional.relative import Relation, relative_attention
from pyg_samsa.functional.sampling import (
    gumbel_noise,
    sample_with_replacement,
    sample_without_replacement,
    systematic_draws,
)
from pyg_samsa.functional.topk import ragged_topk, topk
from pyg_samsa.functional.tower_batch import tower_batch
from pyg_samsa.functional.triton_support import explain_kernels

__all__ = [
    "ATTENTION_BACKENDS",
    "PAIR_FEATURES",
    "SIMILARITIES",
    "FeatureLevels",
    "GraphIndex",
    "RaggedIndex",
    "Relation",
    "Samples",
    "Waves",
    "append_waves",
    "batch_to_ptr",
    "can_fuse",
    "cast_floats",
    "check_edge_shape",
    "check_pairs",
    "check_tensor",
    "distinct_keys",
    "dropout",
    "dropped",
    "edges_of",
    "embedding_sum",
    "explain_backends",
    "explain_kernels",
    "farthest_points",
    "feature_keys",
    "feature_levels",
    "feed_forward",
    "fit_feature_levels",
    "fit_feature_scale",
    "fourier_features",
    "fourier_positions",
    "fourier_waves",
    "full_attention",
    "fused_kernels",
    "gaussian_codes",
    "gumbel_noise",
    "keep_mask",
    "leak_mass",
    "leaky_probability",
    "linear_attention",
    "maxout_score",
    "orthogonal_gaussian",
    "pair_features",
    "positive_features",
    "ragged_sample_paired",
    "ragged_sample_with_replacement",
    "ragged_sample_without_replacement",
    "ragged_topk",
    "relative_attention",
    "residual",
    "rms_norm",
    "sample_with_replacement",
    "sample_without_replacement",
    "sampled_attention",
    "scale_features",
    "score_pairs",
    "sequence_positions",
    "sinusoidal_positions",
    "structural_keys",
    "systematic_draws",
    "topk",
    "tower_batch",
]
