import dataclasses
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, DataNotFoundError, NumericalError
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.training import callbacks, time_limit
from pyg_samsa.training.module import TaskModule
from tests import fresh_process

FILES = [
    "metrics.csv",
    "learning_curves.png",
    "per_class.png",
    "predictions_test.csv",
    "config.yaml",
    "summary.json",
    "environment.json",
]


def history(folder):
    return pd.read_csv(folder / "metrics.csv")


def test_run_writes_everything(config, tmp_path, capsys):
    (result,) = runner.run(config())
    folder = tmp_path / "results" / "exp" / "0"
    assert result.folder.path == folder
    assert all((folder / name).is_file() for name in FILES)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    rows = history(folder)
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert {"lr", "seconds", "train_loss", "train_ap", "val_loss", "val_ap", "step"} <= set(rows)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best_epoch"] == int(rows.loc[rows["val_ap"].idxmax(), "epoch"])
    assert summary["val"]["ap"] == pytest.approx(rows["val_ap"].max())
    predictions = pd.read_csv(folder / "predictions_test.csv")
    assert predictions["row"].tolist() == list(range(48, 59))
    assert predictions["smiles"].tolist() == [f"C{row}" for row in range(48, 59)]
    assert predictions["a_pred"].between(0, 1).all()
    assert set(summary["per_class"]) == {"name", "ap", "base_rate", "positives"}
    shown = capsys.readouterr().out
    assert "base rate" in shown
    assert max(len(line) for line in shown.splitlines() if "config" not in line and str(tmp_path) not in line) <= 100


def test_baseline_without_structure(config, capsys):
    (result,) = runner.run(config(model={"type": "bag_of_features"}))
    assert "ap" in result.test
    assert "bag_of_features" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="bag_of_features"):
        runner.run(config(model={"type": "bag_of_features"}, gnn={"head": "inductive_node"}))


def test_predictions_give_the_test_metric(config):
    from sklearn.metrics import average_precision_score

    (result,) = runner.run(config())
    table = pd.read_csv(result.folder.file("predictions_test.csv"))
    ap = sum(average_precision_score(table[f"{name}_true"], table[f"{name}_pred"]) for name in "abc") / 3
    assert result.test["ap"] == pytest.approx(ap, abs=1e-6)


def test_dumped_config_runs_again_with_the_same_result(config):
    (first,) = runner.run(config())
    (again,) = runner.run(first.folder.file("config.yaml"))
    assert again.folder.path.name == "0-2"
    assert again.folder.path.parent == first.folder.path.parent
    columns = ["epoch", "step", "lr", "train_loss", "train_ap", "val_loss", "val_ap"]
    pd.testing.assert_frame_equal(history(first.folder.path)[columns], history(again.folder.path)[columns])
    assert first.test == again.test


def test_earlier_runs_stay(config):
    path = config(optim={"max_epoch": 1})
    folders = [runner.run(path)[0].folder.path for _ in range(3)]
    assert [folder.name for folder in folders] == ["0", "0-2", "0-3"]
    assert all((folder / "summary.json").is_file() for folder in folders)


def test_repeats_use_successive_seeds_and_fresh_networks(config):
    results = runner.run(config(optim={"max_epoch": 1}, seed=3), repeat=2)
    assert [result.folder.path.name for result in results] == ["3", "4"]
    losses = [history(result.folder.path)["train_loss"][0] for result in results]
    assert losses[0] != losses[1]
    (alone,) = runner.run(config(optim={"max_epoch": 1}, seed=4))
    assert history(alone.folder.path)["train_loss"][0] == losses[1]


