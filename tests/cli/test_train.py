import argparse
import csv
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import yaml

from pyg_samsa.cli import main, train
from pyg_samsa.errors import ConfigError
from pyg_samsa.hub import load_pretrained
from pyg_samsa.hub.model_config import read_config
from pyg_samsa.predict import BlendPredictor, MoleculePredictor, load_predictor

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
TINY = ["samsa.layers", "1", "samsa.channels", "16", "samsa.heads", "2", "samsa.num_samples", "8"]
TINY += ["num_threads", "1", "accelerator", "cpu", "optim.num_warmup_epochs", "0"]
TINY += ["predictor.refit", "descriptors"]
SETS = ["train", "train", "val", "test"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "mol", "length", "ring", "acid", "kind", "set"])
        for n, text in enumerate(SMILES):
            acid, ring = int(text.endswith("C(=O)O")), int("c1" in text)
            kind = "acid" if acid else "arene" if ring else "other"
            writer.writerow(
                [f"m{n}", text, 1000 + 5 * text.count("C"), ring, acid if n % 3 else "", kind, SETS[n // 4 % 4]]
            )
    return tmp_path


def run(*words, trees=False, refit="descriptors", warm_up="0"):
    """Train on the table; without the trees unless they are asked for, to save time."""
    only = [] if trees else ["--only", "network"]
    given = ["--csv", "table.csv", "--smiles-column", "mol", "--out", "results", *only]
    return main(["train", "-q", *given, *words, *TINY, "predictor.refit", refit, "optim.num_warmup_epochs", warm_up])


def test_regression_in_its_own_units(table, capsys):
    assert run("--target-columns", "length", "--epochs", "8") == 0
    folder = table / "results" / "table" / "0"
    assert f"pyg-samsa predict {folder.relative_to(table)} new.csv" in capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    written = pd.read_csv(folder / "predictions_test.csv")
    assert written["length_true"].between(1000, 1100).all()
    assert summary["test"]["mae"] == pytest.approx(
        (written["length_true"] - written["length_pred"]).abs().mean(), rel=1e-4
    )
    assert summary["test"]["mae"] < 60  # a network of raw outputs would be off by a thousand
    config = read_config(folder / "model")
    assert 1000 < load_pretrained(folder / "model")[0].scale.mean.item() < 1100
    assert config.metrics["test"]["mae"] == summary["test"]["mae"]
    predictor = MoleculePredictor.from_pretrained(folder)
    np.testing.assert_allclose(
        predictor.predict(written["smiles"].tolist()).values[:, 0], written["length_pred"], rtol=1e-5
    )
    assert main(["predict", "-q", str(folder / "model"), "table.csv", "out.csv", "--smiles-column", "mol"]) == 0
    assert len(pd.read_csv("out.csv")) == len(SMILES)


@pytest.mark.parametrize(
    ("words", "kind", "targets", "metric"),
    [
        (["--target-columns", "ring", "acid", "--split", "random"], "multilabel", ["ring", "acid"], "ap"),
        (["--target-columns", "ring", "--task", "binary", "--split-column", "set"], "binary", ["ring"], "auc"),
        (["--target-columns", "kind"], "multiclass", ["acid", "arene", "other"], "accuracy"),
    ],
)
def test_other_tasks(table, words, kind, targets, metric):
    assert run(*words, "--epochs", "1") == 0
    folder = table / "results" / "table" / "0"
    saved = read_config(folder / "model")
    assert (saved.task.kind, saved.task.names) == (kind, tuple(targets))
    assert metric in saved.metrics["val"]
    written = pd.read_csv(folder / "predictions_test.csv")
    predicted = MoleculePredictor.from_pretrained(folder).predict(written["smiles"].tolist()).values
    np.testing.assert_allclose(predicted, written[[f"{name}_pred" for name in targets]], atol=1e-5)


FEW_TREES = ["boosting.trees", "20", "boosting.min_leaf", "3", "predictor.tree_inputs", "[maccs, rdkit2d+maccs]"]
FEW_TREES += ["predictor.gp_inputs", "[maccs]"]


def test_trees_and_their_blend_beside_the_network(table, capsys):
    words = ["--target-columns", "length", "--split-column", "set", "--epochs", "1"]
    assert run(*words, *FEW_TREES, trees=True) == 0
    shown, folder = capsys.readouterr().out, table / "results" / "table" / "0"
    for text in ("Predictor", "network", "trees maccs", "rdkit2d + maccs", "member", "weight", "mae ↓"):
        assert text in shown
    saved = json.loads((folder / "predictor" / "predictor.json").read_text())
    predictor = load_predictor(folder)
    assert type(predictor) is BlendPredictor
    rows = pd.read_csv("table.csv")
    test = rows[rows["set"] == "test"]
    values = predictor.predict(test["mol"].tolist()).values[:, 0]
    assert saved["metrics"]["test"]["mae"] == pytest.approx((values - test["length"]).abs().mean(), rel=1e-4)
    network = json.loads((folder / "summary.json").read_text())
    assert saved["metrics"]["val"]["mae"] <= network["val"]["mae"] + 1e-4
    assert main(["predict", "-q", str(folder), "table.csv", "out.csv", "--smiles-column", "mol"]) == 0
    np.testing.assert_allclose(pd.read_csv("out.csv").loc[test.index, "length_pred"], values, rtol=1e-5)
    written = pd.read_csv(folder / "predictor_test.csv")
    assert written["smiles"].tolist() == test["mol"].tolist()
    np.testing.assert_allclose(written["length_pred"], values, rtol=1e-5)
    assert "test predictions of the predictor" in shown


def test_a_second_training_has_the_rates_of_the_first_where_a_schedule_watches_the_validation(table, capsys):
    plateau = ["optim.scheduler", "plateau", "optim.schedule_patience", "0", "optim.reduce_factor", "0.5"]
    assert run("--target-columns", "length", "--epochs", "6", *plateau, "optim.base_lr", "0.5", refit="all") == 0
    folder = table / "results" / "table" / "0"
    first, again = (pd.read_csv(path / "metrics.csv")["lr"] for path in (folder, folder / "refit" / "0"))
    assert first.nunique() > 1
    np.testing.assert_allclose(again, first)


def test_a_run_of_one_epoch_is_continued_for_more(table, capsys):
    words = ["--csv", "table.csv", "--smiles-column", "mol", "--target-columns", "length", "--only", "network"]
    words = ["train", *words, *TINY[:8], "num_threads", "1", "predictor.refit", "none"]
    assert main([*words, "--epochs", "1"]) == 0
    assert "changed   optim.num_warmup_epochs 3 -> 0.5 (optim.max_epoch is 1)" in capsys.readouterr().out
    assert main([*words, "--epochs", "5", "train.auto_resume", "True"]) == 0
    shown = capsys.readouterr().out
    assert "results/table/0 (continued)" in shown
    assert "changed" not in shown
    folder = table / "results" / "table"
    assert [path.name for path in folder.iterdir()] == ["0"]
    rates = pd.read_csv(folder / "0" / "metrics.csv")["lr"]
    assert len(rates) == 5
    assert (rates > 0).all()
    again = yaml.safe_load((folder / "0" / "config.yaml").read_text())
    assert again["tables"] == {"dataset.csv": hashlib.sha256((table / "table.csv").read_bytes()).hexdigest()}
    assert main(["train", "-q", "--cfg", str(folder / "0" / "config.yaml"), "out_dir", str(table / "again")]) == 0
    with open(table / "table.csv", "a") as file:
        file.write((table / "table.csv").read_text().splitlines()[1] + "\n")
    assert main([*words, "--epochs", "5", "train.auto_resume", "True"]) == 0
    assert "has other settings (the rows of dataset.csv)" in " ".join(capsys.readouterr().out.split())
    assert sorted(path.name for path in folder.iterdir()) == ["0", "0-2"]
    assert main(["train", "--cfg", str(folder / "0" / "config.yaml"), "optim.max_epoch", "6"]) == 0
    assert "changed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--folds", "9"], "error: predictor.folds: got 9, expected at most 3, the number of molecules"),
        (["--patience", "2"], "error: train.patience: got 2, expected 0, because nothing is validated"),
    ],
)
def test_what_a_small_table_does_not_allow_is_named(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three.csv").write_text("smiles,y\nCC,1\nCCC,2\nC,3\n")
    assert main(["train", "-q", "--csv", "three.csv", "--target-columns", "y", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_argument_and_a_setting_do_not_contradict_each_other(table, capsys):
    words = ["train", "-q", "--csv", "table.csv", "--smiles-column", "mol", "--target-columns", "length"]
    for given, told in (
        (["--epochs", "3", "optim.max_epoch", "2"], "--epochs: got 3, expected the value of optim.max_epoch 2"),
        (["--epochs", "3", "optim.max_epoch=2"], "--epochs: got 3, expected the value of optim.max_epoch 2"),
        (["--only", "gp", "predictor.members", "trees"], "--only: got 'gp', expected the value of predictor.members"),
        (["--only", "gp", "predictor.members", "[trees"], "--only: got 'gp', expected the value of predictor.members"),
        (["--split", "scaffold", "dataset.split_kind", "random"], "--split: got 'scaffold', expected the value of"),
    ):
        assert main([*words, *given]) == 2
        assert told in capsys.readouterr().err
    assert not (table / "results").exists()
    parser = argparse.ArgumentParser()
    train.configure(parser)
    same = parser.parse_args(["--csv", "a.csv", "--epochs", "3", "samsa.layers", "1", "optim.max_epoch", "3"])
    assert train.table_options(same).count("optim.max_epoch") == 1


def test_settings_of_a_config_of_another_task_give_way_to_the_table(table, capsys):
    small = ["samsa.layers", "1", "samsa.channels", "16", "samsa.heads", "2", "--epochs", "1", "--only", "network"]
    words = ["--csv", "table.csv", "--smiles-column", "mol", "--target-columns", "length"]
    assert main(["train", "--cfg", "quickstart", *words, *small, "num_threads", "1"]) == 0
    shown = capsys.readouterr().out
    for note in (
        "dataset.max_residues 24 -> null (the data set csv does not take it)",
        "model.loss_fun bce -> mse (the task is regression)",
        "metric_best ap -> auto (the task is regression)",
    ):
        assert note in shown
    assert (table / "results" / "quickstart" / "0" / "model").is_dir()


def test_all_members_are_fitted_again_with_the_validation_rows(table, capsys):
    words = ["--target-columns", "length", "--split-column", "set", "--epochs", "2"]
    few = ["predictor.tree_inputs", "[maccs]", "boosting.trees", "5", "predictor.gp_inputs", "[]"]
    arguments = ["train", "-q", "--csv", "table.csv", "--smiles-column", "mol", "--out", "results", *words, *TINY, *few]
    assert main([*arguments, "predictor.refit", "all"]) == 0
    folder = table / "results" / "table" / "0"
    assert "test: all fitted again" in capsys.readouterr().out
    rows = pd.read_csv("table.csv")
    again = json.loads((folder / "refit" / "0" / "summary.json").read_text())
    assert (again["epochs"], again["val"]) == (2, {})
    predictor, network = load_predictor(folder), MoleculePredictor.from_pretrained(folder / "refit" / "0" / "model")
    assert predictor.names[0] == "network"
    np.testing.assert_array_equal(predictor.members[0].predict(SMILES).values, network.predict(SMILES).values)
    # The first network has never seen the validation rows, and it scores them.
    first = MoleculePredictor.from_pretrained(folder / "model")
    val = rows[rows["set"] == "val"]
    expected = (first.predict(val["mol"].tolist()).values[:, 0] - val["length"]).abs().mean()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["predictor"]["scores"]["network"]["val"]["mae"] == pytest.approx(expected, rel=1e-4)
    card = (folder / "refit" / "0" / "model" / "README.md").read_text()
    assert "nothing was validated" in card
    assert f"{len(rows[rows['set'] != 'test'])} train, " in card


def test_a_stop_in_the_warm_up_does_not_hinder_the_second_training(table):
    words = ["--target-columns", "length", "--split-column", "set", "--epochs", "20", "--patience", "1"]
    few = ["predictor.tree_inputs", "[maccs]", "boosting.trees", "5", "predictor.gp_inputs", "[]"]
    assert run(*words, *few, "optim.base_lr", "1.0", trees=True, refit="all", warm_up="3") == 0
    folder = table / "results" / "table" / "0"
    assert json.loads((folder / "summary.json").read_text())["epochs"] < 20
    assert 3 < json.loads((folder / "refit" / "0" / "summary.json").read_text())["epochs"] < 20
    assert (folder / "predictor").is_dir()


def test_training_without_targets_and_from_it(table, capsys):
    given = ["--csv", "table.csv", "--smiles-column", "mol", "--out", "results", "--epochs", "1"]
    assert main(["train", *given, "--task", "masked", *TINY]) == 0
    assert "node level · masked" in capsys.readouterr().out
    words = ["--target-columns", "length", "--only", "network", *TINY, "train.start_from", "results/table/0"]
    assert main(["train", *given, *words]) == 0
    assert "(new: readout" in " ".join(capsys.readouterr().out.split())
    assert main(["train", *given, "--task", "masked", "--only", "trees"]) == 2
    assert "predictor.members: got 'trees', expected 'network' with the task masked" in capsys.readouterr().err


def test_trees_alone(table, capsys):
    assert run("--target-columns", "ring", "acid", *FEW_TREES, "--only", "trees", trees=True) == 0
    shown, folder = capsys.readouterr().out, table / "results" / "table" / "0"
    assert "trees maccs" in shown
    assert "parameters" not in shown
    assert not (folder / "model").exists()
    assert not (folder / "checkpoints").exists()
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["epochs"], summary["status"]) == (20, "finished")
    written = pd.read_csv(folder / "predictions_test.csv")
    predicted = load_predictor(folder).predict(written["smiles"].tolist()).values
    np.testing.assert_allclose(predicted, written[["ring_pred", "acid_pred"]], atol=1e-5)


def test_a_single_model_of_trees_prints_its_metrics(table, capsys):
    words = [
        "--target-columns",
        "length",
        "--only",
        "trees",
        "boosting.trees",
        "20",
        "predictor.tree_inputs",
        "[maccs]",
    ]
    assert run(*words, trees=True) == 0
    shown = capsys.readouterr().out
    assert "trees maccs" in shown
    assert "mae ↓" in shown


def test_repeats_with_trees(table, capsys):
    words = ["--target-columns", "kind", "--epochs", "1", "--repeat", "2"]
    assert run(*words, *FEW_TREES, trees=True) == 0
    assert "means of 2 repeats" in capsys.readouterr().out
    seeds = [load_predictor(table / "results" / "table" / seed) for seed in "01"]
    for predictor in seeds:
        np.testing.assert_allclose(predictor.predict(SMILES).values.sum(1), 1, atol=1e-6)


def test_trees_need_lightgbm(table, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "lightgbm" else object())
    assert run("--target-columns", "ring", "--epochs", "1", trees=True) == 2
    assert "pyg-samsa[chem]" in capsys.readouterr().err
    assert not (table / "results").exists()


def test_the_dumped_configuration_runs_again(table):
    assert run("--target-columns", "length", "--epochs", "1") == 0
    first = json.loads((table / "results/table/0/summary.json").read_text())
    assert main(["train", "-q", "--cfg", "results/table/0/config.yaml"]) == 0
    again = json.loads((table / "results/table/0-2/summary.json").read_text())
    assert again["test"] == first["test"]


def test_with_a_configuration_of_ones_own(table):
    (table / "mine.yaml").write_text(
        yaml.safe_dump({"model": {"type": "samsa"}, "optim": {"max_epoch": 1, "optimizer": "adamW"}, "seed": 4})
    )
    assert run("--target-columns", "length", "--cfg", "mine.yaml") == 0
    assert (table / "results" / "mine" / "4" / "model" / "config.json").is_file()


def test_unreadable_molecules(table, capsys):
    with open("table.csv", "a") as file:
        file.write("broken,C1CC,1000,0,0,other,train\n")
    assert run("--target-columns", "length", "--epochs", "1") == 3
    shown = capsys.readouterr().err
    assert "row 49" in shown
    assert "--skip-invalid" in shown
    assert run("--target-columns", "length", "--epochs", "1", "--skip-invalid") == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--csv", "none.csv", "--target-columns", "y"], 3, "none.csv"),
        (["--csv", "table.csv", "--smiles-column", "mol"], 2, "--target-columns"),
        (["--csv", "table.csv", "--target-columns", "lenght"], 2, "Did you mean 'length'?"),
        (["--csv", "table.csv", "--target-columns", "length", "--split", "column"], 2, "--split-column"),
        (["--target-columns", "length"], 2, "--csv"),
        (["table.csv"], 2, "--csv table.csv"),
        (["--csv", "table.csv", "--target-columns", "length", "--epochs", "0"], 2, "optim.max_epoch"),
    ],
)
def test_what_goes_wrong_is_one_line(table, capsys, words, code, told):
    assert main(["train", "-q", *words]) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) <= 2


