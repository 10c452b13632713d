import json
import os

import numpy as np
import pytest

from pyg_samsa.chem.mol_blocks import smiles_block
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError
from pyg_samsa.io.files import lock
from pyg_samsa.io.tables.sdf_format import properties
from pyg_samsa.predict import Predictor
from pyg_samsa.predict.shards import RECORDS, Shard, ShardResult, find_shards, predict_shard, sum_results
from pyg_samsa.predict.table_predictor import StreamOptions
from pyg_samsa.task import Task


class Atoms(Predictor):
    task, fingerprint = Task("regression", ["atoms"]), "a"

    def __init__(self, before=lambda: None):
        self.calls, self.before = 0, before

    def outputs(self, inputs, *, draws=None):
        self.calls += 1
        self.before()
        return inputs.table.num_nodes[:, None].astype(np.float64), None


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(3):
        (tmp_path / "in" / f"{n}.csv").write_text("smiles,n\n" + f"CC,{n}\nbad,{n}\n" * (n + 1))
    return tmp_path


def run(folder, predictor=None, **options):
    shards = find_shards(folder / "in", folder / "out", output_format=options.get("output_format"))
    return [predict_shard(predictor or Atoms(), shard, StreamOptions(**options)) for shard in shards]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_each_file_has_its_output(folder):
    assert run(folder) == [ShardResult(2, 1), ShardResult(4, 2), ShardResult(6, 3)]
    assert names(folder / "out") == ["0.csv", "1.csv", "2.csv", RECORDS]
    assert (folder / "out" / "1.csv").read_text().splitlines()[:2] == ["smiles,n,atoms_pred,error", "CC,1,2,"]
    assert sum_results(run(folder)) == ShardResult(12, 6, True)


def test_finished_files_are_left_out(folder):
    run(folder)
    (folder / "out" / "1.csv").unlink()
    (folder / "out" / RECORDS / "2.csv.json").unlink()
    predictor = Atoms()
    assert [result.skipped for result in run(folder, predictor)] == [True, False, False]
    assert predictor.calls == 2


@pytest.mark.parametrize("change", ["input", "output", "record", "model", "options", "columns"])
def test_what_has_changed_is_predicted_again(folder, change):
    run(folder)
    predictor, options = Atoms(), {}
    if change == "input":
        (folder / "in" / "1.csv").write_text("smiles,n\nC,1\n")
    elif change == "output":
        with open(folder / "out" / "1.csv", "a") as file:
            file.write("CC,1,2,\n")
    elif change == "record":
        (folder / "out" / RECORDS / "1.csv.json").write_text("{")
    elif change == "model":
        predictor.fingerprint = "b"
    elif change == "options":
        options = {"max_atoms": 1}
    else:
        (folder / "in" / "1.csv").write_text((folder / "in" / "1.csv").read_text().replace("smiles,n", "smiles,m"))
    expected = [False] * 3 if change in ("model", "options") else [True, False, True]
    assert [result.skipped for result in run(folder, predictor, **options)] == expected
    assert all(result.skipped for result in run(folder, predictor, **options))


def test_a_copy_of_the_folder_counts_as_the_same(folder):
    run(folder)
    os.utime(folder / "in" / "0.csv", (0, 0))
    assert all(result.skipped for result in run(folder))


def test_a_file_that_changes_meanwhile_is_told_and_predicted_again(folder):
    path = folder / "in" / "0.csv"

    def change():
        path.write_text("smiles,n\nC,1\n")

    shard = find_shards(folder / "in", folder / "out")[0]
    shard.target.parent.mkdir()
    shard.target.write_text("from before")
    with pytest.raises(DataError, match=r"0\.csv: the file changed while it was read"):
        predict_shard(Atoms(change), shard, StreamOptions())
    assert shard.target.read_text() == "from before"
    assert [file.name for file in shard.target.parent.iterdir()] == ["0.csv"]
    assert predict_shard(Atoms(), shard, StreamOptions()) == ShardResult(1, 0)
    assert (folder / "out" / "0.csv").read_text().splitlines()[1:] == ["C,1,1,"]


def test_a_file_that_is_deleted_meanwhile_is_told(folder):
    shard = find_shards(folder / "in", folder / "out")[0]
    with pytest.raises(DataError, match=r"0\.csv: the file changed while it was read"):
        predict_shard(Atoms(shard.source.unlink), shard, StreamOptions())
    assert not shard.target.exists()


