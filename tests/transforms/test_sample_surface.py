import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.transforms.sample_surface import SampleSurface, sample_surface

CORNERS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [5, 2, 0], [5, 0, 3]])
# Areas 0.5, none (three corners on a line), 3.0, none (one corner twice).
FACES = torch.tensor([[0, 1, 2], [0, 1, 3], [3, 4, 5], [2, 2, 4]]).T.contiguous()


def draw(count, seed=0):
    return sample_surface(CORNERS, FACES, count, torch.Generator().manual_seed(seed))


def test_points_lie_on_their_triangles_with_their_normals():
    points = draw(2000)
    assert set(points.face.tolist()) == {0, 2}
    corner = CORNERS[FACES[0, points.face]]
    assert ((points.pos - corner) * points.normal).sum(1).abs().max() < 1e-6
    assert points.normal[points.face == 2].unique(dim=0).tolist() == [[1.0, 0.0, 0.0]]
    assert points.pos.min() >= 0
    first = points.pos[points.face == 0]
    assert (first[:, 0] + first[:, 1] <= 1 + 1e-6).all()
    second = points.pos[points.face == 2]
    assert (second[:, 1] / 2 + second[:, 2] / 3 <= 1 + 1e-6).all()


def test_areas_are_sampled_uniformly():
    points = draw(20_000)
    share = (points.face == 2).double().mean()
    assert abs(share - 3 / 3.5) < 4 * (0.12 / 20_000) ** 0.5
    # Inside a triangle the four halves-of-the-sides triangles are equally likely, and the mean is the centroid.
    inside = points.pos[points.face == 0][:, :2]
    quarters = [inside[:, 0] > 0.5, inside[:, 1] > 0.5, inside.sum(1) < 0.5]
    for quarter in quarters:
        assert abs(quarter.double().mean() - 0.25) < 4 * (0.19 / len(inside)) ** 0.5
    torch.testing.assert_close(inside.mean(0), torch.full((2,), 1 / 3), atol=0.02, rtol=0)


def test_seeded_and_deterministic():
    assert torch.equal(draw(50).pos, draw(50).pos)
    assert not torch.equal(draw(50).pos, draw(50, seed=1).pos)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scale_does_not_matter(scale):
    points = sample_surface(CORNERS * scale, FACES, 200, torch.Generator().manual_seed(0))
    torch.testing.assert_close(points.pos / scale, draw(200).pos, atol=1e-6, rtol=1e-5)


def test_transform():
    data = SampleSurface(30, seed=4)(Data(pos=CORNERS, face=FACES, y=torch.tensor([1])))
    again = SampleSurface(30, seed=4)(Data(pos=CORNERS, face=FACES))
    assert sorted(data.keys()) == ["normal", "pos", "y"]
    assert torch.equal(data.pos, again.pos)
    assert not torch.equal(
        SampleSurface(30)(Data(pos=CORNERS, face=FACES)).pos, SampleSurface(30)(Data(pos=CORNERS, face=FACES)).pos
    )
    with pytest.raises(ShapeError, match="mesh"):
        SampleSurface(3)(Data(pos=CORNERS))


@pytest.mark.parametrize(
    ("pos", "face", "error"),
    [
        (CORNERS, torch.empty(3, 0, dtype=torch.long), ShapeError),
        (CORNERS, torch.tensor([[0], [1], [3]]), ShapeError),
        (CORNERS, torch.tensor([[0], [1], [6]]), ShapeError),
        (CORNERS, torch.tensor([[-1], [1], [2]]), ShapeError),
        (CORNERS, torch.zeros(2, 4, dtype=torch.long), ShapeError),
        (CORNERS[:, :2], FACES, ShapeError),
        (CORNERS * float("nan"), FACES, NumericalError),
    ],
)
def test_bad_meshes(pos, face, error):
    with pytest.raises(error):
        sample_surface(pos, face, 3)


@pytest.mark.parametrize("make", [SampleSurface, lambda count: sample_surface(CORNERS, FACES, count)])
def test_bad_number(make):
    with pytest.raises(ConfigError, match="num_points"):
        make(0)