def test_the_hint_after_an_interruption_goes_on_in_the_same_folder(table, monkeypatch, capsys):
    from pyg_samsa.experiments import run as runner

    words = ["--target-columns", "length", "--epochs", "1"]
    assert run(*words, "train.auto_resume", "True") == 0
    monkeypatch.setattr(runner, "run", stop)
    assert run(*words, "train.auto_resume", "False") == 130
    hint = capsys.readouterr().err.strip().splitlines()[-1].split()
    assert hint[:2] == ["pyg-samsa", "train"]
    monkeypatch.undo()
    monkeypatch.chdir(table)
    assert hint.count("train.auto_resume") == 1
    hint[hint.index("--epochs") + 1] = "2"
    assert main(hint[1:]) == 0
    assert [path.name for path in (table / "results").iterdir()] == ["table"]
    assert [path.name for path in (table / "results" / "table").iterdir()] == ["0"]
    assert len(pd.read_csv(table / "results/table/0/metrics.csv")) == 2


def test_the_hint_after_an_interruption_says_it_all():
    from pyg_samsa.cli import _parser

    words = ["--csv", "my table.csv", "--target-columns", "log S", "7", "--epochs", "3", "--patience", "2"]
    words += ["--folds", "4"]
    args = _parser().parse_args(["train", *words, "samsa.layers", "2"])
    hint = train.resume_hint(args)
    for words in (
        "--csv 'my table.csv'",
        "--target-columns 'log S' 7 --",
        "--folds 4 --epochs 3 --patience 2",
        "samsa.layers 2 train.auto_resume True",
    ):
        assert words in hint


