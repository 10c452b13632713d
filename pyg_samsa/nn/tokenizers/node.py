from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import check_choice
from pyg_samsa.functional.positions import sequence_positions, sinusoidal_positions
from pyg_samsa.functional.ragged import RaggedIndex, inverse_permutation, resolve
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder
from pyg_samsa.nn.encoding.positional import PositionalEncoder
from pyg_samsa.nn.tokenizers.tokens import Tokens
from pyg_samsa.options import check_integer

POSITIONS = ("none", "sinusoidal")


class NodeTokenizer(Module):
    r"""Makes one token of each node: for sets, and for graphs whose edges should not be tokens.

    .. math::
        h_i = \mathrm{Encoder}(x_i) + W \, \mathrm{pe}_i

    It is the base class of the other tokenizers. A tokenizer turns the tensors of one modality into `Tokens`.

    Args:
        channels: Channels D of a token.
        in_channels: The node features: the number of float features (a linear encoder), the cardinalities of
            categorical
            features (a sum of embeddings), or a module that returns [N, D].
        positions: ``"sinusoidal"`` adds the place of each node in its graph, for sequences; ``"none"`` adds nothing.
        pe_channels: Width P of positional encodings that are passed as ``pe``, see `PositionalEncoder`; 0 for none.
        flip_signs: In training, flip the signs of these encodings at random, which eigenvectors need.

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
        *,
        positions: str = "none",
        pe_channels: int = 0,
        flip_signs: bool = False,
    ) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_integer("pe_channels", pe_channels, low=0)
        check_choice("positions", positions, POSITIONS)
        self.channels, self.positions, self.pe_channels = int(channels), positions, pe_channels
        self.node_encoder = make_encoder("in_channels", in_channels, channels)
        self.pe_encoder = PositionalEncoder(pe_channels, channels, flip_signs) if pe_channels else None

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the tokenizer uses, such as ``"pe"``."""
        return frozenset(["pe"] if self.pe_encoder is not None else [])

    @property
    def has_draws(self) -> bool:
        """Whether tokens hold random codes, so that evaluation can average over several draws."""
        return False

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)

    def encode_nodes(
        self,
        x: Tensor,
        batch: Tensor | None = None,
        *,
        batch_size: int | None = None,
        pos: Tensor | None = None,
        pe: Tensor | None = None,
        draw: int = 0,
    ) -> Tensor:
        """Return the encoded node features [N, D], with what was asked for added; arguments as in `forward`."""
        h = self.encode_features(x, batch, batch_size=batch_size, pos=pos, draw=draw)
        if self.positions == "none" and self.pe_encoder is None:
            return h
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        rank = None if perm is None else inverse_permutation(perm)
        if self.positions == "sinusoidal":
            places = sinusoidal_positions(index, self.channels, dtype=h.dtype)
            h = h + (places if rank is None else places[rank])
        if self.pe_encoder is not None:
            h = h + self.pe_encoder(pe, index.batch if rank is None else index.batch[rank], index.num_graphs)
        return h

    def encode_features(
        self, x: Tensor, batch: Tensor | None, *, batch_size: int | None, pos: Tensor | None, draw: int
    ) -> Tensor:
        """Return the node features encoded as [N, D]."""
        return encode_features("x", self.node_encoder, x, self.channels)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        batch_size: int | None = None,
        pos: Tensor | None = None,
        pe: Tensor | None = None,
        node_keys: Tensor | None = None,
        edge_keys: Tensor | None = None,
        draw: int = 0,
    ) -> Tokens:
        """Make the tokens of a batch.

        Args:
            x: Node features [N, F].
            edge_index: Directed edges [2, E]; None means no edges.
            edge_attr: Edge features [E, F'].
            batch: Graph number of each node [N], in any order; None means one graph.
            batch_size: Number of graphs, where some at the end may be empty.
            pos: Positions of the nodes [N, l].
            pe: Positional encodings of the nodes [N, P].
            node_keys: Keys of the nodes [N] for deterministic codes; by default those of ``x``.
            edge_keys: Keys of the edges [E], likewise.
            draw: Number of the deterministic draw of codes in evaluation, from 0.

        Returns:
            `Tokens`.
        """
        h = self.encode_nodes(x, batch, batch_size=batch_size, pos=pos, pe=pe, draw=draw)
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        if perm is None:
            return Tokens(h, index, torch.arange(h.size(0), device=h.device))
        return Tokens(h[perm], index, inverse_permutation(perm))

    def locate(self, tokens: Tokens, edge_index: Tensor | None, pos: Tensor | None, normal: Tensor | None) -> Tokens:
        """Add positions and normals to the tokens, for operators that encode them.

        Args:
            tokens: The tokens.
            edge_index: Directed edges [2, E].
            pos: Positions of the nodes [N, l]; by default the places of a sequence, where ``positions`` is
                ``"sinusoidal"``.
            normal: Normals of the nodes [N, l].
        """
        if pos is None and self.positions == "sinusoidal":
            pos = _places(tokens.index, tokens.node_rows).to(tokens.x.dtype).unsqueeze(1)
        return tokens._replace(
            pos=tokens.of_tokens("pos", pos, edge_index), normal=tokens.of_tokens("normal", normal, edge_index)
        )

    def extra_repr(self) -> str:
        """Show the channels and what is added to the nodes."""
        return f"{self.channels}, positions={self.positions!r}, pe_channels={self.pe_channels}"


def _places(index: RaggedIndex, node_rows: Tensor) -> Tensor:
    """Return the place of each node in its graph [N]: nodes stand before edges there."""
    return sequence_positions(index)[node_rows]
