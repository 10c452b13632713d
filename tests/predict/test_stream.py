"""Predictions for tables: columns, chunks, and exact continuation after an interruption."""

import csv
import io
import json
import os

import numpy as np
import pytest

from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.errors import ConfigError, DataError, DataIntegrityError
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.files import lock
from pyg_samsa.predict import stream
from pyg_samsa.predict.interface import Predictions
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.predict.stream import predict_to_file, predict_to_stream
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor
from pyg_samsa.task import Task

SMILES = ["CCO", "c1ccccc1O", "CC(=O)O", "bad", "C"]
LINES = [f"{n},{SMILES[n % 5]}" for n in range(12)]


def csv_text(lines=LINES, header="id,smiles"):
    return "".join(f"{line}\n" for line in ([header] if header else []) + list(lines))


class Lengths:
    """Predicts the number of atoms, as a real predictor would return it."""

    fingerprint, descriptors, extra_columns, standardize = "a", (), (), ()
    target_std, column_suffix = None, "_pred"

    def __init__(self, task=None, fail_at=None):
        self.task = task or Task("regression", ["atoms"])
        self.target_names, self.calls, self.fail_at = list(self.task.names), 0, fail_at

    def predict_parsed(self, parsed, *, extra_columns, uncertainty, draws, interval):
        self.calls += 1
        if self.calls == self.fail_at:
            raise Stopped
        count = len(parsed.kept) + len(parsed.refused)
        values = np.full((count, self.task.num_targets), np.nan)
        values[parsed.kept] = np.arange(self.task.num_targets) + parsed.table.num_nodes[:, None]
        errors = [""] * count
        for place, reason, _ in parsed.refused:
            errors[place] = reason
        return Predictions(values, np.full_like(values, draws) if uncertainty else None, errors)


class Stopped(Exception):
    pass


def table(text, predictor=None, header=True, **options):
    with open_molecule_table(io.BytesIO(text.encode()), header=header) as (reader, _):
        return TablePredictor(predictor or Lengths(), reader, StreamOptions(**{"chunk_rows": 5, **options}))


def streamed(made):
    output = io.BytesIO()
    progress = predict_to_stream(made, output)
    return list(csv.reader(io.StringIO(output.getvalue().decode(), newline=""))), progress


def test_rows_keep_their_order_and_fields():
    (header, *rows), progress = streamed(table(csv_text()))
    assert header == ["id", "smiles", "atoms_pred", "error"]
    assert [row[:2] for row in rows] == [line.split(",") for line in LINES]
    atoms = {"CCO": "3", "c1ccccc1O": "7", "CC(=O)O": "4", "bad": "", "C": "1"}
    assert [row[2] for row in rows] == [atoms[row[1]] for row in rows]
    assert {row[3] for row in rows if row[1] == "bad"} == {"RDKit cannot read this SMILES"}
    assert (progress.rows, progress.errors) == (12, 2)


@pytest.mark.parametrize("chunk_rows", [1, 3, 12, 100])
def test_chunks_change_nothing(chunk_rows):
    assert streamed(table(csv_text(), chunk_rows=chunk_rows)) == streamed(table(csv_text()))


