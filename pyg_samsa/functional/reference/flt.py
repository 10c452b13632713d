"""Linear attention with a learned relative positional encoding, literally (theorem 4.1 and section 4 of arXiv
2302.01925).

Loops over graphs and heads. The features are formed and the estimated matrix of attention is written out, n x n. Random
draws are arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.reference.samsa import linear
from pyg_samsa.typing import Complex, Float


def fourier_features(
    pos: Float[Tensor, "n l"], frequencies: Float[Tensor, "m l"], ratio: Float[Tensor, " m"]
) -> tuple[Complex[Tensor, "n m"], Complex[Tensor, "n m"]]:
    r"""Return the random features of the positions of one head.

    .. math::
        \varphi(r)_t = \tfrac{1}{\sqrt{m}} \tfrac{g(\omega_t)}{p(\omega_t)} e^{2 \pi i \omega_t^\top r}, \qquad
        \psi(r)_t = \tfrac{1}{\sqrt{m}} e^{-2 \pi i \omega_t^\top r}

    Args:
        pos: Positions r.
        frequencies: Draws :math:`\omega_t`.
        ratio: g / p at the draws.

    Example:
        >>> phi, psi = fourier_features(torch.tensor([[0.25]]), torch.ones(1, 1), torch.tensor([3.0]))
        >>> round(phi.imag.item(), 4), round(psi.imag.item(), 4)  # a quarter of a turn
        (3.0, -1.0)
    """
    count = frequencies.size(0)
    phi, psi = [], []
    for r in pos:
        angles = torch.stack([2 * math.pi * (w * r).sum() for w in frequencies])
        phi.append(ratio * torch.complex(angles.cos(), angles.sin()) / math.sqrt(count))
        psi.append(torch.complex(angles.cos(), -angles.sin()) / math.sqrt(count))
    return torch.stack(phi), torch.stack(psi)


def encoding_matrix(
    pos: Float[Tensor, "n l"], frequencies: Float[Tensor, "m l"], ratio: Float[Tensor, " m"]
) -> Float[Tensor, "n n"]:
    r"""Return the estimate of the encoding of all pairs, :math:`\mathrm{Re}(\varphi(r_i)^\top \psi(r_j)) \approx f(r_i
    - r_j)`.

    Example:
        >>> pos = torch.tensor([[0.0], [0.5]])
        >>> (encoding_matrix(pos, torch.ones(1, 1), torch.ones(1)).round(decimals=4) + 0.0).tolist()  # half a turn
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    phi, psi = fourier_features(pos, frequencies, ratio)
    return (phi @ psi.T).real


def extended(
    query: Float[Tensor, "n C"],
    key: Float[Tensor, "n C"],
    pos: Float[Tensor, "n l"],
    frequencies: Float[Tensor, "m l"],
    ratio: Float[Tensor, " m"],
) -> tuple[Float[Tensor, "n C+2*m"], Float[Tensor, "n C+2*m"]]:
    r"""Append the features of positions to queries and keys.

    .. math::
        q' = [q, C^{1/4} \mathrm{Re} \varphi, C^{1/4} \mathrm{Im} \varphi], \quad
        k' = [k, C^{1/4} \mathrm{Re} \psi, -C^{1/4} \mathrm{Im} \psi], \quad
        q'^\top k' / \sqrt{C} = q^\top k / \sqrt{C} + \mathrm{Re}(\varphi^\top \psi)

    Example:
        >>> zero, pos = torch.zeros(1, 4), torch.zeros(1, 1)
        >>> query, key = extended(zero, zero, pos, torch.ones(1, 1), torch.tensor([0.5]))
        >>> round((query @ key.T / 2).item(), 4)  # the ratio at distance 0
        0.5
    """
    phi, psi = fourier_features(pos, frequencies, ratio)
    scale = query.size(1) ** 0.25
    return torch.cat([query, scale * phi.real, scale * phi.imag], dim=1), torch.cat(
        [key, scale * psi.real, -scale * psi.imag], dim=1
    )


def positive_features(
    x: Float[Tensor, "n F"], projection: Float[Tensor, "M F"], stabilizer: Float[Tensor, ""] | float, eps: float
) -> Float[Tensor, "n M"]:
    r"""Return :math:`F(x)_m = M^{-1/2} \exp(w_m^\top x - \lVert x \rVert^2 / 2 - c) + \epsilon` of the vectors of one
    head.

    Example:
        >>> positive_features(torch.tensor([[2.0]]), torch.tensor([[1.0]]), 0.0, 0.5).tolist()  # exp(2 - 2) + 0.5
        [[1.5]]
    """
    exponents = (x @ projection.T) - (x * x).sum(1, keepdim=True) / 2 - stabilizer
    return torch.exp(exponents) / math.sqrt(projection.size(0)) + eps


