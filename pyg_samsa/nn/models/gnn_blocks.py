"""The layers of `pyg_samsa.nn.GNN`: message passing with norm and residual, blocks of GPS, and edges that change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import Dropout, Linear, Module, Sequential
from torch_geometric.nn import GCN2Conv, GPSConv
from torch_geometric.nn.attention.performer import PerformerAttention, generalized_kernel, linear_attention
from torch_geometric.nn.resolver import normalization_resolver

from pyg_samsa.nn.conv.distance_convs import DistanceGINEConv
from pyg_samsa.nn.conv.gated_edge_conv import GatedEdgeConv
from pyg_samsa.nn.conv.local_layers import LOCAL_LAYERS, LocalLayer, gin, gine
from pyg_samsa.nn.encoding.distance_gate import DistanceGate
from pyg_samsa.nn.models.graphormer_blocks import BiasedGPSConv
from pyg_samsa.typing import Float, Int

NO_LOCAL = "none"
_OF_ACTIVATION = {"gine": gine, "gin": gin}
_NORMS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "batch": ("batch_norm", {"allow_single_element": True}),
    "layer": ("layer_norm", {"mode": "node"}),
    "none": (None, {}),
}
NORMS = tuple(_NORMS)


def local_names() -> tuple[str, ...]:
    """Return the names of message passing that a block of GPS can have; its edges are no tokens.

    Example:
        >>> "gine" in local_names(), "incidence" in local_names()
        (True, False)
    """
    return (*(name for name in LOCAL_LAYERS if name != "incidence"), NO_LOCAL)


def make_local(
    name: str, channels: int, act: Callable[[], Module], *, edge_features: bool, distance_gate: bool = False
) -> LocalLayer | None:
    """Return a local layer; None for the name of none.

    Args:
        name: One of `local_names`.
        channels: Channels D.
        act: Makes an activation, for the layers that have one.
        edge_features: Whether edges have features [E, D].
        distance_gate: Whether messages are weighted by distances of positional encodings, see `LocalLayer`.

    Example:
        >>> import torch
        >>> make_local("gcn", 8, torch.nn.ReLU, edge_features=False)
        LocalLayer(GCNConv(8, 8))
        >>> make_local("none", 8, torch.nn.ReLU, edge_features=False) is None
        True
    """
    if name == NO_LOCAL:
        return None
    if distance_gate and name == "gine":
        return LocalLayer(DistanceGINEConv(channels, act), channels, edge_features, distance_gate)
    with_activation = None if distance_gate else _OF_ACTIVATION.get(name)
    conv = name if with_activation is None else with_activation(channels, act)
    return LocalLayer(conv, channels, edge_features, distance_gate)


class NodeWise(Module):
    r"""A linear layer in the place of message passing, :math:`x' = W x + b`: the baseline that sees no edges.

    Args:
        channels: Channels D.

    Example:
        >>> import torch
        >>> NodeWise(8)(torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 8])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lin = Linear(channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.lin.reset_parameters()

    def forward(
        self, x: Float[Tensor, "N D"], edge_index: Int[Tensor, "2 E"], edge_attr: Tensor | None = None
    ) -> Float[Tensor, "N D"]:
        """Return the mapped nodes; edges are not read."""
        return self.lin(x)


class InitialResidual(Module):
    r"""GCN with a residual to the encoded nodes, from `"Simple and Deep Graph Convolutional Networks"
    <https://arxiv.org/abs/2007.02133>`_ (GCNII).

    .. math::
        x' = \bigl((1 - \alpha) \hat{A} x + \alpha x^{(0)}\bigr) W, \qquad \alpha = 0.2

    :math:`\hat{A}` is the normalised adjacency matrix with self-loops. The identity mapping of the paper is left out,
    as in the `Long Range Graph Benchmark <https://arxiv.org/abs/2206.08164>`_.

    Args:
        channels: Channels D.

    Example:
        >>> import torch
        >>> x = torch.randn(3, 8)
        >>> InitialResidual(8)(x, torch.tensor([[0, 1], [1, 2]]), x).shape
        torch.Size([3, 8])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = GCN2Conv(channels, alpha=0.2)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.conv.reset_parameters()

    def forward(
        self, x: Float[Tensor, "N D"], edge_index: Int[Tensor, "2 E"], first: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """Return the new nodes.

        Args:
            x: Nodes.
            edge_index: Directed edges.
            first: The encoded nodes :math:`x^{(0)}`, before the first layer.
        """
        return self.conv(x, first, edge_index)


class Edges:
    """Features of edges [E, D] that layers replace.

    Args:
        value: The features.

    Example:
        >>> import torch
        >>> Edges(torch.zeros(2, 8)).value.shape
        torch.Size([2, 8])
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value


class EdgeUpdate(Module):
    r"""A gated convolution that changes the features of edges.

    .. math::
        h, \hat{e} = \mathrm{GatedEdgeConv}(x, e), \qquad
        e' = e + \mathrm{dropout}\bigl(\sigma(\mathrm{norm}(\hat{e}))\bigr), \qquad
        x' = \sigma(\mathrm{norm}(h))

    Args:
        channels: Channels D of nodes and edges.
        norm: Norm of the edges, and of the nodes if ``finished``.
        act: Makes an activation.
        after: Activation and dropout of the edges; None in the last layer, whose edges are not read.
        residual: Whether the change is added to the features of the edges.
        finished: Whether the nodes are normalised and activated here.
        distance_gate: Whether gates are multiplied by a `DistanceGate`.

    Example:
        >>> import torch
        >>> layer = EdgeUpdate(8, "batch", torch.nn.ReLU, torch.nn.ReLU(), residual=True, finished=True)
        >>> edges = Edges(torch.zeros(2, 8))
        >>> layer(torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]]), edges).shape, bool((edges.value > 0).any())
        (torch.Size([3, 8]), True)
    """

    def __init__(
        self,
        channels: int,
        norm: str,
        act: Callable[[], Module],
        after: Module | None,
        *,
        residual: bool,
        finished: bool,
        distance_gate: bool = False,
    ) -> None:
        super().__init__()
        self.conv = GatedEdgeConv(channels, DistanceGate(channels, act) if distance_gate else None)
        self.after, self.residual = after, residual
        self.edge_norm = make_norm(norm, channels) if after is not None else None
        self.node_norm: Module | None = make_norm(norm, channels) if finished else None
        self.act: Module | None = act() if finished else None

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.conv.reset_parameters()
        for norm in (self.edge_norm, self.node_norm):
            if norm is not None:
                norm.reset_parameters()  # type: ignore[operator]

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Edges,
        edge_distance: Float[Tensor, "E 1"] | None = None,
    ) -> Float[Tensor, "N D"]:
        r"""Return the new nodes, and put the new edges into ``edge_attr``.

        .. math::
            e' = e + \mathrm{dropout}\bigl(\sigma(\mathrm{norm}(\hat{e}))\bigr)

        Args:
            x: Nodes.
            edge_index: Directed edges.
            edge_attr: Features of the edges.
            edge_distance: Distances of the edges, with ``distance_gate``.
        """
        h, edges = self.conv(x, edge_index, edge_attr.value, edge_distance)
        if self.after is not None and edges.size(0):
            changed = self.after(edges if self.edge_norm is None else self.edge_norm(edges))
            edge_attr.value = edge_attr.value + changed if self.residual else changed
        h = h if self.node_norm is None else self.node_norm(h)
        return h if self.act is None else self.act(h)


