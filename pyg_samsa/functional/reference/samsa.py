"""One layer of SAMSA, literally (Algorithm 1 and section 4.4 of arXiv 2408.05391)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.reference.sampling import (
    hard_sample_without_replacement,
    sample_with_replacement,
    soft_sample_without_replacement,
)
from pyg_samsa.typing import Float, Int

SAMPLINGS = ("hard", "soft", "replacement")


@dataclass(frozen=True)
class SAMSAConvParams:
    """Weights of one sampling self-attention; matrices [out, in] as in ``torch.nn.Linear``, any bias may be None.

    Of the 2D outputs of ``key_value`` (and of ``support_key_value``) head h owns channels 2h C to 2(h + 1) C - 1: C of
    its key, then C of its value. Of the D outputs of ``query`` it owns h C to (h + 1) C - 1.

    Args:
        query_weight: Wq [D, D].
        query_bias: bq [D].
        key_value_weight: Wkv [2D, D].
        key_value_bias: bkv [2D].
        score_in_weight: W1 [D, D].
        score_in_bias: b1 [D].
        score_hidden_weight: W2 [D, D].
        score_hidden_bias: b2 [D].
        score_norm_weight: Scale of the RMSNorm inside the importance score [D].
        score_out_weight: Ws [H, D].
        score_out_bias: bs [H].
        support_key_value: Support pairs [2K, 2D].
        support_score: Their scores [2K, H].
        out_weight: Wo [D, D].
        out_bias: bo [D].
    """

    query_weight: Tensor
    query_bias: Tensor | None
    key_value_weight: Tensor
    key_value_bias: Tensor | None
    score_in_weight: Tensor
    score_in_bias: Tensor | None
    score_hidden_weight: Tensor
    score_hidden_bias: Tensor | None
    score_norm_weight: Tensor
    score_out_weight: Tensor
    score_out_bias: Tensor | None
    support_key_value: Tensor
    support_score: Tensor
    out_weight: Tensor
    out_bias: Tensor | None

    @classmethod
    def of(cls, conv: Any) -> SAMSAConvParams:
        """Return the weights of a ``nn.SAMSAConv``."""
        query, pair, first, second, out = conv.query, conv.key_value, conv.score.hidden, conv.score.mixed, conv.out
        head = conv.score.out
        return cls(
            query_weight=query.weight,
            query_bias=query.bias,
            key_value_weight=pair.weight,
            key_value_bias=pair.bias,
            score_in_weight=first.weight,
            score_in_bias=first.bias,
            score_hidden_weight=second.weight,
            score_hidden_bias=second.bias,
            score_norm_weight=conv.score.norm.weight,
            score_out_weight=head.weight,
            score_out_bias=head.bias,
            support_key_value=conv.support_key_value,
            support_score=conv.support_score,
            out_weight=out.weight,
            out_bias=out.bias,
        )


@dataclass(frozen=True)
class SAMSABlockParams:
    """Weights of one block of Algorithm 1.

    Args:
        conv: Weights of the sampling self-attention.
        conv_norm_weight: Scale of the RMSNorm before it [D].
        ffn_norm_weight: Scale of the RMSNorm before the feed-forward network [D].
        ffn_in_weight: First matrix of the feed-forward network [D_ff, D].
        ffn_in_bias: [D_ff] or None.
        ffn_out_weight: Second matrix [D, D_ff].
        ffn_out_bias: [D] or None.
        alpha: The ReZero scalar [] or [1].
    """

    conv: SAMSAConvParams
    conv_norm_weight: Tensor
    ffn_norm_weight: Tensor
    ffn_in_weight: Tensor
    ffn_in_bias: Tensor | None
    ffn_out_weight: Tensor
    ffn_out_bias: Tensor | None
    alpha: Tensor

    @classmethod
    def of(cls, block: Any) -> SAMSABlockParams:
        """Return the weights of a ``nn.SAMSABlock`` with a scalar of its own."""
        first, last = block.ffn.lin1, block.ffn.lin2
        conv, norms = SAMSAConvParams.of(block.conv), (block.conv_norm.weight, block.ffn.norm.weight)
        return cls(conv, *norms, first.weight, first.bias, last.weight, last.bias, block.alpha)


def linear(
    x: Float[Tensor, "n in"], weight: Float[Tensor, "out in"], bias: Float[Tensor, " out"] | None
) -> Float[Tensor, "n out"]:
    r"""Return :math:`x W^\top + b`.

    Example:
        >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([0.5])).tolist()
        [[11.5]]
    """
    product = x @ weight.T
    return product if bias is None else product + bias


def rms_norm(x: Float[Tensor, "n D"], weight: Float[Tensor, " D"], eps: float | None = None) -> Float[Tensor, "n D"]:
    r"""Divide every token by the root mean square of its channels, then scale the channels.

    .. math::
        y_{tc} = \frac{x_{tc}}{\sqrt{\tfrac{1}{D} \sum_{c'} x_{tc'}^2 + \epsilon}} \, w_c

    ``eps`` defaults to the machine epsilon of x, as in ``torch.nn.RMSNorm``.

    Example:
        >>> rms_norm(torch.tensor([[1.0, 7.0]]), torch.tensor([5.0, 5.0]), eps=0.0).tolist()  # root mean square 5
        [[1.0, 7.0]]
    """
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    rows = []
    for token in x:
        mean_square = sum(channel * channel for channel in token) / x.size(1)
        rows.append(token / torch.sqrt(mean_square + eps) * weight)
    return torch.stack(rows) if rows else x


def gelu(x: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    r"""Return :math:`x \Phi(x) = \tfrac{x}{2} (1 + \mathrm{erf}(x / \sqrt{2}))`, the exact GELU.

    Example:
        >>> round(gelu(torch.tensor(1.0).double()).item(), 6)
        0.841345
    """
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def importance_score(
    x: Float[Tensor, "n D"], params: SAMSAConvParams, eps: float | None = None
) -> Float[Tensor, "n H"]:
    r"""Score every token for every head.

    .. math::
        z = W_s \bigl(x + \mathrm{RMSNorm}(W_2 \, \mathrm{GELU}(W_1 x + b_1) + b_2)\bigr) + b_s

    The paper leaves the form of the MLP open (section 4.4); this is that of the authors' code. x is the un-normalised
    stream (Algorithm 1, line 6).

    Example:
        >>> one = torch.ones(1, 1).double()
        >>> score = (one, None, one, None, one[0], 2 * one, None)
        >>> params = SAMSAConvParams(one, None, one, None, *score, one, one, one, None)
        >>> importance_score(3 * one, params, eps=0.0).tolist()  # 2 (3 + 1)
        [[8.0]]
    """
    hidden = gelu(linear(x, params.score_in_weight, params.score_in_bias))
    hidden = linear(hidden, params.score_hidden_weight, params.score_hidden_bias)
    return linear(x + rms_norm(hidden, params.score_norm_weight, eps), params.score_out_weight, params.score_out_bias)


def attention(q: Float[Tensor, "n C"], k: Float[Tensor, "K C"], v: Float[Tensor, "K Cv"]) -> Float[Tensor, "n Cv"]:
    r"""Attend queries to keys and average values in one head: :math:`\mathrm{softmax}(q k^\top / \sqrt{C}) \, v`.

    Example:
        >>> attention(torch.zeros(1, 2), torch.ones(2, 2), torch.tensor([[1.0, 0.0], [3.0, 4.0]])).tolist()
        [[2.0, 2.0]]
    """
    rows = []
    for query in q:
        logits = torch.stack([(query * key).sum() / math.sqrt(q.size(1)) for key in k])
        weights = torch.softmax(logits, dim=0)
        mixed = torch.zeros_like(v[0])
        for s in range(v.size(0)):
            mixed = mixed + weights[s] * v[s]
        rows.append(mixed)
    return torch.stack(rows) if rows else q.new_zeros((0, v.size(1)))


def samsa_conv(
    x: Float[Tensor, "T D"],
    ptr: Int[Tensor, " _"] | Sequence[int],
    params: SAMSAConvParams,
    heads: int,
    num_samples: int,
    tau: float = 1.0,
    sampling: str = "hard",
    gumbel: Tensor | Sequence[Tensor] | None = None,
    score_input: Float[Tensor, "T D"] | None = None,
    eps: float | None = None,
) -> Float[Tensor, "T D"]:
    r"""Let the tokens of every graph attend to the tokens that each head samples.

    Lines 3 to 15 of Algorithm 1, without norm and residual:

    .. math::
        \tilde k_h, \tilde v_h = \mathrm{Sample}\bigl(z_h + g_h, [k_h, v_h], K\bigr), \qquad
        y = W_o \bigl[\mathrm{softmax}(q_h \tilde k_h^\top / \sqrt{C}) \, \tilde v_h\bigr]_{h=1}^H + b_o

    Keys and values of a head are sampled together, as one vector of 2C channels. The 2K support pairs follow the n
    tokens of the graph as candidates n to n + 2K - 1. The heads' outputs are concatenated in their order and multiplied
    by Wo.

    Args:
        x: Tokens of all graphs [T, D], normalised by the caller.
        ptr: Where each graph begins, and the end [B+1].
        params: The weights.
        heads: H, a divisor of D.
        num_samples: K, at least 1.
        tau: Temperature, positive.
        sampling: "hard" or "soft" (without replacement), or "replacement".
        gumbel: Noise, or None for evaluation. Hard and soft: [T, H], added to the tokens' scores; the supports' scores
            get none. Replacement: one tensor [H, K, n + 2K] a graph, for every draw and candidate; without it the draws
            are `systematic_draws`.
        score_input: Tokens from which importance is computed [T, D]; by default x.
        eps: Epsilon of the RMSNorm of the importance score; by default the machine epsilon.

    Returns:
        [T, D].

    Raises:
        ConfigError: ``sampling``, ``heads``, ``num_samples`` or ``tau`` is out of range.
        ShapeError: The tensors do not match.
        NumericalError: A score is not finite.

    Example:
        >>> one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
        >>> supports, unlikely = torch.zeros(2, 2).double(), torch.full((2, 1), -9.0).double()
        >>> score = (zero, None, zero, None, one[0], one, None)  # z = x
        >>> params = SAMSAConvParams(one, None, torch.ones(2, 1).double(), None, *score, supports, unlikely, one, None)
        >>> x = torch.tensor([[1.0], [2.0], [5.0]]).double()
        >>> samsa_conv(x, [0, 2, 3], params, heads=1, num_samples=1).tolist()  # the largest token of each graph
        [[2.0], [2.0], [5.0]]

    Cost: O(T D² + T K D + B K² D) time, times the overhead of Python.
    """
    if sampling not in SAMPLINGS:
        raise ConfigError("sampling", sampling, SAMPLINGS)
    channels = x.size(1)
    if heads < 1 or channels % heads:
        raise ConfigError("heads", heads, f"a divisor of the {channels} channels")
    if params.support_score.shape != (2 * num_samples, heads):
        raise ShapeError("support_score", list(params.support_score.shape), [2 * num_samples, heads])
    begins = _begins(ptr, x.size(0))
    c = channels // heads
    queries = linear(x, params.query_weight, params.query_bias)
    key_values = linear(x, params.key_value_weight, params.key_value_bias)
    scores = importance_score(x if score_input is None else score_input, params, eps)
    if gumbel is not None and sampling != "replacement":
        if not isinstance(gumbel, Tensor) or gumbel.shape != scores.shape:
            raise ShapeError("gumbel", [list(noise.shape) for noise in gumbel], list(scores.shape))
        scores = scores + gumbel

    graphs = []
    for graph, (begin, end) in enumerate(pairwise(begins)):
        if begin == end:
            continue
        candidates = torch.cat([key_values[begin:end], params.support_key_value])
        outputs = []
        for h in range(heads):
            pairs = candidates[:, 2 * h * c : 2 * (h + 1) * c]
            z = torch.cat([scores[begin:end, h], params.support_score[:, h]])
            noise = gumbel[graph][h] if gumbel is not None and sampling == "replacement" else None
            sampled = _sample(pairs, z, num_samples, tau, sampling, noise)
            outputs.append(attention(queries[begin:end, h * c : (h + 1) * c], sampled[:, :c], sampled[:, c:]))
        graphs.append(torch.cat(outputs, dim=1))
    mixed = torch.cat(graphs) if graphs else x.new_zeros((0, channels))
    return linear(mixed, params.out_weight, params.out_bias)


def samsa_block(
    x: Float[Tensor, "T D"],
    ptr: Int[Tensor, " _"] | Sequence[int],
    params: SAMSABlockParams,
    heads: int,
    num_samples: int,
    tau: float = 1.0,
    sampling: str = "hard",
    gumbel: Tensor | Sequence[Tensor] | None = None,
    keep: Float[Tensor, "2 B"] | None = None,
    eps: float | None = None,
) -> Float[Tensor, "T D"]:
    r"""Apply one block of Algorithm 1, without dropout; the importance scores see the un-normalised stream.

    .. math::
        x \leftarrow x + \alpha \, \mathrm{keep}_0 \, \mathrm{SAMSAConv}(\mathrm{RMSNorm}(x)), \qquad
        x \leftarrow x + \alpha \, \mathrm{keep}_1 \, \mathrm{FFN}(\mathrm{RMSNorm}(x)), \qquad
        \mathrm{FFN}(x) = W_2 \, \mathrm{GELU}(W_1 x + b_1) + b_2

    Args:
        x: Tokens of all graphs [T, D].
        ptr: Where each graph begins, and the end [B+1].
        params: The weights.
        heads: H, a divisor of D.
        num_samples: K, at least 1.
        tau: Temperature, positive.
        sampling: "hard", "soft" or "replacement".
        gumbel: Noise as in `samsa_conv`, or None for evaluation.
        keep: Drop-path factors [2, B] of the two branches of every graph, 0 (dropped) or 1 / (1 - rate); None for
            evaluation.
        eps: Epsilon of all RMSNorms; by default the machine epsilon.

    Returns:
        [T, D].

    Raises:
        ConfigError: ``sampling``, ``heads``, ``num_samples`` or ``tau`` is out of range.
        ShapeError: The tensors do not match.
        NumericalError: A score is not finite.

    Example:
        >>> one, zero = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
        >>> supports, unlikely = torch.zeros(2, 2).double(), torch.full((2, 1), -9.0).double()
        >>> score = (zero, None, zero, None, one[0], one, None)  # z = x
        >>> conv = SAMSAConvParams(one, None, torch.ones(2, 1).double(), None, *score, supports, unlikely, one, None)
        >>> params = SAMSABlockParams(conv, one[0], one[0], zero, None, zero, None, torch.tensor(0.5).double())
        >>> x = torch.tensor([[1.0], [2.0]]).double()
        >>> samsa_block(x, [0, 2], params, heads=1, num_samples=1).round(decimals=9).tolist()  # + 0.5 norm(2)
        [[1.5], [2.5]]

    Cost: The cost of `samsa_conv` plus O(T D D_ff).
    """
    begins = _begins(ptr, x.size(0))
    if keep is None:
        keep = x.new_ones((2, len(begins) - 1))
    if keep.shape != (2, len(begins) - 1):
        raise ShapeError("keep", list(keep.shape), [2, len(begins) - 1])
    normed = rms_norm(x, params.conv_norm_weight, eps)
    update = samsa_conv(normed, ptr, params.conv, heads, num_samples, tau, sampling, gumbel, score_input=x, eps=eps)
    x = x + params.alpha * _drop_path(update, begins, keep[0])
    hidden = gelu(linear(rms_norm(x, params.ffn_norm_weight, eps), params.ffn_in_weight, params.ffn_in_bias))
    update = linear(hidden, params.ffn_out_weight, params.ffn_out_bias)
    return x + params.alpha * _drop_path(update, begins, keep[1])


def _begins(ptr: Tensor | Sequence[int], num_tokens: int) -> list[int]:
    begins = [int(begin) for begin in ptr]
    if not begins or begins[0] != 0 or begins[-1] != num_tokens or begins != sorted(begins):
        raise ShapeError("ptr", begins, f"ascending from 0 to the {num_tokens} tokens")
    return begins


def _sample(pairs: Tensor, z: Tensor, k: int, tau: float, sampling: str, gumbel: Tensor | None) -> Tensor:
    if sampling == "soft":
        return soft_sample_without_replacement(pairs, z, k, tau)
    if sampling == "hard":
        return hard_sample_without_replacement(pairs, z, k, tau)
    return sample_with_replacement(pairs, z, k, tau, gumbel)


def _drop_path(update: Tensor, begins: list[int], keep: Tensor) -> Tensor:
    return torch.cat([keep[graph] * update[begins[graph] : begins[graph + 1]] for graph in range(len(begins) - 1)])
