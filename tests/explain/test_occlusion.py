import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.explain import token_importance
from pyg_samsa.explain.occlusion import occlusion_scores


@pytest.mark.parametrize("sample", [2, 4, 64])
def test_occlusion_is_the_difference_that_a_missing_token_makes(data, sample, network, predict):
    model, first = network(num_samples=sample), data.num_nodes
    full = predict(model, data)
    of_nodes = [full - predict(model, data, [token]) for token in range(first)]
    pairs = [(first + 2 * bond, first + 2 * bond + 1) for bond in range(data.num_edges // 2)]
    of_bonds = [full - predict(model, data, pair) for pair in pairs]
    for target in (0, 1):
        (found,) = token_importance(model, data, "occlusion", target=target)
        torch.testing.assert_close(found.prediction, full)
        torch.testing.assert_close(found.node, torch.stack(of_nodes)[:, target])
        for bond, effect in enumerate(of_bonds):
            torch.testing.assert_close(found.bond[bond], effect[target])
            torch.testing.assert_close(found.edge[2 * bond], effect[target] / 2)


def test_occlusion_of_self_loops_double_edges_and_one_way_edges(network, predict):
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
        effect = full - predict(model, data, [3 + edge for edge in edges])[0]
        torch.testing.assert_close(found.bond[bond], effect)


def test_a_token_that_no_head_sampled_still_counts_in_the_readout(network, graph, predict):
    data, model = graph(40, [(i, i + 1) for i in range(39)]), network(num_samples=1)
    (chosen,) = token_importance(model, data, "chosen")
    (found,) = token_importance(model, data, "occlusion")
    never = (chosen.node == 0).nonzero().flatten()
    assert never.numel() > 10
    full = predict(model, data)[0]
    for node in never[:5].tolist():
        assert found.node[node] != 0
        torch.testing.assert_close(found.node[node], full - predict(model, data, [node])[0])


@pytest.mark.parametrize("attention", ["full", "performer"])
def test_networks_that_do_not_sample_can_be_occluded(attention, network, graphs, predict):
    model, data = network(attention=attention, num_samples=None), graphs[2]
    (found,) = token_importance(model, data, "occlusion")
    full = predict(model, data)[0]
    effects = [full - predict(model, data, [token])[0] for token in range(5)]
    torch.testing.assert_close(found.node, torch.stack(effects))


def test_pieces_do_not_change_the_scores(network, graphs):
    model, batch = network().eval(), Batch.from_data_list(graphs[:1])
    target = torch.tensor([1])
    whole = occlusion_scores(model, batch, target)
    for max_tokens in (1, 45):
        pieces = occlusion_scores(model, batch, target, max_tokens=max_tokens)
        torch.testing.assert_close(pieces.scores, whole.scores)
    assert whole.scores.shape == (6 + 14,)
    assert not whole.scores.requires_grad
