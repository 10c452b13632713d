"""Layers whose messages are weighted by distances of positional encodings, against their equations edge by edge."""

import copy

import pytest
import torch
from torch_geometric.nn import GINEConv, ResGatedGraphConv

from pyg_samsa.errors import ShapeError
from pyg_samsa.nn import DistanceGatedConv, DistanceGINEConv

# Parallel edges, a loop, and a node without edges.
EDGES = torch.tensor([[0, 1, 2, 2, 3, 1], [1, 1, 1, 0, 3, 1]])
KINDS = {
    "gine": lambda: DistanceGINEConv(4),
    "gelu": lambda: DistanceGINEConv(4, torch.nn.GELU),
    "gated": lambda: DistanceGatedConv(4),
    "gated without features": lambda: DistanceGatedConv(4, edge_features=False),
}


def made(kind):
    torch.manual_seed(0)
    conv = KINDS[kind]().double()
    if conv.gate is not None and isinstance(conv, DistanceGatedConv):
        torch.nn.init.normal_(conv.bias)
    e = None if "without" in kind else torch.randn(6, 4).double()
    return conv, torch.randn(5, 4).double(), e, torch.rand(6, 1).double()


def linear(layer, vector):
    out = layer.weight @ vector
    return out if layer.bias is None else out + layer.bias


def gate_of(conv, distance):
    first, second = conv.gate.mlp[0], conv.gate.mlp[2]
    return torch.sigmoid(linear(second, torch.relu(linear(first, distance))))


def literal(conv, x, edge_index, e, distance):
    nodes = []
    for node in range(len(x)):
        total = torch.zeros(4, dtype=x.dtype)
        for number, (source, target) in enumerate(edge_index.T.tolist()):
            if target != node:
                continue
            r = gate_of(conv, distance[number])
            if isinstance(conv, DistanceGINEConv):
                total = total + r * torch.relu(x[source] + e[number])
                continue
            i, j = (x[row] if e is None else torch.cat([x[row], e[number]]) for row in (node, source))
            total = total + r * torch.sigmoid(linear(conv.lin_key, i) + linear(conv.lin_query, j)) * linear(
                conv.lin_value, j
            )
        if isinstance(conv, DistanceGINEConv):
            hidden = conv.nn[1](linear(conv.nn[0], x[node] + total))
            nodes.append(linear(conv.nn[2], hidden))
        else:
            nodes.append(linear(conv.lin_skip, x[node]) + total + conv.bias)
    return torch.stack(nodes)


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_equal_the_equations(kind):
    conv, *given = made(kind)
    results = []
    for function in (conv, lambda x, edge_index, e, d: literal(conv, x, edge_index, e, d)):
        x, e, distance = (None if value is None else value.clone().requires_grad_() for value in given)
        out = function(x, EDGES, e, distance)
        inputs = [value for value in (x, e, distance) if value is not None]
        gradients = torch.autograd.grad(out.square().sum(), [*inputs, *conv.parameters()])
        results.append([out.detach(), *gradients])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    assert all(gradient.abs().sum() > 0 for gradient in results[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_of_one_leaves_the_layer_of_pyg(kind):
    conv, x, e, distance = made(kind)
    with torch.no_grad():
        conv.gate.mlp[2].weight.zero_()
        conv.gate.mlp[2].bias.fill_(100.0)
    if isinstance(conv, DistanceGINEConv):
        plain = GINEConv(copy.deepcopy(conv.nn))
    else:
        plain = ResGatedGraphConv(4, 4, edge_dim=conv.edge_dim)
    weights = {name: value for name, value in conv.state_dict().items() if not name.startswith("gate.")}
    plain.double().load_state_dict(weights)
    torch.testing.assert_close(conv(x, EDGES, e, distance), plain(x, EDGES, e), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_nodes_permutes_and_copies_agree(kind):
    conv, x, e, distance = made(kind)
    perm = torch.tensor([3, 0, 4, 1, 2])
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(5))
    found = conv(x[perm], rank[EDGES], e, distance)
    torch.testing.assert_close(found, conv(x, EDGES, e, distance)[perm], rtol=0, atol=1e-11)
    other = copy.deepcopy(conv)
    assert torch.equal(other(x, EDGES, e, distance), conv(x, EDGES, e, distance))
    other.reset_parameters()
    weights = zip(conv.gate.parameters(), other.gate.parameters(), strict=True)
    assert all(not torch.equal(mine, new) for mine, new in weights)


@pytest.mark.parametrize("kind", KINDS)
def test_no_edges_and_missing_distances(kind):
    conv, x, e, _ = made(kind)
    none = None if e is None else e[:0]
    assert conv(x, EDGES[:, :0], none, torch.zeros(0, 1).double()).shape == (5, 4)
    assert conv(x[:0], EDGES[:, :0], none, torch.zeros(0, 1).double()).shape == (0, 4)
    with pytest.raises(ShapeError, match="edge_distance: got None"):
        conv(x, EDGES, e)


def test_hooks_and_replaced_children_count():
    conv, x, e, distance = made("gine")
    calls = []
    conv.gate.register_forward_hook(lambda *_: calls.append(1) or None)
    expected = conv(x, EDGES, e, torch.zeros_like(distance))

    class Nothing(torch.nn.Module):
        def forward(self, distance, num_edges):
            return torch.zeros(num_edges, 1, dtype=distance.dtype)

    conv.gate = Nothing()
    assert calls == [1]
    torch.testing.assert_close(conv(x, EDGES, e, distance), conv.nn(x))
    assert not torch.allclose(expected, conv.nn(x))
