from __future__ import annotations

from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.nn.tokenizers.node import NodeTokenizer


class SequenceTokenizer(NodeTokenizer):
    r"""Makes one token of each symbol of a sequence, with sinusoids of its place added.

    .. math::
        h_i = \mathrm{Embedding}(x_i) + \mathrm{PE}(i), \qquad
        \mathrm{PE}(i)_{2c} = \sin(i / 10000^{2c/D}), \quad \mathrm{PE}(i)_{2c+1} = \cos(i / 10000^{2c/D})

    from the `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_ paper. A sequence is a path graph. To
    make tokens of its edges too, use `GraphTokenizer` with ``positions="sinusoidal"``.

    Args:
        channels: Channels D of a token.
        in_channels: The symbols: ``[number of symbols]`` for an embedding, or another form, see `NodeTokenizer`.
        pe_channels: Width of positional encodings that are passed as ``pe``; 0 for none.
        flip_signs: Whether to flip the signs of these encodings at random in training, or of how many.

    Shapes:
        - **input:** symbols [T, 1], sequence numbers [T] (*optional*)
        - **output:** `Tokens` with T tokens [T, D]

    Example:
        >>> import torch
        >>> SequenceTokenizer(16, in_channels=[20])(torch.randint(20, (5, 1))).x.shape
        torch.Size([5, 16])

    Cost: O(T D).
    """

    def __init__(
        self, channels: int, in_channels: Features, *, pe_channels: int = 0, flip_signs: bool | int = False
    ) -> None:
        super().__init__(channels, in_channels, positions="sinusoidal", pe_channels=pe_channels, flip_signs=flip_signs)
