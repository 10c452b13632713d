import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.trainer_settings import trainer_options


def test_gradients_are_clipped_where_the_configuration_says_so():
    load_config("quickstart", ["optim.clip_grad_norm_value", 3.0])
    assert trainer_options().clip_norm == 3
    load_config("quickstart", ["optim.clip_grad_norm", False])
    assert trainer_options().clip_norm is None


def test_checkpoints_that_are_cleaned_up_are_not_archived():
    load_config("quickstart", ["train.ckpt_period", 5, "train.ckpt_clean", True])
    assert trainer_options().archive_every is None


def test_values_out_of_range_are_refused():
    load_config("quickstart")
    cfg.optim.max_epoch = -1
    with pytest.raises(ConfigError):
        trainer_options()