def test_a_file_is_continued_where_it_stopped(folder):
    class Stopped(Exception):
        pass

    predictor = Atoms()

    def stop():
        if predictor.calls == 2:
            raise Stopped

    predictor.before = stop
    shard = find_shards(folder / "in", folder / "out")[2]
    with pytest.raises(Stopped):
        predict_shard(predictor, shard, StreamOptions(chunk_rows=2))
    assert names(folder / "out") == ["2.csv.partial", "2.csv.partial.json"]
    predictor = Atoms()
    assert predict_shard(predictor, shard, StreamOptions(chunk_rows=2)) == ShardResult(6, 3)
    assert predictor.calls == 2
    with lock(shard.target), pytest.raises(ConfigError, match="no other process"):
        predict_shard(predictor, Shard(shard.source, shard.target), StreamOptions(chunk_rows=3))


def test_names_follow_the_format(folder):
    (folder / "in" / "0.csv").rename(folder / "in" / "0.CSV")
    shards = find_shards(folder / "in", folder / "out", output_format="parquet")
    assert [shard.target.name for shard in shards] == ["0.parquet", "1.parquet", "2.parquet"]
    assert [shard.target.name for shard in find_shards(folder / "in", folder / "out")] == ["0.CSV", "1.csv", "2.csv"]
    assert [shard.format for shard in find_shards(folder / "in", folder / "out", input_format="csv.gz")] == [
        "csv.gz"
    ] * 3


def test_hidden_names_are_left_out(folder):
    for name in ("_SUCCESS", ".0.csv.crc"):
        (folder / "in" / name).write_text("")
    assert len(find_shards(folder / "in", folder / "out")) == 3


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda folder: (folder / "in" / "notes.doc").write_text(""), ConfigError, "notes.doc.*only tables"),
        (lambda folder: (folder / "in" / "more").mkdir(), ConfigError, "more.*only tables"),
        (
            lambda folder: (folder / "in" / "0.sdf").write_text(""),
            ConfigError,
            "tables of one format.*0.sdf and .*2.csv",
        ),
        (lambda folder: (folder / "out").write_text(""), ConfigError, "OUT.*a folder, because IN is one"),
        (lambda folder: (folder / "out").symlink_to("in"), ConfigError, "a folder outside of IN"),
        (lambda folder: [file.unlink() for file in (folder / "in").iterdir()], DataNotFoundError, "without tables"),
    ],
)
def test_folders_that_do_not_fit_are_named(folder, change, error, told):
    change(folder)
    with pytest.raises(error, match=told):
        find_shards(folder / "in", folder / "out")


def test_rows_of_another_prediction_are_not_left_in_the_output(folder):
    run(folder)
    (folder / "in" / "2.csv").unlink()
    with pytest.raises(ConfigError, match=r"without other files; it holds 2\.csv"):
        run(folder)


def test_outputs_with_one_name_are_refused(folder):
    (folder / "in" / "0.txt").write_text("smiles\nC\n")
    with pytest.raises(ConfigError, match=r"0\.csv.*0\.txt"):
        find_shards(folder / "in", folder / "out", output_format="parquet")


def test_the_record_is_plain_json(folder):
    run(folder)
    content = json.loads((folder / "out" / RECORDS / "0.csv.json").read_text())
    assert (content["rows"], content["errors"]) == (2, 1)


def test_defaults(defaults):
    expected = {
        "format": "csv",
        "header": True,
    }
    assert expected.items() <= defaults(Shard).items()


def test_the_output_of_a_molfile_is_an_sdf_file(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mol").write_text(smiles_block("CCO"))
    (shard,) = find_shards(tmp_path / "in", tmp_path / "out")
    assert (shard.format, shard.target.name) == ("sdf", "a.sdf")
    assert predict_shard(Atoms(), shard, StreamOptions(output_format="sdf")).rows == 1
    assert properties(shard.target.read_bytes())["atoms_pred"] == "3"
    (tmp_path / "in" / "a.sdf").write_text(smiles_block("C"))
    with pytest.raises(ConfigError, match="names that differ by more than their endings"):
        find_shards(tmp_path / "in", tmp_path / "out")