class Layer(Module):
    r"""A convolution, its norm, activation, dropout and residual.

    .. math::
        x' = x + \mathrm{dropout}\bigl(\sigma(\mathrm{norm}(\mathrm{conv}(x, e)))\bigr)

    Args:
        conv: Called as ``conv(x, edge_index, edge_attr)``, and with ``edge_distance`` if there are distances.
        norm: A norm, or None.
        act: Makes an activation.
        dropout: Dropout, 0 to below 1.
        residual: Whether ``x`` is added.

    Example:
        >>> import torch
        >>> layer = Layer(LocalLayer("gcn", 8), make_norm("batch", 8), torch.nn.ReLU, 0.1, residual=True)
        >>> layer(torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]]), None).shape
        torch.Size([3, 8])
    """

    def __init__(
        self, conv: Module, norm: Module | None, act: Callable[[], Module], dropout: float, residual: bool
    ) -> None:
        super().__init__()
        self.conv, self.norm, self.residual = conv, norm, residual
        self.after = Sequential(act(), Dropout(dropout))

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.conv.reset_parameters()  # type: ignore[operator]
        if self.norm is not None:
            self.norm.reset_parameters()  # type: ignore[operator]

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Tensor | Edges | None,
        **distances: Tensor,
    ) -> Float[Tensor, "N D"]:
        r"""Return the new nodes.

        .. math::
            x' = x + \mathrm{dropout}\bigl(\sigma(\mathrm{norm}(\mathrm{conv}(x, e)))\bigr)

        Args:
            x: Nodes.
            edge_index: Directed edges.
            edge_attr: What the convolution takes as features of the edges.
            **distances: ``edge_distance``, if there are distances.
        """
        h = self.conv(x, edge_index, edge_attr, **distances)
        h = self.after(h if self.norm is None else self.norm(h))
        return x + h if self.residual else h


