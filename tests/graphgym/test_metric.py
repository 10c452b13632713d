import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym import metric
from pyg_samsa.task import Task


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
    made, best, higher = metric.choose_metrics(Task("regression", ["a", "b"]), direction_given=False)
    assert (list(made), best, higher) == (["mae", "rmse", "r2"], "mae", False)
    cfg.metric_best, cfg.custom_metrics = "accuracy-SBM", ["f1"]
    made, best, higher = metric.choose_metrics(Task("multiclass", ["a", "b", "c"]), direction_given=False)
    assert (list(made), best, higher) == (["accuracy_macro", "f1_macro"], "accuracy_macro", True)
