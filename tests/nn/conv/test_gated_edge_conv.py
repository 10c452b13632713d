import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import DistanceGate, GatedEdgeConv

EDGES = torch.tensor([[0, 1, 2, 2, 3], [1, 1, 1, 0, 3]])


def make(gate=None):
    torch.manual_seed(0)
    return GatedEdgeConv(4, gate).double(), torch.randn(5, 4).double(), torch.randn(5, 4).double()


def literal(conv, x, edge_index, edge_attr, factors=None):
    """The equations, one edge at a time."""
    u, a = conv.of_target.weight.chunk(2)
    v, b = conv.of_source.weight.chunk(2)
    (u0, a0), (v0, b0) = conv.of_target.bias.chunk(2), conv.of_source.bias.chunk(2)
    nodes, edges = [], []
    for source, target, features in zip(*edge_index, edge_attr, strict=True):
        gate = a @ x[target] + a0 + b @ x[source] + b0 + conv.of_edge.weight @ features + conv.of_edge.bias
        edges.append(gate)
    for node in range(len(x)):
        mine = [number for number, target in enumerate(edge_index[1]) if target == node]
        gates = [torch.sigmoid(edges[number]) * (1 if factors is None else factors[number]) for number in mine]
        values = [v @ x[edge_index[0, number]] + v0 for number in mine]
        total = sum(gate * value for gate, value in zip(gates, values, strict=True)) / (sum(gates) + 1e-6)
        nodes.append(u @ x[node] + u0 + total)
    return torch.stack(nodes), torch.stack(edges)


def test_equals_the_equations_and_every_weight_learns():
    conv, x, e = make()
    found = conv(x, EDGES, e)
    for ours, expected in zip(found, literal(conv, x, EDGES, e), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    sum(part.square().sum() for part in found).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in conv.parameters())


def test_distances_weight_the_gates_and_their_sum():
    conv, x, e = make(DistanceGate(4))
    distance = torch.rand(5, 1).double().requires_grad_()
    found = conv(x, EDGES, e, distance)
    first, second = conv.gate.mlp[0], conv.gate.mlp[2]
    hidden = [torch.relu(first.weight[:, 0] * float(d) + first.bias) for d in distance]
    factors = [torch.sigmoid(second.weight[0] @ each + second.bias[0]) for each in hidden]
    for ours, expected in zip(found, literal(conv, x, EDGES, e, factors), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    found[0].square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in conv.parameters())
    assert distance.grad.abs().sum() > 0
    assert conv(x, EDGES[:, :0], e[:0], distance[:0])[1].shape == (0, 4)
    with pytest.raises(ShapeError, match="edge_distance: got None"):
        conv(x, EDGES, e)
    before = [weight.clone() for weight in conv.gate.parameters()]
    conv.reset_parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, conv.gate.parameters(), strict=True))


def test_no_edges_and_new_weights():
    conv, x, _ = make()
    nodes, edges = conv(x, EDGES[:, :0], x[:0])
    torch.testing.assert_close(nodes, conv.of_target(x)[:, :4])
    assert edges.shape == (0, 4)
    conv.reset_parameters()
    assert not torch.equal(nodes, conv(x, EDGES[:, :0], x[:0])[0])


def test_wrong_arguments_are_named():
    conv, x, e = make()
    with pytest.raises(ShapeError, match="edge_attr"):
        conv(x, EDGES, e[:3])
    with pytest.raises(ConfigError, match="channels"):
        GatedEdgeConv(0)
