from contextlib import nullcontext
from typing import Annotated

import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.loss import compute_loss

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import loss
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.settings import SETTINGS
from pyg_samsa.options import Option
from pyg_samsa.training import losses


@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1"])
def test_bounded_losses_are_known_by_their_usual_names(name):
    cfg.model.loss_fun = f"bounded_{name}"
    pred, target = torch.tensor([[1.0]]), torch.tensor([[4.0]])
    assert loss.choose_loss("regression", given=True)(pred, target) == losses.build(name)(pred, target)


@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1"])
def test_bounds_are_refused_in_the_loop_of_graphgym(name):
    cfg.model.loss_fun = f"bounded_{name}"
    with pytest.raises(ConfigError, match=f"model.loss_fun: got 'bounded_{name}'") as caught:
        compute_loss(torch.zeros(2), torch.ones(2))
    assert "pyg-samsa train" in caught.value.hint


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


def test_a_loss_that_was_added_later_gets_its_options(config):
    @losses.register_loss("scaled", "regression")
    def scaled(pred, target, factor: Annotated[float, Option("Factor of the error.", above=0)] = 1.0):
        return factor * (pred - target).abs().mean()

    try:
        load_config(config(model={"loss_fun": "scaled", "factor": 3.0}))
        assert loss.choose_loss("regression", given=True)(torch.tensor([2.0]), torch.tensor([0.0])) == 6.0
    finally:
        del losses.LOSSES["scaled"]
        SETTINGS.pop("model.factor", None)


REGRESSION = {"dataset": {"name": "regression", "task_type": "regression"}, "metric_best": "mae"}
KINDS = {
    "regression": REGRESSION,
    "multilabel": {},
    "binary": {"dataset": {"name": "binary", "task_type": "classification"}, "metric_best": "auc"},
    "multiclass": {"dataset": {"name": "multiclass", "task_type": "classification"}, "metric_best": "accuracy"},
}


def test_cross_entropy_of_words_is_that_of_each_word():
    cfg.model.loss_fun = "cross_entropy"
    pred, target = torch.randn(3, 8), torch.randint(4, (3, 2))
    for given in (True, False):
        assert torch.equal(
            loss.choose_loss("words", given=given)(pred, target), losses.word_cross_entropy(pred, target)
        )
    assert loss.fits_task("words")
    cfg.model.loss_fun = "bce"
    assert not loss.fits_task("words")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in losses.fitting(kind)])
def test_every_loss_is_chosen_for_the_tasks_that_it_fits(kind, name):
    cfg.model.loss_fun = name
    generator = torch.Generator().manual_seed(0)
    pred = torch.randn(6, 1 if kind == "binary" else 3, generator=generator, requires_grad=True)
    target = torch.randint(2, (6,) if kind == "multiclass" else pred.shape, generator=generator)
    target = target if kind == "multiclass" else target.float()
    value = loss.choose_loss(kind, given=True)(pred, target)
    assert torch.equal(value, losses.build(name)(pred, target))
    value.backward()
    assert pred.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", losses.available())
def test_a_loss_that_does_not_fit_is_refused(kind, name):
    cfg.model.loss_fun = name
    fits = name in losses.fitting(kind) or (name == "cross_entropy" and kind in ("multilabel", "binary"))
    with nullcontext() if fits else pytest.raises(ConfigError, match=r"model\.loss_fun"):
        loss.choose_loss(kind, given=True)


def test_the_options_of_a_loss_are_settings():
    cfg.model.loss_fun, cfg.model.pos_weight, cfg.model.label_smoothing = "bce", 3.0, 0.1
    pred, target = torch.tensor([[0.3, -0.2]]), torch.tensor([[1.0, 0.0]])
    expected = losses.bce(pred, target, pos_weight=3.0, label_smoothing=0.1)
    assert torch.equal(loss.choose_loss("multilabel", given=True)(pred, target), expected)
    cfg.model.loss_fun, cfg.model.smooth_l1_beta = "smoothl1", 0.5
    assert torch.equal(loss.choose_loss("regression", given=True)(pred, target), losses.smooth_l1(pred, target, 0.5))


def test_a_new_loss_is_used_by_its_name(config):
    from pyg_samsa.experiments.run import run

    @losses.register_loss("log_cosh", "regression")
    def log_cosh(pred, target):
        return (pred - target).cosh().log().mean()

    try:
        changes = {**REGRESSION, "model": {"loss_fun": "log_cosh"}, "optim": {"max_epoch": 1}}
        (result,) = run(config(**changes), verbosity=-1)
        assert result.test["loss"] > 0
    finally:
        del losses.LOSSES["log_cosh"]
