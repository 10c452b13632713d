import pytest
import yaml
from torch_geometric.graphgym.config import cfg, set_cfg

import tests.tiny  # noqa: F401  # registers its loader
from pyg_samsa.datasets.molecules import zinc
from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.mixed_tasks import check_tasks, load_tasks, make_mixed_plan, read_tasks
from pyg_samsa.training.mixed_network import MixedNetwork

SAMSA = {"layers": 1, "channels": 8, "heads": 2, "num_samples": 4}


@pytest.fixture(autouse=True)
def _fresh():
    yield
    set_cfg(cfg)


@pytest.fixture
def write(tmp_path):
    """Writes a configuration: ``write("labels", name="multilabel")`` one on the tiny data."""

    def make(stem, content=None, **dataset):
        if content is None:
            dataset = {"format": "tiny", "task_type": "classification_multilabel", "name": "multilabel"} | dataset
            content = {"dataset": dataset, "model": {"type": "samsa"}, "samsa": {"layers": 3, "dropout": 0.1}}
            content["train"] = {"batch_size": 8}
        path = tmp_path / f"{stem}.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return make


@pytest.fixture
def trunk(write, tmp_path):
    """Writes a configuration of two tasks, and loads it."""

    def make(*opts, entries=None, **content):
        nodes = {"name": "multiclass-node", "task_type": "classification"}
        entries = entries or [write("labels"), {"cfg": write("nodes", **nodes), "weight": 2, "modality": "paths"}]
        content = {"tasks": entries, "samsa": SAMSA, "optim": {"max_epoch": 2}, **content}
        return load_config(write("trunk", {"out_dir": str(tmp_path / "results"), **content}), list(opts))

    return make


def test_entries_are_names_or_tables():
    first, second = read_tasks(
        ["small/shapes", {"cfg": "x.yaml", "name": "b", "weight": 2, "train": {"batch_size": 4}}]
    )
    assert (first.name, first.config, first.weight, first.modality, dict(first.settings)) == (
        "shapes",
        "small/shapes",
        1.0,
        "",
        {},
    )
    assert (second.name, second.weight, dict(second.settings)) == ("b", 2.0, {"train.batch_size": 4})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([3], r"tasks\[0\]: got 3, expected the name of a configuration"),
        ([{"name": "a"}], r"tasks\[0\]\.cfg: got None"),
        (["a", {"cfg": "b", "name": "x/y"}], r"tasks\[1\]\.name: got 'x/y'"),
        ([{"cfg": "a", "name": "values"}], r"tasks\[0\]\.name: got 'values'"),
        ([{"cfg": "a", "weight": 0}], r"tasks\[0\]\.weight: got 0"),
        ([{"cfg": "a", "weight": True}], r"tasks\[0\]\.weight: got True"),
        ([{"cfg": "a", "modality": 3}], r"tasks\[0\]\.modality: got 3"),
        (["a/x", "b/x"], r"tasks\[1\]: got 'x', expected a name that no other task has"),
    ],
)
def test_wrong_entries_are_named(entries, message):
    with pytest.raises(ConfigError, match=message):
        read_tasks(entries)


def test_settings_outside_hold_for_all_tasks_and_those_of_an_entry_come_last(trunk, write):
    own = {"cfg": write("labels"), "samsa": {"dropout": 0.3}, "train": {"batch_size": 4}}
    nodes = write("nodes", name="multiclass-node", task_type="classification")
    loaded = trunk(entries=[own, nodes], train={"eval_batch_size": 5})
    first, second = load_tasks(loaded, progress=False)
    for task in (first, second):
        assert {name: task.config.samsa[name] for name in SAMSA} == SAMSA
        assert task.config.optim.max_epoch == 2
        assert task.config.train.eval_batch_size == 5
        assert task.config.samsa.modality_vector is True
    assert (first.config.samsa.dropout, second.config.samsa.dropout) == (0.3, 0.1)
    assert (first.config.train.batch_size, second.config.train.batch_size) == (4, 8)
    assert first.loaded.name == "trunk-labels"
    assert cfg.tasks
    assert cfg.samsa.layers == 1
    assert cfg.dataset.format != "tiny"


