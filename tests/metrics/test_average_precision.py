import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from pyg_samsa.errors import ConfigError
from pyg_samsa.metrics import MultilabelAveragePrecision
from pyg_samsa.metrics.average_precision import average_precision

NAN = float("nan")


def ogb_ap(preds: torch.Tensor, target: torch.Tensor) -> float:
    evaluate = pytest.importorskip("ogb.graphproppred.evaluate", reason="ogb is not installed")
    evaluator = evaluate.Evaluator("ogbg-molpcba")
    evaluator.num_tasks = target.shape[1]
    return evaluator.eval({"y_true": target, "y_pred": preds})["ap"]


def random_case(
    seed: int, *, rows: int = 60, classes: int = 7, missing: float = 0.2, ties: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randn(rows, classes, generator=generator)
    target = (torch.rand(rows, classes, generator=generator) < torch.linspace(0, 0.6, classes)).float()
    target[torch.rand(rows, classes, generator=generator) < missing] = NAN
    return (preds.round() if ties else preds), target


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_equals_ogb_evaluator(seed: int, ties: bool, missing: float) -> None:
    preds, target = random_case(seed, missing=missing, ties=ties)
    metric = MultilabelAveragePrecision(num_targets=7)
    for start in range(0, 60, 13):
        metric.update(preds[start : start + 13], target[start : start + 13])
    assert metric.compute().item() == pytest.approx(ogb_ap(preds, target), abs=1e-12)


def test_averaging_over_batches_would_differ() -> None:
    preds, target = random_case(0)
    whole, halves = MultilabelAveragePrecision(7), [MultilabelAveragePrecision(7) for _ in range(2)]
    for part, (p, t) in zip(halves, zip(preds.split(30), target.split(30), strict=True), strict=True):
        part.update(p, t)
        whole.update(p, t)
    assert abs(whole.compute() - sum(part.compute() for part in halves) / 2) > 1e-3


def test_per_class_skips_what_ogb_skips() -> None:
    preds = torch.tensor([[0.9, 0.1, 0.3, 0.2], [0.1, 0.2, 0.8, 0.5], [0.4, 0.7, 0.6, 0.1]])
    target = torch.tensor([[1.0, 1.0, 0.0, NAN], [0.0, 1.0, 0.0, NAN], [1.0, NAN, 0.0, NAN]])
    metric = MultilabelAveragePrecision(4)
    metric.update(preds, target)
    assert metric.per_class().isnan().tolist() == [False, True, True, True]
    assert (
        metric.per_class()[0].item() == average_precision_score([1, 0, 1], [0.9, 0.1, 0.4]) == metric.compute().item()
    )


def test_is_nan_with_a_warning_where_ogb_raises() -> None:
    preds, target = torch.randn(3, 2), torch.zeros(3, 2)
    with pytest.raises(RuntimeError):
        ogb_ap(preds, target)
    metric = MultilabelAveragePrecision(2)
    metric.update(preds, target)
    with pytest.warns(UserWarning, match="no class has both a positive and a negative label"):
        assert metric.compute().isnan()


def test_nan_prediction_of_an_unlabelled_entry_is_ignored_as_by_ogb() -> None:
    preds, target = torch.tensor([[1.0], [0.0], [NAN]]), torch.tensor([[1.0], [0.0], [NAN]])
    metric = MultilabelAveragePrecision(1)
    metric.update(preds, target)
    assert metric.compute().item() == ogb_ap(preds, target) == 1.0


def test_bfloat16_and_integer_labels() -> None:
    preds, target = random_case(3, missing=0.0)
    metric = MultilabelAveragePrecision(7)
    metric.update(preds.bfloat16(), target.long())
    assert metric.compute().item() == pytest.approx(ogb_ap(preds.bfloat16().float(), target), abs=1e-12)


@pytest.mark.parametrize("label", [-1.0, 2.0, 0.5, float("inf")])
def test_a_label_that_is_not_binary_is_an_error(label: float) -> None:
    with pytest.raises(ConfigError, match="0, 1 or NaN"):
        MultilabelAveragePrecision(1).update(torch.zeros(2, 1), torch.tensor([[1.0], [label]]))


def test_functional_core() -> None:
    rng = np.random.default_rng(0)
    preds, target = rng.normal(size=50).round(1), (rng.random(50) < 0.3).astype(float)
    assert average_precision(preds, target) == average_precision_score(target, preds)
    assert np.isnan(average_precision(preds[:0], target[:0]))


def test_name_and_direction() -> None:
    assert (MultilabelAveragePrecision.name, MultilabelAveragePrecision.higher_is_better) == ("ap", True)
