from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import GraphBridge


def random_graph(nodes: int, edges: int, channels: int = 8):
    x = torch.randn(nodes, channels, dtype=torch.float64)
    edge_index = torch.randint(0, max(nodes, 1), (2, edges if nodes else 0))
    return x, edge_index, torch.randn(edge_index.size(1), channels, dtype=torch.float64)


def collate(graphs):
    offset, xs, edges, attrs, batch = 0, [], [], [], []
    for number, (x, edge_index, edge_attr) in enumerate(graphs):
        xs.append(x)
        edges.append(edge_index + offset)
        attrs.append(edge_attr)
        batch += [number] * len(x)
        offset += len(x)
    return torch.cat(xs), torch.cat(edges, 1), torch.cat(attrs), torch.tensor(batch, dtype=torch.long)


GRAPHS = [(5, 8), (1, 0), (0, 0), (3, 0), (1, 4), (12, 30)]


@pytest.mark.parametrize("num_codes", [1, 2])
@pytest.mark.parametrize("eval_codes", ["structural", "distinct", "index"])
def test_tokens_do_not_depend_on_batch_mates(num_codes, eval_codes):
    torch.manual_seed(0)
    bridge = GraphBridge(8, num_codes, eval_codes=eval_codes).double().eval()
    graphs = [random_graph(*size) for size in GRAPHS]
    x, edge_index, edge_attr, batch = collate(graphs)
    tokens = bridge(x, edge_index, edge_attr, batch, batch_size=len(graphs))
    assert tokens.index.sizes == [nodes + edges for nodes, edges in GRAPHS]
    alone = torch.cat([bridge(*graph).x for graph in graphs])
    torch.testing.assert_close(tokens.x, alone, rtol=0, atol=1e-10)


def test_permuting_nodes_and_edges_permutes_tokens():
    torch.manual_seed(0)
    bridge = GraphBridge(8).double().eval()
    x, edge_index, edge_attr, batch = collate([random_graph(*size) for size in GRAPHS])
    tokens = bridge(x, edge_index, edge_attr, batch, batch_size=6)
    node_perm, edge_perm = torch.randperm(x.size(0)), torch.randperm(edge_index.size(1))
    place = torch.empty_like(node_perm).scatter_(0, node_perm, torch.arange(x.size(0)))
    shuffled = bridge(
        x[node_perm], place[edge_index][:, edge_perm], edge_attr[edge_perm], batch[node_perm], batch_size=6
    )
    torch.testing.assert_close(
        shuffled.x[shuffled.node_rows], tokens.x[tokens.node_rows][node_perm], rtol=0, atol=1e-10
    )
    torch.testing.assert_close(
        shuffled.x[shuffled.edge_rows], tokens.x[tokens.edge_rows][edge_perm], rtol=0, atol=1e-10
    )


def test_evaluation_is_deterministic_and_draws_differ():
    bridge = GraphBridge(8).double().eval()
    graph = random_graph(6, 9)
    assert torch.equal(bridge(*graph).x, bridge(*graph).x)
    assert not torch.equal(bridge(*graph).x, bridge(*graph, draw=1).x)


def test_training_codes_are_fresh_and_random_codes_are_always():
    graph = random_graph(6, 9)
    bridge = GraphBridge(8).double().train()
    assert not torch.equal(bridge(*graph).x, bridge(*graph).x)
    bridge = GraphBridge(8, eval_codes="random").double().eval()
    assert not torch.equal(bridge(*graph).x, bridge(*graph).x)


def test_direction_of_an_edge_is_visible():
    bridge = GraphBridge(8, edge_features=False).double().eval()
    tokens = bridge(torch.randn(2, 8, dtype=torch.float64), torch.tensor([[0, 1], [1, 0]]))
    forth, back = tokens.x[tokens.edge_rows]
    assert not torch.allclose(forth, back)


