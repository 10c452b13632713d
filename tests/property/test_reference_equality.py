"""The fast operators against the literal reference, in float64, values and gradients, on many random ragged batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from pyg_samsa.functional import (
    RaggedIndex,
    gaussian_codes,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
    reference,
    sample_with_replacement,
    sample_without_replacement,
    structural_keys,
)
from pyg_samsa.functional.codes import feature_keys
from pyg_samsa.nn import SAMSA, GraphBridge, SAMSABlock, SAMSAConv, make_pool
from pyg_samsa.nn.conv import token_conv


@pytest.fixture(autouse=True, scope="module")
def many_pieces():
    """Cut what is computed in pieces very small, so that even these batches need several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyg_samsa.functional.fused._CACHE_ELEMENTS", 16)
        patch.setattr("pyg_samsa.functional.fused._FEW_ELEMENTS", 0)
        yield


TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
seeds = st.integers(0, 2**31 - 1)
sizes = st.lists(st.sampled_from([0, 1, 2, 3, 5, 9]), min_size=1, max_size=4)
taus = st.sampled_from([0.3, 1.0, 2.5])


def normal(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def gradients(out: Tensor, inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(out, inputs, upstream, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def assert_same(fast: Tensor, literal: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(fast, literal, **TOLERANCE)
    if not literal.requires_grad:
        return
    upstream = torch.randn_like(literal)
    for one, other in zip(gradients(fast, inputs, upstream), gradients(literal, inputs, upstream), strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


def literal_sample(mode: str, values: Tensor, scores: Tensor, k: int, tau: float) -> Tensor:
    if mode == "soft":
        return reference.soft_sample_without_replacement(values, scores, k, tau)
    if mode == "hard":
        return reference.hard_sample_without_replacement(values, scores, k, tau)
    return reference.sample_with_replacement(values, scores, k, tau, None)


@settings(max_examples=250, deadline=None)
@given(
    seed=seeds,
    k=st.integers(1, 6),
    spare=st.integers(0, 8),
    channels=st.integers(1, 3),
    tau=taus,
    mode=st.sampled_from(["hard", "soft"]),
    ties=st.booleans(),
)
def test_sample_without_replacement(seed, k, spare, channels, tau, mode, ties):
    torch.manual_seed(seed)
    n = k + spare
    values = normal(2, n, channels)
    scores = torch.randint(0, 3, (2, n)).double().requires_grad_() if ties else normal(2, n)
    fast = sample_without_replacement(values, scores, k, tau=tau, mode=mode)
    literal = torch.stack([literal_sample(mode, values[b], scores[b], k, tau) for b in range(2)])
    assert_same(fast, literal, [values, scores])


@settings(max_examples=100, deadline=None)
@given(seed=seeds, k=st.integers(1, 6), n=st.integers(1, 9), channels=st.integers(1, 3), tau=taus, noisy=st.booleans())
def test_sample_with_replacement(seed, k, n, channels, tau, noisy):
    torch.manual_seed(seed)
    values, scores = normal(2, n, channels), normal(2, n)
    noise = normal(2, k, n, grad=False) if noisy else None
    fast = sample_with_replacement(values, scores, k, tau=tau, noise=noise)
    literal = torch.stack(
        [reference.sample_with_replacement(values[b], scores[b], k, tau, noise[b] if noisy else None) for b in range(2)]
    )
    assert_same(fast, literal, [values, scores])


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    sizes=sizes,
    k=st.integers(1, 4),
    tau=taus,
    mode=st.sampled_from(["hard", "soft", "replacement"]),
    ties=st.booleans(),
)
def test_ragged_samples_are_those_of_each_graph_and_head(seed, sizes, k, tau, mode, ties):
    torch.manual_seed(seed)
    heads, channels, total = 2, 3, sum(sizes)
    ties = ties and mode != "replacement"  # cumulative sums of equal probabilities may round across a quantile
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    values, support_values = normal(total, heads, channels), normal(2 * k, heads, channels)
    scores, support_scores = normal(total, heads), normal(2 * k, heads)
    if ties:
        scores, support_scores = (
            scores.detach().round().requires_grad_(),
            support_scores.detach().round().requires_grad_(),
        )
    pieces = (values, scores, support_values, support_scores, index, k)
    fast = (
        ragged_sample_with_replacement(*pieces, tau=tau)
        if mode == "replacement"
        else ragged_sample_without_replacement(*pieces, tau=tau, mode=mode)
    )
    literal = []
    for begin, size in zip(index.ptr.tolist(), sizes, strict=False):
        for head in range(heads):
            x = torch.cat([values[begin : begin + size, head], support_values[:, head]])
            z = torch.cat([scores[begin : begin + size, head], support_scores[:, head]])
            literal.append(literal_sample(mode, x, z, k, tau))
    assert_same(
        fast.values, torch.stack(literal).view(fast.values.shape), [values, scores, support_values, support_scores]
    )


def randomise(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    sizes=sizes,
    k=st.integers(1, 3),
    tau=taus,
    sampling=st.sampled_from(["hard", "soft", "replacement"]),
    own_score=st.booleans(),
    bias=st.booleans(),
    many=st.sampled_from([0, 1, 6]),
)
def test_samsa_conv(seed, sizes, k, tau, sampling, own_score, bias, many):
    """``many`` 0 projects the sampled tokens only, in every case."""
    torch.manual_seed(seed)
    conv = SAMSAConv(4, heads=2, num_samples=k, sampling=sampling, tau=tau, bias=bias).double().eval()
    randomise(conv)
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    x, score_input = normal(sum(sizes), 4), normal(sum(sizes), 4) if own_score else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_conv, "_MANY", many)
        fast = conv(x, ptr=ptr, score_input=score_input)
    literal = reference.samsa_conv(
        x, ptr, reference.SAMSAConvParams.of(conv), 2, k, tau, sampling, score_input=score_input
    )
    assert_same(fast, literal, [x, *conv.parameters()])


@pytest.mark.parametrize("sampling", ["hard", "soft"])
@pytest.mark.parametrize("seed", range(10))
def test_samsa_conv_with_training_noise(sampling, seed, monkeypatch):
    import pyg_samsa.nn.conv.samsa_conv as module

    torch.manual_seed(seed)
    conv = SAMSAConv(4, heads=2, num_samples=2, sampling=sampling).double().train()
    ptr, x = torch.tensor([0, 1, 8, 8, 10]), normal(10, 4)
    noise = normal(10, 2, grad=False)
    monkeypatch.setattr(module, "gumbel_noise", lambda like: noise)
    literal = reference.samsa_conv(x, ptr, reference.SAMSAConvParams.of(conv), 2, 2, 1.0, sampling, gumbel=noise)
    assert_same(conv(x, ptr=ptr), literal, [x, *conv.parameters()])


@settings(max_examples=40, deadline=None)
@given(seed=seeds, sizes=sizes, k=st.integers(1, 3), sampling=st.sampled_from(["hard", "soft"]))
def test_samsa_block(seed, sizes, k, sampling):
    torch.manual_seed(seed)
    block = SAMSABlock(4, ffn_channels=6, heads=2, num_samples=k, sampling=sampling).double().eval()
    randomise(block)
    ptr, x = torch.tensor([0, *sizes]).cumsum(0), normal(sum(sizes), 4)
    params = reference.SAMSABlockParams.of(block)
    assert_same(block(x, ptr=ptr), reference.samsa_block(x, ptr, params, 2, k, 1.0, sampling), [x, *block.parameters()])


def random_batch(sizes: list[int], shuffle: bool) -> tuple[Tensor, Tensor]:
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    if shuffle:
        batch = batch[torch.randperm(batch.numel())]
    edges = []
    for graph in range(len(sizes)):
        nodes = (batch == graph).nonzero().flatten()
        if nodes.numel():
            edges.append(nodes[torch.randint(0, nodes.numel(), (2, int(torch.randint(0, 6, ()))))])
    edge_index = torch.cat(edges, 1) if edges else torch.empty(2, 0, dtype=torch.long)
    return batch, edge_index[:, torch.randperm(edge_index.size(1))] if shuffle else edge_index


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    sizes=sizes,
    num_codes=st.integers(1, 2),
    edge_features=st.booleans(),
    shuffle=st.booleans(),
    draw=st.integers(0, 2),
)
def test_graph_bridge(seed, sizes, num_codes, edge_features, shuffle, draw):
    torch.manual_seed(seed)
    d = 4
    batch, edge_index = random_batch(sizes, shuffle)
    bridge = GraphBridge(d, num_codes, edge_features).double().eval()
    randomise(bridge)
    x = normal(batch.numel(), d)
    edge_attr = normal(edge_index.size(1), d) if edge_features else None
    tokens = bridge(x, edge_index, edge_attr, batch, batch_size=len(sizes), draw=draw)
    order = batch.argsort(stable=True)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel()))
    index = RaggedIndex.from_batch(batch.sort().values, len(sizes))
    keys = structural_keys(
        feature_keys(x)[order], place[edge_index], index, feature_keys(edge_attr) if edge_features else None
    )[place]
    eps = gaussian_codes(keys, num_codes * d, draw=draw, dtype=torch.float64).view(-1, num_codes, d).unbind(1)
    sigma = torch.nn.functional.softplus(bridge.raw_sigma)
    literal, ptr = reference.graph_bridge(
        x, edge_index, edge_attr, eps, sigma, bridge.phi, bridge.phi_node, bridge.phi_edge, batch, len(sizes)
    )
    assert tokens.index.ptr.tolist() == ptr
    assert_same(tokens.x, literal, [x, *bridge.parameters()] + ([edge_attr] if edge_features else []))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, sizes=sizes)
