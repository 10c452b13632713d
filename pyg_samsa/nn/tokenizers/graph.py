from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.codes import STRUCTURAL_CODES, feature_keys
from pyg_samsa.functional.graph_index import GraphIndex
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.encoding.feature_encoder import Features, prepare_features
from pyg_samsa.nn.tokenizers.graph_bridge import GraphBridge
from pyg_samsa.nn.tokenizers.node import NodeTokenizer
from pyg_samsa.nn.tokenizers.tokens import Tokens, check_edges
from pyg_samsa.typing import Float, Int, Shaped


class GraphTokenizer(NodeTokenizer):
    r"""Makes tokens of the nodes and directed edges of a graph: feature encoders and `GraphBridge`.

    .. math::
        h_i = \phi_V([p_i, \mathrm{Encoder}_V(x_i)]), \qquad h_{ij} = \phi_E([p_i - p_j, \mathrm{Encoder}_E(e_{ij})])

    from `SAMSA <https://arxiv.org/abs/2408.05391>`_ (section 4.3). The random codes :math:`p` identify the nodes that
    an edge connects.

    Args:
        channels: Channels D of a token.
        in_channels: The node features: the number of float features, the cardinalities of categorical features, or an
            encoder module that returns [N, D].
        edge_channels: The edge features, in the same forms; None if edges have no features.
        num_codes: Number of codes per node, 0, 1 or 2, see `GraphBridge`.
        eval_codes: ``"structural"``, ``"distinct"``, ``"index"`` or ``"random"``, see `GraphBridge`.
        sigma: Initial standard deviation of the noise in the codes, above 0.
        positions: ``"sinusoidal"`` adds sinusoids of the place of each node in its graph, for sequences whose edges are
            tokens; ``"none"`` adds nothing.
        pe_channels: Width of positional encodings that are passed as ``pe``; 0 for none.
        flip_signs: Whether to flip the signs of these encodings at random in training, or of how many.
        pe_kind: The encodings that are computed from the edges if ``pe`` is not passed, see `NodeTokenizer`.
        pe_role: What they do: ``"add"``, ``"gate"`` or ``"mapped_gate"``, see `NodeTokenizer`.
        pe_options: How they are encoded, see `NodeTokenizer`.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*)
        - **output:** `Tokens` with N + E tokens [N + E, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.
        NumericalError: A feature is not finite.

    Example:
        >>> tokenizer = GraphTokenizer(16, in_channels=5, edge_channels=3)
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> tokenizer(torch.randn(3, 5), edge_index, torch.randn(4, 3)).x.shape
        torch.Size([7, 16])

    Cost: O((N + E) D^2).
    """

    edges_are_tokens = True

    def __init__(
        self,
        channels: int,
        in_channels: Features,
        edge_channels: Features | None = None,
        *,
        num_codes: int = 1,
        eval_codes: str = "structural",
        sigma: float = 1.0,
        positions: str = "none",
        pe_channels: int = 0,
        flip_signs: bool | int = False,
        pe_kind: str | None = None,
        pe_role: str = "add",
        pe_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            channels,
            in_channels,
            edge_channels,
            positions=positions,
            pe_channels=pe_channels,
            flip_signs=flip_signs,
            pe_kind=pe_kind,
            pe_role=pe_role,
            pe_options=pe_options,
        )
        self.bridge = GraphBridge(channels, num_codes, edge_channels is not None, eval_codes, sigma)

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the tokenizer uses.

        Example:
            >>> GraphTokenizer(16, 5).inputs, GraphTokenizer(16, 5, eval_codes="random").inputs
            (frozenset({'code_keys'}), frozenset())
        """
        reads_keys = self.bridge.num_codes > 0 and self.bridge.eval_codes in STRUCTURAL_CODES
        return super().inputs | (frozenset({"code_keys"}) if reads_keys else frozenset())

    @property
    def has_draws(self) -> bool:
        """Whether tokens contain random codes.

        Example:
            >>> GraphTokenizer(16, 5).has_draws, GraphTokenizer(16, 5, num_codes=0).has_draws
            (True, False)
        """
        return self.bridge.num_codes > 0

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
        code_keys: Int[Tensor, " N"] | None = None,
        draw: int = 0,
    ) -> Tokens:
        """Return the tokens of a batch; arguments as in `NodeTokenizer.forward`, ``code_keys`` as in `GraphBridge`.

        Example:
            >>> tokens = GraphTokenizer(16, in_channels=5)(torch.randn(3, 5), torch.tensor([[0, 1], [1, 0]]))
            >>> tokens.node_rows, tokens.edge_rows
            (tensor([0, 1, 2]), tensor([3, 4]))
        """
        # The codes depend on the features, so these must not depend on their number type.
        x = prepare_features("x", self.node_encoder, x)
        edge_index, edge_attr = edges_of(edge_index, edge_attr)
        if edge_attr is not None:
            edge_attr = prepare_features("edge_attr", self.edge_encoder, edge_attr)
        h = self.encode_nodes(x, batch, batch_size=batch_size, edge_index=edge_index, pos=pos, pe=pe, draw=draw)
        if edge_index is None:
            edge_index = torch.empty(2, 0, dtype=torch.long, device=x.device)
        check_edges(h, edge_index, self.channels, ends=not isinstance(batch, GraphIndex))
        e = self.encode_edges(edge_index, edge_attr, h)
        if not self.training and code_keys is None:
            node_keys = feature_keys(x) if node_keys is None else node_keys
            if edge_keys is None and self.edge_encoder is not None and edge_attr is not None:
                edge_keys = feature_keys(edge_attr)
        keys = {"node_keys": node_keys, "edge_keys": edge_keys, "code_keys": code_keys}
        tokens = self.bridge(h, edge_index, e, batch, batch_size=batch_size, draw=draw, **keys)
        return self.with_distances(tokens, edge_index, batch, batch_size=batch_size, pe=pe)
