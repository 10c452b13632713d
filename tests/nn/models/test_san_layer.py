import pytest
import torch
from torch.nn import BatchNorm1d

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn.conv.san_attention import SANAttention
from pyg_samsa.nn.models.san_layer import FullGraph, SANLayer

EDGES = torch.tensor([[0, 1, 1, 2, 4, 5], [1, 0, 2, 1, 5, 4]])
INDEX = RaggedIndex.from_sizes([4, 0, 3])


def inputs():
    torch.manual_seed(1)
    return torch.randn(7, 8, dtype=torch.float64), EDGES, torch.randn(6, 8, dtype=torch.float64)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("norms", [True, False])
def test_a_layer_is_the_equation(norms, residual):
    torch.manual_seed(0)
    pair = (BatchNorm1d(8), BatchNorm1d(8)) if norms else (None, None)
    layer = SANLayer(SANAttention(8, heads=2, gamma=0.5), pair, residual=residual).double()
    others = FullGraph(8).double()(EDGES, INDEX)
    x, edges, attr = inputs()
    found = layer(x, edges, attr, others)

    def norm(values, module):
        if module is None:
            return values
        return (values - values.mean(0)) / (values.var(0, correction=0) + module.eps).sqrt()

    h = layer.out[1](layer.attention(x, edges, attr, others))
    h = norm(x + h if residual else h, layer.norm1)
    out = layer.mlp[3](torch.relu(layer.mlp[0](h)))
    torch.testing.assert_close(found, norm(h + out if residual else out, layer.norm2), rtol=0, atol=1e-10)


def test_dropout_is_that_of_training():
    layer = SANLayer(SANAttention(8, heads=2, full_graph=False), (None, None), dropout=0.5).double()
    given = inputs()
    assert not torch.equal(layer(*given), layer(*given))
    layer.eval()
    assert torch.equal(layer(*given), layer(*given))


def test_every_weight_is_used_and_drawn_anew():
    layer = SANLayer(SANAttention(8, heads=2, learned=True), (BatchNorm1d(8), BatchNorm1d(8))).double()
    full = FullGraph(8).double()
    out = layer(*inputs(), full(EDGES, INDEX))
    (out * torch.randn_like(out)).sum().backward()
    assert all(bool(weight.grad.abs().sum() > 0) for weight in [*layer.parameters(), *full.parameters()])
    drawn = [full.features, *(weight for weight in layer.parameters() if weight.dim() > 1)]
    before = [weight.clone() for weight in drawn]
    layer.reset_parameters()
    full.reset_parameters()
    assert not any(torch.equal(old, new) for old, new in zip(before, drawn, strict=True))