def test_readouts(seed, sizes):
    torch.manual_seed(seed)
    ptr, x = torch.tensor([0, *sizes]).cumsum(0), normal(sum(sizes), 3)
    pool = make_pool("attention", 3).double()
    gate, graphs = pool.gate_nn, (RaggedIndex(ptr).batch, None, len(sizes))
    assert_same(pool(x, *graphs), reference.attention_pool(x, ptr, gate.weight, gate.bias), [x, gate.weight])
    assert_same(make_pool("mean", 3)(x, *graphs), reference.mean_pool(x, ptr), [x])


@settings(max_examples=10, deadline=None)
@given(seed=seeds, n=st.integers(3, 7), k=st.integers(1, 3), tau=taus)
def test_gradcheck_of_soft_sampling(seed, n, k, tau):
    torch.manual_seed(seed)
    values, scores = normal(n, 2), torch.randperm(n).double().requires_grad_()
    assert gradcheck(lambda v, z: sample_without_replacement(v, z, k, tau=tau, mode="soft"), (values, scores))


@settings(max_examples=60, deadline=None)
@given(seed=seeds, k=st.integers(1, 5), spare=st.integers(0, 8), tau=taus)
def test_score_gradient_of_hard_is_that_of_soft(seed, k, spare, tau):
    torch.manual_seed(seed)
    values, scores, upstream = normal(k + spare, 3), normal(k + spare), normal(k, 3, grad=False)
    hard, soft = (
        torch.autograd.grad(sample_without_replacement(values, scores, k, tau=tau, mode=mode), scores, upstream)[0]
        for mode in ("hard", "soft")
    )
    torch.testing.assert_close(hard, soft, **TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    sizes=sizes,
    sampling=st.sampled_from(["hard", "soft", "replacement"]),
    level=st.sampled_from(["graph", "node"]),
)
def test_network_permutes_with_its_nodes_and_ignores_batch_mates(seed, sizes, sampling, level):
    torch.manual_seed(seed)
    model = (
        SAMSA.from_options(
            2, 2, edge_channels=2, channels=8, num_layers=2, heads=2, num_samples=2, sampling=sampling, level=level
        )
        .double()
        .eval()
    )
    randomise(model)
    batch, edge_index = random_batch(sizes, shuffle=False)
    x, edge_attr = normal(batch.numel(), 2, grad=False), normal(edge_index.size(1), 2, grad=False)
    out = model(x, edge_index, edge_attr, batch, batch_size=len(sizes))
    perm = torch.randperm(batch.numel())
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(perm.numel()))
    edge_perm = torch.randperm(edge_index.size(1))
    permuted = model(x[perm], place[edge_index][:, edge_perm], edge_attr[edge_perm], batch[perm], batch_size=len(sizes))
    torch.testing.assert_close(permuted, out if level == "graph" else out[perm], **TOLERANCE)
    for graph in range(len(sizes)):
        nodes, edges = batch == graph, batch[edge_index[0]] == graph
        first = int(nodes.nonzero()[0]) if nodes.any() else 0
        alone = model(x[nodes], edge_index[:, edges] - first, edge_attr[edges], batch_size=1)
        torch.testing.assert_close(alone, out[graph : graph + 1] if level == "graph" else out[nodes], **TOLERANCE)
