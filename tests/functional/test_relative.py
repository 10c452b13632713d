"""Attention with maxout scores and relative encodings: every score and encoding against the literal reference."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.device_path import accelerator_path
from pyg_samsa.functional.pair_features import PAIR_FEATURES
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.relative import SCORES, Relation, relative_attention

HEADS, CHANNELS, SAMPLES = 2, 3, 4


@pytest.fixture(params=["by rows", "dense"])
def way(request, monkeypatch):
    """On the CPU a few rows at a time, or as on an accelerator."""
    monkeypatch.setattr("pyg_samsa.functional.relative._FEW_SCORES", 16)
    with accelerator_path() if request.param == "dense" else nullcontext():
        yield


def make(normal, sizes, encoding, shared=False):
    """Queries, keys, values and leaks of a batch, and its relation."""
    tokens, graphs = sum(sizes), len(sizes)
    tensors = normal(tokens, HEADS, CHANNELS), *(normal(graphs, HEADS, SAMPLES, CHANNELS) for _ in range(2))
    leak = normal(graphs, HEADS, grad=False).abs().requires_grad_()
    if encoding == "none":
        return [*tensors, leak], None
    width = 4 if encoding == "dist_normal" else 2
    field = torch.tensor([0.5, 1.5, 0.8, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    features = PAIR_FEATURES[encoding]
    relation = Relation(
        encoding,
        normal(tokens, width),
        normal(graphs, 1 if shared else HEADS, SAMPLES, width),
        normal(2 * HEADS, features),
        normal(2 * HEADS),
        field if encoding == "field" else None,
    )
    return [*tensors, leak], relation


def literal(query, key, value, leak, index, score, relation):
    out = []
    for token, graph in enumerate(index.batch.tolist()):
        for h in range(HEADS):
            q, k = query[token : token + 1, h], key[graph, h]
            s = reference.maxout_score(q, k) if score == "maxout" else q @ k.T / CHANNELS**0.5
            if relation is not None:
                sampled = relation.sampled[graph, h if relation.sampled.size(1) > 1 else 0]
                phi = [
                    reference.pair_features(relation.encoding, relation.place[token], where, relation.field)
                    for where in sampled
                ]
                factor, term = (torch.stack(phi) @ relation.weight[row] + relation.bias[row] for row in (h, HEADS + h))
                s = s * F.softplus(factor) + term
            weight = s.relu() if score == "maxout" else s.exp()
            total = weight.sum() + leak[graph, h] + (1e-9 if score == "maxout" else 0.0)
            out.append((weight @ value[graph, h] / total)[0])
    return torch.stack(out).view_as(query) if out else query


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("encoding", PAIR_FEATURES)
@pytest.mark.parametrize("sizes", [[1], [7], [3, 0, 2]], ids=str)
def test_it_is_the_reference(same, normal, way, sizes, encoding, score):
    tensors, relation = make(normal, sizes, encoding)
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    fast = relative_attention(*tensors, index, score=score, relation=relation)
    inputs = [x for x in (relation or ())[1:] if x is not None]
    same(fast, literal(*tensors, index, score, relation), *tensors, *inputs)


def test_heads_may_share_their_places(same, normal, way):
    tensors, relation = make(normal, [3, 2], "dist", shared=True)
    index = RaggedIndex(torch.tensor([0, 3, 5]))
    fast = relative_attention(*tensors, index, relation=relation)
    same(fast, literal(*tensors, index, "maxout", relation), *tensors, *relation[1:5])


def test_values_may_have_another_width(same, normal, way):
    (query, key, _, leak), _ = make(normal, [3, 2], "none")
    index, value = RaggedIndex(torch.tensor([0, 3, 5])), normal(2, HEADS, SAMPLES, 2 * CHANNELS)
    fast = relative_attention(query, key, value, leak, index)
    parts = [literal(query, key, part, leak, index, "maxout", None) for part in value.chunk(2, dim=-1)]
    same(fast, torch.cat(parts, dim=-1), query, key, value, leak)


def test_no_tokens(normal, way):
    tensors, relation = make(normal, [0, 0], "dist")
    out = relative_attention(*tensors, RaggedIndex(torch.tensor([0, 0, 0])), relation=relation)
    assert out.shape == (0, HEADS, CHANNELS)


def test_dropout_keeps_the_mean_and_its_mask_in_the_backward_pass(normal, way):
    torch.manual_seed(0)
    tensors, _ = make(normal, [400], "none")
    index, ones = RaggedIndex(torch.tensor([0, 400])), torch.ones_like(tensors[2], requires_grad=True)
    leak = torch.zeros_like(tensors[3])
    out = relative_attention(tensors[0], tensors[1] + 9, ones, leak, index, dropout=0.5)
    assert abs(float(out.mean()) - 1) < 0.1
    assert float(out.std()) > 0.1
    # The output is linear in the values, so that the gradient must repeat the output: sum of g v = sum of o.
    (grad,) = torch.autograd.grad(out.sum(), ones)
    torch.testing.assert_close(grad.sum(), out.sum())


def test_half_precision_is_computed_in_single(normal, way):
    tensors, _ = make(normal, [3], "none")
    index = RaggedIndex(torch.tensor([0, 3]))
    half = [tensor.detach().bfloat16() for tensor in tensors]
    out = relative_attention(*half, index)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, relative_attention(*(tensor.float() for tensor in half), index))


def test_wrong_arguments_are_named(normal):
    tensors, relation = make(normal, [3], "dist")
    index = RaggedIndex(torch.tensor([0, 3]))
    with pytest.raises(ConfigError, match="score"):
        relative_attention(*tensors, index, score="cosine")
    with pytest.raises(ConfigError, match="encoding"):
        relative_attention(*tensors, index, relation=relation._replace(encoding="angle"))
    with pytest.raises(ShapeError, match="place"):
        relative_attention(*tensors, index, relation=relation._replace(place=relation.place[:2]))


def test_kernels_get_a_mask_that_keeps_the_asked_for_share(normal, monkeypatch):
    from pyg_samsa.functional import relative, triton_relative

    given = []
    monkeypatch.setattr(
        triton_relative, "triton_relative_attention", lambda *args: given.append(args[-2:]) or args[0] * 1.0
    )
    tensors, _ = make(normal, [500, 0, 700], "none")
    index = RaggedIndex.from_sizes([500, 0, 700])
    torch.manual_seed(0)
    relative._in_kernels(*tensors, index, None, 0.2)
    relative._in_kernels(*tensors, index, None, 0.0)
    (keep, scale), without = given
    assert keep.shape == (1200, HEADS, SAMPLES)
    assert keep.double().mean().item() == pytest.approx(0.8, abs=0.02)
    assert scale == 1 / 0.8
    assert without == (None, 1.0)
