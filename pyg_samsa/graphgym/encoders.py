"""Encoders for GraphGym's networks that do not need ogb.

``SAMSAAtom``, ``SAMSABond``, ``LinearNode``, ``MLPNode`` and ``LinearEdge``; ``TypeDictNode``, ``TypeDictEdge``,
``VOCNode``, ``VOCEdge``, ``COCONode``, ``COCOEdge``, ``ASTNode``, ``ASTEdge``, ``PPANode``, ``PPAEdge`` and
``DummyEdge`` of GraphGPS and LRGB.

GraphGym's own ``Atom`` and ``Bond`` stay as they are. The network ``samsa`` needs none of these, except ``MLPNode``
where a linear map of the features is not enough: it chooses encoders by the description of the data set.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.molecules.code2 import EDGE_CARDINALITIES, NODE_CARDINALITIES
from pyg_samsa.datasets.molecules.ppa import NODE_CARDINALITIES as PPA_NODES
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn import AtomEncoder, BondEncoder
from pyg_samsa.nn.encoding.categorical import CategoricalEncoder


class NodeEncoder(nn.Module):
    """Replaces ``batch.x`` by its encoding.

    Args:
        channels: Width of the encoding.
        encoder: Encodes [N, F] to [N, ``channels``]; by default the encoder of the subclass.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> NodeEncoder(4, nn.Linear(3, 4))(Data(x=torch.zeros(2, 3))).x.shape
        torch.Size([2, 4])
    """

    attribute = "x"

    def __init__(self, channels: int, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder if encoder is not None else self.build(channels)

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        raise NotImplementedError

    def forward(self, batch: Any) -> Any:
        """Encode a batch in place."""
        features: Tensor = batch[self.attribute]
        batch[self.attribute] = self.encoder(features)
        return batch


class SAMSAAtom(NodeEncoder):
    """Sum of embeddings of OGB's nine atom features.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> SAMSAAtom(16)(Data(x=torch.zeros(2, 9, dtype=torch.long))).x.shape
        torch.Size([2, 16])
    """

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return AtomEncoder(channels)


class SAMSABond(NodeEncoder):
    """Sum of embeddings of OGB's three bond features.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> SAMSABond(16)(Data(edge_attr=torch.zeros(4, 3, dtype=torch.long))).edge_attr.shape
        torch.Size([4, 16])
    """

    attribute = "edge_attr"

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return BondEncoder(channels)


class LinearNode(NodeEncoder):
    """Linear map of float node features."""

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return nn.Linear(cfg.share.dim_in, channels)


class MLPNode(NodeEncoder):
    """Two-layer network of float node features: Linear to four times the width, GELU, Linear."""

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return nn.Sequential(nn.Linear(cfg.share.dim_in, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))


class LinearEdge(NodeEncoder):
    """Linear map of float edge features."""

    attribute = "edge_attr"

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        if not isinstance(cfg.share.edge_channels, int):
            raise ConfigError(
                "dataset.edge_encoder_name", "LinearEdge", "an encoder that fits the data set's edge features"
            )
        return nn.Linear(cfg.share.edge_channels, channels)


class _FirstColumn(nn.Embedding):
    """An embedding of the first feature, or of the only one."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features if features.ndim == 1 else features[:, 0])


class TypeDictNode(NodeEncoder):
    """Embedding of the first node feature, one of ``dataset.node_encoder_num_types`` types.

    Raises:
        ConfigError: The number of types is not set.
    """

    setting = "node_encoder_num_types"

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        types = cfg.dataset[self.setting]
        if types < 1:
            raise ConfigError(f"dataset.{self.setting}", types, "the number of types, at least 1")
        return _FirstColumn(types, channels)


class TypeDictEdge(TypeDictNode):
    """Embedding of the first edge feature, one of ``dataset.edge_encoder_num_types`` types."""

    attribute = "edge_attr"
    setting = "edge_encoder_num_types"


class ASTNode(NodeEncoder):
    """Sum of embeddings of type, attribute and depth of a node of ogbg-code2.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> ASTNode(16)(Data(x=torch.zeros(2, 3, dtype=torch.long))).x.shape
        torch.Size([2, 16])
    """

    cardinalities: tuple[int, ...] = NODE_CARDINALITIES

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return CategoricalEncoder(self.cardinalities, channels)


class ASTEdge(ASTNode):
    """Sum of embeddings of kind (tree, next token) and direction of an edge of ogbg-code2.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> ASTEdge(16)(Data(edge_attr=torch.zeros(4, 2, dtype=torch.long))).edge_attr.shape
        torch.Size([4, 16])
    """

    attribute = "edge_attr"
    cardinalities = EDGE_CARDINALITIES


class PPANode(ASTNode):
    """One learned vector for all nodes of ogbg-ppa, which have no features.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> PPANode(16)(Data(x=torch.zeros(2, 1, dtype=torch.long))).x.shape
        torch.Size([2, 16])
    """

    cardinalities = PPA_NODES


class DummyEdge(NodeEncoder):
    """One learned vector for all edges, whatever their features.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> DummyEdge(16)(Data(edge_index=torch.zeros(2, 3, dtype=torch.long))).edge_attr.shape
        torch.Size([3, 16])
    """

    attribute = "edge_attr"

    def build(self, channels: int) -> nn.Module:
        """Return the encoder."""
        return nn.Embedding(1, channels)

    def forward(self, batch: Any) -> Any:
        """Encode a batch in place."""
        batch.edge_attr = self.encoder(batch.edge_index.new_zeros(batch.edge_index.size(1)))
        return batch


_NODE = {"SAMSAAtom": SAMSAAtom, "LinearNode": LinearNode, "MLPNode": MLPNode}
_EDGE = {"SAMSABond": SAMSABond, "LinearEdge": LinearEdge}
# Names of GraphGPS; features of superpixels are floats of any number here.
_NODE |= {"TypeDictNode": TypeDictNode, "VOCNode": LinearNode, "COCONode": LinearNode}
_EDGE |= {"TypeDictEdge": TypeDictEdge, "VOCEdge": LinearEdge, "COCOEdge": LinearEdge, "DummyEdge": DummyEdge}
_NODE |= {"ASTNode": ASTNode, "PPANode": PPANode}
_EDGE |= {"ASTEdge": ASTEdge, "PPAEdge": LinearEdge}
for _name, _encoder in _NODE.items():
    register_once(register.node_encoder_dict, _name, _encoder)
for _name, _encoder in _EDGE.items():
    register_once(register.edge_encoder_dict, _name, _encoder)
