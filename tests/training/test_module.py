import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataError, NumericalError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.finite import FiniteGuard
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw, parameter_groups


def batch(y=True):
    graphs = [
        Data(x=torch.randn(n, 3), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.ones(1, 2) if y else None)
        for n in (2, 4)
    ]
    return Batch.from_data_list(graphs)


def small():
    return SAMSA.from_options(3, 2, channels=8, num_layers=2, heads=2, num_samples=4)


def module(network=None, **options):
    chosen = {
        "loss": losses.build("l1"),
        "metrics": {"mae": metrics.build("mae", 2)},
        "optimizer": lambda groups: adamw(groups, lr=1e-3),
    }
    return TaskModule(network or BatchNetwork(small()), **{**chosen, **options})


def test_weights_that_do_not_decay():
    model = small()
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


def test_half_precision_predictions_are_widened():
    class Half(nn.Module):
        def forward(self, batch):
            return torch.ones(2, 2, dtype=torch.bfloat16), batch.y

    assert module(Half())(batch())[0].dtype == torch.float32
    assert (
        module(BatchNetwork(small().double()))
        .double()(batch().apply(lambda value: value.double() if value.is_floating_point() else value))[0]
        .dtype
        == torch.float64
    )


def test_predictions_of_a_batch():
    made = module().eval()
    assert made.predict_step(batch(), 0).shape == (2, 2)


def test_rows_without_targets_or_features():
    with pytest.raises(ConfigError, match="train split"):
        module().training_step(batch(y=False), 0)
    with pytest.raises(DataError, match="node features"):
        BatchNetwork(small())(Batch.from_data_list([Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2)]))


def test_metrics_of_training_batches_can_be_left_out():
    assert any(key.startswith("train_") for key in module().measures if key != "train_loss")
    assert not any(key.startswith("train_") for key in module(train_metrics=False).measures if key != "train_loss")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_guard(value):
    guard = FiniteGuard()
    guard.watch(torch.tensor(0.5), "fine")
    with pytest.raises(NumericalError, match="here"):
        guard.watch(torch.tensor(value), "here")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_guard_on_a_device_tells_one_step_later():
    guard = FiniteGuard()
    guard.watch(torch.tensor(float("nan"), device="cuda"), "step 1")
    with pytest.raises(NumericalError, match="step 1"):
        guard.watch(torch.tensor(1.0, device="cuda"), "step 2")
