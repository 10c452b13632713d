import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.graphgym.config import cfg, set_cfg


@pytest.fixture(autouse=True)
def fresh_cfg():
    """Every test begins and ends with the defaults."""
    cfg.defrost()
    set_cfg(cfg)
    yield
    cfg.defrost()
    set_cfg(cfg)


@pytest.fixture
def molecules():
    """A batch of three paths with OGB's features."""
    graphs = []
    for number in range(3):
        nodes = number + 2
        edges = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        graphs.append(
            Data(
                x=torch.zeros(nodes, 9, dtype=torch.long),
                edge_index=edges,
                edge_attr=torch.zeros(nodes - 1, 3, dtype=torch.long),
            )
        )
    return Batch.from_data_list(graphs)
