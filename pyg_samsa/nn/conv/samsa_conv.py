from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import Parameter

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.attention import ATTENTION_BACKENDS, sampled_attention
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import (
    Samples,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
)
from pyg_samsa.functional.sampling import gumbel_noise
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, weights_of_samples
from pyg_samsa.nn.conv.operators import register_operator
from pyg_samsa.nn.conv.token_conv import AttentionDropout, Bias, Heads, TokenContext, TokenConv
from pyg_samsa.nn.importance_score import ImportanceScore, check_scores
from pyg_samsa.options import Option, check_no_effect, check_options
from pyg_samsa.typing import Float

SAMPLING = ("hard", "soft", "replacement")
NOISE = ("train", "always", "never")
IMPORTANCE = ("learned", "random", "fixed")
NumSamples = Annotated[int, Option("Number K of tokens that each head of each graph samples.", low=1, high=2**20)]
Sampling = Annotated[str, Option("How keys are sampled: without (hard, soft) or with replacement.", SAMPLING)]
AttentionBackend = Annotated[
    str, Option("How attention over the sampled keys is computed.", ("auto", *ATTENTION_BACKENDS))
]
Tau = Annotated[float, Option("Temperature of the relaxation.", above=0)]
Noise = Annotated[str, Option("When Gumbel noise is added to the scores.", NOISE)]
# A score that no token has: support pairs with it are sampled only where a graph has fewer than K tokens.
_NEVER = -1e30


