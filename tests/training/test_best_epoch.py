import math

import pytest

from pyg_samsa.training.best_epoch import BestEpoch, best_epoch, describe_fallback

NAN = math.nan


def rows(*values, key="val_ap", losses=None):
    found = [{"epoch": number} | ({} if value is None else {key: value}) for number, value in enumerate(values, 1)]
    for row, loss in zip(found, losses or [], strict=bool(losses)):
        row |= {} if loss is None else {"val_loss": loss}
    return found


@pytest.mark.parametrize(
    ("values", "higher", "place"),
    [
        ([0.1, 0.3, 0.2], True, 1),
        ([0.1, 0.3, 0.2], False, 0),
        ([0.3, 0.3], True, 0),
        ([NAN, 0.3, NAN, 0.4], True, 3),
        ([NAN, 0.3, NAN, 0.4], False, 1),
        ([None, 0.3, None], True, 1),
        ([-math.inf, -5.0], True, 1),
    ],
)
def test_the_first_best_value_that_is_not_nan(values, higher, place):
    assert best_epoch(rows(*values), "val_ap", higher_is_better=higher) == BestEpoch(place, "val_ap")


def test_the_loss_chooses_if_the_metric_is_never_defined():
    history = rows(NAN, NAN, NAN, losses=[0.5, 0.3, 0.4])
    assert best_epoch(history, "val_auc", higher_is_better=True) == BestEpoch(1, "val_loss")
    assert best_epoch(rows(NAN, NAN), "val_ap", higher_is_better=True) == BestEpoch(1, None)
    assert best_epoch(history, None, higher_is_better=True) == BestEpoch(2, None)


def test_the_reason_is_told():
    assert describe_fallback("val_ap", "val_ap") == describe_fallback(None, None) == ""
    assert "chosen by val_loss" in describe_fallback("val_ap", "val_loss")
    assert "the last epoch was taken" in describe_fallback("val_ap", None)
