import csv

import pandas as pd
import pytest
import torch

pytest.importorskip("rdkit")

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.cli import explain, main
from pyg_samsa.errors import ConfigError
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

CSV = "id;Structure;note\nA-1;CC(=O)O;fine\n\nA 2/..\\x;C(;broken\nA-3;;empty\nA-4;c1ccccc1;fine\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    net = SAMSA.from_options(
        ATOM_CARDINALITIES, 2, edge_channels=BOND_CARDINALITIES, channels=16, num_layers=2, heads=2, num_samples=8
    )
    task = Task("multilabel", ["stops", "goes"])
    return str(save_pretrained(net, tmp_path_factory.mktemp("models") / "demo", task=task))


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(CSV)
    return str(path)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_table_with_broken_rows(model, table, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explain", model, table, "--out", str(out), "--target", "goes", "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "row 3: RDKit cannot read this SMILES (the bracket ( is not closed): 'C('" in shown.err
    assert "row 4: empty SMILES: 'A-3'" in shown.err
    pictures = [
        f"pictures/000{n}-{name}-{method}.{ending}"
        for n, name in ((1, "A-1"), (2, "A-4"))
        for method in ("contribution", "occlusion", "sampled")
        for ending in ("png", "svg")
    ]
    assert files(out) == ["index.html", "molecules.csv", *pictures, "scores.csv"]
    with open(out / "scores.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == (4 + 6) + (6 + 12)
    assert {row["molecule"] for row in rows} == {"A-1", "A-4"}
    assert {row["row"] for row in rows} == {"1", "5"}
    columns = ["row", "molecule", "token", "atom", "to_atom", "symbol", "sampled", "contribution", "occlusion"]
    assert list(rows[0]) == columns
    html = (out / "index.html").read_text()
    assert "goes" in html
    assert "RDKit cannot read this SMILES" in html


def test_smiles_on_the_command_line(model, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explain", model, "CCO", "CC.[Na+]", "--out", str(out), "--method", "sampled", "--theme", "dark"]) == 0
    assert "2 molecules" in capsys.readouterr().out
    assert files(out) == [
        "index.html",
        "molecules.csv",
        *(f"pictures/{name}-sampled.{e}" for name in ("0001-CCO", "0002-CC.-Na") for e in ("png", "svg")),
        "scores.csv",
    ]
    assert "#1c1f25" in (out / "pictures" / "0001-CCO-sampled.svg").read_text()


def test_a_limit_says_what_it_left_out(model, table, tmp_path, capsys):
    assert main(["explain", model, table, "--out", str(tmp_path / "out"), "--limit", "1", "--method", "sampled"]) == 0
    assert "3 more were skipped" in capsys.readouterr().out
    assert "3 more were skipped" in (tmp_path / "out" / "index.html").read_text()


def test_nothing_is_overwritten_unasked(model, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    words = ["explain", model, "C", "--out", str(out), "--method", "sampled", "-q"]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert files(out) == ["mine.txt"]
    assert main([*words, "--overwrite"]) == 0
    assert (out / "mine.txt").read_text() == "keep"
    assert (out / "index.html").is_file()


@pytest.mark.parametrize(
    ("words", "code", "culprit"),
    [
        (["C", "--target", "gos"], 2, "goes"),
        (["C", "--limit", "-1"], 2, "--limit"),
        (["missing.csv"], 3, "no such file"),
        (["C("], 3, "No molecule could be explained"),
    ],
)
def test_bad_input_is_one_line(model, tmp_path, capsys, words, code, culprit):
    assert main(["explain", model, *words, "--out", str(tmp_path / "out")]) == code
    error = capsys.readouterr().err
    assert culprit in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_models_that_are_not_there_or_do_not_say_what_they_predict(tmp_path, capsys):
    assert main(["explain", str(tmp_path / "none"), "C", "--out", str(tmp_path / "out")]) == 3
    net = SAMSA.from_options(
        ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, channels=8, num_layers=1, heads=2, num_samples=4
    )
    folder = save_pretrained(net, tmp_path / "plain")
    assert main(["explain", str(folder), "C", "--out", str(tmp_path / "out")]) == 2
    assert "the task of the model" in capsys.readouterr().err


def test_hydrogen_does_not_lose_the_page(model, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explain", model, "[H][H]", "CCO", "--method", "sampled", "--out", str(out)]) == 0
    assert "2 molecules" in capsys.readouterr().out
    assert "<h1>Explanations by demo</h1>" in (out / "index.html").read_text()
    assert len(list((out / "pictures").iterdir())) == 4


def test_descriptors_and_extra_columns(tmp_path, capsys):
    torch.manual_seed(0)
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "graph_channels": 168}
    net = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    inputs = {"task": Task("regression", ["logS"]), "descriptors": ["maccs"], "extra_columns": ["pH"]}
    folder = str(save_pretrained(net, tmp_path / "model", **inputs))
    given = tmp_path / "in.csv"
    given.write_text("smiles;pH\nCCO;7,5\nCCN;\n")
    assert main(["explain", "-q", folder, str(given), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "index.html").is_file()
    capsys.readouterr()
    assert main(["explain", folder, "CCO", "--out", str(tmp_path / "out2")]) == 2
    assert "expected a table: the model also reads the column 'pH'" in capsys.readouterr().err
    assert main(["predict", folder, "CCO"]) == 2
    assert "expected a table: the model also reads the column 'pH'" in capsys.readouterr().err
    given.write_text("smiles,pH\nCCO,acidic\n")
    assert main(["explain", folder, str(given), "--out", str(tmp_path / "out2")]) == 3
    assert "row 1, column 'pH': 'acidic' is not a number" in capsys.readouterr().err


def test_the_column_or_the_positive_class_finds_a_target():
    names = ["y=active", "NR-AR", "x=a", "z=a"]
    for given, found in (
        (None, None),
        ("NR-AR", "NR-AR"),
        ("y=active", "y=active"),
        ("y", "y=active"),
        ("active", "y=active"),
    ):
        assert explain._find_target(given, names) == found
    for wrong in ("a", "no", "NR"):
        with pytest.raises(ConfigError, match="--target"):
            explain._find_target(wrong, names)


def test_a_table_among_molecules_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("smiles\nCC\n")
    assert main(["explain", "peptides", "table.csv", "CCO", "--out", "out"]) == 2
    assert "error: SMILES|TABLE: got 'table.csv', expected one table and nothing else" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_table_of_scores_holds_no_formulas(tmp_path):
    frame = pd.DataFrame({"molecule": ["=1+1", "-0.5"], "symbol": ["C", "-"], "sampled": [-0.25, float("nan")]})
    explain._save_table([frame], tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == "molecule,symbol,sampled\n'=1+1,C,-0.25\n-0.5,-,\n"


def test_structures_of_an_sdf_file(model, tmp_path, capsys):
    from pyg_samsa.chem.mol_blocks import smiles_block

    records = [smiles_block("CCO", "ethanol"), "broken\n\n\nM  END\n", smiles_block("c1ccccc1")]
    given, out = tmp_path / "in.sdf", tmp_path / "out"
    given.write_text("".join(f"{record}$$$$\n" for record in records))
    assert main(["explain", model, str(given), "--out", str(out), "--method", "sampled"]) == 0
    shown = capsys.readouterr()
    assert "row 2: RDKit cannot read this record: 'broken'" in shown.err
    (ethanol, benzene) = csv.DictReader((out / "molecules.csv").open(newline=""))
    assert (ethanol["row"], ethanol["molecule"], ethanol["smiles"]) == ("1", "ethanol", "CCO")
    assert (benzene["row"], benzene["target"] in ("stops", "goes")) == ("3", True)
    assert 0 < float(benzene["prediction"]) < 1
    assert "2 molecules, 1 could not be explained" in shown.out
    names = {row["molecule"] for row in csv.DictReader((out / "scores.csv").open(newline=""))}
    assert names == {"ethanol", "row 3"}
    assert "RDKit cannot read this record" in (out / "index.html").read_text()


def test_a_file_without_a_readable_record_is_one_line(model, tmp_path, capsys):
    given = tmp_path / "in.sdf"
    given.write_text("broken\n\n\nM  END\n$$$$\n")
    assert main(["explain", model, str(given), "--out", str(tmp_path / "out")]) == 3
    assert "No molecule could be explained; row 1: RDKit cannot read this record" in capsys.readouterr().err
