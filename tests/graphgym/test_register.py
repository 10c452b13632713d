import importlib

from torch_geometric.graphgym import register

import pyg_samsa.graphgym
from pyg_samsa.graphgym import layer, loss, network
from pyg_samsa.graphgym import register as registry


def test_importing_again_changes_nothing():
    before = {name: dict(getattr(register, name)) for name in dir(register) if name.endswith("_dict")}
    for module in (pyg_samsa.graphgym, layer, loss, network):
        importlib.reload(module)
    after = {name: getattr(register, name) for name in before}
    assert {name: list(entries) for name, entries in before.items()} == {
        name: list(entries) for name, entries in after.items()
    }


def test_what_somebody_else_registered_stays():
    entries = {"l1": abs}
    registry.register_once(entries, "l1", len)
    assert entries["l1"] is abs
