"""Deterministic random codes for the nodes of a graph: the same for a graph whatever its node order, batch-mates or
device.

In training the codes of Graph-Bridge are fresh Gaussian noise. In evaluation they must be reproducible, and permuting
the nodes of a graph must permute its codes. Both hold when the code of a node is seeded by a hash of the node's
surroundings: colour refinement (Weisfeiler-Leman) on the raw features. Integer arithmetic modulo 2^64 makes it exact,
and sums make it independent of order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float, Int, Shaped

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MIX_1 = 0xBF58476D1CE4E5B9 - 2**64
_MIX_2 = 0x94D049BB133111EB - 2**64
MAX_ROUNDS = 128
STRUCTURAL_CODES = ("structural", "distinct")
"""Ways to derive the codes of nodes from the graph around them, see `keys_of_codes`."""


def _shift(value: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: PyTorch's own keeps the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def mix(value: Int[Tensor, "*size"]) -> Int[Tensor, "*size"]:
    r"""Scramble 64-bit integers with the finaliser of SplitMix64, elementwise; a bijection.

    .. math::
        z &\leftarrow x + \gamma, \qquad
        z \leftarrow (z \oplus z_{\gg 30}) \, c_1, \qquad
        z \leftarrow (z \oplus z_{\gg 27}) \, c_2, \qquad
        \mathrm{mix}(x) = z \oplus z_{\gg 31} \pmod{2^{64}}

    with the constants of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).

    Args:
        value: Integers, int64.

    Returns:
        Scrambled integers, int64.

    Example:
        Neighbouring numbers become unrelated ones:

        >>> mix(torch.tensor([0, 1])).tolist()
        [-2152535657050944081, -7995527694508729151]

    Cost: O(elements), a dozen integer operations each.
    """
    value = value + _GOLDEN
    value = (value ^ _shift(value, 30)) * _MIX_1
    value = (value ^ _shift(value, 27)) * _MIX_2
    return value ^ _shift(value, 31)


def feature_keys(features: Shaped[Tensor, "N ..."]) -> Int[Tensor, " N"]:
    r"""Hash each row of raw features to one 64-bit integer; equal rows have equal keys, whatever their dtype.

    .. math::
        k^{(0)} = 0, \qquad k^{(f)} = \mathrm{mix}\bigl(k^{(f-1)} + \mathrm{bits}(x_f)\bigr),
        \qquad \text{key} = k^{(F)}

    The bits are those of the feature as a float64, so 1 and 1.0 have the same key. [ours]

    Args:
        features: Raw features, integers, floats or bools; further dimensions are flattened.

    Returns:
        Keys, int64.

    Example:
        >>> first, second, third = feature_keys(torch.tensor([[1, 2], [2, 1], [1, 2]]))
        >>> bool(first == third), bool(first == second)
        (True, False)

    Cost: O(N F).
    """
    if features.dim() == 1:
        features = features[:, None]
    bits = (to_float64(features.detach().flatten(1)) + 0.0).view(torch.int64).to(features.device)
    key = torch.zeros(bits.size(0), dtype=torch.long, device=bits.device)
    for column in bits.unbind(1):
        key = mix(key + column)
    return key


@torch.compiler.disable
def structural_keys(
    node_keys: Int[Tensor, " N"],
    edge_index: Int[Tensor, "2 E"],
    index: RaggedIndex,
    edge_keys: Int[Tensor, " E"] | None = None,
    *,
    max_rounds: int = MAX_ROUNDS,
) -> Int[Tensor, " N"]:
    r"""Refine node keys until they tell apart nodes in different surroundings: Weisfeiler-Leman colour refinement.

    .. math::
        \kappa_i \leftarrow \mathrm{mix}\Bigl( c \, \kappa_i
            + \sum_{j: (i, j) \in E} \kappa_j \oplus \mathrm{mix}(e_{ij})
            + \sum_{j: (j, i) \in E} \kappa_j \oplus \mathrm{mix}(\mathrm{mix}(e_{ji})) \Bigr) \pmod{2^{64}}

    Out- and in-neighbours count separately, each with the key of its edge. A graph with n nodes gets min(n,
    ``max_rounds``) rounds, so that its keys depend on nothing but itself. Nodes that the refinement cannot tell apart,
    such as the two methyl groups of an isopropyl group, keep equal keys. [ours]

    Args:
        node_keys: Keys of the raw node features, int64.
        edge_index: Sources and targets of the edges.
        index: Where the nodes of each graph begin and end.
        edge_keys: Keys of the raw edge features; None means that all edges are alike.
        max_rounds: Upper bound of the rounds, at least 0.

    Returns:
        Keys, int64.

    Example:
        The ends of a path look alike, its middle does not:

        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> index = RaggedIndex(torch.tensor([0, 3]))
        >>> left, middle, right = structural_keys(torch.zeros(3, dtype=torch.long), path, index)
        >>> bool(left == right), bool(left == middle)
        (True, False)

    Cost: O(max_rounds (N + E)) integer operations, independent of the number of channels.
    """
    around = _Surroundings(edge_index, edge_keys)
    sizes = index.ptr.diff()[index.batch]
    keys = mix(node_keys)
    for round_number in range(min(index.max_size, max_rounds)):
        refined = mix(keys * _MIX_1 + around(keys))
        keys = torch.where(round_number < sizes, refined, keys)
    return keys


class _Surroundings:
    """Sums over the neighbours of each node, with the keys of the edges and their directions."""

    def __init__(self, edge_index: Tensor, edge_keys: Tensor | None) -> None:
        label = torch.zeros_like(edge_index[0]) if edge_keys is None else edge_keys
        self.both_ends, self.other_ends = edge_index.flatten(), edge_index.flip(0).flatten()
        self.side = torch.cat([mix(label), mix(mix(label))])

    def __call__(self, keys: Tensor) -> Tensor:
        # Exclusive or ties a neighbour to its label before the sum forgets the order.
        return torch.zeros_like(keys).index_add_(0, self.both_ends, keys[self.other_ends] ^ self.side)


@torch.compiler.disable
def distinct_keys(
    keys: Int[Tensor, " N"],
    edge_index: Int[Tensor, "2 E"],
    index: RaggedIndex,
    edge_keys: Int[Tensor, " E"] | None = None,
    *,
    max_rounds: int = MAX_ROUNDS,
) -> Int[Tensor, " N"]:
    r"""Change the keys of `structural_keys` until all nodes of a graph differ: individualise a node, then refine again.

    Nodes with equal keys and the same neighbours, such as two methyl groups at one atom, are numbered. Of the nodes
    that are still alike, one with the smallest key gets a key of its own, the others are refined with it, and so on:
    the search of `"Practical Graph Isomorphism" <https://users.cecs.anu.edu.au/~bdm/papers/pgi.pdf>`_ along one path.

    If alike nodes can be exchanged by a symmetry of the graph, as in nearly all molecules, it does not matter which of
    them is taken: permuting nodes then changes the keys of alike nodes only in a way that maps the graph onto itself,
    and a permutation-invariant network sees the same graph. Otherwise the keys depend on the order of the nodes. [ours]

    Args:
        keys: Keys from `structural_keys`, int64.
        edge_index: Sources and targets of the edges.
        index: Where the nodes of each graph begin and end.
        edge_keys: Keys of the raw edge features; None means that all edges are alike.
        max_rounds: Largest number of nodes of a graph that are individualised; the rest of its alike nodes is numbered
            in the order of the nodes.

    Returns:
        Keys, int64; all keys of a graph differ.

    Example:
        The ends of a path look alike, but are two nodes:

        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> index = RaggedIndex(torch.tensor([0, 3]))
        >>> keys = structural_keys(torch.zeros(3, dtype=torch.long), path, index)
        >>> len(set(keys.tolist())), len(set(distinct_keys(keys, path, index).tolist()))
        (2, 3)

    Cost: O(N log N + E) for each round of refinement; a peptide with 150 atoms needs about 30 rounds.
    """
    around, batch = _Surroundings(edge_index, edge_keys), index.batch
    # The number of a node identifies it, so that only nodes with the same neighbours have the same surroundings.
    neighbours = around(mix(torch.arange(keys.numel(), device=keys.device)))
    keys = _numbered(keys, mix(keys) ^ neighbours, batch)
    for _ in range(max_rounds):
        _, tied = _classes(keys, index)
        if not bool(tied.any()):
            return keys
        # Of the class with the smallest key, the first node of each graph.
        largest = torch.iinfo(torch.long).max
        smallest = torch.full_like(index.ptr[1:], largest).scatter_reduce_(
            0, batch[tied], keys[tied], "amin", include_self=True
        )
        nodes = (tied & (keys == smallest[batch])).nonzero().flatten()
        first = torch.full_like(smallest, keys.numel()).scatter_reduce_(0, batch[nodes], nodes, "amin")
        changed = first < keys.numel()
        keys = keys.clone()
        keys[first[changed]] = mix(keys[first[changed]] ^ _MIX_2)
        # Each graph is refined for as long as it helps, whatever the other graphs of the batch need.
        while bool(changed.any()):
            refined = torch.where(changed[batch], mix(keys * _MIX_1 + around(keys)), keys)
            before, keys = _classes(keys, index)[0], refined
            changed = changed & (_classes(keys, index)[0] > before)
    return _numbered(keys, keys, batch)


def keys_of_codes(
    kind: str,
    node_keys: Int[Tensor, " N"],
    edge_index: Int[Tensor, "2 E"],
    index: RaggedIndex,
    edge_keys: Int[Tensor, " E"] | None = None,
) -> Int[Tensor, " N"]:
    """Return the keys from which codes of nodes are drawn.

    Args:
        kind: ``"structural"`` for `structural_keys`, ``"distinct"`` for those of `distinct_keys`.
        node_keys: Keys of the raw node features, int64.
        edge_index: Sources and targets of the edges.
        index: Where the nodes of each graph begin and end.
        edge_keys: Keys of the raw edge features; None means that all edges are alike.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> nodes, index = torch.zeros(3, dtype=torch.long), RaggedIndex(torch.tensor([0, 3]))
        >>> [len(set(keys_of_codes(kind, nodes, path, index).tolist())) for kind in STRUCTURAL_CODES]
        [2, 3]

    Cost: That of `structural_keys`, and with ``"distinct"`` that of `distinct_keys` too.
    """
    keys = structural_keys(node_keys, edge_index, index, edge_keys)
    return distinct_keys(keys, edge_index, index, edge_keys) if kind == "distinct" else keys


def _classes(keys: Tensor, index: RaggedIndex) -> tuple[Tensor, Tensor]:
    """Return how many different keys each graph has [B], and which nodes share theirs with another one [N]."""
    _, number, counts = torch.unique(mix(keys) ^ mix(index.batch), return_inverse=True, return_counts=True)
    graph = torch.empty_like(counts).scatter_(0, number, index.batch)
    return torch.bincount(graph, minlength=index.num_graphs), counts[number] > 1


def _numbered(keys: Tensor, alike: Tensor, batch: Tensor) -> Tensor:
    """Number the nodes of a graph with equal ``alike``, from 0, and mix the numbers above 0 into their keys."""
    _, group, counts = torch.unique(mix(alike) ^ mix(batch), return_inverse=True, return_counts=True)
    order = torch.argsort(group, stable=True)
    number = torch.empty_like(group)
    number[order] = torch.arange(group.numel(), device=keys.device) - (counts.cumsum(0) - counts)[group[order]]
    return torch.where(number > 0, mix(keys ^ mix(number)), keys)


def gaussian_codes(
    keys: Int[Tensor, " N"], channels: int, *, draw: int = 0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "N D"]:
    r"""Turn keys into standard normal codes by a counter-based generator: Box-Muller on hashed bits.

    .. math::
        \epsilon_{c} = \sqrt{-2 \ln u} \, \cos(2 \pi v), \quad
        \epsilon_{c + \lceil D/2 \rceil} = \sqrt{-2 \ln u} \, \sin(2 \pi v), \quad
        u = \tfrac{b_{\gg 11} + 1}{2^{53}}, \quad v = \tfrac{\mathrm{mix}(b)_{\gg 11}}{2^{53}}, \quad
        b = \mathrm{mix}\bigl(\kappa_i \oplus \mathrm{mix}(c + \mathrm{mix}(\text{draw}))\bigr)

    These are the codes :math:`\epsilon_i` of Graph-Bridge (section 4.3 of `SAMSA <https://arxiv.org/abs/2408.05391>`_)
    in evaluation. [ours]

    Args:
        keys: Keys, int64; equal keys give equal codes.
        channels: Number of channels D.
        draw: Number of the draw, from 0; different draws are independent.
        dtype: Floating-point type of the result.

    Returns:
        Codes.

    Example:
        >>> codes = gaussian_codes(torch.arange(1000), 64)
        >>> bool(codes.mean().abs() < 0.02), bool((codes.std() - 1).abs() < 0.02)
        (True, True)

    Cost: O(N D), in float64.
    """
    pairs = (channels + 1) // 2
    counter = mix(
        torch.arange(pairs, device=keys.device) + mix(torch.full((), draw, dtype=torch.long, device=keys.device))
    )
    bits = mix(keys[:, None] ^ counter)
    scale = 2.0**-53
    radius = (-2.0 * torch.log((to_float64(_shift(bits, 11)) + 1.0) * scale)).sqrt()
    angle = to_float64(_shift(mix(bits), 11)) * (2.0 * math.pi * scale)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :channels].to(dtype).to(keys.device)
