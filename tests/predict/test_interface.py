import io

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.chem.parsing import parse_molecules
from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import MoleculeInputs, Predictor, interface
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.predict.interface import set_texts
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor
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
    assert result.errors == [
        "",
        "RDKit cannot read this SMILES (ring 1 is not closed)",
        "",
        "the output of the model is not finite",
    ]


def test_the_table_has_a_row_per_molecule():
    table = Lengths().predict_frame(SMILES[:2], extra_columns={"shift": SHIFT[:2]})
    pd.testing.assert_series_equal(table["length"], pd.Series([2.5, np.nan], name="length"))


def test_an_extra_column_that_is_missing_or_too_short_is_named():
    with pytest.raises(ConfigError, match="a column 'shift'") as caught:
        Lengths().predict(["C"])
    assert "pass its numbers" in caught.value.hint
    with pytest.raises(ConfigError, match=r"extra_columns\['shift'\].*1 numbers"):
        Lengths().predict(["C"], extra_columns={"shift": [1, 2]})


def rows_of(chunk, added):
    """The rows of a table with the added columns."""
    cells = zip(*(column.texts for column in added), strict=True)
    return [row + list(more) for row, more in zip(chunk.fields(), cells, strict=True)]


def test_extra_columns_of_a_table():
    text = b"shift,smiles\n0.5,CC\n,CCC\nlow,C\n1,C1CC\n"
    with open_molecule_table(io.BytesIO(text)) as (reader, _):
        table = TablePredictor(Lengths(), reader, StreamOptions())
        (found,) = table.chunks()
    written = rows_of(found.chunk, found.added)
    assert [row[2] for row in written] == ["2.5", "", "", ""]
    assert (found.errors, written[1][3]) == (3, "the output of the model is not finite")


def test_a_table_without_the_extra_column():
    with (
        open_molecule_table(io.BytesIO(b"smiles\nCC\n")) as (reader, _),
        pytest.raises(ConfigError, match="column 'shift'"),
    ):
        TablePredictor(Lengths(), reader, StreamOptions())


def test_inputs_without_extra_columns():
    inputs = MoleculeInputs(parse_molecules(["C", "?"]))
    assert inputs.extra([]).shape == (1, 0)
    assert inputs.smiles == ["C"]


def test_an_empty_list():
    assert Lengths().predict([], extra_columns={"shift": []}).values.shape == (0, 1)


def calibrated(task, scores, floor=None):
    """A predictor with given probabilities or values and a spread of 1, 2, ..."""

    class Fixed(Predictor):
        def outputs(self, inputs, *, draws=None):
            values = np.array([[0.1, 0.6], [0.95, 0.5]])[: len(inputs.smiles)]
            return values, None if draws is None else np.arange(1.0, 1 + values.size).reshape(values.shape)

    made = Fixed()
    made.task, made.calibration = task, Calibration(task.kind, tuple(np.array(scores)), floor)
    return made


def test_intervals_of_a_regression():
    task = Task("regression", ["a", "b"])
    result = calibrated(task, [[0.5, 1.0, 2.0], [1.0, 2.0, 3.0]]).predict(["C", "C1CC", "CC"], interval=0.5)
    np.testing.assert_allclose(result.low, [[-0.9, -1.4], [np.nan, np.nan], [-0.05, -1.5]])
    np.testing.assert_allclose(result.high, [[1.1, 2.6], [np.nan, np.nan], [1.95, 2.5]])
    assert result.spread is None
    assert result.sets is None
    frame = calibrated(task, [[1.0], [2.0]]).predict_frame(["C"], interval=0.5)
    assert list(frame) == ["smiles", "a", "a_low", "a_high", "b", "b_low", "b_high", "error"]


def test_intervals_follow_the_spread_without_showing_it_unasked():
    predictor = calibrated(Task("regression", ["a", "b"]), [[1.0], [1.0]], np.array([0.5, 1.0]))
    result = predictor.predict(["C", "CC"], interval=0.5)
    np.testing.assert_allclose(result.high - result.low, [[3.0, 6.0], [7.0, 10.0]])
    assert result.spread is None
    assert predictor.predict(["C"], interval=0.5, uncertainty=True).spread is not None
    assert predictor.predict(["C"]).low is None


