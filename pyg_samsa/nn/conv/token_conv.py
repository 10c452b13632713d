"""The base class of the attention operators: their signature, their checks and the order of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, overload

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.ragged import RaggedIndex, resolve
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, SampledTokens, in_given_order
from pyg_samsa.nn.plain import is_plain
from pyg_samsa.options import Option, check_integer, check_probability

Heads = Annotated[int, Option("Number of attention heads H; a divisor of the channels.", low=1)]
AttentionDropout = Annotated[float, Option("Dropout of the attention weights.", low=0, below=1)]
Bias = Annotated[bool, Option("Whether the linear layers of the operator have a bias.")]


@dataclass(frozen=True)
class TokenContext:
    """What an operator knows besides the tokens, in the order of the tokens.

    Args:
        index: Where each graph begins and ends.
        score_input: Tokens [T, D] from which importance is computed.
        pos: Positions [T, l], or None.
        normal: Normals [T, l], or None.

    Example:
        >>> context = TokenContext(RaggedIndex(torch.tensor([0, 2])), torch.ones(2, 16))
        >>> context.index.num_tokens, context.pos
        (2, None)
    """

    index: RaggedIndex
    score_input: Tensor
    pos: Tensor | None = None
    normal: Tensor | None = None


class TokenConv(Module):
    r"""Base class of attention operators on packed tokens.

    An operator computes queries, keys and values with linear layers, mixes the values of each graph, and maps the
    result:

    .. math::
        x' = W_o \, \mathrm{Attend}(W_q x, W_{kv} x)

    A subclass implements `attend`. It gets tokens that are sorted by graph, and what else is known of them as a
    `TokenContext`. To make it available by name, decorate it with `register_operator`.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        bias: Whether the linear layers have a bias.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> class MeanConv(TokenConv):
        ...     def attend(self, x, context):
        ...         value = self.split_heads(self.key_value(x))[..., self.head_channels :]
        ...         sums = value.new_zeros(context.index.num_graphs, *value.shape[1:])
        ...         sums = sums.index_add(0, context.index.batch, value)
        ...         return (sums / context.index.ptr.diff().view(-1, 1, 1))[context.index.batch], None
        >>> MeanConv(16, heads=4)(torch.randn(5, 16)).shape
        torch.Size([5, 16])
    """

    samples: ClassVar[bool] = False
    """Whether the operator samples tokens, so that they can be returned."""

    def __init__(self, channels: int, heads: int = 8, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_integer("heads", heads)
        if channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        check_probability("dropout", dropout)
        self.channels, self.heads, self.dropout = int(channels), int(heads), float(dropout)
        self.name = type(self).__name__
        self.query = Linear(channels, channels, bias=bias)
        self.key_value = Linear(channels, 2 * channels, bias=bias)
        self.out = Linear(channels, channels, bias=bias)

    @property
    def head_channels(self) -> int:
        """Channels C of a head."""
        return self.channels // self.heads

    @property
    def uses_positions(self) -> bool:
        """Whether the operator encodes where tokens are, so that it needs ``pos``."""
        return False

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)

    def attend(self, x: Tensor, context: TokenContext) -> tuple[Tensor, Any]:
        """Mix the values of each graph.

        Args:
            x: Tokens [T, D], sorted by graph.
            context: What else is known of them.

        Returns:
            Mixed values [T, H, C], and what was sampled (`pyg_samsa.functional.Samples`), or None.
        """
        raise NotImplementedError

    @overload
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = ...,
        batch: Tensor | None = ...,
        *,
        ptr: Tensor | RaggedIndex | None = ...,
        batch_size: int | None = ...,
        score_input: Tensor | None = ...,
        pos: Tensor | None = ...,
        normal: Tensor | None = ...,
        return_attention_weights: Literal[False] | None = ...,
        return_sampled_tokens: Literal[False] = ...,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = ...,
        batch: Tensor | None = ...,
        *,
        ptr: Tensor | RaggedIndex | None = ...,
        batch_size: int | None = ...,
        score_input: Tensor | None = ...,
        pos: Tensor | None = ...,
        normal: Tensor | None = ...,
        return_attention_weights: Literal[True],
        return_sampled_tokens: Literal[False] = ...,
    ) -> tuple[Tensor, AttentionWeights]: ...

    @overload
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = ...,
        batch: Tensor | None = ...,
        *,
        ptr: Tensor | RaggedIndex | None = ...,
        batch_size: int | None = ...,
        score_input: Tensor | None = ...,
        pos: Tensor | None = ...,
        normal: Tensor | None = ...,
        return_attention_weights: Literal[False] | None = ...,
        return_sampled_tokens: Literal[True],
    ) -> tuple[Tensor, SampledTokens]: ...

    @overload
    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = ...,
        batch: Tensor | None = ...,
        *,
        ptr: Tensor | RaggedIndex | None = ...,
        batch_size: int | None = ...,
        score_input: Tensor | None = ...,
        pos: Tensor | None = ...,
        normal: Tensor | None = ...,
        return_attention_weights: Literal[True],
        return_sampled_tokens: Literal[True],
    ) -> tuple[Tensor, AttentionWeights, SampledTokens]: ...

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
        score_input: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
        return_attention_weights: bool | None = None,
        return_sampled_tokens: bool = False,
    ) -> Any:
        """Run the operator.

        Args:
            x: Tokens [T, D].
            edge_index: Accepted, so that the operator fits where a convolution does, and ignored: edges take part as
                tokens, see `GraphBridge`.
            batch: Graph number of each token [T], in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other, in place of ``batch``.
            batch_size: Number of graphs, where some at the end may be empty.
            score_input: Tokens [T, D] from which importance is computed; by default ``x``. In Algorithm 1 of SAMSA they
                are the tokens before normalisation. Operators that do not sample ignore it.
            pos: Positions [T, l]; operators that do not encode them ignore them.
            normal: Normals [T, l], likewise.
            return_attention_weights: Also return ``(edge_index, weights)``: pairs [2, M] of an attended and an
                attending
                token, and the attention weights of the heads [M, H], without dropout. Rows from T on are support
                vectors.
            return_sampled_tokens: Also return `SampledTokens`.

        Returns:
            Tokens [T, D], and what else was asked for, in this order.

        Raises:
            ShapeError: The inputs do not fit each other.
            ConfigError: The operator has nothing of the kind that should be returned.
        """
        self._check(x, score_input)
        if return_sampled_tokens and not self.samples:
            raise ConfigError("return_sampled_tokens", True, f"False: {self.name} does not sample tokens")
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        pos, normal = self.check_positions(x, pos, normal)
        if perm is not None:
            x = x[perm]
            score_input, pos, normal = (None if t is None else t[perm] for t in (score_input, pos, normal))
        context = TokenContext(index, x if score_input is None else score_input, pos, normal)
        mixed, samples = self.attend(x, context)
        out = self.out(mixed.flatten(1))
        if perm is not None:
            out = torch.empty_like(out).index_copy(0, perm, out)
        if not return_attention_weights and not return_sampled_tokens:
            return out
        extra: list[Any] = []
        if return_attention_weights:
            extra.append(in_given_order(self.attention_weights(x, context, samples), perm))
        if return_sampled_tokens:
            extra.append(self.sampled_tokens(samples, index.num_tokens, perm))
        return (out, *extra)

    def _check(self, x: Tensor, score_input: Tensor | None) -> None:
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.channels}]")
        if score_input is not None and score_input.shape != x.shape:
            raise ShapeError("score_input", list(score_input.shape), list(x.shape))

    def check_positions(
        self, x: Tensor, pos: Tensor | None, normal: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what the operator uses of the positions and normals of the tokens; a subclass that does raises if
        missing.
        """
        return None, None

    def attention_weights(self, x: Tensor, context: TokenContext, samples: Any) -> AttentionWeights:
        """Return the attention weights without dropout.

        Args:
            x: Tokens [T, D], sorted by graph.
            context: What else is known of them.
            samples: What `attend` returned.

        Returns:
            Pairs [2, M] of an attended and an attending row, and the weights [M, H].
        """
        raise ConfigError("return_attention_weights", True, f"False: {self.name} forms no attention weights")

    def sampled_tokens(self, samples: Any, tokens: int, perm: Tensor | None) -> SampledTokens:
        """Turn candidate numbers of the sorted tokens into rows of the input."""
        candidate = samples.candidates.expand(-1, self.heads, -1)
        is_token = candidate < tokens
        row = torch.where(is_token, candidate, tokens - 1 - candidate)
        if perm is not None and tokens:
            row = torch.where(is_token, perm[row.clamp_min(0)], row)
        return SampledTokens(row, samples.scores.expand(-1, self.heads, -1))

    def split_heads(self, x: Tensor) -> Tensor:
        """View [T, H c] as [T, H, c]."""
        return x.view(x.size(0), self.heads, x.size(1) // self.heads)

    @property
    def attention_dropout(self) -> float:
        """Dropout of the attention weights in the present mode."""
        return self.dropout if self.training else 0.0

    def pairs_of_all(self, x: Tensor, sets: int) -> Tensor:
        """Return the key-value pairs of all tokens [T, sets, 2D / sets]."""
        return self.key_value(x).view(x.size(0), sets, 2 * self.channels // sets)

    def can_project_sampled(self, x: Tensor, graphs: int, samples: int) -> bool:
        """Say whether keys and values are computed for the sampled tokens only.

        That is cheaper where a head samples few of many tokens: gathering a token for every head costs about as much as
        projecting it once. It reads the weights of ``key_value``, which therefore has to be a plain ``Linear``.

        Args:
            x: Tokens [T, D].
            graphs: Number of graphs.
            samples: Tokens that a head samples of a graph.
        """
        return x.size(0) > _MANY * samples * graphs and is_plain(self.key_value, Linear)

    def project_sampled(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the key-value pairs of some tokens, each for its own heads only.

        Args:
            x: Tokens [T, D].
            tokens: Rows [B, sets, m].

        Returns:
            Pairs [B, sets, m, 2D / sets].
        """
        graphs, sets, count = tokens.shape
        rows = x.index_select(0, tokens.transpose(0, 1).flatten()).view(sets, graphs * count, self.channels)
        weight = self.key_value.weight.view(sets, -1, self.channels).transpose(1, 2)
        bias = self.key_value.bias
        pairs = rows @ weight if bias is None else torch.baddbmm(bias.view(sets, 1, -1), rows, weight)
        return pairs.view(sets, graphs, count, -1).transpose(0, 1)


# With more tokens than this for each one that a head samples, keys and values are computed for the sampled tokens only.
_MANY = 2
