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
from pyg_samsa.nn.tokenizers.tokens import Tokens

# In evaluation on the CPU, graphs go through the blocks in parts of this many numbers, which stay in the cache.
_PART_ELEMENTS = 2**20


class Encoder(Module):
    r"""A stack of transformer blocks over `Tokens`; it does not know what the tokens stand for.

    .. math::
        x^{(l+1)} = \mathrm{Block}_l(x^{(l)}; \alpha), \qquad l = 0 \dots L - 1

    where :math:`\alpha` is one ReZero scalar for all blocks, if they have none of their own.

    Args:
        blocks: Blocks with the signature of `SAMSABlock`.
        checkpointing: In training, keep only the tokens between blocks and compute each block again in the backward
            pass:
            the memory of one block, for a third more time. The result is the same.

    Shapes:
        - **input:** `Tokens` with x [T, D]
        - **output:** `Tokens` with x [T, D]

    Raises:
        ConfigError: There is no block.

    Example:
        >>> from pyg_samsa.nn import SAMSABlock
        >>> encoder = Encoder([SAMSABlock(16, heads=4, num_samples=8, rezero="shared") for _ in range(2)])
        >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
        >>> encoder(tokens).x.shape
        torch.Size([5, 16])

    Cost: L times that of a block.
    """

    def __init__(self, blocks: Iterable[Module], checkpointing: bool = False) -> None:
        super().__init__()
        self.blocks = ModuleList(blocks)
        if not self.blocks:
            raise ConfigError("num_layers", 0, "an integer of at least 1")
        self.checkpointing = checkpointing
        shared = any(getattr(block, "alpha", None) is None for block in self.blocks)
        self.alpha = Parameter(torch.zeros(())) if shared else None
        for number, block in enumerate(self.blocks):
            if hasattr(block, "conv"):
                block.conv.name = f"layer {number} of {len(self.blocks)}, {type(block.conv).__name__}"  # type: ignore[union-attr]

    @property
    def uses_positions(self) -> bool:
        """Whether an operator encodes where tokens are, so that tokens need ``pos``."""
        return any(getattr(getattr(block, "conv", None), "uses_positions", False) for block in self.blocks)

    def reset_parameters(self) -> None:
        r"""Draw new weights and set :math:`\alpha` to zero."""
        for block in self.blocks:
            block.reset_parameters()  # type: ignore[operator]
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def forward(self, tokens: Tokens) -> Tokens:
        """Run all blocks on the tokens.

        In evaluation on the CPU, a large batch goes through all blocks some graphs at a time, since graphs do not see
        each
        other and what stays in the cache is faster. Where a block has hooks, it is called once, with all tokens.
        """
        # Under mixed precision the products are computed in half precision; the residual stream keeps that of the
        # weights.
        x = tokens.x.to(next(self.blocks.parameters()).dtype)
        geometry = {"pos": tokens.pos, "normal": tokens.normal} if self.uses_positions else {}
        few = max(1, _PART_ELEMENTS // max(x.size(1), 1))
        if torch.is_grad_enabled() or not can_fuse(x) or x.size(0) <= few or self._has_hooks():
            return tokens._replace(x=self.run(x, tokens.index, geometry))
        out = torch.empty_like(x)
        for rows, part in tokens.index.parts(few):
            own = {name: None if value is None else value[rows] for name, value in geometry.items()}
            out[rows] = self.run(x[rows], part, own)
        return tokens._replace(x=out)

    def run(self, x: Tensor, index: RaggedIndex, geometry: dict[str, Tensor | None], first: int = 0) -> Tensor:
        """Run the blocks from number ``first`` on.

        Args:
            x: Tokens before that block [T, D].
            index: Where each graph begins and ends.
            geometry: ``pos`` and ``normal`` of the tokens; may be empty.
            first: Number of the first block.

        Returns:
            Tokens after the last block [T, D].
        """
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        for block in self.blocks[first:]:  # type: ignore[index]
            call: Any = partial(block, ptr=index, alpha=self.alpha, **geometry)
            x = checkpoint(call, x, use_reentrant=False) if again else call(x)
        return x

    def _has_hooks(self) -> bool:
        return any(
            module._forward_hooks or module._forward_pre_hooks for block in self.blocks for module in block.modules()
        )
