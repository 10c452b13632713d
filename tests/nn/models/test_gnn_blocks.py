import pytest
import torch
from torch.nn import ReLU, Sequential

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import GNN, DistanceGatedConv
from pyg_samsa.nn.models.gnn_blocks import Edges, EdgeUpdate, make_gps, make_local

EDGES = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])
BATCH = torch.tensor([0, 0, 0, 1, 1])
NETWORKS = [{"layer": "gatedgcn"}, {"layer": "gps", "local": "gatedgcn", "heads": 2}]


def inputs():
    torch.manual_seed(1)
    return torch.randn(5, 3), torch.randn(6, 2)


def network(options, **more):
    torch.manual_seed(0)
    sizes = {"channels": 8, "num_layers": 2, "edge_channels": 2, "update_edges": True}
    return GNN(3, 2, **{**sizes, **options, **more})


def test_a_block_of_gps_is_that_of_graphgps():
    """Message passing is x + act(norm(gated)), because the gated layers of GraphGPS have a residual of their own."""
    torch.manual_seed(0)
    x, e = torch.randn(5, 8), torch.randn(6, 8)
    local = EdgeUpdate(8, "batch", ReLU, Sequential(ReLU()), residual=True, finished=True)
    block = make_gps(8, local, 2, "multihead", 0.0, ReLU, "batch", 0.0)
    edges = Edges(e)
    found = block(x, EDGES, BATCH, edge_attr=edges)
    h, gate = local.conv(x, EDGES, e)
    message = block.norm1(x + local.node_norm(h).relu())
    parts = [block.attn(y, y, y, need_weights=False)[0] for y in (x[:3], x[3:])]
    attended = block.norm2(x + torch.cat(parts))
    out = message + attended
    torch.testing.assert_close(found, block.norm3(out + block.mlp(out)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(edges.value, e + local.edge_norm(gate).relu(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", NETWORKS)
def test_edges_of_a_layer_reach_the_next_one(options):
    x, e = inputs()
    model = network(options)
    model(x, EDGES, e, BATCH).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())  # the last layer has no norm of edges
    model.eval()
    found = model(x, EDGES, e, BATCH)
    assert not torch.allclose(found, network({**options, "update_edges": False}).eval()(x, EDGES, e, BATCH))
    with torch.no_grad():
        first = model.layers[0].conv
        first.edge_norm.module.weight.zero_()
        first.edge_norm.module.bias.fill_(3.0)
    assert not torch.allclose(found, model(x, EDGES, e, BATCH))


@pytest.mark.parametrize("options", NETWORKS)
def test_graphs_and_orders_do_not_matter(options):
    x, e = inputs()
    model = network(options).eval()
    together = model(x, EDGES, e, BATCH)
    alone = [model(x[:3], EDGES[:, :4], e[:4]), model(x[3:], EDGES[:, 4:] - 3, e[4:])]
    torch.testing.assert_close(together, torch.cat(alone))
    perm = torch.tensor([4, 0, 3, 1, 2])
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(5))
    torch.testing.assert_close(together, model(x[perm], rank[EDGES], e, BATCH[perm]))


@pytest.mark.parametrize("options", NETWORKS)
def test_without_edges_or_their_features(options):
    x, _ = inputs()
    assert network(options)(x, EDGES[:, :0], torch.empty(0, 2), BATCH).shape == (2, 2)
    assert network(options, edge_channels=None)(x, EDGES, None, BATCH).shape == (2, 2)
    model = network(options)
    before = [weight.clone() for weight in model.layers.parameters()]
    model.reset_parameters()
    assert any(not torch.equal(old, new) for old, new in zip(before, model.layers.parameters(), strict=True))


@pytest.mark.parametrize("options", [{"layer": "gine"}, {"layer": "gps", "local": "gine"}, {"layer": "gps"}])
def test_other_convolutions_do_not_update_edges(options):
    with pytest.raises(ConfigError, match="update_edges"):
        network(options)


def test_a_block_without_message_passing_has_no_norm_for_it():
    block = make_gps(8, None, 2, "multihead", 0.0, ReLU, "batch", 0.0)
    assert block.norm1 is None
    block(torch.randn(5, 8), EDGES, BATCH).sum().backward()
    assert all(weight.grad is not None for weight in block.parameters())
    block.reset_parameters()


def by_the_equations(model, x, edge_index, pe):
    """The first block of a network, and the factor of each edge."""
    block = model.layers[0]
    lin = model.pe_distance.lin.weight
    p = [lin @ row for row in pe]
    distance = [float((p[i] - p[j]).square().sum()) for i, j in edge_index.T.tolist()]

    def factor(mlp, d):
        hidden = torch.relu(mlp[0].weight[:, 0] * d + mlp[0].bias)
        return torch.sigmoid(mlp[2].weight[0] @ hidden + mlp[2].bias[0])

    return block, [factor(block.conv.conv.gate.mlp, d) for d in distance]


def test_gates_of_distances_in_a_block_are_those_of_graphgps():
    """sigma_ij r_ij in the sum and in its norm, and the change of edges without r."""
    torch.manual_seed(3)
    options = {"layer": "gps", "local": "gatedgcn", "heads": 2, "pe_channels": 3, "pe_role": "mapped_gate"}
    model = network(options).double()
    pe, x, e = torch.randn(5, 3).double(), torch.randn(5, 8).double(), torch.randn(6, 8).double()
    block, factors = by_the_equations(model, x, EDGES, pe)
    conv = block.conv.conv
    (u, a), (v, b) = (layer.weight.chunk(2) for layer in (conv.of_target, conv.of_source))
    (u0, a0), (v0, b0) = (layer.bias.chunk(2) for layer in (conv.of_target, conv.of_source))
    gates = [a @ x[i] + a0 + b @ x[j] + b0 + conv.of_edge(e[n]) for n, (j, i) in enumerate(EDGES.T.tolist())]
    nodes = []
    for node in range(5):
        mine = [number for number in range(6) if int(EDGES[1, number]) == node]
        sigma = [torch.sigmoid(gates[number]) * factors[number] for number in mine]
        values = [v @ x[EDGES[0, number]] + v0 for number in mine]
        total = sum(s * value for s, value in zip(sigma, values, strict=True)) / (sum(sigma) + 1e-6)
        nodes.append(u @ x[node] + u0 + total)
    edges = Edges(e)
    h = block.conv(x, EDGES, edge_attr=edges, edge_distance=model.pe_distance(pe, EDGES, 5))
    norm = block.conv.node_norm
    torch.testing.assert_close(h, norm(torch.stack(nodes)).relu(), rtol=0, atol=1e-10)
    expected = e + block.conv.edge_norm(torch.stack(gates)).relu()
    torch.testing.assert_close(edges.value, expected, rtol=0, atol=1e-10)


def test_the_activation_of_gates_is_that_of_gated_layers_and_relu_beside_gine():
    gated = EdgeUpdate(8, "none", torch.nn.GELU, None, residual=True, finished=True, distance_gate=True)
    assert isinstance(gated.conv.gate.mlp[1], torch.nn.GELU)
    assert EdgeUpdate(8, "none", ReLU, None, residual=True, finished=True).conv.gate is None
    local = make_local("gine", 8, torch.nn.GELU, edge_features=True, distance_gate=True).conv
    assert isinstance(local.nn[1], torch.nn.GELU)
    assert isinstance(local.gate.mlp[1], ReLU)
    assert isinstance(make_local("gatedgcn", 8, ReLU, edge_features=False, distance_gate=True).conv, DistanceGatedConv)