def test_a_run_reads_the_configuration_and_does_not_write_it(config, monkeypatch):
    def frozen(*arguments):
        loaded = load_config(*arguments)
        cfg.freeze()
        return loaded

    monkeypatch.setattr(runner, "load_config", frozen)
    model = {"type": "gcn"}
    for changes in ({}, {"model": model}, {"dataset": {"name": "regression"}, "metric_best": "auto"}):
        path = config(**{"name_tag": "tag", "optim": {"max_epoch": 1, "scheduler": "none"}, **changes})
        if "dataset" in changes:
            path.write_text(
                path.read_text()
                .replace("loss_fun: cross_entropy", "")
                .replace("classification_multilabel", "regression")
            )
        before = yaml.safe_dump(runner.load_config(path) and plain(cfg))
        results = runner.run(path, repeat=2)
        assert yaml.safe_dump(plain(cfg)) == before
        written = [yaml.safe_load(result.folder.file("config.yaml").read_text()) for result in results]
        assert [content["seed"] for content in written] == [0, 1]
        assert {(content["run_name"], content["name_tag"]) for content in written} == {("exp-tag", "")}
    # The written configuration holds what followed from the task.
    assert (written[0]["metric_agg"], written[0]["model"]["loss_fun"]) == ("argmin", "mse")
    cfg.defrost()


def plain(node):
    return {key: plain(value) if isinstance(value, dict) else value for key, value in node.items() if key != "share"}


class Stopped(Exception):
    pass


def stop_at(monkeypatch, epoch, error=Stopped):
    original = TaskModule.training_step

    def step(self, batch, batch_idx):
        if self.current_epoch == epoch and batch_idx == 1:
            raise error
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TaskModule, "training_step", step)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optim": {"scheduler": "plateau", "schedule_patience": 0, "reduce_factor": 0.5}},
        {"optim": {"batch_accumulation": 2}, "num_workers": 1},
    ],
    ids=["cosine", "plateau", "workers"],
)
def test_resume_is_exact(config, monkeypatch, options):
    options = {**options, "optim": {"max_epoch": 4, **options.get("optim", {})}}
    path = config(train={"auto_resume": True}, **options)
    (whole,) = runner.run(config("whole.yaml", **options))
    with monkeypatch.context() as patch:
        stop_at(patch, epoch=2)
        with pytest.raises(Stopped):
            runner.run(path)
    (resumed,) = runner.run(path)
    assert resumed.folder.path.name == "0"
    columns = ["epoch", "step", "lr", "train_loss", "train_ap", "val_loss", "val_ap"]
    pd.testing.assert_frame_equal(
        history(whole.folder.path)[columns], history(resumed.folder.path)[columns], check_exact=True
    )
    assert whole.test == resumed.test
    assert whole.best_epoch == resumed.best_epoch


def test_resume_of_a_finished_run_trains_nothing(config, monkeypatch):
    path = config(train={"auto_resume": True}, optim={"max_epoch": 1})
    (first,) = runner.run(path)
    stop_at(monkeypatch, epoch=0)
    (again,) = runner.run(path)
    assert again.reused
    assert again.test == first.test


def test_resume_with_other_settings_gets_its_own_folder(config, capsys):
    runner.run(config(train={"auto_resume": True}, optim={"max_epoch": 1}))
    (other,) = runner.run(config(train={"auto_resume": True}, optim={"max_epoch": 1, "base_lr": 0.02}))
    assert other.folder.path.name == "0-2"
    assert "optim.base_lr" in capsys.readouterr().out


def test_a_run_of_a_version_with_fewer_settings_is_continued(config):
    """A setting that its configuration lacks had its default."""
    path = config(train={"auto_resume": True}, optim={"max_epoch": 1})
    (first,) = runner.run(path)
    kept = yaml.safe_load(first.folder.file("config.yaml").read_text())
    assert kept.pop("graphormer")
    assert kept["pe"].pop("role") == "add"
    first.folder.write_config(kept)
    (again,) = runner.run(path)
    assert again.reused
    (other,) = runner.run(path, ["graphormer.num_layers", "3"])
    assert other.folder.path.name == "0-2"