def test_a_real_predictor(molecule_network):
    predictor = MoleculePredictor(molecule_network(channels=8, num_layers=1), Task("regression", ["logS"]))
    rows, _ = streamed(table(csv_text(), predictor))
    expected = predictor.predict([line.split(",")[1] for line in LINES]).values[:, 0]
    found = [float(row[2]) if row[2] else np.nan for row in rows[1:]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_classes_and_spreads():
    predictor = Lengths(Task("multiclass", ["red", "blue"]))
    (header, row), _ = streamed(table(csv_text(["0,CC"]), predictor, uncertainty=True, draws=3))
    assert header[2:] == ["pred", "red_pred", "blue_pred", "red_spread", "blue_spread", "error"]
    assert row[2:] == ["blue", "2", "3", "3", "3", ""]


def test_added_names_are_unique():
    made = table("smiles,error,atoms_pred,atoms_pred_2\nC,,,\n")
    assert made.header()[4:] == ["atoms_pred_3", "error_2"]


def test_short_long_and_blank_rows():
    rows, progress = streamed(table("id,smiles,note\n0,C\n\n1,C,a,b\n2,bad,c,d\n"))
    assert rows[1] == ["0", "C", "", "1", ""]
    assert rows[2] == ["", "", "", "", "blank line"]
    assert rows[3] == ["1", "C", "a,b", "1", "4 fields, the header has 3"]
    assert rows[4][4] == "RDKit cannot read this SMILES; 4 fields, the header has 3"
    assert progress.rows == 4


def test_molecules_that_are_too_large_get_an_error():
    rows, _ = streamed(table(csv_text(["0,CCO", "1,CC"]), max_atoms=2))
    assert rows[1][2] == ""
    assert "2" in rows[1][3]
    assert rows[2][2:] == ["2", ""]


def test_without_a_header_columns_are_numbered():
    rows, _ = streamed(table("C,x\nCC,y\n", header=False))
    assert rows == [["C", "x", "1", ""], ["CC", "y", "2", ""]]
    rows, _ = streamed(table("x,CCO\n", header=False, smiles_column="2"))
    assert rows == [["x", "CCO", "3", ""]]


@pytest.mark.parametrize("column", ["smiles", "0", "-1", "²"])
def test_without_a_header_a_column_is_a_number(column):
    with pytest.raises(ConfigError, match="--smiles-column"):
        table("C,x\n", header=False, smiles_column=column)


@pytest.mark.parametrize(
    "change",
    [
        {"uncertainty": True},
        {"draws": 3},
        {"max_atoms": 7},
        {"chunk_rows": 6},
        {"smiles_column": "1"},
        {"escape_formulas": True},
    ],
)
def test_the_signature_depends_on_every_option(change):
    assert table(csv_text()).signature() == table(csv_text()).signature()
    assert table(csv_text(), **change).signature() != table(csv_text()).signature()


def test_the_signature_depends_on_the_delimiter_which_the_output_has_too():
    commas, semicolons = (table(csv_text().replace(",", sign)) for sign in ",;")
    assert commas.header() == semicolons.header()
    assert commas.signature() != semicolons.signature()


def test_the_signature_does_not_depend_on_the_processes():
    assert table(csv_text(), workers=2).signature() == table(csv_text()).signature()


def test_the_signature_depends_on_the_model():
    other = Lengths()
    other.fingerprint = "b"
    assert table(csv_text(), other).signature() != table(csv_text()).signature()


def test_a_file_appears_when_it_is_complete(tmp_path):
    path, seen = tmp_path / "new" / "out.csv", []
    progress = predict_to_file(table(csv_text()), path, advance=lambda rows: seen.append((rows, path.exists())))
    assert seen == [(0, False), (5, False), (5, False), (2, False)]
    assert (progress.rows, progress.errors) == (12, 2)
    assert [file.name for file in path.parent.iterdir()] == ["out.csv"]
    expected, _ = streamed(table(csv_text()))
    assert list(csv.reader(path.open(newline=""))) == expected


@pytest.fixture
def interrupted(tmp_path):
    """A prediction that stopped in its third chunk and left half a line behind."""
    path = tmp_path / "out.csv"
    with pytest.raises(Stopped):
        predict_to_file(table(csv_text(), Lengths(fail_at=3)), path)
    with (tmp_path / "out.csv.partial").open("a") as file:
        file.write("10,half a li")
    return path


def test_an_interrupted_prediction_goes_on(interrupted, tmp_path):
    assert not interrupted.exists()
    predictor, seen = Lengths(), []
    progress = predict_to_file(table(csv_text(), predictor), interrupted, advance=seen.append)
    assert predictor.calls == 1
    assert seen == [10, 2]
    assert (progress.rows, progress.errors) == (12, 2)
    whole = tmp_path / "whole.csv"
    predict_to_file(table(csv_text()), whole)
    assert interrupted.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.csv", "whole.csv"]


def test_rows_may_be_added_at_the_end(interrupted, tmp_path):
    longer = csv_text([*LINES, "12,CC"])
    predict_to_file(table(longer), interrupted)
    predict_to_file(table(longer), tmp_path / "whole.csv")
    assert interrupted.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (csv_text(["0,CC", *LINES[1:]]), {}, "the first rows of the table"),
        (csv_text(LINES[:7]), {}, "as many rows"),
        (csv_text(), {"uncertainty": True}, "these options"),
        (csv_text(header="number,smiles"), {}, "these columns"),
    ],
)
def test_it_never_goes_on_with_something_else(interrupted, tmp_path, text, options, told):
    before = (tmp_path / "out.csv.partial").read_bytes()
    with pytest.raises(ConfigError, match=told) as caught:
        predict_to_file(table(text, **options), interrupted)
    assert "out.csv.partial.json" in caught.value.hint
    assert (tmp_path / "out.csv.partial").read_bytes() == before


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"rows": "ten"}', '{"rows": 5, "errors": 0, "bytes": 1000000, "digest": ""}']
)
def test_a_damaged_state_is_named(interrupted, tmp_path, damage):
    (tmp_path / "out.csv.partial.json").write_text(damage)
    with pytest.raises(DataIntegrityError, match=r"out\.csv\.partial\.json"):
        predict_to_file(table(csv_text()), interrupted)


