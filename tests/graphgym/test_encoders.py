from torch_geometric.graphgym import register

import pyg_samsa.graphgym  # noqa: F401


def test_encoders_need_no_ogb(monkeypatch, molecules):
    import sys

    monkeypatch.setitem(sys.modules, "ogb", None)
    batch = molecules
    batch = register.node_encoder_dict["SAMSAAtom"](16)(batch)
    batch = register.edge_encoder_dict["SAMSABond"](16)(batch)
    assert (batch.x.shape, batch.edge_attr.shape) == ((9, 16), (6, 16))