def query_stabilizer(x: Float[Tensor, "1 F"], projection: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    r"""Return the c of one query, :math:`c = \max_m w_m^\top x - \lVert x \rVert^2 / 2`, whose maximum counts as a
    constant.

    Example:
        >>> query_stabilizer(torch.tensor([[2.0]]), torch.tensor([[1.0], [3.0]])).item()  # 6 - 2
        4.0
    """
    return (x @ projection.T).detach().max() - (x * x).sum() / 2


def key_stabilizer(x: Float[Tensor, "n F"], projection: Float[Tensor, "M F"]) -> Float[Tensor, ""]:
    r"""Return the c of the keys that a query sees, :math:`c = \max_{j, m} (w_m^\top x_j - \lVert x_j \rVert^2 / 2)`, a
    constant.

    Example:
        >>> key_stabilizer(torch.tensor([[2.0], [4.0]]), torch.tensor([[3.0]])).item()  # the larger of 6 - 2 and 12 - 8
        4.0
    """
    return (x @ projection.T - (x * x).sum(1, keepdim=True) / 2).detach().max()


def attention_matrix(
    query: Float[Tensor, "n F"],
    key: Float[Tensor, "n F"],
    projection: Float[Tensor, "M F"],
    channels: int,
    causal: bool,
    eps: float,
) -> Float[Tensor, "n n"]:
    r"""Return the estimated attention of one head of one graph; its rows sum to one.

    .. math::
        A_{ij} = \frac{F(C^{-1/4} q'_i)^\top F(C^{-1/4} k'_j)}{\sum_{j'} F(C^{-1/4} q'_i)^\top F(C^{-1/4} k'_{j'})}

    Args:
        query: Queries q'.
        key: Keys k'.
        projection: Draws W.
        channels: C, channels before positions were appended.
        causal: Whether a token attends only to itself and the tokens before it.
        eps: Added to every feature.

    Example:
        >>> attention_matrix(torch.zeros(2, 1), torch.zeros(2, 1), torch.ones(3, 1), 1, causal=True, eps=0.0).tolist()
        [[1.0, 0.0], [0.5, 0.5]]

    Cost: O(n² M).
    """
    query, key = query / channels**0.25, key / channels**0.25
    rows = []
    for i in range(query.size(0)):
        seen = key[: i + 1] if causal else key
        of_query = positive_features(query[i : i + 1], projection, query_stabilizer(query[i : i + 1], projection), eps)
        of_keys = positive_features(seen, projection, key_stabilizer(seen, projection), eps)
        weights = (of_query @ of_keys.T)[0]
        rows.append(torch.cat([weights / weights.sum(), weights.new_zeros(key.size(0) - len(weights))]))
    return torch.stack(rows)


def flt_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "T H C"],
    value: Float[Tensor, "T H Cv"],
    projection: Float[Tensor, "H M F"],
    sizes: Sequence[int],
    *,
    pos: Float[Tensor, "T l"] | None = None,
    frequencies: Float[Tensor, "H m l"] | None = None,
    ratio: Float[Tensor, "H m"] | None = None,
    causal: bool = False,
    eps: float = 1e-6,
) -> Float[Tensor, "T H Cv"]:
    r"""Return :math:`o_i = \sum_j A_{ij} v_j` of every head of every graph, A being the `attention_matrix`.

    Args:
        query: Queries.
        key: Keys.
        value: Values.
        projection: Draws, F = C + 2m or C without positions.
        sizes: Number of tokens of every graph.
        pos: Positions, or None.
        frequencies: Frequencies, or None.
        ratio: g / p at them, or None.
        causal: Whether a token attends only to itself and the tokens before it.
        eps: Added to every feature.

    Example:
        >>> zero, value = torch.zeros(3, 1, 2), torch.tensor([[[1.0]], [[3.0]], [[7.0]]])
        >>> flt_attention(zero, zero, value, torch.ones(1, 4, 2), [2, 1]).flatten().tolist()  # means of two graphs
        [2.0, 2.0, 7.0]

    Cost: O(H n² M) for each graph.
    """
    out = []
    for begin, end in pairwise(_offsets(sizes)):
        if begin == end:
            continue
        heads = []
        for h in range(query.size(1)):
            q, k, channels = query[begin:end, h], key[begin:end, h], query.size(2)
            if pos is not None and frequencies is not None and ratio is not None:
                q, k = extended(q, k, pos[begin:end], frequencies[h], ratio[h])
            heads.append(attention_matrix(q, k, projection[h], channels, causal, eps) @ value[begin:end, h])
        out.append(torch.stack(heads, dim=1))
    return torch.cat(out) if out else value[:0]


