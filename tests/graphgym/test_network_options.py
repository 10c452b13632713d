"""The settings of a network as the arguments of ``nn.SAMSA``."""

import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.network_options import (
    asks_for_masked,
    edges_are_tokens,
    model_options,
    named_as_settings,
    samsa_options,
)
from pyg_samsa.nn import TOKENIZERS, SAMSAOptions


def test_samsa_options_are_those_of_the_network():
    decided_by_the_data = {"level", "edge_decoding", "towers", "num_categories", "scale_targets", "graph_channels"}
    only_if_set = {"pe_options"}
    assert set(model_options()) | decided_by_the_data | only_if_set == set(SAMSAOptions.__dataclass_fields__)
    chosen, defaults = SAMSAOptions(**model_options()), SAMSAOptions()
    for name in SAMSAOptions.__dataclass_fields__:
        if getattr(defaults, name) is not None:
            assert getattr(chosen, name) == getattr(defaults, name), name


def test_settings_of_an_operator_are_refused_for_another():
    cfg.samsa.importance, cfg.samsa.support = "random", False
    assert model_options()["attention_options"] == {"importance": "random", "support": False}
    cfg.samsa.support, cfg.samsa.attention = True, "full"
    with pytest.raises(ConfigError, match="importance"):
        model_options()


def test_two_names_of_one_setting_may_not_contradict_each_other():
    cfg.gt.n_heads = 2
    assert samsa_options()["heads"] == 2
    cfg.samsa.heads = 2
    assert samsa_options()["heads"] == 2
    cfg.samsa.heads = 16
    with pytest.raises(ConfigError, match=r"gt\.n_heads: got 2, expected the same as samsa\.heads \(16\)"):
        samsa_options()


def test_a_layer_may_not_contradict_its_parts():
    cfg.gt.layer_type, cfg.samsa.local = "GINE+SAMSA", "gine"
    assert samsa_options()["local"] == "gine"
    cfg.samsa.local = "gcn"
    with pytest.raises(
        ConfigError, match=r"gt\.layer_type: got 'GINE\+SAMSA', expected one that agrees with samsa\.local"
    ):
        samsa_options()


def test_settings_of_other_networks_are_refused():
    cfg.gt.layer_norm = True
    with pytest.raises(ConfigError) as caught:
        model_options()
    assert caught.value.key == "gt.layer_norm"
    assert "gps" in caught.value.hint
    samsa_options()


def test_names_of_readouts():
    cfg.model.graph_pooling = "attention"
    assert samsa_options()["pool"] == "attention"
    cfg.model.graph_pooling = "add"
    assert samsa_options()["pool"] == cfg.samsa.pool
    cfg.model.graph_pooling = "median"
    with pytest.raises(ConfigError, match=r"model\.graph_pooling: got 'median'"):
        samsa_options()


@pytest.mark.parametrize(
    ("argument", "setting"),
    [("heads", "samsa.heads"), ("importance", "samsa.importance"), ("pe_options: heads", "pe.heads"), ("x", "x")],
)
def test_errors_about_arguments_name_the_settings(argument, setting):
    with pytest.raises(ConfigError) as caught, named_as_settings("samsa"):
        raise ConfigError(argument, 1, "2")
    assert caught.value.key == setting


def test_edges_are_tokens_of_the_bridge():
    for network, bridge, found in (("samsa", True, True), ("samsa", False, False), ("gcn", False, True)):
        cfg.model.type, cfg.samsa.bridge = network, bridge
        assert edges_are_tokens() == found


@pytest.mark.parametrize("tokens", [True, False])
def test_a_tokenizer_of_other_code_decides_about_edges(monkeypatch, tokens):
    monkeypatch.setitem(TOKENIZERS, "own", type("Own", (), {"edges_are_tokens": tokens}))
    cfg.model.type, cfg.samsa.tokenizer = "samsa", "own"
    for bridge in (True, False):
        cfg.samsa.bridge = bridge
        assert edges_are_tokens() == tokens


def test_training_without_labels_has_two_names():
    assert not asks_for_masked()
    cfg.dataset.task_type = "masked"
    assert asks_for_masked()
    cfg.dataset.task_type, cfg.dataset.csv_task = "classification", "masked"
    assert asks_for_masked()
