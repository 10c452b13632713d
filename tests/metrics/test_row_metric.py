"""What every metric over rows must do."""

import numpy as np
import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.metrics.row_metric import BinaryLabelMetric, RowMetric, as_rows, mean_of_defined

NAMES = ["ap", "auc", "mae", "r2", "rmse", "spearman"]
NAN = float("nan")


@pytest.mark.parametrize("name", NAMES)
class TestEveryRowMetric:
    def test_updates_in_any_portions_give_the_same(self, name: str) -> None:
        preds, target = torch.randn(24, 3), torch.randint(0, 2, (24, 3)).float()
        once, often = metrics.build(name, 3), metrics.build(name, 3)
        once.update(preds, target)
        for start, stop in [(0, 1), (1, 1), (1, 17), (17, 24)]:
            often.update(preds[start:stop], target[start:stop])
        assert torch.equal(once.compute(), often.compute())

    def test_reset_forgets(self, name: str) -> None:
        metric = metrics.build(name, 1)
        metric.update(torch.randn(5), torch.tensor([0, 1, 1, 0, 1]))
        metric.reset()
        metric.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 1.0]))
        fresh = metrics.build(name, 1)
        fresh.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 1.0]))
        assert torch.equal(metric.compute(), fresh.compute())

    def test_forward_gives_the_batch_and_gathers_the_rest(self, name: str) -> None:
        preds, target = torch.randn(12, 1), torch.tensor([0.0, 1.0] * 6)
        metric, batch, whole = (metrics.build(name, 1) for _ in range(3))
        metric(preds[:6], target[:6])
        batch.update(preds[6:], target[6:])
        whole.update(preds, target)
        assert torch.equal(metric(preds[6:], target[6:]), batch.compute())
        assert torch.equal(metric.compute(), whole.compute())

    def test_nothing_labelled_is_nan_with_a_warning(self, name: str) -> None:
        metric = metrics.build(name, 2)
        metric.update(torch.randn(3, 2), torch.full((3, 2), NAN))
        with pytest.warns(UserWarning, match=f"{name} is undefined"):
            assert metric.compute().isnan()
        assert metric.per_class().shape == (2,)

    def test_no_row_is_nan_with_a_warning(self, name: str) -> None:
        metric = metrics.build(name, 2)
        metric.update(torch.empty(0, 2), torch.empty(0, 2))
        with pytest.warns(UserWarning, match="undefined"):
            assert metric.compute().isnan()

    def test_half_precision_and_gradients_are_shed(self, name: str) -> None:
        preds, target = torch.randn(10, 1, dtype=torch.bfloat16, requires_grad=True), torch.tensor([0, 1] * 5)
        metric, reference = metrics.build(name, 1), metrics.build(name, 1)
        metric.update(preds, target)
        reference.update(preds.detach().float(), target.float())
        assert torch.equal(metric.compute(), reference.compute())
        assert not metric.preds[0].requires_grad
        assert metric.compute().dtype == torch.float64

    @pytest.mark.parametrize(
        ("preds", "target"), [((4, 2), (4, 3)), ((4, 3), (4,)), ((4, 3), (5, 3)), ((3,), (3,)), ((), ())]
    )
    def test_nothing_is_broadcast(self, name: str, preds: tuple[int, ...], target: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError):
            metrics.build(name, 3).update(torch.zeros(preds), torch.zeros(target))

    @pytest.mark.parametrize("value", [NAN, float("inf")])
    def test_prediction_that_is_not_finite_is_an_error(self, name: str, value: float) -> None:
        with pytest.raises(NumericalError, match=f"metric {name}: 1 of 2 predictions"):
            metrics.build(name, 1).update(torch.tensor([0.0, value]), torch.tensor([0.0, 1.0]))

    @pytest.mark.parametrize("num_targets", [0, -1, 1.0, True, "3"])
    def test_num_targets_is_checked(self, name: str, num_targets: object) -> None:
        with pytest.raises(ConfigError, match="num_targets"):
            metrics.build(name, num_targets)  # type: ignore[arg-type]

    def test_survives_pickle(self, name: str) -> None:
        import pickle

        metric = metrics.build(name, 1)
        metric.update(torch.randn(6), torch.tensor([0, 1] * 3))
        assert torch.equal(pickle.loads(pickle.dumps(metric)).compute(), metric.compute())


def test_infinite_regression_label_is_an_error() -> None:
    with pytest.raises(NumericalError, match="label"):
        metrics.build("mae", 1).update(torch.zeros(1), torch.tensor([float("inf")]))


@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 3, 4), (3,), (), (2, 2)])
def test_as_rows_takes_rows_of_all_targets_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"preds: got .*, expected \[B, 3\]"):
        as_rows("preds", torch.zeros(shape), 3)


@pytest.mark.parametrize("given", [torch.float64, torch.float32, torch.bfloat16, torch.long])
def test_as_rows_keeps_double_precision(given: torch.dtype) -> None:
    kept = torch.float64 if given == torch.float64 else torch.float32
    assert as_rows("preds", torch.zeros(2, 3).to(given), 3).dtype == kept


def test_as_rows_takes_a_vector_for_one_target_only() -> None:
    assert as_rows("preds", torch.zeros(3), 1).shape == (3, 1)
    with pytest.raises(ShapeError, match=r"preds: got \[3\], expected \[B, 3\]"):
        as_rows("preds", torch.zeros(3), 3)


def test_mean_of_defined() -> None:
    assert mean_of_defined(np.array([1.0, NAN, 3.0])) == 2.0
    assert np.isnan(mean_of_defined(np.array([NAN])))


@pytest.mark.parametrize(("width", "expected"), [(1, r"\[B, 1\] or \[B\]$"), (2, r"\[B, 2\]$")])
def test_the_error_names_the_shapes_that_are_taken(width: int, expected: str) -> None:
    with pytest.raises(ShapeError, match=expected):
        as_rows("preds", torch.zeros(4, 3), width)


def test_the_base_has_no_score_of_its_own() -> None:
    assert RowMetric.__abstractmethods__ == {"_score"}
    assert BinaryLabelMetric.higher_is_better is True
    assert tuple(BinaryLabelMetric.kinds) == ("binary", "multilabel")


def test_predictions_that_are_not_finite_are_counted_where_a_label_is() -> None:
    preds, target = torch.zeros(3, 2), torch.ones(3, 2)
    preds[0, 0], preds[1, 1], preds[2, 0], target[1, 1] = NAN, NAN, float("inf"), NAN
    for name in ("mae", "ap"):
        with pytest.raises(NumericalError, match=f"^metric {name}: 2 of 6 predictions are NaN or infinite$"):
            metrics.build(name, 2).update(preds, target)


def test_rows_of_predictions_and_labels_are_as_many() -> None:
    with pytest.raises(ShapeError, match=r"^target: got 4 rows, expected 5 rows, as in preds$"):
        metrics.build("mae", 1).update(torch.zeros(5), torch.zeros(4))


@pytest.mark.parametrize("label", [2.0, -1.0, 0.5, float("inf")])
def test_a_label_that_is_none_of_a_classification_is_named(label: float) -> None:
    told = rf"^target of ap: got {label}, expected labels 0, 1 or NaN \(not labelled\)$"
    with pytest.raises(ConfigError, match=told):
        metrics.build("ap", 1).update(torch.zeros(3), torch.tensor([0.0, 1.0, label]))