def flt_conv(
    conv: Any, x: Float[Tensor, "T D"], sizes: Sequence[int], pos: Float[Tensor, "T l"] | None = None
) -> Float[Tensor, "T D"]:
    r"""Return the output of ``nn.FLTConv``, :math:`W_o \, [o_1, \dots, o_H] + b_o`, from its weights and draws, without
    dropout.

    Positions of a graph are taken relative to their mean, or to the first one with ``causal``.

    Args:
        conv: The module.
        x: Tokens of all graphs.
        sizes: Number of tokens of every graph.
        pos: Positions, or None.

    Example:
        Queries and keys are zero, so every token gets the mean of the values of its graph:

        >>> from types import SimpleNamespace as Module
        >>> linears = {name: Module(weight=torch.eye(1), bias=None) for name in ("query", "out")}
        >>> pair, draws = Module(weight=torch.tensor([[0.0], [1.0]]), bias=None), torch.zeros(1, 4, 1)
        >>> conv = Module(heads=1, channels=1, causal=False, spectrum=None, projection=draws, key_value=pair, **linears)
        >>> flt_conv(conv, torch.tensor([[1.0], [3.0], [7.0]]), [2, 1]).flatten().tolist()
        [2.0, 2.0, 7.0]
    """
    heads, channels = conv.heads, conv.channels // conv.heads
    query = linear(x, conv.query.weight, conv.query.bias).view(-1, heads, channels)
    pairs = linear(x, conv.key_value.weight, conv.key_value.bias).view(-1, heads, 2, channels)
    geometry = {}
    if conv.spectrum is not None and pos is not None:
        graphs = [pos[begin:end] for begin, end in pairwise(_offsets(sizes)) if begin < end]
        placed = [rows - (rows[0] if conv.causal else rows.mean(0)) for rows in graphs]
        frequencies, ratio = conv.spectrum()
        geometry = {"pos": torch.cat(placed) if placed else pos, "frequencies": frequencies, "ratio": ratio}
    mixed = flt_attention(query, pairs[:, :, 0], pairs[:, :, 1], conv.projection, sizes, causal=conv.causal, **geometry)
    return linear(mixed.flatten(1), conv.out.weight, conv.out.bias)


def _offsets(sizes: Sequence[int]) -> list[int]:
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + size)
    return offsets


def gaussian_mixture_spectrum(
    omega: Float[Tensor, " l"],
    amplitude: Float[Tensor, " t"],
    mean: Float[Tensor, "t l"],
    width: Float[Tensor, " t"],
) -> Float[Tensor, ""]:
    r"""Return :math:`g(\omega) = \sum_t a_t \exp(-\lVert \omega - \mu_t \rVert^2 / (2 \sigma_t^2))` at one frequency.

    Example:
        >>> one = torch.ones(1)
        >>> gaussian_mixture_spectrum(one, 3 * one, one[None], one).item()  # at the centre
        3.0
    """
    return torch.stack(
        [
            a * torch.exp(-((omega - mu) ** 2).sum() / (2 * s**2))
            for a, mu, s in zip(amplitude, mean, width, strict=True)
        ]
    ).sum()


def gaussian_mixture_kernel(
    z: Float[Tensor, " l"],
    amplitude: Float[Tensor, " t"],
    mean: Float[Tensor, "t l"],
    width: Float[Tensor, " t"],
) -> Float[Tensor, ""]:
    r"""Return the real part of f, the Fourier transform of the mixture of Gaussians, at one difference of positions.

    .. math::
        \mathrm{Re} f(z) = \sum_t a_t (2 \pi \sigma_t^2)^{l/2} e^{-2 \pi^2 \sigma_t^2 \lVert z \rVert^2}
            \cos(2 \pi \mu_t^\top z)

    Example:
        >>> one = torch.ones(1)
        >>> round(gaussian_mixture_kernel(0 * one, one, one[None], one).item(), 4)  # the square root of 2 pi
        2.5066
    """
    terms = [
        a
        * (2 * math.pi * s**2) ** (len(z) / 2)
        * torch.exp(-2 * math.pi**2 * s**2 * (z**2).sum())
        * torch.cos(2 * math.pi * (mu * z).sum())
        for a, mu, s in zip(amplitude, mean, width, strict=True)
    ]
    return torch.stack(terms).sum()


def local_box_spectrum(
    omega: Float[Tensor, " l"], amplitude: Float[Tensor, ""], width: Float[Tensor, " l"]
) -> Float[Tensor, ""]:
    r"""Return :math:`g(\omega) = a \prod_i \sin(2 \pi v_i \omega_i) / (\pi \omega_i)` at a frequency without a zero
    component.

    Example:
        >>> one = torch.ones(1)
        >>> round(local_box_spectrum(0.25 * one, one[0], one).item(), 4)  # sin(pi / 2) / (pi / 4)
        1.2732
    """
    return amplitude * (torch.sin(2 * math.pi * width * omega) / (math.pi * omega)).prod()


def local_tent_spectrum(
    omega: Float[Tensor, " l"], amplitude: Float[Tensor, ""], width: Float[Tensor, " l"]
) -> Float[Tensor, ""]:
    r"""Return :math:`g(\omega) = a \prod_i (\sin(\pi v_i \omega_i) / (\pi \omega_i))^2` at a frequency without a zero
    component.

    Example:
        >>> one = torch.ones(1)
        >>> round(local_tent_spectrum(0.5 * one, one[0], one).item(), 4)  # (1 / (pi / 2)) squared
        0.4053
    """
    return amplitude * ((torch.sin(math.pi * width * omega) / (math.pi * omega)) ** 2).prod()
