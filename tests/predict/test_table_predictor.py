"""Predictions for tables of all formats; `test_stream.py` tests CSV files in detail."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.tables.sdf_format import properties
from pyg_samsa.predict.conformal import calibrate
from pyg_samsa.predict.interface import Predictor
from pyg_samsa.predict.stream import predict_to_file
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor
from pyg_samsa.task import Task

SMILES = [["CCO", "c1ccccc1O", "bad", "C", ""][n % 5] for n in range(23)]
EXPECTED = {"CCO": 3.1, "c1ccccc1O": 7.1, "C": 1.1}


class Stopped(Exception):
    pass


class Atoms(Predictor):
    """Predicts the number of atoms and 0.1, and the extra column if there is one."""

    fingerprint = "a"

    def __init__(self, extra=(), fail_at=None, kind="regression"):
        self.task = Task(kind, ["atoms"] if kind == "regression" else ["red", "=blue"])
        self.extra_columns, self.fail_at, self.calls = extra, fail_at, 0

    def outputs(self, inputs, *, draws=None):
        self.calls += 1
        if self.calls == self.fail_at:
            raise Stopped
        values = np.repeat(inputs.table.num_nodes[:, None] + 0.1, self.task.num_targets, axis=1)
        if self.extra_columns:
            values = np.nan_to_num(inputs.extra(self.extra_columns).astype(np.float64), nan=-1.0)
        return values, None if draws is None else np.full_like(values, draws)


def record(smiles):
    molecule = None if smiles in ("", "bad") else Chem.MolFromSmiles(smiles)
    return (Chem.MolToMolBlock(molecule) if molecule is not None else "broken\n") + f"> <id>\n{smiles}\n\n$$$$\n"


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    text = "id,smiles\n" + "".join(f"{n},{smiles}\n" for n, smiles in enumerate(SMILES))
    (folder / "in.csv").write_text(text)
    (folder / "in.csv.gz").write_bytes(gzip.compress(text.encode()))
    columns = {"id": pa.array(range(23), pa.int16()), "smiles": [smiles or None for smiles in SMILES]}
    pq.write_table(pa.table(columns), folder / "in.parquet", row_group_size=4)
    blocks = "".join(map(record, SMILES))
    (folder / "in.sdf").write_text(blocks)
    (folder / "in.sdf.gz").write_bytes(gzip.compress(blocks.encode()))
    return folder


def predict(tables, source, target, predictor=None, name=None, **options):
    options = {"chunk_rows": 5, "output_format": target, **options}
    path = tables.parent / (name or f"out.{target}")
    with open_molecule_table(tables / f"in.{source}", source) as (reader, _):
        return path, predict_to_file(TablePredictor(predictor or Atoms(), reader, StreamOptions(**options)), path)


def values_of(path, format):
    """The predictions of an output, None where there is none."""
    if format == "parquet":
        return pq.read_table(path)["atoms_pred"].to_pylist()
    content = gzip.decompress(path.read_bytes()) if format.endswith(".gz") else path.read_bytes()
    if format.startswith("sdf"):
        cells = [properties(part)["atoms_pred"] for part in content.split(b"$$$$\n")[:-1]]
    else:
        cells = [line.split(",")[2] for line in content.decode().splitlines()[1:]]
    return [float(cell) if cell else None for cell in cells]


PAIRS = [(a, b) for a in ("csv", "csv.gz", "parquet") for b in ("csv", "csv.gz", "parquet")]
PAIRS += [(a, b) for a in ("sdf", "sdf.gz") for b in ("sdf", "sdf.gz")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_row_has_its_prediction(tables, source, target):
    path, done = predict(tables, source, target)
    assert values_of(path, target) == [EXPECTED.get(smiles) for smiles in SMILES]
    assert (done.rows, done.errors) == (23, 9)
    assert [file.name for file in tables.parent.iterdir() if file.is_file()] == [path.name]


@pytest.mark.parametrize(("source", "target"), [pair for pair in PAIRS if pair[0] == pair[1]])
def test_an_interrupted_file_is_continued_to_the_same_bytes(tables, source, target):
    whole, _ = predict(tables, source, target, name=f"whole.{target}")
    with pytest.raises(Stopped):
        predict(tables, source, target, Atoms(fail_at=4))
    partial = tables.parent / f"out.{target}.partial"
    partial.write_bytes(partial.read_bytes() + b"half")
    predictor = Atoms()
    path, done = predict(tables, source, target, predictor)
    assert predictor.calls == 2
    assert (done.rows, done.errors) == (23, 9)
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("format", ["parquet", "sdf"])
def test_it_is_not_continued_with_other_rows(tables, format):
    with pytest.raises(Stopped):
        predict(tables, format, format, Atoms(fail_at=4))
    if format == "sdf":
        path = tables / "in.sdf"
        path.write_text(path.read_text().replace("<id>\nCCO", "<id>\nCCN", 1))
    else:
        table = pq.read_table(tables / "in.parquet")
        pq.write_table(table.set_column(0, "id", pa.array(range(1, 24), pa.int16())), tables / "in.parquet")
    with pytest.raises(ConfigError, match="the first rows of the table"):
        predict(tables, format, format)


def test_it_is_not_continued_in_another_format(tables):
    with pytest.raises(Stopped):
        predict(tables, "csv", "csv", Atoms(fail_at=4), name="out")
    with pytest.raises(ConfigError, match="these options"):
        predict(tables, "csv", "csv.gz", name="out")


def test_rows_that_are_lost_on_the_way_are_told(tables, monkeypatch):
    monkeypatch.setattr("pyg_samsa.io.tables.parquet_format.ParquetReader.take", lambda self, count: None)
    with pytest.raises(DataIntegrityError, match="got 0 rows, expected 23 rows"):
        predict(tables, "parquet", "csv")
    assert not (tables.parent / "out.csv").exists()


def test_numbers_are_float64_with_all_digits_and_null_where_unknown(tables):
    path, _ = predict(tables, "parquet", "parquet", uncertainty=True, draws=3)
    table = pq.read_table(path)
    assert table.schema.field("id").type == pa.int16()
    assert table.schema.field("atoms_pred").type == table.schema.field("atoms_spread").type == pa.float64()
    assert table["atoms_pred"][0].as_py() == 3.1
    assert table["atoms_spread"].to_pylist()[:3] == [3.0, 3.0, None]
    assert table["error"].to_pylist()[:4] == ["", "", "RDKit cannot read this SMILES", ""]


NUMBER, TEXT = "double", "string"


@pytest.mark.parametrize(("kind", "types"), [("regression", [NUMBER] * 3), ("multilabel", [NUMBER] * 2 + [TEXT] * 2)])
def test_intervals_and_sets_have_their_types(tables, kind, types):
    predictor = Atoms(kind=kind)
    scores = np.full((50, predictor.task.num_targets), 0.5)
    targets = np.arange(50.0)[:, None].repeat(predictor.task.num_targets, 1)
    if kind != "regression":
        targets %= 2
        predictor.outputs = lambda inputs, *, draws=None: (np.full((len(inputs.smiles), 2), 0.5), None)
    predictor.calibration = calibrate(predictor.task, scores, targets)
    path, _ = predict(tables, "parquet", "parquet", predictor, interval=0.5)
    added = list(pq.read_table(path).schema)[2:-1]
    assert [str(field.type) for field in added] == types
    cells = pq.read_table(path).column(added[-1].name).to_pylist()
    assert [bool(cell) for cell in cells] == [smiles in EXPECTED for smiles in SMILES]


def test_a_broken_record_is_an_error_of_its_row(tables):
    path, _ = predict(tables, "sdf", "sdf")
    errors = [properties(part)["error"] for part in path.read_bytes().split(b"$$$$\n")[:-1]]
    assert errors[:4] == ["", "", "RDKit cannot read this record", ""]
    assert path.read_text().startswith(record("CCO").removesuffix("$$$$\n"))


def test_only_csv_is_escaped(tables):
    names = {}
    for format in ("csv", "parquet"):
        with open_molecule_table(tables / f"in.{format}", format) as (reader, _):
            names[format] = TablePredictor(
                Atoms(kind="multiclass"), reader, StreamOptions(output_format=format)
            ).header()
    assert names["csv"][2:] == ["pred", "red_pred", "'=blue_pred", "error"]
    assert names["parquet"][2:] == ["pred", "red_pred", "=blue_pred", "error"]
    with pytest.raises(ConfigError, match="--escape-formulas: got 'parquet'"):
        StreamOptions(escape_formulas=True, output_format="parquet")
    with pytest.raises(ConfigError, match="--output-format"):
        StreamOptions(output_format="xlsx")


def test_typed_numbers_of_extra_columns_have_no_decimal_sign(tmp_path):
    """A model of a table with decimal commas reads the numbers of Parquet, in which nothing can be mistaken."""
    column = ExtraColumn("T", "comma", ("-1.5",))
    values = [0.37, 1.137, None, -1.5, 7]
    pq.write_table(pa.table({"smiles": ["C"] * 5, "T": values}), tmp_path / "in.parquet")
    path, _ = predict(tmp_path, "parquet", "parquet", Atoms(extra=(column,)), name="out.parquet")
    found = pq.read_table(path)
    np.testing.assert_allclose(found["atoms_pred"], [0.37, 1.137, -1, -1, 7], rtol=1e-6)
    assert set(found["error"].to_pylist()) == {""}


def test_texts_of_extra_columns_are_read_as_those_of_csv(tmp_path):
    pq.write_table(pa.table({"smiles": ["C"] * 3, "T": ["0,5", "warm", None]}), tmp_path / "in.parquet")
    path, _ = predict(tmp_path, "parquet", "parquet", Atoms(extra=(ExtraColumn("T", "comma"),)), name="out.parquet")
    found = pq.read_table(path)
    assert found["atoms_pred"].to_pylist() == [0.5, -1, -1]
    assert found["error"].to_pylist() == ["", "no number in T, taken as missing", ""]


def test_properties_are_extra_columns(tmp_path):
    content = record("CC").replace("<id>\nCC", "<T>\n2.5") + record("C")
    (tmp_path / "in.sdf").write_text(content)
    path, _ = predict(tmp_path, "sdf", "sdf", Atoms(extra=("T",)), name="out.sdf")
    assert [properties(part)["atoms_pred"] for part in path.read_bytes().split(b"$$$$\n")[:-1]] == ["2.5", "-1"]


def test_a_name_that_records_have_is_not_used_again(tmp_path):
    (tmp_path / "in.sdf").write_text(record("C").replace("<id>", "<atoms_pred>"))
    path, _ = predict(tmp_path, "sdf", "sdf", name="out.sdf")
    assert properties(path.read_bytes()) == {"atoms_pred": "C", "atoms_pred_2": "1.1", "error": ""}


def test_large_molecules_get_an_error_in_every_format(tables):
    for format in ("parquet", "sdf"):
        path, done = predict(tables, format, format, max_atoms=2)
        assert values_of(path, format) == [1.1 if smiles == "C" else None for smiles in SMILES]
        assert done.errors == 19


def test_defaults(defaults):
    expected = {
        "uncertainty": False,
        "draws": 8,
        "workers": 1,
        "max_atoms": 100000,
        "chunk_rows": 1024,
        "decimal": "auto",
        "escape_formulas": False,
        "output_format": "csv",
    }
    assert expected.items() <= defaults(StreamOptions).items()
