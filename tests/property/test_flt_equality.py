"""Linear attention and its operator against the literal reference, in float64, values and gradients, on random ragged
batches.
"""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyg_samsa.functional import (
    RaggedIndex,
    Waves,
    fourier_waves,
    linear_attention,
    orthogonal_gaussian,
    positive_features,
    reference,
)
from pyg_samsa.functional.reference import flt
from pyg_samsa.nn import FLTConv, PerformerConv, SAMSABlock
from pyg_samsa.nn.conv.flt_conv import ENCODINGS

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
MODULE = sys.modules["pyg_samsa.functional.linear_attention"]
seeds = st.integers(0, 2**31 - 1)
sizes = st.lists(st.sampled_from([0, 1, 2, 3, 5, 9, 14]), min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def many_pieces():
    """Cut what is computed in pieces very small, so that even these batches need several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyg_samsa.functional.favor._TOKENS", 4)
        patch.setattr(MODULE, "_CHUNK", 4)
        yield


@pytest.fixture(params=["pieces", "dense"])
def way(request, monkeypatch):
    """On the CPU in pieces, or as on an accelerator, with plain operations on groups of graphs."""
    if request.param == "dense":
        monkeypatch.setattr(MODULE, "can_fuse", lambda x: False)
    return request.param


def normal(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def gradients(out: Tensor, inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(out, inputs, upstream, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def assert_same(fast: Tensor, literal: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(fast, literal, **TOLERANCE)
    if not literal.requires_grad:
        assert fast.numel() == 0
        return
    upstream = torch.randn_like(literal)
    expected = gradients(literal, inputs, upstream)
    # A gradient is a sum whose terms cancel, as large as the largest of them: rounding is measured by that.
    scale = max(1.0, *(float(gradient.abs().max()) for gradient in expected if gradient.numel()))
    for one, other in zip(gradients(fast, inputs, upstream), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10 * scale)


def ragged(graph_sizes: list[int]) -> RaggedIndex:
    return RaggedIndex(torch.tensor([0, *graph_sizes]).cumsum(0))


def check_linear_attention(seed, graph_sizes, waved, causal, scale):
    torch.manual_seed(seed)
    tokens, heads, channels, frequencies, features = sum(graph_sizes), 2, 3, 2, 5
    inputs = [normal(tokens, heads, channels), normal(tokens, heads, channels), normal(tokens, heads, 4)]
    inputs = [(scale * x).detach().requires_grad_() if number < 2 else x for number, x in enumerate(inputs)]
    pos, omega, ratio = normal(tokens, 3), normal(heads, frequencies, 3), normal(heads, frequencies)
    projection = normal(heads, features, channels + (2 * frequencies if waved else 0))
    relative = Waves(fourier_waves(pos, omega), ratio) if waved else None
    fast = linear_attention(*inputs, projection, ragged(graph_sizes), relative=relative, causal=causal)
    geometry = {"pos": pos, "frequencies": omega, "ratio": ratio} if waved else {}
    literal = reference.flt_attention(*inputs, projection, graph_sizes, causal=causal, **geometry)
    assert_same(fast, literal, [*inputs, pos, omega, ratio, projection])


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention(way, causal):
    @settings(max_examples=25, deadline=None, database=None)
    @given(seed=seeds, graph_sizes=sizes, waved=st.booleans(), scale=st.sampled_from([0.1, 1.0, 4.0]))
    def check(seed, graph_sizes, waved, scale):
        check_linear_attention(seed, graph_sizes, waved, causal, scale)

    check()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_operator(encoding, causal, way):
    for seed, graph_sizes in enumerate([[4], [1], [3, 0, 1, 6], [0, 0], [9, 2]]):
        torch.manual_seed(seed)
        conv = FLTConv(
            6,
            heads=2,
            encoding=encoding,
            num_dims=1 + seed % 3,
            num_features=5,
            causal=causal,
            **({} if encoding == "none" else {"num_frequencies": 3, "length_scale": 1.5}),
        ).double()
        for weight in conv.parameters():  # away from ones and zeros, where a slip might not show
            torch.nn.init.normal_(weight, std=0.5)
        x, pos = normal(sum(graph_sizes), 6), normal(sum(graph_sizes), conv.num_dims)
        fast = conv(x, ptr=ragged(graph_sizes), pos=pos)
        assert_same(fast, reference.flt_conv(conv, x, graph_sizes, pos), [x, pos, *conv.parameters()])


@pytest.mark.parametrize("causal", [False, True])
def test_extreme_norms_neither_overflow_nor_vanish(causal, way):
    torch.manual_seed(0)
    projection, index = orthogonal_gaussian(1, 8, 4), ragged([12, 5])
    query, key = torch.randn(17, 1, 4) * 60, torch.randn(17, 1, 4) * torch.logspace(-2, 2.5, 17).view(-1, 1, 1)
    query.requires_grad_(), key.requires_grad_()
    value = torch.randn(17, 1, 4)
    out = linear_attention(query, key, value, projection, index, causal=causal)
    literal = reference.flt_attention(
        query.double(), key.double(), value.double(), projection.double(), [12, 5], causal=causal
    )
    torch.testing.assert_close(out.double(), literal, rtol=0, atol=1e-2)
    out.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in (query, key))
    assert bool((out.abs() <= value.abs().max() + 1e-5).all())  # a convex combination, whatever the features are


def test_positive_features_and_waves_are_those_of_the_reference():
    torch.manual_seed(0)
    x, projection, pos, omega, ratio = normal(4, 2, 3), normal(2, 5, 3), normal(4, 3), normal(2, 6, 3), normal(2, 6)
    for head in range(2):
        expected = flt.positive_features(x[:, head], projection[head], 0.25, 1e-6)
        torch.testing.assert_close(
            positive_features(x, projection, torch.tensor(0.25), 1e-6)[:, head], expected, **TOLERANCE
        )
        waves = fourier_waves(pos, omega)[:, head]
        torch.testing.assert_close(
            (waves * ratio[head].repeat(2)) @ waves.T, flt.encoding_matrix(pos, omega[head], ratio[head]), **TOLERANCE
        )


def test_performer_is_the_operator_without_positions():
    torch.manual_seed(0)
    conv = PerformerConv(6, heads=3, num_features=7).double()
    x = normal(8, 6)
    assert_same(conv(x, ptr=ragged([3, 5])), reference.flt_conv(conv, x, [3, 5]), [x, *conv.parameters()])


def test_block_in_evaluation_equals_the_block_in_training_mode():
    torch.manual_seed(0)
    block = SAMSABlock(8, conv="flt", heads=2, num_dims=2, num_features=6, num_frequencies=3).double()
    torch.nn.init.ones_(block.alpha)
    x, pos, batch = normal(12, 8), normal(12, 2, grad=False), torch.tensor([2, 0, 2, 1, 1, 0, 0, 2, 1, 1, 1, 1])
    with torch.no_grad():
        quick = block(x, batch=batch, pos=pos)
    torch.testing.assert_close(quick, block(x, batch=batch, pos=pos), **TOLERANCE)