@pytest.mark.parametrize("words", [["--folds", "2"], ["--ensemble", "2"]])
def test_one_predictor_of_several_networks_with_intervals(table, capsys, words):
    pytest.importorskip("lightgbm")
    few = ["predictor.tree_inputs", "[maccs]", "boosting.trees", "5"]
    # Without -q: the lines of the networks and the tables are shown.
    data = ["--csv", "table.csv", "--smiles-column", "mol", "--out", "results", "--target-columns", "length"]
    assert main(["train", *data, "--epochs", "1", *words, *TINY, *few]) == 0
    shown = capsys.readouterr().out
    assert "mean ± standard deviation of 2 repeats" in shown
    assert "2 networks" in shown
    assert "test values; mean width" in shown
    assert (
        main(
            [
                "predict",
                "-q",
                "results/table/0",
                "table.csv",
                "out.csv",
                *["--smiles-column", "mol"],
                "--interval",
                "0.5",
            ]
        )
        == 0
    )
    written = pd.read_csv("out.csv")
    assert (written["length_low"] < written["length_pred"]).all()
    assert (written["length_pred"] < written["length_high"]).all()


def test_settings_may_stand_right_behind_the_target_columns(table):
    assert run("--epochs", "1", "--target-columns", "ring", "acid", "seed", "5") == 0
    assert read_config(table / "results" / "table" / "5" / "model").task.names == ("ring", "acid")


