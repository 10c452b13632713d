import pytest
from pydantic import ValidationError

from pyg_samsa.web.result_table import ResultRow
from pyg_samsa.web.schemas import PredictRequest, RowInfo


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
