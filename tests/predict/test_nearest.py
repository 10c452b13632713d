"""Columns about the nearest training molecule, in tables of all formats and after an interruption."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.training_molecules import TrainingMolecules
from pyg_samsa.io.tables.table import AddedColumn
from pyg_samsa.predict.interface import Predictor
from pyg_samsa.predict.nearest import FAR, count_far, nearest_columns
from pyg_samsa.predict.shards import Shard, predict_shard, sum_results
from pyg_samsa.predict.stream import predict_to_file, predict_to_stream
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor, nearest_names
from pyg_samsa.task import Task

TASK = Task("regression", ["atoms"])
TRAINED = ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1"]
GIVEN = ["CCO", "c1ccccc1N", "bad", "ClC(Cl)(Cl)Cl", "", "CC(=O)Oc1ccccc1C(=O)O"]
ADDED = ["nearest_similarity", "nearest_smiles", "nearest_atoms_measured"]


class Atoms(Predictor):
    fingerprint = "a"

    def __init__(self, fail_at=None):
        self.task, self.calls, self.fail_at = TASK, 0, fail_at

    def outputs(self, inputs, *, draws=None):
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return np.repeat(inputs.table.num_nodes[:, None] + 0.1, 1, axis=1), None


def training(values=(3.0, np.nan, 10.0)):
    return TrainingMolecules(TASK, TRAINED, np.array(values).reshape(-1, 1))


def fingerprint(smiles):
    return GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint(Chem.MolFromSmiles(smiles))


def expected(smiles):
    """Similarity and place of the nearest training molecule, pair by pair."""
    similarity = [DataStructs.TanimotoSimilarity(fingerprint(smiles), fingerprint(other)) for other in TRAINED]
    place = int(np.argmax(similarity))
    return similarity[place], place


def text(given=GIVEN):
    return "".join(f"{line}\n" for line in ["smiles,note", *(f"{smiles},x" for smiles in given)])


def table(given=GIVEN, search=None, predictor=None, chunk_rows=2):
    with open_molecule_table(io.BytesIO(text(given).encode())) as (reader, _):
        options = StreamOptions(chunk_rows=chunk_rows)
        return TablePredictor(predictor or Atoms(), reader, options, search or training())


def check(rows):
    """Compare the rows of an output with the search of each pair; return how many are far."""
    far = 0
    for smiles, row in zip(GIVEN, rows, strict=True):
        if smiles in ("bad", ""):
            assert [row[name] for name in ADDED] == ["", "", ""]
            assert row["error"]
            continue
        similarity, place = expected(smiles)
        measured = ["3", "", "10"][place]
        assert [row[name] for name in ADDED] == [f"{similarity:.2f}", TRAINED[place], measured]
        far += similarity < FAR
    return far


def test_columns_stand_before_the_errors_and_far_molecules_are_counted():
    output = io.BytesIO()
    made = table()
    assert made.header() == ["smiles", "note", "atoms_pred", *ADDED, "error"]
    done = predict_to_stream(made, output)
    rows = list(csv.DictReader(io.StringIO(output.getvalue().decode())))
    assert (done.rows, done.errors, done.far) == (6, 2, check(rows))
    assert done.far == 1  # CCl4


def test_without_a_search_nothing_is_added():
    with open_molecule_table(io.BytesIO(text().encode())) as (reader, _):
        made = TablePredictor(Atoms(), reader, StreamOptions())
        assert made.header() == ["smiles", "note", "atoms_pred", "error"]
        assert predict_to_stream(made, io.BytesIO()).far is None


def test_structures_are_searched_by_their_smiles():
    records = "".join(f"{Chem.MolToMolBlock(Chem.MolFromSmiles(smiles))}$$$$\n" for smiles in ("CCO", "ClC(Cl)(Cl)Cl"))
    with open_molecule_table(io.BytesIO(records.encode()), "sdf") as (reader, _):
        made = TablePredictor(Atoms(), reader, StreamOptions(output_format="sdf"), training())
        (found,) = made.chunks()
    names = [added.name for added in made.added()]
    assert names[-4:] == [*ADDED, "error"]
    assert found.added[-4].texts[0] == "1.00"
    assert found.added[-3].texts[0] == "CCO"
    assert found.far == 1


def test_an_interrupted_prediction_counts_all_far_molecules(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(table(predictor=Atoms(fail_at=3)), tmp_path / "out.csv")
    state = json.loads((tmp_path / "out.csv.partial.json").read_text())
    assert (state["rows"], state["far"]) == (4, 1)
    with pytest.raises(ConfigError, match="this model, these columns and these options"):
        predict_to_file(table(search=training([1.0, 2.0, 3.0])), tmp_path / "out.csv")
    done = predict_to_file(table(), tmp_path / "out.csv")
    assert (done.rows, done.far) == (6, 1)
    whole = predict_to_file(table(), tmp_path / "whole.csv")
    assert whole == done
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_files_of_a_folder_remember_their_far_molecules(tmp_path):
    (tmp_path / "0.csv").write_text(text())
    shard = Shard(tmp_path / "0.csv", tmp_path / "out" / "0.csv")
    results = [predict_shard(Atoms(), shard, StreamOptions(), nearest=training()) for _ in range(2)]
    assert [(result.skipped, result.far) for result in results] == [(False, 1), (True, 1)]
    assert sum_results(results).far == 2
    alone = predict_shard(Atoms(), shard, StreamOptions())
    assert (alone.skipped, alone.far, sum_results([alone]).far) == (False, None, None)


def test_a_table_without_molecules():
    assert [column.texts for column in nearest_columns(training(), [])] == [[], [], []]
    assert [column.texts for column in nearest_columns(training(), ["", "C("])] == [["", ""]] * 3


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_each_target_has_a_column_of_numbers(format, tmp_path):
    task = Task("regression", ["atoms", "b"])
    search = TrainingMolecules(task, TRAINED, np.array([[-4.21, 0.0], [np.nan, 2.5], [1234.5, np.nan]]))
    with open_molecule_table(io.BytesIO(b"smiles\nCCO\nbad\nc1ccccc1O\nCC(=O)Oc1ccccc1\n")) as (reader, _):
        made = TablePredictor(Atoms(), reader, StreamOptions(output_format=format), search)
        assert made.header()[2:] == [*ADDED, "nearest_b_measured", "error"]
        assert [(added.is_number, added.role, added.target) for added in made.added()[-3:-1]] == [
            (True, "measured", "atoms"),
            (True, "measured", "b"),
        ]
        predict_to_file(made, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out") if format == "csv" else pd.read_parquet(tmp_path / "out")
    expected = np.array([[-4.21, 0.0], [np.nan, np.nan], [np.nan, 2.5], [1234.5, np.nan]])
    np.testing.assert_array_equal(found[["nearest_atoms_measured", "nearest_b_measured"]].to_numpy(float), expected)


def test_bounds_and_classes_are_texts():
    bound = np.array([[1, 0], [0, 0]], np.int8)
    task = Task("regression", ["IC50", "b"])
    search = TrainingMolecules(task, ["CCO", "CCCCC"], np.array([[10.0, 1.0], [2.0, np.nan]]), bound)
    assert search.measured_columns == {"IC50": False, "b": True}
    _, _, first, second = nearest_columns(search, ["CCO", "", "CCCCC"])
    assert (first.texts, first.values) == (["> 10", "", "2"], None)
    assert (second.texts, second.known.tolist()) == (["1", "", ""], [True, False, False])
    classes = TrainingMolecules(Task("multiclass", ["low", "high"]), ["C"], np.array([1.0]))
    assert [added.name for added in nearest_names(classes)][2:] == ["nearest_class_measured"]
    assert nearest_columns(classes, ["C", ""])[2].texts == ["high", ""]


def test_far_is_below_the_limit():
    values = np.array([0.0, FAR, np.nextafter(FAR, 0), np.nan, 1.0])
    assert count_far(AddedColumn([""] * 5, values, ~np.isnan(values))) == 2
    assert count_far(AddedColumn([])) == 0


def test_a_molecule_that_is_repeated_is_searched_once():
    class Counted(TrainingMolecules):
        def nearest(self, smiles, count=3, *, standardized=False):
            asked.append(smiles)
            return super().nearest(smiles, count, standardized=standardized)

    asked = []
    given = ["CCO", "", "CCN", "CCO", "C(", "CCN"]
    columns = nearest_columns(Counted(TASK, TRAINED, np.zeros((3, 1))), given)
    assert asked == ["CCO", "CCN", "C("]
    alone = [nearest_columns(training((0.0, 0.0, 0.0)), [text]) for text in given]
    for place, column in enumerate(columns):
        assert column.texts == [one[place].texts[0] for one in alone]


@pytest.mark.parametrize("steps", [("neutralize",), ("neutralize", "drop_stereo"), ()])
@pytest.mark.parametrize("blocks", [False, True])
def test_molecules_are_standardised_for_the_search_as_they_were_for_the_training(steps, blocks):
    predictor = Atoms()
    predictor.standardize = ("neutralize",)
    smiles = ["CCO", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"]
    known = TrainingMolecules(TASK, smiles, np.arange(4.0).reshape(-1, 1), standardize=steps)
    given = [" OCC", "bad", "C[C@@H]([NH3+])C(=O)[O-]", "C[C@H]([NH3+])C(=O)[O-]", "CC([NH3+])C(=O)O", "[O-]CC"]
    content = "".join(f"{text}\n" for text in ["smiles", *given])
    if blocks:
        structures = [Chem.MolFromSmiles(text) for text in given]
        written = [Chem.MolToMolBlock(mol) if mol else "bad\n" for mol in structures]
        content = "".join(f"{block}$$$$\n" for block in written)
    with open_molecule_table(io.BytesIO(content.encode()), "sdf" if blocks else "csv") as (reader, _):
        options = StreamOptions(chunk_rows=4, output_format="sdf" if blocks else "csv")
        made = TablePredictor(predictor, reader, options, known)
        found = [
            column for chunk in made.chunks() for column in zip(*(c.texts for c in chunk.added[-4:-1]), strict=True)
        ]
    expected = []
    for text in given:
        one = [] if text == "bad" else TrainingMolecules(TASK, smiles, known.target, standardize=steps).nearest(text, 1)
        cells = (f"{one[0].similarity:.2f}", one[0].smiles, one[0].measured["atoms"]) if one else ("", "", "")
        expected.append(cells)
    assert found == expected