def test_descriptors_and_extra_columns_reach_the_saved_model_and_its_predictions(table):
    words = ["--target-columns", "length", "--extra-columns", "ring", "dataset.descriptors", "[rdkit2d, maccs]"]
    assert run("--epochs", "2", *words) == 0
    run_folder = table / "results" / "table" / "0"
    config = read_config(run_folder / "model")
    assert (config.descriptors, config.extra_columns) == (("rdkit2d", "maccs"), ("ring",))
    assert main(["predict", "-q", str(run_folder), "table.csv", "out.csv", "--smiles-column", "mol"]) == 0
    tested, found = pd.read_csv(run_folder / "predictions_test.csv"), pd.read_csv("out.csv")
    np.testing.assert_allclose(
        found["length_pred"].to_numpy()[tested["row"]], tested["length_pred"].to_numpy(), rtol=1e-5
    )
    pd.read_csv("table.csv").drop(columns="ring").to_csv("less.csv", index=False)
    assert main(["predict", "-q", str(run_folder), "less.csv", "out2.csv", "--smiles-column", "mol"]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dataset.descriptors", "[macs]"], "dataset.descriptors: got 'macs', expected one of 'rdkit2d'"),
        (
            ["dataset.descriptors", "[maccs]", "model.type", "point_net"],
            "dataset.descriptors: got ['maccs'], expected none",
        ),
        (
            ["dataset.extra_columns", "[ring]", "model.type", "bag_of_features", "dataset.descriptors", "[]"],
            "dataset.extra_columns: got ['ring'], expected none",
        ),
        (["dataset.extra_columns", "[rings]"], "--extra-columns: got 'rings', expected the name of a column"),
    ],
)
def test_wrong_descriptors_and_extra_columns_are_one_line(table, capsys, words, told):
    assert run("--target-columns", "length", *words) == 2
    assert f"error: {told}" in capsys.readouterr().err


