"""The message-passing layers that a block may have beside its attention, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU, Sequential
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GENConv, GINConv, GINEConv, PNAConv, ResGatedGraphConv
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.nn.conv.distance_convs import DistanceGatedConv, DistanceGINEConv
from pyg_samsa.nn.conv.incidence_conv import IncidenceConv
from pyg_samsa.registry import register_in
from pyg_samsa.typing import Float, Int

_OF_EDGES = frozenset({"edge_attr", "edge_rows", "edge_distance"})
MakeLocal = Callable[[int, bool], Module]
LOCAL_LAYERS: dict[str, MakeLocal] = {}
"""Makers of local layers by name: channels D, whether edges have features -> module. See `register_local_layer`."""

GATED_BY_DISTANCE: dict[str, MakeLocal] = {
    "gine": lambda channels, edge_features: DistanceGINEConv(channels),
    "gatedgcn": DistanceGatedConv,
}
"""The layers of these whose messages can be weighted by distances of positional encodings, by the same names."""


def register_local_layer(name: str) -> Callable[[MakeLocal], MakeLocal]:
    """Make a message-passing layer available by name, as ``samsa.local`` in configurations.

    Args:
        name: Name of the layer; it must not be taken by another one.

    Raises:
        ConfigError: The name is taken.

    Example:
        >>> from torch_geometric.nn import GraphConv
        >>> @register_local_layer("graph")
        ... def graph(channels, edge_features):
        ...     return GraphConv(channels, channels)
        >>> LocalLayer("graph", 16)
        LocalLayer(GraphConv(16, 16))
        >>> del LOCAL_LAYERS["graph"]
    """
    return register_in(LOCAL_LAYERS, "local layer", name)


def gine(channels: int, act: Callable[[], Module] = ReLU) -> GINEConv:
    r"""Return a GINE layer with an MLP of two linear layers and the activation ``act``.

    .. math::
        x_i' = \mathrm{MLP}\Bigl( x_i + \sum_{j \in N(i)} \mathrm{ReLU}(x_j + e_{ji}) \Bigr)

    Example:
        >>> gine(8)
        GINEConv(nn=Sequential(
          (0): Linear(in_features=8, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=8, bias=True)
        ))
    """
    return GINEConv(_mlp(channels, act))


def gin(channels: int, act: Callable[[], Module] = ReLU) -> GINConv:
    r"""Return a GIN layer with an MLP of two linear layers and the activation ``act``; it does not use edge features.

    .. math::
        x_i' = \mathrm{MLP}\Bigl( x_i + \sum_{j \in N(i)} x_j \Bigr)

    Example:
        >>> gin(8).nn[0]
        Linear(in_features=8, out_features=8, bias=True)
    """
    return GINConv(_mlp(channels, act))


def _mlp(channels: int, act: Callable[[], Module]) -> Sequential:
    return Sequential(Linear(channels, channels), act(), Linear(channels, channels))


@register_local_layer("gine")
def _gine(channels: int, edge_features: bool) -> Module:
    return gine(channels)


@register_local_layer("gatedgcn")
def _gatedgcn(channels: int, edge_features: bool) -> Module:
    return ResGatedGraphConv(channels, channels, edge_dim=channels if edge_features else None)


@register_local_layer("gcn")
def _gcn(channels: int, edge_features: bool) -> Module:
    return GCNConv(channels, channels)


@register_local_layer("gin")
def _gin(channels: int, edge_features: bool) -> Module:
    return gin(channels)


@register_local_layer("gen")
def _gen(channels: int, edge_features: bool) -> Module:
    return GENConv(channels, channels)


@register_local_layer("gat")
def _gat(channels: int, edge_features: bool) -> Module:
    return GATConv(channels, **_heads(channels, edge_features))


@register_local_layer("gatv2")
def _gatv2(channels: int, edge_features: bool) -> Module:
    return GATv2Conv(channels, **_heads(channels, edge_features))


def _heads(channels: int, edge_features: bool) -> dict[str, int | None]:
    heads = next(heads for heads in (8, 4, 2, 1) if channels % heads == 0)
    return {
        "out_channels": channels // heads,
        "heads": heads,
        "edge_dim": channels if edge_features else None,
    }


@register_local_layer("pna")
def _pna(channels: int, edge_features: bool) -> Module:
    # Without scalers that compare degrees with those of a data set, the histogram of degrees is not used.
    options = {"aggregators": ["mean", "min", "max", "std"], "scalers": ["identity"], "deg": torch.ones(2).long()}
    return PNAConv(channels, channels, edge_dim=channels if edge_features else None, **options)


@register_local_layer("incidence")
def _incidence(channels: int, edge_features: bool) -> Module:
    return IncidenceConv(channels)


class LocalLayer(Module):
    r"""A message-passing layer over tokens, called in one way whatever the layer takes.

    .. math::
        x'_i = \gamma\Bigl(x_i, \bigoplus_{j \in N(i)} \phi(x_i, x_j, e_{ji})\Bigr)

    Args:
        conv: A name in :obj:`LOCAL_LAYERS`, or a module that is called with ``(x, edge_index)``, and with
            ``edge_attr``, ``edge_rows`` or ``edge_distance`` where its ``forward`` has such an argument.
        channels: Channels D of a token.
        edge_features: Whether edges have features [E, D].
        distance_gate: Whether messages are weighted by distances of positional encodings, see `DistanceGate`; for
            ``"gine"``, ``"gatedgcn"`` and modules whose ``forward`` takes ``edge_distance``.

    Shapes:
        - **input:** tokens [T, D], edges [2, E], edge features [E, D] (*optional*), rows of edge tokens [E]
          (*optional*), distances [E, 1] (*with* ``distance_gate``)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: There is no such layer, it needs edges that are tokens, or it does not take distances.

    Example:
        >>> layer = LocalLayer("gine", 16)
        >>> layer(torch.randn(3, 16), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 16])

    Cost: That of the layer.
    """

    def __init__(
        self, conv: str | Module, channels: int, edge_features: bool = True, distance_gate: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(conv, Module):
            check_choice("local", conv, tuple(LOCAL_LAYERS))
            if distance_gate:
                check_choice("local", conv, tuple(GATED_BY_DISTANCE))
            conv = (GATED_BY_DISTANCE if distance_gate else LOCAL_LAYERS)[conv](channels, edge_features)
        self.conv = conv
        self.takes = frozenset(inspect.signature(conv.forward).parameters) & _OF_EDGES
        if distance_gate and "edge_distance" not in self.takes:
            raise ConfigError("local", type(conv).__name__, "a module whose forward takes edge_distance")
        # GINE must have edge features, and others must not where they were made without.
        self.must_have = isinstance(conv, GINEConv)
        self.edge_features = edge_features

    def reset_parameters(self) -> None:
        """Draw new weights."""
        reset(self.conv)

    def forward(
        self,
        x: Float[Tensor, "T D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"] | None = None,
        edge_rows: Int[Tensor, " E"] | None = None,
        edge_distance: Float[Tensor, "E 1"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Run the layer.

        Args:
            x: Tokens.
            edge_index: Directed edges between rows of ``x``.
            edge_attr: Features of the edges; by default zeros, if the layer was made for features.
            edge_rows: Rows of the tokens of the edges, if edges are tokens.
            edge_distance: Distances of the edges, see `EncodingDistance`.

        Example:
            >>> layer = LocalLayer("gcn", 16)
            >>> layer(torch.randn(3, 16), torch.tensor([[0, 1], [1, 2]])).shape
            torch.Size([3, 16])
        """
        extra: dict[str, Tensor | None] = {}
        if "edge_rows" in self.takes:
            if edge_rows is None:
                hint = "Use another layer, or samsa.bridge True."
                expected = "another layer: the edges of this graph are not tokens"
                raise ConfigError("local", type(self.conv).__name__, expected, hint=hint)
            extra["edge_rows"] = edge_rows
        elif "edge_attr" in self.takes and (self.edge_features or self.must_have):
            extra["edge_attr"] = x.new_zeros(edge_index.size(1), x.size(1)) if edge_attr is None else edge_attr
        if "edge_distance" in self.takes:
            if edge_distance is None and not edge_index.size(1):
                edge_distance = x.new_zeros(0, 1)
            extra["edge_distance"] = edge_distance
        return self.conv(x, edge_index, **extra)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.conv})"
