import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.farthest_points import farthest_points
from pyg_samsa.transforms.sample_farthest import SampleFarthest


def test_every_attribute_of_points_follows():
    pos = torch.randn(50, 3)
    data = Data(
        pos=pos,
        normal=pos * 2,
        x=pos * 3,
        y=torch.arange(50),
        category=torch.tensor([4]),
        edge_index=torch.empty(2, 0, dtype=torch.long),
    )
    data = SampleFarthest(8)(data)
    assert torch.equal(data.y, farthest_points(pos, 8))
    assert torch.equal(data.pos, pos[data.y])
    assert torch.equal(data.normal, 2 * data.pos)
    assert torch.equal(data.x, 3 * data.pos)
    assert data.category.tolist() == [4]
    assert data.edge_index.shape == (2, 0)
    assert data.num_nodes == 8


def test_small_clouds_stay_whole():
    data = SampleFarthest(8)(Data(pos=torch.randn(5, 3), y=torch.tensor([3])))
    assert data.pos.shape == (5, 3)
    assert data.y.tolist() == [3]


def test_what_is_no_cloud_is_refused():
    for data in (
        Data(x=torch.ones(3, 1)),
        Data(pos=torch.ones(3, 3), edge_index=torch.zeros(2, 1, dtype=torch.long)),
        Data(pos=torch.ones(3, 3), face=torch.tensor([[0], [1], [2]])),
    ):
        with pytest.raises(ShapeError):
            SampleFarthest(2)(data)
    with pytest.raises(ConfigError, match="num_points"):
        SampleFarthest(0)
