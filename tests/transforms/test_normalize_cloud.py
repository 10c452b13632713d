import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.transforms.normalize_cloud import NormalizeCloud, normalize_cloud


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_centred_in_the_unit_ball(scale):
    pos = scale * (torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([3.0, 0.0, -1.0]))
    found = normalize_cloud(pos)
    assert found.mean(0).abs().max() < 1e-6
    assert found.norm(dim=1).max() == pytest.approx(1, abs=1e-6)
    # Shape is kept: distances shrink by one factor.
    ratio = torch.pdist(pos.double()) / torch.pdist(found.double())
    torch.testing.assert_close(ratio, ratio[0].expand_as(ratio), rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 7e5])
def test_equal_points_become_zeros(value):
    assert (normalize_cloud(torch.full((7, 3), value)) == 0).all()


def test_transform_keeps_normals():
    normal = torch.ones(2, 3)
    data = NormalizeCloud()(Data(pos=torch.tensor([[1.0, 1, 1], [3, 1, 1]]), normal=normal))
    assert data.pos.tolist() == [[-1, 0, 0], [1, 0, 0]]
    assert torch.equal(data.normal, torch.ones(2, 3))


def test_bad_clouds():
    for pos in (torch.empty(0, 3), torch.ones(3), torch.ones(2, 3, dtype=torch.long)):
        with pytest.raises(ShapeError):
            normalize_cloud(pos)
    with pytest.raises(NumericalError, match="point 1"):
        normalize_cloud(torch.tensor([[0.0], [float("inf")]]))
    with pytest.raises(ShapeError, match="pos"):
        NormalizeCloud()(Data(x=torch.ones(2, 3)))
