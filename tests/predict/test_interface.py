import io

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.chem.parsing import parse_molecules
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.predict import MoleculeInputs, Predictor
from pyg_samsa.predict.stream import StreamOptions, TablePredictor
from pyg_samsa.task import Task


class Lengths(Predictor):
    """Predicts the number of characters of a SMILES plus a column."""

    task = Task("regression", ["length"])
    extra_columns = ("shift",)

    def outputs(self, inputs, *, draws=None):
        values = np.array([[len(smiles)] for smiles in inputs.smiles], dtype=float)
        values = values.reshape(-1, 1) + inputs.extra(self.extra_columns)
        values[values > 50] = np.inf
        return values, None if draws is None else np.ones_like(values)


SMILES = ["CC", "C1CC", " CCO ", "C" * 60]
SHIFT = [0.5, 9.0, 1.0, 0.0]


def test_rows_keep_their_places():
    result = Lengths().predict(SMILES, extra_columns={"shift": SHIFT}, uncertainty=True)
    np.testing.assert_array_equal(result.values[:3, 0], [2.5, np.nan, 4.0])
    np.testing.assert_array_equal(result.spread[:3, 0], [1, np.nan, 1])
    assert result.errors == ["", "RDKit cannot read this SMILES", "", "the output of the model is not finite"]


def test_the_table_has_a_row_per_molecule():
    table = Lengths().predict_frame(SMILES[:2], extra_columns={"shift": SHIFT[:2]})
    pd.testing.assert_series_equal(table["length"], pd.Series([2.5, np.nan], name="length"))


def test_an_extra_column_that_is_missing_or_too_short_is_named():
    with pytest.raises(ConfigError, match="a column 'shift'") as caught:
        Lengths().predict(["C"])
    assert "pass its numbers" in caught.value.hint
    with pytest.raises(ConfigError, match=r"extra_columns\['shift'\].*1 numbers"):
        Lengths().predict(["C"], extra_columns={"shift": [1, 2]})


def test_extra_columns_of_a_table():
    text = b"shift,smiles\n0.5,CC\n,CCC\nlow,C\n1,C1CC\n"
    with open_rows(io.BytesIO(text)) as rows:
        table = TablePredictor(Lengths(), rows, StreamOptions())
        ((_, written, errors),) = table.chunks(rows)
    assert [row[2] for row in written] == ["2.5", "", "", ""]
    assert (errors, written[1][3]) == (3, "the output of the model is not finite")


def test_a_table_without_the_extra_column():
    with open_rows(io.BytesIO(b"smiles\nCC\n")) as rows, pytest.raises(ConfigError, match="column 'shift'"):
        TablePredictor(Lengths(), rows, StreamOptions())


def test_inputs_without_extra_columns():
    inputs = MoleculeInputs(parse_molecules(["C", "?"]))
    assert inputs.extra([]).shape == (1, 0)
    assert inputs.smiles == ["C"]


def test_an_empty_list():
    assert Lengths().predict([], extra_columns={"shift": []}).values.shape == (0, 1)
