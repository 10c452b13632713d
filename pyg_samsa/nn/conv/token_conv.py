"""The base class of the attention operators: their signature, their checks and the order of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, overload

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.device_path import is_exporting, takes_cpu_path
from pyg_samsa.functional.inputs import cast_floats, check_edge_shape, check_tensor
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, SampledTokens, in_given_order
from pyg_samsa.nn.plain import is_plain
from pyg_samsa.options import Option, check_integer, check_probability
from pyg_samsa.typing import Float, Int, Shaped

Heads = Annotated[int, Option("Number of attention heads H; a divisor of the channels.", low=1)]
AttentionDropout = Annotated[float, Option("Dropout of the attention weights.", low=0, below=1)]
Bias = Annotated[bool, Option("Whether the linear layers of the operator have a bias.")]


@dataclass(frozen=True)
class TokenContext:
    """The inputs of an operator besides the tokens, in the order of the tokens.

    Args:
        index: Where each graph begins and ends.
        score_input: Tokens from which importance is computed.
        pos: Positions, or None.
        normal: Normals, or None.

    Example:
        >>> context = TokenContext(RaggedIndex(torch.tensor([0, 2])), torch.ones(2, 16))
        >>> context.index.num_tokens, context.pos
        (2, None)
    """

    index: RaggedIndex
    score_input: Float[Tensor, "T D"]
    pos: Shaped[Tensor, "T l"] | None = None
    normal: Float[Tensor, "T _"] | None = None


class TokenConv(Module):
    r"""Base class of attention operators on packed tokens.

    An operator computes queries, keys and values with linear layers, mixes the values of each graph, and maps the
    result:

    .. math::
        x' = W_o \, \mathrm{Attend}(W_q x, W_{kv} x)

    A subclass implements `attend`, which gets tokens sorted by graph and a `TokenContext`. To make it available by
    name, decorate it with `register_operator`.

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

    @property
    def dtype(self) -> torch.dtype | None:
        """Number type of the weights; None if the layers were replaced by others than linear layers."""
        return self.query.weight.dtype if is_plain(self.query, Linear) else None

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)

    def attend(self, x: Float[Tensor, "T D"], context: TokenContext) -> tuple[Float[Tensor, "T H C"], Any]:
        """Mix the values of each graph.

        Args:
            x: Tokens, sorted by graph.
            context: Where graphs begin and end, positions, and normals.

        Returns:
            Mixed values, and what was sampled (`pyg_samsa.functional.Samples`), or None.

        Example:
            >>> from pyg_samsa.nn import AttentionConv
            >>> conv, x = AttentionConv(16, heads=4), torch.randn(5, 16)
            >>> mixed, samples = conv.attend(x, TokenContext(RaggedIndex(torch.tensor([0, 2, 5])), x))
            >>> mixed.shape, samples
            (torch.Size([5, 4, 4]), None)
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
        x: Float[Tensor, "T D"],
        edge_index: Tensor | None = None,
        batch: Int[Tensor, " T"] | None = None,
        *,
        ptr: Int[Tensor, " offsets"] | RaggedIndex | None = None,
        batch_size: int | None = None,
        score_input: Float[Tensor, "T D"] | None = None,
        pos: Shaped[Tensor, "T l"] | None = None,
        normal: Float[Tensor, "T _"] | None = None,
        return_attention_weights: bool | None = None,
        return_sampled_tokens: bool = False,
    ) -> Any:
        """Run the operator.

        Args:
            x: Tokens; floats of another type than the weights are converted.
            edge_index: Ignored. It is accepted so that the operator can replace a convolution; edges take part as
                tokens, see `GraphBridge`.
            batch: Graph number of each token, in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other; replaces ``batch``.
            batch_size: Number of graphs, if some at the end may be empty.
            score_input: Tokens from which importance is computed; by default ``x``. In Algorithm 1 of SAMSA they are
                the tokens before normalisation. Operators that do not sample ignore it.
            pos: Positions; operators that do not encode positions ignore them.
            normal: Normals; operators that do not encode normals ignore them.
            return_attention_weights: Whether to return also ``(edge_index, weights)``: pairs [2, M] of an attended and
                an attending token, and the attention weights of the heads [M, H], without dropout. Rows from T on are
                support vectors.
            return_sampled_tokens: Whether to return also `SampledTokens`.

        Returns:
            Tokens [T, D]; or a tuple of the tokens and what else was asked for, in the order of the arguments.

        Raises:
            ShapeError: The inputs do not fit each other.
            ConfigError: The operator has no attention weights or does not sample tokens.

        Example:
            >>> from pyg_samsa.nn import SAMSAConv
            >>> conv = SAMSAConv(16, heads=4, num_samples=8)
            >>> out, (edge_index, weights) = conv(torch.randn(30, 16), return_attention_weights=True)
            >>> out.shape, edge_index.size(0), weights.size(1)
            (torch.Size([30, 16]), 2, 4)
        """
        x, score_input = self._check(x, score_input)
        check_edge_shape(edge_index)
        if return_sampled_tokens and not self.samples:
            raise ConfigError("return_sampled_tokens", True, f"False: {self.name} does not sample tokens")
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size, allow_none=True)
        pos, normal = self.check_positions(x, pos, normal)
        if perm is not None:
            x = x[perm]
            score_input, pos, normal = (None if t is None else t[perm] for t in (score_input, pos, normal))
        # Empty graphs have no tokens that could attend, so no keys are sampled for them unless they are asked for.
        index = index if return_sampled_tokens else index.without_empty()
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

    def _check(self, x: Tensor, score_input: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the tokens in the number type of the weights."""
        x = check_tensor("x", x, f"floats [T, {self.channels}]")
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.channels}]")
        if score_input is not None and score_input.shape != x.shape:
            raise ShapeError("score_input", list(score_input.shape), list(x.shape))
        dtype = self.dtype
        if dtype is None or x.dtype == dtype or torch.is_autocast_enabled(x.device.type):
            return x, score_input
        x = cast_floats("x", x, dtype)
        return x, None if score_input is None else cast_floats("score_input", score_input, dtype)

    def check_positions(
        self, x: Float[Tensor, "T D"], pos: Shaped[Tensor, "T l"] | None, normal: Float[Tensor, "T _"] | None
    ) -> tuple[Shaped[Tensor, "T l"] | None, Float[Tensor, "T _"] | None]:
        """Return the positions and the normals that the operator uses, or None for each.

        A subclass that needs them raises a `ShapeError` if they are missing or do not fit the tokens.

        Example:
            >>> from pyg_samsa.nn import AttentionConv
            >>> AttentionConv(16).check_positions(torch.randn(5, 16), torch.randn(5, 3), None)
            (None, None)
        """
        return None, None

    def attention_weights(self, x: Float[Tensor, "T D"], context: TokenContext, samples: Any) -> AttentionWeights:
        """Return the attention weights without dropout.

        Args:
            x: Tokens, sorted by graph.
            context: As for `attend`.
            samples: The samples that `attend` returned.

        Returns:
            Pairs [2, M] of an attended and an attending row, and the weights [M, H].

        Raises:
            ConfigError: The operator has no attention weights.

        Example:
            >>> from pyg_samsa.nn import AttentionConv
            >>> conv, x = AttentionConv(16, heads=4), torch.randn(5, 16)
            >>> pairs, weights = conv.attention_weights(x, TokenContext(RaggedIndex(torch.tensor([0, 2, 5])), x), None)
            >>> pairs.shape, weights.shape
            (torch.Size([2, 13]), torch.Size([13, 4]))
        """
        raise ConfigError("return_attention_weights", True, f"False: {self.name} forms no attention weights")

    def sampled_tokens(self, samples: Any, tokens: int, perm: Int[Tensor, " T"] | None) -> SampledTokens:
        """Turn candidate numbers of the sorted tokens into rows of the input.

        Args:
            samples: The samples that `attend` returned.
            tokens: Number of tokens T.
            perm: Row of the input of each sorted token, or None if they are the same.

        Example:
            >>> from pyg_samsa.functional import Samples
            >>> from pyg_samsa.nn import SAMSAConv
            >>> samples = Samples(torch.ones(1, 1, 2, 32), torch.tensor([[[0, 3]]]), torch.ones(1, 1, 2))
            >>> SAMSAConv(16, heads=1, num_samples=2).sampled_tokens(samples, 3, torch.tensor([2, 0, 1])).index
            tensor([[[ 2, -1]]])
        """
        candidate = samples.candidates.expand(-1, self.heads, -1)
        is_token = candidate < tokens
        row = torch.where(is_token, candidate, tokens - 1 - candidate)
        if perm is not None and tokens:
            row = torch.where(is_token, perm[row.clamp_min(0)], row)
        return SampledTokens(row, samples.scores.expand(-1, self.heads, -1))

    def split_heads(self, x: Float[Tensor, "T width"]) -> Float[Tensor, "T H c"]:
        """View [T, H c] as [T, H, c].

        Example:
            >>> TokenConv(16, heads=4).split_heads(torch.ones(5, 32)).shape
            torch.Size([5, 4, 8])
        """
        return x.view(x.size(0), self.heads, x.size(1) // self.heads)

    @property
    def attention_dropout(self) -> float:
        """Dropout of the attention weights: 0 in evaluation.

        Example:
            >>> conv = TokenConv(16, dropout=0.5)
            >>> conv.train().attention_dropout, conv.eval().attention_dropout
            (0.5, 0.0)
        """
        return self.dropout if self.training else 0.0

    def pairs_of_all(self, x: Float[Tensor, "T D"], sets: int) -> Float[Tensor, "T sets pair"]:
        """Return the key-value pairs of all tokens [T, sets, 2D / sets].

        Args:
            x: Tokens.
            sets: Number of sets of tokens that are sampled per graph: 1, or one per head.

        Example:
            >>> TokenConv(16, heads=4).pairs_of_all(torch.ones(5, 16), sets=4).shape
            torch.Size([5, 4, 8])
        """
        return self.key_value(x).view(x.size(0), sets, 2 * self.channels // sets)

    def can_project_sampled(self, x: Float[Tensor, "T D"], graphs: int, samples: int) -> bool:
        """Return whether keys and values are computed for the sampled tokens only.

        That is cheaper if a head samples few of many tokens: gathering a token for every head costs about as much as
        projecting it once. It reads the weights of ``key_value``, which therefore has to be a plain ``Linear``.

        Args:
            x: Tokens.
            graphs: Number of graphs.
            samples: Number of tokens that a head samples of a graph.

        Example:
            >>> conv = TokenConv(16)
            >>> conv.can_project_sampled(torch.ones(100, 16), 1, 8), conv.can_project_sampled(torch.ones(9, 16), 1, 8)
            (True, False)
        """
        if is_exporting():  # a program has one path for graphs of all sizes
            return False
        many = _MANY if takes_cpu_path(x) else max(_MANY, self.heads)
        return x.size(0) > many * samples * graphs and is_plain(self.key_value, Linear)

    def project_sampled(
        self, x: Float[Tensor, "T D"], tokens: Int[Tensor, "B sets m"]
    ) -> Float[Tensor, "B sets m pair"]:
        r"""Return the key-value pairs of some tokens, each for its own heads only.

        .. math::
            \mathrm{pair}_{b h m} = W_{kv}^{(h)} x_{i_{b h m}}

        Args:
            x: Tokens.
            tokens: Rows of the tokens of each graph and set.

        Returns:
            Pairs of width 2D / sets.

        Example:
            >>> conv, x = TokenConv(16, heads=4), torch.randn(5, 16)
            >>> pairs = conv.project_sampled(x, torch.full((1, 4, 1), 3))
            >>> torch.allclose(pairs.flatten(), conv.key_value(x[3]), atol=1e-6)
            True
        """
        graphs, sets, count = tokens.shape
        rows = x.index_select(0, tokens.transpose(0, 1).flatten()).view(sets, graphs * count, self.channels)
        weight = self.key_value.weight.view(sets, -1, self.channels).transpose(1, 2)
        bias = self.key_value.bias
        pairs = rows @ weight if bias is None else torch.baddbmm(bias.view(sets, 1, -1), rows, weight)
        return pairs.view(sets, graphs, count, -1).transpose(0, 1)


# With more tokens than this for each one that a head samples, keys and values are computed for the sampled tokens only.
# Measured on CPUs. On accelerators products are cheap and memory is not: gathering a token for each of H heads moves H
# times D numbers, projecting it moves 3 D numbers, so at least H times as many tokens have to be spared.
_MANY = 2
