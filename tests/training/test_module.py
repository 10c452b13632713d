import types

import pandas as pd
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torchmetrics import MeanSquaredError

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataError, NumericalError
from pyg_samsa.nn import SAMSA
from pyg_samsa.nn.target_scale import scale_of
from pyg_samsa.training import losses, schedulers
from pyg_samsa.training import module as module_file
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw
from pyg_samsa.training.scaling import ScaledLoss, with_target_scale


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


@pytest.mark.parametrize("split", ["training", "validation", "test"])
def test_losses_and_metrics_are_not_rounded_under_autocast(split):
    seen = []

    class Spy(metrics.MeanAbsoluteError):
        def update(self, preds, target):
            seen.append(preds @ preds.T)
            super().update(preds, target)

    def loss(pred, target):
        seen.append((pred @ target.T).mean())
        return seen[-1]

    made = module(loss=loss, metrics={"mae": Spy(2)})
    with torch.autocast("cpu", torch.bfloat16):
        getattr(made, f"{split}_step")(batch(), 0)
        assert (made.network.model.readout.head.net[0].weight @ torch.ones(8)).dtype == torch.bfloat16
    assert [value.dtype for value in seen] == [torch.float32] * 2


def test_predictions_of_a_batch():
    made = module().eval()
    assert made.predict_step(batch(), 0).shape == (2, 2)


class Given(nn.Module):
    """Predicts what it is given for each row."""

    def __init__(self, pred):
        super().__init__()
        self.pred = pred

    def forward(self, batch):
        return self.pred[: batch.num_graphs], batch.y


def test_the_loss_of_a_split_weighs_batches_by_their_rows():
    made = module(Given(torch.tensor([[1.0, 1.0], [3.0, 3.0]])))
    for data in (batch(), Batch.from_data_list(batch().to_data_list()[:1])):
        made.validation_step(data, 0)
    # Three rows with deviations 0, 2 and 0; the means of the batches are 1 and 0.
    assert made.measures["val_loss"].compute().item() == pytest.approx(2 / 3)


def in_epoch(made, number):
    made._trainer = types.SimpleNamespace(current_epoch=number, global_step=7, is_global_zero=True)
    return made


@pytest.mark.parametrize(
    ("split", "place"),
    [
        ("training", r"training loss at step 7 \(epoch 5, batch 3\)"),
        ("validation", r"validation loss in epoch 5 \(batch 3\)"),
        ("test", "test loss of batch 3"),
    ],
)
def test_a_loss_that_is_not_finite_names_its_step_counted_from_one(split, place):
    made = in_epoch(module(Given(torch.full((2, 2), float("nan")))), 4)
    with pytest.raises(NumericalError, match=place):
        getattr(made, f"{split}_step")(batch(), 2)


def test_a_split_whose_loss_is_not_finite_names_its_epoch_counted_from_one():
    made = in_epoch(module(), 4)
    made.measures["val_loss"].update(torch.tensor(float("inf")), torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(NumericalError, match="val_loss in epoch 5"):
        made._finish("val")


def test_rows_without_targets_or_features():
    with pytest.raises(ConfigError, match="train split"):
        module().training_step(batch(y=False), 0)
    with pytest.raises(DataError, match="node features"):
        BatchNetwork(small())(Batch.from_data_list([Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2)]))


def test_metrics_of_training_batches_can_be_left_out():
    assert any(key.startswith("train_") for key in module().measures if key != "train_loss")
    assert not any(key.startswith("train_") for key in module(train_metrics=False).measures if key != "train_loss")


def rates(result):
    return pd.read_csv(result.folder.file("metrics.csv"))["lr"].tolist()


def test_a_plain_scheduler_is_stepped_once_an_epoch(train):
    def halve(optimizer, total, per_epoch):
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    assert rates(train(scheduler=halve)[0]) == pytest.approx([0.1, 0.05, 0.025])


@pytest.mark.parametrize(("accumulate", "lengths"), [(1, (6, 3)), (2, (4, 2))])
def test_schedules_know_the_steps_of_the_run_and_of_an_epoch(train, accumulate, lengths):
    seen = []
    result, _ = train(scheduler=lambda optimizer, *given: seen.append(given), max_epochs=2, accumulate=accumulate)
    assert seen == [lengths]
    assert rates(result) == [0.1, 0.1]


def test_a_plateau_schedule_needs_a_validation_split(train):
    def plateau(optimizer, total, per_epoch):
        return schedulers.build("plateau", optimizer, monitor="val_mae", mode="min")

    with pytest.raises(ConfigError, match="'val_mae' in every epoch") as caught:
        train(scheduler=plateau, splits=("train", "test"), max_epochs=1)
    assert "validation split" in caught.value.hint


