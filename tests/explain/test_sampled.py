import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa.explain import token_importance
from pyg_samsa.explain.sampled import chosen_scores, contribution_scores, sampled_scores
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv


def literal_attention(model, data):
    """Query by query, head by head, layer by layer, from the tokens that the operator says it sampled."""
    tokens, share, often = [], None, None
    hooks = [
        block.conv.register_forward_pre_hook(lambda _, args, kwargs: tokens.append((args[0], kwargs)), with_kwargs=True)
        for block in model.encoder.blocks
    ]
    predict_again = model.eval()
    with torch.no_grad():
        predict_again(data.x, data.edge_index, data.edge_attr)
    for hook in hooks:
        hook.remove()
    for block, (x, kwargs) in zip(model.encoder.blocks, tokens, strict=True):
        conv, count = block.conv, x.size(0)
        with torch.no_grad():
            _, sampled = conv(x, **kwargs, return_sampled_tokens=True)
        width = conv.channels // conv.heads
        query = conv.query(x).view(count, conv.heads, width)
        key = conv.key_value(x).view(count, conv.heads, 2 * width)[..., :width]
        support = conv.support_key_value.view(-1, conv.heads, 2 * width)[..., :width]
        share = torch.zeros(count, dtype=x.dtype) if share is None else share
        often = torch.zeros(count, dtype=x.dtype) if often is None else often
        for head in range(conv.heads):
            rows = sampled.index[0, head].tolist()
            keys = torch.stack([key[row, head] if row >= 0 else support[-1 - row, head] for row in rows])
            for row in set(rows):
                if row >= 0:
                    often[row] += 1 / conv.heads / len(model.encoder.blocks)
            for q in range(count):
                weights = torch.softmax(keys @ query[q, head] / width**0.5, 0)
                for row, weight in zip(rows, weights.tolist(), strict=True):
                    if row >= 0:
                        share[row] += weight / count / conv.heads / len(model.encoder.blocks)
    return share, often


@pytest.mark.parametrize("sample", [2, 64])
def test_sampled_and_chosen_are_what_the_heads_did(data, sample, network):
    model = network(num_samples=sample)
    share, often = literal_attention(model, data)
    for method, expected in (("sampled", share), ("chosen", often)):
        (found,) = token_importance(model, data, method)
        torch.testing.assert_close(torch.cat([found.node, found.edge]), expected)
    assert 0 < share.sum() <= 1


@pytest.mark.parametrize("sample", [2, 64])
def test_contribution_is_the_first_order_effect_of_scaling_sampled_values(data, sample, network, detached, monkeypatch):
    model = detached(network(num_samples=sample))
    (found,) = token_importance(model, data, "contribution", target=1)
    scores, step = torch.cat([found.node, found.edge]), 1e-6
    count, original = scores.numel(), SAMSAConv.sample
    # Copy number t of the graph has the values of its token t scaled, in every head and layer.
    batch = Batch.from_data_list([data] * count)
    change = step * torch.eye(count, dtype=torch.float64).flatten()

    def predict(factors):
        def scaled(self, *args):
            samples = original(self, *args)
            key, value = samples.values.chunk(2, -1)
            is_token = samples.candidates < factors.numel()  # the others are support pairs
            factor = torch.where(is_token, factors[samples.candidates.clamp(max=factors.numel() - 1)], 1.0)
            return samples._replace(values=torch.cat([key, factor[..., None] * value], -1))

        monkeypatch.setattr(SAMSAConv, "sample", scaled)
        with torch.no_grad():
            return model.eval()(batch.x, batch.edge_index, batch.edge_attr, batch.batch)[:, 1]

    slopes = (predict(1 + change) - predict(1 - change)) / (2 * step)
    torch.testing.assert_close(scores, slopes, rtol=1e-5, atol=1e-8)


def test_frozen_networks_have_contributions(network, graphs):
    model = network()
    (free,) = token_importance(model, graphs[0], "contribution")
    (frozen,) = token_importance(model.requires_grad_(False), graphs[0], "contribution")
    assert free.node.abs().sum() > 0
    torch.testing.assert_close(frozen.node, free.node)


@pytest.mark.parametrize("scores", [sampled_scores, chosen_scores, contribution_scores])
def test_predictions_of_every_method_are_those_of_the_network(scores, network, graphs):
    model, batch = network().eval(), Batch.from_data_list(graphs)
    found = scores(model, batch, torch.zeros(5, dtype=torch.long))
    with torch.no_grad():
        expected = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch)
    torch.testing.assert_close(found.predictions, expected)
    assert found.scores.shape == (batch.num_nodes + batch.num_edges,)
    assert not found.scores.requires_grad


def test_heads_that_sample_every_token_choose_every_token(network, graphs):
    model = network(num_samples=64)
    for block in model.encoder.blocks:
        block.conv.support_score.data.sub_(1000.0)  # support pairs come last
    (found,) = token_importance(model, graphs[0], "chosen")
    assert found.node.tolist() == pytest.approx([1.0] * 6)
    assert found.edge.tolist() == pytest.approx([1.0] * 14)


def test_the_target_only_matters_for_contribution(network, graphs):
    model = network()
    for method, differs in (("sampled", False), ("chosen", False), ("contribution", True)):
        first, second = (token_importance(model, graphs[0], method, target=target)[0].node for target in (0, 1))
        assert torch.equal(first, second) != differs
