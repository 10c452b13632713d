import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional.farthest_points import farthest_points


def literal(points, count, start=None):
    """The definition, one point and one float32 operation at a time."""
    points = [[np.float32(value) for value in point] for point in points.tolist()]

    def square(first, second):
        total = np.float32(0)
        for a, b in zip(first, second, strict=True):
            total += (a - b) * (a - b)
        return total

    if start is None:
        centroid = [np.float32(np.mean([float(point[axis]) for point in points])) for axis in range(len(points[0]))]
        distances = [square(point, centroid) for point in points]
        start = distances.index(max(distances))
    chosen = [start]
    while len(chosen) < min(count, len(points)):
        left = [place for place in range(len(points)) if place not in chosen]
        nearest = [min(square(points[place], points[other]) for other in chosen) for place in left]
        chosen.append(left[nearest.index(max(nearest))])
    return chosen


@pytest.mark.parametrize("count", [1, 2, 7, 40, 60])
@pytest.mark.parametrize("kind", ["normal", "grid", "one place", "line"])
def test_equals_the_literal_reference(count, kind):
    generator = torch.Generator().manual_seed(count)
    pos = {
        "normal": torch.randn(40, 3, generator=generator),
        "grid": torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 3),
        "one place": torch.ones(5, 3),
        "line": torch.randn(30, 1, generator=generator),
    }[kind]
    assert farthest_points(pos, count).tolist() == literal(pos, count)


def test_ragged_batch_equals_cloud_by_cloud():
    generator = torch.Generator().manual_seed(0)
    sizes = [3, 0, 50, 1, 700, 12, 0]
    clouds = [torch.randn(size, 3, generator=generator) for size in sizes]
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    found = farthest_points(torch.cat(clouds), 20, ptr=ptr)
    expected = torch.cat(
        [farthest_points(cloud, 20) + begin for cloud, begin in zip(clouds, ptr.tolist(), strict=False) if len(cloud)]
    )
    assert torch.equal(found, expected)
    batch = torch.repeat_interleave(torch.arange(7), torch.tensor(sizes))
    assert torch.equal(farthest_points(torch.cat(clouds), 20, batch, batch_size=7), expected)


def test_unsorted_batch():
    pos, batch = torch.randn(30, 3), torch.arange(30) % 3
    found = farthest_points(pos, 4, batch)
    for cloud in range(3):
        members = (batch == cloud).nonzero().flatten()
        assert torch.equal(found[4 * cloud : 4 * cloud + 4], members[farthest_points(pos[members], 4)])


def test_given_start():
    pos = torch.randn(25, 3)
    assert farthest_points(pos, 6, start=torch.tensor([11])).tolist() == literal(pos, 6, start=11)
    assert farthest_points(
        torch.cat([pos, pos]), 1, ptr=torch.tensor([0, 25, 50]), start=torch.tensor([3, 4])
    ).tolist() == [3, 29]


def test_start_is_the_farthest_from_the_centroid_and_ties_go_to_the_lower_position():
    assert farthest_points(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), 4).tolist() == [0, 1, 2, 3]
    assert farthest_points(torch.tensor([[0.0, 0], [9, 0], [1, 0]]), 1).tolist() == [1]


def test_chosen_points_are_distinct_and_spread():
    pos = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    chosen = farthest_points(pos, 50)
    assert len(chosen.unique()) == 50
    # The property that defines the choice: no point is farther from the chosen ones than these are from each other.
    gaps = torch.cdist(pos[chosen], pos[chosen]).fill_diagonal_(9).min()
    assert torch.cdist(pos, pos[chosen]).min(1).values.max() <= gaps


def test_empty_clouds():
    assert farthest_points(torch.empty(0, 3), 4, batch_size=2).tolist() == []


@pytest.mark.parametrize("count", [0, -1, True, 2.0])
def test_bad_count(count):
    with pytest.raises(ConfigError, match="num_samples"):
        farthest_points(torch.ones(2, 3), count)


@pytest.mark.parametrize("pos", [torch.ones(3), torch.ones(2, 0), torch.ones(2, 3, dtype=torch.long)])
def test_bad_points(pos):
    with pytest.raises(ShapeError, match="pos"):
        farthest_points(pos, 1)


def test_nan_is_named():
    pos = torch.ones(4, 3)
    pos[2, 1] = float("nan")
    with pytest.raises(NumericalError, match="point 2"):
        farthest_points(pos, 1)


def test_bad_start():
    with pytest.raises(ConfigError, match="cloud 1, which has 2 points"):
        farthest_points(torch.ones(5, 3), 1, ptr=torch.tensor([0, 3, 5]), start=torch.tensor([0, 2]))
    with pytest.raises(ShapeError, match="start"):
        farthest_points(torch.ones(5, 3), 1, start=torch.tensor([0, 2]))


@pytest.mark.cuda
def test_cuda_equals_cpu():
    pos = torch.randn(3000, 3)
    ptr = torch.tensor([0, 1000, 3000])
    assert torch.equal(farthest_points(pos.cuda(), 100, ptr=ptr.cuda()).cpu(), farthest_points(pos, 100, ptr=ptr))
