"""Linear attention of packed tokens by positive random features, without keeping a feature."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.autocast import without_autocast
from pyg_samsa.functional.dense_layout import DenseLayout
from pyg_samsa.functional.favor import (
    LinearAttention,
    Maps,
    Rows,
    divide,
    key_exponents,
    make_maps,
    query_features,
    with_one,
)
from pyg_samsa.functional.fused import can_fuse
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float

# Number of tokens of a chunk of the causal sums: all pairs of a chunk are computed; chunks are connected by sums.
_CHUNK = 128


class Waves(NamedTuple):
    r"""The relative positional encoding of linear attention: :math:`\cos \theta, \sin \theta` and :math:`g / p` of its
    draws.

    Attributes:
        waves: Cosines and sines of every token, see `fourier_waves`.
        ratio: Spectrum over density at the frequencies.

    Example:
        >>> from pyg_samsa.functional import fourier_waves
        >>> relative = Waves(fourier_waves(torch.zeros(5, 3), torch.randn(2, 4, 3)), torch.ones(2, 4))
        >>> relative.waves.shape
        torch.Size([5, 2, 8])
    """

    waves: Float[Tensor, "T H 2*m"]
    ratio: Float[Tensor, "H m"]


def linear_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "T H C"],
    value: Float[Tensor, "T H Cv"],
    projection: Float[Tensor, "H M F"],
    index: RaggedIndex,
    *,
    relative: Waves | None = None,
    causal: bool = False,
    eps: float = 1e-6,
) -> Float[Tensor, "T H Cv"]:
    r"""Let every token attend to all tokens of its own graph in linear time, with a relative positional encoding.

    .. math::
        o_i = \frac{F(C^{-1/4} q'_i)^\top \sum_j F(C^{-1/4} k'_j) \, v_j^\top}
                   {F(C^{-1/4} q'_i)^\top \sum_j F(C^{-1/4} k'_j)}
        \approx \sum_j \mathrm{softmax}_j\bigl(q_i^\top k_j / \sqrt{C} + f(r_i - r_j)\bigr) \, v_j

    The features F are those of the `Performer <https://arxiv.org/abs/2009.14794>`_, see `positive_features`; q' and k'
    are those of `FLT <https://arxiv.org/abs/2302.01925>`_ (section 4), see `append_waves`. The stabilizer c of F is the
    largest exponent: of its own row for a query, of the whole graph for keys, and with ``causal``, where the sums run
    over :math:`j \le i`, of the keys up to the query. It is treated as a constant, except that the squared length of a
    query, which all its features share, cancels.

    Args:
        query: Queries q.
        key: Keys k.
        value: Values v.
        projection: Draws with F = C + 2m, or F = C without an encoding, see `orthogonal_gaussian`.
        index: Where each graph begins and ends.
        relative: The positional encoding, or None.
        causal: Whether a token attends only to itself and the tokens before it in its graph.
        eps: Added to every feature, at least 0.

    Returns:
        Output, in the type of the queries.

    Raises:
        ShapeError: The projection does not fit the queries.

    Example:
        Weights sum to one, so equal values come back as they are, whatever was drawn:

        >>> index = RaggedIndex(torch.tensor([0, 2, 3]))
        >>> query, key, projection = torch.randn(3, 2, 4), torch.randn(3, 2, 4), torch.randn(2, 8, 4)
        >>> out = linear_attention(query, key, torch.ones(3, 2, 5), projection, index)
        >>> out.shape, torch.allclose(out, torch.ones(3, 2, 5))
        (torch.Size([3, 2, 5]), True)

    Cost: O(T H M (C + m)) time. On the CPU O(T H (C + m)) memory: features are computed again for the gradient, in
    pieces that stay in the cache; ``causal``, and on other devices, O(T H M) memory.
    """
    width = query.size(-1) + (0 if relative is None else relative.waves.size(-1))
    if projection.dim() != 3 or projection.size(0) != query.size(1) or projection.size(2) != width:
        raise ShapeError("projection", list(projection.shape), f"[{query.size(1)}, M, {width}]")
    if index.num_tokens == 0:
        return value.clone()
    tensors = (query, key, value, *(() if relative is None else (relative.waves,)))
    dtype = torch.promote_types(query.dtype, torch.float32)
    # Exponentials and sums over whole graphs need float32, also under autocast.
    with without_autocast(query):
        query, key, value, *waves = (tensor.to(dtype) for tensor in tensors)
        maps = make_maps(projection.to(dtype), query.size(-1), None if relative is None else relative.ratio.to(dtype))
        run = _causal if causal else _in_pieces if can_fuse(query) else _dense
        return run(
            Rows(query, key, value, waves[0] if waves else None), maps, index, eps * math.sqrt(projection.size(1))
        ).to(tensors[0].dtype)


def _dense(rows: Rows, maps: Maps, index: RaggedIndex, floor: float) -> Tensor:
    """Compute one product for each group of graphs of similar size, laid out as dense tables [G, width].

    Plain operations only, for accelerators and compilers.
    """

    def attend(layout: DenseLayout) -> Tensor:
        some, shape = _in_table(rows, layout), (rows.query.size(1), *layout.real.shape, -1)
        query, exponents = query_features(some, maps, floor).view(shape), key_exponents(some, maps).view(shape)
        real = layout.real[..., None]
        exponents = exponents.masked_fill(~real, -torch.inf)
        largest = exponents.detach().amax((2, 3), keepdim=True)
        # A graph without tokens has no largest exponent.
        key = (exponents - largest.masked_fill(largest == -torch.inf, 0)).exp() + real.to(exponents.dtype) * floor
        sums = key.transpose(2, 3) @ with_one(some.value).transpose(0, 1).reshape(*shape[:3], -1)
        return (query @ sums).permute(1, 2, 0, 3)

    # Divide after padding has been removed: a graph without tokens has sums of zero.
    return divide(index.in_tables(attend))


def _in_table(rows: Rows, layout: DenseLayout) -> Rows:
    """Return the rows of a table, one graph after the other with its padding."""
    return rows.map(lambda tensor: layout.to_table(tensor).flatten(0, 1))


def _in_pieces(rows: Rows, maps: Maps, index: RaggedIndex, floor: float) -> Tensor:
    out: Tensor = LinearAttention.apply(*rows, *maps, index, floor)
    return out


def _causal(rows: Rows, maps: Maps, index: RaggedIndex, floor: float) -> Tensor:
    """Causal attention: a graph at a time on the CPU, a group of graphs at a time elsewhere."""
    if can_fuse(rows.query):
        bounds = itertools.pairwise(itertools.accumulate([0, *index.sizes]))
        parts = [
            (rows.take(slice(*bound)), (rows.query.size(1), 1, bound[1] - bound[0], -1))
            for bound in bounds
            if bound[0] < bound[1]
        ]
        return torch.cat([_prefix_sums(part, maps, shape, floor)[:, 0].transpose(0, 1) for part, shape in parts])

    # Padding comes after all tokens of a graph, which do not attend to it.
    def attend(layout: DenseLayout) -> Tensor:
        shape = (rows.query.size(1), *layout.real.shape, -1)
        return _prefix_sums(_in_table(rows, layout), maps, shape, floor).permute(1, 2, 0, 3)

    return index.in_tables(attend)


def _prefix_sums(rows: Rows, maps: Maps, shape: tuple[int, ...], floor: float) -> Tensor:
    """Return the causal output [H, G, n, C'] of G graphs of n tokens each, ``shape`` is (H, G, n, -1).

    Sums over earlier chunks are kept relative to the largest exponent so far, pairs within a chunk relative to the one
    up to the query: nothing overflows, and no later token has a part in it.
    """
    heads, graphs, size, _ = shape
    tables = (None if tensor is None else tensor.unflatten(0, (graphs, size)) for tensor in rows)
    table = Rows(*tables)  # type: ignore[arg-type]
    largest = rows.query.new_full((heads, graphs, 1), -torch.inf)
    sums: Tensor | None = None
    total = rows.value.new_zeros(heads, graphs, 1, rows.value.size(-1) + 1)
    out = []
    for begin in range(0, size, _CHUNK):
        width = min(_CHUNK, size - begin)
        chunk = (None if tensor is None else tensor[:, begin : begin + width].flatten(0, 1) for tensor in table)
        some = Rows(*chunk)  # type: ignore[arg-type]
        query, exponents = (
            tensor.view(heads, graphs, width, -1)
            for tensor in (query_features(some, maps, floor), key_exponents(some, maps))
        )
        value = with_one(some.value).transpose(0, 1).reshape(heads, graphs, width, -1)
        own = exponents.detach().amax(-1)
        key = (exponents - own[..., None]).exp()
        upto = torch.maximum(largest, own.cummax(-1).values)
        later = torch.ones(width, width, dtype=torch.bool, device=value.device).triu(1)
        weight = (own[..., None, :] - upto[..., None]).masked_fill(later, -torch.inf).exp()
        result = ((query @ key.transpose(2, 3)) * weight) @ value
        if sums is not None:
            result = result + (query @ sums) * (largest - upto).exp()[..., None]
        result = result + floor * query.sum(-1, keepdim=True) * (total + value.cumsum(2))
        out.append(divide(result))
        last = upto[..., -1:]
        added = (key * (own - last).exp()[..., None]).transpose(2, 3) @ value
        sums = added if sums is None else sums * (largest - last).exp()[..., None] + added
        largest, total = last, total + value.sum(2, keepdim=True)
    return torch.cat(out, dim=2)
