import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.reference import attention
from pyg_samsa.nn import AttentionConv, SAMSABlock


def literal(conv, x, sizes):
    heads, channels = conv.heads, conv.channels // conv.heads
    out = []
    for part in x.split(sizes):
        query = part @ conv.query.weight.t() + conv.query.bias
        pairs = (part @ conv.key_value.weight.t() + conv.key_value.bias).view(len(part), heads, 2 * channels)
        mixed = [
            attention(query[:, h * channels : (h + 1) * channels], pairs[:, h, :channels], pairs[:, h, channels:])
            for h in range(heads)
        ]
        out.append(torch.cat(mixed, dim=1) @ conv.out.weight.t() + conv.out.bias)
    return torch.cat(out)


@pytest.mark.parametrize("sizes", [[5], [1, 4], [3, 1, 9, 2]])
def test_equals_the_equation_with_gradients(sizes):
    torch.manual_seed(0)
    conv = AttentionConv(8, heads=2).double()
    x = torch.randn(sum(sizes), 8, dtype=torch.float64, requires_grad=True)
    found, expected = conv(x, ptr=torch.tensor([0, *sizes]).cumsum(0)), literal(conv, x, sizes)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    inputs, upstream = [x, *conv.parameters()], torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_unsorted_batches_empty_graphs_and_no_tokens():
    conv = AttentionConv(8, heads=2).double()
    x, batch, perm = (
        torch.randn(9, 8, dtype=torch.float64),
        torch.tensor([0, 0, 0, 2, 2, 3, 3, 3, 3]),
        torch.randperm(9),
    )
    sorted_out = conv(x, batch=batch, batch_size=6)
    torch.testing.assert_close(conv(x[perm], batch=batch[perm], batch_size=6), sorted_out[perm], rtol=0, atol=1e-12)
    assert conv(x[:0], batch=batch[:0], batch_size=2).shape == (0, 8)


def test_stands_in_a_block():
    block = SAMSABlock(8, conv=AttentionConv(8, heads=2))
    torch.nn.init.ones_(block.alpha)
    block(torch.randn(5, 8)).sum().backward()
    assert all(weight.grad is not None for weight in block.parameters())


def test_dropout_acts_in_training_alone():
    conv, x = AttentionConv(8, heads=2, dropout=0.5), torch.randn(20, 8)
    assert not torch.equal(conv(x), conv(x))
    conv.eval()
    assert torch.equal(conv(x), conv(x))


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="heads"):
        AttentionConv(8, heads=3)
    with pytest.raises(ConfigError, match="dropout"):
        AttentionConv(8, heads=2, dropout=1.0)
    with pytest.raises(ShapeError, match="x"):
        AttentionConv(8, heads=2)(torch.randn(3, 4))
    assert repr(AttentionConv(8, heads=2)) == "AttentionConv(8, heads=2)"


def test_defaults(defaults):
    expected = {
        "heads": 8,
        "dropout": 0.0,
        "bias": True,
    }
    assert expected.items() <= defaults(AttentionConv).items()
