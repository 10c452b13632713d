import copy
import math

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.graph_pairs import GraphPairs, pair_bias
from pyg_samsa.nn.conv.biased_attention import BiasedAttention

SIZES = [3, 0, 1, 9, 4]


def literal(layer, x, sizes, values):
    """Every pair of tokens and every head, one after the other; ``values`` [P, H] or None."""
    channels = layer.channels // layer.heads
    query, key, value = (part.view(len(x), layer.heads, channels) for part in layer.projection(x).chunk(3, dim=1))
    rows, begin, pair = [], 0, 0
    for size in sizes:
        for i in range(begin, begin + size):
            heads = []
            for head in range(layer.heads):
                scores = [query[i, head] @ key[j, head] / math.sqrt(channels) for j in range(begin, begin + size)]
                if values is not None:
                    scores = [score + values[pair + j, head] for j, score in enumerate(scores)]
                weights = [score.exp() for score in scores]
                heads.append(sum(w * value[begin + j, head] for j, w in enumerate(weights)) / sum(weights))
            rows.append(layer.out(torch.cat(heads)))
            pair += size
        begin += size
    return torch.stack(rows)


def made(sizes=SIZES):
    torch.manual_seed(0)
    layer, pairs = BiasedAttention(8, heads=2).double(), GraphPairs(RaggedIndex.from_sizes(sizes))
    for weight in layer.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(sum(sizes), 8, dtype=torch.float64, requires_grad=True)
    return layer, pairs, x, torch.randn(len(pairs), 2, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("sizes", [SIZES, [4], [3, 3], [1]])
def test_values_and_gradients_are_those_of_the_equation(sizes, biased):
    layer, pairs, x, values = made(sizes)
    found = layer(x, pairs.index, pair_bias(pairs, values) if biased else None)
    expected = literal(layer, x, sizes, values if biased else None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    inputs = [x, *layer.parameters(), *([values] if biased else [])]
    weight = torch.randn_like(found)
    gradients = [torch.autograd.grad((out * weight).sum(), inputs) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_it_is_the_attention_of_pytorch():
    layer, pairs, x, values = made([4])
    other = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        other.in_proj_weight.copy_(layer.projection.weight)
        other.in_proj_bias.copy_(layer.projection.bias)
    other.out_proj.load_state_dict(layer.out.state_dict())
    mask = values.detach().view(4, 4, 2).permute(2, 0, 1)
    expected = other(x[None], x[None], x[None], attn_mask=mask)[0][0]
    torch.testing.assert_close(layer(x, pairs.index, pair_bias(pairs, values)), expected, rtol=0, atol=1e-12)


def test_no_tokens():
    layer, pairs, x, values = made([0, 0])
    assert layer(x, pairs.index, pair_bias(pairs, values)).shape == (0, 8)


def test_dropout_is_that_of_training():
    layer, pairs, x, values = made()
    layer.dropout = 0.5
    bias = pair_bias(pairs, values)
    assert not torch.equal(layer(x, pairs.index, bias), layer(x, pairs.index, bias))
    layer.eval()
    assert torch.equal(layer(x, pairs.index, bias), layer(x, pairs.index, bias))


def test_hooks_copies_and_new_weights():
    layer, pairs, x, _ = made()
    fired = []
    for part in (layer.projection, layer.out):
        part.register_forward_hook(lambda module, *_: fired.append(module) or None)
    found = layer(x, pairs.index)
    assert fired == [layer.projection, layer.out]
    other = copy.deepcopy(layer)
    assert torch.equal(other(x, pairs.index), found)
    other.reset_parameters()
    assert not torch.allclose(other(x, pairs.index), found)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x, pairs.index), found)
    assert repr(layer).startswith("BiasedAttention(\n  8, heads=2")


@pytest.mark.parametrize("options", [{"heads": 3}, {"heads": 0}, {"heads": 2, "dropout": 1.0}])
def test_what_does_not_fit_is_named(options):
    with pytest.raises(ConfigError, match=next(reversed(options))):
        BiasedAttention(8, **options)
