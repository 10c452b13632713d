"""SFT's operator against the literal reference, in float64, values and gradients, on many random ragged batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyg_samsa.functional import RaggedIndex, maxout_score, pair_features, ragged_sample_paired, reference
from pyg_samsa.functional.device_path import accelerator_path
from pyg_samsa.functional.maxout import LEAKS
from pyg_samsa.nn import SFTConv
from pyg_samsa.nn.conv import sft_conv, token_conv

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
seeds = st.integers(0, 2**31 - 1)
sizes = st.lists(st.sampled_from([0, 1, 2, 3, 6]), min_size=1, max_size=3)


@pytest.fixture(autouse=True, scope="module")
def many_pieces():
    """Cut graphs into pieces of few rows, so that even these need several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyg_samsa.functional.relative._FEW_SCORES", 16)
        yield


def normal(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def assert_same(fast: Tensor, literal: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(fast, literal, **TOLERANCE)
    if not literal.requires_grad:
        return
    upstream = torch.randn_like(literal)
    expected = gradients(literal, inputs, upstream)
    # A gradient is a sum whose terms cancel, as large as the largest of them: rounding is measured by that.
    scale = max(1.0, *(float(gradient.abs().max()) for gradient in expected if gradient.numel()))
    for one, other in zip(gradients(fast, inputs, upstream), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10 * scale)


def gradients(out: Tensor, inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(out, inputs, upstream, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def randomise(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, n=st.integers(1, 6), k=st.integers(1, 6), channels=st.integers(1, 5), ties=st.booleans())
def test_maxout_score(seed, n, k, channels, ties):
    """Where a query and a key are equal, both sides share the gradient."""
    torch.manual_seed(seed)
    query, key = normal(2, n, channels), normal(2, k, channels)
    if ties:
        query, key = (tensor.detach().round().requires_grad_() for tensor in (query, key))
    literal = torch.stack([reference.maxout_score(query[b], key[b]) for b in range(2)])
    assert_same(maxout_score(query, key), literal, [query, key])


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds, encoding=st.sampled_from(["dist", "dist_normal", "field"]), length=st.integers(1, 3), same=st.booleans()
)
def test_pair_features(seed, encoding, length, same):
    torch.manual_seed(seed)
    width = 2 * length if encoding == "dist_normal" else length
    place, field = normal(4, width), torch.rand(5, dtype=torch.float64).add(0.2).requires_grad_()
    other = place.detach().clone().requires_grad_() if same else normal(3, width)
    literal = torch.stack(
        [torch.stack([reference.pair_features(encoding, p, o, field) for o in other]) for p in place]
    ).movedim(-1, 0)
    assert_same(pair_features(encoding, place, other, field), literal, [place, other, field])


@settings(max_examples=60, deadline=None)
@given(seed=seeds, sizes=sizes, k=st.integers(1, 4), ties=st.booleans(), low=st.sampled_from([0.0, -35.0, -60.0]))
def test_ragged_pairs_are_those_of_each_graph_and_head(seed, sizes, k, ties, low):
    torch.manual_seed(seed)
    heads, channels = 2, 3
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    values, support_values = normal(sum(sizes), heads, channels), normal(2 * k, heads, channels)
    scores, support_scores = ((normal(count, heads, grad=False) + low) for count in (sum(sizes), 2 * k))
    scores, support_scores = (
        tensor.round().requires_grad_() if ties else tensor.requires_grad_() for tensor in (scores, support_scores)
    )
    fast = ragged_sample_paired(values, scores, support_values, support_scores, index, k)
    literal = []
    for begin, size in zip(index.ptr.tolist(), sizes, strict=False):
        for head in range(heads):
            x = torch.cat([values[begin : begin + size, head], support_values[:, head]])
            z = torch.cat([scores[begin : begin + size, head], support_scores[:, head]])
            literal.append(reference.paired_sample(x, z, k))
    assert_same(
        fast.values, torch.stack(literal).view(fast.values.shape), [values, scores, support_values, support_scores]
    )


# A factor above 20, beyond which softplus is not exact by default.
LARGE_FACTOR = {"seed": 6093, "sizes": [1, 3, 1], "k": 2, "encoding": "dist", "leak": "none", "score": "softmax"}
LARGE_FACTOR |= {"sampler": "samsa", "sampling": "soft", "tau": 0.3, "shared": False, "bias": False}
LARGE_FACTOR |= {"own_score": True, "many": 0}


@settings(max_examples=100, deadline=None)
@example(**LARGE_FACTOR)
@given(
    seed=seeds,
    sizes=sizes,
    k=st.integers(1, 3),
    encoding=st.sampled_from(["none", "dist", "dist_normal", "field"]),
    leak=st.sampled_from(LEAKS),
    score=st.sampled_from(["maxout", "softmax"]),
    sampler=st.sampled_from(["samsa", "paired"]),
    sampling=st.sampled_from(["hard", "soft"]),
    tau=st.sampled_from([0.3, 1.0]),
    shared=st.booleans(),
    bias=st.booleans(),
    own_score=st.booleans(),
    many=st.sampled_from([0, 1, 6]),
)
def test_sft_conv(seed, sizes, k, encoding, leak, score, sampler, sampling, tau, shared, bias, own_score, many):
    """``many`` 0 projects the sampled tokens only, in every case."""
    torch.manual_seed(seed)
    options = {"encoding": encoding, "leak": leak, "score": score, "sampler": sampler, "sampling": sampling, "tau": tau}
    if sampler == "paired":  # which has no relaxation
        options |= {"sampling": "hard", "tau": 1.0}
    conv = SFTConv(4, heads=2, num_samples=k, bias=bias, shared=shared, **options).double().eval()
    randomise(conv)
    ptr, total = torch.tensor([0, *sizes]).cumsum(0), sum(sizes)
    x, score_input, pos, normals = (
        normal(total, 4),
        normal(total, 4) if own_score else None,
        normal(total, 3),
        normal(total, 3),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_conv, "_MANY", many)
        fast = conv(x, ptr=ptr, score_input=score_input, pos=pos, normal=normals)
    literal = reference.sft_conv(
        x, ptr, reference.SFTConvParams.of(conv), 2, k, score_input=score_input, pos=pos, normal=normals, **options
    )
    assert_same(fast, literal, [x, pos, normals, *conv.parameters()])


@pytest.mark.parametrize("sampler", ["samsa", "paired"])
@pytest.mark.parametrize("seed", range(5))
def test_training_noise_and_random_pairs(sampler, seed, monkeypatch):
    torch.manual_seed(seed)
    conv = SFTConv(4, heads=2, num_samples=3, encoding="dist", sampler=sampler).double().train()
    ptr, x, pos = torch.tensor([0, 1, 8, 8, 10]), normal(10, 4), normal(10, 2)
    noise, draws = normal(10, 1, grad=False), torch.rand(4, 1, 3)
    monkeypatch.setattr(sft_conv, "gumbel_noise", lambda like: noise)
    monkeypatch.setattr(torch, "rand", lambda *shape, **kwargs: draws)
    literal = reference.sft_conv(
        x,
        ptr,
        reference.SFTConvParams.of(conv),
        2,
        3,
        encoding="dist",
        sampler=sampler,
        gumbel=noise,
        pairing=draws.argsort(-1),
        pos=pos,
    )
    assert_same(conv(x, ptr=ptr, pos=pos), literal, [x, *conv.parameters()])


@pytest.mark.parametrize("encoding", ["none", "dist_normal", "field"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_way_of_accelerators_is_that_of_the_cpu(encoding, shared):
    """Dense tables of graphs of similar size, as on CUDA, here on the CPU."""
    torch.manual_seed(0)
    conv = SFTConv(8, heads=2, num_samples=3, encoding=encoding, shared=shared).double().eval()
    sizes = [0, 3, 700, 1, 5]
    ptr, total = torch.tensor([0, *sizes]).cumsum(0), sum(sizes)
    x, pos, normals = normal(total, 8), normal(total, 3), normal(total, 3)
    rows = conv(x, ptr=ptr, pos=pos, normal=normals)
    assert len(RaggedIndex(ptr).layouts()) > 1
    with accelerator_path():
        assert_same(conv(x, ptr=ptr, pos=pos, normal=normals), rows, [x, pos, normals, *conv.parameters()])
