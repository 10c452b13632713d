import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.explain import METHODS, TokenImportance, token_importance
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn import SAMSA
from pyg_samsa.nn.tokenizers.tokens import Tokens

EQUIVARIANT = tuple(method for method in METHODS if method != "random")


def network(**options):
    torch.manual_seed(0)
    settings = {"edge_channels": 3, "channels": 16, "num_layers": 3, "heads": 4, **options}
    if settings.get("attention") != "full":
        settings.setdefault("num_samples", 4)
    model = SAMSA.from_options(5, 2, **settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 0:
                parameter.fill_(0.7)
        for block in model.encoder.blocks:
            if hasattr(block.conv, "support_score"):
                block.conv.support_score.sub_(1.0)  # fewer support pairs among the sampled ones
    return model


def graph(nodes, bonds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.tensor(bonds, dtype=torch.long).reshape(-1, 2).T
    edge_index = torch.stack([pairs, pairs.flip(0)], dim=2).flatten(1)
    edge_attr = torch.randn(pairs.size(1), 3, generator=generator, dtype=torch.float64).repeat_interleave(2, 0)
    return Data(
        x=torch.randn(nodes, 5, generator=generator, dtype=torch.float64), edge_index=edge_index, edge_attr=edge_attr
    )


GRAPHS = [
    graph(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (1, 4)], 1),
    graph(1, [], 2),
    graph(5, [(0, 1), (3, 1)], 3),  # two isolated nodes
    graph(3, [], 4),
    graph(9, [(0, i) for i in range(1, 9)], 5),
]


def predict(model, data, without=None, scale=None):
    """The literal way: the whole network, with one token taken out of, or scaled in, what Graph-Bridge hands on."""

    def change(module, args, tokens):
        if scale is not None:
            token, factor = scale
            factors = torch.ones(tokens.x.size(0), 1, dtype=tokens.x.dtype)
            factors[token] = factor
            return tokens._replace(x=tokens.x * factors)
        keep = [row for row in range(tokens.x.size(0)) if row not in (without or ())]
        return Tokens(tokens.x[keep], RaggedIndex(torch.tensor([0, len(keep)])), torch.tensor(keep[:1]), None)

    hook = model.tokenizer.bridge.register_forward_hook(change)
    with torch.no_grad():
        out = model.eval()(data.x, data.edge_index, data.edge_attr)[0]
    hook.remove()
    return out


@pytest.mark.parametrize("sample", [2, 4, 64])
@pytest.mark.parametrize("data", GRAPHS)
def test_occlusion_is_the_difference_that_a_missing_token_makes(data, sample):
    model = network(num_samples=sample)
    full = predict(model, data)
    for target in (0, 1):
        (found,) = token_importance(model, data, "occlusion", target=target)
        torch.testing.assert_close(found.prediction, full)
        node = [full[target] - predict(model, data, without=[token])[target] for token in range(data.num_nodes)]
        torch.testing.assert_close(found.node, torch.stack(node))
        first = data.num_nodes
        for bond in range(data.num_edges // 2):
            effect = full[target] - predict(model, data, without=[first + 2 * bond, first + 2 * bond + 1])[target]
            torch.testing.assert_close(found.bond[bond], effect)
            torch.testing.assert_close(found.edge[2 * bond], effect / 2)


def test_occlusion_of_self_loops_double_edges_and_one_way_edges():
    edge_index = torch.tensor([[0, 1, 1, 0, 2, 1], [1, 0, 1, 1, 0, 1]])
    data = Data(
        x=torch.randn(3, 5, dtype=torch.float64),
        edge_index=edge_index,
        edge_attr=torch.randn(6, 3, dtype=torch.float64),
    )
    model = network()
    (found,) = token_importance(model, data, "occlusion")
    assert found.bond_index.tolist() == [[0, 1, 0], [1, 1, 2]]
    full = predict(model, data)[0]
    for bond, edges in enumerate([(0, 1, 3), (2, 5), (4,)]):
        torch.testing.assert_close(
            found.bond[bond], full - predict(model, data, without=[3 + edge for edge in edges])[0]
        )


def test_a_token_that_no_head_sampled_still_counts_in_the_readout():
    data = graph(40, [(i, i + 1) for i in range(39)])
    model = network(num_samples=1)
    (chosen,) = token_importance(model, data, "chosen")
    (found,) = token_importance(model, data, "occlusion")
    never = (chosen.node == 0).nonzero().flatten()
    assert never.numel() > 10
    full = predict(model, data)[0]
    for node in never[:5].tolist():
        assert found.node[node] != 0
        torch.testing.assert_close(found.node[node], full - predict(model, data, without=[node])[0])


def literal_attention(model, data):
    """Query by query, head by head, layer by layer, from the operator's own word on what it sampled."""
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


@pytest.mark.parametrize("data", GRAPHS)
@pytest.mark.parametrize("sample", [2, 64])
def test_sampled_and_chosen_are_what_the_heads_did(data, sample):
    model = network(num_samples=sample)
    share, often = literal_attention(model, data)
    for method, expected in (("sampled", share), ("chosen", often)):
        (found,) = token_importance(model, data, method)
        torch.testing.assert_close(torch.cat([found.node, found.edge]), expected)
    assert 0 < share.sum() <= 1


class Detached(torch.nn.Module):
    """Scores that hand no gradient back: hard sampling has a straight-through one, which no finite difference shows."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, x):
        return self.score(x).detach()


@pytest.mark.parametrize("data", GRAPHS)
def test_gradient_is_the_first_order_effect_of_scaling_a_token(data):
    model = network()
    for block in model.encoder.blocks:
        block.conv.score = Detached(block.conv.score)
    (found,) = token_importance(model, data, "gradient", target=1)
    scores, step = torch.cat([found.node, found.edge]), 1e-6
    slopes = [
        predict(model, data, scale=(token, 1 + step))[1] - predict(model, data, scale=(token, 1 - step))[1]
        for token in range(scores.numel())
    ]
    torch.testing.assert_close(scores, torch.stack(slopes) / (2 * step), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_batch_mates_and_calls_do_not_matter(method):
    model = network()
    together = token_importance(model, GRAPHS, method, target=[0, 1, 0, 1, 0])
    for data, found, target in zip(GRAPHS, together, (0, 1, 0, 1, 0), strict=True):
        for _ in range(2):
            (alone,) = token_importance(model, data, method, target=target)
            torch.testing.assert_close(alone.node, found.node)
            torch.testing.assert_close(alone.edge, found.edge)
            torch.testing.assert_close(alone.prediction, found.prediction)
    few = token_importance(model, GRAPHS, method, target=[0, 1, 0, 1, 0], max_tokens=3)
    for one, other in zip(few, together, strict=True):
        torch.testing.assert_close(one.node, other.node)


@pytest.mark.parametrize("method", EQUIVARIANT)
def test_permuted_nodes_and_edges_have_permuted_scores(method):
    model, data = network(), GRAPHS[0]
    perm, order = (
        torch.randperm(6, generator=torch.Generator().manual_seed(3)),
        torch.randperm(14, generator=torch.Generator().manual_seed(4)),
    )
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(6))
    moved = Data(x=data.x[perm], edge_index=place[data.edge_index][:, order], edge_attr=data.edge_attr[order])
    (found,), (other,) = token_importance(model, data, method), token_importance(model, moved, method)
    torch.testing.assert_close(other.node, found.node[perm])
    torch.testing.assert_close(other.edge, found.edge[order])


@pytest.mark.parametrize("method", EQUIVARIANT)
def test_scores_are_means_over_the_draws_of_codes(method):
    model = network(num_eval_samples=3)
    (found,) = token_importance(model, GRAPHS[0], method)
    with torch.no_grad():
        torch.testing.assert_close(
            found.prediction, model.eval()(GRAPHS[0].x, GRAPHS[0].edge_index, GRAPHS[0].edge_attr)[0]
        )
    model.num_eval_samples = 1
    (one,) = token_importance(model, GRAPHS[0], method)
    assert not torch.allclose(one.node, found.node)


def test_the_network_is_left_as_it_was():
    model = network().train()
    model.encoder.blocks[1].eval()
    token_importance(model, GRAPHS[0], "occlusion")
    assert model.training
    assert not model.encoder.blocks[1].training
    assert model.encoder.blocks[2].training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(block._forward_pre_hooks for block in model.encoder.blocks)


def test_bonds_sum_both_directions_in_the_order_of_first_mention():
    edge_index = torch.tensor([[2, 0, 1, 0], [0, 1, 0, 2]])
    found = TokenImportance(
        "sampled", 0, torch.zeros(3), torch.tensor([1.0, 2.0, 4.0, 8.0]), edge_index, torch.zeros(1)
    )
    assert found.bond_index.tolist() == [[0, 0], [2, 1]]
    assert found.bond.tolist() == [9.0, 6.0]
    frame = found.to_frame(["C", "N", "O"])
    assert frame.columns.tolist() == ["token", "source", "target", "symbol", "sampled"]
    assert frame["symbol"].tolist() == ["C", "N", "O", "O-C", "C-N", "N-C", "C-O"]
    assert frame["sampled"].tolist() == [0, 0, 0, 1, 2, 4, 8]
    with pytest.raises(ShapeError, match="symbols"):
        found.to_frame(["C"])


def test_a_batch_of_pyg_is_a_list_of_graphs():
    model = network()
    batch = Batch.from_data_list(GRAPHS[:2])
    first, second = token_importance(model, batch.to_data_list())
    torch.testing.assert_close(first.node, token_importance(model, GRAPHS[0])[0].node)
    assert second.edge.numel() == 0
    assert token_importance(model, []) == []


@pytest.mark.parametrize(
    ("options", "method", "culprit"),
    [
        ({"bridge": False, "edge_channels": None}, "sampled", "bridge"),
        ({"level": "node"}, "sampled", "level"),
        ({"towers": 2}, "sampled", "level"),
        ({"noise": "always"}, "occlusion", "noise"),
        ({"eval_codes": "random"}, "occlusion", "noise"),
        ({"attention": "full"}, "sampled", "does not sample"),
        ({}, "lime", "method"),
    ],
)
def test_what_cannot_be_explained_is_refused(options, method, culprit):
    with pytest.raises(ConfigError, match=culprit):
        token_importance(network(**options), GRAPHS[0], method)


def test_networks_that_do_not_sample_can_be_occluded():
    model, data = network(attention="full"), GRAPHS[2]
    (found,) = token_importance(model, data, "occlusion")
    full = predict(model, data)[0]
    torch.testing.assert_close(
        found.node, torch.stack([full - predict(model, data, without=[token])[0] for token in range(5)])
    )


@pytest.mark.parametrize("target", [2, -1, [0, 0]])
def test_targets_that_are_not_there(target):
    with pytest.raises(ConfigError, match="target"):
        token_importance(network(), GRAPHS[0], target=target)


def test_another_model_is_refused():
    with pytest.raises(ConfigError, match="SAMSA"):
        token_importance(torch.nn.Linear(5, 1), GRAPHS[0])


@pytest.mark.parametrize("data", GRAPHS)
@pytest.mark.parametrize("sample", [2, 64])
def test_contribution_is_the_first_order_effect_of_scaling_sampled_values(data, sample, monkeypatch):
    model = network(num_samples=sample)
    for block in model.encoder.blocks:
        block.conv.score = Detached(block.conv.score)
    (found,) = token_importance(model, data, "contribution", target=1)
    scores, step = torch.cat([found.node, found.edge]), 1e-6
    original = type(model.encoder.blocks[0].conv).sample
    factor = {}

    def scaled(self, *args):
        samples = original(self, *args)
        values = samples.values.clone()
        half = values.size(-1) // 2
        for token, size in factor.items():
            values[..., half:] = torch.where(
                (samples.candidates == token)[..., None], size * values[..., half:], values[..., half:]
            )
        return samples._replace(values=values)

    monkeypatch.setattr(type(model.encoder.blocks[0].conv), "sample", scaled)
    for token in range(scores.numel()):
        outputs = []
        for size in (1 + step, 1 - step):
            factor.clear()
            factor[token] = size
            outputs.append(predict(model, data, scale=(0, 1.0))[1])
        torch.testing.assert_close(scores[token], (outputs[0] - outputs[1]) / (2 * step), rtol=1e-5, atol=1e-8)


def test_frozen_networks_have_contributions():
    model = network()
    (free,) = token_importance(model, GRAPHS[0], "contribution")
    (frozen,) = token_importance(model.requires_grad_(False), GRAPHS[0], "contribution")
    assert free.node.abs().sum() > 0
    torch.testing.assert_close(frozen.node, free.node)
