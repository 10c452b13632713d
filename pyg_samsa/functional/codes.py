"""Deterministic random codes for the nodes of a graph: the same for a graph whatever its node order, batch-mates or device.

In training the codes of Graph-Bridge are fresh Gaussian noise. In evaluation they must be reproducible, and permuting the nodes of a graph must
permute its codes. Both hold when the seed of a node's code is a fingerprint of the node's place in its graph: colour refinement (Weisfeiler-Leman)
on the raw features. Integer arithmetic modulo 2^64 makes it exact, and sums make it independent of order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64
MAX_ROUNDS = 128


def _shift(value: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: PyTorch's own keeps the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def mix(value: Tensor) -> Tensor:
    """Scramble 64-bit integers with the finaliser of SplitMix64, elementwise; a bijection.

    Example:
        >>> mix(torch.tensor([0, 1])).tolist()
        [-2152535657050944081, -7995527694508729151]
    """
    value = value + _GOLDEN
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


def feature_keys(features: Tensor) -> Tensor:
    """Hash each row of raw features to one 64-bit integer; equal rows have equal keys, whatever their dtype.

    Args:
        features: Raw features [N, F] or [N], of integers or floats.

    Returns:
        Keys [N] int64.

    Example:
        >>> first, second, third = feature_keys(torch.tensor([[1, 2], [2, 1], [1, 2]]))
        >>> bool(first == third), bool(first == second)
        (True, False)

    Cost: O(N F).
    """
    if features.dim() == 1:
        features = features[:, None]
    bits = (features.detach().flatten(1).double() + 0.0).view(torch.int64)
    key = torch.zeros(bits.size(0), dtype=torch.long, device=bits.device)
    for column in bits.unbind(1):
        key = mix(key + column)
    return key


@torch.compiler.disable
def structural_keys(
    node_keys: Tensor,
    edge_index: Tensor,
    index: RaggedIndex,
    edge_keys: Tensor | None = None,
    *,
    max_rounds: int = MAX_ROUNDS,
) -> Tensor:
    r"""Refine node keys until they say where in its graph a node stands: Weisfeiler-Leman colour refinement on directed, labelled edges.

    Each round replaces the key of a node by a hash of itself and of the multisets of its out- and in-neighbours with their edge keys. A graph with n
    nodes gets min(n, ``max_rounds``) rounds, so that its keys depend on nothing but itself. Nodes that the refinement cannot tell apart, such as the
    two methyls of an isopropyl group, keep equal keys.

    Args:
        node_keys: Keys of the raw node features [N] int64.
        edge_index: Edges [2, E].
        index: Where the nodes of each graph begin and end.
        edge_keys: Keys of the raw edge features [E], or None.
        max_rounds: Upper bound of the rounds.

    Returns:
        Keys [N] int64.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> ends, middle, other = structural_keys(torch.zeros(3, dtype=torch.long), path, RaggedIndex(torch.tensor([0, 3])))
        >>> bool(ends == other), bool(ends == middle)
        (True, False)

    Cost: O(max_rounds (N + E)) integer operations, no D channels.
    """
    both_ends = edge_index.flatten()
    other_ends = edge_index.flip(0).flatten()
    label = torch.zeros_like(edge_index[0]) if edge_keys is None else edge_keys
    side = torch.cat([mix(label), mix(mix(label))])
    sizes = index.ptr.diff()[index.batch]
    keys = mix(node_keys)
    for round_number in range(min(index.max_size, max_rounds)):
        # Exclusive or ties a neighbour to its label before the sum forgets the order.
        around = torch.zeros_like(keys).index_add_(0, both_ends, keys[other_ends] ^ side)
        refined = mix(keys * _MIX_1 + around)
        keys = torch.where(round_number < sizes, refined, keys)
    return keys


def gaussian_codes(keys: Tensor, channels: int, *, draw: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""Turn keys into standard normal codes: a counter-based generator, Box-Muller on hashed bits.

    Args:
        keys: Keys [N] int64; equal keys give equal codes.
        channels: Number of channels D.
        draw: Number of the draw, from 0; different draws are independent.
        dtype: Floating-point type of the result.

    Returns:
        Codes [N, D].

    Example:
        >>> codes = gaussian_codes(torch.arange(1000), 64)
        >>> bool(codes.mean().abs() < 0.02), bool((codes.std() - 1).abs() < 0.02)
        (True, True)

    Cost: O(N D).
    """
    pairs = (channels + 1) // 2
    counter = mix(
        torch.arange(pairs, device=keys.device) + mix(torch.full((), draw, dtype=torch.long, device=keys.device))
    )
    bits = mix(keys[:, None] ^ counter)
    scale = 2.0**-53
    radius = (-2.0 * torch.log((_shift(bits, 11).double() + 1.0) * scale)).sqrt()
    angle = _shift(mix(bits), 11).double() * (2.0 * math.pi * scale)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :channels].to(dtype)
