"""Linear attention with a learned relative positional encoding, literally (theorem 4.1 and section 4 of arXiv 2302.01925).

Loops over graphs and heads. The features are formed and the estimated matrix of attention is written out, n x n. Random draws are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.reference.samsa import linear


def fourier_features(pos: Tensor, frequencies: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Return phi and psi of one head, complex [n, m], for positions [n, l], frequencies [m, l] and ratios g / p [m]."""
    count = frequencies.size(0)
    phi, psi = [], []
    for r in pos:
        angles = torch.stack([2 * math.pi * (w * r).sum() for w in frequencies])
        phi.append(ratio * torch.complex(angles.cos(), angles.sin()) / math.sqrt(count))
        psi.append(torch.complex(angles.cos(), -angles.sin()) / math.sqrt(count))
    return torch.stack(phi), torch.stack(psi)


def encoding_matrix(pos: Tensor, frequencies: Tensor, ratio: Tensor) -> Tensor:
    """Return the estimate Re(phi psi^T) of [f(r_i - r_j)] of one head, [n, n]."""
    phi, psi = fourier_features(pos, frequencies, ratio)
    return (phi @ psi.T).real


def extended(query: Tensor, key: Tensor, pos: Tensor, frequencies: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Return q' and k' of one head [n, C + 2m], whose product over the root of C is that of q and k plus the encoding."""
    phi, psi = fourier_features(pos, frequencies, ratio)
    scale = query.size(1) ** 0.25
    return torch.cat([query, scale * phi.real, scale * phi.imag], dim=1), torch.cat(
        [key, scale * psi.real, -scale * psi.imag], dim=1
    )


def positive_features(x: Tensor, projection: Tensor, stabilizer: Tensor | float, eps: float) -> Tensor:
    """Return F of the vectors of one head [n, M], for projections [M, F]."""
    exponents = (x @ projection.T) - (x * x).sum(1, keepdim=True) / 2 - stabilizer
    return torch.exp(exponents) / math.sqrt(projection.size(0)) + eps


def query_stabilizer(x: Tensor, projection: Tensor) -> Tensor:
    """Return c of one query [1, C + 2m]: its largest exponent, whose squared length is taken away altogether and whose W x counts as a constant."""
    return (x @ projection.T).detach().max() - (x * x).sum() / 2


def key_stabilizer(x: Tensor, projection: Tensor) -> Tensor:
    """Return c of the keys [n, C + 2m] that a query sees: their largest exponent, as a constant."""
    return (x @ projection.T - (x * x).sum(1, keepdim=True) / 2).detach().max()


def attention_matrix(query: Tensor, key: Tensor, projection: Tensor, channels: int, causal: bool, eps: float) -> Tensor:
    """Return the estimated attention [n, n] of one head of one graph, rows summing to one, for q' and k' and the C of q and k."""
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
    query: Tensor,
    key: Tensor,
    value: Tensor,
    projection: Tensor,
    sizes: Sequence[int],
    *,
    pos: Tensor | None = None,
    frequencies: Tensor | None = None,
    ratio: Tensor | None = None,
    causal: bool = False,
    eps: float = 1e-6,
) -> Tensor:
    """Return the output [T, H, C'] for queries and keys [T, H, C], values [T, H, C'] and draws [H, M, C + 2m], [H, m, l] with ratios [H, m]."""
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


def flt_conv(conv: Any, x: Tensor, sizes: Sequence[int], pos: Tensor | None = None) -> Tensor:
    """Return what ``nn.FLTConv`` should, [T, D], from its weights and its draws, without dropout."""
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


def gaussian_mixture_spectrum(omega: Tensor, amplitude: Tensor, mean: Tensor, width: Tensor) -> Tensor:
    """Return g at one frequency [l], for amplitudes [n], centres [n, l] and widths [n] of one head."""
    return torch.stack(
        [
            a * torch.exp(-((omega - mu) ** 2).sum() / (2 * s**2))
            for a, mu, s in zip(amplitude, mean, width, strict=True)
        ]
    ).sum()


def gaussian_mixture_kernel(z: Tensor, amplitude: Tensor, mean: Tensor, width: Tensor) -> Tensor:
    """Return the real part of f at one difference of positions [l]."""
    terms = [
        a
        * (2 * math.pi * s**2) ** (len(z) / 2)
        * torch.exp(-2 * math.pi**2 * s**2 * (z**2).sum())
        * torch.cos(2 * math.pi * (mu * z).sum())
        for a, mu, s in zip(amplitude, mean, width, strict=True)
    ]
    return torch.stack(terms).sum()


def local_box_spectrum(omega: Tensor, amplitude: Tensor, width: Tensor) -> Tensor:
    """Return a prod sin(2 pi v_i w_i) / (pi w_i) at one frequency [l], none of whose components is zero."""
    return amplitude * (torch.sin(2 * math.pi * width * omega) / (math.pi * omega)).prod()


def local_tent_spectrum(omega: Tensor, amplitude: Tensor, width: Tensor) -> Tensor:
    """Return a prod (sin(pi v_i w_i) / (pi w_i))^2 at one frequency [l], none of whose components is zero."""
    return amplitude * ((torch.sin(math.pi * width * omega) / (math.pi * omega)) ** 2).prod()
