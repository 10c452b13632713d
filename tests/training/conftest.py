"""Small graphs, a network of one layer, and runs of a fraction of a second."""

import types

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import global_mean_pool

from pyg_samsa import metrics
from pyg_samsa.task import Task
from pyg_samsa.training import losses
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.fit import fit_and_test
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.run_folder import open_run_folder
from pyg_samsa.training.trainer import TrainerOptions

SPLITS = {"train": range(9), "val": range(9, 13), "test": range(13, 16)}


class Rows(list):
    """Graphs with the attributes of a data set."""

    def __init__(self, graphs):
        super().__init__(graphs)
        self.task = Task("regression", ["height"])
        self.split_idx = {name: torch.tensor(rows) for name, rows in SPLITS.items()}


class PooledLinear(nn.Module):
    """Mean over the nodes, dropout, one linear layer."""

    def __init__(self):
        super().__init__()
        self.dropout, self.lin = nn.Dropout(0.25), nn.Linear(2, 1)

    def forward(self, batch):
        pooled = global_mean_pool(batch.x, batch.batch, batch.num_graphs)
        return self.lin(self.dropout(pooled)), batch.y


@pytest.fixture
def rows():
    """Sixteen graphs of one to three nodes; the target is a linear function of the mean of the nodes."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for row in range(16):
        x = torch.randn(row % 3 + 1, 2, generator=generator)
        y = x.mean(0, keepdim=True) @ torch.tensor([[2.0], [-1.0]])
        graphs.append(Data(x=x, edge_index=torch.empty(2, 0, dtype=torch.long), y=y))
    return Rows(graphs)


@pytest.fixture
def network():
    """A network with the weights of seed 0."""

    def make():
        torch.manual_seed(0)
        return PooledLinear()

    return make


@pytest.fixture
def train(rows, network, tmp_path):
    """Trains the network: ``train(max_epochs=2, keep_best=False)`` returns the result and the module.

    Options of the trainer are given by name; the others are named below.
    """

    def run(
        *, name="run", resume=False, splits=tuple(SPLITS), scheduler=None, monitor="val_mae", module=None, **options
    ):
        fit = {key: options.pop(key) for key in ("finish", "console") if key in options}
        made = module or TaskModule(
            network(),
            loss=losses.build("mse"),
            metrics={"mae": metrics.build("mae", 1)},
            optimizer=lambda groups: adamw(groups, lr=0.1),
            scheduler=scheduler,
        )
        data = SplitData(rows, {split: rows.split_idx[split] for split in splits}, batch_size=4, eval_batch_size=2)
        result = fit_and_test(
            made,
            data,
            rows.task,
            folder=open_run_folder(tmp_path, name, 0, {"name": name}, resume=resume),
            options=TrainerOptions(**{"max_epochs": 3, "accelerator": "cpu", **options}),
            monitor=monitor,
            higher_is_better=False,
            **fit,
        )
        return result, made

    return run


@pytest.fixture
def collect():
    """Collects predictions as a test epoch does: ``collect([5, 1], pred, target, nodes=1)``."""
    trainer = types.SimpleNamespace(world_size=1)

    def make(rows, pred, target, nodes=1):
        collector = PredictionCollector()
        collector.on_test_epoch_start(trainer, None)
        for start in range(0, len(rows), 2):
            graphs = [
                Data(
                    x=torch.zeros(nodes, 1), edge_index=torch.empty(2, 0, dtype=torch.long), row_id=torch.tensor([row])
                )
                for row in rows[start : start + 2]
            ]
            part = slice(start * nodes, (start + 2) * nodes)
            outputs = {"pred": pred[part], "target": target[part]}
            collector.on_test_batch_end(trainer, None, outputs, Batch.from_data_list(graphs), 0)
        collector.on_test_epoch_end(trainer, None)
        return collector

    return make
