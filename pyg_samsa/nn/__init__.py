"""Operators, encoders, readouts and whole networks, each usable like any PyG module."""

from pyg_samsa.nn.block import DropPath, SAMSABlock
from pyg_samsa.nn.conv.attention_conv import AttentionConv
from pyg_samsa.nn.conv.flt_conv import FLTConv
from pyg_samsa.nn.conv.performer_conv import PerformerConv
from pyg_samsa.nn.conv.samsa_conv import ImportanceScore, SampledTokens, SAMSAConv
from pyg_samsa.nn.conv.sft_conv import LinearScore, SFTConv
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.encoding.categorical import AtomEncoder, BondEncoder, CategoricalEncoder
from pyg_samsa.nn.encoding.gaussian_mixture import GaussianMixtureEncoding
from pyg_samsa.nn.encoding.local_kernels import LocalBoxEncoding, LocalTentEncoding
from pyg_samsa.nn.encoding.positional import PositionalEncoder
from pyg_samsa.nn.encoding.shift_invariant import ShiftInvariantEncoding
from pyg_samsa.nn.encoding.spectral import SpectralEncoding, Spectrum
from pyg_samsa.nn.flt_block import FLTBlock
from pyg_samsa.nn.head import MLPHead
from pyg_samsa.nn.models.bag_of_features import BagOfFeatures
from pyg_samsa.nn.models.message_passing import GNN
from pyg_samsa.nn.models.point_net import PointNet
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.nn.pool.attention_pool import AttentionPool, MeanPool
from pyg_samsa.nn.sft_block import SFTBlock
from pyg_samsa.nn.tokenizers.coordinate_free import CoordinateFree
from pyg_samsa.nn.tokenizers.graph_bridge import GraphBridge, Tokens

__all__ = [
    "GNN",
    "SAMSA",
    "AtomEncoder",
    "AttentionConv",
    "AttentionPool",
    "BagOfFeatures",
    "BondEncoder",
    "CategoricalEncoder",
    "CoordinateFree",
    "DropPath",
    "Dropout",
    "FLTBlock",
    "FLTConv",
    "GaussianMixtureEncoding",
    "GraphBridge",
    "ImportanceScore",
    "LinearScore",
    "LocalBoxEncoding",
    "LocalTentEncoding",
    "MLPHead",
    "MeanPool",
    "PerformerConv",
    "PointNet",
    "PositionalEncoder",
    "RMSNorm",
    "SAMSABlock",
    "SAMSAConv",
    "SFTBlock",
    "SFTConv",
    "SampledTokens",
    "ShiftInvariantEncoding",
    "SpectralEncoding",
    "Spectrum",
    "Tokens",
]
