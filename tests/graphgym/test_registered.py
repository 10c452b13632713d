import importlib

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg
from torch_geometric.graphgym.init import init_weights
from torch_geometric.graphgym.loss import compute_loss
from torch_geometric.graphgym.models.layer import new_layer_config
from torch_geometric.graphgym.optim import create_optimizer, create_scheduler

import pyg_samsa.graphgym
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import head, layer, loss, metric, network, optimizer, scheduler
from pyg_samsa.graphgym import register as registry


@pytest.fixture(autouse=True)
def fresh_cfg():
    set_cfg(cfg)
    yield
    set_cfg(cfg)


def molecules(count=3):
    graphs = []
    for number in range(count):
        nodes = number + 2
        edges = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        graphs.append(
            Data(
                x=torch.zeros(nodes, 9, dtype=torch.long),
                edge_index=edges,
                edge_attr=torch.zeros(nodes - 1, 3, dtype=torch.long),
            )
        )
    return Batch.from_data_list(graphs)


def test_importing_again_changes_nothing():
    before = {name: dict(getattr(register, name)) for name in dir(register) if name.endswith("_dict")}
    for module in (pyg_samsa.graphgym, layer, loss, network):
        importlib.reload(module)
    after = {name: getattr(register, name) for name in before}
    assert {name: list(entries) for name, entries in before.items()} == {
        name: list(entries) for name, entries in after.items()
    }


def test_what_somebody_else_registered_stays():
    entries = {"l1": abs}
    registry.register_once(entries, "l1", len)
    assert entries["l1"] is abs


def test_layer_keeps_its_initialisation_and_widens():
    config = new_layer_config(5, 8, 1, has_act=False, has_bias=True, cfg=cfg)
    made = layer.SAMSAConvLayer(config)
    before = [weight.clone() for weight in made.parameters()]
    torch.nn.Sequential(made).apply(init_weights)
    assert all(torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True))
    made.apply(lambda module: [torch.nn.init.zeros_(weight) for weight in module.parameters(recurse=False)])
    assert all(float(weight.detach().abs().sum()) == 0 for weight in made.parameters())
    batch = Batch.from_data_list(
        [Data(x=torch.randn(n, 5), edge_index=torch.empty(2, 0, dtype=torch.long)) for n in (3, 1)]
    )
    assert made(batch).x.shape == (4, 8)


