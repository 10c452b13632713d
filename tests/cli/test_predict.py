import csv
import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.cli import main
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import table_predictor
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.task import Task

SMILES = ["CCO", "c1ccccc1O", "CC(=O)O", "NCC(=O)O", "C"]
TASKS = {
    "regression": Task("regression", ["logS"]),
    "multiclass": Task("multiclass", ["red", "green", "blue"]),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    for name, task in TASKS.items():
        width = task.num_targets
        network = SAMSA.from_options(
            ATOM_CARDINALITIES,
            width,
            edge_channels=BOND_CARDINALITIES,
            channels=16,
            num_layers=1,
            heads=2,
            num_samples=8,
        )
        with torch.no_grad():
            network.encoder.alpha += 0.5
        save_pretrained(network, folder / name, task=task)
    return {name: str(folder / name) for name in TASKS}


@pytest.fixture
def model(models):
    return models["regression"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    class Options(table_predictor.StreamOptions):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{"chunk_rows": 7, **kwargs})

    monkeypatch.setattr(table_predictor, "StreamOptions", Options)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_every_row_comes_out_with_its_columns(model, tmp_path, capsys):
    source, target = tmp_path / "in.csv", tmp_path / "out" / "out.csv"
    rows = [[f"m{n}", SMILES[n % 5], f'note "{n}", ü'] for n in range(20)]
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", "smiles", "note"], *rows])
    assert main(["predict", model, str(source), str(target)]) == 0
    header, *out = rows_of(target)
    assert header == ["name", "smiles", "note", "logS_pred", "error"]
    assert [row[:3] for row in out] == rows
    expected = MoleculePredictor.from_pretrained(model).predict([row[1] for row in rows]).values[:, 0]
    np.testing.assert_allclose([float(row[3]) for row in out], expected, rtol=1e-5)
    assert {row[4] for row in out} == {""}
    assert sorted(path.name for path in target.parent.iterdir()) == ["out.csv"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "20 rows" in shown.err


def test_messy_tables(model, tmp_path):
    good, long = "CCO", "C" * 10_000
    records = []
    for n in range(60):
        kind = n % 10
        records.append(
            [
                f"{n},{good},plain",
                f'{n},"{good}","a ""quoted"" note"',
                f"{n},C1CC,broken",
                "",
                f'{n},{good},"two\nlines"',
                f"{n},{long},long" if n < 10 else f"{n},{good},short",
                f"{n},,no molecule",
                f"{n},nonsense,broken",
                f"{n},{good}",
                f"{n},{good},too,many,fields",
            ][kind].encode()
        )
    records[11] = "11,CCO,Müller".encode("cp1252")
    records[21] = "21,CCO,Müller".encode()
    source = tmp_path / "in.csv"
    source.write_bytes(b"\xef\xbb\xbfid,smiles,\r\n" + b"\r\n".join(records) + b"\r\n")
    assert main(["predict", "-q", model, str(source), str(tmp_path / "out.csv")]) == 0
    header, *out = rows_of(tmp_path / "out.csv")
    assert header == ["id", "smiles", "", "logS_pred", "error"]
    assert len(out) == 60
    assert all(len(row) == 5 for row in out)
    for n, row in enumerate(out):
        assert row[0] == ("" if n % 10 == 3 else str(n))
        predicted = n % 10 in (0, 1, 4, 5, 8, 9)
        assert bool(row[3]) == predicted
        assert bool(row[4]) == (n % 10 in (2, 3, 6, 7, 9))
    assert out[11][2] == out[21][2] == "Müller"
    assert out[4][2] == "two\nlines"
    assert out[9][2] == "too,many,fields"
    assert "5 fields" in out[9][4]
    assert out[3][4] == "blank line"


def test_duplicate_names(model, tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("smiles,logS_pred,error,smiles\nCCO,1,2,C\n")
    target = str(tmp_path / "out.csv")
    assert main(["predict", model, str(source), target]) == 2
    assert "--smiles-column" in capsys.readouterr().err
    assert main(["predict", model, str(source), target, "--smiles-column", "4"]) == 0
    header, row = rows_of(target)
    assert header == ["smiles", "logS_pred", "error", "smiles", "logS_pred_2", "error_2"]
    expected = MoleculePredictor.from_pretrained(model).predict(["C"]).values[0, 0]
    assert float(row[4]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("text", ["CCO\nCCN\nCCCl\n", "CCO ethanol\nCCN amine\nCCCl chloroethane\n"])
@pytest.mark.parametrize("standard_input", [False, True])
def test_a_list_of_molecules_needs_no_header(model, tmp_path, text, standard_input, monkeypatch, capsys):
    source = tmp_path / "list.smi"
    source.write_text(text)
    monkeypatch.setattr("sys.stdin", open(source, encoding="utf-8"))  # noqa: SIM115 - read by the command
    given = "-" if standard_input else str(source)
    assert main(["predict", model, given, str(tmp_path / "out.csv")]) == 0
    rows = rows_of(tmp_path / "out.csv")
    assert [row[0] for row in rows] == text.splitlines()
    expected = MoleculePredictor.from_pretrained(model).predict(["CCO", "CCN", "CCCl"]).values[:, 0]
    np.testing.assert_allclose([float(row[1]) for row in rows], expected, rtol=1e-5)
    shown = capsys.readouterr().err
    assert "no header is written; each row ends with: logS_pred, error" in shown
    assert "3 rows" in shown


def test_without_a_header(model, tmp_path):
    source = tmp_path / "in.tsv"
    source.write_text("CCO\tethanol\nC\tmethane\n")
    assert main(["predict", "-q", model, str(source), str(tmp_path / "out.csv"), "--no-header"]) == 0
    out = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.split("\t")[:2] for line in out] == [["CCO", "ethanol"], ["C", "methane"]]


def test_spread_and_classes(models, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("smiles\n" + "\n".join([*SMILES, "?"]) + "\n")
    assert main(["predict", "-q", models["multiclass"], str(source), str(target), "--uncertainty", "--draws", "3"]) == 0
    header, *out = rows_of(target)
    assert header[1:] == [
        "pred",
        "red_pred",
        "green_pred",
        "blue_pred",
        "red_spread",
        "green_spread",
        "blue_spread",
        "error",
    ]
    for row in out[:-1]:
        values = [float(value) for value in row[2:5]]
        assert sum(values) == pytest.approx(1, abs=1e-4)
        assert row[1] == ["red", "green", "blue"][int(np.argmax(values))]
    assert out[-1][1:-1] == [""] * 7
    assert any(float(row[5]) > 0 for row in out[:-1])


def test_streams_and_single_molecules(model, tmp_path, capsysbinary, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"smiles,x\nCCO,\xe9\nC1,2\n")))
    assert main(["predict", model, "-", "-"]) == 0
    piped = capsysbinary.readouterr().out.decode().splitlines()
    assert piped[1].startswith("CCO,é,")
    assert piped[2] == "C1,2,,RDKit cannot read this SMILES (ring 1 is not closed)"
    assert main(["predict", model, "c1ccccc1O"]) == 0
    shown = capsysbinary.readouterr()
    assert shown.out.decode().splitlines()[1].startswith("c1ccccc1O,")
    assert shown.err == b""


class Stop(Exception):
    pass


@pytest.fixture
def interrupted(model, tmp_path, monkeypatch):
    """An interrupted prediction of 40 rows, of which 21 are finished and something more is half written."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,smiles\n" + "".join(f"{n},{SMILES[n % 5] if n % 4 else 'bad'}\n" for n in range(40)))
    assert main(["predict", "-q", model, str(source), str(tmp_path / "whole.csv")]) == 0
    original = MoleculePredictor.predict_parsed
    calls = []

    def stopping(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise Stop
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MoleculePredictor, "predict_parsed", stopping)
        with pytest.raises(Stop):
            main(["predict", "-q", model, str(source), str(target)])
    assert not target.exists()
    with (tmp_path / "out.csv.partial").open("a") as file:
        file.write("39,half a li")
    return source, target


def test_goes_on_where_it_stopped(model, tmp_path, interrupted, monkeypatch):
    source, target = interrupted
    predicted = []
    original = MoleculePredictor.predict_parsed

    def counting(self, parsed, **kwargs):
        predicted.append(len(parsed.kept) + len(parsed.refused))
        return original(self, parsed, **kwargs)

    monkeypatch.setattr(MoleculePredictor, "predict_parsed", counting)
    assert main(["predict", "-q", model, str(source), str(target)]) == 0
    assert sum(predicted) == 40 - 21
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv", "whole.csv"]


@pytest.mark.parametrize("what", ["row", "fewer rows", "option", "model", "state", "lost bytes"])
def test_never_goes_on_with_something_else(models, tmp_path, interrupted, capsys, what):
    source, target = interrupted
    partial, state, options, name = tmp_path / "out.csv.partial", tmp_path / "out.csv.partial.json", [], "regression"
    if what == "row":
        source.write_text(source.read_text().replace("\n3,NCC(=O)O\n", "\n3,NCC(=O)\n"))
    elif what == "fewer rows":
        source.write_text("".join(source.read_text().splitlines(keepends=True)[:10]))
    elif what == "option":
        options = ["--uncertainty"]
    elif what == "model":
        name = "multiclass"
    elif what == "state":
        state.write_text("{")
    else:
        partial.write_text("id")
    before = partial.read_bytes()
    assert main(["predict", "-q", models[name], str(source), str(target), *options]) in (2, 3)
    assert "partial" in capsys.readouterr().err
    assert partial.read_bytes() == before
    assert not target.exists()


def test_an_existing_file_stays_until_the_end(model, tmp_path, interrupted):
    source, target = interrupted
    target.write_text("old")
    (tmp_path / "out.csv.partial.json").unlink()  # without it all begins anew
    assert main(["predict", "-q", model, str(source), str(target)]) == 0
    assert target.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["none/model", "in.csv", "out.csv"], 3, "none/model"),
        (["MODEL", "missing.csv", "out.csv"], 3, "missing.csv"),
        (["MODEL", "C1CC"], 3, "neither a file nor a SMILES"),
        (["MODEL", "in.csv", "in.csv"], 2, "a file that is not IN"),
        (["MODEL", "in.csv", "."], 2, "folder"),
        (["MODEL", "in.csv", "out.csv", "--smiles-column", "smile"], 2, "Did you mean 'smiles'?"),
        (["MODEL", "in.csv", "out.csv", "--draws", "1", "--uncertainty"], 2, "draws"),
        (["MODEL", "in.csv", "out.csv", "--workers", "0"], 2, "--workers"),
        (["MODEL", "empty.csv", "out.csv"], 3, "empty"),
        (["MODEL", "open.csv", "out.csv"], 3, "never closed"),
    ],
)
def test_what_goes_wrong_is_one_line(model, tmp_path, monkeypatch, capsys, arguments, code, told):
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("smiles,id\nC,1\n")
    Path("empty.csv").write_text("")
    Path("open.csv").write_text('smiles\nC\n"CC\nC\nC')
    assert main(["predict", *[model if word == "MODEL" else word for word in arguments]]) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) <= 2


def test_workers_change_nothing(model, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("smiles\n" + "\n".join([*SMILES * 4, "?"]) + "\n")
    for workers in ("1", "2"):
        assert main(["predict", "-q", model, str(source), str(tmp_path / f"{workers}.csv"), "--workers", workers]) == 0
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_the_state_is_plain_json(tmp_path, interrupted):
    state = json.loads((tmp_path / "out.csv.partial.json").read_text())
    assert state["rows"] == 21


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--device", "gpu"], 2, "--device: got 'gpu', expected cpu, cuda, cuda:1"),
        (["--uncertainty"], 2, "--uncertainty: a single network without random codes has no"),
        (["--uncertainty", "--draws", "1"], 2, "--draws: got 1, expected an integer of at least 2"),
        (["--threads", "9999"], 2, "--threads: got 9999, expected an integer from 0 to"),
        (["--workers", "9999"], 2, "--workers: got 9999, expected an integer from 1 to"),
    ],
)
def test_wrong_values_are_told_by_the_names_of_the_options(capsys, words, code, message):
    assert main(["predict", "peptides", "CCO", *words]) == code
    assert f"error: {message}" in capsys.readouterr().err


def test_what_is_wrong_with_a_table_is_told_before_the_network_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("smiles,y\nCC,1\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("pyg_samsa.predict.load_predictor", None)
    for words, message in (
        (["none.csv"], "none.csv: no such file"),
        (["folder", "out.csv"], "folder: a folder without tables"),
        ([""], "'': neither a file nor a SMILES (empty SMILES)"),
        (["in.csv", "folder"], "OUT: got 'folder', expected a file, not a folder"),
        (["in.csv", "in.csv/out.csv"], "OUT: got 'in.csv', expected a folder; "),
        (["in.csv", "out.csv", "--smiles-column", "z"], "--smiles-column: got 'z', expected the name of a column"),
    ):
        assert main(["predict", "peptides", *words]) in (2, 3)
        assert f"error: {message}" in capsys.readouterr().err


def test_other_formats(model, tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("smiles\n" + "\n".join([*SMILES * 4, "?"]) + "\n")
    plain = str(tmp_path / "plain.csv")
    assert main(["predict", "-q", model, str(source), plain]) == 0
    assert main(["predict", model, str(source), str(tmp_path / "out.parquet")]) == 0
    assert "21 rows in, 21 rows out, 1 of them without a prediction" in capsys.readouterr().err
    again = tmp_path / "again.txt"
    words = ["--input-format", "parquet", "--output-format", "csv.gz"]
    (tmp_path / "renamed").write_bytes((tmp_path / "out.parquet").read_bytes())
    assert main(["predict", "-q", model, str(tmp_path / "renamed"), str(again), *words]) == 0
    rows = list(csv.reader(io.StringIO(gzip.decompress(again.read_bytes()).decode())))
    assert [row[0] for row in rows] == [row[0] for row in rows_of(plain)]
    assert [row[3] for row in rows[1:]] == [row[1] for row in rows_of(plain)[1:]]
    assert rows[0][3:] == ["logS_pred_2", "error_2"]


def test_structures(model, tmp_path, capsysbinary):
    blocks = "".join(Chem.MolToMolBlock(Chem.MolFromSmiles(smiles)) + "$$$$\n" for smiles in SMILES)
    (tmp_path / "in.sdf").write_text(blocks)
    assert main(["predict", model, str(tmp_path / "in.sdf")]) == 0
    molecules = list(Chem.ForwardSDMolSupplier(io.BytesIO(capsysbinary.readouterr().out)))
    expected = MoleculePredictor.from_pretrained(model).predict([Chem.CanonSmiles(smiles) for smiles in SMILES])
    found = [molecule.GetDoubleProp("logS_pred") for molecule in molecules]
    np.testing.assert_allclose(found, expected.values[:, 0], rtol=1e-5)
    (tmp_path / "in.mol").write_text(blocks.partition("$$$$")[0])
    assert main(["predict", model, str(tmp_path / "in.mol")]) == 0
    (molecule,) = Chem.ForwardSDMolSupplier(io.BytesIO(capsysbinary.readouterr().out))
    assert molecule.GetDoubleProp("logS_pred") == found[0]


def test_folders(model, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for n in range(3):
        (tmp_path / "in" / f"{n}.csv").write_text("smiles\nC\nCC\n?\n")
    words = ["predict", model, str(tmp_path / "in"), str(tmp_path / "out")]
    assert main(words) == 0
    told = "9 rows in, 9 rows out, 3 of them without a prediction (see the column error), in 3 files"
    assert f"{told}: {tmp_path / 'out'}" in capsys.readouterr().err
    (tmp_path / "out" / "1.csv").unlink()
    assert main(words) == 0
    assert f"{told} (2 of them finished before)" in capsys.readouterr().err


def test_a_cluster_changes_nothing(model, tmp_path, monkeypatch):
    from distributed import LocalCluster

    source = tmp_path / "in.csv"
    source.write_text("smiles\n" + "\n".join([*SMILES * 8, "?"]) + "\n")
    for name, words in (("alone", []), ("cluster", ["--dask", "tcp://ADDRESS"])):
        with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", **_QUIET) as cluster:
            words = [word.replace("tcp://ADDRESS", cluster.scheduler_address) for word in words]
            assert main(["predict", "-q", model, str(source), str(tmp_path / f"{name}.parquet"), *words]) == 0
    assert (tmp_path / "alone.parquet").read_bytes() == (tmp_path / "cluster.parquet").read_bytes()


_QUIET = {"dashboard_address": ":0"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["in.sdf", "out.csv"], "OUT: got 'csv', expected sdf or sdf.gz, because IN is a file of structures"),
        (["in.sdf", "out.mol"], "OUT: got 'out.mol', expected a file that ends in .sdf; a molfile has no properties"),
        (["in.csv", "out.sdf"], "OUT: got 'sdf', expected csv, csv.gz or parquet"),
        (["in.csv", "--output-format", "parquet"], "OUT: got '-', expected the path of a Parquet file"),
        (["-", "out.csv", "--input-format", "parquet"], "IN: got '-', expected the path of a Parquet file"),
        (["folder"], "OUT: got '-', expected a folder, because IN is one"),
        (["in.csv", "out.csv", "--dask", "10.0.0.1"], "--dask: got '10.0.0.1', expected local, or the address"),
        (["in.csv", "out.csv", "--dask", "tcp://10.0.0.1:1", "--workers", "2"], "--workers: got 2, expected nothing"),
        (["in.csv", "out.parquet", "--escape-formulas"], "--escape-formulas: got 'parquet'"),
        (["none.parquet", "out.csv"], "none.parquet: no such file"),
    ],
)
def test_what_does_not_fit_a_format_is_told_before_the_network_is_read(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("smiles,y\nCC,1\n")
    (tmp_path / "in.sdf").write_text("broken\n$$$$\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("pyg_samsa.predict.load_predictor", None)
    assert main(["predict", "peptides", *words]) in (2, 3)
    assert f"error: {message}" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run: a network, and the config that names the table that it was trained on."""
    folder = tmp_path_factory.mktemp("nearest")
    rows = [f"{'C' * n}{end},{n / 4}" for n in range(1, 21) for end in ("O", "N")]
    (folder / "table.csv").write_text("\n".join(["smiles,logS", *rows]) + "\n")
    torch.manual_seed(0)
    sizes = {"channels": 16, "num_layers": 1, "heads": 2, "num_samples": 8}
    network = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    save_pretrained(network, folder / "run" / "model", task=TASKS["regression"])
    data = {"format": "samsa", "name": "csv", "csv": str(folder / "table.csv"), "target_columns": ["logS"]}
    (folder / "run" / "config.yaml").write_text(json.dumps({"dataset": data}))
    return folder / "run"


def test_nearest_adds_columns_and_a_line_about_far_molecules(run, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("smiles\nCCCCCCCCCCO\nC(\nFC(F)(F)S\nBrBr\n")
    words = ["predict", str(run), str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    assert main([*words, "--nearest"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == (
        "2 of 3 molecules are far from the training (nearest_similarity below 0.3): trust their predictions less"
    )
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    measured = "nearest_logS_measured"
    assert list(rows[0]) == ["smiles", "logS_pred", "nearest_similarity", "nearest_smiles", measured, "error"]
    assert set(rows[0]["nearest_smiles"]) == {"C", "O"}
    assert float(rows[0]["nearest_similarity"]) > 0.8
    assert float(rows[0][measured]) == rows[0]["nearest_smiles"].count("C") / 4
    assert (rows[1]["nearest_similarity"], rows[3]["nearest_similarity"]) == ("", "0.00")
    assert main(words) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "With --nearest, each row gets its most similar training molecule."
    )
    assert main([*words, "-q", "--nearest"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [[], ["--nearest"]])
def test_a_table_without_a_prediction_has_no_line_about_the_training(run, tmp_path, capsys, words):
    for rows in ("", "C(\n"):
        (tmp_path / "in.csv").write_text(f"smiles\n{rows}")
        assert main(["predict", str(run), str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), *words]) == 0
        told = capsys.readouterr().err
        assert "nearest" not in told
        assert f"{rows.count('C')} row" in told


def test_nearest_of_a_folder(run, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv").write_text("smiles\nCCO\nBrBr\n")
    words = ["predict", str(run), str(tmp_path / "in"), str(tmp_path / "out"), "--nearest"]
    for _ in range(2):
        assert main(words) == 0
        assert "\n2 of 4 molecules are far from the training " in capsys.readouterr().err
    assert "nearest_smiles" in (tmp_path / "out" / "a.csv").read_text()
    assert main([*words, "--dask", "local"]) == 2
    assert "--dask: got 'local', expected no cluster for a folder with --nearest" in capsys.readouterr().err


def test_nearest_needs_a_model_that_says_what_it_was_trained_on(tmp_path, capsys):
    (tmp_path / "in.csv").write_text("smiles\nCCO\n")
    assert main(["predict", "peptides", str(tmp_path / "in.csv"), str(tmp_path / "out.csv"), "--nearest"]) == 3
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "error: the folder of this model does not say what it was trained on"
    assert shown[1].startswith("hint:  Pass the folder of a run")
    assert not (tmp_path / "out.csv").exists()
