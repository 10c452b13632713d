"""Attention over sampled tokens with a score and an encoding of pairs, without a table of scores in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from pyg_samsa.errors import ShapeError, check_choice
from pyg_samsa.functional.autocast import without_autocast
from pyg_samsa.functional.dense_layout import DenseLayout
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.functional.dropout import keep_mask
from pyg_samsa.functional.maxout import leaky_softmax_weights, leaky_weights, maxout_score
from pyg_samsa.functional.pair_features import pair_features
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.triton_support import MAX_CHANNELS, runs_in_triton
from pyg_samsa.typing import Float

SCORES = ("maxout", "softmax")
# Number of scores [H, n, K] of a piece of the rows of a graph; with half as many, calls cost more than the cache saves.
_FEW_SCORES = 2**20


class Relation(NamedTuple):
    r"""The relative encoding of pairs: a factor :math:`\mathrm{softplus}(W_w \phi_{ij})` and a term :math:`W_b
    \phi_{ij}`.

    Attributes:
        encoding: Name of the features :math:`\phi`, see `pair_features`.
        place: Places of the tokens, see `pair_features`.
        sampled: Places of the sampled tokens, one set per head or one for all heads.
        weight: :math:`W_w` of all heads, then :math:`W_b` of all heads.
        bias: Their biases.
        field: The positive numbers of the encoding ``"field"``, else None.

    Example:
        >>> points = torch.zeros(3, 2)
        >>> Relation("dist", points, points[None, None], torch.ones(4, 1), torch.zeros(4)).sampled.shape
        torch.Size([1, 1, 3, 2])
    """

    encoding: str
    place: Float[Tensor, "T g"]
    sampled: Float[Tensor, "B sets K g"]
    weight: Float[Tensor, "2*H f"]
    bias: Float[Tensor, " 2*H"]
    field: Float[Tensor, "5"] | None = None


Drop = Callable[[Tensor], Tensor]


def relative_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "B H K C"],
    value: Float[Tensor, "B H K Cv"],
    leak: Float[Tensor, "B H"],
    index: RaggedIndex,
    *,
    score: str = "maxout",
    relation: Relation | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "T H Cv"]:
    r"""Let every token attend to the tokens that its graph sampled, by maxout scores and leaky probabilities.

    With :math:`S` the `maxout_score` and :math:`\phi_{ij}` the `pair_features`,

    .. math::
        S'_{ij} = S_{ij} \, \mathrm{softplus}(W_w \phi_{ij}) + W_b \phi_{ij}, \qquad
        o_i = \sum_j \frac{\mathrm{ReLU}(S'_{ij})}{\sum_j \mathrm{ReLU}(S'_{ij}) + \Lambda + 10^{-9}} v_j .

    From `SFT <https://arxiv.org/abs/2408.05822>`_.

    Args:
        query: Packed queries.
        key: Sampled keys.
        value: Sampled values v.
        leak: Leaking masses :math:`\Lambda`, at least 0, see `leak_mass`.
        index: Where each graph begins and ends.
        score: ``"maxout"``, or ``"softmax"``: the scaled dot product for :math:`S`, the exponential for the ReLU
            [ours].
        relation: Relative encoding; None is :math:`S' = S`.
        dropout: Probability that a weight is dropped, 0 to below 1.

    Returns:
        Output, in float32 where the queries are in half precision.

    Raises:
        ConfigError: Unknown score or encoding.
        ShapeError: The tensors do not fit each other.

    Example:
        Values are all one; the rows sum to less than one because a mass of 1 leaks:

        >>> index = RaggedIndex(torch.tensor([0, 2, 3]))
        >>> query, key, ones = torch.ones(3, 1, 4), torch.ones(2, 1, 5, 4), torch.ones(2, 1, 5, 4)
        >>> relative_attention(query, key, ones, torch.ones(2, 1), index)[..., 0].round(decimals=4)
        tensor([[0.8407],
                [0.8407],
                [0.8407]])

    Cost: O(T K H C) time. O(T H C) memory: scores are computed again in the backward pass, on the CPU for some rows of
    a graph at a time; on CUDA by kernels, which write no scores, see `runs_in_triton`.
    """
    check_choice("score", score, SCORES)
    if relation is not None and relation.place.size(0) != query.size(0):
        raise ShapeError("place", list(relation.place.shape), f"[{query.size(0)}, g], one row per token")
    dtype = query.dtype if query.dtype == torch.float64 else torch.float32
    query, key, value, leak = (tensor.to(dtype) for tensor in (query, key, value, leak))
    if relation is not None:
        relation = _cast(relation, dtype)
    if index.num_tokens == 0:
        return query.new_zeros(*query.shape[:2], value.size(-1))
    if score == "maxout" and value.size(-1) <= MAX_CHANNELS and runs_in_triton("relative", query):
        return _in_kernels(query, key, value, leak, index, relation, dropout)
    places, *rest = (None,) * 5 if relation is None else relation[1:]
    run = partial(_attend, score=score, encoding="none" if relation is None else relation.encoding)
    return _in_pytorch(run, index, dropout, query, places, key, value, leak, *rest)


def _cast(relation: Relation, dtype: torch.dtype) -> Relation:
    place, sampled, weight, bias = (
        tensor.to(dtype) for tensor in (relation.place, relation.sampled, relation.weight, relation.bias)
    )
    field = None if relation.field is None else relation.field.to(dtype)
    return Relation(relation.encoding, place, sampled, weight, bias, field)


# Not traced: a compiler would unroll every channel of every piece and keep every score for the backward pass.
@torch.compiler.disable
def _in_pytorch(run: Callable[..., Tensor], index: RaggedIndex, dropout: float, *tensors: Tensor | None) -> Tensor:
    query, place, key, value, leak, sampled, *weights = tensors
    assert query is not None
    # Sums of maxima and of weights need the whole precision, whatever autocast says.
    with without_autocast(query):
        if takes_cpu_path(query):
            return _ByRows.apply(run, index, dropout, *tensors)
        return index.in_tables(
            partial(_attend_group, run, dropout, (query, place), (key, value, leak, sampled), weights)
        )


def _in_kernels(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    leak: Tensor,
    index: RaggedIndex,
    relation: Relation | None,
    dropout: float,
) -> Tensor:
    from pyg_samsa.functional.triton_relative import triton_relative_attention

    def attend() -> Tensor:
        gates = keep = None
        if relation is not None:
            with without_autocast(query):
                gates = index.in_tables(partial(_gates_of_group, relation))
        if dropout:
            shape = *query.shape[:2], key.size(2)
            keep = torch.empty(shape, dtype=torch.bool, device=query.device).bernoulli_(1 - dropout)
        return triton_relative_attention(query, key, value, leak, index, gates, keep, 1 / (1 - dropout))

    # Gates and masks are tables of all pairs; without them, nothing of that size is kept for the backward pass.
    if torch.is_grad_enabled() and (relation is not None or dropout):
        return checkpoint(attend, use_reentrant=False)
    return attend()


def _gates_of_group(relation: Relation, layout: DenseLayout) -> Tensor:
    """Return the logarithmic factors of all heads, then the terms, of some graphs: [G, width, 2 H, K]."""
    place, sampled = layout.to_table(relation.place), layout.of_graphs(relation.sampled)
    both = _gates(place, sampled, relation.weight, relation.bias, relation.field, relation.encoding)
    return torch.cat(both, dim=-3).transpose(1, 2)


def _attend_group(
    run: Callable[..., Tensor],
    dropout: float,
    tokens: Sequence[Tensor | None],
    sampled: Sequence[Tensor | None],
    weights: Sequence[Tensor | None],
    layout: DenseLayout,
) -> Tensor:
    """Attend in some graphs, laid out as one table, and return [G, width, H, C]."""
    query, place = (None if tensor is None else layout.to_table(tensor) for tensor in tokens)
    chosen = [None if tensor is None else layout.of_graphs(tensor) for tensor in sampled]
    run = partial(run, drop=partial(F.dropout, p=dropout) if dropout else None)
    arguments = (query.transpose(1, 2), place, *chosen, *weights)  # type: ignore[union-attr]
    out = checkpoint(run, *arguments, use_reentrant=False) if torch.is_grad_enabled() else run(*arguments)
    return out.transpose(1, 2)


class _ByRows(torch.autograd.Function):
    """Attention for some rows of one graph at a time, computed again in the backward pass.

    The only tensor of pairs that is kept is the mask of dropout.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., Tensor], index: RaggedIndex, dropout: float, *tensors: Tensor | None
    ) -> Tensor:
        query, _, key, value = tensors[:4]
        assert query is not None
        assert key is not None
        assert value is not None
        ctx.save_for_backward(*tensors)
        ctx.run, ctx.index, ctx.masks = run, index, []
        out = query.new_empty(*query.shape[:2], value.size(-1))
        for rows, graph in _row_pieces(index, key):
            drop: Drop | None = None
            if dropout:
                ctx.masks.append(keep_mask((query.size(1), rows.stop - rows.start, key.size(-2)), dropout))
                drop = partial(_drop, *ctx.masks[-1])
            out[rows] = run(*_piece(tensors, rows, graph), drop=drop).transpose(0, 1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        needed = [place for place, wanted in enumerate(ctx.needs_input_grad[3:]) if wanted]
        grads: list[Tensor | None] = [None] * len(tensors)
        for place in needed:
            grads[place] = torch.zeros_like(tensors[place])  # type: ignore[arg-type]
        for number, (rows, graph) in enumerate(_row_pieces(ctx.index, tensors[2])):  # type: ignore[arg-type]
            with torch.enable_grad():
                inputs = [None if tensor is None else tensor.detach() for tensor in _piece(tensors, rows, graph)]
                wanted = [inputs[place].requires_grad_() for place in needed]  # type: ignore[union-attr]
                out = ctx.run(*inputs, drop=partial(_drop, *ctx.masks[number]) if ctx.masks else None)
            found = torch.autograd.grad(out, wanted, grad[rows].transpose(0, 1), allow_unused=True)
            for place, piece in zip(needed, found, strict=True):
                total = grads[place]
                if piece is None or total is None:
                    continue
                if place == _QUERY:
                    total[rows] = piece.transpose(0, 1)
                elif place == _PLACE:
                    total[rows] = piece
                elif place in _SAMPLED:
                    total[graph] += piece
                else:
                    total += piece
        return None, None, None, *grads


# Positions of the arguments of `_attend` with one row per token, and with one per graph; the rest are weights.
_QUERY, _PLACE, _SAMPLED = 0, 1, (2, 3, 4, 5)


def _row_pieces(index: RaggedIndex, key: Tensor) -> list[tuple[slice, int]]:
    """Cut the rows of every graph into even pieces with few scores, together with the number of the graph."""
    most, cuts, begin = max(1, _FEW_SCORES // (key.size(1) * key.size(2))), [], 0
    for graph, size in enumerate(index.sizes):
        step = -(-size // max(1, -(-size // most)))
        cuts += [(slice(begin + low, begin + min(low + step, size)), graph) for low in range(0, size, max(1, step))]
        begin += size
    return cuts


def _piece(tensors: Sequence[Tensor | None], rows: slice, graph: int) -> list[Tensor | None]:
    query, place, *rest = tensors
    assert query is not None
    chosen = [None if tensor is None else tensor[graph] for tensor in rest[: len(_SAMPLED)]]
    return [query[rows].transpose(0, 1), None if place is None else place[rows], *chosen, *rest[len(_SAMPLED) :]]


def _drop(mask: Tensor, factor: float, weights: Tensor) -> Tensor:
    return weights * mask * factor


def _attend(
    query: Tensor,
    place: Tensor | None,
    key: Tensor,
    value: Tensor,
    leak: Tensor,
    sampled: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    field: Tensor | None,
    *,
    score: str,
    encoding: str,
    drop: Drop | None,
) -> Tensor:
    """Attend with queries [..., H, n, C] and places [..., n, g] to sampled tokens [..., H, K, C]; the rest as in
    `relative_attention`.
    """
    scores = maxout_score(query, key) if score == "maxout" else (query @ key.mT) / math.sqrt(query.size(-1))
    if encoding != "none":
        factor, term = _gates(place, sampled, weight, bias, field, encoding)  # type: ignore[arg-type]
        # Above its default threshold of 20, softplus drops a term of 2e-9, which float64 resolves.
        scores = torch.addcmul(term, scores, F.softplus(factor, threshold=40.0))
    weights, mass = leaky_weights(scores, leak) if score == "maxout" else leaky_softmax_weights(scores, leak)
    if drop is not None:
        weights = drop(weights)
    return (weights @ value) / mass


def _gates(
    place: Tensor, sampled: Tensor, weight: Tensor, bias: Tensor, field: Tensor | None, encoding: str
) -> tuple[Tensor, Tensor]:
    """Return the logarithmic factor and the term of every pair, each [..., H, n, K]."""
    features = pair_features(encoding, place.unsqueeze(-3), sampled, field)
    # The bias as the weight of one more feature, which is 1, saves a pass over all pairs of all heads.
    features = F.pad(features, (0, 0, 0, 0, 0, 1), value=1.0)
    *lead, sets, _, n, k = features.shape
    maps = torch.cat([weight, bias.unsqueeze(1)], dim=1).unflatten(0, (2, sets, -1))
    factor, term = ((each @ features.flatten(-2)).view(*lead, -1, n, k) for each in maps)
    return factor, term