def test_ctrl_c_in_training_is_an_interruption(config, monkeypatch):
    import signal

    before = signal.getsignal(signal.SIGINT)
    stop_at(monkeypatch, epoch=0, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run(config())
    signal.signal(signal.SIGINT, before)


def test_not_finite_loss_names_the_step(config, monkeypatch):
    original = TaskModule.forward

    def forward(self, batch):
        pred, target = original(self, batch)
        return (pred * float("nan") if self.training and self.global_step == 2 else pred), target

    monkeypatch.setattr(TaskModule, "forward", forward)
    with pytest.raises(NumericalError, match="step 2"):
        runner.run(config())


@pytest.mark.parametrize(
    ("name", "changes", "metric"),
    [
        (
            "regression",
            {
                "dataset": {"task_type": "regression"},
                "metric_best": "mae",
                "metric_agg": "argmin",
                "model": {"loss_fun": "smoothl1"},
            },
            "mae",
        ),
        (
            "regression",
            {
                "dataset": {"task_type": "regression"},
                "metric_best": "auto",
                "train": {"precision": "bf16-mixed"},
                "model": {"loss_fun": "l1"},
            },
            "r2",
        ),
        ("multiclass", {"dataset": {"task_type": "classification"}, "metric_best": "auto"}, "accuracy"),
        (
            "multiclass-node",
            {"dataset": {"task_type": "classification"}, "metric_best": "accuracy", "gnn": {"head": "inductive_node"}},
            "accuracy",
        ),
        ("binary", {"dataset": {"task_type": "classification"}, "metric_best": "auto"}, "auc"),
        ("multilabel", {"metric_best": "loss"}, "ap"),
    ],
)
def test_tasks(config, name, changes, metric):
    changes = {**changes, "dataset": {**changes.get("dataset", {}), "name": name}, "optim": {"max_epoch": 1}}
    (result,) = runner.run(config(**changes))
    assert metric in result.test
    table = pd.read_csv(result.folder.file("predictions_test.csv"))
    assert ("node" in table) == name.endswith("node")
    assert table["row"].is_monotonic_increasing


@pytest.mark.parametrize("model", [{"type": "gnn"}])
def test_other_networks_run(config, model):
    changes = {"node_encoder": True, "node_encoder_name": "Small", "node_encoder_bn": False}
    from torch_geometric.graphgym import register

    class Small(torch.nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.lin = torch.nn.Linear(2, channels)

        def forward(self, batch):
            batch.x = self.lin(batch.x.float())
            return batch

    register.node_encoder_dict["Small"] = Small
    gnn = {"layer_type": "samsaconv", "dim_inner": 8, "batchnorm": False, "l2norm": False}
    (result,) = runner.run(config(model=model, dataset=changes, gnn=gnn, optim={"max_epoch": 1}))
    assert result.test["ap"] > 0
    samsa = config("encoded.yaml", dataset=changes, optim={"max_epoch": 1})
    assert runner.run(samsa)[0].test["ap"] > 0


def test_a_run_ends_with_its_time_and_goes_on_when_it_gets_more(config, monkeypatch):
    now = [0.0]

    def forward(self, batch, original=TaskModule.forward):
        now[0] += 1.0
        return original(self, batch)

    monkeypatch.setattr(TaskModule, "forward", forward)
    for module in (callbacks, time_limit):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    per_epoch = 5 + 2  # batches of training and of validation
    changes = {"optim": {"max_epoch": 50}, "train": {"batch_size": 8, "auto_resume": True, "fit_schedule": True}}
    path = config(**changes)
    (first,) = runner.run(path, ["train.max_seconds", str(2.5 * per_epoch)])
    assert (first.epochs, first.time_limit) == (2, 2.5 * per_epoch)
    (again,) = runner.run(path, ["train.max_seconds", str(2.5 * per_epoch)])
    assert again.reused
    (more,) = runner.run(path, ["train.max_seconds", str(4.5 * per_epoch)])
    assert (more.folder, more.epochs, more.reused) == (dataclasses.replace(first.folder, resumed=True), 4, False)


def test_without_checkpoints_the_last_weights_are_tested(config):
    (result,) = runner.run(config(train={"enable_ckpt": False}))
    assert result.best_epoch == 3
    assert not (result.folder.path / "checkpoints").exists()


def test_archive_keeps_every_nth_epoch(config):
    (result,) = runner.run(config(train={"ckpt_clean": False, "ckpt_period": 2}))
    assert sorted(path.name for path in result.folder.checkpoints.iterdir()) == [
        "best.ckpt",
        "epoch_0001.ckpt",
        "last.ckpt",
    ]


def test_checkpoints_hold_plain_values_and_the_weights_of_samsa(config):
    (result,) = runner.run(config(optim={"max_epoch": 1}))
    state = torch.load(result.folder.best, weights_only=True)["state_dict"]
    from pyg_samsa.nn import SAMSA

    model = SAMSA.from_options([4, 4], 3, edge_channels=[3], num_layers=2, channels=8, heads=2, num_samples=4)
    model.load_state_dict(
        {key.removeprefix("network.model."): value for key, value in state.items() if key.startswith("network.model.")}
    )


@pytest.mark.parametrize(
    ("changes", "culprit"),
    [
        ({"model": {"type": "sams"}}, "model.type"),
        ({"model": {"loss_fun": "mse"}}, "model.loss_fun"),
        ({"metric_best": "apx"}, "metric_best"),
        ({"metric_best": "ap", "metric_agg": "argmin"}, "metric_agg"),
        ({"optim": {"optimizer": "adamw2"}}, "optim.optimizer"),
        ({"optim": {"scheduler": "cosin"}}, "optim.scheduler"),
        ({"dataset": {"task_type": "regression"}}, "dataset.task_type"),
        ({"dataset": {"format": "nowhere"}}, "dataset"),
        ({"samsa": {"heads": 3}}, r"samsa\.heads"),
        ({"gt": {"layers": 3}}, "gt.layers"),
        ({"model": {"graph_pooling": "max"}}, "model.graph_pooling"),
        ({"dataset": {"node_encoder": True, "node_encoder_name": "Atom+LapPE"}}, "dataset.node_encoder_name"),
        ({"optim": {"num_warmup_steps": 1000}}, "optim.num_warmup_steps"),
    ],
)
def test_bad_settings_are_named(config, changes, culprit):
    with pytest.raises(ConfigError, match=rf"^{culprit}:"):
        runner.run(config(**changes))


def test_names_of_graphgps_mean_ours(config):
    (result,) = runner.run(
        config(
            samsa={"layers": 24, "heads": 8, "channels": 128},
            gt={"layers": 1, "n_heads": 4, "dim_hidden": 16},
            optim={"max_epoch": 1},
        )
    )
    state = torch.load(result.folder.best, weights_only=True)["state_dict"]
    assert state["network.model.encoder.blocks.0.conv.query.weight"].shape == (16, 16)
    assert not any(".blocks.1." in key for key in state)


SCRIPT = """
import runpy, sys
runpy.run_path({tiny!r})
from pyg_samsa.cli import main
if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_two_processes_validate_and_test_every_row_once(config, tmp_path):
    """Two CPU processes, an odd number of rows: with no update of the weights all metrics are those of one process."""
    script = tmp_path / "go.py"
    script.write_text(SCRIPT.format(tiny=str(Path(__file__).parents[1] / "tiny.py")))
    frozen = {"optim": {"base_lr": 1e-9, "weight_decay": 0.0, "max_epoch": 2}, "samsa": {"noise": "never"}}
    path = config(accelerator="cpu", **frozen)
    root = str(Path(__file__).parents[2])
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    # The first process is forked; it starts the other one, which imports everything.
    code = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    words = [script, "--cfg", path, "--repeat", 2, "devices", 2]
    done = fresh_process.run(code, *words, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " ".join(done.stdout.split()).count("Networks with the weights of epochs") == 1
    (one, _) = runner.run(path, repeat=2)
    for seed in ("0", "1"):
        two = tmp_path / "results" / "exp" / seed
        table = pd.read_csv(two / "predictions_test.csv")
        assert table["row"].tolist() == list(range(48, 59))
    two = tmp_path / "results" / "exp" / "0"
    summary = json.loads((two / "summary.json").read_text())
    assert summary["test"]["ap"] == pytest.approx(one.test["ap"], abs=1e-6)
    assert summary["test"]["loss"] == pytest.approx(one.test["loss"], abs=1e-4)
    assert history(two)["val_ap"].iloc[0] == pytest.approx(history(one.folder.path)["val_ap"].iloc[0], abs=1e-6)
    # 18 rows for each process in batches of 8: three steps an epoch.
    assert history(two)["step"].tolist() == [3, 6]
    assert yaml.safe_load((two / "config.yaml").read_text())["devices"] == 2


def test_a_run_goes_on_from_another(config, capsys):
    (first,) = runner.run(config())
    path = config(
        name="again.yaml",
        dataset={"name": "multiclass", "task_type": "classification"},
        metric_best="accuracy",
        optim={"max_epoch": 1},
    )
    runner.run(path, ["train.start_from", str(first.folder.path), "optim.base_lr", "1e-12"])
    assert "start" in (shown := capsys.readouterr().out)
    assert str(first.folder.path) in shown.replace("\n", "")
    loss = {"model": {"type": "samsa", "loss_fun": "mse"}}
    other = config(
        name="other.yaml",
        dataset={"name": "regression", "task_type": "regression"},
        metric_best="mae",
        optim={"max_epoch": 1},
        **loss,
    )
    runner.run(other, ["train.start_from", str(first.folder.path), "samsa.head_norm", "batch"])
    assert "(new: readout.head.net.3, readout.head.norm" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ConfigError, match=r"train\.start_from"):
        runner.run(path, ["train.start_from", str(first.folder.path), "samsa.channels", "16"])
    with pytest.raises(DataNotFoundError, match="no saved model found"):
        runner.run(path, ["train.start_from", str(first.folder.path / "elsewhere")])


def test_a_run_begins_with_the_weights(config):
    (first,) = runner.run(config())
    still = ["optim.base_lr", "1e-12", "optim.max_epoch", "1", "samsa.dropout", "0.0"]
    (again,) = runner.run(config(name="again.yaml"), ["train.start_from", str(first.folder.path), *still])
    assert again.test["ap"] == pytest.approx(first.test["ap"], abs=1e-6)


def table_words(tmp_path, *words):
    path = tmp_path / "table.csv"
    path.write_text("smiles,y\n" + "".join(f"{'C' * n}O,{n}.5\n" for n in range(1, 31)))
    given = {"dataset.csv": path, "dataset.dir": tmp_path / "data", "out_dir": tmp_path / "results"}
    given |= {"dataset.format": "samsa", "dataset.name": "csv", "optim.max_epoch": 1, "num_threads": 1}
    return [*(str(word) for pair in given.items() for word in pair), *words]


def header_of(shown):
    """Return the lines of the first header: label -> text."""
    lines = shown[shown.index("\npyg_samsa ") :].strip().split("\n\n")[0]
    return dict(re.findall(r"^  (\w+(?: \w+)?)  +(.*)$", lines, re.MULTILINE))


def test_the_header_of_models_on_descriptors_is_about_them(tmp_path, capsys):
    pytest.importorskip("lightgbm")
    words = ["predictor.members", "trees", "predictor.tree_inputs", "[maccs]", "boosting.trees", "2", "gt.layers", "3"]
    (result,) = runner.run("csv", table_words(tmp_path, *words, "model.type", "gcn"))
    shown = capsys.readouterr()
    header = header_of(shown.out)
    assert header["model"].startswith("boosted trees · 2 per target")
    assert header["input"] == "maccs"
    assert header["no effect"] == (
        "gt.layers 3, model.type gcn, optim.max_epoch 1: no network is trained (predictor.members is trees)"
    )
    assert not {"changed", "features", "saved", "size"} & header.keys()
    # Encodings and descriptors of the network are not computed.
    assert not any(word in shown.out + shown.err for word in ("walk", "rdkit2d", "samsa.", "refit"))
    assert not list((tmp_path / "data").rglob("*rwse*"))
    assert "unsaved" not in json.loads(result.folder.file("summary.json").read_text())


def test_the_header_of_a_network_alone_is_about_it(tmp_path, capsys):
    pytest.importorskip("crepes")
    words = ["predictor.members", "network", "model.type", "gcn", "samsa.channels", "128", "dataset.descriptors", "[]"]
    (result,) = runner.run("csv", table_words(tmp_path, *words))
    header = header_of(capsys.readouterr().out)
    assert header["model"] == "gcn · 2 layers · 16 channels · random walks of 16 steps"
    told = "model.type gcn: only networks with model.type samsa are saved"
    assert header["saved"] == f"no, because of {told} for pyg-samsa predict"
    assert header["changed"] == "optim.num_warmup_epochs 3 -> 0.5 (optim.max_epoch is 1)"
    assert header["no effect"] == "samsa.channels 128: the network gcn reads gnn.dim_inner"
    assert json.loads(result.folder.file("summary.json").read_text())["unsaved"] == told
