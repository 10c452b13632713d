from functools import reduce

import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.search_space import NETWORK, TREE_INPUT, TREES, Choice, Range, narrowed, words
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.settings import SETTINGS


class FixedTrial:
    """Suggests the last choice and the highest number, as Optuna's trials do."""

    def suggest_categorical(self, key, choices):
        return choices[-1]

    def suggest_int(self, key, low, high, log):
        return high

    def suggest_float(self, key, low, high, log):
        return (low + high) / 3


def test_choices_are_stored_as_plain_values_and_read_back():
    choice = Choice((None, [], ["maccs", "rdkit2d"], "gine", 64))
    assert choice.labels() == ["none", "none", "maccs+rdkit2d", "gine", 64]
    assert Choice((None, "gine")).value("none") is None
    assert choice.value("maccs+rdkit2d") == ["maccs", "rdkit2d"]
    assert choice.suggest(FixedTrial(), "x") == 64
    assert choice.including(64) is choice
    assert choice.including(48).values[-1] == 48
    assert choice.stored(["maccs"]) == "maccs"


def test_ranges_of_integers_and_of_numbers():
    assert Range(2, 6).suggest(FixedTrial(), "x") == 6
    assert Range(0.0, 1.0).suggest(FixedTrial(), "x") == 0.333
    assert Range(1e-3, 0.3, log=True).including(0.0) == Range(1e-3, 0.3, log=True)
    assert Range(1e-3, 0.3, log=True).stored(0.0) == 1e-3
    assert Range(2, 6).including(9) == Range(2, 9)
    assert Range(2, 6).stored(9) == 6


def test_a_search_holds_the_present_values_and_leaves_out_what_is_fixed():
    space = narrowed(NETWORK, {"samsa.layers": 24, "samsa.channels": 48, "optim.base_lr": 0.5}, fixed=["optim.base_lr"])
    assert space == {"samsa.layers": Range(2, 24), "samsa.channels": Choice((32, 64, 96, 128, 48))}
    assert "samsa.layers" not in narrowed(
        NETWORK, {"samsa.layers": 3, "seed": 1, "train.batch_size": 8}, [], ["samsa.layers"]
    )
    with pytest.raises(ConfigError, match="at least one setting left"):
        narrowed({"samsa.layers": Range(2, 6)}, {"samsa.layers": 3}, fixed=["samsa.layers"])


@pytest.mark.parametrize("space", [NETWORK, TREES])
def test_the_ends_of_all_ranges_are_allowed_settings(space):
    for key, kind in space.items():
        if key not in SETTINGS or key == TREE_INPUT:
            continue
        for value in kind.values if isinstance(kind, Choice) else (kind.low, kind.high):
            load_config("csv", words({key: value}))
            assert reduce(getattr, key.split("."), cfg) == value
