"""The attention of SFT, literally (arXiv 2408.05822, "Sampling Foundational Transformer")."""

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
    rank,
    soft_sample_without_replacement,
)
from pyg_samsa.functional.reference.samsa import SAMSAConvParams, _begins, importance_score, linear
from pyg_samsa.typing import Float, Int

ENCODINGS = ("none", "dist", "dist_normal", "field")
LEAKS = ("softplus", "relu", "none")
SCORES = ("maxout", "softmax")
SAMPLERS = ("samsa", "paired")
CHOICES = {
    "encoding": ENCODINGS,
    "leak": LEAKS,
    "score": SCORES,
    "sampler": SAMPLERS,
    "sampling": ("hard", "soft"),
}


@dataclass(frozen=True)
class SFTConvParams:
    """Weights of one SFT attention; matrices [out, in], any bias may be None.

    The 2D channels of a key-value pair belong to the heads in their order, C of a key before C of a value. There is one
    set of samples for all heads or one a head, G sets: ``score`` and ``support_score`` have G columns.

    Args:
        conv: Query, key-value and output products, support pairs and scores, and the importance score of the sampler
            "samsa"; the sampler "paired" uses the last product of that alone.
        score_norm: Scale and shift [D], [D] of the LayerNorm of the sampler "paired", else None.
        leak_weight: Wc, one row a head [H, C], or None.
        leak_bias: [H] or None.
        factor_weight: Ww [H, f], or None without an encoding.
        factor_bias: [H], or None.
        term_weight: Wb [H, f], or None.
        term_bias: [H], or None.
        field: The positive numbers a, b, c, L1, L2 [5], or None.
    """

    conv: SAMSAConvParams
    score_norm: tuple[Tensor, Tensor] | None
    leak_weight: Tensor | None
    leak_bias: Tensor | None
    factor_weight: Tensor | None
    factor_bias: Tensor | None
    term_weight: Tensor | None
    term_bias: Tensor | None
    field: Tensor | None

    @classmethod
    def of(cls, conv: Any) -> SFTConvParams:
        """Return the weights of a ``nn.SFTConv``."""
        score, heads, relation = conv.score, conv.heads, conv.relation
        nothing, paired = torch.zeros(0), conv.sampler == "paired"
        return cls(
            conv=SAMSAConvParams(
                query_weight=conv.query.weight,
                query_bias=conv.query.bias,
                key_value_weight=conv.key_value.weight,
                key_value_bias=conv.key_value.bias,
                score_in_weight=nothing if paired else score.hidden.weight,
                score_in_bias=None if paired else score.hidden.bias,
                score_hidden_weight=nothing if paired else score.mixed.weight,
                score_hidden_bias=None if paired else score.mixed.bias,
                score_norm_weight=nothing if paired else score.norm.weight,
                score_out_weight=score.out.weight,
                score_out_bias=score.out.bias,
                support_key_value=conv.support_key_value,
                support_score=conv.support_score,
                out_weight=conv.out.weight,
                out_bias=conv.out.bias,
            ),
            score_norm=(score.norm.weight, score.norm.bias) if paired else None,
            leak_weight=conv.leak_weight,
            leak_bias=conv.leak_bias,
            factor_weight=None if relation is None else relation.weight[:heads],
            factor_bias=None if relation is None else relation.bias[:heads],
            term_weight=None if relation is None else relation.weight[heads:],
            term_bias=None if relation is None else relation.bias[heads:],
            field=None if conv.raw_field is None else softplus(conv.raw_field),
        )


