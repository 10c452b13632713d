import pytest
import torch
import torch.nn.functional as F

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import feed_forward, keep_mask, residual, rms_norm
from pyg_samsa.functional.fused import FUSED_ACTIVATIONS
from pyg_samsa.functional.reference import samsa as layer

ACTIVATIONS = {"gelu": (layer.gelu, F.gelu), "relu": (lambda x: x * (x > 0), F.relu)}


def literal(x, scale, gain, weight, bias, out_weight, out_bias, keep=None, act="gelu"):
    hidden = ACTIVATIONS[act][0](layer.linear(layer.rms_norm(x, gain), weight, bias))
    branch = layer.linear(hidden, out_weight, out_bias)
    return x + scale * (branch if keep is None else branch * keep)


def leaves(tokens, channels=8, hidden=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(tokens, channels), (), (channels,), (hidden, channels), (hidden,), (channels, hidden), (channels,)]
    return [torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes]


def check(found, expected, inputs):
    upstream = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    pairs = zip(
        torch.autograd.grad(found, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.fused._CACHE_ELEMENTS", 64)
    monkeypatch.setattr("pyg_samsa.functional.fused._FEW_ELEMENTS", 0)


@pytest.mark.parametrize("tokens", [1, 5, 37])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("act", FUSED_ACTIVATIONS)
def test_equals_the_reference(tokens, masked, act, small_pieces):
    inputs = leaves(tokens)
    keep = torch.rand(tokens, 1, dtype=torch.float64) if masked else None
    check(feed_forward(*inputs, keep=keep, act=act), literal(*inputs, keep, act), inputs)


def test_unknown_activation():
    with pytest.raises(ConfigError, match="act: got 'tanh', expected one of 'gelu', 'relu'"):
        feed_forward(*leaves(2), act="tanh")


def test_scale_zero_still_gets_its_gradient(small_pieces):
    inputs = leaves(9)
    with torch.no_grad():
        inputs[1].zero_()
    check(feed_forward(*inputs), literal(*inputs), inputs)


def test_no_tokens():
    out = feed_forward(*leaves(0))
    out.sum().backward()
    assert out.shape == (0, 8)


@pytest.mark.parametrize("act", FUSED_ACTIVATIONS)
def test_dropout_has_the_gradient_of_what_it_dropped(act, small_pieces):
    """The masks of one seed are drawn again and put into the plain formula."""
    inputs = leaves(10)
    x, scale, gain, weight, bias, out_weight, out_bias = inputs
    torch.manual_seed(3)
    found = feed_forward(*inputs, dropout=0.4, act=act)
    torch.manual_seed(3)
    hidden, outer = [], []
    for begin, end in [(0, 5), (5, 10)]:
        hidden.append(keep_mask((end - begin, 12), 0.4)[0])
        outer.append(keep_mask((end - begin, 8), 0.4)[0])
    factor = keep_mask((1,), 0.4)[1]
    branch = ACTIVATIONS[act][1](rms_norm(x, gain) @ weight.t() + bias) * torch.cat(hidden) * factor
    check(found, x + scale * (branch @ out_weight.t() + out_bias) * torch.cat(outer) * factor, inputs)


@pytest.mark.parametrize("act", FUSED_ACTIVATIONS)
def test_evaluation_saves_nothing(act, small_pieces):
    with torch.no_grad():
        inputs = leaves(20)
        torch.testing.assert_close(feed_forward(*inputs, act=act), literal(*inputs, act=act), rtol=0, atol=1e-10)


@pytest.mark.parametrize("eps", [None, 0.1])
def test_rms_norm(eps, small_pieces):
    inputs = leaves(37)[0], leaves(37)[2]
    check(rms_norm(*inputs, eps), layer.rms_norm(*inputs, eps), inputs)
    check(rms_norm(*inputs, eps), F.rms_norm(inputs[0], (8,), inputs[1], eps), inputs)


def test_rows_of_zeros_stay_finite():
    x = torch.zeros(3, 4, requires_grad=True)
    out = rms_norm(x, torch.ones(4))
    out.sum().backward()
    assert torch.equal(out, torch.zeros(3, 4))
    assert x.grad.isfinite().all()


def test_residual():
    inputs = leaves(6)[0], leaves(6, seed=1)[0], leaves(6)[1]
    check(residual(*inputs), inputs[0] + inputs[2] * inputs[1], inputs)


def test_mixed_precision_takes_the_plain_way():
    inputs = [leaf.detach().float() for leaf in leaves(6)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rms_norm(inputs[0], inputs[2]).isfinite().all()
