from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Dropout, LayerNorm, Module, ModuleList, MultiheadAttention, Sequential
from torch_geometric.nn import MLP, GPSConv
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.resolver import activation_resolver, aggregation_resolver

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.graph_index import check_within_graphs
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.conv.local_layers import GATED_BY_DISTANCE
from pyg_samsa.nn.conv.san_attention import SANAttention
from pyg_samsa.nn.encoding.distance_gate import PE_ROLES, EncodingDistance
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from pyg_samsa.nn.encoding.joined_encoder import encoding_options, make_position_encoder, with_positions
from pyg_samsa.nn.graph_features import GraphFeatures, encode_graph_features
from pyg_samsa.nn.models.gnn_blocks import (
    NORMS,
    Edges,
    EdgeUpdate,
    InitialResidual,
    Layer,
    NodeWise,
    local_names,
    make_gps,
    make_local,
    make_norm,
)
from pyg_samsa.nn.models.graphormer_blocks import BiasedGPSConv, GraphormerLayer
from pyg_samsa.nn.models.san_layer import FullGraph, SANLayer
from pyg_samsa.nn.pair_decoder import PairDecoder
from pyg_samsa.nn.precision import as_weights, in_full_precision
from pyg_samsa.nn.readout import make_pool
from pyg_samsa.options import check_integer, check_memory, check_no_effect, check_probability
from pyg_samsa.typing import Float, Int, Shaped

LAYERS = ("gcn", "gcnii", "gine", "gatedgcn", "mlp", "gps", "graphormer", "san", "san2")
_SAN, _RESIDUAL = ("san", "san2"), ("gps", "graphormer")
_LAYERS_WITH = {
    **dict.fromkeys(("local", "attention"), ("gps",)),
    "heads": (*_RESIDUAL, *_SAN),
    "attn_dropout": _RESIDUAL,
    "mlp_dropout": ("graphormer",),
    "full_graph": _SAN,
    "gamma": ("san",),
}
_WITHOUT_EDGE_FEATURES = ("gcn", "gcnii", "mlp", "graphormer")
_OWN_CONV = {"gcnii": InitialResidual, "mlp": NodeWise}
ATTENTION = ("multihead", "performer", "biased")
POOLS = ("mean", "add", "max", "attention", "graph_token")
ACTIVATIONS = ("relu", "gelu", "elu", "selu", "silu")
MOST = {"channels": 2**16, "num_layers": 1000, "heads": 1024, "head_layers": 100}
"""Argument of `GNN` -> its largest value."""


class _Encoded(NamedTuple):
    """Tokens after the last layer, sorted by graph, and the token of each node in the given order."""

    x: Tensor
    index: RaggedIndex  # type: ignore[assignment]
    node_rows: Tensor | None