def test_a_metric_of_torchmetrics_can_be_used():
    made = module(metrics={"mse": MeanSquaredError()})
    outputs = made.test_step(batch(), 0)
    expected = (outputs["pred"] - outputs["target"]).square().mean()
    torch.testing.assert_close(made.measures["test_mse"].compute(), expected)


def test_steps_measure_their_own_split():
    made = module()
    made.validation_step(batch(), 0)
    outputs = made.test_step(batch(), 0)
    assert not outputs["pred"].requires_grad
    updated = sorted(name for name, metric in made.measures.items() if metric.update_called)
    assert updated == ["test_loss", "test_mae", "val_loss", "val_mae"]


def test_losses_and_metrics_honour_bounds_and_predictions_do_not():
    class Fixed(nn.Module):
        def forward(self, batch):
            return torch.tensor([[3.0, 0.0], [3.0, 0.0]]), batch.y

    made = module(Fixed(), loss=losses.build("mse"))
    data = batch()
    data.y_bound = torch.tensor([[1, 1], [0, -1]], dtype=torch.int8)
    loss, pred, target = made._predict(data, "val")
    # >1 holds for 3 and not for 0, <1 holds for 0; 3 is 2 away from the value 1.
    assert loss.item() == pytest.approx((0 + 1 + 4 + 0) / 4)
    assert pred.tolist() == [[3.0, 0.0], [3.0, 0.0]]
    made._measure("val", data, loss, pred, target)
    assert made.measures["val_mae"].compute().item() == pytest.approx((1.0 + 0.5) / 2)


def energies(count=6):
    """Graphs with targets that float32 cannot tell apart; every other one is a bound."""
    graphs = []
    for number in range(count):
        y = torch.tensor([[-1e6 + number / 1000]], dtype=torch.float64)
        edge_index, bound = torch.empty(2, 0, dtype=torch.long), torch.tensor([[number % 2]], dtype=torch.int8)
        graphs.append(Data(x=torch.full((2, 3), float(number)), edge_index=edge_index, y=y, y_bound=bound))
    return graphs


def test_a_step_on_a_device_without_float64_is_that_of_the_cpu(float32_device):
    graphs = energies()
    results = []
    for device in (torch.device("cpu"), float32_device):
        torch.manual_seed(0)
        options = {"channels": 8, "num_layers": 2, "heads": 2, "num_samples": 4, "scale_targets": True}
        network = SAMSA.from_options(3, 1, **options).eval()
        network, scale = with_target_scale(BatchNetwork(network), *scale_of(torch.cat([one.y for one in graphs])))
        made = module(network, loss=ScaledLoss(losses.build("mse"), scale), metrics={"mae": metrics.build("mae", 1)})
        made = made.to(device)
        data = SplitData(graphs, {"train": torch.arange(6)}, batch_size=6)
        moved = data.transfer_batch_to_device(Batch.from_data_list(graphs), device, 0)
        loss, pred, target = made._predict(moved, "val")
        made._measure("val", moved, loss, pred, target)
        loss.backward()
        gradient = next(parameter.grad for name, parameter in made.named_parameters() if "head" in name)
        values = [torch.as_tensor(metric.compute()).float().item() for metric in made._of("val").values()]
        results.append((loss.item(), pred.tolist(), values, torch.tensor(gradient.tolist())))
    (loss, pred, values, gradient), (other_loss, other_pred, other_values, other_gradient) = results
    assert other_loss == pytest.approx(loss, rel=1e-5)
    assert len({row for (row,) in other_pred}) == 6
    assert other_pred == [[pytest.approx(row, abs=1e-7)] for (row,) in pred]
    assert other_values == pytest.approx(values, rel=1e-4)
    torch.testing.assert_close(other_gradient, gradient)


def test_targets_are_moved_to_predictions_of_the_device(float32_device):
    class Unscaled(nn.Module):
        def forward(self, batch):
            return torch.zeros(6, 1, device=float32_device), batch.y

    data = Batch.from_data_list([Data(x=torch.ones(1, 1), y=one.y) for one in energies()])
    loss, _, target = module(Unscaled())._predict(data, "val")
    assert target.device == float32_device
    assert loss.item() == pytest.approx(1e6)


def test_the_loss_of_all_processes_is_that_of_training_alone(monkeypatch):
    asked = []

    def common(average, loss, pred, target):
        asked.append(float(loss))
        return 2 * loss, torch.zeros(2)

    made = module()
    monkeypatch.setattr(module_file, "_is_one_of_several", lambda: True)
    monkeypatch.setattr(module_file, "of_all_processes", common)
    given = batch()
    made.validation_step(given, 0)
    made.test_step(given, 0)
    assert asked == []
    torch.manual_seed(0)
    loss = made.eval().training_step(given, 0)
    assert asked == [pytest.approx(float(loss) / 2)]


def test_defaults(defaults):
    expected = {
        "weight_decay": 0.0,
        "train_metrics": True,
    }
    assert expected.items() <= defaults(TaskModule).items()
