"""Searches of a few epochs over sixty molecules."""

import itertools

import numpy as np
import pandas as pd
import pytest
import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, MissingDependencyError, NumericalError
from pyg_samsa.experiments import tune as tuning
from pyg_samsa.experiments import tune_trials
from pyg_samsa.experiments.tune import BEST, STUDY, tune
from pyg_samsa.graphgym.config import find_config, load_config

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O", "Cl")]
TINY = [
    "samsa.layers",
    "1",
    "samsa.channels",
    "8",
    "samsa.heads",
    "2",
    "samsa.num_samples",
    "4",
    "optim.max_epoch",
    "2",
]
TINY += ["num_threads", "1", "accelerator", "cpu", "optim.num_warmup_epochs", "0", "boosting.trees", "5"]


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Searches for the number of carbons: ``search(trials=3, opts=[...])``."""
    monkeypatch.chdir(tmp_path)
    table = {"smiles": SMILES, "carbons": [text.upper().count("C") - text.count("Cl") for text in SMILES]}
    pd.DataFrame(table).to_csv("table.csv", index=False)

    def run(opts=(), minutes=10.0, trials=3, **options):
        data = ["dataset.csv", "table.csv", "dataset.target_columns", "[carbons]", "run_name", "carbons"]
        return tune("csv", [*data, *TINY, *opts], minutes=minutes, trials=trials, verbosity=-1, **options)

    return run


def test_the_best_trials_become_a_config(search, tmp_path):
    lines = []
    result = search(trials=4, on_trial=lines.append)
    assert result.folder.resolve() == tmp_path / "results" / "tune-carbons"
    assert (result.metric, result.higher_is_better) == ("mae", False)
    assert len(lines) == 4 == len(result.network) + len(result.trees) + result.stopped
    values = [trial.value for trial in result.network]
    assert values == sorted(values)
    history = pd.read_csv(result.folder / "trials" / str(result.network[0].number) / "0" / "metrics.csv")
    assert values[0] == pytest.approx(history["val_mae"].min(), abs=1e-6)
    written = yaml.safe_load(result.config.read_text())
    assert written["run_name"] == "carbons"
    assert written["samsa"]["layers"] == 1
    for trial in (result.network[0], result.trees[0]):
        for key, value in trial.settings.items():
            group, name = key.split(".")
            assert key == "predictor.tree_inputs" or written[group][name] == value
    loaded = load_config(result.config)
    assert loaded.name == "carbons"


def test_the_first_trial_has_the_settings_of_the_config_and_those_given_are_fixed(search):
    result = search(trials=2)
    (first,) = [trial for trial in result.network if trial.number == 0]
    load_config("csv")
    assert first.settings["optim.base_lr"] == cfg.optim.base_lr
    assert first.settings["train.batch_size"] == cfg.train.batch_size
    assert first.settings["samsa.local"] == cfg.samsa.local
    assert not {"samsa.layers", "samsa.channels", "boosting.trees"} & {*first.settings, *result.trees[0].settings}


def test_the_test_split_is_gone_before_anything_is_trained(search, monkeypatch):
    seen = []
    original = tune_trials.make_plan

    def plan(loaded, dataset, *, seed):
        seen.append(set(dataset.split_idx))
        return original(loaded, dataset, seed=seed)

    monkeypatch.setattr(tune_trials, "make_plan", plan)
    monkeypatch.setattr(tuning, "make_plan", plan)
    result = search(trials=2)
    assert len(seen) >= 2
    assert all(splits == {"train", "val"} for splits in seen)
    assert not list(result.folder.rglob("predictions_test.csv"))


def test_a_search_goes_on_where_it_stopped(search):
    first = search(trials=2)
    second = search(trials=2)
    assert len(second.network) + len(second.trees) + second.stopped == 4
    known = {(trial.number, trial.value) for trial in second.network}
    assert {(trial.number, trial.value) for trial in first.network} <= known


@pytest.mark.parametrize(
    "opts", [["predictor.members", "gp"], ["predictor.members", "trees", "predictor.tree_inputs", "[]"]]
)
def test_members_without_settings_to_search_are_refused(search, opts):
    with pytest.raises(ConfigError, match=r"predictor\.(members|tree_inputs)"):
        search(opts, trials=1)


def test_a_search_with_other_settings_is_refused(search):
    search(trials=1)
    with pytest.raises(ConfigError, match="tune-carbons") as caught:
        search(["seed", "3"], trials=1)
    assert "seed" in caught.value.hint


def test_an_interrupted_trial_counts_as_stopped(search, monkeypatch):
    original = tune_trials.NetworkTrials.score

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tune_trials.NetworkTrials, "score", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search(trials=1)
    monkeypatch.setattr(tune_trials.NetworkTrials, "score", original)
    result = search(trials=1)
    assert result.stopped == 1
    # The settings of the config come first again.
    load_config("csv")
    assert result.network[0].settings["optim.base_lr"] == cfg.optim.base_lr


def test_time_that_is_up_ends_the_trial_and_the_search(search):
    lines = []
    result = search(minutes=1e-6, trials=None, on_trial=lines.append)
    assert lines == ["network 0  stopped after epoch 1: no time left"]
    assert result.network == []
    assert not (result.folder / BEST).exists()
    assert (result.folder / STUDY).exists()


def test_a_hopeless_trial_is_stopped_by_the_median(search, monkeypatch):
    values = iter([1.0] * 5 + [9.0])

    def score(self, number, settings, report):
        value = next(values)
        for epoch in (1, 2):
            report(epoch, value)
        return value

    monkeypatch.setattr(tune_trials.NetworkTrials, "score", score)
    monkeypatch.setattr(tuning, "_next", lambda studies: studies[0])
    lines = []
    result = search(trials=6, on_trial=lines.append)
    assert lines[-1] == "network 5  stopped after epoch 1 at 9.000"
    assert (len(result.network), result.stopped) == (5, 1)


def test_a_trial_that_fails_does_not_end_the_search_but_the_first_one_does(search, monkeypatch):
    outcomes = itertools.chain([1.0, NumericalError("train_loss", "nan"), np.nan, 2.0])

    def score(self, number, settings, report):
        if isinstance(value := next(outcomes), Exception):
            raise value
        return value

    monkeypatch.setattr(tune_trials.NetworkTrials, "score", score)
    monkeypatch.setattr(tuning, "_next", lambda studies: studies[0])
    result = search(trials=4)
    assert [trial.value for trial in result.network] == [1.0, 2.0]
    assert result.stopped == 2
    outcomes = iter([NumericalError("train_loss", "nan")])
    with pytest.raises(NumericalError):
        search(["name_tag", "other"], trials=1)


@pytest.mark.parametrize(
    ("opts", "told"),
    [
        (["model.type", "gcn", "dataset.descriptors", "[]"], "model.type"),
        (["devices", "2"], "devices"),
        (["optim.max_epochs", "3"], "optim.max_epochs"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_trained(search, opts, told):
    with pytest.raises(ConfigError, match=told):
        search(opts)


def test_wrong_limits_are_named(search):
    with pytest.raises(ConfigError, match="--minutes"):
        search(minutes=0)
    with pytest.raises(ConfigError, match="--trials"):
        search(trials=0)


def test_without_optuna_the_error_says_what_to_install(search, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match="optuna") as caught:
        search()
    assert caught.value.hint == "pip install 'pyg-samsa[tune]'"


def test_the_network_alone_or_trees_alone(search):
    result = search(["predictor.members", "trees"], trials=2)
    assert (len(result.network), len(result.trees)) == (0, 2)
    assert result.config.is_file()
    result = search(["predictor.members", "network", "name_tag", "net"], trials=1)
    assert (len(result.network), result.trees) == (1, [])


def test_a_metric_that_is_undefined_on_validation_gives_way_to_the_loss(search, tmp_path):
    part = ["val" if n % 6 == 1 else "train" for n in range(60)]
    label = [0 if split == "val" else n % 2 for n, split in enumerate(part)]
    pd.DataFrame({"smiles": SMILES, "toxic": label, "part": part}).to_csv("one.csv", index=False)
    words = ["dataset.csv", "one.csv", "dataset.target_columns", "[toxic]", "dataset.split_kind", "column"]
    words += ["dataset.split_column", "part", "run_name", "one"]
    lines = []
    result = search(words, trials=2, on_trial=lines.append)
    assert lines[0] == "val_auc is undefined (NaN) on the validation rows; trials are compared by val_loss"
    assert (result.metric, result.higher_is_better, result.trees) == ("loss", False, [])
    history = pd.read_csv(result.folder / "trials" / "0" / "0" / "metrics.csv")
    value = {trial.number: trial.value for trial in result.network}[0]
    assert value == pytest.approx(history["val_loss"].min(), rel=1e-5)
    assert result.config.read_text().startswith("# Best of 2 finished trials. Validation loss: network ")
    with pytest.raises(ConfigError, match=r"metric_best: got .*, expected a metric that the validation rows define"):
        search([*words, "predictor.members", "trees", "name_tag", "trees"], trials=1)


def test_the_loss_is_not_searched_where_losses_cannot_be_compared(search):
    for opts in (["model.loss_fun", "bounded_l1"], ["metric_best", "loss"]):
        result = search([*opts, "predictor.members", "network", "name_tag", opts[1]], trials=1)
        assert "model.loss_fun" not in result.network[0].settings


def test_a_config_with_a_bounded_loss_keeps_it(search, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(find_config("csv").read_text().replace("model:\n", "model:\n  loss_fun: bounded_mse\n"))
    table = pd.DataFrame({"smiles": SMILES, "carbons": [f">{n}" if n % 3 else n for n in range(60)]})
    table.to_csv("table.csv", index=False)
    words = ["dataset.csv", "table.csv", "dataset.target_columns", "[carbons]", "predictor.members", "network"]
    result = tune(path, [*words, *TINY], minutes=10, trials=2, verbosity=-1)
    assert all("model.loss_fun" not in trial.settings for trial in result.network)


def test_two_workers_share_a_search(search, tmp_path, monkeypatch):
    """The second one comes while the first one carries out its first trial."""
    original, inner = tune_trials.NetworkTrials.score, []

    def score(self, number, settings, report):
        if number == 0:
            inner.append(search(["predictor.members", "network"], trials=2))
            load_config(self.config, self.opts)
        return original(self, number, settings, report)

    monkeypatch.setattr(tune_trials.NetworkTrials, "score", score)
    result = search(["predictor.members", "network"], trials=1)
    (second,) = inner
    assert sorted(trial.number for trial in second.network) == [1, 2]
    assert sorted(trial.number for trial in result.network) == [0, 1, 2]
    settings = [str(trial.settings) for trial in result.network]
    assert len(set(settings)) == 3


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_the_trial_of_a_killed_worker_is_repeated(search, tmp_path, monkeypatch, storage):
    place = None if storage is None else f"sqlite:///{tmp_path / 'trials.db'}"
    words, first = ["predictor.members", "network"], {}

    def kill(self, number, settings, report):
        first.update(settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune_trials.NetworkTrials, "score", kill)
        patch.setattr(tuning, "finish", lambda *_, **__: True)  # who is killed tells nothing
        with pytest.raises(KeyboardInterrupt):
            search(words, trials=1, storage=place)
    monkeypatch.setattr("pyg_samsa.experiments.study.DEAD_SECONDS", -1.0)
    result = search(words, trials=1, storage=place)
    (trial,) = result.network
    assert trial.settings == first
    assert (trial.number, result.stopped) == (1, 1)