def stop(*args, **options):
    raise KeyboardInterrupt


def test_ctrl_c_in_training_tells_how_to_go_on(monkeypatch, capsys):
    from pyg_samsa.experiments import run as runner

    monkeypatch.setattr(runner, "run", stop)
    assert main(["train", "--cfg", "quickstart", "--repeat", "2", "samsa.layers", "3"]) == 130
    assert (
        "pyg-samsa train --cfg quickstart --repeat 2 samsa.layers 3 train.auto_resume True" in capsys.readouterr().err
    )


def test_train_takes_graphgyms_arguments(monkeypatch):
    from pyg_samsa.experiments import run as runner

    seen = []
    monkeypatch.setattr(runner, "run", lambda cfg, opts, **options: seen.append((cfg, opts, options)))
    assert main(["train", "-q", "--cfg", "quickstart", "--repeat", "3", "optim.max_epoch", "2"]) == 0
    assert main(["train", "--cfg", "quickstart", "train.epoch_resume", "-1", "a=b", "-v"]) == 0
    assert seen[0] == ("quickstart", ["optim.max_epoch", "2"], {"repeat": 3, "verbosity": -1})
    assert seen[1] == ("quickstart", ["train.epoch_resume", "-1", "a=b"], {"repeat": 1, "verbosity": 1})


