from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.graph_index import GraphIndex, check_within_graphs
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.node_encodings import BOTH, NODE_ENCODINGS, WITH_SPECTRUM, node_encodings
from pyg_samsa.functional.positions import sequence_positions, sinusoidal_positions
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.encoding.distance_gate import PE_ROLES, EncodingDistance
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder
from pyg_samsa.nn.encoding.joined_encoder import encoding_options, make_position_encoder, with_positions
from pyg_samsa.nn.tokenizers.tokens import Tokens, check_edges
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int, Shaped

POSITIONS = ("none", "sinusoidal")


class NodeTokenizer(Module):
    r"""Makes one token of each node, for sets and for graphs whose edges should not be tokens.

    .. math::
        h_i = \mathrm{Encoder}(x_i) + W \, \mathrm{pe}_i

    It is the base class of the other tokenizers. A tokenizer converts the tensors of one modality to `Tokens`.

    Args:
        channels: Channels D of a token.
        in_channels: The node features: the number of float features (a linear encoder), the cardinalities of
            categorical features (a sum of embeddings), or a module that returns [N, D].
        positions: ``"sinusoidal"`` adds sinusoids of the place of each node in its graph, for sequences; ``"none"``
            adds nothing.
        pe_channels: Width P of positional encodings that are passed as ``pe``, see `PositionalEncoder`; 0 for none.
        flip_signs: Whether to flip the signs of these encodings at random in training, as eigenvectors need; or of how
            many of them, from the first.
        pe_kind: The encodings that are computed from the edges if ``pe`` is not passed: ``"lap"``, ``"lap1"``,
            ``"rwse"``, ``"spectrum"``, or ``"lap+rwse"`` and ``"spectrum+rwse"`` with ``flip_signs`` eigenvectors, see
            `pyg_samsa.functional.node_encodings`; None if they must be passed.
        pe_role: ``"add"``: the encodings are added to the nodes. ``"gate"``: they are not; their distances along the
            edges are passed on to local layers, see `EncodingDistance`. ``"mapped_gate"``: the same after a learned
            linear map, as in GraphGPS.
        pe_options: How the encodings are encoded, and whether they are concatenated instead of added: options of
            `EncodingOptions`. None for a `PositionalEncoder`, which is added.

    Shapes:
        - **input:** nodes [N, F], graph numbers [N] (*optional*)
        - **output:** `Tokens` with N tokens [N, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.
        NumericalError: A feature is not finite.

    Example:
        >>> tokenizer = NodeTokenizer(16, in_channels=5)
        >>> tokenizer(torch.randn(3, 5), batch=torch.tensor([1, 0, 1])).node_rows
        tensor([1, 0, 2])

    Cost: O(N F D).
    """

    edges_are_tokens = False
    """Whether edges become tokens, so that a graph has N + E tokens instead of N."""

    def __init__(
        self,
        channels: int,
        in_channels: Features,
        edge_channels: Features | None = None,
        *,
        positions: str = "none",
        pe_channels: int = 0,
        flip_signs: bool | int = False,
        pe_kind: str | None = None,
        pe_role: str = "add",
        pe_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_integer("pe_channels", pe_channels, low=0)
        check_choice("positions", positions, POSITIONS)
        check_choice("pe_role", pe_role, PE_ROLES)
        if pe_kind is not None:
            check_choice("pe_kind", pe_kind, NODE_ENCODINGS)
        if not pe_channels:
            given = {"flip_signs": flip_signs, "pe_kind": pe_kind, "pe_role": pe_role, "pe_options": pe_options or None}
            for name, value in given.items():
                if value not in (False, None, "add"):
                    raise ConfigError(name, value, "left out, because pe_channels is 0: there are no encodings")
        if pe_role != "add" and flip_signs and pe_kind != BOTH:
            raise ConfigError("flip_signs", flip_signs, f"False with pe_role {pe_role!r}: no signs are flipped")
        if pe_kind == BOTH and not 0 < flip_signs < pe_channels:
            raise ConfigError("flip_signs", flip_signs, f"the number of eigenvectors among pe_channels ({pe_channels})")
        self.encoding = encoding_options(pe_options, channels, computed=pe_kind is not None)
        """How positional encodings are encoded."""
        if pe_options and pe_role != "add":
            raise ConfigError("pe_options", dict(pe_options), f"none with pe_role {pe_role!r}, which encodes no node")
        if pe_kind is not None and (pe_kind in WITH_SPECTRUM) != self.encoding.is_spectrum:
            expected = "model deepset or transformer with a spectrum, and only there"
            raise ConfigError("pe_options: model", self.encoding.model, f"{expected}; pe_kind is {pe_kind!r}")
        self.pe_kind, self.pe_role, self.eigenvectors = pe_kind, pe_role, int(flip_signs)
        self.channels, self.positions, self.pe_channels = int(channels), positions, pe_channels
        self.node_channels = self.channels - self.encoding.width
        """Channels of the encoded features of a node, without encodings that are concatenated with them."""
        self.node_encoder = make_encoder("in_channels", in_channels, self.node_channels)
        self.edge_encoder = (
            make_encoder("edge_channels", edge_channels, channels) if edge_channels is not None else None
        )
        added = pe_channels and pe_role == "add"
        self.pe_encoder = make_position_encoder(pe_channels, channels, flip_signs, pe_options) if added else None
        mapped = channels if pe_role == "mapped_gate" else None
        self.pe_distance = EncodingDistance(pe_channels, mapped) if pe_role != "add" else None

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the tokenizer uses.

        Example:
            >>> NodeTokenizer(16, 5).inputs, NodeTokenizer(16, 5, pe_channels=4).inputs
            (frozenset(), frozenset({'pe'}))
        """
        return frozenset(["pe"] if self.pe_channels else [])

    @property
    def has_draws(self) -> bool:
        """Whether tokens contain random codes, so that evaluation can average over several draws.

        Example:
            >>> NodeTokenizer(16, 5).has_draws
            False
        """
        return False

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)

    def encode_nodes(
        self,
        x: Shaped[Tensor, "N ..."],
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        edge_index: Tensor | None = None,
        pos: Shaped[Tensor, "N l"] | None = None,
        pe: Float[Tensor, "N P"] | None = None,
        draw: int = 0,
    ) -> Float[Tensor, "N D"]:
        """Return the encoded nodes, with sinusoids and positional encodings added; arguments as in `forward`.

        Example:
            >>> NodeTokenizer(16, 5, positions="sinusoidal").encode_nodes(torch.randn(3, 5)).shape
            torch.Size([3, 16])
        """
        h = self.encode_features(x, batch, batch_size=batch_size, pos=pos, draw=draw)
        if self.positions == "none" and self.pe_encoder is None:
            return h
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        rank = None if perm is None else inverse_permutation(perm)
        if self.positions == "sinusoidal":
            places = sinusoidal_positions(index, self.node_channels, dtype=h.dtype)
            h = h + (places if rank is None else places[rank])
        if self.pe_encoder is not None:
            if pe is None and self.pe_kind is not None:
                pe = self._encodings(edge_index, index, rank)
            graph = index.batch if rank is None else index.batch[rank]
            h = with_positions(h, self.pe_encoder, pe, graph, index.num_graphs)
        return h

    def _encodings(self, edge_index: Tensor | None, index: RaggedIndex, rank: Tensor | None) -> Tensor:
        """Compute the positional encodings [N, P] from the edges."""
        if edge_index is None:
            edge_index = torch.empty(2, 0, dtype=torch.long, device=index.device)
        assert self.pe_kind is not None
        edges = edge_index if rank is None else rank[edge_index]
        chosen = {"laplacian": self.encoding.laplacian, "vector_norm": self.encoding.vector_norm}
        form = {name: value for name, value in chosen.items() if value is not None}
        pe = node_encodings(self.pe_kind, self.pe_channels, edges, index, eigenvectors=self.eigenvectors, **form)
        return pe if rank is None else pe[rank]

    def with_distances(
        self,
        tokens: Tokens,
        edge_index: Int[Tensor, "2 E"] | None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        pe: Float[Tensor, "N P"] | None = None,
    ) -> Tokens:
        r"""Return the tokens with the distances of their edges, if they are what the encodings are for.

        .. math::
            d_{ij} = \lVert W (\mathrm{pe}_i - \mathrm{pe}_j) \rVert^2

        Args:
            tokens: The tokens.
            edge_index: Directed edges.
            batch: As in `forward`.
            batch_size: As in `forward`.
            pe: As in `forward`.

        Example:
            >>> x, pe, edge_index = torch.randn(3, 5), torch.eye(3), torch.tensor([[0, 1], [1, 2]])
            >>> NodeTokenizer(16, 5, pe_channels=3, pe_role="gate")(x, edge_index, pe=pe).edge_distance.flatten()
            tensor([2., 2.])
        """
        if self.pe_distance is None or edge_index is None:
            return tokens
        nodes = tokens.node_rows.size(0)
        if pe is None and self.pe_kind is not None:
            index, perm = resolve(nodes, edge_index.device, batch, None, batch_size)
            pe = self._encodings(edge_index, index, None if perm is None else inverse_permutation(perm))
        return tokens._replace(edge_distance=self.pe_distance(pe, edge_index, nodes))

    def encode_features(
        self,
        x: Shaped[Tensor, "N ..."],
        batch: Int[Tensor, " N"] | RaggedIndex | None,
        *,
        batch_size: int | None,
        pos: Shaped[Tensor, "N l"] | None,
        draw: int,
    ) -> Float[Tensor, "N D"]:
        """Return the encoded node features; arguments as in `forward`.

        Example:
            >>> tokenizer, x = NodeTokenizer(16, [4]), torch.tensor([[3], [0]])
            >>> tokenizer.encode_features(x, None, batch_size=1, pos=None, draw=0).shape
            torch.Size([2, 16])
        """
        return encode_features("x", self.node_encoder, x, self.node_channels)

    def forward(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        pos: Shaped[Tensor, "N l"] | None = None,
        pe: Float[Tensor, "N P"] | None = None,
        node_keys: Int[Tensor, " N"] | None = None,
        edge_keys: Int[Tensor, " E"] | None = None,
        draw: int = 0,
    ) -> Tokens:
        """Return the tokens of a batch.

        Args:
            x: Node features [N, F].
            edge_index: Directed edges, or ``adj_t``, see `pyg_samsa.functional.edges_of`; None means no edges.
            edge_attr: Edge features [E, F']; not read without ``edge_channels``.
            batch: Graph number of each node, in any order, or the index of the batch, see
                `pyg_samsa.functional.GraphIndex`; None means one graph.
            batch_size: Number of graphs, if some at the end may be empty.
            pos: Positions of the nodes.
            pe: Positional encodings of the nodes.
            node_keys: Keys of the nodes for deterministic codes; by default those of ``x``, see
                `pyg_samsa.functional.feature_keys`.
            edge_keys: Keys of the edges; by default those of ``edge_attr``.
            draw: Number of the deterministic draw of codes in evaluation, from 0.

        Raises:
            ShapeError: The inputs do not fit each other.
            NumericalError: A feature is not finite.

        Example:
            >>> tokens = NodeTokenizer(16, in_channels=[4])(torch.tensor([[3], [0]]), batch=torch.tensor([1, 0]))
            >>> tokens.x.shape, tokens.node_rows
            (torch.Size([2, 16]), tensor([1, 0]))
        """
        edge_index, edge_attr = edges_of(edge_index, edge_attr)
        h = self.encode_nodes(x, batch, batch_size=batch_size, edge_index=edge_index, pos=pos, pe=pe, draw=draw)
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        rows = torch.arange(h.size(0), device=h.device) if perm is None else inverse_permutation(perm)
        if edge_index is not None:
            valid = isinstance(batch, GraphIndex)
            check_edges(h, edge_index, self.channels, ends=not valid)
            if not valid:
                check_within_graphs(edge_index, batch if isinstance(batch, Tensor) else index.batch)
        edges = None if edge_index is None else rows[edge_index]
        edge_attr = None if edge_index is None else self.encode_edges(edge_index, edge_attr, h)
        tokens = Tokens(h if perm is None else h[perm], index, rows, None, edges, edge_attr)
        return self.with_distances(tokens, edge_index, batch, batch_size=batch_size, pe=pe)

    def encode_edges(
        self,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        h: Float[Tensor, "N D"],
    ) -> Float[Tensor, "E D"] | None:
        r"""Return the encoded edge features; None if the edges have none.

        .. math::
            h_{ij} = \mathrm{Encoder}_E(e_{ij})

        Args:
            edge_index: Directed edges [2, E].
            edge_attr: Edge features [E, F'].
            h: Encoded node features [N, D].

        Raises:
            ShapeError: The features are missing, or there is not one row per edge.
        """
        if edge_attr is not None and edge_attr.size(0) != edge_index.size(1):
            raise ShapeError("edge_attr", list(edge_attr.shape), f"[{edge_index.size(1)}, ...], one row per edge")
        if self.edge_encoder is None:
            return None
        if edge_attr is None:
            if edge_index.size(1):
                expected = f"features of {edge_index.size(1)} edges, because the network was made with edge_channels"
                raise ShapeError("edge_attr", None, expected)
            return h.new_zeros(0, self.channels)
        return encode_features("edge_attr", self.edge_encoder, edge_attr, self.channels)

    def locate(
        self,
        tokens: Tokens,
        edge_index: Int[Tensor, "2 E"] | None,
        pos: Shaped[Tensor, "N l"] | None,
        normal: Shaped[Tensor, "N _"] | None,
    ) -> Tokens:
        """Add positions and normals to the tokens, for operators that encode them.

        Args:
            tokens: The tokens.
            edge_index: Directed edges.
            pos: Positions of the nodes. If ``positions`` is ``"sinusoidal"``, they default to places in the sequence.
            normal: Normals of the nodes.

        Example:
            >>> tokenizer = NodeTokenizer(16, 5, positions="sinusoidal")
            >>> tokenizer.locate(tokenizer(torch.randn(3, 5)), None, None, None).pos.flatten()
            tensor([0., 1., 2.])
        """
        if pos is None and self.positions == "sinusoidal":
            pos = _places(tokens.index, tokens.node_rows).to(tokens.x.dtype).unsqueeze(1)
        return tokens._replace(
            pos=tokens.of_tokens("pos", pos, edge_index), normal=tokens.of_tokens("normal", normal, edge_index)
        )

    def extra_repr(self) -> str:
        """Return the options as they appear in the ``repr``.

        Example:
            >>> NodeTokenizer(16, 5).extra_repr()
            "16, positions='none', pe_channels=0"
        """
        return f"{self.channels}, positions={self.positions!r}, pe_channels={self.pe_channels}"


def _places(index: RaggedIndex, node_rows: Tensor) -> Tensor:
    """Return the place of each node in its graph [N], where nodes come before edges."""
    return sequence_positions(index)[node_rows]
