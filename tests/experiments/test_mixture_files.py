"""Runs on several tasks, from the configuration to the files."""

import json
import signal

import pandas as pd
import pytest
import torch
import yaml

import tests.tiny  # registers its loader
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.hub import load_pretrained
from pyg_samsa.training.run_record import find_run_folders, read_run
from tests import fresh_process

SIZES = {"layers": 1, "channels": 8, "heads": 2, "num_samples": 4, "dropout": 0.1, "local": "gine"}
TASKS = {
    "labels": {"name": "multilabel", "task_type": "classification_multilabel"},
    "heights": {"name": "regression", "task_type": "regression"},
    "nodes": {"name": "multiclass-node", "task_type": "classification"},
    "hidden": {"name": "multiclass", "task_type": "masked"},
}


@pytest.fixture
def trunk(tmp_path):
    """Writes a configuration of some of the tasks: ``trunk("labels", "nodes")``."""

    def make(*names, stem="trunk", **content):
        entries = []
        for name in names:
            path = tmp_path / f"{name}.yaml"
            dataset = {"format": "tiny", **TASKS[name]}
            path.write_text(
                yaml.safe_dump({"dataset": dataset, "model": {"type": "samsa"}, "train": {"batch_size": 8}})
            )
            entries.append({"cfg": str(path), "samsa": {"bridge": name == "labels"}})
        path = tmp_path / f"{stem}.yaml"
        optim = {"max_epoch": 4, "base_lr": 0.01, "optimizer": "adamW", "scheduler": "cosine_with_warmup"}
        shared = {"samsa": SIZES, "optim": optim, "out_dir": str(tmp_path / "results"), "accelerator": "cpu"}
        path.write_text(yaml.safe_dump({"tasks": entries, **shared, **content}))
        return path

    return make


def test_a_run_has_a_folder_and_one_for_each_task(trunk, tmp_path, capsys):
    (result,) = runner.run(trunk(*TASKS))
    folder = tmp_path / "results" / "trunk" / "0"
    assert result.folder.path == folder
    rows = pd.read_csv(folder / "metrics.csv")
    assert rows["epoch"].tolist() == [1, 2, 3, 4]
    assert {"train_loss", "val_score", "val_labels/ap", "val_heights/mae", "val_hidden/loss"} <= set(rows)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best_epoch"] == int(rows.loc[rows["val_score"].idxmax(), "epoch"])
    assert set(summary["tasks"]) == set(TASKS)
    for name in TASKS:
        own = folder / "tasks" / name
        told = json.loads((own / "summary.json").read_text())
        assert told["best_epoch"] == summary["best_epoch"]
        assert told["test"]
        assert all(summary["test"][f"{name}/{key}"] == value for key, value in told["test"].items())
        assert pd.read_csv(own / "metrics.csv")["val_loss"].tolist() == rows[f"val_{name}/loss"].tolist()
        assert (own / "predictions_test.csv").is_file() == (name != "hidden")
        assert (own / "learning_curves.png").is_file()
        if name != "hidden":
            network, config = load_pretrained(own)
            assert config.options["modality_vector"] is True
            assert network.readout.level == ("node" if name == "nodes" else "graph")
    assert pd.read_csv(folder / "tasks" / "labels" / "predictions_test.csv")["row"].tolist() == list(range(48, 59))
    shown = capsys.readouterr().out
    table = [" ".join(line.split()) for line in shown.splitlines()]
    assert sum(line.startswith("labels loss ↓ ") for line in table) == 1
    assert sum(line.startswith("mae ↓ ") for line in table) == 1


def test_the_saved_network_of_a_task_predicts_what_was_tested(trunk, tmp_path):
    runner.run(trunk("labels", "nodes"))
    own = tmp_path / "results" / "trunk" / "0" / "tasks" / "labels"
    network, _ = load_pretrained(own)
    table = pd.read_csv(own / "predictions_test.csv")
    data = tests.tiny.Tiny("multilabel")[int(table["row"][3])]
    found = network(data.x, data.edge_index, data.edge_attr).sigmoid()[0]
    torch.testing.assert_close(
        found, torch.tensor(table.loc[3, ["a_pred", "b_pred", "c_pred"]].tolist()), atol=1e-5, rtol=0
    )


