"""Positive random features of packed tokens, and linear attention with them in pieces that fit in the CPU cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float

# Number of tokens whose features are kept at a time: they fit in the cache, and calls take little of the time.
_TOKENS = 1024


class Rows(NamedTuple):
    r"""Queries :math:`q`, keys :math:`k`, values :math:`v` and waves :math:`(\cos \theta, \sin \theta)` of some tokens.

    Attributes:
        query: Queries.
        key: Keys.
        value: Values.
        waves: Waves, see `fourier_waves`, or None.

    Example:
        >>> Rows(torch.zeros(3, 1, 2), torch.zeros(3, 1, 2), torch.zeros(3, 1, 4), None).value.shape
        torch.Size([3, 1, 4])
    """

    query: Float[Tensor, "T H C"]
    key: Float[Tensor, "T H C"]
    value: Float[Tensor, "T H Cv"]
    waves: Float[Tensor, "T H 2*m"] | None

    def take(self, rows: slice) -> Rows:
        """Return the rows of some tokens.

        Example:
            >>> rows = Rows(torch.zeros(3, 1, 2), torch.zeros(3, 1, 2), torch.arange(3.0).view(3, 1, 1), None)
            >>> rows.take(slice(1, 3)).value.flatten()
            tensor([1., 2.])
        """
        return self.map(lambda tensor: tensor[rows])

    def map(self, function: Callable[[Tensor], Tensor]) -> Rows:
        """Return the results of a function of one tensor.

        Example:
            >>> rows = Rows(torch.zeros(3, 1, 2), torch.zeros(3, 1, 2), torch.zeros(3, 1, 1), None)
            >>> rows.map(torch.exp).value.flatten()
            tensor([1., 1., 1.])
        """
        return Rows(*(None if tensor is None else function(tensor) for tensor in self))  # type: ignore[arg-type]


class Maps(NamedTuple):
    """The matrices whose product with tokens gives exponents, scales included: :math:`W C^{-1/4}` in two parts.

    Attributes:
        content: For the channels.
        query_waves: For the waves of queries, times the ratio g / p; None without an encoding.
        key_waves: For the waves of keys; None without an encoding.

    Example:
        >>> Maps(torch.zeros(1, 2, 8), None, None).content.shape
        torch.Size([1, 2, 8])
    """

    content: Float[Tensor, "H C M"]
    query_waves: Float[Tensor, "H 2*m M"] | None
    key_waves: Float[Tensor, "H 2*m M"] | None


def make_maps(projection: Float[Tensor, "H M F"], channels: int, ratio: Float[Tensor, "H m"] | None) -> Maps:
    r"""Cut projections into the parts for channels and for waves.

    .. math::
        W = [W_c, W_w], \qquad
        W \, C^{-1/4} q' = C^{-1/4} W_c \, q + W_w \, (\rho \odot \text{waves}), \qquad
        W \, C^{-1/4} k' = C^{-1/4} W_c \, k + W_w \, \text{waves}

    Args:
        projection: W.
        channels: Channels C of queries and keys.
        ratio: :math:`\rho`, which goes to the queries alone; None without an encoding.

    Example:
        >>> make_maps(torch.ones(1, 2, 16), 16, None).content[0, 0]
        tensor([0.5000, 0.5000])

    Cost: O(H M (C + m)).
    """
    maps = projection.transpose(1, 2)
    content, waves = maps[:, :channels] * channels**-0.25, maps[:, channels:]
    return (
        Maps(content, None, None)
        if ratio is None
        else Maps(content, waves * ratio.repeat(1, 2).unsqueeze(-1), waves.contiguous())
    )


def project(
    rows: Float[Tensor, "T H C"],
    content: Float[Tensor, "H C M"],
    waves: Float[Tensor, "T H waves"] | None,
    waves_map: Float[Tensor, "H waves M"] | None,
) -> Float[Tensor, "H T M"]:
    r"""Project tokens and their waves: :math:`W_c \, x + W_w \, \text{waves}`, the heads in front.

    Args:
        rows: Queries or keys.
        content: Map of their channels.
        waves: Waves of the tokens, or None.
        waves_map: Map of the waves, or None.

    Example:
        >>> project(torch.ones(3, 2, 4), torch.ones(2, 4, 5), None, None).shape
        torch.Size([2, 3, 5])

    Cost: O(T H M (C + m)).
    """
    exponents = torch.bmm(rows.transpose(0, 1), content)
    return exponents if waves is None or waves_map is None else exponents.baddbmm_(waves.transpose(0, 1), waves_map)


def query_features(rows: Rows, maps: Maps, floor: float) -> Float[Tensor, "H T M"]:
    r"""Return the features of queries, times :math:`\sqrt{M}`.

    .. math::
        \sqrt{M} \, F(x_i)_m = \exp\bigl((W x_i)_m - \max_{m'} (W x_i)_{m'}\bigr) + \sqrt{M} \epsilon

    The squared length of a query is part of all its exponents, so the stabilizer cancels it.

    Args:
        rows: The tokens.
        maps: See `make_maps`.
        floor: :math:`\sqrt{M} \epsilon`.

    Example:
        >>> rows = Rows(torch.tensor([[[2.0]], [[-1.0]]]), torch.zeros(2, 1, 1), torch.zeros(2, 1, 1), None)
        >>> query_features(rows, make_maps(torch.tensor([[[0.0], [1.0]]]), 1, None), 0.0)
        tensor([[[0.1353, 1.0000],
                 [1.0000, 0.3679]]])

    Cost: O(T H M (C + m)).
    """
    exponents = project(rows.query, maps.content, rows.waves, maps.query_waves)
    return (exponents - exponents.detach().amax(-1, keepdim=True)).exp() + floor


def key_exponents(rows: Rows, maps: Maps) -> Float[Tensor, "H T M"]:
    r"""Return the exponents of keys, :math:`(W k')_m - \lVert k \rVert^2 / (2 \sqrt{C})`.

    The squared length of the waves is the same for all keys, so the stabilizer cancels it.

    Args:
        rows: The tokens.
        maps: See `make_maps`.

    Example:
        >>> rows = Rows(torch.zeros(1, 1, 1), torch.tensor([[[2.0]]]), torch.zeros(1, 1, 1), None)
        >>> key_exponents(rows, make_maps(torch.tensor([[[3.0]]]), 1, None))  # 3 * 2 - 2^2 / 2
        tensor([[[4.]]])

    Cost: O(T H M (C + m)).
    """
    half = rows.key.square().sum(-1) * (0.5 / math.sqrt(rows.key.size(-1)))
    return project(rows.key, maps.content, rows.waves, maps.key_waves).sub_(half.t().unsqueeze(-1))


def with_one(value: Float[Tensor, "T H Cv"]) -> Float[Tensor, "T H Cv+1"]:
    """Append a one to the values: the sum of weights times :math:`[v, 1]` holds numerator and denominator of attention.

    Example:
        >>> with_one(torch.tensor([[[3.0, 4.0]]]))
        tensor([[[3., 4., 1.]]])

    Cost: O(T H C).
    """
    return torch.nn.functional.pad(value, (0, 1), value=1.0)


def divide(sums: Float[Tensor, "... _"]) -> Float[Tensor, "... Cv"]:
    r"""Divide by the last column: :math:`[a, b] \mapsto a / b`.

    Example:
        >>> divide(torch.tensor([[6.0, 8.0, 2.0]]))
        tensor([[3., 4.]])

    Cost: O(elements).
    """
    return sums[..., :-1] / sums[..., -1:]


class _Gradients:
    """The gradients that the backward pass of `LinearAttention` computes; those that are not needed are None."""

    def __init__(self, rows: Rows, maps: Maps, needed: tuple[bool, ...]) -> None:
        self.rows = Rows(
            torch.empty_like(rows.query),
            torch.empty_like(rows.key),
            torch.empty_like(rows.value),
            self._zeros(rows.waves, needed[3]),
        )
        self.maps = [self._zeros(tensor, need) for tensor, need in zip(maps, needed[4:7], strict=True)]

    @staticmethod
    def _zeros(tensor: Tensor | None, needed: bool) -> Tensor | None:
        return torch.zeros_like(tensor) if needed and tensor is not None else None

    def exponents(self, name: str, where: slice, rows: Rows, maps: Maps, grad: Tensor) -> None:
        """Take the gradient [H, n, M] of the exponents of queries or of keys, ``name``, back to what was projected."""
        content, waves_map, number = (
            (rows.query, maps.query_waves, 1) if name == "query" else (rows.key, maps.key_waves, 2)
        )
        back = torch.bmm(grad, maps.content.transpose(1, 2)).transpose(0, 1)
        if name == "key":
            back = back.addcmul(rows.key, grad.sum(-1).t().unsqueeze(-1), value=-1 / math.sqrt(rows.key.size(-1)))
        getattr(self.rows, name)[where] = back
        if self.maps[0] is not None:
            self.maps[0].baddbmm_(content.permute(1, 2, 0), grad)
        if rows.waves is None or waves_map is None:
            return
        if self.rows.waves is not None:
            self.rows.waves[where] += torch.bmm(grad, waves_map.transpose(1, 2)).transpose(0, 1)
        if (into := self.maps[number]) is not None:
            into.baddbmm_(rows.waves.permute(1, 2, 0), grad)


class LinearAttention(torch.autograd.Function):
    r"""`linear_attention` as an autograd function that saves nothing but its inputs.

    .. math::
        S_b = \sum_{j \in b} F(k'_j) \, [v_j, 1]^\top, \qquad [a_i, b_i] = F(q'_i)^\top S_b, \qquad o_i = a_i / b_i

    It is called with the fields of `Rows` and of `Maps`, the index and the floor of the features. Graphs are taken a
    few at a time, and a large one piece by piece: every feature is used while it is in the cache, and computed again
    for the gradient.

    Example:
        >>> rows = Rows(torch.randn(3, 1, 2), torch.randn(3, 1, 2), torch.ones(3, 1, 4), None)
        >>> maps, index = make_maps(torch.randn(1, 8, 2), 2, None), RaggedIndex(torch.tensor([0, 3]))
        >>> LinearAttention.apply(*rows, *maps, index, 1e-6)[:, 0, 0]
        tensor([1., 1., 1.])

    Cost: O(T H M (C + m)) time, O(T H C + H M C) memory.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """Return the output :math:`o` [T, H, Cv]."""
        rows, maps, index, floor = Rows(*args[:4]), Maps(*args[4:7]), args[7], args[8]
        ctx.save_for_backward(*args[:7])
        ctx.index, ctx.floor, ctx.sums = index, floor, []
        out = torch.empty_like(rows.value)
        for where, part in index.parts(_TOKENS):
            some = rows.take(where)
            if part.num_tokens <= _TOKENS:
                query, key, value = _features(some, maps, part, floor)
                out[where] = divide(
                    _join([q @ _sum_keys(k, v) for q, k, v in _graphs(part, query, key, value)])
                ).transpose(0, 1)
                continue
            sums, largest = _sum_large(some, maps, floor)
            ctx.sums.append((sums, largest))
            for piece in _pieces(part.num_tokens):
                out[where][piece] = divide(_query(some.take(piece), maps, floor) @ sums).transpose(0, 1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one, None for the others."""
        saved = ctx.saved_tensors
        rows, maps, large = Rows(*saved[:4]), Maps(*saved[4:]), iter(ctx.sums)
        into = _Gradients(rows, maps, ctx.needs_input_grad)
        for where, part in ctx.index.parts(_TOKENS):
            if part.num_tokens <= _TOKENS:
                _backward_small(rows.take(where), maps, part, ctx.floor, grad[where], into, where)
            else:
                _backward_large(rows.take(where), maps, ctx.floor, next(large), grad[where], into, where)
        return *into.rows, *into.maps, None, None


def _pieces(tokens: int) -> list[slice]:
    return [slice(begin, min(begin + _TOKENS, tokens)) for begin in range(0, tokens, _TOKENS)]


def _graphs(part: RaggedIndex, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the rows of each graph of tensors [H, n, ...]."""
    return zip(*(tensor.split(part.sizes, dim=1) for tensor in tensors), strict=True)


def _join(tensors: list[Tensor]) -> Tensor:
    """Put rows of graphs [H, n, ...] together; a single one is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=1)


def _sum_keys(key: Tensor, value: Tensor) -> Tensor:
    """Return K^T V [H, M, C' + 1], as the transpose of V^T K: MKL is faster where the many columns stand last."""
    return (value.transpose(1, 2) @ key).transpose(1, 2)


def _query(rows: Rows, maps: Maps, floor: float) -> Tensor:
    """`query_features`, in place."""
    exponents = project(rows.query, maps.content, rows.waves, maps.query_waves)
    return exponents.sub_(exponents.amax(-1, keepdim=True)).exp_().add_(floor)


def _key(rows: Rows, maps: Maps, largest: Tensor, floor: float) -> Tensor:
    """Return the features of keys of one graph whose largest exponents are known, [H, n, M]."""
    return key_exponents(rows, maps).sub_(largest).exp_().add_(floor)


def _features(rows: Rows, maps: Maps, part: RaggedIndex, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the features of queries and keys of whole graphs, and the values with a one."""
    exponents = key_exponents(rows, maps)
    own = exponents.amax(-1)
    largest = own.new_full((own.size(0), part.num_graphs), -torch.inf)
    largest.scatter_reduce_(1, part.batch.expand_as(own), own, "amax")
    key = exponents.sub_(largest[:, part.batch].unsqueeze(-1)).exp_().add_(floor)
    return _query(rows, maps, floor), key, with_one(rows.value).transpose(0, 1)


def _sum_large(rows: Rows, maps: Maps, floor: float) -> tuple[Tensor, Tensor]:
    """Return the sums over all keys of one graph [H, M, C' + 1] and its largest exponents [H, 1, 1].

    One pass over the keys: the sums so far are scaled down whenever a larger exponent comes.
    """
    heads, width = rows.value.size(1), rows.value.size(2) + 1
    largest = rows.key.new_full((heads, 1, 1), -torch.inf)
    sums, total = rows.key.new_zeros(heads, maps.content.size(2), width), rows.key.new_zeros(heads, 1, width)
    for piece in _pieces(rows.key.size(0)):
        some = rows.take(piece)
        exponents, value = key_exponents(some, maps), with_one(some.value).transpose(0, 1)
        new = torch.maximum(largest, exponents.amax((1, 2), keepdim=True))
        sums.mul_((largest - new).exp_()).add_(_sum_keys(exponents.sub_(new).exp_(), value))
        total.add_(value.sum(1, keepdim=True))
        largest = new
    return sums.add_(total, alpha=floor), largest


def _backward_divide(sums: Tensor, grad: Tensor) -> Tensor:
    """Gradient of `divide` [H, n, C' + 1], from that of its output [n, H, C']."""
    back = grad.transpose(0, 1) / sums[..., -1:]
    return torch.cat([back, -(back * sums[..., :-1]).sum(-1, keepdim=True) / sums[..., -1:]], dim=-1)


def _backward_small(
    rows: Rows, maps: Maps, part: RaggedIndex, floor: float, grad: Tensor, into: _Gradients, where: slice
) -> None:
    query, key, value = _features(rows, maps, part, floor)
    sums = [_sum_keys(k, v) for k, v in _graphs(part, key, value)]
    back = _backward_divide(_join([q @ s for (q,), s in zip(_graphs(part, query), sums, strict=True)]), grad)
    of_query, of_key, of_value = [], [], []
    for (q, k, v, b), s in zip(_graphs(part, query, key, value, back), sums, strict=True):
        of_sums = _sum_keys(q, b)
        of_query.append(b @ s.transpose(1, 2))
        of_key.append(v @ of_sums.transpose(1, 2))
        of_value.append((k @ of_sums)[..., :-1])
    into.rows.value[where] = _join(of_value).transpose(0, 1)
    into.exponents("query", where, rows, maps, _join(of_query).mul_(query.sub_(floor)))
    into.exponents("key", where, rows, maps, _join(of_key).mul_(key.sub_(floor)))


def _backward_large(
    rows: Rows, maps: Maps, floor: float, saved: tuple[Tensor, Tensor], grad: Tensor, into: _Gradients, where: slice
) -> None:
    sums, largest = saved
    of_sums = torch.zeros_like(sums)
    pieces = [
        (piece, slice(where.start + piece.start, where.start + piece.stop)) for piece in _pieces(rows.key.size(0))
    ]
    for piece, to in pieces:
        some = rows.take(piece)
        query = _query(some, maps, floor)
        back = _backward_divide(query @ sums, grad[piece])
        of_sums.add_(_sum_keys(query, back))
        into.exponents("query", to, some, maps, (back @ sums.transpose(1, 2)).mul_(query.sub_(floor)))
    for piece, to in pieces:
        some = rows.take(piece)
        key, value = _key(some, maps, largest, floor), with_one(some.value).transpose(0, 1)
        into.rows.value[to] = (key @ of_sums)[..., :-1].transpose(0, 1)
        into.exponents("key", to, some, maps, (value @ of_sums.transpose(1, 2)).mul_(key.sub_(floor)))
