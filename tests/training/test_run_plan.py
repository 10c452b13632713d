import dataclasses
import json

import pytest
import torch
import yaml

from pyg_samsa import metrics
from pyg_samsa.functional import fit_feature_scale
from pyg_samsa.nn import SAMSA, TargetScale
from pyg_samsa.training import distributed, losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.optimizers import adamw
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.training.samplers import BatchOptions
from pyg_samsa.training.scaling import ScaledNetwork
from pyg_samsa.training.trainer import TrainerOptions

CONFIG = {"seed": 0, "optim": {"base_lr": 0.1}}


@pytest.fixture
def plan(rows, network, tmp_path, monkeypatch):
    for name in ("LOCAL_RANK", "RANK", distributed._HANDED_DOWN):
        monkeypatch.delenv(name, raising=False)
    return RunPlan(
        name="demo",
        seed=0,
        dataset=rows,
        build_network=network,
        loss=losses.build("l1"),
        metrics={"mae": metrics.build("mae", 1)},
        optimizer=lambda groups: adamw(groups, lr=0.1),
        trainer=TrainerOptions(max_epochs=1, accelerator="cpu"),
        batches=BatchOptions(batch_size=4),
        monitor="val_mae",
        higher_is_better=False,
        out_dir=str(tmp_path),
        config=CONFIG,
    )


def test_a_plan_never_changes(plan):
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.seed = 1


def test_the_folder_holds_the_settings(plan, tmp_path):
    folder = plan.open_folder()
    assert folder.path == tmp_path / "demo" / "0"
    assert yaml.safe_load(folder.file("config.yaml").read_text()) == CONFIG
    assert not folder.resumed
    assert plan.open_folder().path.name == "0-2"
    resumed = dataclasses.replace(plan, resume=True).open_folder()
    assert (resumed.path.name, resumed.resumed) == ("0-2", True)


def test_a_home_folder_is_found(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert dataclasses.replace(plan, out_dir="~/results").open_folder().path == tmp_path / "home/results/demo/0"


@pytest.mark.parametrize("resume", [False, True])
def test_other_processes_get_the_folder_of_the_first(plan, monkeypatch, resume):
    plan = dataclasses.replace(plan, resume=resume)
    plan.open_folder()
    first = plan.open_folder()
    monkeypatch.setenv("LOCAL_RANK", "1")
    other = plan.open_folder()
    assert (other.path, other.resumed) == (first.path, first.resumed)
    assert first.resumed is resume


def test_a_run_of_a_plan(plan):
    net = plan.build_network()
    result = plan.train(net, plan.open_folder())
    summary = json.loads(result.folder.file("summary.json").read_text())
    assert summary["monitor"] == "val_mae"
    assert summary["test"] == result.test
    state = torch.load(result.folder.best, weights_only=True)["state_dict"]
    assert torch.equal(net.lin.weight, state["network.lin.weight"])  # it ends with the weights that were tested


def test_batches_and_metrics_of_a_plan(plan):
    other = dataclasses.replace(plan, batches=BatchOptions(batch_size=9), train_metrics=False)
    result = other.train(other.build_network(), other.open_folder())
    header, row = result.folder.file("metrics.csv").read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert values["step"] == "1"
    assert "train_mae" not in values
    assert "val_mae" in values


class Frozen:
    """An optimiser that changes nothing."""

    def __call__(self, groups):
        return torch.optim.SGD(groups, lr=0.0)


def test_targets_are_scaled_by_the_data_set(plan, rows):
    mean, std = torch.tensor([10.0]), torch.tensor([4.0])
    rows.target_scale = (mean, std)
    still = dataclasses.replace(plan, optimizer=Frozen())
    net = still.build_network()
    result = still.train(net, still.open_folder())
    state = torch.load(result.folder.best, weights_only=True)["state_dict"]
    assert state["network.scale.mean"].item() == 10.0
    targets = torch.cat([rows[row].y for row in (13, 14, 15)])
    wrapped = ScaledNetwork(net, 1)
    wrapped.scale.fit(mean, std)
    from torch_geometric.data import Batch

    with torch.no_grad():
        pred = wrapped.eval()(Batch.from_data_list([rows[row] for row in (13, 14, 15)]))[0]
    error = float((pred - targets).abs().mean())
    # The metric is in the units of the data, the loss sees standardised values.
    assert result.test["mae"] == pytest.approx(error, rel=1e-6)
    assert result.test["loss"] == pytest.approx(error / 4, rel=1e-6)


def test_the_scale_of_graph_features_is_that_of_the_training_rows(plan, rows):
    count = len(rows)
    rows.graph_features = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "graph_channels": 2}
    network = SAMSA.from_options(2, 1, **sizes)
    plan.fit_scales(network)
    center, scale = fit_feature_scale(rows.graph_features[rows.split_idx["train"]])
    torch.testing.assert_close(network.graph_features.center, center.float())
    torch.testing.assert_close(network.graph_features.scale, scale.float())
    assert not torch.allclose(center, fit_feature_scale(rows.graph_features)[0])


def test_a_network_with_a_scale_keeps_its_own(plan, rows):
    rows.target_scale = (torch.tensor([10.0]), torch.tensor([4.0]))

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lin, self.scale = torch.nn.Linear(2, 1), TargetScale(1)

        def forward(self, x, edge_index, edge_attr, batch, *, batch_size):
            return self.scale(torch.zeros(batch_size, 2).index_add(0, batch, x) @ self.lin.weight.T)

    net = BatchNetwork(Scaled())
    plan.train(net, plan.open_folder())
    assert (net.scale.mean.item(), net.scale.std.item()) == (10.0, 4.0)


def test_defaults(defaults):
    expected = {
        "higher_is_better": True,
        "weight_decay": 0.0,
        "train_metrics": True,
        "edges_are_tokens": True,
        "num_workers": 0,
        "out_dir": "results",
        "resume": False,
        "tensorboard": False,
    }
    assert expected.items() <= defaults(RunPlan).items()
