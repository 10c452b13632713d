import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from pyg_samsa.metrics import MultilabelROCAUC
from pyg_samsa.metrics.roc_auc import roc_auc


@pytest.mark.parametrize("seed", range(6))
def test_equals_ogb_evaluator(seed: int) -> None:
    evaluate = pytest.importorskip("ogb.graphproppred.evaluate", reason="ogb is not installed")
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randn(50, 5, generator=generator).mul(3).round()
    target = (torch.rand(50, 5, generator=generator) < torch.linspace(0, 1, 5)).float()
    target[torch.rand(50, 5, generator=generator) < 0.2] = float("nan")
    evaluator = evaluate.Evaluator("ogbg-moltox21")
    evaluator.num_tasks = 5
    metric = MultilabelROCAUC(5)
    for p, t in zip(preds.split(20), target.split(20), strict=True):
        metric.update(p, t)
    assert metric.compute().item() == pytest.approx(
        evaluator.eval({"y_true": target, "y_pred": preds})["rocauc"], abs=1e-12
    )


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_binary(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    preds, target = rng.normal(size=40).astype(np.float32), (rng.random(40) < 0.4).astype(np.int64)
    metric = MultilabelROCAUC(1)
    metric.update(torch.from_numpy(preds).reshape(shape), torch.from_numpy(target))
    assert metric.compute().item() == pytest.approx(roc_auc_score(target, preds), abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_one_kind_of_label_is_not_defined() -> None:
    assert np.isnan(roc_auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])))
    assert np.isnan(roc_auc(np.array([0.1, 0.2]), np.array([0.0, 0.0])))
    assert roc_auc(np.array([0.1, 0.2]), np.array([0.0, 1.0])) == 1.0


def test_name_and_direction() -> None:
    assert (MultilabelROCAUC.name, MultilabelROCAUC.higher_is_better) == ("auc", True)