class _MaskedPerformer(PerformerAttention):
    """PyG's Performer attention with masked keys.

    PyG's class includes padding in the denominator, so that predictions depend on the sizes of the other graphs.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        def split(values: Tensor) -> Tensor:
            return values.unflatten(-1, (self.heads, self.head_channels)).transpose(1, 2)

        q, k, v = (split(project(x)) for project in (self.q, self.k, self.v))
        q, k = (generalized_kernel(values, self.fast_attn.projection_matrix, self.kernel) for values in (q, k))
        if mask is not None:
            k = k.masked_fill(~mask[:, None, :, None], 0.0)
        return self.dropout(self.attn_out(linear_attention(q, k, v).transpose(1, 2).flatten(2)))


def make_norm(norm: str, channels: int) -> Module | None:
    r"""Return a norm of nodes or edges by its name in :obj:`NORMS`, or None.

    .. math::
        x' = \gamma \odot \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} + \beta

    with the moments of a channel over the batch (``"batch"``) or of a node over its channels (``"layer"``).

    Args:
        norm: The name.
        channels: Channels D.

    Example:
        >>> type(make_norm("batch", 8)).__name__, make_norm("none", 8)
        ('BatchNorm', None)
    """
    name, options = _NORMS[norm]
    return None if name is None else normalization_resolver(name, channels, **options)


def make_gps(
    channels: int,
    conv: Module | None,
    heads: int,
    attention: str,
    attn_dropout: float,
    act: Callable[[], Module],
    norm: str,
    dropout: float,
) -> GPSConv:
    r"""Return a block of GPS.

    .. math::
        h &= \mathrm{norm}(x + \mathrm{conv}(x, e)) + \mathrm{norm}(x + \mathrm{attention}(x))

        x' &= \mathrm{norm}(h + \mathrm{MLP}(h))

    from the `"Recipe for a General, Powerful, Scalable Graph Transformer" <https://arxiv.org/abs/2205.12454>`_ paper.

    Args:
        channels: Channels D, a multiple of ``heads``.
        conv: Message passing beside the attention, or None.
        heads: Number of heads.
        attention: ``"multihead"``, ``"performer"`` or ``"biased"``, see `BiasedGPSConv`.
        attn_dropout: Dropout in the attention, 0 to below 1.
        act: Makes an activation.
        norm: One of :obj:`NORMS`.
        dropout: Dropout, 0 to below 1.

    Example:
        >>> import torch
        >>> block = make_gps(8, None, 2, "multihead", 0.0, torch.nn.ReLU, "batch", 0.0)
        >>> block(torch.randn(3, 8), torch.empty(2, 0, dtype=torch.long)).shape
        torch.Size([3, 8])
    """
    name, norm_options = _NORMS[norm]
    options: dict[str, Any] = {"dropout": dropout, "act": act(), "norm": name, "norm_kwargs": norm_options}
    if attention == "biased":
        layer: GPSConv = BiasedGPSConv(channels, conv, heads, attn_dropout, **options)
    else:
        options |= {"attn_type": attention, "attn_kwargs": {"dropout": attn_dropout}}
        layer = GPSConv(channels, conv, heads, **options)  # type: ignore[arg-type]
    if conv is None:
        layer.norm1 = None  # PyG's block would hold a norm of messages that it never computes
    if attention == "performer":
        layer.attn = _MaskedPerformer(channels, heads, dropout=attn_dropout)
    return layer
