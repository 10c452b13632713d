import pytest
import torch
import torch.nn.functional as F

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.reference.incidence import incidence
from pyg_samsa.nn import IncidenceConv

# Two graphs: nodes 0 to 2 with the edges 3 to 6, a self-loop and a double edge; node 7 alone; nodes 8, 9 and one edge.
EDGES = torch.tensor([[0, 1, 1, 0, 8], [1, 1, 2, 1, 9]])
ROWS = torch.tensor([3, 4, 5, 6, 10])


def literal(conv, x):
    source, target = conv.message.weight.chunk(2)
    return conv.out(F.gelu(conv.hidden(incidence(x, EDGES, ROWS, source, target))))


def test_values_and_gradients_are_those_of_the_equation():
    conv = IncidenceConv(6).double()
    x = torch.randn(11, 6, dtype=torch.float64, requires_grad=True)
    wanted = literal(conv, x)
    torch.testing.assert_close(conv(x, EDGES, ROWS), wanted, rtol=0, atol=1e-13)
    inputs = [x, *conv.parameters()]
    weight = torch.randn_like(wanted)
    expected = torch.autograd.grad((wanted * weight).sum(), inputs)
    found = torch.autograd.grad((conv(x, EDGES, ROWS) * weight).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_permuting_tokens_and_edges_permutes_the_output():
    conv = IncidenceConv(6).double()
    x, perm, order = torch.randn(11, 6, dtype=torch.float64), torch.randperm(11), torch.randperm(5)
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(11))
    out = conv(x[perm], rank[EDGES][:, order], rank[ROWS][order])
    torch.testing.assert_close(out, conv(x, EDGES, ROWS)[perm], rtol=0, atol=1e-13)


def test_a_token_hears_its_incident_tokens_alone():
    conv = IncidenceConv(4).double()
    x = torch.randn(11, 4, dtype=torch.float64, requires_grad=True)
    conv(x, EDGES, ROWS)[2].sum().backward()
    assert x.grad.abs().sum(1).nonzero().flatten().tolist() == [2, 5]


def test_direction_matters():
    conv, x = IncidenceConv(4), torch.randn(11, 4)
    assert not torch.allclose(conv(x, EDGES, ROWS), conv(x, EDGES.flip(0), ROWS))


def test_no_edges_and_no_tokens():
    conv, none = IncidenceConv(4), torch.empty(0, dtype=torch.long)
    x = torch.randn(3, 4)
    assert torch.equal(conv(x, none.view(2, 0), none), conv.out(F.gelu(conv.hidden(x))))
    assert conv(x[:0], none.view(2, 0), none).shape == (0, 4)


def test_bad_inputs_are_named():
    with pytest.raises(ConfigError, match="channels: got 0"):
        IncidenceConv(0)
    with pytest.raises(ShapeError, match="edge_rows: got"):
        IncidenceConv(4)(torch.randn(11, 4), EDGES, ROWS[:3])
