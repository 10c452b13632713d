import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.members import chosen_members, trains_network


@pytest.mark.parametrize(
    ("settings", "members", "network"),
    [
        ({}, None, True),
        ({"dataset.format": "samsa", "dataset.name": "csv"}, "all", True),
        ({"predictor.folds": 3}, "network", True),
        ({"predictor.ensemble": 2}, "network", True),
        ({"predictor.members": "trees"}, "trees", False),
        ({"predictor.members": "descriptors"}, "descriptors", False),
        ({"predictor.members": "gp", "predictor.folds": 3}, "gp", False),
        ({"predictor.members": "all"}, "all", True),
        ({"predictor.members": "trees", "dataset.task_type": "masked"}, None, True),
    ],
)
def test_members_of_a_run(settings, members, network):
    for key, value in settings.items():
        group, _, name = key.partition(".")
        cfg[group][name] = value
    assert (chosen_members(), trains_network()) == (members, network)
