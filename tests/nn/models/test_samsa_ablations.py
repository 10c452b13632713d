"""The ablations of SAMSAConv: shared sets, random and fixed keys, no support pairs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import GraphBridge, SAMSAConv

SIZES = [7, 0, 1, 2, 40, 0]
ABLATIONS = [
    {"shared_sets": True},
    {"shared_sets": True, "sampling": "soft"},
    {"shared_sets": True, "sampling": "replacement"},
    {"importance": "random"},
    {"importance": "fixed"},
    {"importance": "fixed", "shared_sets": True},
    {"support": False},
]


def make(**kwargs) -> SAMSAConv:
    torch.manual_seed(0)
    return SAMSAConv(16, heads=4, num_samples=3, **kwargs).double().eval()


@pytest.mark.parametrize("kwargs", ABLATIONS, ids=str)
def test_batch_mates_and_order_do_not_matter(kwargs):
    conv = make(**kwargs)
    x = torch.randn(sum(SIZES), 16, dtype=torch.float64)
    ptr = torch.tensor([0, *torch.tensor(SIZES).cumsum(0).tolist()])
    together = conv(x, ptr=ptr)
    torch.testing.assert_close(
        together, torch.cat([conv(part) for part in x.split(SIZES) if len(part)]), rtol=0, atol=1e-10
    )
    perm = torch.randperm(40)
    torch.testing.assert_close(conv(x[10:][perm]), conv(x[10:])[perm], rtol=0, atol=1e-10)


@pytest.mark.parametrize("sampling", ["hard", "soft", "replacement"])
def test_a_shared_set_is_one_score_for_every_head(sampling):
    shared, own = (
        make(shared_sets=True, sampling=sampling, noise="never").train(),
        make(sampling=sampling, noise="never").train(),
    )
    state = shared.state_dict()
    state |= {
        "score.out.weight": state["score.out.weight"].expand(4, -1),
        "score.out.bias": state["score.out.bias"].expand(4),
    }
    own.load_state_dict(state | {"support_score": state["support_score"].expand(-1, 4)})
    x, batch = torch.randn(50, 16, dtype=torch.float64), torch.arange(50) // 20
    out = [conv(x, batch=batch) for conv in (shared, own)]
    torch.testing.assert_close(*out, rtol=0, atol=1e-12)
    for result in out:
        result.square().sum().backward()
    torch.testing.assert_close(
        shared.support_score.grad, own.support_score.grad.sum(1, keepdim=True), rtol=0, atol=1e-10
    )
    torch.testing.assert_close(shared.key_value.weight.grad, own.key_value.weight.grad, rtol=0, atol=1e-10)


def test_fixed_keys_are_the_same_for_every_graph():
    conv = make(importance="fixed")
    x = torch.randn(9, 16, dtype=torch.float64)
    out, sampled = conv(x, batch=torch.arange(9) // 5, return_sampled_tokens=True)
    key, value = conv.support_key_value[:3].view(3, 4, 8).transpose(0, 1).split(4, dim=-1)
    query = conv.query(x).view(9, 4, 4).transpose(0, 1)
    torch.testing.assert_close(
        out, conv.out(F.scaled_dot_product_attention(query, key, value).transpose(0, 1).flatten(1)), rtol=0, atol=1e-12
    )
    assert sampled.index.tolist() == [[[-1, -2, -3]] * 4] * 2


def test_random_keys_are_uniform_in_training_and_learn_nothing():
    conv = make(importance="random").train()
    x = torch.randn(20, 16, dtype=torch.float64)
    with torch.no_grad():
        conv.support_score.fill_(-1e9)
        x[:10] += 5
        drawn = torch.cat([conv(x, return_sampled_tokens=True)[1].index.flatten() for _ in range(300)])
    share = torch.bincount(drawn, minlength=20) / drawn.numel()
    assert (share - 1 / 20).abs().max() < 0.02
    conv(x).sum().backward()
    assert all(weight.grad is None for weight in (*conv.score.parameters(), conv.support_score))
    assert conv.support_key_value.grad is not None


def test_without_support_only_tokens_are_sampled_while_there_are_enough():
    conv = make(support=False)
    x = torch.randn(12, 16, dtype=torch.float64)
    assert conv(x, return_sampled_tokens=True)[1].index.min() >= 0
    few = conv(x[:2], return_sampled_tokens=True)[1].index
    assert (few[..., 2] < 0).all()
    assert (few[..., :2] >= 0).all()
    assert {name for name, weight in conv.named_parameters() if not weight.requires_grad} == {
        "support_key_value",
        "support_score",
    }
    conv.train()(x).sum().backward()
    assert torch.isfinite(conv.score.out.weight.grad).all()


def test_bad_combinations_are_named():
    with pytest.raises(ConfigError, match="support"):
        make(importance="fixed", support=False)
    with pytest.raises(ConfigError, match="importance"):
        make(importance="learnt")


def test_bridge_without_codes_is_a_function_of_the_features():
    torch.manual_seed(0)
    bridge = GraphBridge(8, num_codes=0).double().train()
    x, edge_index, edge_attr = torch.randn(3, 8).double(), torch.tensor([[0, 1], [1, 2]]), torch.randn(2, 8).double()
    tokens = bridge(x, edge_index, edge_attr)
    code = bridge.phi(x)
    torch.testing.assert_close(tokens.x[tokens.node_rows], bridge.phi_node(torch.cat([code, x], 1)))
    torch.testing.assert_close(
        tokens.x[tokens.edge_rows],
        bridge.phi_edge(torch.cat([code[edge_index[0]] - code[edge_index[1]], edge_attr], 1)),
    )
    assert bridge(x[:0], edge_index[:, :0], edge_attr[:0]).x.shape == (0, 8)