def test_encoders_need_no_ogb(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ogb", None)
    batch = molecules()
    batch = register.node_encoder_dict["SAMSAAtom"](16)(batch)
    batch = register.edge_encoder_dict["SAMSABond"](16)(batch)
    assert (batch.x.shape, batch.edge_attr.shape) == ((9, 16), (6, 16))


def test_heads_and_pooling():
    cfg.gnn.layers_post_mp, cfg.model.graph_pooling = 3, "attention"
    batch = molecules()
    batch.x, batch.y = torch.randn(9, 8), None
    made = head.GraphHead(8, 2)
    assert made(batch)[0].shape == (3, 2)
    assert sum(isinstance(module, torch.nn.Linear) for module in made.mlp) == 3
    assert any("pool" in name for name, _ in made.named_parameters())
    assert head.InductiveNodeHead(8, 2)(batch)[0].shape == (9, 2)
    with pytest.raises(ConfigError, match="head 'graph'"):
        register.pooling_dict["attention"](batch.x, batch.batch)


@pytest.mark.parametrize(
    ("loss_fun", "task_type", "pred", "true", "value"),
    [
        ("bce", "classification_multilabel", [[0.0, 0.0]], [[1.0, float("nan")]], 0.6931),
        ("cross_entropy", "classification_multilabel", [[0.0, 0.0]], [[1.0, float("nan")]], 0.6931),
        ("l1", "regression", [[1.0, 2.0]], [[2.0, 4.0]], 1.5),
        ("smoothl1", "regression", [[1.0, 2.0]], [[2.0, 4.0]], 1.0),
        ("weighted_cross_entropy", "classification", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [0, 2], 1.0986),
    ],
)
def test_losses_act_only_where_they_are_asked_for(loss_fun, task_type, pred, true, value):
    cfg.model.loss_fun, cfg.dataset.task_type = loss_fun, task_type
    found, score = compute_loss(torch.tensor(pred), torch.tensor(true))
    assert float(found) == pytest.approx(value, abs=1e-4)
    assert score.shape == torch.tensor(pred).shape
    cfg.model.loss_fun = "something_else"
    assert all(
        function(torch.tensor(pred), torch.tensor(true)) is None
        for name, function in register.loss_dict.items()
        if name.startswith("samsa_")
    )


def test_a_loss_of_somebody_else_is_taken(monkeypatch):
    monkeypatch.setitem(register.loss_dict, "squared", lambda pred, true: ((pred - true).square().mean(), pred))
    cfg.model.loss_fun = "squared"
    assert float(loss.choose_loss("regression", given=True)(torch.tensor([2.0]), torch.tensor([0.0]))) == 4.0


def test_metrics_give_plain_floats():
    true, pred = [torch.tensor([[1.0, 0.0], [0.0, 1.0]])], [torch.tensor([[0.9, 0.2], [0.1, 0.7]])]
    for name in ("ap", "auc"):
        value = register.metric_dict[name](true, pred, "classification_multilabel")
        assert type(value) is float
        assert value == 1.0
    binary = register.metric_dict["accuracy"](
        [torch.tensor([1, 0, 1])], [torch.tensor([0.6, 0.4, 0.3])], "classification_binary"
    )
    assert binary == pytest.approx(2 / 3)
    assert register.metric_dict["mae"]([torch.tensor([1.0])], [torch.tensor([3.0])], "regression") == 2.0


def test_choice_of_metrics():
    cfg.metric_best = "auto"
    made, best, higher = metric.choose_metrics("regression", 2, direction_given=False)
    assert (list(made), best, higher) == (["mae", "rmse", "r2"], "mae", False)
    cfg.metric_best, cfg.custom_metrics = "accuracy-SBM", ["f1"]
    made, best, higher = metric.choose_metrics("multiclass", 3, direction_given=False)
    assert (list(made), best, higher) == (["accuracy_macro", "f1_macro"], "accuracy_macro", True)


def test_adamw_of_the_registry():
    cfg.optim.optimizer, cfg.optim.base_lr = "adamW", 0.5
    made = create_optimizer(torch.nn.Linear(2, 2).parameters(), cfg.optim)
    assert isinstance(made, torch.optim.AdamW)
    assert made.param_groups[0]["lr"] == 0.5
    groups = optimizer.choose_optimizer()([{"params": list(torch.nn.Linear(2, 2).parameters()), "weight_decay": 0.25}])
    assert groups.param_groups[0]["weight_decay"] == 0.25


def test_schedules_by_step_and_by_epoch():
    cfg.optim.scheduler, cfg.optim.num_warmup_epochs, cfg.optim.max_epoch = "cosine_with_warmup", 1.0, 4
    weights = torch.nn.Linear(2, 2).parameters()
    made = scheduler.choose_scheduler("val_ap", higher_is_better=True)(torch.optim.SGD(weights, lr=1.0), 40, 10)
    assert made["interval"] == "step"
    assert made["scheduler"].get_last_lr() == [1 / 11]
    by_epoch = create_scheduler(torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0), cfg.optim)
    assert by_epoch.get_last_lr() == [0.5]
    cfg.optim.scheduler, cfg.optim.num_warmup_epochs = "reduce_on_plateau", 0.0
    made = scheduler.choose_scheduler("val_ap", higher_is_better=True)(
        torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0), 40, 10
    )
    assert (made["interval"], made["monitor"]) == ("epoch", "val_ap")
    assert made["scheduler"].mode == "max"


def test_network_takes_widths_from_whoever_knows_them():
    cfg.samsa.layers, cfg.samsa.channels, cfg.samsa.heads = 1, 8, 2
    cfg.dataset.task = "graph"
    made = network.SAMSANetwork(dim_in=5, dim_out=2)
    assert made.model.node_encoder.in_features == 5
    cfg.share.in_channels, cfg.share.edge_channels, cfg.share.level = (
        [119, 5, 12, 12, 10, 6, 6, 2, 2],
        [5, 6, 2],
        "node",
    )
    made = network.SAMSANetwork(dim_in=9, dim_out=2)
    batch = molecules()
    assert made(batch)[0].shape == (9, 2)