class GNN(Module):
    r"""Message-passing networks, GPS, Graphormer and SAN, built from PyG's operators: the baselines of the literature.

    .. math::
        h_i^{(l+1)} = h_i^{(l)} + \mathrm{dropout}\bigl(\sigma(\mathrm{norm}(\mathrm{conv}(h^{(l)}, e)_i))\bigr)

    with the convolutions of GCN (`"Semi-Supervised Classification with Graph Convolutional Networks"
    <https://arxiv.org/abs/1609.02907>`_), of GCNII (`InitialResidual`), of GINE (`"Strategies for Pre-training Graph
    Neural Networks" <https://arxiv.org/abs/1905.12265>`_) or gated ones (`"Residual Gated Graph ConvNets"
    <https://arxiv.org/abs/1711.07553>`_), without any (`NodeWise`), with the blocks of GPS (`"Recipe for a General,
    Powerful, Scalable Graph Transformer" <https://arxiv.org/abs/2205.12454>`_) or the layers of Graphormer
    (`GraphormerLayer`) or SAN (`SANLayer`). `"Where Did the Gap Go?"
    <https://arxiv.org/abs/2309.00367>`_ shows how strong they are when tuned: residuals, a deep head and positional
    encodings matter more than the kind of layer.

    Args:
        in_channels: The node features, in one of the forms of `SAMSA.from_options`.
        out_channels: Number of predictions per graph, node or pair.
        edge_channels: The edge features, in the same forms; None if edges have no features. GCN, GCNII and Graphormer
            do not use them, except for the types of edges of ``structure``.
        layer: ``"gcn"``, ``"gcnii"``, ``"gine"``, ``"gatedgcn"``, ``"mlp"`` (nodes only), ``"gps"``, ``"graphormer"``,
            ``"san"``, or ``"san2"`` with the learned weight of GraphGPS.
        channels: Channels D of a node; with attention a multiple of ``heads``.
        num_layers: Number of layers.
        local: For GPS, the message passing in parallel to the attention: a name in :obj:`LOCAL_LAYERS` other than
            ``"incidence"``, such as ``"gine"`` or ``"gatedgcn"``; ``"none"`` for attention alone.
        attention: For GPS, ``"multihead"``, ``"performer"`` or ``"biased"``.
        heads: For GPS, Graphormer and SAN, number of attention heads.
        attn_dropout: For GPS and Graphormer, dropout in the attention, 0 to below 1.
        mlp_dropout: For Graphormer, dropout within the MLP of a layer, 0 to below 1.
        full_graph: For SAN, whether pairs of nodes that no edge joins take part in the attention.
        gamma: For ``"san"`` with ``full_graph``, their weight, at least 0.
        structure: For Graphormer and ``attention="biased"``, the encoding of the structure, with the same heads and
            the channels of a node without positional encodings that are concatenated. Degrees and dropout of the
            encoding act on these channels alone, and then the encodings are concatenated, zero for graph tokens.
        activation: ``"relu"``, ``"gelu"``, ``"elu"``, ``"selu"`` or ``"silu"``, of layers and head. Layers of
            Graphormer have GELU and those of SAN ReLU, whatever it is: with them it is that of the head alone.
        norm: ``"batch"`` (the default), ``"layer"`` (per node) or ``"none"``; not for Graphormer, whose layers have
            layer norms.
        residual: Whether layers have residual connections; always for GPS and Graphormer.
        update_edges: With gated convolutions, whether layers also change the features of edges, and normalise their
            gates, see `GatedEdgeConv`.
        dropout: Dropout after every layer and in the head, 0 to below 1.
        head_layers: Number of linear layers of the head.
        head_shrinks: Whether each layer of the head before the last halves the channels, without dropout, as in the
            head of SAN (`"Rethinking Graph Transformers with Spectral Attention" <https://arxiv.org/abs/2106.03893>`_).
        final_norm: Whether a layer norm follows the last layer.
        pool: For ``level="graph"``, the pooling: ``"mean"``, ``"add"``, ``"max"``, ``"attention"``, or
            ``"graph_token"`` for the graph token of ``structure`` alone. Others pool it with the nodes.
        level: ``"graph"``: one prediction per graph; ``"node"``: one per node; ``"link"``: one per pair of nodes that
            is passed as ``edge_label_index``.
        edge_decoding: For ``level="link"``: ``"dot"``, ``"concat"`` or ``"cosine_similarity"``, see `PairDecoder`.
        pe_channels: Width P of positional encodings that are passed as ``pe``, 0 for none.
        pe_role: ``"add"``: the encodings are normalised over the batch, mapped to D channels and added to the encoded
            nodes. ``"gate"``, with GINE or gated convolutions: their distances along the edges weight the messages, see
            `EncodingDistance` and `DistanceGate`. ``"mapped_gate"``: the same after a learned linear map.
        flip_signs: Whether to multiply each column of the encodings of each graph by a random sign in training, as
            eigenvectors need; or how many columns, from the first.
        pe_options: How the encodings are encoded, and whether they are concatenated instead of added: options of
            `EncodingOptions`. With a spectrum, ``flip_signs`` is the number of eigenvectors, or True without walks.
        graph_channels: For ``level="graph"``, width of features of whole graphs that are passed as ``graph_features``,
            0 for none. The head sees them encoded, see `GraphFeatures`.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*),
          encodings [N, P] (*optional*), features of graphs [B, graph_channels] (*optional*), pairs [2, L] (*for*
          ``level="link"``), shortest paths [sum of n^2, 1 or 3] (*optional, with* ``structure``)
        - **output:** [B, out_channels], [N, out_channels] for ``level="node"``, or [L, out_channels] for
          ``level="link"``

    Raises:
        ConfigError: An argument is out of range, or has no effect.
        ShapeError: The inputs do not fit the network or each other.
        NumericalError: A feature is not finite.

    Example:
        >>> model = GNN(5, 2, edge_channels=3, layer="gine", channels=16, num_layers=2)
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model(torch.randn(4, 5), edge_index, torch.randn(4, 3), batch=torch.tensor([0, 0, 0, 1])).shape
        torch.Size([2, 2])

    Cost: O(L (N D^2 + E D)), for GINE and gated convolutions O(L (N + E) D^2). The attention of GPS pads graphs to the
    largest one of the batch, n_max: O(L B n_max^2 D) with ``"multihead"``, O(L B n_max D^2) with ``"performer"``.
    That of Graphormer, ``"biased"`` and SAN on full graphs takes O(L sum of n^2 D) time and O(L sum of n^2 H) memory.
    """

    def __init__(
        self,
        in_channels: Features,
        out_channels: int,
        *,
        edge_channels: Features | None = None,
        layer: str = "gcn",
        channels: int = 64,
        num_layers: int = 4,
        local: str = "gine",
        attention: str = "multihead",
        heads: int = 4,
        attn_dropout: float = 0.0,
        mlp_dropout: float = 0.0,
        full_graph: bool = True,
        gamma: float = 1e-5,
        structure: GraphormerEncoding | None = None,
        activation: str = "relu",
        norm: str | None = None,
        residual: bool = True,
        update_edges: bool = False,
        dropout: float = 0.0,
        head_layers: int = 2,
        head_shrinks: bool = False,
        final_norm: bool = False,
        pool: str = "mean",
        level: str = "graph",
        edge_decoding: str = "dot",
        pe_channels: int = 0,
        pe_role: str = "add",
        flip_signs: bool | int = False,
        pe_options: Mapping[str, Any] | None = None,
        graph_channels: int = 0,
    ) -> None:
        super().__init__()
        choices = {
            "layer": (layer, LAYERS),
            "local": (local, local_names()),
            "attention": (attention, ATTENTION),
            "norm": (norm, (None, *NORMS)),
        }
        choices |= {
            "activation": (activation, ACTIVATIONS),
            "pool": (pool, POOLS),
            "level": (level, ("graph", "node", "link")),
            "pe_role": (pe_role, PE_ROLES),
        }
        for key, (value, allowed) in choices.items():
            check_choice(key, value, allowed)
        counts = {
            "channels": channels,
            "num_layers": num_layers,
            "heads": heads,
            "head_layers": head_layers,
            "out_channels": out_channels,
        }
        for key, count in counts.items():
            check_integer(key, count, high=MOST.get(key))
        check_memory("channels", channels, num_layers * channels**2)
        check_integer("graph_channels", graph_channels, low=0)
        check_probability("dropout", dropout)
        check_probability("attn_dropout", attn_dropout)
        check_probability("mlp_dropout", mlp_dropout)
        of_layers = {"local": local, "attention": attention, "heads": heads, "attn_dropout": attn_dropout}
        of_layers |= {"mlp_dropout": mlp_dropout, "full_graph": full_graph, "gamma": gamma}
        unused = {key: value for key, value in of_layers.items() if layer not in _LAYERS_WITH[key]}
        check_no_effect(GNN, unused, reason=f"layer is {layer!r}")
        if layer in _RESIDUAL:
            check_no_effect(GNN, {"residual": residual}, reason=f"layer is {layer!r}, whose blocks are residual")
        if layer == "graphormer":
            check_no_effect(GNN, {"norm": norm}, reason=f"layer is {layer!r}, whose layers have layer norms")
        norm = norm or "batch"
        if not full_graph:
            check_no_effect(GNN, {"gamma": gamma}, reason="full_graph is False")
        if layer in _LAYERS_WITH["heads"] and channels % heads:
            raise ConfigError("channels", channels, f"a multiple of heads = {heads}")
        if (local if layer == "gps" else layer) != "gatedgcn":
            check_no_effect(GNN, {"update_edges": update_edges}, reason="the convolution is not gated")
        if level != "graph":
            check_no_effect(GNN, {"pool": pool, "graph_channels": graph_channels}, reason=f"level is {level!r}")
        if level != "link":
            check_no_effect(GNN, {"edge_decoding": edge_decoding}, reason=f"level is {level!r}")
        if not pe_channels:
            of_encodings = {"flip_signs": flip_signs, "pe_role": pe_role, "pe_options": pe_options or None}
            check_no_effect(GNN, of_encodings, reason="pe_channels is 0")
        gated = pe_role != "add"
        if gated:
            of_nodes = {"flip_signs": flip_signs, "pe_options": pe_options or None}
            check_no_effect(GNN, of_nodes, reason=f"pe_role is {pe_role!r}")
            if (local if layer == "gps" else layer) not in GATED_BY_DISTANCE:
                convs = " or ".join(GATED_BY_DISTANCE)
                raise ConfigError("pe_role", pe_role, f"'add' with other convolutions than {convs}")
        self.layer, self.channels, self.level = layer, channels, level
        self.pe_channels, self.pe_role = pe_channels, pe_role
        self.node_channels = channels - encoding_options(pe_options, channels, computed=False).width
        """Channels of the encoded features of a node, without encodings that are concatenated with them."""
        _check_structure(structure, layer, attention, self.node_channels, heads, pool)
        self.node_encoder = make_encoder("in_channels", in_channels, self.node_channels)
        uses_edges = layer not in _WITHOUT_EDGE_FEATURES and edge_channels is not None
        self.edge_encoder = (
            make_encoder("edge_channels", edge_channels, channels) if uses_edges and edge_channels is not None else None
        )
        added = pe_channels and not gated
        self.pe_encoder = make_position_encoder(pe_channels, channels, flip_signs, pe_options) if added else None
        mapped = channels if pe_role == "mapped_gate" else None
        self.pe_distance = EncodingDistance(pe_channels, mapped) if gated else None
        self.structure = structure
        self.other_pairs = FullGraph(channels) if layer in _SAN and full_graph else None
        act = partial(activation_resolver, activation)
        self.layers = ModuleList()
        self.update_edges = update_edges
        for number in range(num_layers):
            if layer == "graphormer":
                self.layers.append(GraphormerLayer(channels, heads, dropout, attn_dropout, mlp_dropout))
                continue
            if layer in _SAN:
                pair = SANAttention(channels, heads, gamma=gamma, full_graph=full_graph, learned=layer == "san2")
                norms = (make_norm(norm, channels), make_norm(norm, channels))
                self.layers.append(SANLayer(pair, norms, dropout, residual))
                continue
            name, has_edges = local if layer == "gps" else layer, self.edge_encoder is not None
            own = _OWN_CONV.get(name)
            features = {"edge_features": has_edges, "distance_gate": gated}
            conv: Module | None = own(channels) if own else make_local(name, channels, act, **features)
            if update_edges:
                after = None if number == num_layers - 1 else Sequential(act(), Dropout(dropout))
                inside = {"residual": residual, "finished": layer == "gps", "distance_gate": gated}
                conv = EdgeUpdate(channels, norm, act, after, **inside)
            if layer == "gps" or conv is None:
                self.layers.append(make_gps(channels, conv, heads, attention, attn_dropout, act, norm, dropout))
            else:
                self.layers.append(Layer(conv, make_norm(norm, channels), act, dropout, residual))
        self.final_norm = LayerNorm(channels) if final_norm else None
        self.pool = _pool(pool, channels) if level == "graph" and pool != "graph_token" else None
        self.graph_features = GraphFeatures(graph_channels, channels, dropout=dropout) if graph_channels else None
        """Encodes the features of graphs; None without ``graph_channels``."""

        def make_head(width: int, out: int) -> MLP:
            hidden = [max(1, width // 2**number) if head_shrinks else channels for number in range(1, head_layers)]
            between = 0.0 if head_shrinks else dropout
            drop = [between] * (head_layers - 1) + [0.0]
            return MLP([width, *hidden, out], act=act(), norm=None, dropout=drop)

        self.head: Module = (
            PairDecoder(make_head, channels, out_channels, edge_decoding)
            if level == "link"
            else make_head(channels * (2 if graph_channels else 1), out_channels)
        )

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the network uses.

        Example:
            >>> GNN(5, 2, pe_channels=4).inputs
            frozenset({'pe'})
        """
        spatial = None if self.structure is None else self.structure.spatial
        parts = {"pe": self.pe_encoder or self.pe_distance, "graph_features": self.graph_features, "paths": spatial}
        names = {name for name, part in parts.items() if part is not None}
        return frozenset(names | ({"edge_label_index"} if self.level == "link" else set()))

    def reset_parameters(self) -> None:
        """Draw new weights."""
        encoders = (self.node_encoder, self.edge_encoder, self.pe_encoder, self.pe_distance)
        parts = (self.structure, self.other_pairs, self.graph_features, self.final_norm, self.pool, self.head)
        for module in (*encoders, *parts, *self.layers):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
            if isinstance(module, GPSConv) and isinstance(module.attn, MultiheadAttention):
                module.attn.out_proj.reset_parameters()  # PyTorch's attention does not reset it.

    def encode(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | None = None,
        *,
        batch_size: int | None = None,
        pe: Float[Tensor, "N P"] | None = None,
        paths: Int[Tensor, "pairs columns"] | None = None,
    ) -> Float[Tensor, "N D"]:
        """Return the nodes after the last layer; arguments as in `forward`.

        Example:
            >>> GNN(5, 2, channels=16).encode(torch.randn(3, 5), torch.tensor([[0, 1], [1, 0]])).shape
            torch.Size([3, 16])
        """
        encoded = self._encode(x, edge_index, edge_attr, batch, batch_size, pe, paths)
        return encoded.x if encoded.node_rows is None else encoded.x[encoded.node_rows]

    def _encode(
        self,
        x: Tensor,
        edge_index: Tensor | None,
        edge_attr: Tensor | None,
        batch: Tensor | None,
        batch_size: int | None,
        pe: Tensor | None,
        paths: Tensor | None,
    ) -> _Encoded:
        edge_index, edge_attr = edges_of(edge_index, edge_attr)
        h = encode_features("x", self.node_encoder, x, self.node_channels)
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        rows = None if perm is None else inverse_permutation(perm)
        places = index.batch if rows is None else index.batch[rows], index.num_graphs
        # Encodings that are concatenated with nodes come after those of the structure.
        late = self.structure is not None and getattr(self.pe_encoder, "concatenated", False)
        if self.pe_encoder is not None and not late:
            h = with_positions(h, self.pe_encoder, pe, *places)
        edge_index = torch.empty(2, 0, dtype=torch.long, device=h.device) if edge_index is None else edge_index
        encoded = self._encode_edges(edge_index, edge_attr)
        distances = {}
        if self.pe_distance is not None:
            distances["edge_distance"] = self.pe_distance(pe, edge_index, h.size(0))
        e: Tensor | Edges | None = encoded
        if self.update_edges:
            e = Edges(h.new_zeros(edge_index.size(1), self.channels) if encoded is None else encoded)
        if perm is not None and rows is not None:
            # Attention requires the nodes of a graph to be contiguous.
            h, edge_index = h[perm], rows[edge_index]
        bias = None
        if self.structure is not None:
            check_within_graphs(edge_index, index.batch)
            h, index, of_node, bias = self.structure(h, edge_index, index, edge_attr, paths)
            edge_index, rows = of_node[edge_index], of_node if rows is None else of_node[rows]
            if self.pe_encoder is not None and late:
                h = with_positions(h, self.pe_encoder, pe, *places, rows)
        if h.size(0) == 0:
            return _Encoded(h, index, rows)
        if self.layer == "gcnii":
            e = h
        # Graph numbers without gaps: a graph without nodes would be a row of attention without keys.
        dense = torch.unique_consecutive(index.batch, return_inverse=True)[1] if self.layer == "gps" else None
        others = None if self.other_pairs is None else self.other_pairs(edge_index, index)
        for layer in self.layers:
            if isinstance(layer, SANLayer):
                h = layer(h, edge_index, encoded, others)
            elif isinstance(layer, GraphormerLayer):
                h = layer(h, index, bias)
            elif isinstance(layer, BiasedGPSConv):
                h = layer(h, edge_index, index=index, bias=bias, edge_attr=e, **distances)
            elif isinstance(layer, GPSConv):
                h = layer(h, edge_index, dense, edge_attr=e, **distances)
            else:
                h = layer(h, edge_index, e, **distances)
        return _Encoded(h if self.final_norm is None else self.final_norm(h), index, rows)

    def forward(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | None = None,
        *,
        batch_size: int | None = None,
        pe: Float[Tensor, "N P"] | None = None,
        graph_features: Shaped[Tensor, "B F"] | None = None,
        edge_label_index: Int[Tensor, "2 L"] | None = None,
        paths: Int[Tensor, "pairs columns"] | None = None,
    ) -> Float[Tensor, "rows out"]:
        """Return the predictions.

        Args:
            x: Node features [N, F].
            edge_index: Directed edges; None means no edges.
            edge_attr: Edge features [E, F'].
            batch: Graph number of each node, in any order; None means one graph.
            batch_size: Number of graphs, if some at the end may be empty.
            pe: Positional encodings, if ``pe_channels`` is set.
            graph_features: Features of each graph, if ``graph_channels`` is set; NaN where a value is missing.
            edge_label_index: Pairs of nodes, for ``level="link"``.
            paths: With ``structure``, `pyg_samsa.functional.shortest_paths.shortest_paths` of all graphs, if they were
                computed before.

        Example:
            >>> GNN(5, 2, layer="gps", channels=16, level="node")(torch.randn(3, 5)).shape
            torch.Size([3, 2])
            >>> GNN(5, 1, channels=16, level="link")(torch.randn(3, 5), edge_label_index=torch.tensor([[0], [2]])).shape
            torch.Size([1, 1])
        """
        if edge_label_index is not None and self.level != "link":
            raise ShapeError("edge_label_index", list(edge_label_index.shape), f"None, because level is {self.level!r}")
        h, index, rows = self._encode(x, edge_index, edge_attr, batch, batch_size, pe, paths)
        if self.level != "graph":
            encode_graph_features(None, graph_features, 0)
            graph = index.batch if rows is None else index.batch[rows]
            h = h if rows is None else h[rows]
            if self.level == "node":
                return in_full_precision(self.head, h)
            with without_autocast(h):
                return self.head(as_weights(self.head, h), edge_label_index, graph)
        h = at_least_float32(h)
        pooled = h[index.ptr[:-1]] if self.pool is None else self.pool(h, index.batch, dim_size=index.num_graphs)
        encoded = encode_graph_features(self.graph_features, graph_features, index.num_graphs)
        return in_full_precision(self.head, pooled if encoded is None else torch.cat([pooled, encoded], dim=1))

    def _encode_edges(self, edge_index: Tensor, edge_attr: Tensor | None) -> Tensor | None:
        if self.edge_encoder is None:
            return None
        if edge_attr is None:
            if edge_index.size(1):
                raise ShapeError(
                    "edge_attr",
                    None,
                    f"features of {edge_index.size(1)} edges, because the network was made with edge_channels",
                )
            return next(self.layers.parameters()).new_zeros(0, self.channels)
        if edge_attr.size(0) != edge_index.size(1):
            raise ShapeError("edge_attr", list(edge_attr.shape), f"[{edge_index.size(1)}, ...], one row per edge")
        return encode_features("edge_attr", self.edge_encoder, edge_attr, self.channels)

    def __repr__(self) -> str:
        sizes = f"{self.channels}, layer={self.layer!r}, num_layers={len(self.layers)}"
        return f"{type(self).__name__}({sizes}, level={self.level!r})"


def _check_structure(
    structure: GraphormerEncoding | None, layer: str, attention: str, channels: int, heads: int, pool: str
) -> None:
    """Refuse an encoding of the structure that is missing, has no effect or does not fit."""
    if (layer == "graphormer" or attention == "biased") != (structure is not None):
        expected = "none with these layers" if structure is not None else "a GraphormerEncoding with these layers"
        raise ConfigError("structure", structure, expected)
    if structure is not None and (structure.channels, structure.heads) != (channels, heads):
        raise ConfigError("structure", structure, f"an encoding with {channels} channels and {heads} heads")
    if attention == "biased" and structure is not None and structure.spatial is None:
        hint = "Make it with node_degrees_only=False, or use attention 'multihead' without it."
        raise ConfigError("structure", structure, "an encoding with biases, for attention 'biased'", hint=hint)
    if pool == "graph_token" and (structure is None or structure.graph_token is None):
        raise ConfigError("pool", pool, "a pooling of nodes, or an encoding of the structure with a graph token")


def _pool(pool: str, channels: int) -> Aggregation:
    return make_pool(pool, channels) if pool in ("attention", "mean") else aggregation_resolver(pool)
