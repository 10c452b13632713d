"""Networks that are not saved for predictions of molecules."""

import pytest
from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.unsaved import SAVED, unsaved_part


@pytest.fixture(autouse=True)
def samsa():
    """The network is one that is saved."""
    cfg.model.type = "samsa"


def test_the_default_is_saved():
    assert unsaved_part() is None
    assert {"model.type": cfg.model.type, "gnn.head": cfg.gnn.head} == SAVED


@pytest.mark.parametrize("kind", ["node", "edge"])
def test_encoders_of_other_code_are_not_saved_unless_they_are_switched_off(kind):
    cfg.dataset[f"{kind}_encoder_name"] = "Own"
    cfg.dataset[f"{kind}_encoder"] = True
    assert unsaved_part() == (f"dataset.{kind}_encoder_name", "Own")
    cfg.dataset[f"{kind}_encoder"] = False
    assert unsaved_part() is None


def test_the_first_reason_is_told(monkeypatch):
    monkeypatch.setitem(register.head_dict, "own", nn.Linear)
    cfg.gnn.head = "own"
    assert unsaved_part() == ("gnn.head", "own")
    cfg.model.type = "gcn"
    assert unsaved_part() == ("model.type", "gcn")
