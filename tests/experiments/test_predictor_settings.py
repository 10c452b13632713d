import pytest
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments.predictor_settings import check_predictor, read_predictor
from pyg_samsa.graphgym.config import load_config

pytest.importorskip("lightgbm")


@pytest.fixture(autouse=True)
def fresh_cfg():
    yield
    set_cfg(cfg)


@pytest.mark.parametrize(
    ("words", "kinds", "ensemble"),
    [
        ("predictor.members auto", ["network", "trees", "gp"], False),
        ("predictor.members network predictor.ensemble 3", ["network"], True),
        ("predictor.members descriptors predictor.folds 3", ["trees", "gp"], True),
        ("predictor.gp_inputs []", ["network", "trees"], False),
    ],
)
def test_settings_are_read_without_data(words, kinds, ensemble):
    load_config("csv", words.split())
    found = read_predictor()
    assert (found.kinds, found.is_ensemble, found.network) == (kinds, ensemble, "network" in kinds)


def test_a_config_without_a_table_has_no_predictor_unless_it_asks_for_one():
    load_config("csv", ["dataset.name", "shapes", "predictor.members", "auto"])
    assert read_predictor() is None
    cfg.predictor.folds = 3
    assert read_predictor().kinds == ["network"] or read_predictor().kinds == ("network",)


@pytest.mark.parametrize(
    ("words", "repeat", "message"),
    [
        ("predictor.tree_inputs [mac]", 1, "predictor.tree_inputs: got 'mac'"),
        ("boosting.model sklearn", 1, "boosting.model: got 'sklearn', expected 'lightgbm' for a predictor"),
        ("predictor.folds 1", 1, "predictor.folds: got 1, expected 0 for no cross-validation"),
        ("predictor.folds 3 predictor.ensemble 3", 1, "predictor.ensemble: got 3, expected 1 with predictor.folds"),
        ("predictor.folds 3", 2, "--repeat: got 2, expected 1 with predictor.folds 3"),
        ("predictor.ensemble 2 devices 2", 1, "devices: got 2, expected 1 with predictor.ensemble 2"),
        ("predictor.members trees predictor.ensemble 2", 1, "predictor.ensemble: got 2, expected 1 without a network"),
        ("predictor.folds 3 model.type gcn", 1, "model.type: got 'gcn', expected 'samsa' with predictor.folds 3"),
        (
            "predictor.refit all model.type gcn",
            1,
            "predictor.refit: got 'all', expected 'descriptors' with model.type gcn",
        ),
    ],
)
def test_contradictions_are_named_without_data(words, repeat, message):
    load_config("csv", words.split())
    with pytest.raises(ConfigError) as caught:
        check_predictor(repeat=repeat)
    assert str(caught.value).startswith(message)


def test_a_head_of_the_users_own_is_not_saved(monkeypatch):
    monkeypatch.setitem(register.head_dict, "own", object)
    load_config("csv", ["gnn.head", "own", "predictor.folds", "3"])
    assert cfg.predictor.refit == "descriptors"
    with pytest.raises(ConfigError, match=r"gnn\.head: got 'own', expected 'default' with predictor\.folds 3"):
        check_predictor()


def test_packages_are_looked_for_without_data(monkeypatch):
    load_config("csv")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError):
        check_predictor()
