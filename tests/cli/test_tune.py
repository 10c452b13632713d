import pandas as pd
import pytest

from pyg_samsa.cli import main

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O", "Cl")]
TINY = ["samsa.channels", "8", "samsa.heads", "2", "samsa.num_samples", "4", "samsa.layers", "1", "num_threads", "1"]
TINY += ["accelerator", "cpu", "optim.num_warmup_epochs", "0", "boosting.trees", "5"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"mol": SMILES, "length": [len(text) for text in SMILES]})
    frame.to_csv("table.csv", index=False)
    return tmp_path


def run(*words):
    table = ["--csv", "table.csv", "--smiles-column", "mol", "--target-columns", "length"]
    return main(["tune", *table, "--epochs", "2", *words, *TINY])


def test_a_search_leaves_a_config_that_trains(table, capsys):
    assert run("--trials", "2", "--minutes", "5", "--out", "found") == 0
    shown = capsys.readouterr().out
    assert "network 0" in shown
    assert "trees 0" in shown
    assert "pyg-samsa train --cfg found/tune-table/best.yaml" in shown
    assert main(["train", "-q", "--cfg", "found/tune-table/best.yaml"]) == 0
    assert (table / "found" / "table" / "0" / "summary.json").is_file()


def test_without_a_finished_trial_it_says_what_to_do(table, capsys):
    assert run("-q", "--minutes", "1e-6") == 0
    assert "with more --minutes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tune"], "--csv"),
        (["tune", "--cfg", "quickstart", "--minutes", "0"], "--minutes"),
        (["tune", "--cfg", "quickstrat"], "quickstart"),
        (["tune", "--target-columns", "a"], "--target-columns needs --csv"),
    ],
)
def test_wrong_arguments_are_one_line(table, capsys, words, told):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) <= 2
