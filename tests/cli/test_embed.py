import numpy as np
import pandas as pd
import pytest

from pyg_samsa.cli import main

TABLE = "name,smiles\nethanol,CCO\nwrong,xx\nglycine,NCC(=O)O\n"


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text(TABLE)
    return tmp_path


def test_all_formats_hold_the_same_numbers(table, capsys):
    for name in ("out.csv", "out.npy", "out.parquet"):
        assert main(["embed", "peptides", "in.csv", name]) == 0
        assert "3 rows, 1 of them without an embedding, 64 numbers each" in capsys.readouterr().err
    array, frame = np.load("out.npy"), pd.read_csv("out.csv")
    assert (array.shape, array.dtype) == ((3, 64), np.float32)
    assert frame["name"].tolist() == ["ethanol", "wrong", "glycine"]
    numbers = frame.loc[:, "e01":"e64"].to_numpy()
    np.testing.assert_allclose(numbers, array, rtol=1e-5)
    assert np.isnan(array[1]).all()
    assert frame["error"].tolist()[1] == "RDKit cannot read this SMILES"
    np.testing.assert_allclose(pd.read_parquet("out.parquet")["e07"].astype(float), frame["e07"], rtol=1e-5)


def test_a_table_without_rows_gives_an_empty_array(table):
    (table / "in.csv").write_text("smiles\n")
    assert main(["embed", "-q", "peptides", "in.csv", "out.npy"]) == 0
    assert np.load("out.npy").shape == (0, 64)


@pytest.mark.parametrize(("rows", "told"), [("", "0 rows, 64 numbers"), ("C\n", "1 row, 64 numbers")])
def test_the_closing_line_counts_rows(table, capsys, rows, told):
    (table / "in.csv").write_text("smiles\n" + rows)
    assert main(["embed", "peptides", "in.csv", "out.npy"]) == 0
    assert f"{told} each: out.npy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["peptides", "in.csv", "out.txt.x"], "OUT: got 'out.txt.x', expected a file that ends in .csv"),
        (["peptides", "in.csv", "in.csv"], "OUT: got 'in.csv', expected a file that is not IN"),
        (["peptides", "lost.csv", "out.csv"], "lost.csv: no such file"),
        (["nothing", "in.csv", "out.csv"], "nothing: no saved model found"),
        (["peptides", "in.csv", "out.csv", "--max-atoms", "0"], "--max-atoms: got 0"),
    ],
)
def test_mistakes_are_one_line(table, capsys, words, told):
    assert main(["embed", *words]) in (2, 3)
    assert told in capsys.readouterr().err.splitlines()[0]
    assert not (table / "out.csv").exists()