def test_reports_find_the_tasks_of_a_run(trunk, tmp_path):
    runner.run(trunk("labels", "heights"))
    folders = find_run_folders([tmp_path / "results"])
    assert [folder.name for folder in folders] == ["0", "heights", "labels"]
    whole, heights, labels = map(read_run, folders)
    assert (whole.metric, heights.metric, labels.metric) == ("score", "mae", "ap")
    assert set(whole.scores("test")) == {"loss", "score"}
    assert whole.is_mixture
    assert not labels.is_mixture
    assert labels.name == "trunk-labels"
    assert len(labels.predictions) == 11


@pytest.mark.parametrize("mixing", ["proportional", "annealed"])
def test_an_interrupted_mixture_goes_on_exactly(trunk, tmp_path, mixing):
    opts = ["trunk.mixing", mixing, "trunk.loss_weights", "uncertainty", "train.auto_resume", "True"]
    opts += ["optim.max_epoch", "3"]
    names = ("labels", "nodes", "hidden")
    (straight,) = runner.run(trunk(*names, stem="straight"), opts)

    def stop(plan, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    path = trunk(*names, stem="broken")
    with pytest.raises(KeyboardInterrupt):
        runner.run(path, opts, on_epoch=stop)
    (resumed,) = runner.run(path, opts)
    assert_same_run(straight, resumed)


def assert_same_run(straight, resumed):
    """Assert that two runs have the same metrics in every epoch, and the same weights."""
    assert resumed.test == straight.test
    assert_same_files(straight.folder.path, resumed.folder.path)


def assert_same_files(straight, resumed):
    times = ["seconds", "total_seconds"]
    first, second = (pd.read_csv(folder / "metrics.csv").drop(columns=times) for folder in (straight, resumed))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    first, second = (json.loads((folder / "summary.json").read_text())["test"] for folder in (straight, resumed))
    assert first == second
    checkpoints = [folder / "checkpoints" / "last.ckpt" for folder in (straight, resumed)]
    states = [torch.load(path, weights_only=False)["state_dict"] for path in checkpoints]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_hidden_features_are_encoded_by_the_weights_of_the_labelled_task(trunk, tmp_path):
    entry = yaml.safe_load(trunk("labels").read_text())["tasks"][0]
    hidden = {**entry, "name": "hidden", "dataset": {"task_type": "masked"}}
    path = trunk("labels", trunk={"share_tokenizers": True}, tasks=[entry, hidden])
    (result,) = runner.run(path, ["optim.max_epoch", "1"])
    assert result.test["hidden/loss"] > 0
    state = torch.load(result.folder.last, weights_only=False)["state_dict"]
    shared = [name for name in state if name.startswith("network.parts.labels.model.tokenizer.")]
    assert any(".edge_encoder." in name for name in shared)
    for name in shared:
        twin = name.replace("parts.labels", "parts.hidden")
        for kind in ("node_encoder", "edge_encoder"):
            twin = twin.replace(f"{kind}.", f"{kind}.encoder.")
        assert torch.equal(state[name], state[twin])
    (alone,) = runner.run(
        result.folder.path / "tasks" / "labels" / "config.yaml", ["train.start_from", str(result.folder.path)]
    )
    assert alone.test["ap"] > 0


KILL = """
import os, signal, sys
import tests.tiny
from pyg_samsa.cli import main
from pyg_samsa.training.mixed_module import MixedModule

step, seen = MixedModule.training_step, []

def killed(self, batch, *args):
    loss = step(self, batch, *args)
    seen.append(self.trainer.current_epoch)
    if self.trainer.current_epoch == 2 and seen.count(2) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss

MixedModule.training_step = killed
sys.exit(main(["train", *sys.argv[1:]]))
"""


def test_a_mixture_that_is_killed_within_an_epoch_goes_on_exactly(trunk, tmp_path):
    """All runs are processes of their own, so that no other test has changed what they compute with."""
    names = ("labels", "nodes", "hidden")
    opts = ["train.auto_resume", "True", "num_threads", "1", "optim.max_epoch", "3"]
    straight, broken = (trunk(*names, stem=stem) for stem in ("straight", "killed"))
    whole = KILL.replace("seen.count(2) == 5", "False")
    assert whole != KILL

    def train(code, path):
        return fresh_process.run(code, "--cfg", path, *opts, cwd=tmp_path)

    done = train(KILL, broken)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    folder = tmp_path / "results" / "killed" / "0"
    assert pd.read_csv(folder / "metrics.csv")["epoch"].tolist() == [1, 2]
    for path in (straight, broken):
        done = train(whole, path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert_same_files(folder.parents[1] / "straight" / "0", folder)


def test_a_finished_mixture_is_not_trained_again_but_completed(trunk, tmp_path):
    opts = ["train.auto_resume", "True", "optim.max_epoch", "1"]
    path = trunk("labels", "nodes", "hidden")
    (first,) = runner.run(path, opts)
    (again,) = runner.run(path, opts)
    assert again.reused
    assert again.test == first.test
    lost = first.folder.path / "tasks" / "nodes" / "predictions_test.csv"
    lost.unlink()
    runner.run(path, opts)
    assert lost.is_file()


def test_the_same_tasks_alone_start_from_the_trunk(trunk, tmp_path, capsys):
    (first,) = runner.run(trunk("labels", "nodes"), ["optim.max_epoch", "1"])
    own = first.folder.path / "tasks"
    still = ["optim.base_lr", "1e-12", "samsa.dropout", "0.0"]
    (same,) = runner.run(own / "labels" / "config.yaml", ["train.start_from", str(own / "labels"), *still])
    assert same.test["ap"] == pytest.approx(first.test["labels/ap"], abs=1e-5)
    opts = ["train.start_from", str(first.folder.path), "train.adapt", "readout"]
    capsys.readouterr()
    (probed,) = runner.run(own / "nodes" / "config.yaml", opts)
    shown = " ".join(capsys.readouterr().out.split())
    assert "new: readout" in shown
    assert "further parameters are frozen" in shown
    before, after = load_pretrained(own / "nodes")[0], load_pretrained(own / "nodes")[0]
    checkpoint = torch.load(probed.folder.last, weights_only=False)["state_dict"]
    after.load_state_dict(
        {
            name.removeprefix("network.model."): value
            for name, value in checkpoint.items()
            if name.startswith("network.model.")
        }
    )
    for name, value in before.encoder.state_dict().items():
        assert torch.equal(after.encoder.state_dict()[name], value)


def test_frozen_weights_need_a_network_to_start_from(trunk):
    with pytest.raises(ConfigError, match=r"train\.adapt: got 'lora', expected 'all' without train\.start_from"):
        runner.run(trunk("labels"), ["train.adapt", "lora"])


def test_several_seeds_of_a_mixture(trunk, tmp_path, capsys):
    results = runner.run(trunk("labels", "nodes"), ["optim.max_epoch", "1"], repeat=2)
    assert [result.folder.path.name for result in results] == ["0", "1"]
    assert "mean ± standard deviation of 2 repeats" in capsys.readouterr().out


def test_two_processes_test_every_row_of_every_task_once(trunk, tmp_path):
    """With no update of the weights, all values are those of one process."""
    frozen = {"optim": {"base_lr": 1e-9, "weight_decay": 0.0, "max_epoch": 1}, "trunk": {"loss_weights": "uncertainty"}}
    path = trunk("labels", "nodes", "heights", **frozen)
    code = "import sys, tests.tiny; from pyg_samsa.cli import main; sys.exit(main(['train', *sys.argv[1:]]))"
    for done in fresh_process.run_group(code, "--cfg", path, "devices", 2, cwd=tmp_path):
        assert done.returncode == 0, done.stdout + done.stderr
    two = tmp_path / "results" / "trunk" / "0"
    (one,) = runner.run(path)
    summary = json.loads((two / "summary.json").read_text())
    assert summary["test"].keys() == one.test.keys()
    for name, value in one.test.items():
        assert summary["test"][name] == pytest.approx(value, abs=1e-4), name
    for name in ("labels", "nodes"):
        table = pd.read_csv(two / "tasks" / name / "predictions_test.csv")
        assert sorted(set(table["row"])) == list(range(48, 59))
        assert not table.duplicated(["row", "node"] if name == "nodes" else ["row"]).any()
