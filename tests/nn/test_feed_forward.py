"""The feed-forward branch takes its kernel only where its children are what the kernel computes."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import fused, fused_kernels
from pyg_samsa.functional.fused import FUSED_ACTIVATIONS
from pyg_samsa.nn import FeedForward

SCALE = torch.tensor(0.7)


def make(dropout: float = 0.0, **options) -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(8, 12, dropout, **options)


def plain(ffn: FeedForward, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
    """Call the children one after the other."""
    branch = ffn.drop2(ffn.lin2(ffn.drop1(ffn.act(ffn.lin1(ffn.norm(x))))))
    return x + SCALE.to(x) * (branch if keep is None else branch * keep)


@pytest.fixture
def kernel(monkeypatch):
    """Count the calls of the fused kernel."""
    calls: list[int] = []
    original = fused.feed_forward
    monkeypatch.setattr(fused, "feed_forward", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs))
    return calls


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("act", FUSED_ACTIVATIONS)
def test_the_kernel_equals_the_children(kernel, masked, act):
    ffn = make(act=act).double()
    x = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    keep = torch.rand(5, 1, dtype=torch.float64) if masked else None
    out, expected = ffn(x, SCALE.double(), keep), plain(ffn, x, keep)
    assert kernel
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    inputs = [x, *ffn.parameters()]
    for one, other in zip(
        torch.autograd.grad(out.sin().sum(), inputs), torch.autograd.grad(expected.sin().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["norm", "lin1", "act", "drop1", "lin2", "drop2"])
@pytest.mark.parametrize("kind", ["forward", "pre", "backward"])
def test_hooks_of_every_child_fire(kernel, name, kind):
    ffn, fired = make(), []
    register = {
        "forward": "register_forward_hook",
        "pre": "register_forward_pre_hook",
        "backward": "register_full_backward_hook",
    }[kind]
    handle = getattr(getattr(ffn, name), register)(lambda *_: fired.append(1) or None)
    x = torch.randn(5, 8, requires_grad=True)
    ffn(x, SCALE).sum().backward()
    assert fired
    assert not kernel
    handle.remove()
    ffn(x, SCALE)
    assert kernel


def test_hooks_on_all_modules_fire(kernel):
    ffn, seen = make(), set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.add(type(module).__name__))
    try:
        ffn(torch.randn(5, 8), SCALE)
    finally:
        handle.remove()
    assert {"RMSNorm", "Linear", "GELU", "Dropout", "FeedForward"} <= seen
    assert not kernel


def test_hooks_of_the_branch_itself_fire_beside_the_kernel(kernel):
    ffn, fired = make(), []
    ffn.register_forward_hook(lambda *_: fired.append(1) or None)
    ffn(torch.randn(5, 8), SCALE)
    assert fired
    assert kernel


class Lora(nn.Module):
    """A linear layer with a correction of rank one."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down, self.up = nn.Linear(base.in_features, 1, bias=False), nn.Linear(1, base.out_features, bias=False)

    @property
    def weight(self):
        return self.base.weight

    @property
    def bias(self):
        return self.base.bias

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


class MyLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


class Double(nn.Module):
    def forward(self, weight):
        return 2 * weight


class ShiftedReLU(nn.ReLU):
    def forward(self, x):
        return super().forward(x - 1)


def leaky_relu(ffn):
    ffn.act = nn.LeakyReLU()


def shifted_relu(ffn):
    ffn.act = ShiftedReLU()


def tanh_gelu(ffn):
    ffn.act = nn.GELU("tanh")


def lora(ffn):
    ffn.lin1 = Lora(ffn.lin1)


def subclass(ffn):
    ffn.lin2 = MyLinear(12, 8)


def without_bias(ffn):
    ffn.lin2 = nn.Linear(12, 8, bias=False)


def another_norm(ffn):
    ffn.norm = nn.LayerNorm(8)


def torch_norm(ffn):
    ffn.norm = nn.RMSNorm(8)


def parametrized(ffn):
    parametrize.register_parametrization(ffn.lin1, "weight", Double())


def weight_norm(ffn):
    nn.utils.parametrizations.weight_norm(ffn.lin2)


def own_forward(ffn):
    ffn.act.forward = torch.sigmoid


def identity_dropout(ffn):
    ffn.drop1 = nn.Identity()


