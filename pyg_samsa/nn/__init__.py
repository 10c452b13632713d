"""Operators, tokenizers, encoders, readouts and whole networks, each usable like any PyG module."""

from pyg_samsa.nn.block import SAMSABlock
from pyg_samsa.nn.conv.attention_conv import AttentionConv
from pyg_samsa.nn.conv.attention_weights import SampledTokens
from pyg_samsa.nn.conv.biased_attention import BiasedAttention
from pyg_samsa.nn.conv.distance_convs import DistanceGatedConv, DistanceGINEConv
from pyg_samsa.nn.conv.flt_conv import FLTConv
from pyg_samsa.nn.conv.gated_edge_conv import GatedEdgeConv
from pyg_samsa.nn.conv.incidence_conv import IncidenceConv
from pyg_samsa.nn.conv.local_layers import LOCAL_LAYERS, LocalLayer, register_local_layer
from pyg_samsa.nn.conv.operators import OPERATORS, make_operator, register_operator
from pyg_samsa.nn.conv.performer_conv import PerformerConv
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.conv.san_attention import SANAttention
from pyg_samsa.nn.conv.sft_conv import SFTConv
from pyg_samsa.nn.conv.token_conv import TokenContext, TokenConv
from pyg_samsa.nn.drop_path import DropPath
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.encoder import Encoder
from pyg_samsa.nn.encoding.categorical import AtomEncoder, BondEncoder, CategoricalEncoder
from pyg_samsa.nn.encoding.distance_gate import DistanceGate, EncodingDistance
from pyg_samsa.nn.encoding.gaussian_mixture import GaussianMixtureEncoding
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from pyg_samsa.nn.encoding.joined_encoder import EncodingOptions, JoinedEncoder, make_position_encoder
from pyg_samsa.nn.encoding.laplacian_encoder import LaplacianEncoder
from pyg_samsa.nn.encoding.local_kernels import LocalBoxEncoding, LocalTentEncoding
from pyg_samsa.nn.encoding.masked_encoder import MaskedEncoder
from pyg_samsa.nn.encoding.positional import PositionalEncoder
from pyg_samsa.nn.encoding.shift_invariant import ShiftInvariantEncoding
from pyg_samsa.nn.encoding.spectral import SpectralEncoding, Spectrum
from pyg_samsa.nn.encoding.structural_encoder import StructuralEncoder
from pyg_samsa.nn.feed_forward import FeedForward
from pyg_samsa.nn.graph_features import GraphFeatures
from pyg_samsa.nn.importance_score import ImportanceScore, LinearScore
from pyg_samsa.nn.mlp_head import MLPHead
from pyg_samsa.nn.models.bag_of_features import BagOfFeatures
from pyg_samsa.nn.models.message_passing import GNN
from pyg_samsa.nn.models.multi_task import MultiTask
from pyg_samsa.nn.models.point_net import PointNet
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.models.samsa_options import SAMSAOptions
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.nn.num_parameters import num_parameters
from pyg_samsa.nn.pair_decoder import PairDecoder
from pyg_samsa.nn.readout import Readout, make_pool
from pyg_samsa.nn.target_scale import TargetScale
from pyg_samsa.nn.tokenizers.coordinate_free import CoordinateFree
from pyg_samsa.nn.tokenizers.graph import GraphTokenizer
from pyg_samsa.nn.tokenizers.graph_bridge import GraphBridge
from pyg_samsa.nn.tokenizers.node import NodeTokenizer
from pyg_samsa.nn.tokenizers.points import PointTokenizer
from pyg_samsa.nn.tokenizers.sequence import SequenceTokenizer
from pyg_samsa.nn.tokenizers.tokenizer_registry import TOKENIZERS, make_tokenizer, register_tokenizer
from pyg_samsa.nn.tokenizers.tokens import Tokens

__all__ = [
    "GNN",
    "LOCAL_LAYERS",
    "OPERATORS",
    "SAMSA",
    "TOKENIZERS",
    "AtomEncoder",
    "AttentionConv",
    "BagOfFeatures",
    "BiasedAttention",
    "BondEncoder",
    "CategoricalEncoder",
    "CoordinateFree",
    "DistanceGINEConv",
    "DistanceGate",
    "DistanceGatedConv",
    "DropPath",
    "Dropout",
    "Encoder",
    "EncodingDistance",
    "EncodingOptions",
    "FLTConv",
    "FeedForward",
    "GatedEdgeConv",
    "GaussianMixtureEncoding",
    "GraphBridge",
    "GraphFeatures",
    "GraphTokenizer",
    "GraphormerEncoding",
    "ImportanceScore",
    "IncidenceConv",
    "JoinedEncoder",
    "LaplacianEncoder",
    "LinearScore",
    "LocalBoxEncoding",
    "LocalLayer",
    "LocalTentEncoding",
    "MLPHead",
    "MaskedEncoder",
    "MultiTask",
    "NodeTokenizer",
    "PairDecoder",
    "PerformerConv",
    "PointNet",
    "PointTokenizer",
    "PositionalEncoder",
    "RMSNorm",
    "Readout",
    "SAMSABlock",
    "SAMSAConv",
    "SAMSAOptions",
    "SANAttention",
    "SFTConv",
    "SampledTokens",
    "SequenceTokenizer",
    "ShiftInvariantEncoding",
    "SpectralEncoding",
    "Spectrum",
    "StructuralEncoder",
    "TargetScale",
    "TokenContext",
    "TokenConv",
    "Tokens",
    "make_operator",
    "make_pool",
    "make_position_encoder",
    "make_tokenizer",
    "num_parameters",
    "register_local_layer",
    "register_operator",
    "register_tokenizer",
]