def test_the_plan_joins_the_networks_of_the_tasks(trunk):
    loaded = trunk("optim.base_lr", "0.5", "trunk.mixing", "equal")
    plan = make_mixed_plan(loaded, load_tasks(loaded, progress=False), seed=3)
    network = plan.build_network()
    assert isinstance(network, MixedNetwork)
    assert network.parts["labels"].model.encoder is network.parts["nodes"].model.encoder
    assert network.modalities == {"labels": "graphs", "nodes": "paths"}
    assert plan.weights == {"labels": 1.0, "nodes": 2.0}
    assert (plan.monitor, plan.mixture.mixing, plan.seed) == ("val_score", "equal", 3)
    assert [part.seed for part in plan.parts.values()] == [3, 3]
    assert plan.config["tasks"]
    assert plan.parts["nodes"].config["run_name"] == "trunk-nodes"
    assert "weight 2" in plan.description["tasks"]
    loader = plan.make_data().loader("train")
    assert sorted({batch.task_name for batch in loader}) == ["labels", "nodes"]


def test_a_task_is_trained_alone_by_its_own_settings(trunk, tmp_path):
    loaded = trunk()
    plan = make_mixed_plan(loaded, load_tasks(loaded, progress=False), seed=0)
    path = tmp_path / "alone.yaml"
    path.write_text(yaml.safe_dump(dict(plan.parts["labels"].config)))
    again = load_config(path)
    assert again.name == "trunk-labels"
    assert (cfg.samsa.layers, cfg.dataset.name, cfg.optim.max_epoch, list(cfg.tasks)) == (1, "multilabel", 2, [])


@pytest.mark.parametrize(
    ("opts", "entry", "message"),
    [
        ((), {"samsa": {"heads": 3}}, r"task labels: samsa\.(heads|channels): got"),
        ((), {"model": {"type": "gcn"}}, r"task labels: model\.type: got 'gcn'"),
        ((), {"model": {"loss_fun": "nothing"}}, r"task labels: model\.loss_fun: got 'nothing'"),
        ((), {"dataset": {"nam": 3}}, r"task labels: unknown setting: got 'dataset\.nam'"),
        ((), {"tasks": ["x"]}, r"task labels: tasks: got"),
        (("metric_best", "ap"), {}, r"metric_best: got 'ap', expected nothing beside tasks"),
        (("trunk.mixing", "equal", "trunk.temperature", "2"), {}, r"trunk\.temperature: got 2\.0"),
        (("optim.optimizer", "adamm"), {}, r"optim\.optimizer: got 'adamm'"),
    ],
)
def test_mistakes_are_named_with_the_task_before_anything_starts(trunk, write, tmp_path, opts, entry, message):
    loaded = trunk(*opts, entries=[{"cfg": write("labels"), **entry}])
    with pytest.raises(ConfigError, match=message):
        check_tasks(loaded)
    assert not (tmp_path / "results").exists()


def test_tasks_within_tasks_are_refused(trunk, write):
    inner = write("inner", {"tasks": [write("labels")]})
    with pytest.raises(ConfigError, match="task inner: cfg: got"):
        check_tasks(trunk(entries=[inner]))


def test_missing_data_are_named_with_their_task(trunk, write, tmp_path, monkeypatch):
    lost = {"format": "samsa", "name": "zinc", "dir": str(tmp_path), "task_type": "regression"}

    def refuse(*_, **__):
        raise DataNotFoundError("no network")

    monkeypatch.setattr(zinc, "fetch_files", refuse)
    loaded = trunk(entries=[write("labels"), {"cfg": write("labels"), "name": "lost", "dataset": lost}])
    check_tasks(loaded)
    with pytest.raises(DataNotFoundError, match=r"task lost: no network"):
        load_tasks(loaded, progress=False)
    assert not (tmp_path / "results").exists()


def test_tasks_with_other_encoders_are_refused(trunk, write):
    entries = [write("labels"), {"cfg": write("labels"), "name": "b", "samsa": {"num_samples": 6}}]
    loaded = trunk(entries=entries)
    plan = make_mixed_plan(loaded, load_tasks(loaded, progress=False), seed=0)
    with pytest.raises(ConfigError, match=r"the encoder of b: .*as that of labels"):
        plan.build_network()


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ({"csv": "nothing.csv"}, DataNotFoundError, "task second: nothing.csv: no such file"),
        (
            {"csv": __file__, "target_columns": ["y"], "task_type": "masked"},
            ConfigError,
            r"task second: --target-columns: got \['y'\], expected none with the task masked",
        ),
    ],
)
def test_tables_are_looked_for_before_data_are_prepared(trunk, write, dataset, error, message):
    loaded = trunk(entries=[write("labels"), {"cfg": "csv", "name": "second", "dataset": dataset}])
    with pytest.raises(error, match=message):
        check_tasks(loaded)
