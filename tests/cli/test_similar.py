import argparse
import csv
import re

import pytest
import torch
import yaml

pytest.importorskip("rdkit")

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.cli import main
from pyg_samsa.cli._similar import open_similar
from pyg_samsa.experiments.training_molecules import find_training_molecules
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import Predictor
from pyg_samsa.task import Task


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with a network that also reads a column, on 40 molecules."""
    folder = tmp_path_factory.mktemp("similar")
    rows = [f"{'C' * n}{end},{n / 4},{n % 3}" for n in range(1, 21) for end in ("O", "N")]
    (folder / "table.csv").write_text("\n".join(["smiles,logS,pH", *rows]) + "\n")
    columns = {"target_columns": ["logS"], "extra_columns": ["pH"]}
    config = {"dataset": {"format": "samsa", "name": "csv", "csv": str(folder / "table.csv"), **columns}}
    torch.manual_seed(0)
    sizes = {"channels": 16, "num_layers": 1, "heads": 2, "num_samples": 8, "graph_channels": 1}
    net = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    made = folder / "results" / "tiny" / "0"
    save_pretrained(net, made / "model", task=Task("regression", ["logS"]), extra_columns=["pH"])
    (made / "config.yaml").write_text(yaml.safe_dump(config))
    return made


@pytest.fixture(scope="module")
def known(run):
    """A training molecule of more than eight atoms: SMILES, pH and logS."""
    found = find_training_molecules(run)
    place = next(place for place, smiles in enumerate(found.smiles) if len(smiles) > 8)
    return {"smiles": found.smiles[place], "pH": found.extra["pH"][place], "logS": found.target[place, 0]}


def read(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("by", ["embedding", "fingerprint"])
def test_a_training_molecule_finds_itself_with_its_label(run, known, by, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text(f"name,smiles,pH\nitself,{known['smiles'][::-1]},{known['pH']}\nbroken,C(,1\nother,CCS,2\n")
    out = tmp_path / "out"
    words = ["explain", str(run), str(table), "--out", str(out), "--method", "occlusion", "--similar", "2", "-q"]
    assert main([*words, *(["--similar-by", by] if by == "fingerprint" else [])]) == 0
    rows = read(out / "similar.csv")
    assert [(row["molecule"], row["number"]) for row in rows] == [
        ("itself", "1"),
        ("itself", "2"),
        ("other", "1"),
        ("other", "2"),
    ]
    assert rows[0]["similar_smiles"] == known["smiles"]
    assert float(rows[0]["logS_measured"]) == float(known["logS"])
    assert rows[0]["similarity"] == "1"
    assert {row["similarity_by"] for row in rows} == {by}
    assert float(rows[2]["similarity"]) >= float(rows[3]["similarity"])
    scores = read(out / "scores.csv")
    assert list(scores[0])[-3:] == ["occlusion", "similarity_1", "similarity_2"]
    assert any(float(row["similarity_1"]) for row in scores)
    html = (out / "index.html").read_text()
    assert html.count("Similar training molecules</h3>") == 2
    name = {"embedding": "similarity of embeddings", "fingerprint": "Tanimoto similarity"}[by]
    assert f"<b>{name} 1.00</b>; measured: logS {float(known['logS']):g}" in html
    gradients = re.findall(r'<linearGradient id="([^"]+)"', html)
    assert len(gradients) == len(set(gradients))


@pytest.mark.parametrize("by", ["embedding", "fingerprint"])
def test_a_model_that_standardises_finds_the_standardised_molecule(by, tmp_path):
    (tmp_path / "table.csv").write_text("smiles,y\n" + "".join(f"{'C' * n}C(=O)[O-].[Na+],{n}\n" for n in range(1, 21)))
    columns = {"target_columns": ["y"], "standardize": ["fragment", "neutralize"]}
    config = {"dataset": {"format": "samsa", "name": "csv", "csv": str(tmp_path / "table.csv"), **columns}}
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    net = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    saved = {"task": Task("regression", ["y"]), "standardize": columns["standardize"]}
    save_pretrained(net, tmp_path / "run" / "model", **saved)
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    known = find_training_molecules(tmp_path / "run").smiles[0]
    assert known.endswith("C(=O)O")
    out = tmp_path / "out"
    words = ["explain", str(tmp_path / "run"), known[:-1] + "[O-].[K+]", "--out", str(out), "--similar", "1"]
    assert main([*words, "--similar-by", by, "--method", "occlusion", "-q"]) == 0
    (row,) = read(out / "similar.csv")
    assert (row["smiles"], row["similar_smiles"], row["similarity"]) == (known, known, "1")
    assert len(read(out / "scores.csv")) == 3 * len(known.replace("(=O)", "O")) - 2  # atoms, and bonds twice


def test_models_without_a_network_are_searched_by_fingerprint(run):
    class Constant(Predictor):
        task = Task("regression", ["logS"])

        def outputs(self, inputs, *, draws=None):
            raise NotImplementedError

    args = argparse.Namespace(similar=2, similar_by=None, model=str(run), verbosity=-1)
    assert open_similar(args, Constant()).by == "fingerprint"


def test_a_model_without_training_molecules_is_refused_before_the_work(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["explain", "peptides", "CCO", "--out", str(out), "--similar"]) == 3
    assert "does not say what it was trained on" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--similar", "0"], "--similar: got 0, expected an integer from 1 to 20"),
        (["--similar", "21"], "--similar: got 21"),
        (["--similar-by", "fingerprint"], "--similar-by: got 'fingerprint', expected --similar beside it"),
    ],
)
def test_wrong_numbers_are_named(words, message, tmp_path, capsys):
    assert main(["explain", "peptides", "CCO", "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_molecule_in_the_place_of_the_number_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["explain", "peptides", "--similar", "CCO", "--out", str(tmp_path / "out")])
    assert "write --similar after the molecules" in capsys.readouterr().err
