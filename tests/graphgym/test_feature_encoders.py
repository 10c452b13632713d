"""The encoders that a configuration names, and the widths of features that a network takes."""

import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.chem import ATOM_CARDINALITIES
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.feature_encoders import BUILT_IN_ENCODERS, check_encoder, read_features


def test_widths_are_those_of_the_data_or_of_the_caller():
    assert read_features(5, 8) == (5, None, {"node_encoder": None, "edge_encoder": None})
    cfg.share.in_channels, cfg.share.edge_channels = 7, 2
    assert read_features(5, 8)[:2] == (7, 2)


def test_features_of_a_registered_encoder_are_encoded_already(monkeypatch):
    monkeypatch.setitem(register.node_encoder_dict, "Own", lambda width: torch.nn.Linear(9, width))
    cfg.dataset.node_encoder, cfg.dataset.node_encoder_name = True, "Own"
    encoded, edges, encoders = read_features(5, 8, 6)
    x = torch.randn(3, 6)
    assert encoded(x) is x
    assert edges is None
    assert encoders["node_encoder"].out_features == 6
    assert read_features(5, 8)[2]["node_encoder"].out_features == 8


@pytest.mark.parametrize(
    ("name", "channels", "encoder"),
    [("Atom", 7, "float"), ("LinearNode", list(ATOM_CARDINALITIES), "categorical")],
)
def test_encoders_for_other_features_are_refused(name, channels, encoder):
    cfg.dataset.node_encoder, cfg.dataset.node_encoder_name, cfg.share.in_channels = True, name, channels
    with pytest.raises(ConfigError, match=f"expected an encoder for {encoder} features") as caught:
        read_features(5, 8)
    assert caught.value.key == "dataset.node_encoder_name"


def test_types_are_at_least_those_of_the_data():
    cfg.dataset.node_encoder, cfg.dataset.node_encoder_name, cfg.share.in_channels = True, "TypeDictNode", [28]
    for types in (0, 28, 40):
        cfg.dataset.node_encoder_num_types = types
        assert read_features(5, 8)[0] == [28]
    cfg.dataset.node_encoder_num_types = 27
    with pytest.raises(ConfigError, match=r"dataset\.node_encoder_num_types: got 27, expected at least 28"):
        read_features(5, 8)


def test_unknown_encoders_are_named():
    cfg.dataset.edge_encoder_name = "Bnd"
    with pytest.raises(ConfigError, match=r"dataset\.edge_encoder_name: got 'Bnd'"):
        check_encoder("edge", register.edge_encoder_dict)


@pytest.mark.parametrize("name", BUILT_IN_ENCODERS)
def test_built_in_encoders_make_no_modules(name):
    categorical = name in ("Atom", "Integer", "Bond") or name.startswith(("TypeDict", "AST", "PPANode"))
    cfg.dataset.node_encoder, cfg.dataset.node_encoder_name = True, name
    cfg.share.in_channels = [5, 3] if categorical else 7
    assert read_features(5, 8) == (cfg.share.in_channels, None, {"node_encoder": None, "edge_encoder": None})