@pytest.mark.parametrize("num_codes", [1, 2])
def test_an_edge_is_the_code_of_its_source_minus_that_of_its_target(num_codes):
    bridge = GraphBridge(8, num_codes=num_codes, edge_features=False).double().eval()
    codes = []
    bridge.phi_node.register_forward_pre_hook(lambda _, given: codes.append(given[0][:, : num_codes * 8]))
    x, edge_index = torch.randn(3, 8, dtype=torch.float64), torch.tensor([[0, 2, 1], [1, 1, 0]])
    tokens = bridge(x, edge_index)
    first, last = codes[0][:, :8], codes[0][:, -8:]
    expected = bridge.phi_edge(first[edge_index[0]] - last[edge_index[1]])
    torch.testing.assert_close(tokens.x[tokens.edge_rows], expected)


def test_structure_alone_separates_nodes_with_equal_features():
    bridge = GraphBridge(8, edge_features=False).double().eval()
    path = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    tokens = bridge(torch.zeros(4, 8, dtype=torch.float64), path)
    first, second, third, last = tokens.x[tokens.node_rows]
    assert torch.equal(first, last)
    assert torch.equal(second, third)
    assert not torch.allclose(first, second)


def test_gradients_reach_every_weight():
    bridge = GraphBridge(8, num_codes=2).double().train()
    bridge(*random_graph(6, 9)).x.square().sum().backward()
    for name, parameter in bridge.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"edge_index": torch.tensor([[0.0], [1.0]])}, "edge_index"),
        ({"edge_index": torch.tensor([[0, 9], [1, 0]])}, "edge_index"),
        ({"edge_index": torch.tensor([[0, -1], [1, 0]])}, "edge_index"),
        ({"edge_index": torch.tensor([0, 1])}, "edge_index"),
        ({"batch": torch.tensor([0, 1, 1])}, "edge_index"),
        ({"x": torch.randn(3, 4)}, "x"),
        ({"edge_attr": torch.randn(3, 8)}, "edge_attr"),
        ({"edge_attr": None}, "edge_attr"),
    ],
)
def test_bad_input_is_named(change, name):
    good = {
        "x": torch.randn(3, 8),
        "edge_index": torch.tensor([[0, 1], [1, 2]]),
        "edge_attr": torch.randn(2, 8),
        "batch": None,
    }
    with pytest.raises(ShapeError) as error:
        GraphBridge(8)(**{**good, **change})
    assert str(error.value).startswith(f"{name}:")


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="num_codes"):
        GraphBridge(8, num_codes=3)
    with pytest.raises(ConfigError, match="sigma"):
        GraphBridge(8, sigma=0.0)
    with pytest.raises(ConfigError, match="eval_codes"):
        GraphBridge(8, eval_codes="hash")


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0, 50.0])
def test_sigma_starts_where_it_is_told(sigma):
    bridge = GraphBridge(8, sigma=sigma)
    torch.testing.assert_close(
        torch.nn.functional.softplus(bridge.raw_sigma), torch.full((1, 8), sigma), rtol=1e-5, atol=0
    )


def test_without_codes_nodes_and_edges_are_those_of_their_features():
    bridge, (x, edge_index, edge_attr) = GraphBridge(8, num_codes=0).double(), random_graph(5, 8)
    tokens, position = bridge(x, edge_index, edge_attr), bridge.phi(x)
    nodes = bridge.phi_node(torch.cat([position, x], dim=1))
    edges = bridge.phi_edge(torch.cat([position[edge_index[0]] - position[edge_index[1]], edge_attr], dim=1))
    torch.testing.assert_close(tokens.x[tokens.node_rows], nodes)
    torch.testing.assert_close(tokens.x[tokens.edge_rows], edges)


def test_defaults(defaults):
    expected = {
        "num_codes": 1,
        "edge_features": True,
        "eval_codes": "structural",
        "sigma": 1.0,
    }
    assert expected.items() <= defaults(GraphBridge).items()
