import copy

import pytest
import torch
from torch.nn import ReLU
from torch.nn.functional import gelu, layer_norm
from torch_geometric.nn import GCNConv

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.graph_pairs import GraphPairs, pair_bias
from pyg_samsa.nn.models.gnn_blocks import make_gps
from pyg_samsa.nn.models.graphormer_blocks import BiasedGPSConv, GraphormerLayer

SIZES = [3, 0, 1, 5]
EDGES = torch.tensor([[0, 1, 1, 2, 4, 5, 8], [1, 0, 2, 1, 5, 4, 7]])


def bias_of(pairs):
    return pair_bias(pairs, torch.randn(len(pairs), 2, dtype=torch.float64))


def inputs():
    torch.manual_seed(1)
    pairs = GraphPairs(RaggedIndex.from_sizes(SIZES))
    return torch.randn(9, 8, dtype=torch.float64), pairs.index, bias_of(pairs)


def test_a_layer_is_the_equation():
    torch.manual_seed(0)
    layer, (x, index, bias) = GraphormerLayer(8, heads=2).double(), inputs()

    def norm(values, module):
        return layer_norm(values, [8], module.weight, module.bias)

    h = x + layer.attention(norm(x, layer.norm), index, bias)
    first, second = layer.mlp[1], layer.mlp[4]
    expected = h + second(gelu(first(norm(h, layer.mlp[0]))))
    torch.testing.assert_close(layer(x, index, bias), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["dropout", "attn_dropout", "mlp_dropout"])
def test_each_dropout_is_that_of_training(name):
    layer, given = GraphormerLayer(8, heads=2, **{name: 0.5}).double(), inputs()
    assert not torch.equal(layer(*given), layer(*given))
    layer.eval()
    assert torch.equal(layer(*given), layer(*given))


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("conv", [True, False])
def test_a_block_without_bias_is_that_of_pyg(norm, conv):
    torch.manual_seed(0)
    x, index, bias = inputs()
    plain = make_gps(8, GCNConv(8, 8) if conv else None, 2, "multihead", 0.0, ReLU, norm, 0.0).double()
    biased = make_gps(8, copy.deepcopy(plain.conv), 2, "biased", 0.0, ReLU, norm, 0.0).double()
    assert isinstance(biased, BiasedGPSConv)
    weights = plain.state_dict()
    weights["attn.projection.weight"] = weights.pop("attn.in_proj_weight")
    weights["attn.projection.bias"] = weights.pop("attn.in_proj_bias")
    weights = {key.replace("attn.out_proj", "attn.out"): value for key, value in weights.items()}
    biased.load_state_dict(weights)
    dense = torch.unique_consecutive(index.batch, return_inverse=True)[1]
    torch.testing.assert_close(biased(x, EDGES, index=index), plain(x, EDGES, dense), rtol=0, atol=1e-12)
    assert not torch.allclose(biased(x, EDGES, index=index, bias=bias), plain(x, EDGES, dense))


@pytest.mark.parametrize("made", [lambda: GraphormerLayer(8, 2), lambda: BiasedGPSConv(8, GCNConv(8, 8), 2)])
def test_every_weight_is_used_and_drawn_anew(made):
    block, (x, index, bias) = made().double(), inputs()
    out = block(x, index, bias) if isinstance(block, GraphormerLayer) else block(x, EDGES, index=index, bias=bias)
    (out * torch.randn_like(out)).sum().backward()
    assert all(bool(weight.grad.abs().sum() > 0) for weight in block.parameters())
    before = [weight.clone() for weight in block.parameters() if weight.dim() > 1]
    block.reset_parameters()
    after = [weight for weight in block.parameters() if weight.dim() > 1]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
