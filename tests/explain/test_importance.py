import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.explain import METHODS, TokenImportance, token_importance

EQUIVARIANT = tuple(method for method in METHODS if method != "random")


@pytest.mark.parametrize("method", METHODS)
def test_batch_mates_and_calls_do_not_matter(method, network, graphs):
    model = network()
    together = token_importance(model, graphs, method, target=[0, 1, 0, 1, 0])
    for data, found, target in zip(graphs, together, (0, 1, 0, 1, 0), strict=True):
        (alone,) = token_importance(model, data, method, target=target)
        torch.testing.assert_close(alone.node, found.node)
        torch.testing.assert_close(alone.edge, found.edge)
        torch.testing.assert_close(alone.prediction, found.prediction)
    few = token_importance(model, graphs, method, target=[0, 1, 0, 1, 0], max_tokens=3)
    for one, other in zip(few, together, strict=True):
        torch.testing.assert_close(one.node, other.node)


@pytest.mark.parametrize("method", EQUIVARIANT)
def test_permuted_nodes_and_edges_have_permuted_scores(method, network, graphs):
    model, data = network(), graphs[0]
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
def test_scores_are_means_over_the_draws_of_codes(method, network, graphs):
    model = network(num_eval_samples=3)
    (found,) = token_importance(model, graphs[0], method)
    with torch.no_grad():
        torch.testing.assert_close(
            found.prediction, model.eval()(graphs[0].x, graphs[0].edge_index, graphs[0].edge_attr)[0]
        )
    model.num_eval_samples = 1
    (one,) = token_importance(model, graphs[0], method)
    assert not torch.allclose(one.node, found.node)


def test_the_network_is_left_as_it_was(network, graphs):
    model = network().train()
    model.encoder.blocks[1].eval()
    token_importance(model, graphs[0], "occlusion")
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


def test_a_batch_of_pyg_is_a_list_of_graphs(network, graphs):
    model = network()
    batch = Batch.from_data_list(graphs[:2])
    first, second = token_importance(model, batch.to_data_list())
    torch.testing.assert_close(first.node, token_importance(model, graphs[0])[0].node)
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
def test_what_cannot_be_explained_is_refused(options, method, culprit, network, graphs):
    with pytest.raises(ConfigError, match=culprit):
        token_importance(network(**options), graphs[0], method)


@pytest.mark.parametrize("target", [2, -1, [0, 0]])
def test_targets_that_are_not_there(target, network, graphs):
    with pytest.raises(ConfigError, match="target"):
        token_importance(network(), graphs[0], target=target)


def test_another_model_is_refused(graphs):
    with pytest.raises(ConfigError, match="SAMSA"):
        token_importance(torch.nn.Linear(5, 1), graphs[0])


@pytest.mark.parametrize("method", METHODS)
def test_features_of_whole_graphs_are_those_of_the_prediction(method, network, graphs, predict):
    model = network(graph_channels=3)
    model.graph_features.fit(torch.randn(9, 3, dtype=torch.float64))
    given = [Data(**graph.to_dict(), graph_features=torch.full((1, 3), row - 2.0)) for row, graph in enumerate(graphs)]
    together = token_importance(model, given, method)
    for data, found in zip(given, together, strict=True):
        (alone,) = token_importance(model, data, method)
        torch.testing.assert_close(alone.node, found.node)
        torch.testing.assert_close(found.prediction, predict(model, data))
    with pytest.raises(ConfigError, match="graph_features: got None, expected features of every graph"):
        token_importance(model, graphs, method)


def test_occlusion_keeps_the_features_of_the_whole_graph(network, graphs, predict):
    model = network(graph_channels=3)
    data = Data(**graphs[0].to_dict(), graph_features=torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64))
    (found,) = token_importance(model, data, "occlusion")
    full = predict(model, data)[0]
    for node in range(data.num_nodes):
        torch.testing.assert_close(found.node[node], full - predict(model, data, [node])[0])
