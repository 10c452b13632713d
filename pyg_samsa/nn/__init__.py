"""Operators, encoders, readouts and whole networks, each usable like any PyG module."""

from pyg_samsa.nn.block import DropPath, SAMSABlock
from pyg_samsa.nn.conv.attention_conv import AttentionConv
from pyg_samsa.nn.conv.samsa_conv import ImportanceScore, SampledTokens, SAMSAConv
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.encoding.categorical import AtomEncoder, BondEncoder, CategoricalEncoder
from pyg_samsa.nn.encoding.graph_bridge import GraphBridge, Tokens
from pyg_samsa.nn.head import MLPHead
from pyg_samsa.nn.models.bag_of_features import BagOfFeatures
from pyg_samsa.nn.models.point_net import PointNet
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.nn.pool.attention_pool import AttentionPool, MeanPool

__all__ = [
    "SAMSA",
    "AtomEncoder",
    "AttentionConv",
    "AttentionPool",
    "BagOfFeatures",
    "BondEncoder",
    "CategoricalEncoder",
    "DropPath",
    "Dropout",
    "GraphBridge",
    "ImportanceScore",
    "MLPHead",
    "MeanPool",
    "PointNet",
    "RMSNorm",
    "SAMSABlock",
    "SAMSAConv",
    "SampledTokens",
    "Tokens",
]
