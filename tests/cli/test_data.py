import argparse
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.cli import data, main
from pyg_samsa.datasets.molecules import peptides
from pyg_samsa.datasets.molecules.lrgb import OFFICIAL
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.io.files import sha256
from tests import fresh_process, geom_gcn_files

ROOT = Path(__file__).parents[2]


def run(*words, verbosity=0):
    parser = argparse.ArgumentParser()
    data.configure(parser)
    args = parser.parse_args([str(word) for word in words])
    args.verbosity = verbosity
    return data.run(args)


@pytest.fixture
def few_peptides(monkeypatch):
    lists = {sequence: names for sequence, names in list(peptides.read_lists().items())[::300] if len(sequence) < 40}
    monkeypatch.setattr(peptides, "read_lists", lambda: lists)
    return len(lists)


@pytest.fixture
def official(tmp_path, monkeypatch):
    smiles = ["CCO", "C", "N", "OC=O"]
    csv, split = tmp_path / "table.csv", tmp_path / "split.pickle"
    pd.DataFrame({"smiles": smiles, "labels": [str([0] * 9 + [1])] * 4}).to_csv(csv, index=False)
    split.write_bytes(pickle.dumps({"train": np.array([0, 3]), "val": np.array([1]), "test": np.array([2])}))
    graphs = [smiles_to_data(text) for text in smiles]
    means = (sum(graph.num_nodes for graph in graphs) / 4, sum(graph.num_edges for graph in graphs) / 4)
    known = OFFICIAL["peptides-func"]
    release = replace(known.release, graphs=4, means=means, sizes=(2, 1, 1), positives=None)
    part = replace(
        known, csv_hashes=(sha256(csv),), split=known.split._replace(known_hash=sha256(split)), release=release
    )
    monkeypatch.setitem(OFFICIAL, "peptides-func", part)
    return csv, split


def test_prepare(tmp_path, few_peptides, capsys):
    for _ in range(2):
        assert run("prepare", "peptides-embedded", "--root", tmp_path) == 0
        out = capsys.readouterr().out
        assert f"peptides-embedded: {few_peptides:,} graphs" in out
        assert "train" in out
        assert str(tmp_path) in out
    run("list", "--root", tmp_path)
    rows = [line for line in capsys.readouterr().out.splitlines() if "yes" in line]
    assert len(rows) == 1
    assert "peptides-embedded" in rows[0]


def test_quiet_shows_no_progress(tmp_path, few_peptides, capsys):
    run("prepare", "peptides-embedded", "--root", tmp_path, verbosity=-1)
    assert capsys.readouterr().err == ""


def test_import(tmp_path, official, capsys):
    csv, split = official
    assert (
        run("import", "peptides-func", "--csv", csv, "--split", split, "--root", tmp_path / "root", "--workers", 1) == 0
    )
    assert "4 graphs (2 train, 1 val, 1 test), 10 targets" in capsys.readouterr().out
    assert (tmp_path / "root/peptides-func/peptides-func-v1.pt").is_file()


