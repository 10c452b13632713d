import copy
import pickle

import numpy as np
import pytest
import yaml
from torch_geometric.graphgym.config import CN, cfg, set_cfg

from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym.plain_node import PlainNode, keep_plain_numbers
from pyg_samsa.options import plain

NUMBERS = [
    (np.float64(0.5), float),
    (np.float32(0.5), float),
    (np.int64(3), int),
    (np.uint8(3), int),
    (np.bool_(True), bool),
    (np.str_("adam"), str),
    ([np.int64(1), np.float64(2.0)], list),
    ((np.int64(1),), tuple),
    (np.array([1, 2]), list),
]


@pytest.mark.parametrize(("value", "kind"), NUMBERS, ids=[type(value).__name__ for value, _ in NUMBERS])
@pytest.mark.parametrize("assign", ["attribute", "item", "update", "list"])
def test_numbers_of_numpy_are_pythons_own(value, kind, assign):
    group = cfg.optim
    group.steps = kind()
    if assign == "attribute":
        group.steps = value
    elif assign == "item":
        group["steps"] = value
    elif assign == "update":
        group.update(steps=value)
    else:
        cfg.merge_from_list(["optim.steps", value])
    assert type(group.steps) is kind
    assert group.steps == plain(value)
    if kind in (list, tuple):
        assert all(type(inner) in (int, float) for inner in group.steps)


def test_new_groups_and_copies_keep_them_too():
    cfg.mine = CN({"deep": CN()})
    cfg.mine.deep.rate = np.float64(0.5)
    assert type(cfg.mine.deep.rate) is float
    copied = copy.deepcopy(cfg)
    copied.optim.base_lr = np.float64(0.5)
    assert (type(copied.optim.base_lr), copied.optim.base_lr) == (float, 0.5)
    assert cfg.optim.base_lr == 0.01
    again = pickle.loads(pickle.dumps(cfg))
    assert isinstance(again, PlainNode)
    assert again.mine.deep.rate == 0.5
    assert "rate: 0.5" in cfg.dump()
    del cfg["mine"]


def test_the_rest_of_yacs_is_as_it_was():
    other = CN()
    set_cfg(other)
    other.optim.base_lr = np.float64(0.25)
    assert type(other.optim.base_lr) is float
    with pytest.raises(AssertionError, match="Invalid type"):
        other.optim.base_lr = object()
    other.freeze()
    with pytest.raises(AttributeError, match="immutable"):
        other.optim.base_lr = 1.0
    keep_plain_numbers(other)
    assert other.clone() == other


def test_a_run_takes_the_numbers_of_a_parameter_grid(config):
    grid = {"optim.base_lr": np.float64(0.005), "train.batch_size": np.int64(16), "samsa.dropout": np.float32(0.25)}
    words = [word for pair in grid.items() for word in pair]
    (result,) = runner.run(config(optim={"max_epoch": 1}), words)
    written = yaml.safe_load((result.folder.path / "config.yaml").read_text())
    assert (written["optim"]["base_lr"], written["train"]["batch_size"], written["samsa"]["dropout"]) == (
        0.005,
        16,
        0.25,
    )
