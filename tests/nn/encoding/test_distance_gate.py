"""Distances of positional encodings along edges, and the gates made of them."""

import copy
import math

import pytest
import torch
from torch.nn import GELU

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn import DistanceGate, EncodingDistance

EDGES = torch.tensor([[0, 1, 2, 3, 3], [1, 0, 3, 2, 3]])


def encodings():
    torch.manual_seed(0)
    return torch.randn(4, 3, dtype=torch.float64)


def literal_distance(pe, edge_index, weight=None):
    """One edge at a time, without a matrix product."""
    rows = []
    for source, target in edge_index.T.tolist():
        difference = [(pe[source, column] - pe[target, column]).item() for column in range(pe.size(1))]
        if weight is not None:
            difference = [sum(w * d for w, d in zip(row, difference, strict=True)) for row in weight.tolist()]
        rows.append([sum(d * d for d in difference)])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("channels", [None, 5])
def test_distances_equal_the_equation(channels):
    torch.manual_seed(1)
    module, pe = EncodingDistance(3, channels).double(), encodings()
    found = module(pe, EDGES, 4)
    weight = None if channels is None else module.lin.weight
    torch.testing.assert_close(found, literal_distance(pe, EDGES, weight), rtol=0, atol=1e-12)
    assert found[4].item() == 0  # a loop
    torch.testing.assert_close(found[0], found[1])
    assert module(pe, EDGES[:, :0], 4).shape == (0, 1)
    assert module(pe[:0], EDGES[:, :0], 0).shape == (0, 1)


def test_signs_and_rotations_do_not_change_distances_without_a_map():
    pe = encodings()
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    plain, mapped = EncodingDistance(3), EncodingDistance(3, 5).double()
    for changed in (pe * torch.tensor([1.0, -1.0, -1.0]), pe @ rotation):
        torch.testing.assert_close(plain(changed, EDGES, 4), plain(pe, EDGES, 4), rtol=0, atol=1e-12)
        assert not torch.allclose(mapped(changed, EDGES, 4), mapped(pe, EDGES, 4))


def test_distances_of_two_encodings_that_are_the_same_have_a_gradient():
    pe = torch.zeros(4, 3, requires_grad=True)
    EncodingDistance(3)(pe, EDGES, 4).sum().backward()
    assert pe.grad.tolist() == [[0.0] * 3] * 4


@pytest.mark.parametrize("act", [torch.nn.ReLU, GELU])
def test_gates_equal_the_equation_and_every_weight_learns(act):
    torch.manual_seed(0)
    gate = DistanceGate(4, act).double()
    distance = torch.rand(5, 1, dtype=torch.float64, requires_grad=True)
    found = gate(distance, 5)
    hidden, out = gate.mlp[0], gate.mlp[2]
    for row in range(5):
        inner = [act()(hidden.weight[k, 0] * distance[row, 0] + hidden.bias[k]) for k in range(4)]
        logit = sum(out.weight[0, k] * inner[k] for k in range(4)) + out.bias[0]
        assert found[row].item() == pytest.approx(1 / (1 + math.exp(-logit.item())), abs=1e-12)
    found.sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in gate.parameters())
    assert torch.autograd.gradcheck(lambda d: gate(d, 5), (distance.detach() + 0.1).requires_grad_())


def test_new_weights_copies_and_empty_inputs():
    torch.manual_seed(0)
    for module in (DistanceGate(4), EncodingDistance(3, 2)):
        before = copy.deepcopy(module)
        module.reset_parameters()
        assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), module.parameters(), strict=True))
    EncodingDistance(3).reset_parameters()
    assert DistanceGate(4)(torch.zeros(0, 1), 0).shape == (0, 1)


def test_bad_arguments_and_inputs_are_named():
    with pytest.raises(ConfigError, match="pe_channels"):
        EncodingDistance(0)
    with pytest.raises(ConfigError, match="channels"):
        DistanceGate(0)
    with pytest.raises(ShapeError, match=r"pe: got None, expected positional encodings \[4, 3\]") as caught:
        EncodingDistance(3)(None, EDGES, 4)
    assert "pe.kind" in caught.value.hint
    with pytest.raises(ShapeError, match=r"pe: got \[4, 2\]"):
        EncodingDistance(3)(torch.zeros(4, 2), EDGES, 4)
    with pytest.raises(NumericalError, match="pe: NaN or infinite value in row 2"):
        EncodingDistance(1)(torch.tensor([[0.0], [0.0], [torch.nan], [0.0]]), EDGES, 4)
    with pytest.raises(ShapeError, match=r"edge_distance: got None, expected \[5, 1\]") as caught:
        DistanceGate(4)(None, 5)
    assert "pe_role" in caught.value.hint
    with pytest.raises(ShapeError, match=r"edge_distance: got \[3, 1\], expected \[5, 1\]"):
        DistanceGate(4)(torch.zeros(3, 1), 5)


@pytest.mark.parametrize("channels", [None, 5])
def test_half_precision_does_not_round_distances(channels):
    """Of encodings of 300, whose squares are more than float16 holds."""
    torch.manual_seed(0)
    module, pe = EncodingDistance(3, channels), 300 * encodings().float()
    expected = module(pe, EDGES, 4)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(module(pe, EDGES, 4), expected)
    found = module.half()(pe.half(), EDGES, 4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)
