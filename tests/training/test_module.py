import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw


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