def test_a_state_of_more_than_64_kib_is_damaged(interrupted, tmp_path):
    state = tmp_path / "out.csv.partial.json"
    state.write_text(state.read_text() + " " * 2**16)
    with pytest.raises(DataIntegrityError, match=r"out\.csv\.partial\.json"):
        predict_to_file(table(csv_text()), interrupted)


def test_without_its_state_it_starts_again(interrupted, tmp_path):
    (tmp_path / "out.csv.partial.json").unlink()
    predictor = Lengths()
    predict_to_file(table(csv_text(), predictor), interrupted)
    assert predictor.calls == 3


def test_the_state_holds_what_is_complete(interrupted, tmp_path):
    state = json.loads((tmp_path / "out.csv.partial.json").read_text())
    assert (state["rows"], state["errors"]) == (10, 2)
    assert (tmp_path / "out.csv.partial").read_bytes()[: state["bytes"]].count(b"\n") == 11


def test_words_in_extra_columns_are_told_and_taken_as_missing():
    class Echo(Lengths):
        extra_columns = ("pH", "T")

        def predict_parsed(self, parsed, *, extra_columns, **options):
            result = super().predict_parsed(parsed, extra_columns=extra_columns, **options)
            result.values[:, 0] = np.nan_to_num(np.sum(list(extra_columns.values()), axis=0), nan=-1.0)
            return result

    rows, progress = streamed(table("smiles;T;pH\nC;25,5;7\nCC;warm;7\nCC;;7\n", Echo()))
    rows = [",".join(row).split(";") for row in rows]
    assert [row[-2:] for row in rows[1:]] == [["32.5", ""], ["-1", "no number in T, taken as missing"], ["-1", ""]]
    assert (progress.rows, progress.errors) == (3, 0)


def test_predictions_have_the_digits_that_the_targets_need():
    class Energies(Lengths):
        target_std = np.array([0.01])

        def predict_parsed(self, parsed, **options):
            result = super().predict_parsed(parsed, **options)
            return result._replace(values=result.values / 1000 - 1e6)

    rows, _ = streamed(table("smiles\nC\nCC\nCCC\n", Energies()))
    assert [row.split(",")[1] for row in map(",".join, rows[1:])] == ["-999999.999", "-999999.998", "-999999.997"]


def test_numbers_of_extra_columns_follow_the_decimal_sign():
    class Echo(Lengths):
        extra_columns = ("T",)

        def predict_parsed(self, parsed, *, extra_columns, **options):
            result = super().predict_parsed(parsed, extra_columns=extra_columns, **options)
            result.values[:, 0] = np.nan_to_num(extra_columns["T"], nan=-1.0)
            return result

    text = 'smiles,T\nC,"1,137"\nC,"0,5"\n'
    for options, values in (
        ({}, ["-1", "0.5"]),
        ({"decimal": "comma"}, ["1.137", "0.5"]),
        ({"decimal": "point"}, ["1137", "-1"]),
    ):
        rows, _ = streamed(table(text, Echo(), **options))
        assert [row[2] for row in rows[1:]] == values
    with pytest.raises(ConfigError, match="--decimal"):
        StreamOptions(decimal="dot")


