from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional.node_pairs import SIMILARITIES, check_pairs, score_pairs
from pyg_samsa.typing import Float, Int, Shaped

EDGE_DECODINGS = ("dot", "concat", "cosine_similarity")


class PairDecoder(Module):
    r"""Scores pairs of nodes with a head, by a similarity of both nodes or from both nodes together.

    .. math::
        \mathrm{dot}: \; \hat y_{ij} = z_i^\top z_j, \quad
        \mathrm{cosine\_similarity}: \; \hat y_{ij} = \frac{z_i^\top z_j}{\lVert z_i \rVert \, \lVert z_j \rVert}, \quad
        \mathrm{concat}: \; \hat y_{ij} = \mathrm{Head}([h_i, h_j])

    with :math:`z_i = \mathrm{Head}(h_i)`. These are the decodings of GraphGym's head for links, and of the
    `"Long Range Graph Benchmark" <https://arxiv.org/abs/2206.08164>`_, which uses the dot product. Similarities do not
    know the direction of a pair; ``"concat"`` does.

    Args:
        make_head: ``make_head(in_channels, out_channels)`` returns the head.
        channels: Channels D of a node.
        out_channels: Number of predictions of a pair; 1 for similarities.
        edge_decoding: ``"dot"``, ``"concat"`` or ``"cosine_similarity"``, whose scores are between -1 and 1.

    Shapes:
        - **input:** nodes [N, D], pairs int64 [2, L], graph numbers of the nodes int64 [N]
        - **output:** [L, out_channels]

    Raises:
        ConfigError: There is no such decoding, or a similarity is to give several predictions.
        ShapeError: A pair is not one of two nodes of a graph.

    Example:
        >>> from torch.nn import Linear
        >>> decoder = PairDecoder(Linear, 8, 1)
        >>> decoder(torch.randn(3, 8), torch.tensor([[0, 0], [1, 2]]), torch.zeros(3, dtype=torch.long)).shape
        torch.Size([2, 1])

    Cost: O(N D^2 + L D); ``"concat"``: O(L D^2).
    """

    def __init__(
        self, make_head: Callable[[int, int], Module], channels: int, out_channels: int, edge_decoding: str = "dot"
    ) -> None:
        super().__init__()
        check_choice("edge_decoding", edge_decoding, EDGE_DECODINGS)
        if edge_decoding in SIMILARITIES and out_channels != 1:
            raise ConfigError("out_channels", out_channels, f"1 with edge_decoding {edge_decoding!r}, or 'concat'")
        self.edge_decoding = edge_decoding
        concat = edge_decoding == "concat"
        self.head = make_head(2 * channels, out_channels) if concat else make_head(channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.head.reset_parameters()  # type: ignore[operator]

    def forward(
        self, h: Float[Tensor, "N D"], pairs: Int[Tensor, "2 L"] | None, graph: Int[Tensor, " N"]
    ) -> Shaped[Tensor, "L out"]:
        """Return the scores of the pairs."""
        pairs = check_pairs(pairs, graph)
        if self.edge_decoding == "concat":
            return self.head(torch.cat([h.index_select(0, ends) for ends in pairs], dim=-1))
        return score_pairs(self.head(h), pairs, self.edge_decoding)

    def extra_repr(self) -> str:
        """Return the decoding as it appears in the ``repr``.

        Example:
            >>> from torch.nn import Linear
            >>> PairDecoder(Linear, 8, 1).extra_repr()
            "edge_decoding='dot'"
        """
        return f"edge_decoding={self.edge_decoding!r}"
