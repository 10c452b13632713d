"""Positive random features of packed tokens, and linear attention by them in pieces that stay in the CPU's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.functional.ragged import RaggedIndex

# Tokens whose features are held at a time: few enough for the cache, many enough for the calls not to matter.
_TOKENS = 1024


class Rows(NamedTuple):
    """Queries, keys [n, H, C], values [n, H, C'] and waves [n, H, 2m] of some tokens."""

    query: Tensor
    key: Tensor
    value: Tensor
    waves: Tensor | None

    def take(self, rows: slice | Tensor) -> Rows:
        """Return those of some of the tokens."""
        return Rows(*(None if tensor is None else tensor[rows] for tensor in self))  # type: ignore[arg-type]


class Maps(NamedTuple):
    """What tokens are multiplied with to get exponents, scales included: their channels [H, C, M], and their waves [H, 2m, M]."""

    content: Tensor
    query_waves: Tensor | None
    key_waves: Tensor | None


def make_maps(projection: Tensor, channels: int, ratio: Tensor | None) -> Maps:
    """Cut projections [H, M, C + 2m] into maps; ``ratio`` [H, m] goes to the queries alone."""
    maps = projection.transpose(1, 2)
    content, waves = maps[:, :channels] * channels**-0.25, maps[:, channels:]
    return (
        Maps(content, None, None)
        if ratio is None
        else Maps(content, waves * ratio.repeat(1, 2).unsqueeze(-1), waves.contiguous())
    )


def project(rows: Tensor, content: Tensor, waves: Tensor | None, waves_map: Tensor | None) -> Tensor:
    """Project tokens [n, H, C] and their waves [n, H, 2m] to [H, n, M]."""
    exponents = torch.bmm(rows.transpose(0, 1), content)
    return exponents if waves is None or waves_map is None else exponents.baddbmm_(waves.transpose(0, 1), waves_map)


def query_features(rows: Rows, maps: Maps, floor: float) -> Tensor:
    """Return F of the queries times the root of M, [H, n, M]. The stabilizer of a row takes its squared length away."""
    exponents = project(rows.query, maps.content, rows.waves, maps.query_waves)
    return (exponents - exponents.detach().amax(-1, keepdim=True)).exp() + floor


def key_exponents(rows: Rows, maps: Maps) -> Tensor:
    """Return W k' - |k'|^2 / 2, [H, n, M], without the squared length of the waves: it is the same for all keys, the stabilizer takes it away."""
    half = rows.key.square().sum(-1) * (0.5 / math.sqrt(rows.key.size(-1)))
    return project(rows.key, maps.content, rows.waves, maps.key_waves).sub_(half.t().unsqueeze(-1))


def with_one(value: Tensor) -> Tensor:
    """Append a one to the values, whose sum is the denominator: [n, H, C' + 1]."""
    return torch.nn.functional.pad(value, (0, 1), value=1.0)


def divide(sums: Tensor) -> Tensor:
    """Divide [..., C' + 1] by its last column."""
    return sums[..., :-1] / sums[..., -1:]


class _Gradients:
    """Where the backward pass of `LinearAttention` writes; gradients that nobody asked for are None."""

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
    """Called with the fields of `Rows` and of `Maps`, the index and the floor of the features; saves its inputs alone.

    Graphs are taken a few at a time, and a large one piece by piece: every feature is used while it is in the cache, and computed again for the
    gradient.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """Return the output [T, H, C']."""
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
        """Return the gradients of the tensors that need one."""
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
    """Return the sums over all keys of one graph [H, M, C' + 1] and its largest exponents [H, 1, 1], in one pass over the keys."""
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
