from functools import partial

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import MLPHead, PairDecoder
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS

GRAPH = torch.tensor([0, 0, 0, 1, 1])
PAIRS = torch.tensor([[0, 2, 3, 4, 1], [2, 0, 4, 4, 1]])


def decoder(edge_decoding, out_channels=1, **options):
    torch.manual_seed(0)
    return PairDecoder(partial(MLPHead, **options), 4, out_channels, edge_decoding).double()


def literal(made, h, edge_decoding):
    """The scores pair by pair, from the equations."""
    scores = []
    for i, j in PAIRS.T.tolist():
        if edge_decoding == "concat":
            scores.append(made.head(torch.cat([h[i], h[j]])))
            continue
        z_i, z_j = made.head(h[i]), made.head(h[j])
        lengths = 1 if edge_decoding == "dot" else (z_i @ z_i).sqrt() * (z_j @ z_j).sqrt()
        scores.append((z_i @ z_j / lengths).view(1))
    return torch.stack(scores)


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
def test_values_and_gradients_equal_the_equations(edge_decoding):
    made = decoder(edge_decoding)
    h = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    found, expected = made(h, PAIRS, GRAPH), literal(made, h, edge_decoding)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    sources = [h, *made.parameters()]
    for one, other in zip(
        *(torch.autograd.grad((out * weight).sum(), sources) for out in (found, expected)), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
def test_the_direction_counts_where_the_head_sees_both_nodes(edge_decoding):
    made, h = decoder(edge_decoding), torch.randn(5, 4, dtype=torch.float64)
    there, back = made(h, PAIRS, GRAPH), made(h, PAIRS.flip(0), GRAPH)
    same = torch.allclose(there, back, rtol=0, atol=1e-12)
    assert same is (edge_decoding != "concat")


@pytest.mark.parametrize("edge_decoding", EDGE_DECODINGS)
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_no_pairs_and_no_nodes(edge_decoding, norm):
    made, none = decoder(edge_decoding, norm=norm).eval(), torch.empty(2, 0, dtype=torch.long)
    for nodes in (5, 0):
        h = torch.randn(nodes, 4, dtype=torch.float64, requires_grad=True)
        out = made(h, none, GRAPH[:nodes])
        assert out.shape == (0, 1)
        out.sum().backward()
        assert not h.grad.any()


def test_only_a_head_of_both_nodes_has_several_predictions():
    assert decoder("concat", 3)(torch.randn(5, 4, dtype=torch.float64), PAIRS, GRAPH).shape == (5, 3)
    with pytest.raises(ConfigError, match="out_channels: got 3, expected 1 with edge_decoding 'dot'"):
        decoder("dot", 3)
    with pytest.raises(ConfigError, match="edge_decoding"):
        decoder("dots")


def test_new_weights():
    made = decoder("dot")
    before = made.head.net[0].weight.clone()
    made.reset_parameters()
    assert not torch.equal(made.head.net[0].weight, before)
    assert "edge_decoding='dot'" in repr(made)