def test_mark_done_renames_the_file_but_never_a_packaged_one(monkeypatch, tmp_path):
    from pyg_samsa.experiments import run as runner

    monkeypatch.setattr(runner, "run", lambda *args, **options: [])
    path = tmp_path / "exp.yaml"
    path.write_text("seed: 1")
    assert main(["train", "--cfg", str(path), "--mark_done"]) == 0
    assert [child.name for child in tmp_path.iterdir()] == ["exp.yaml_done"]
    assert main(["train", "--cfg", "quickstart", "--mark_done"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--cfg", "nowhere.yaml"],
        ["train", "--cfg", "quickstart", "--repeat", "0"],
        ["train", "--cfg", "quickstart", "no.such", "1"],
    ],
)
def test_bad_training_arguments(capsys, arguments):
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "Traceback" not in shown


def test_list_of_configurations(capsys, monkeypatch):
    from pyg_samsa.graphgym.config import packaged_configs

    monkeypatch.setenv("COLUMNS", "80")
    assert main(["train", "--list"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines() if not line.startswith(" ")] == packaged_configs()
    assert {"quickstart", "peptides_func", "peptides_struct", "peptides_func_small"} <= set(packaged_configs())
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_resume_hint_quotes():
    hint = train.resume_hint(parse(["--cfg", "my file.yaml", "train.auto_resume", "True"]))
    assert "'my file.yaml'" in hint
    assert hint.count("auto_resume") == 1


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["--epochs", "3", "--out", "my results"], {"optim.max_epoch": 3, "out_dir": "my results"}),
        (
            ["--csv", "a/esol.csv", "--target-columns", "7", "yes"],
            {
                "dataset.csv": "a/esol.csv",
                "dataset.target_columns": ["7", "yes"],
                "dataset.format": "samsa",
                "dataset.name": "csv",
                "run_name": "esol",
            },
        ),
        (
            ["--csv", "b.csv", "--cfg", "my.yaml", "--split-column", "fold", "--skip-invalid", "--task", "binary"],
            {
                "dataset.csv": "b.csv",
                "dataset.csv_task": "binary",
                "dataset.split_column": "fold",
                "dataset.split_kind": "column",
                "dataset.skip_invalid": True,
                "dataset.format": "samsa",
                "dataset.name": "csv",
            },
        ),
        (["--csv", "b.csv", "--extra-columns", "T", "7"], {"dataset.extra_columns": ["T", "7"]}),
        (
            ["--csv", "b.csv", "--split-column", "f", "--split", "random", "--cfg", "c"],
            {"dataset.split_kind": "random"},
        ),
    ],
)
def test_arguments_become_settings(words, settings):
    """Read back as GraphGym reads them: every word as YAML."""
    found = train.table_options(parse(words))
    read = {key: yaml.safe_load(value) for key, value in zip(found[::2], found[1::2], strict=True)}
    assert {key: read.get(key) for key in settings} == settings
    assert settings or not read


