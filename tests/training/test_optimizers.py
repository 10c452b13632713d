import pytest
import torch
from torch import nn
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import losses
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw, parameter_groups


def test_weights_that_do_not_decay():
    model = SAMSA.from_options(3, 2, channels=8, num_layers=2, heads=2, num_samples=4)
    names = {id(weight): name for name, weight in model.named_parameters()}
    decaying, others = parameter_groups(model, 0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    kept = {names[id(weight)] for weight in others["params"]}
    assert "encoder.alpha" in kept
    assert all(name in kept for name in names.values() if name.endswith(("bias", "support_score")) or "norm" in name)
    assert all(
        "weight" in names[id(weight)] or "support_key_value" in names[id(weight)] for weight in decaying["params"]
    )
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_frozen_weights_are_left_out():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    (only,) = parameter_groups(model, 0.1)
    assert only["weight_decay"] == 0.0
    model.bias.requires_grad_(False)
    with pytest.raises(ConfigError, match="trainable"):
        parameter_groups(model, 0.1)


@pytest.mark.parametrize("no_decay", [(), ("weight",), ("other",)])
def test_names_that_do_not_decay(no_decay):
    groups = parameter_groups(nn.Linear(3, 2), 0.1, no_decay=no_decay)
    decays = [(group["weight_decay"], [list(weight.shape) for weight in group["params"]]) for group in groups]
    assert decays == ([(0.0, [[2, 3], [2]])] if no_decay == ("weight",) else [(0.1, [[2, 3]]), (0.0, [[2]])])


def test_a_negative_decay_is_refused():
    with pytest.raises(ConfigError, match=r"^optim\.weight_decay: got -0\.1, expected 0 or more"):
        parameter_groups(nn.Linear(3, 2), -0.1)


def test_a_network_without_weights_is_named():
    with pytest.raises(ConfigError, match="'Identity'"):
        parameter_groups(nn.Identity(), 0.1)


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"lr": -1.0}, {"lr": 0.1, "weight_decay": -0.1}])
def test_rates_are_checked(wrong):
    with pytest.raises(ConfigError, match="weight_decay" if "weight_decay" in wrong else "lr"):
        adamw(parameter_groups(nn.Linear(3, 2), 0.0), **wrong)


def test_adamw_takes_the_step_of_its_formula():
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.float64))
    lr, decay, betas = 0.1, 0.5, (0.9, 0.99)
    optimizer = adamw([{"params": [weight], "weight_decay": decay}], lr=lr, betas=betas)
    expected, mean, square = weight.detach().clone(), torch.zeros(1, 2), torch.zeros(1, 2)
    for step, slope in enumerate((3.0, -1.0), 1):
        weight.grad = torch.full_like(weight, slope)
        optimizer.step()
        mean = betas[0] * mean + (1 - betas[0]) * slope
        square = betas[1] * square + (1 - betas[1]) * slope**2
        change = (mean / (1 - betas[0] ** step)) / ((square / (1 - betas[1] ** step)).sqrt() + 1e-8)
        expected = (1 - lr * decay) * expected - lr * change
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-6, atol=0)


def test_one_step_decays_matrices_alone():
    layer = nn.Linear(3, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    optimizer = adamw(parameter_groups(layer, 0.5), lr=0.1)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), weight * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias.detach(), bias)


@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "16-mixed"])
def test_a_run_clips_gradients_with_the_fused_optimizer(precision, train, network, monkeypatch):
    if precision == "16-mixed":
        # Without this plugin, Lightning takes bfloat16 without a scaler on a CPU.
        scaled = pl.plugins.MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
        make = pl.Trainer
        monkeypatch.setattr(
            pl,
            "Trainer",
            lambda **options: make(**options | {"precision": None, "plugins": [*options["plugins"], scaled]}),
        )
    norms = []

    def optimizer(groups):
        made = adamw(groups, lr=0.1)
        assert all(group["fused"] for group in made.param_groups)
        made.register_step_post_hook(lambda *_: norms.append(norm_of_gradients(module.network)))
        return made

    module = TaskModule(network(), loss=losses.build("mse"), metrics={}, optimizer=optimizer, weight_decay=0.1)
    before = [weight.detach().clone() for weight in module.network.parameters()]
    train(module=module, precision=precision, clip_norm=0.01, max_epochs=1, monitor=None)
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)
    assert not any(torch.equal(old, new) for old, new in zip(before, module.network.parameters(), strict=True))


def norm_of_gradients(network):
    return float(torch.cat([weight.grad.flatten() for weight in network.parameters()]).norm())