@register_operator("samsa")
class SAMSAConv(TokenConv):
    r"""The sampling self-attention operator from the `"SAMSA: Efficient Transformer for Many Data Modalities"
    <https://arxiv.org/abs/2408.05391>`_ paper (Algorithm 1).

    Every head samples its own K keys and values of a graph by learned importance, and all tokens attend to these:

    .. math::
        z &= \mathrm{ImportanceScore}(x) + g, \qquad g \sim \mathrm{Gumbel}(0, 1)

        \tilde{K}, \tilde{V} &= \mathrm{MultiHeadSample}\bigl(z, [K, V], K\bigr)

        x' &= W_o \, \mathrm{softmax}\bigl(Q \tilde{K}^\top / \sqrt{C}\bigr) \tilde{V}

    In every graph, 2K learned support pairs with their own scores are candidates too, so graphs with fewer than K
    tokens and empty graphs are allowed. Graphs of a batch never attend to each other. In evaluation the sampling is
    deterministic, and permuting tokens permutes the output.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        num_samples: Number K of tokens that each head of each graph samples.
        sampling: ``"hard"`` (straight-through; evaluation is top-k and gather only) or ``"soft"`` (the relaxation
            itself), both without replacement; or ``"replacement"`` (independent draws, the paper's ablation).
        tau: Temperature of the relaxation, above 0.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        noise: When Gumbel noise is added to the scores: ``"train"``, ``"always"`` (as the paper's code does) or
            ``"never"``.
        bias: Whether the linear layers have a bias.
        attn_backend: How attention over the sampled keys is computed: ``"auto"`` or a name in
            :obj:`pyg_samsa.functional.ATTENTION_BACKENDS`.
        importance: Ablation: ``"learned"`` scores; ``"random"``: tokens are drawn uniformly in training, and by a
            random function of their contents in evaluation; ``"fixed"``: nothing is sampled, and K learned pairs are
            the keys and values of every graph.
        shared_sets: Ablation: whether all heads of a graph sample the same tokens.
        support: Ablation: whether there are learned support pairs; without them, a graph with fewer than K tokens is
            filled up with pairs of zeros.

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
        >>> out, (edge_index, weights) = conv(x, batch=batch, return_attention_weights=True)
        >>> edge_index.size(0), weights.size(1)
        (2, 4)

    Cost: O(T D^2 + T K D) time and O(T D + B K D) memory; training adds O(B K^2 D) time.
    """

    samples = True

    def __init__(
        self,
        channels: int,
        heads: Heads = 8,
        num_samples: NumSamples = 128,
        sampling: Sampling = "hard",
        tau: Tau = 1.0,
        dropout: AttentionDropout = 0.0,
        noise: Noise = "train",
        bias: Bias = True,
        attn_backend: AttentionBackend = "auto",
        importance: Annotated[
            str, Option("Ablation: learned scores, random ones, or the same learned keys everywhere.", IMPORTANCE)
        ] = "learned",
        shared_sets: Annotated[bool, Option("Ablation: whether all heads sample the same tokens.")] = False,
        support: Annotated[bool, Option("Ablation: whether there are learned support tokens.")] = True,
    ) -> None:
        check_options(SAMSAConv, locals())
        super().__init__(channels, heads, dropout, bias)
        bias, shared_sets, support = bool(bias), bool(shared_sets), bool(support)
        if importance == "fixed" and not support:
            raise ConfigError("support", support, "True where importance is 'fixed': the support pairs are the keys")
        if importance == "fixed":
            unused = {"sampling": sampling, "tau": tau, "noise": noise}
            check_no_effect(SAMSAConv, unused, reason="importance is 'fixed': nothing is sampled")
        self.num_samples, self.sampling, self.tau, self.noise = int(num_samples), sampling, float(tau), noise
        self.attn_backend, self.importance, self.shared_sets, self.support = (
            attn_backend,
            importance,
            shared_sets,
            support,
        )
        self.sets = 1 if shared_sets else self.heads
        self.score = ImportanceScore(channels, self.sets, bias=bias)
        self.support_key_value = Parameter(torch.empty(2 * num_samples, 2 * channels), requires_grad=support)
        self.support_score = Parameter(torch.empty(2 * num_samples, self.sets), requires_grad=support)
        if importance != "learned":
            self.score.requires_grad_(False)
            self.support_score.requires_grad_(False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights; the support pairs and their scores come from N(0, 1)."""
        super().reset_parameters()
        if self.support:
            torch.nn.init.normal_(self.support_key_value)
            torch.nn.init.normal_(self.support_score)
        else:
            torch.nn.init.zeros_(self.support_key_value)
            torch.nn.init.constant_(self.support_score, _NEVER)

    def attend(self, x: Float[Tensor, "T D"], context: TokenContext) -> tuple[Float[Tensor, "T H C"], Samples]:
        r"""Sample keys and values, and let every token attend to those of its graph.

        .. math::
            o_t = \mathrm{softmax}\bigl(W_q x_t \, \tilde{K}_{b(t)}^\top / \sqrt{C}\bigr) \tilde{V}_{b(t)}
        """
        samples = self.sample(x, context)
        key, value = samples.values.split(self.head_channels, dim=-1)
        query = self.split_heads(self.query(x))
        dropout, backend = self.attention_dropout, self.attn_backend
        return sampled_attention(query, key, value, context.index, dropout=dropout, backend=backend), samples

    def attention_weights(self, x: Float[Tensor, "T D"], context: TokenContext, samples: Samples) -> AttentionWeights:
        """Return the weights of the sampled keys; a soft key is listed as the token with the largest share of it."""
        key, _ = samples.values.split(self.head_channels, dim=-1)
        query = self.split_heads(self.query(x))
        # If the values are an identity matrix, the output is the weights.
        identity = torch.eye(self.num_samples, dtype=key.dtype, device=key.device).expand(*key.shape[:2], -1, -1)
        alpha = sampled_attention(query, key, identity, context.index, backend="sdpa")
        return weights_of_samples(alpha, samples.candidates, context.index)

    def sample(self, x: Float[Tensor, "T D"], context: TokenContext) -> Samples:
        """Sample the key-value pairs of every graph and head.

        Args:
            x: Tokens, sorted by graph.
            context: Where graphs begin and end, and the input of the scores.

        Returns:
            `Samples` with values [B, H, K, 2C]: C channels of the key, then C channels of the value.

        Raises:
            NumericalError: A score is not finite.

        Example:
            >>> conv, x = SAMSAConv(16, heads=4, num_samples=8), torch.randn(30, 16)
            >>> conv.sample(x, TokenContext(RaggedIndex(torch.tensor([0, 10, 30])), x)).values.shape
            torch.Size([2, 4, 8, 8])
        """
        samples = self._sample_fixed(x, context.index) if self.importance == "fixed" else self._sample_sets(x, context)
        if self.sets == self.heads:
            return samples
        # One set was sampled for all heads, with the channels of all heads; each head takes its own channels.
        values = samples.values.unflatten(-1, (self.heads, -1)).transpose(1, 3).squeeze(3)
        return Samples(values, *(piece.expand(-1, self.heads, -1) for piece in samples[1:]))

    def _sample_fixed(self, x: Tensor, index: RaggedIndex) -> Samples:
        """Return the first K support pairs for every graph: [B, sets, K, ...]."""
        count, graphs = self.num_samples, index.num_graphs
        values = self.support_key_value[:count].view(count, self.sets, -1).transpose(0, 1).to(x.dtype)
        numbers = torch.arange(index.num_tokens, index.num_tokens + count, device=x.device)
        scores = self.support_score[:count].T.expand(graphs, -1, -1)
        return Samples(values.expand(graphs, -1, -1, -1), numbers.expand(graphs, self.sets, -1), scores)

    def _sample_sets(self, x: Tensor, context: TokenContext) -> Samples:
        """Sample the pairs of every graph and set of heads: [B, sets, K, ...]."""
        scores = self.score(context.score_input)
        check_scores(scores, self.name)
        support_values = self.support_key_value.view(-1, self.sets, 2 * self.channels // self.sets)
        support_scores = self.support_score.to(scores.dtype)
        noisy = self.noise == "always" or (self.noise == "train" and self.training)
        if self.importance == "random" and noisy:
            scores = torch.zeros_like(scores)
        index, count = context.index, self.num_samples
        if self.sampling == "replacement":
            pairs = self.pairs_of_all(x, self.sets)
            arguments = (pairs, scores, support_values, support_scores, index, count)
            return ragged_sample_with_replacement(*arguments, tau=self.tau, noise=noisy)
        if noisy:
            scores = scores + gumbel_noise(scores)
        few = self.can_project_sampled(x, index.num_graphs, count)
        values = (lambda tokens: self.project_sampled(x, tokens)) if few else self.pairs_of_all(x, self.sets)
        return ragged_sample_without_replacement(
            values, scores, support_values, support_scores, index, count, tau=self.tau, mode=self.sampling
        )

    def __repr__(self) -> str:
        sizes = f"{self.channels}, heads={self.heads}, num_samples={self.num_samples}"
        return f"{type(self).__name__}({sizes}, sampling={self.sampling!r})"