@pytest.mark.parametrize("name", ["smiles-column", "extra-columns", "task", "split", "split-column", "only"])
def test_arguments_of_a_table_need_the_table(name):
    word = {"task": "binary", "split": "random", "only": "trees"}.get(name, "x")
    with pytest.raises(ConfigError, match="a table of molecules"):
        train.table_options(parse([f"--{name}", word]))


def parse(words):
    parser = argparse.ArgumentParser()
    train.configure(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", ""], "out_dir: got '', expected the name of a folder"),
        (["--split", "column"], "--split-column: --split column needs the name of the column that holds train, val"),
        (["--split", "random", "--split-column", "set"], "--split-column: the column 'set' is not read"),
        (["devices", "999"], "devices: got 999, expected at most"),
        (["num_workers", "999"], "num_workers: got 999, expected a number of at least 0, of at most"),
        (
            ["train.fit_schedule", "True"],
            "train.fit_schedule: got True, expected False where train.max_seconds is",
        ),
    ],
)
def test_wrong_values_are_told_before_a_folder_is_made(table, capsys, words, message):
    given = ["--csv", "table.csv", "--smiles-column", "mol", "--target-columns", "length", "accelerator", "cpu"]
    assert main(["train", "-q", *given, *words]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert not (table / "results").exists()


def test_the_folder_of_a_run_is_not_its_configuration(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("seed: 1")
    assert main(["train", "--cfg", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert f"error: --cfg: got '{tmp_path}', expected a YAML file, not a folder" in shown
    assert f"--cfg {tmp_path / 'config.yaml'}" in shown


def test_standardisation_of_a_run(table, capsys, caplog):
    with open("table.csv", "a") as file:
        file.write("salt,CCCC[NH3+].[Cl-],1020,0,0,other,train\n")
    words = ["--target-columns", "length", "--epochs", "1", "--standardize", "neutralize", "fragment"]
    assert run(*words, "seed", "3") == 0
    assert "standardised 1 of 49 molecules: 1 largest fragment, 1 neutralised; listed in " in caplog.text
    assert "the standardisation makes 2 rows equal, to 1 molecule" in caplog.text
    assert "standardized.csv" in capsys.readouterr().out
    folder = table / "results" / "table" / "3"
    assert (folder / "standardized.csv").read_text().splitlines() == [
        "row,smiles,standardized,steps",
        "49,CCCC[NH3+].[Cl-],CCCCN,fragment neutralize",
    ]
    predictor = load_predictor(folder)
    assert predictor.standardize == ("fragment", "neutralize")
    given, free = predictor.predict(["CCCC[NH3+].[Cl-]", "CCCCN"]).values
    assert given == pytest.approx(free, rel=1e-6)
