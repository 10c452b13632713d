from pathlib import Path

import pytest
import yaml

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training import run_record
from pyg_samsa.training.run_folder import open_run_folder, settings
from pyg_samsa.training.run_record import RunRecord, find_run_folders, read_run

CONFIG = {
    "seed": 3,
    "out_dir": "x",
    "metric_best": "ap",
    "optim": {"max_epoch": 5, "base_lr": 0.1},
    "run_name": "demo",
    "samsa": {"layers": 2},
    "wandb": {"use": False},
}


def test_what_the_runner_calls_the_same_is_the_same_here(tmp_path):
    folder = open_run_folder(tmp_path, "demo", 3, CONFIG)
    for changes in (
        {"out_dir": "y"},
        {"optim": {"max_epoch": 9, "base_lr": 0.1}},
        {"run_name": "z"},
        {"wandb": {"use": True}},
    ):
        assert open_run_folder(tmp_path, "demo", 3, {**CONFIG, **changes}, resume=True).path == folder.path
        assert settings({**CONFIG, **changes}) == settings(CONFIG)
    other = {**CONFIG, "samsa": {"layers": 3}}
    assert settings(other) != settings(CONFIG)
    assert open_run_folder(tmp_path, "demo", 3, other, resume=True).path != folder.path


def test_an_unfinished_run(tmp_path):
    folder = open_run_folder(tmp_path, "demo", 3, CONFIG).path
    run = read_run(folder)
    assert (run.name, run.seed, run.summary, run.history, run.predictions, run.metric) == (
        "demo",
        3,
        None,
        None,
        None,
        "ap",
    )
    assert run.settings["optim.base_lr"] == 0.1
    assert run.volatile == {"out_dir", "optim.max_epoch", "run_name", "wandb.use"}


def test_folders_come_once_and_in_order_of_numbers(tmp_path):
    folders = [
        open_run_folder(tmp_path / "a", name, seed, {"seed": seed}).path
        for name, seed in (("x", 2), ("x", 10), ("y", 0))
    ]
    (folders[0] / "wandb" / "files").mkdir(parents=True)
    (folders[0] / "wandb" / "files" / "config.yaml").touch()
    assert find_run_folders([tmp_path, folders[1]]) == folders
    assert find_run_folders([folders[0]]) == folders[:1]
    assert find_run_folders([folders[2], tmp_path]) == [folders[2], *folders[:2]]
    cells = [
        open_run_folder(tmp_path / "sweep", f"K={number}", 0, {"seed": 0, "K": number}).path for number in (16, 2, 128)
    ]
    assert find_run_folders([tmp_path / "sweep"]) == [cells[1], cells[0], cells[2]]
    (tmp_path / "empty").mkdir()
    for missing in ("empty", "nowhere"):
        with pytest.raises(DataNotFoundError, match=missing):
            find_run_folders([tmp_path / missing])
    with pytest.raises(DataNotFoundError, match="empty"):
        read_run(tmp_path / "empty")


def test_very_many_predictions_are_cut(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "predictions_test.csv").write_text("row,true\n" + "".join(f"{row},0\n" for row in range(6)))
    assert not read_run(tmp_path).cut
    monkeypatch.setattr(run_record, "MAX_PREDICTIONS", 5)
    run = read_run(tmp_path)
    assert (len(run.predictions), run.cut) == (5, True)


def test_the_predictions_of_the_predictor_come_before_those_of_its_network(tmp_path):
    folder = open_run_folder(tmp_path, "demo", 3, CONFIG).path
    (folder / "predictions_test.csv").write_text("row,a_true,a_pred\n0,1.0,0.25\n")
    assert read_run(folder).predictions["a_pred"].tolist() == [0.25]
    (folder / "predictor_test.csv").write_text("row,a_true,a_pred\n0,1.0,0.75\n")
    assert read_run(folder).predictions["a_pred"].tolist() == [0.75]


@pytest.mark.parametrize(
    ("summary", "network"),
    [
        ({"test": {"mae": 0.5}, "parameters": 100, "predictor": {"weights": {}}}, {"mae": 0.5}),
        ({"test": {"mae": 0.5}, "parameters": 100}, {"mae": 0.5}),
        ({"test": {"mae": 0.5}, "parameters": 0, "predictor": {"weights": {}}}, {}),
        ({"test": {"mae": 0.5}, "parameters": 100, "predictor": {"weights": {}, "members": []}}, {}),
        (None, {}),
    ],
)
def test_scores_of_a_run_without_a_network_of_its_own_are_those_of_its_predictor(summary, network):
    run = RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)
    assert run.scores("test") == network
    assert run.is_predictor == (summary is not None and not network)
    assert run.scores("test", "predictor") == {}


@pytest.mark.parametrize(
    ("metric_best", "summary", "metric"),
    [
        ("ap", None, "ap"),
        ("auto", None, "loss"),
        ("zebra", None, "zebra"),
        ("ap", {"monitor": "val_mae"}, "mae"),
        ("ap", {"monitor": None}, "ap"),
    ],
)
def test_the_metric_of_a_run_is_that_which_chose_or_was_to_choose(metric_best, summary, metric):
    run = RunRecord(Path("results/demo/0"), "demo", 0, {"metric_best": metric_best}, summary=summary)
    assert run.metric == metric


def test_a_history_holds_numbers_and_predictions_may_hold_texts(tmp_path):
    folder = open_run_folder(tmp_path, "demo", 3, CONFIG).path
    (folder / "predictions_test.csv").write_text("row,smiles,y_true,y_pred\n0,CC,1,2\n")
    (folder / "metrics.csv").write_text("epoch,lr\n1,0.5\n")
    run = read_run(folder)
    assert run.history.to_dict("list") == {"epoch": [1], "lr": [0.5]}
    assert run.predictions["smiles"].tolist() == ["CC"]
    assert run.cut is False
    (folder / "metrics.csv").write_text("epoch,lr\n1,high\n")
    with pytest.raises(DataIntegrityError, match="texts in the column 'lr'"):
        read_run(folder)