CHANGES = [
    leaky_relu,
    shifted_relu,
    tanh_gelu,
    lora,
    subclass,
    without_bias,
    another_norm,
    torch_norm,
    parametrized,
    weight_norm,
    own_forward,
    identity_dropout,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("grad", [True, False])
def test_replaced_children_count(kernel, change, grad):
    ffn = make()
    change(ffn)
    x = torch.randn(5, 8)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(ffn(x, SCALE), plain(ffn, x))
    assert not kernel


def test_relu_in_place_of_gelu_has_its_kernel(kernel):
    ffn, x = make(), torch.randn(5, 8)
    ffn.act = nn.ReLU()
    torch.testing.assert_close(ffn(x, SCALE), plain(ffn, x))
    assert kernel


def test_dropout_set_on_one_child_counts(kernel):
    ffn = make(dropout=0.5)
    ffn.drop2.p = 0.0
    torch.manual_seed(1)
    out = ffn(torch.ones(4, 8), SCALE)
    assert not kernel
    assert out.isfinite().all()
    ffn.drop2.p = 0.5
    ffn.drop1.eval()  # frozen by hand
    ffn(torch.ones(4, 8), SCALE)
    assert not kernel


@pytest.mark.parametrize("act", ["relu", "silu", nn.Tanh(), torch.sin], ids=["relu", "silu", "module", "function"])
def test_activations_by_name_or_function(act):
    ffn, x = make(act=act), torch.randn(5, 8)
    torch.testing.assert_close(ffn(x, SCALE), plain(ffn, x))


def test_functional_call_uses_the_weights_given(kernel):
    ffn, x = make(), torch.randn(5, 8)
    weights = {name: torch.randn_like(weight) for name, weight in ffn.named_parameters()}
    out = torch.func.functional_call(ffn, weights, (x, SCALE))
    other = copy.deepcopy(ffn)
    other.load_state_dict(weights)
    torch.testing.assert_close(out, plain(other, x))
    assert kernel


def test_gradients_and_vmap_of_torch_func():
    ffn, x = make().double(), torch.randn(5, 8, dtype=torch.float64)
    weights = dict(ffn.named_parameters())
    scale = SCALE.double()

    def loss(weights, x):
        return torch.func.functional_call(ffn, weights, (x, scale)).square().sum()

    found = torch.func.grad(loss)(weights, x)
    expected = torch.autograd.grad(plain(ffn, x).square().sum(), list(weights.values()))
    for one, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(one, other)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x.unsqueeze(1))
    torch.testing.assert_close(each["lin1.weight"].sum(0), found["lin1.weight"])


def test_second_derivatives_without_the_kernel():
    ffn = make().double()
    x = torch.randn(2, 8, dtype=torch.float64, requires_grad=True)
    with fused_kernels(False):
        assert torch.autograd.gradgradcheck(lambda x: ffn(x, SCALE.double()), (x,))


def test_copies_and_pickles_are_equal(kernel):
    ffn, x = make(), torch.randn(5, 8)
    buffer = io.BytesIO()
    torch.save(ffn, buffer)
    buffer.seek(0)
    copies = [copy.deepcopy(ffn), pickle.loads(pickle.dumps(ffn)), torch.load(buffer, weights_only=False)]
    for other in copies:
        assert torch.equal(other(x, SCALE), ffn(x, SCALE))
    assert len(kernel) == 2 * len(copies)


def test_quantised_children_run():
    ffn, x = make().eval(), torch.randn(5, 8)
    quantised = torch.ao.quantization.quantize_dynamic(ffn, {nn.Linear})
    assert type(quantised.lin1) is not nn.Linear
    torch.testing.assert_close(quantised(x, SCALE), ffn(x, SCALE), rtol=0, atol=0.05)


def test_half_precision_and_autocast_take_the_children(kernel):
    ffn, x = make(), torch.randn(5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        out = ffn(x, SCALE)
    assert not kernel
    torch.testing.assert_close(out, ffn(x, SCALE), rtol=0, atol=0.05)


def test_dropout_of_the_kernel_has_the_mean_of_the_children():
    ffn = make(dropout=0.3)
    x = torch.randn(6, 8).repeat(4000, 1)
    with torch.no_grad():
        mean = ffn(x, SCALE).view(4000, 6, 8).mean(0)
        with fused_kernels(False):
            expected = ffn(x, SCALE).view(4000, 6, 8).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.06)


def test_bad_arguments_are_named():
    for options, name in (({"channels": 0}, "channels"), ({"hidden_channels": 0}, "ffn_channels")):
        with pytest.raises(ConfigError, match=f"^{name}:"):
            FeedForward(**{"channels": 8, **options})
    with pytest.raises(ConfigError, match=r"^dropout:"):
        FeedForward(8, dropout=1.0)


def test_defaults(defaults):
    expected = {
        "dropout": 0.0,
        "act": "gelu",
    }
    assert expected.items() <= defaults(FeedForward).items()
