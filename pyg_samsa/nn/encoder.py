from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter
from torch.utils.checkpoint import checkpoint

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.fused import can_fuse
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.plain import has_hooks
from pyg_samsa.nn.tokenizers.tokens import Tokens
from pyg_samsa.typing import Float

# In evaluation on the CPU, graphs run through the blocks in parts of this many numbers, which fit in the cache.
_PART_ELEMENTS = 2**20
# Fields of `Tokens` that local layers read.
_OF_EDGES = ("edge_index", "edge_attr", "edge_rows", "edge_distance")


def _edges_within(rows: slice, edges: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    """Return the edges between the tokens of some rows, numbered from the first of them."""
    index = edges.get("edge_index")
    if index is None:
        return edges
    within = (index[0] >= rows.start) & (index[0] < rows.stop)
    attr, edge_rows, distance = (edges[name] for name in _OF_EDGES[1:])
    return {
        "edge_index": index[:, within] - rows.start,
        "edge_attr": None if attr is None else attr[within],
        "edge_rows": None if edge_rows is None else edge_rows[within] - rows.start,
        "edge_distance": None if distance is None else distance[within],
    }


class Encoder(Module):
    r"""A stack of transformer blocks over `Tokens` of any modality.

    .. math::
        x^{(l+1)} = \mathrm{Block}_l(x^{(l)}; \alpha), \qquad l = 0 \dots L - 1

    where :math:`\alpha` is one ReZero scalar shared by all blocks that have none of their own.

    Args:
        blocks: Blocks with the signature of `SAMSABlock`.
        checkpointing: Whether training keeps only the tokens between blocks and computes each block again in the
            backward pass. This needs the memory of one block and a third more time; the result is the same.

    Shapes:
        - **input:** `Tokens` with x [T, D]
        - **output:** `Tokens` with x [T, D]

    Raises:
        ConfigError: There are no blocks.

    Example:
        >>> from pyg_samsa.nn import SAMSABlock
        >>> encoder = Encoder([SAMSABlock(16, heads=4, num_samples=8, rezero="shared") for _ in range(2)])
        >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
        >>> encoder(tokens).x.shape
        torch.Size([5, 16])

    Cost: L times the cost of a block.
    """

    def __init__(self, blocks: Iterable[Module], checkpointing: bool = False) -> None:
        super().__init__()
        self.blocks = ModuleList(blocks)
        if not self.blocks:
            raise ConfigError("num_layers", 0, "an integer of at least 1")
        self.checkpointing = checkpointing
        self._compiled = False
        shared = any(getattr(block, "alpha", None) is None for block in self.blocks)
        self.alpha = Parameter(torch.zeros(())) if shared else None
        for number, block in enumerate(self.blocks):
            if hasattr(block, "conv"):
                conv = block.conv
                conv.name = f"layer {number} of {len(self.blocks)}, {type(conv).__name__}"  # type: ignore[union-attr]

    @property
    def uses_positions(self) -> bool:
        """Whether an operator encodes positions, so that tokens need ``pos``.

        Example:
            >>> from pyg_samsa.nn import SAMSABlock
            >>> Encoder([SAMSABlock(16)]).uses_positions
            False
            >>> Encoder([SAMSABlock(16, conv="sft", encoding="dist")]).uses_positions
            True
        """
        return any(getattr(getattr(block, "conv", None), "uses_positions", False) for block in self.blocks)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile every block with ``torch.compile``; arguments as there.

        The blocks share one compiled graph, which costs as much to compile as one block, whatever the number of
        layers. There is one graph for training and one for evaluation; a batch of another size uses the same ones.
        """
        for block in self.blocks:
            block.compile(*args, **kwargs)
        self._compiled = True

    def edges_of(self, tokens: Tokens) -> dict[str, Tensor | None]:
        r"""Return the arguments of the blocks about edges; empty if no block passes messages.

        .. math::
            x^{(l+1)} = \mathrm{Block}_l(x^{(l)}, \mathrm{edges}; \alpha)

        Example:
            >>> from pyg_samsa.nn import SAMSABlock
            >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
            >>> list(Encoder([SAMSABlock(16, local="gine")]).edges_of(tokens))
            ['edge_index', 'edge_attr', 'edge_rows', 'edge_distance']
        """
        return {name: getattr(tokens, name) for name in _OF_EDGES} if self.uses_edges else {}

    @property
    def uses_edges(self) -> bool:
        """Whether a block passes messages along edges."""
        return any(getattr(block, "local", None) is not None for block in self.blocks)

    def reset_parameters(self) -> None:
        r"""Draw new weights and set :math:`\alpha` to zero."""
        for block in self.blocks:
            block.reset_parameters()  # type: ignore[operator]
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def forward(self, tokens: Tokens) -> Tokens:
        """Run all blocks on the tokens.

        In evaluation on the CPU, a large batch runs through all blocks a few graphs at a time, because data that fits
        in the cache is faster and graphs do not affect each other. A block with hooks is called once, with all tokens.

        Example:
            >>> from pyg_samsa.nn import SAMSABlock
            >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
            >>> encoder = Encoder([SAMSABlock(16, heads=4, num_samples=8)])
            >>> torch.equal(encoder(tokens).x, tokens.x)  # the ReZero scalar starts at zero
            True
        """
        # Under autocast, products are computed in half precision; the residual stream keeps the dtype of the weights.
        x = tokens.x.to(next(self.blocks.parameters()).dtype)
        extra = {"pos": tokens.pos, "normal": tokens.normal} if self.uses_positions else {}
        edges = self.edges_of(tokens)
        if self._compiled:
            tokens.index.prepare()
        few = max(1, _PART_ELEMENTS // max(x.size(1), 1))
        if torch.is_grad_enabled() or not can_fuse(x) or x.size(0) <= few or has_hooks(self.blocks):
            return tokens._replace(x=self.run(x, tokens.index, {**extra, **edges}))
        out = torch.empty_like(x)
        for rows, part in tokens.index.parts(few):
            own = {name: None if value is None else value[rows] for name, value in extra.items()}
            out[rows] = self.run(x[rows], part, {**own, **_edges_within(rows, edges)})
        return tokens._replace(x=out)

    def run(
        self, x: Float[Tensor, "T D"], index: RaggedIndex, extra: dict[str, Tensor | None], first: int = 0
    ) -> Float[Tensor, "T D"]:
        """Run the blocks, starting with number ``first``.

        Args:
            x: Tokens before that block.
            index: Where each graph begins and ends.
            extra: Further arguments of the blocks, such as ``pos`` and ``edge_index``; may be empty.
            first: Number of the first block, from 0.

        Returns:
            Tokens after the last block.

        Example:
            >>> from pyg_samsa.nn import SAMSABlock
            >>> encoder = Encoder([SAMSABlock(16, heads=4, num_samples=8) for _ in range(2)])
            >>> encoder.run(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), {}, first=1).shape
            torch.Size([5, 16])
        """
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks[first:]:  # type: ignore[index]
            call: Any = partial(block, ptr=index, alpha=self.alpha, **extra)
            x = checkpoint(call, x, use_reentrant=False) if again else call(x)
        return x
