"""Pooling, towers, nodes, and the scale of the targets."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn.aggr import MaxAggregation

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import Readout, Tokens, make_pool
from pyg_samsa.nn.readout import Gate


def test_attention_pool_is_a_weighted_mean_per_graph():
    pool = make_pool("attention", 4).double()
    x, batch = torch.randn(6, 4, dtype=torch.float64), torch.tensor([2, 0, 2, 0, 0, 2])
    out = pool(x, batch, dim_size=4)
    for graph in (0, 2):
        part = x[batch == graph]
        weight = pool.gate_nn(part).softmax(0)
        torch.testing.assert_close(out[graph], (weight * part).sum(0))
    assert (out[[1, 3]] == 0).all()


def test_mean_pool():
    x, batch = torch.randn(6, 4), torch.tensor([2, 0, 2, 0, 0, 2])
    out = make_pool("mean", 4)(x, batch, dim_size=4)
    torch.testing.assert_close(out[2], x[batch == 2].mean(0))
    assert (out[[1, 3]] == 0).all()


def tokens(*sizes: int) -> Tokens:
    torch.manual_seed(0)
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    return Tokens(torch.randn(int(ptr[-1]), 4, dtype=torch.float64), RaggedIndex(ptr), torch.tensor([3, 0, 4]))


def test_any_aggregation_of_pyg_pools():
    given, readout = tokens(3, 2), Readout(4, 2, pool=MaxAggregation()).double()
    expected = readout.head(torch.stack([given.x[:3].amax(0), given.x[3:].amax(0)]))
    torch.testing.assert_close(readout(given), expected)


def test_towers_are_joined_and_compared():
    given = tokens(2, 1, 2, 3)
    mean = torch.stack([part.mean(0) for part in given.x.split([2, 1, 2, 3])])
    first, second = mean[::2], mean[1::2]
    concat = Readout(4, 2, pool="mean", towers=2).double()
    torch.testing.assert_close(concat.features(given), torch.cat([first, second], dim=1))
    compared = Readout(4, 2, pool="mean", towers=2, interaction="nli").double()
    expected = torch.cat([first, second, first * second, (first - second).abs()], dim=1)
    torch.testing.assert_close(compared.features(given), expected)
    with pytest.raises(ShapeError, match="towers = 2"):
        concat(tokens(3, 1, 1))


def test_nodes_see_their_graph_and_its_category():
    given = tokens(3, 2)
    readout = Readout(4, 2, level="node", pool="mean", context=True, num_categories=3).double()
    mean, one_hot = given.x.split([3, 2]), torch.eye(3, dtype=torch.float64)
    graph = [1, 0, 1]  # of rows 3, 0 and 4
    expected = [
        torch.cat([given.x[row], mean[b].mean(0), one_hot[[2, 0][b]]]) for row, b in zip([3, 0, 4], graph, strict=True)
    ]
    torch.testing.assert_close(readout.features(given, torch.tensor([2, 0])), torch.stack(expected))
    with pytest.raises(ShapeError, match="category"):
        readout(given)


def test_edges_follow_the_nodes_at_token_level():
    given = tokens(3, 2)
    readout = Readout(4, 2, level="token").double()
    torch.testing.assert_close(readout.features(given), given.x[[3, 0, 4]])  # edges are no tokens
    given = given._replace(edge_rows=torch.tensor([2, 1]))
    torch.testing.assert_close(readout.features(given), given.x[[3, 0, 4, 2, 1]])
    torch.testing.assert_close(readout(given), readout.head(given.x[[3, 0, 4, 2, 1]]))


@pytest.mark.parametrize("options", [{}, {"context": True, "pool": "mean", "edge_decoding": "concat"}])
def test_pairs_are_scored_from_what_the_head_sees_of_their_nodes(options):
    given, pairs = tokens(3, 2), torch.tensor([[0, 2, 1], [2, 2, 1]])  # rows 3, 0 and 4 of graphs 1, 0 and 1
    readout = Readout(4, 1, level="link", **options).double()
    assert readout.inputs == {"edge_label_index"}
    assert readout.head is None
    seen = Readout.features(readout, given)
    assert seen.shape == (3, 8 if options else 4)
    decoder = readout.pair_decoder
    for row, (i, j) in enumerate(pairs.T.tolist()):
        expected = (
            decoder.head(torch.cat([seen[i], seen[j]])) if options else decoder.head(seen[i]) @ decoder.head(seen[j])
        )
        torch.testing.assert_close(readout(given, edge_label_index=pairs)[row].squeeze(), expected.squeeze())
    with pytest.raises(ShapeError, match=r"the pair \(0, 1\)"):
        readout(given, edge_label_index=torch.tensor([[0], [1]]))
    with pytest.raises(ShapeError, match="edge_label_index: got None"):
        readout(given)
    with pytest.raises(ShapeError, match=r"edge_label_index: .* because level is 'node'"):
        Readout(4, 1, level="node").double()(given, edge_label_index=pairs)


def test_predictions_are_scaled_and_new_weights_keep_the_scale():
    given, readout = tokens(3, 2), Readout(4, 2, scale_targets=True).double()
    readout.scale.fit(torch.tensor([5.0, -1.0]), torch.tensor([2.0, 3.0]))
    expected = readout.head(readout.features(given)) * torch.tensor([2.0, 3.0]) + torch.tensor([5.0, -1.0])
    torch.testing.assert_close(readout(given), expected)
    before = readout.head.net[0].weight.clone()
    readout.reset_parameters()
    assert not torch.equal(readout.head.net[0].weight, before)
    assert readout.scale.std.tolist() == [2.0, 3.0]


def test_the_gate_is_not_rounded_under_autocast():
    gate, x = Gate(4, 1), torch.randn(6, 4)
    expected = torch.nn.functional.linear(x, gate.weight, gate.bias)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gate(x), expected)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"pool": "sum"}, "pool"),
        ({"level": "edge"}, "level"),
        ({"out_channels": 0}, "out_channels"),
        ({"num_categories": 3}, "num_categories"),
        ({"num_categories": -1}, "num_categories"),
        ({"graph_channels": -1}, "graph_channels"),
        ({"graph_channels": 2, "graph_levels": -1}, "graph_levels"),
        ({"graph_channels": 2, "graph_hidden": 0}, "graph_hidden"),
        ({"towers": 0}, "towers"),
        ({"interaction": "nli"}, "interaction"),
        ({"level": "node", "towers": 2}, "towers"),
        ({"level": "token", "towers": 2}, "towers"),
        ({"level": "token", "pool": "mean"}, "pool"),
        ({"level": "node", "pool": "mean"}, "pool"),
        ({"level": "link", "out_channels": 1, "towers": 2}, "towers"),
        ({"level": "link"}, "out_channels"),
        ({"level": "link", "edge_decoding": "sum"}, "edge_decoding"),
        ({"edge_decoding": "concat"}, "edge_decoding"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(options, name):
    with pytest.raises(ConfigError, match=f"^{name}:"):
        Readout(**{"channels": 4, "out_channels": 2, **options})


def test_defaults(defaults):
    expected = {
        "level": "graph",
        "pool": "attention",
        "towers": 1,
        "interaction": "concat",
        "context": False,
        "num_categories": 0,
        "graph_channels": 0,
        "graph_levels": 0,
        "dropout": 0.0,
        "head_norm": "none",
        "scale_targets": False,
    }
    assert expected.items() <= defaults(Readout).items()
