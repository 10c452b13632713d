from types import SimpleNamespace

import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.features import Features
from pyg_samsa.graphgym.share import UNKNOWN, describe
from pyg_samsa.task import Task

SPLITS = {"train": torch.arange(3), "test": torch.arange(3, 4)}


def described(task, features):
    return SimpleNamespace(task=task, features=features, split_idx=SPLITS)


def test_networks_find_the_description_of_the_data_set():
    task = Task("multiclass", ["a", "b", "c"], "node", parts=[[0, 1], [2]])
    describe(described(task, Features(6, num_dims=3)))
    share = cfg.share
    assert (share.task, share.level, share.num_targets, share.dim_in, share.dim_out) == ("multiclass", "node", 3, 6, 3)
    assert (share.num_categories, share.num_dims, share.num_splits, share.edge_channels) == (2, 3, 2, None)
    describe(described(Task("binary", ["a"]), Features([4, 5], (2,))))
    assert (share.dim_in, share.in_channels, share.edge_channels, share.num_categories) == (2, [4, 5], [2], 0)
    describe(None)
    assert {name: share[name] for name in UNKNOWN} == UNKNOWN


def test_the_description_may_be_written_while_everything_else_is_frozen():
    cfg.freeze()
    describe(described(Task("regression", ["a", "b"]), Features(3)))
    assert cfg.share.dim_out == 2
    assert cfg.is_frozen()
    assert cfg.share.is_frozen()
