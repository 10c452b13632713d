import copy

import pytest
from pydantic import ValidationError

from pyg_samsa.web.result_table import ResultRow
from pyg_samsa.web.schemas import ModelInfo, PredictRequest, RowInfo


def test_metrics_that_are_not_known_are_left_out(peptides):
    model = copy.copy(peptides)
    model.predictor = copy.copy(peptides.predictor)
    odd = {"auc": None, "rmse": float("nan"), "x": "y", "deep": {}, "huge": 10**400}
    for test, shown in (
        ({"ap": 0.5, "loss": 1.0, **odd}, {"ap": "0.5000"}),
        (None, {}),
        ({}, {}),
    ):
        model.predictor.metrics = {"test": test}
        assert ModelInfo.of(model).test == shown
    model.predictor.metrics = {}
    assert ModelInfo.of(model).test == {}


def test_unknown_names_are_refused():
    with pytest.raises(ValidationError, match="colour"):
        PredictRequest(smiles=["C"], colour="red")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(value):
    with pytest.raises(ValidationError, match="finite"):
        PredictRequest(smiles=["C"], extra_columns={"pH": [value]})


def test_infinite_ends_of_intervals_become_null():
    row = ResultRow(1, "", "C", "", ["C"], ["inf"], [float("inf")])
    assert RowInfo.of(row).numbers == [None]