def softplus(x: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    r"""Return :math:`\log(1 + e^x)`, written so that it does not overflow.

    Example:
        >>> softplus(torch.tensor([0.0, 1000.0])).tolist()
        [0.6931471824645996, 1000.0]
    """
    return torch.logaddexp(x, torch.zeros_like(x))


def layer_norm(
    x: Float[Tensor, "n D"], weight: Float[Tensor, " D"], bias: Float[Tensor, " D"], eps: float = 1e-5
) -> Float[Tensor, "n D"]:
    r"""Normalise every token to mean 0 and variance 1, then scale and shift the channels.

    .. math::
        y_{tc} = \frac{x_{tc} - \bar x_t}{\sqrt{\tfrac{1}{D} \sum_{c'} (x_{tc'} - \bar x_t)^2 + \epsilon}} \, w_c + b_c

    Example:
        >>> x, weight, bias = torch.tensor([[1.0, 3.0]]).double(), torch.ones(2), torch.tensor([0.0, 5.0])
        >>> layer_norm(x, weight, bias, eps=0.0).tolist()
        [[-1.0, 6.0]]
    """
    rows = []
    for token in x:
        centred = token - token.sum() / x.size(1)
        rows.append(centred / torch.sqrt((centred * centred).sum() / x.size(1) + eps) * weight + bias)
    return torch.stack(rows) if rows else x


def maxout_score(q: Float[Tensor, "n C"], k: Float[Tensor, "K C"]) -> Float[Tensor, "n K"]:
    r"""Score queries against keys by the sum of their channelwise maxima.

    .. math::
        S_{ij} = \frac{1}{\sqrt{C}} \sum_c \frac{\max(q_{ic}, k_{jc}) - \mu}{s}, \qquad
        \mu = \tfrac{1}{\sqrt{\pi}}, \quad s = \sqrt{1 - 1 / \pi}

    Example:
        >>> maxout_score(torch.tensor([[1 / math.sqrt(math.pi)]]), torch.tensor([[-1.0]])).tolist()
        [[0.0]]
    """
    mu, s = 1 / math.sqrt(math.pi), math.sqrt(1 - 1 / math.pi)
    rows = [[((torch.maximum(query, key) - mu) / s).sum() / math.sqrt(q.size(1)) for key in k] for query in q]
    return torch.stack([torch.stack(row) for row in rows])


def pair_features(
    encoding: str, p: Float[Tensor, " g"], other: Float[Tensor, " g"], field: Float[Tensor, "5"] | None = None
) -> Float[Tensor, " f"]:
    r"""Return the features of one pair of places; for "dist_normal" the normals follow the positions.

    .. math::
        \mathrm{dist}: \phi = [r^2], \quad
        \mathrm{dist\_normal}: \phi = [r^2, n^\top n'], \quad
        \mathrm{field}: \phi = \Bigl[\tfrac{1}{\min(a r, L_1) + 1}, \min(b r, L_2), \tfrac{1}{(c r)^2 + 1}\Bigr], \quad
        r = \lVert p - p' \rVert

    The gradient of r at p = p' is taken as 0.

    Raises:
        ConfigError: Unknown encoding.

    Example:
        >>> pair_features("dist", torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])).tolist()
        [25.0]
    """
    length = p.size(0) // 2 if encoding == "dist_normal" else p.size(0)
    square = sum(((p[i] - other[i]) ** 2 for i in range(length)), torch.zeros((), dtype=p.dtype))
    if encoding == "dist":
        return torch.stack([square])
    if encoding == "dist_normal":
        return torch.stack([square, (p[length:] * other[length:]).sum()])
    if encoding != "field" or field is None:
        raise ConfigError("encoding", encoding, ENCODINGS[1:])
    r = torch.sqrt(square) if square > 0 else torch.zeros_like(square)
    a, b, c, first, second = field
    return torch.stack([1 / (torch.minimum(a * r, first) + 1), torch.minimum(b * r, second), 1 / ((c * r) ** 2 + 1)])


def paired_sample(
    values: Float[Tensor, "n C"], scores: Float[Tensor, " n"], k: int, pairing: Sequence[int] | None = None
) -> Float[Tensor, "K C"]:
    r"""Mix each of the ``k`` best candidates t with one of the next ``k``, b.

    .. math::
        y = w X_t + (1 - w) X_b, \qquad
        w = \frac{\mathrm{softplus}(z_t)}{\mathrm{softplus}(z_t) + \mathrm{softplus}(z_b)}

    Args:
        values: X, the candidates [n, C], n at least 2 k.
        scores: z [n], noise already added.
        k: Number of pairs.
        pairing: Partner of each of the best candidates among the next k, a permutation [k]; by default by rank.

    Returns:
        [k, C], by the rank of the better candidate.

    Raises:
        ShapeError: There are fewer than 2 k candidates.
        NumericalError: A score is not finite.

    Example:
        >>> paired_sample(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([-5.0, 3.0, 3.0]), k=1).tolist()
        [[3.0]]
    """
    if scores.size(0) < 2 * k:
        raise ShapeError("scores", list(scores.shape), f"at least 2k = {2 * k}")
    order = rank(scores)
    mixed = []
    for m in range(k):
        t, b = order[m], order[k + (m if pairing is None else int(pairing[m]))]
        w = softplus(scores[t]) / (softplus(scores[t]) + softplus(scores[b]))
        mixed.append(w * values[t] + (1 - w) * values[b])
    return torch.stack(mixed)


def leaky_attention(
    s: Float[Tensor, "n K"],
    v: Float[Tensor, "K C"],
    c: Float[Tensor, " K"] | None,
    leak: str = "softplus",
    score: str = "maxout",
) -> Float[Tensor, "n C"]:
    r"""Average values with leaky probabilities.

    .. math::
        \mathrm{maxout}: A_{ij} = \frac{\mathrm{ReLU}(s_{ij})}
            {\sum_j \mathrm{ReLU}(s_{ij}) + \sum_j \mathrm{softplus}(c_j) + 10^{-9}}, \qquad
        \mathrm{softmax}: A_{ij} = \frac{e^{s_{ij}}}{\sum_j e^{s_{ij}} + \sum_j \mathrm{softplus}(c_j)}

    Args:
        s: Scores.
        v: Values.
        c: Leak of every sampled token, or None without a leak.
        leak: "softplus", "relu" or "none".
        score: "maxout" or "softmax".

    Example:
        >>> scores, values, leak = torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0], [8.0]]), torch.tensor([1.0, -1.0])
        >>> leaky_attention(scores, values, leak, leak="relu").tolist()  # (1 * 4 + 2 * 8) / (1 + 2 + 1)
        [[5.0]]
    """
    mass = torch.zeros((), dtype=s.dtype)
    if leak != "none" and c is not None:
        for number in c:
            mass = mass + (softplus(number) if leak == "softplus" else torch.relu(number))
    rows = []
    for row in s:
        weight = torch.relu(row) if score == "maxout" else torch.exp(row)
        total = weight.sum() + mass + (1e-9 if score == "maxout" else 0.0)
        out = torch.zeros_like(v[0])
        for j in range(v.size(0)):
            out = out + weight[j] / total * v[j]
        rows.append(out)
    return torch.stack(rows)


def sft_conv(
    x: Float[Tensor, "T D"],
    ptr: Int[Tensor, " _"] | Sequence[int],
    params: SFTConvParams,
    heads: int,
    num_samples: int,
    *,
    encoding: str = "none",
    leak: str = "softplus",
    score: str = "maxout",
    sampler: str = "samsa",
    sampling: str = "hard",
    tau: float = 1.0,
    gumbel: Float[Tensor, "T sets"] | None = None,
    pairing: Int[Tensor, "B sets K"] | None = None,
    score_input: Float[Tensor, "T D"] | None = None,
    pos: Float[Tensor, "T l"] | None = None,
    normal: Float[Tensor, "T l"] | None = None,
) -> Float[Tensor, "T D"]:
    r"""Let the tokens of every graph attend to the tokens that it samples, by maxout scores and leaky probabilities.

    .. math::
        S'_{ij} = S_{ij} \, \mathrm{softplus}(W_w \phi_{ij}) + W_b \phi_{ij}, \qquad
        y_i = W_o \Bigl[\sum_j A_{hij} \tilde v_{hj}\Bigr]_{h=1}^H + b_o, \qquad c_j = W_c \tilde v_j

    Key, value, position and normal of a candidate are sampled together, as one vector. Positions are centred graph by
    graph; the 2K support pairs follow the n tokens of the graph as candidates n to n + 2K - 1, at the centroid and with
    a normal of zero.

    Args:
        x: Tokens of all graphs [T, D].
        ptr: Where each graph begins, and the end [B+1].
        params: The weights.
        heads: H, a divisor of D.
        num_samples: K, at least 1.
        encoding: "none", "dist", "dist_normal" or "field".
        leak: "softplus", "relu" or "none".
        score: "maxout" or "softmax".
        sampler: "samsa" or "paired".
        sampling: "hard" or "soft", for the sampler "samsa".
        tau: Temperature of the sampler "samsa".
        gumbel: Noise [T, G] on the scores of the tokens, or None.
        pairing: Permutations [B, G, K] of the sampler "paired", or None.
        score_input: Tokens from which importance is computed [T, D]; by default x.
        pos: Positions [T, l].
        normal: Normals [T, l].

    Returns:
        [T, D].

    Raises:
        ConfigError: A choice is unknown.
        NumericalError: A score is not finite.

    Example:
        >>> one, zero, none = torch.ones(1, 1).double(), torch.zeros(1, 1).double(), (None,) * 8
        >>> supports, unlikely = torch.zeros(2, 2).double(), torch.full((2, 1), -9.0).double()
        >>> score = (zero, None, zero, None, one[0], one, None)  # z = x
        >>> conv = SAMSAConvParams(one, None, torch.ones(2, 1).double(), None, *score, supports, unlikely, one, None)
        >>> params = SFTConvParams(conv, *none)
        >>> x = torch.tensor([[1.0], [2.0]]).double()
        >>> sft_conv(x, [0, 2], params, 1, 1, leak="none").round(decimals=6).tolist()
        [[2.0], [2.0]]

    Cost: O(T D² + T K D + B K² D) time, times the overhead of Python.
    """
    _check_choices(encoding=encoding, leak=leak, score=score, sampler=sampler, sampling=sampling)
    conv, c = params.conv, x.size(1) // heads
    queries = linear(x, conv.query_weight, conv.query_bias)
    key_values = linear(x, conv.key_value_weight, conv.key_value_bias)
    scores = _scores(x if score_input is None else score_input, params)
    scores = scores if gumbel is None else scores + gumbel
    sets, graphs = scores.size(1), []
    for graph, (begin, end) in enumerate(pairwise(_begins(ptr, x.size(0)))):
        if begin == end:
            continue
        place = _places(encoding, pos, normal, begin, end)
        outputs = []
        for h in range(heads):
            g = h if sets == heads else 0
            pairs = torch.cat([key_values[begin:end], conv.support_key_value])[:, 2 * h * c : 2 * (h + 1) * c]
            everything = torch.cat([key_values[begin:end], conv.support_key_value]) if sets == 1 else pairs
            if place is not None:
                everything = torch.cat(
                    [everything, torch.cat([place, place.new_zeros(2 * num_samples, place.size(1))])], dim=1
                )
            z = torch.cat([scores[begin:end, g], conv.support_score[:, g]])
            if sampler == "paired":
                sampled = paired_sample(
                    everything, z, num_samples, None if pairing is None else pairing[graph][g].tolist()
                )
            elif sampling == "soft":
                sampled = soft_sample_without_replacement(everything, z, num_samples, tau)
            else:
                sampled = hard_sample_without_replacement(everything, z, num_samples, tau)
            first, last = (2 * h * c, 2 * heads * c) if sets == 1 else (0, 2 * c)
            key, value, where = sampled[:, first : first + c], sampled[:, first + c : first + 2 * c], sampled[:, last:]
            q = queries[begin:end, h * c : (h + 1) * c]
            s = maxout_score(q, key) if score == "maxout" else q @ key.T / math.sqrt(c)
            if place is not None:
                s = _relate(s, place, where, params, h, encoding)
            leaks = None if params.leak_weight is None else value @ params.leak_weight[h]
            leaks = leaks if leaks is None or params.leak_bias is None else leaks + params.leak_bias[h]
            outputs.append(leaky_attention(s, value, leaks, leak, score))
        graphs.append(torch.cat(outputs, dim=1))
    mixed = torch.cat(graphs) if graphs else x.new_zeros((0, x.size(1)))
    return linear(mixed, conv.out_weight, conv.out_bias)


def _check_choices(**choices: str) -> None:
    for name, choice in choices.items():
        if choice not in CHOICES[name]:
            raise ConfigError(name, choice, CHOICES[name])


def _scores(x: Tensor, params: SFTConvParams) -> Tensor:
    if params.score_norm is None:
        return importance_score(x, params.conv)
    return linear(
        layer_norm(x, *params.score_norm), params.conv.score_out_weight, params.conv.score_out_bias
    ) / math.sqrt(2)


def _places(encoding: str, pos: Tensor | None, normal: Tensor | None, begin: int, end: int) -> Tensor | None:
    """Centre the positions of one graph and append its normals."""
    if encoding == "none" or pos is None:
        return None
    own = pos[begin:end]
    centred = own - own.sum(0) / (end - begin)
    return centred if encoding != "dist_normal" or normal is None else torch.cat([centred, normal[begin:end]], dim=1)


def _relate(s: Tensor, place: Tensor, where: Tensor, params: SFTConvParams, h: int, encoding: str) -> Tensor:
    """Return S'_ij = S_ij softplus(Ww phi_ij) + Wb phi_ij for head h."""
    assert params.factor_weight is not None
    assert params.factor_bias is not None
    assert params.term_weight is not None
    assert params.term_bias is not None
    rows = []
    for i in range(s.size(0)):
        row = []
        for j in range(s.size(1)):
            phi = pair_features(encoding, place[i], where[j], params.field)
            factor = softplus((params.factor_weight[h] * phi).sum() + params.factor_bias[h])
            row.append(s[i, j] * factor + (params.term_weight[h] * phi).sum() + params.term_bias[h])
        rows.append(torch.stack(row))
    return torch.stack(rows)