def test_extra_columns_are_read_as_in_training():
    class Echo(Lengths):
        extra_columns = (ExtraColumn("T", "comma", ("cold",)),)

        def predict_parsed(self, parsed, *, extra_columns, **options):
            result = super().predict_parsed(parsed, extra_columns=extra_columns, **options)
            result.values[:, 0] = np.nan_to_num(extra_columns["T"], nan=-1.0)
            return result

    text = "smiles\tT\nC\t1.137\nC\t1,137\nC\tcold\nC\tNA\nC\t0.37\nC\t0,5\n"
    rows, _ = streamed(table(text, Echo(), chunk_rows=9))
    rows = [",".join(row).split("\t") for row in rows[1:]]
    assert [row[2] for row in rows] == ["-1", "1.137", "-1", "-1", "-1", "0.5"]
    told = "no number in T ('0.37' has another decimal sign than the training: --decimal), taken as missing"
    unclear = "no number in T ('1.137' may be 1137 or 1.137: --decimal), taken as missing"
    assert [row[3] for row in rows] == [unclear, "", "", "", told, ""]
    rows, _ = streamed(table(text, Echo(), chunk_rows=9, decimal="point"))
    assert [row.split("\t")[2] for row in map(",".join, rows[1:])] == ["1.137", "1137", "-1", "-1", "0.37", "-1"]


def test_a_table_with_another_decimal_sign_than_the_training_is_refused(caplog):
    class Echo(Lengths):
        extra_columns = (ExtraColumn("T", "comma", grouped=True),)

    with pytest.raises(DataError, match=r"row 2, column 'T': '25.5' has a decimal point"):
        streamed(table("smiles\tT\nC\t25.000\nC\t25.5\n", Echo()))
    streamed(table("smiles\tT\nC\t25.000\n", Echo()))
    assert "column 'T': '25.000' in row 1 is read as 25000, as in training" in caplog.text
    caplog.clear()
    streamed(table("smiles\tT\nC\t25.000\n", Echo(), decimal="point"))
    assert caplog.text == ""


def test_intervals_have_as_many_digits_as_predictions():
    class Wide(Lengths):
        target_std = np.array([1.0])

        def predict_parsed(self, parsed, *, interval, **options):
            result = super().predict_parsed(parsed, interval=None, **options)
            values = result.values + 0.123456789
            return result._replace(values=values, low=values - 1e36 / 3, high=values + 1e36 / 3)

    rows, _ = streamed(table("smiles\nCCO\n", Wide(), interval=0.8))
    assert rows[1] == ["CCO", "3.12346", "-3.33333e+35", "3.33333e+35", ""]


def test_comments_are_told():
    rows, progress = streamed(table("id,smiles\n1,C\n# end\n"))
    assert rows[2] == ["# end", "", "", "comment"]
    assert (progress.rows, progress.errors) == (2, 1)


def test_a_link_in_the_place_of_the_partial_output_is_not_followed(tmp_path):
    other, link = tmp_path / "other.csv", tmp_path / "out.csv.partial"
    other.write_text("mine")
    link.symlink_to(other)
    with pytest.raises(ConfigError, match=r"unfinished part, out\.csv\.partial, is no link"):
        predict_to_file(table(csv_text()), tmp_path / "out.csv")
    assert other.read_text() == "mine"
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no link"):
        predict_to_file(table(csv_text()), tmp_path / "out.csv")


