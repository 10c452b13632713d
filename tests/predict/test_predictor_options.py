import pytest
import yaml

from pyg_samsa.cli import _parser
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import find_config
from pyg_samsa.predict.predictor_options import GP_INPUTS, MEMBERS, TABLE_TREES, TREE_INPUTS, PredictorOptions


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"members": "forest"}, "predictor.members"),
        ({"tree_inputs": "maccs"}, "predictor.tree_inputs"),
        ({"ensemble": 0}, "predictor.ensemble"),
        ({"folds": 1}, "0 for no cross-validation"),
        ({"folds": 5, "ensemble": 2}, "1 with predictor.folds"),
        ({"members": "trees", "tree_inputs": []}, "at least one entry"),
        ({"members": "gp", "gp_inputs": []}, r"predictor\.gp_inputs.*at least one entry"),
        ({"gp_inputs": "maccs"}, r"predictor\.gp_inputs.*a list"),
        ({"gp_inputs": ["macs"]}, "predictor.gp_inputs"),
        ({"tree_inputs": ["maccs+macs"]}, "'macs'"),
        ({"tree_inputs": ["maccs", "maccs"]}, "different entries"),
    ],
)
def test_wrong_options_are_named(options, told):
    with pytest.raises(ConfigError, match=told):
        PredictorOptions(**options)


def test_the_default_has_descriptors_with_and_without_counts():
    sets = [set(names) for names in PredictorOptions().inputs("trees")]
    assert sets[0] < sets[1]


def test_the_config_for_tables_agrees():
    config = yaml.safe_load(find_config("csv").read_text())
    assert config["boosting"] == TABLE_TREES
    assert config["predictor"]["tree_inputs"] == list(TREE_INPUTS)
    assert config["predictor"]["gp_inputs"] == list(GP_INPUTS)


def test_the_command_offers_all_members():
    parser = _parser()
    for kind in MEMBERS:
        if kind not in ("auto", "all"):
            assert parser.parse_args(["train", "--only", kind]).only == kind
