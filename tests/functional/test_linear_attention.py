"""Linear attention: edge cases, and both ways of computing it against the literal reference."""

import importlib
import itertools

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.fourier_features import fourier_waves, orthogonal_gaussian
from pyg_samsa.functional.linear_attention import Waves, linear_attention
from pyg_samsa.functional.ragged import RaggedIndex

module = importlib.import_module("pyg_samsa.functional.linear_attention")
SIZES = [[1], [5], [4, 0, 1], [0, 2], [9, 3, 3]]


@pytest.fixture(params=["in pieces", "dense"])
def way(request, monkeypatch):
    """On the CPU in small pieces, or as on an accelerator."""
    monkeypatch.setattr("pyg_samsa.functional.favor._TOKENS", 4)
    monkeypatch.setattr(module, "_CHUNK", 4)
    if request.param == "dense":
        monkeypatch.setattr(module, "can_fuse", lambda x: False)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_is_the_reference(same, normal, way, sizes, positions, causal):
    tokens = sum(sizes)
    query, key, value = normal(tokens, 2, 3), normal(tokens, 2, 3), normal(tokens, 2, 4)
    pos, frequencies, ratio = normal(tokens, 2), normal(2, 2, 2), normal(2, 2)
    projection = normal(2, 5, 7 if positions else 3)
    relative = Waves(fourier_waves(pos, frequencies), ratio) if positions else None
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    fast = linear_attention(query, key, value, projection, index, relative=relative, causal=causal)
    geometry = {"pos": pos, "frequencies": frequencies, "ratio": ratio} if positions else {}
    literal = reference.flt_attention(query, key, value, projection, sizes, causal=causal, **geometry)
    inputs = (pos, frequencies, ratio) if positions else ()
    same(fast, literal, query, key, value, projection, *inputs)


@pytest.mark.parametrize("causal", [False, True])
def test_gradcheck(way, causal):
    """Only of the values: the stabilizers of queries and keys count as constants, unlike in finite differences."""
    torch.manual_seed(0)
    query, key, projection = (torch.randn(*s, dtype=torch.float64) for s in ((5, 1, 2), (5, 1, 2), (1, 3, 2)))
    index, value = RaggedIndex(torch.tensor([0, 3, 5])), torch.randn(5, 1, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: linear_attention(query, key, v, projection, index, causal=causal), (value,))


def test_no_tokens(way):
    empty = torch.zeros(0, 2, 3, requires_grad=True)
    out = linear_attention(empty, empty, empty, torch.zeros(2, 4, 3), RaggedIndex(torch.tensor([0, 0])))
    assert out.shape == (0, 2, 3)
    out.sum().backward()


@pytest.mark.parametrize("causal", [False, True])
def test_non_contiguous_input(same, normal, way, causal):
    tensors = [normal(2, 3, 6).permute(2, 0, 1) for _ in range(3)]
    projection, index = normal(2, 5, 3), RaggedIndex(torch.tensor([0, 2, 6]))
    plain = linear_attention(*(t.contiguous() for t in tensors), projection, index, causal=causal)
    same(linear_attention(*tensors, projection, index, causal=causal), plain, *tensors, projection)


@pytest.mark.parametrize("causal", [False, True])
def test_graphs_do_not_see_each_other(way, causal):
    torch.manual_seed(0)
    query, key, value = (torch.randn(7, 2, 3, dtype=torch.float64) for _ in range(3))
    projection, sizes = torch.randn(2, 5, 3, dtype=torch.float64), [3, 4]
    together = linear_attention(query, key, value, projection, RaggedIndex(torch.tensor([0, 3, 7])), causal=causal)
    for begin, end in itertools.pairwise([0, *itertools.accumulate(sizes)]):
        own, alone = slice(begin, end), RaggedIndex(torch.tensor([0, end - begin]))
        torch.testing.assert_close(
            together[own], linear_attention(query[own], key[own], value[own], projection, alone, causal=causal)
        )


def test_a_causal_token_does_not_see_later_ones(way):
    torch.manual_seed(0)
    query, key, value = (torch.randn(9, 1, 2, dtype=torch.float64) for _ in range(3))
    projection, index = torch.randn(1, 4, 2, dtype=torch.float64), RaggedIndex(torch.tensor([0, 9]))
    before = linear_attention(query, key, value, projection, index, causal=True)
    key[6:], value[6:] = 100.0, -100.0
    after = linear_attention(query, key, value, projection, index, causal=True)
    torch.testing.assert_close(before[:6], after[:6])
    assert not torch.allclose(before[6:], after[6:])


@pytest.mark.parametrize("causal", [False, True])
def test_huge_logits_stay_finite(way, causal):
    torch.manual_seed(0)
    query, key = (1e3 * torch.randn(6, 1, 4) for _ in range(2))
    out = linear_attention(
        query, key, torch.ones(6, 1, 4), orthogonal_gaussian(1, 16, 4), RaggedIndex(torch.tensor([0, 6])), causal=causal
    )
    torch.testing.assert_close(out, torch.ones(6, 1, 4))


def test_half_precision_comes_back_as_it_came(way):
    query, key, value = (torch.randn(4, 1, 4).bfloat16() for _ in range(3))
    out = linear_attention(query, key, value, torch.randn(1, 8, 4), RaggedIndex(torch.tensor([0, 4])))
    assert out.dtype == torch.bfloat16
    exact = linear_attention(
        *(t.double() for t in (query, key, value)), torch.zeros(1, 8, 4).double(), RaggedIndex(torch.tensor([0, 4]))
    )
    assert exact.dtype == torch.float64


@pytest.mark.parametrize("shape", [(1, 8, 4), (2, 8, 5), (8, 4)], ids=str)
def test_a_projection_that_does_not_fit_is_an_error(shape):
    query = torch.zeros(3, 2, 4)
    with pytest.raises(ShapeError, match="projection"):
        linear_attention(query, query, query, torch.zeros(shape), RaggedIndex(torch.tensor([0, 3])))