def test_default_root_is_graphgyms(tmp_path, official, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("import", "peptides-func", "--csv", official[0], "--split", official[1])
    assert (tmp_path / "datasets/peptides-func/peptides-func-v1.pt").is_file()


def test_list_names_every_set(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert run("list", "--root", tmp_path) == 0
    out = capsys.readouterr().out
    for name in ("peptides-embedded", "OGB: peptides-functional", "PyG-ZINC: subset", "ogbg-molhiv"):
        assert name in out
    assert "yes" not in out
    assert not set(out) & set("│┃━┏")
    assert "zinc\tPyG-ZINC: subset" in out.splitlines()
    assert not list(tmp_path.iterdir())


def test_one_graph_is_told_with_its_nodes(tmp_path, capsys, monkeypatch):
    geom_gcn_files.shrink(monkeypatch)
    geom_gcn_files.write(tmp_path, "texas")
    assert run("prepare", "texas", "--root", tmp_path) == 0
    assert "texas: one graph (nodes: 12 train, 7 val, 5 test), 5 targets (multiclass)" in capsys.readouterr().out


def test_errors_name_the_culprit(tmp_path, official):
    csv, split = official
    root = tmp_path / "root"
    with pytest.raises(ConfigError, match="peptides-fun"):
        run("prepare", "peptides-fun", "--root", root)
    with pytest.raises(ConfigError, match="NAME"):
        run("import", "zinc", "--csv", csv, "--split", split, "--root", root)
    with pytest.raises(ConfigError, match="workers"):
        run("prepare", "zinc", "--workers", 2, "--root", root)
    with pytest.raises(DataNotFoundError, match="nowhere"):
        run("import", "peptides-func", "--csv", tmp_path / "nowhere.csv", "--split", split, "--root", root)
    csv.write_text("smiles,labels\n")
    with pytest.raises(DataIntegrityError, match="table"):
        run("import", "peptides-func", "--csv", csv, "--split", split, "--root", root)
    assert not root.exists()


@pytest.mark.parametrize("words", [["import"], ["prepare"], ["remove", "x"], []])
def test_wrong_words_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2


def test_help_and_examples():
    assert data.HELP
    for word in ("data list", "data prepare", "data import"):
        assert word in data.EPILOG


def test_as_a_command(tmp_path):
    words = ["data", "import", "peptides-func", "--csv", tmp_path / "no.csv", "--split", tmp_path / "no"]
    result = fresh_process.run("import sys, pyg_samsa.cli; sys.exit(pyg_samsa.cli.main())", *words, cwd=tmp_path)
    assert result.returncode == 3
    assert result.stderr.count("\n") == 2
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


OFF = "OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"


def test_import_of_a_folder(tmp_path, capsys):
    for kind, split, number in [("chair", "train", 1), ("bed", "train", 2), ("bed", "train", 3), ("chair", "test", 4)]:
        path = tmp_path / "files" / kind / split / f"{kind}_{number:04}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(OFF)
    words = (
        "import",
        "modelnet10",
        "--files",
        tmp_path / "files",
        "--root",
        tmp_path / "sets",
        "--num-points",
        16,
        "--workers",
        1,
    )
    assert run(*words, "--incomplete", verbosity=-1) == 0
    assert "modelnet10: 4 graphs (3 train, 1 test), 10 targets (multiclass)" in capsys.readouterr().out
    with pytest.raises(DataIntegrityError):
        run(*words, verbosity=-1)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("digits", "--files", "x"), "NAME: got 'digits'"),
        (("imdb-embedded", "--files", "x"), "NAME: got 'imdb-embedded'"),
        (("listops",), "--files: got nothing"),
        (("listops", "--files", "x", "--num-points", "7"), "--num-points"),
        (("peptides-func", "--csv", "x"), "--split: got nothing"),
    ],
)
def test_import_says_what_it_needs(words, match, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(match)):
        run("import", *words, "--root", tmp_path)


def test_import_of_sequences_looks_into_the_folder(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"basic_train\.tsv"):
        run("import", "listops", "--files", tmp_path, "--root", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--root", "file"], "--root: got 'file', expected a folder"),
        (["prepare", "peptide"], "NAME: got 'peptide', expected one of 'aan'"),
        (["import", "shapes"], "NAME: got 'shapes', expected one of 'aan'"),
        (["import", "modelnet10", "--files", "none"], "--files: none does not exist"),
        (
            ["import", "listops", "--files", ".", "--incomplete"],
            "--incomplete: got True, expected no value: listops",
        ),
        (["import", "listops", "--files", ".", "--num-points", "3"], "--num-points: got 3, expected no value: listops"),
    ],
)
def test_wrong_values_are_told_by_the_names_of_the_arguments(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["data", *words]) in (2, 3)
    assert f"error: {message}" in capsys.readouterr().err
