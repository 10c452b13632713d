import argparse
import csv
import re

import pytest

pytest.importorskip("rdkit")

from pyg_samsa.cli import main
from pyg_samsa.cli._similar import open_similar
from pyg_samsa.predict import Predictor
from pyg_samsa.task import Task


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with a network that also reads a column, on 40 molecules."""
    folder = tmp_path_factory.mktemp("similar")
    rows = [f"{'C' * n}{end},{n / 4},{n % 3}" for n in range(1, 21) for end in ("O", "N")]
    (folder / "table.csv").write_text("\n".join(["smiles,logS,pH", *rows]) + "\n")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    table = ["--csv", str(folder / "table.csv"), "--target-columns", "logS", "--extra-columns", "pH"]
    settings = {"predictor.members": "network", "samsa.layers": "1", "samsa.channels": "16", "optim.max_epoch": "2"}
    words = [word for pair in settings.items() for word in pair]
    try:
        assert main(["train", *table, "-q", "run_name", "tiny", *words]) == 0
    finally:
        patch.undo()
    return folder / "results" / "tiny" / "0"


@pytest.fixture(scope="module")
def known(run):
    """SMILES, pH and logS of a training molecule with eight carbons or more."""
    tested = {row["smiles"] for row in read(run / "predictions_test.csv")}
    rows = read(run.parents[2] / "table.csv")
    return next(row for row in rows if row["smiles"] not in tested and len(row["smiles"]) > 8)


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