def test_sets_of_labels_and_classes():
    labels = calibrated(Task("multilabel", ["a", "b"]), [[0.2], [0.2], [0.55], [0.45]])
    result = labels.predict(["C", "bad", "CC"], interval=0.5)
    assert set_texts(labels.task, result) == {"a_set": ["0", "", "1"], "b_set": ["1", "", "0"]}
    assert labels.predict_frame(["C"], interval=0.5).iloc[0]["b_set"] == "1"
    classes = calibrated(Task("multiclass", ["red", "green"]), [[0.45]])
    result = classes.predict(["C", "CC"], interval=0.5)
    assert set_texts(classes.task, result) == {"set": ["green", "red"]}
    result = result._replace(sets=np.array([[False, False], [True, True]]))
    assert set_texts(classes.task, result) == {"set": ["-", "red|green"]}


@pytest.mark.parametrize(
    ("kind", "names", "scores", "added", "first"),
    [
        (
            "regression",
            ["a", "b"],
            [[0.5], [1.0]],
            ["a_pred", "b_pred", "a_low", "a_high", "b_low", "b_high", "error"],
            ["0.1", "0.6", "-0.4", "0.6", "-0.4", "1.6", ""],
        ),
        (
            "multilabel",
            ["a", "b"],
            [[0.2], [0.2], [0.65], [0.45]],
            ["a_pred", "b_pred", "a_set", "b_set", "error"],
            ["0.1", "0.6", "0", "0|1", ""],
        ),
        (
            "multiclass",
            ["red", "green"],
            [[0.45]],
            ["pred", "red_pred", "green_pred", "set", "error"],
            ["green", "0.1", "0.6", "green", ""],
        ),
    ],
)
def test_columns_of_a_table(kind, names, scores, added, first):
    predictor = calibrated(Task(kind, names), scores)
    with open_molecule_table(io.BytesIO(b"smiles\nC\nC1CC\n")) as (reader, _):
        table = TablePredictor(predictor, reader, StreamOptions(interval=0.5))
        assert table.header() == ["smiles", *added]
        (found,) = table.chunks()
        assert TablePredictor(predictor, reader, StreamOptions()).signature() != table.signature()
    written = rows_of(found.chunk, found.added)
    assert written[0] == ["C", *first]
    assert written[1] == ["C1CC", *[""] * (len(added) - 1), "RDKit cannot read this SMILES (ring 1 is not closed)"]


def test_a_predictor_that_was_not_calibrated_has_no_intervals():
    with pytest.raises(ConfigError, match="this model was not calibrated"):
        Lengths().predict(["C"], extra_columns={"shift": [0]}, interval=0.9)
    with pytest.raises(ConfigError, match=r"interval: got 1\.5"):
        Lengths().predict(["C"], extra_columns={"shift": [0]}, interval=1.5)
    with pytest.raises(ConfigError, match=r"interval: got 0\.9, expected a number of at most 0\.5"):
        calibrated(Task("regression", ["a", "b"]), [[1.0], [2.0]]).predict(["C"], interval=0.9)


def test_descriptors_that_came_with_the_molecules_are_not_computed_again():
    given = np.array([[1.0, 2.0]], np.float32)
    parsed = parse_molecules(["C", "?"])._replace(descriptors={"maccs": given})
    assert MoleculeInputs(parsed).descriptors(["maccs"]).tolist() == given.tolist()


def test_objects_of_rdkit_are_molecules():
    mols = [Chem.AddHs(Chem.MolFromSmiles("CCO")), None]
    result = Lengths().predict(mols, extra_columns={"shift": [0, 0]})
    assert result.values[0].tolist() == Lengths().predict(["CCO"], extra_columns={"shift": [0]}).values[0].tolist()
    assert result.errors == ["", "no molecule (None)"]
    assert Lengths().predict_frame(mols, extra_columns={"shift": [0, 0]})["smiles"][0] == "CCO"


def test_large_molecules_get_an_error():
    given = {"smiles": ["CCO", "C"], "extra_columns": {"shift": [0, 0]}}
    assert Lengths().predict(**given, max_atoms=2).errors == ["3 atoms, more than 2", ""]
    assert Lengths().predict(**given, max_atoms=None).errors == ["", ""]


def test_what_a_predictor_must_have():
    assert Predictor.__abstractmethods__ == {"outputs"}
    assert (interface.UNCERTAINTY_DRAWS, interface.MAX_ATOMS) == (8, 100_000)