def test_what_a_killed_prediction_left_is_removed_unless_the_output_is_in_use(tmp_path):
    stray = tmp_path / ".out.csv.partial.0123456789ab.part.json"
    foreign = tmp_path / ".out.csv.partial.of-mine.part.json"
    for path in (stray, foreign):
        path.write_text("{}")
    with lock(tmp_path / "out.csv"), pytest.raises(ConfigError, match="no other process"):
        predict_to_file(table(csv_text()), tmp_path / "out.csv")
    assert stray.exists()
    predict_to_file(table(csv_text()), tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == [foreign.name, "out.csv"]


FORMULAS = 'smiles,=A1\nCCO,=1+1\nC,-0.5\nCC,"@a\tb"\n=C,+1 2\n'


def test_added_cells_are_no_formulas_and_others_stay():
    """Names of targets and classes come from a model, which may be somebody else's."""
    task = Task("multiclass", ["=1+1", "@b"])
    rows, _ = streamed(table(FORMULAS, Lengths(task)))
    assert rows[0] == ["smiles", "=A1", "pred", "'=1+1_pred", "'@b_pred", "error"]
    assert [row[:2] for row in rows[1:]] == [["CCO", "=1+1"], ["C", "-0.5"], ["CC", "@a\tb"], ["=C", "+1 2"]]
    assert [row[2] for row in rows[1:]] == ["'@b", "'@b", "'@b", ""]


def test_cells_of_the_table_are_escaped_where_asked():
    rows, _ = streamed(table(FORMULAS, escape_formulas=True))
    assert rows[0] == ["smiles", "'=A1", "atoms_pred", "error"]
    assert [row[:2] for row in rows[1:]] == [["CCO", "'=1+1"], ["C", "-0.5"], ["CC", "'@a\tb"], ["'=C", "'+1 2"]]


def test_negative_numbers_stay_numbers():
    class Negative(Lengths):
        def predict_parsed(self, *args, **options):
            return super().predict_parsed(*args, **options)._replace(values=np.full((12, 1), -0.5))

    rows, _ = streamed(table(csv_text(), Negative(), chunk_rows=12))
    assert {row[2] for row in rows[1:]} == {"-0.5"}


def test_rows_are_on_the_disk_before_the_state_that_counts_them(tmp_path, monkeypatch):
    events = []
    sync, write = os.fsync, stream._write_state
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append(os.fstat(descriptor).st_ino), sync(descriptor)))
    monkeypatch.setattr(stream, "_write_state", lambda path, content: (events.append("state"), write(path, content)))
    partial = tmp_path / "out.csv.partial"
    partial.touch()
    made = table(csv_text())
    predict_to_file(made, tmp_path / "out.csv")
    rows = (tmp_path / "out.csv").stat().st_ino
    states = [place for place, event in enumerate(events) if event == "state"]
    assert len(states) == 3
    assert all(events[place - 1] == rows for place in states)


def test_unclear_numbers_are_told_once(caplog):
    class Numbers(Lengths):
        extra_columns = (ExtraColumn("T", "point"),)

    compared = []
    made = table("smiles,T\nC,1\nCC,2\nC,3\n", Numbers(), chunk_rows=1)
    made._compare_extra = lambda chunk: compared.append(len(chunk))
    streamed(made)
    assert compared == [1]


def test_an_output_that_is_not_accepted_is_deleted_and_an_earlier_one_stays(tmp_path):
    path, seen = tmp_path / "out.csv", []
    path.write_text("from before")

    def refuse():
        seen.append(sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith(".")))
        raise DataError("changed")

    with pytest.raises(DataError, match=r"^changed$"):
        predict_to_file(table(csv_text()), path, accept=refuse)
    assert seen == [["out.csv", "out.csv.partial", "out.csv.partial.json"]]
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    assert path.read_text() == "from before"
    assert predict_to_file(table(csv_text()), path, accept=lambda: None).rows == 12


def test_an_error_of_the_progress_interrupts_a_prediction_that_goes_on_later(tmp_path):
    path, seen = tmp_path / "out.csv", []

    def stop(rows):
        seen.append(rows)
        if len(seen) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        predict_to_file(table(csv_text()), path, advance=stop)
    assert not path.exists()
    again = []
    predict_to_file(table(csv_text()), path, advance=again.append)
    assert (seen, again) == ([0, 5, 5], [10, 2])
