import pytest
import yaml

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import find_config
from pyg_samsa.predict.predictor_options import TABLE_TREES, TREE_INPUTS, PredictorOptions


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"members": "forest"}, "predictor.members"),
        ({"tree_inputs": "maccs"}, "predictor.tree_inputs"),
        ({"ensemble": 0}, "predictor.ensemble"),
        ({"folds": 1}, "0 for no cross-validation"),
        ({"folds": 5, "ensemble": 2}, "1 with predictor.folds"),
        ({"tree_inputs": []}, "at least one entry"),
        ({"tree_inputs": ["maccs+macs"]}, "'macs'"),
        ({"tree_inputs": ["maccs", "maccs"]}, "different entries"),
    ],
)
def test_wrong_options_are_named(options, told):
    with pytest.raises(ConfigError, match=told):
        PredictorOptions(**options)


def test_the_default_has_descriptors_counts_and_both():
    sets = [set(names) for names in PredictorOptions().descriptors]
    assert sets[0] | sets[1] == sets[2]


def test_the_config_for_tables_agrees():
    config = yaml.safe_load(find_config("csv").read_text())
    assert config["boosting"] == TABLE_TREES
    assert config["predictor"]["tree_inputs"] == list(TREE_INPUTS)
