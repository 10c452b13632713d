from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import GELU, Linear, Module, Parameter

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError, check_choice
from pyg_samsa.functional.attention import ATTENTION_BACKENDS, sampled_attention
from pyg_samsa.functional.ragged import RaggedIndex, resolve
from pyg_samsa.functional.sampling import (
    Samples,
    gumbel_noise,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
)
from pyg_samsa.nn.norm import RMSNorm

SAMPLING = ("hard", "soft", "replacement")
NOISE = ("train", "always", "never")
IMPORTANCE = ("learned", "random", "fixed")
# A score that no token has: support pairs with it are sampled only where a graph has fewer than K tokens.
_NEVER = -1e30
# With more tokens than this for each one that a head samples, keys and values are computed for the sampled tokens only: to gather a token for every
# head costs about as much as to project this many once.
_MANY = 2


class SampledTokens(NamedTuple):
    """Which tokens each head of each graph attended to.

    Attributes:
        index: Rows of ``x`` [B, H, K] int64; -1 - s stands for support vector s.
        score: Their importance scores [B, H, K], by descending score.
    """

    index: Tensor  # type: ignore[assignment]
    score: Tensor


class ImportanceScore(Module):
    r"""The importance of every token to every head, a small network of `SAMSA <https://arxiv.org/abs/2408.05391>`_ (section 4.4).

    .. math::
        z = W_s \bigl( x + \mathrm{RMSNorm}(W_2 \, \mathrm{GELU}(W_1 x)) \bigr)

    Args:
        channels: Channels D of a token.
        heads: Number of heads H.
        bias: Give every product a bias.

    Shapes:
        - **input:** tokens [T, D]
        - **output:** scores [T, H], at least float32

    Example:
        >>> ImportanceScore(16, heads=4)(torch.randn(5, 16)).shape
        torch.Size([5, 4])

    Cost: O(T D^2).
    """

    def __init__(self, channels: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden = Linear(channels, channels, bias=bias)
        self.act = GELU()
        self.mixed = Linear(channels, channels, bias=bias)
        self.norm = RMSNorm(channels)
        self.out = Linear(channels, heads, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in (self.hidden, self.mixed, self.norm, self.out):
            module.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the tokens; half precision is widened, so that distinct scores stay distinct."""
        scores = self.out(x + self.norm(self.mixed(self.act(self.hidden(x))).to(x.dtype)))
        return scores if scores.dtype == torch.float64 else scores.float()


class SAMSAConv(Module):
    r"""The sampling self-attention operator from the `"SAMSA: Efficient Transformer for Many Data Modalities"
    <https://arxiv.org/abs/2408.05391>`_ paper (Algorithm 1).

    Every head samples its own K keys and values of a graph by learned importance, and all tokens attend to these:

    .. math::
        z &= \mathrm{ImportanceScore}(x) + g, \qquad g \sim \mathrm{Gumbel}(0, 1)

        \tilde{K}, \tilde{V} &= \mathrm{MultiHeadSample}\bigl(z, [K, V], K\bigr)

        x' &= W_o \, \mathrm{softmax}\bigl(Q \tilde{K}^\top / \sqrt{C}\bigr) \tilde{V}

    2K learned support pairs with their own scores are candidates in every graph, so that graphs with fewer than K tokens, or none, are legal.
    Graphs of a batch never see each other. In evaluation the sampling is deterministic, and permuting tokens permutes the output.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        num_samples: Number K of tokens that each head of each graph samples.
        sampling: ``"hard"`` (straight-through; evaluation is top-k and gather only), ``"soft"`` (the relaxation itself), both without replacement, or
            ``"replacement"`` (independent draws, the paper's ablation).
        tau: Temperature of the relaxation, above 0.
        dropout: Probability that an attention weight is dropped in training, 0 to 1.
        noise: When Gumbel noise is added to the scores: ``"train"``, ``"always"`` (as the paper's code does) or ``"never"``.
        bias: Give every product a bias.
        attn_backend: How attention over the sampled keys is computed: ``"auto"`` or a name in
            :obj:`pyg_samsa.functional.ATTENTION_BACKENDS`.
        importance: Ablations: ``"learned"``; ``"random"``: tokens are drawn uniformly in training, and by a random function of their contents in
            evaluation; ``"fixed"``: nothing is sampled, K learned pairs are the keys and values of every graph.
        shared_sets: Ablation: all heads of a graph sample the same tokens.
        support: Ablation: without the learned support pairs; a graph with fewer than K tokens is filled up with pairs of zeros.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.
        NumericalError: A score is not finite.

    Example:
        >>> conv = SAMSAConv(16, heads=4, num_samples=8)
        >>> x, batch = torch.randn(30, 16), torch.arange(30) // 10
        >>> conv(x, batch=batch).shape
        torch.Size([30, 16])

    Cost: O(T D^2 + T K D) time and O(T D + B K D) memory; training adds O(B K^2 D) time.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 8,
        num_samples: int = 128,
        sampling: str = "hard",
        tau: float = 1.0,
        dropout: float = 0.0,
        noise: str = "train",
        bias: bool = True,
        attn_backend: str = "auto",
        importance: str = "learned",
        shared_sets: bool = False,
        support: bool = True,
    ) -> None:
        super().__init__()
        for key, value in (("channels", channels), ("heads", heads), ("num_samples", num_samples)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(key, value, "an integer of at least 1")
        if channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        if not tau > 0:
            raise ConfigError("tau", tau, "a temperature above 0")
        if not 0 <= dropout < 1:
            raise ConfigError("dropout", dropout, "a probability from 0 to below 1")
        check_choice("sampling", sampling, SAMPLING)
        check_choice("noise", noise, NOISE)
        check_choice("attn_backend", attn_backend, ("auto", *ATTENTION_BACKENDS))
        check_choice("importance", importance, IMPORTANCE)
        if importance == "fixed" and not support:
            raise ConfigError("support", support, "True where importance is 'fixed': the support pairs are the keys")
        self.channels, self.heads, self.num_samples = channels, heads, num_samples
        self.sampling, self.tau, self.dropout, self.noise, self.attn_backend = (
            sampling,
            tau,
            dropout,
            noise,
            attn_backend,
        )
        self.importance, self.shared_sets, self.support = importance, shared_sets, support
        self.sets = 1 if shared_sets else heads
        self.name = type(self).__name__
        self.query = Linear(channels, channels, bias=bias)
        self.key_value = Linear(channels, 2 * channels, bias=bias)
        self.score = ImportanceScore(channels, self.sets, bias=bias)
        self.support_key_value = Parameter(torch.empty(2 * num_samples, 2 * channels), requires_grad=support)
        self.support_score = Parameter(torch.empty(2 * num_samples, self.sets), requires_grad=support)
        if importance != "learned":
            self.score.requires_grad_(False)
            self.support_score.requires_grad_(False)
        self.out = Linear(channels, channels, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; the support pairs and their scores come from N(0, 1)."""
        for module in (self.query, self.key_value, self.score, self.out):
            module.reset_parameters()
        if self.support:
            torch.nn.init.normal_(self.support_key_value)
            torch.nn.init.normal_(self.support_score)
        else:
            torch.nn.init.zeros_(self.support_key_value)
            torch.nn.init.constant_(self.support_score, _NEVER)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
        return_attention_weights: bool | None = None,
        score_input: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, SampledTokens]:
        """Run the operator.

        Args:
            x: Tokens [T, D].
            edge_index: Accepted so that the operator can stand where a convolution stands, and ignored: edges take part as tokens, see `GraphBridge`.
            batch: Graph number of each token [T], in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other, in place of ``batch``.
            batch_size: Number of graphs, where some at the end may be empty.
            return_attention_weights: Also return which tokens each head sampled, with their scores.
            score_input: Tokens [T, D] from which importance is computed; by default ``x``. Algorithm 1 takes them before normalisation.
            pos: Accepted, as `SFTConv` and `FLTConv` need it, and ignored.
            normal: Accepted and ignored.

        Returns:
            Tokens [T, D]; with ``return_attention_weights`` also `SampledTokens`.
        """
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.channels}]")
        if score_input is not None and score_input.shape != x.shape:
            raise ShapeError("score_input", list(score_input.shape), list(x.shape))
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        if perm is not None:
            x = x[perm]
            score_input = None if score_input is None else score_input[perm]
        samples = self._sample(x, x if score_input is None else score_input, index)
        key, value = samples.values.split(self.channels // self.heads, dim=-1)
        dropout = self.dropout if self.training else 0.0
        query = self.query(x).view(-1, self.heads, self.channels // self.heads)
        out = self.out(
            sampled_attention(query, key, value, index, dropout=dropout, backend=self.attn_backend).flatten(1)
        )
        if perm is not None:
            out = torch.empty_like(out).index_copy(0, perm, out)
        if not return_attention_weights:
            return out
        return out, self._sampled_tokens(samples, index.num_tokens, perm)

    def _sample(self, x: Tensor, score_input: Tensor, index: RaggedIndex) -> Samples:
        """Sample the key-value pairs of every graph and head: [B, H, K, 2C], C key channels before C value channels."""
        samples = (
            self._sample_fixed(x, index) if self.importance == "fixed" else self._sample_sets(x, score_input, index)
        )
        if self.sets == self.heads:
            return samples
        # One set for all heads was sampled with the channels of all heads; each head takes its own.
        values = samples.values.unflatten(-1, (self.heads, -1)).transpose(1, 3).squeeze(3)
        return Samples(values, *(piece.expand(-1, self.heads, -1) for piece in samples[1:]))

    def _sample_fixed(self, x: Tensor, index: RaggedIndex) -> Samples:
        """Return the first K support pairs for every graph: [B, sets, K, ...]."""
        count, graphs = self.num_samples, index.num_graphs
        values = self.support_key_value[:count].view(count, self.sets, -1).transpose(0, 1).to(x.dtype)
        numbers = torch.arange(index.num_tokens, index.num_tokens + count, device=x.device)
        return Samples(
            values.expand(graphs, -1, -1, -1),
            numbers.expand(graphs, self.sets, -1),
            self.support_score[:count].T.expand(graphs, -1, -1),
        )

    def _sample_sets(self, x: Tensor, score_input: Tensor, index: RaggedIndex) -> Samples:
        """Sample the pairs of every graph and set of heads: [B, sets, K, ...]."""
        scores = self.score(score_input)
        # One sum tells in all but rare cases; a sum of large finite scores may overflow.
        if (
            not torch.compiler.is_compiling()
            and not math.isfinite(scores.detach().sum().item())
            and not bool(torch.isfinite(scores).all())
        ):
            raise NumericalError(
                self.name,
                "importance scores are not finite",
                hint="Look for NaN or infinite features, or lower optim.base_lr or clip the gradient.",
            )
        support_values = self.support_key_value.view(-1, self.sets, 2 * self.channels // self.sets)
        support_scores = self.support_score.to(scores.dtype)
        noisy = self.noise == "always" or (self.noise == "train" and self.training)
        if self.importance == "random" and noisy:
            scores = torch.zeros_like(scores)
        if self.sampling == "replacement":
            pieces = (self._pairs(x), scores, support_values, support_scores, index, self.num_samples)
            return ragged_sample_with_replacement(*pieces, tau=self.tau, noise=noisy)
        if noisy:
            scores = scores + gumbel_noise(scores)
        many = x.size(0) > _MANY * self.num_samples * index.num_graphs
        values = (lambda tokens: self._project(x, tokens)) if many else self._pairs(x)
        return ragged_sample_without_replacement(
            values, scores, support_values, support_scores, index, self.num_samples, tau=self.tau, mode=self.sampling
        )

    def _pairs(self, x: Tensor) -> Tensor:
        """Return the key-value pairs of all tokens, [T, sets, 2D / sets]."""
        return self.key_value(x).view(x.size(0), self.sets, 2 * self.channels // self.sets)

    def _project(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Return the key-value pairs of some tokens [B, sets, m] as [B, sets, m, 2D / sets], each projected for its own heads only."""
        graphs, heads, count = tokens.shape
        rows = x.index_select(0, tokens.transpose(0, 1).flatten()).view(heads, graphs * count, self.channels)
        weight = self.key_value.weight.view(heads, -1, self.channels).transpose(1, 2)
        pairs = (
            rows @ weight
            if self.key_value.bias is None
            else torch.baddbmm(self.key_value.bias.view(heads, 1, -1), rows, weight)
        )
        return pairs.view(heads, graphs, count, -1).transpose(0, 1)

    def _sampled_tokens(self, samples: Samples, tokens: int, perm: Tensor | None) -> SampledTokens:
        candidate = samples.candidates
        is_token = candidate < tokens
        row = torch.where(is_token, candidate, tokens - 1 - candidate)
        if perm is not None and tokens:
            row = torch.where(is_token, perm[row.clamp_min(0)], row)
        return SampledTokens(row, samples.scores)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, heads={self.heads}, num_samples={self.num_samples}, sampling={self.sampling!r})"
