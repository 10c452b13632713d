import math

import numpy as np
import pytest

from pyg_samsa.datasets.points.shape_families import FAMILIES, PART_NAMES
from pyg_samsa.datasets.points.solids import Ball, Box, Frustum, Placed, Ring, Sector, sample_union, turned

SOLIDS = [
    (Box(1.0, 2.0, 0.5), 2 * (2 + 1 + 0.5), 1.0),
    (Frustum(1.0, 1.0, 2.0), 6 * math.pi, 2 * math.pi),
    (Frustum(1.0, 0.0, 1.0), math.pi * (1 + math.sqrt(2)), math.pi / 3),
    (Frustum(0.5, 1.0, 1.0), math.pi * (1.5 * math.sqrt(1.25) + 1.25), math.pi * 1.75 / 3),
    (Ball(0.7), 4 * math.pi * 0.49, 4 / 3 * math.pi * 0.343),
    (Ring(1.0, 0.4), 4 * math.pi**2 * 0.4, 2 * math.pi**2 * 0.16),
    (Sector(0.5, 1.0, 2.0), 6 * math.pi + 1.5 * math.pi, 1.5 * math.pi),
    (Sector(0.5, 1.0, 2.0, math.pi / 2), 1.5 * math.pi + 0.375 * math.pi + 2.0, 0.375 * math.pi),
]


def draw(solid, count=20_000, seed=0, **options):
    return sample_union([Placed(solid, "body")], count, np.random.default_rng(seed), **options)


@pytest.mark.parametrize(("solid", "area", "volume"), SOLIDS)
class TestEverySolid:
    def test_areas(self, solid, area, volume):
        assert sum(solid.areas()) == pytest.approx(area)

    def test_points_lie_on_the_surface_and_normals_point_outward(self, solid, area, volume):
        points, normals, _ = draw(solid, 4000)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
        assert solid.inside(points).all()
        step = 1e-5
        assert solid.inside(points - step * normals).mean() > 0.999  # a point on an edge may step out of another face
        assert not solid.inside(points + step * normals).any()

    def test_uniform_by_area(self, solid, area, volume):
        # The divergence theorem holds for uniform points alone: the mean of <p, n> times the area is three times the
        # volume, the mean normal of a closed surface is zero, and the mean of p_x n_x alone gives the volume too.
        points, normals, _ = draw(solid)
        flux = points * normals
        for axis in range(3):
            error = 5 * flux[:, axis].std() / math.sqrt(len(flux))
            assert area * flux[:, axis].mean() == pytest.approx(volume, abs=area * error)
            assert abs(normals[:, axis].mean()) < 5 / math.sqrt(len(flux))

    def test_stretched_surfaces_stay_uniform(self, solid, area, volume):
        stretch = np.array([0.5, 1.5, 1.2])
        points, normals, _ = draw(solid, 30_000, stretch=stretch)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)
        assert solid.inside(points / stretch).all()
        assert not solid.inside((points + 1e-5 * normals) / stretch).any()
        # Without knowing the new area: all three fluxes must give one volume.
        flux = points * normals
        error = 5 * flux.std(0).max() / math.sqrt(len(flux))
        assert flux.mean(0).max() - flux.mean(0).min() < 2 * error


def test_unions_hide_what_lies_inside_and_what_touches():
    cube = Box(1.0, 1.0, 1.0)
    points, _, owner = sample_union(
        [Placed(cube, "a"), Placed(cube, "b", (0.5, 0.3, 0.4))], 3000, np.random.default_rng(0)
    )
    for number, shift in enumerate([(0.5, 0.3, 0.4), (0, 0, 0)]):
        assert not cube.inside(points[owner == number] - shift).any()
    points, _, owner = sample_union([Placed(cube, "a"), Placed(cube, "b", (0, 0, 1))], 3000, np.random.default_rng(0))
    assert not (abs(points[:, 2] - 1) < 1e-6).any()
    assert (owner == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_placed_bodies_are_turned_and_shifted():
    body = Placed(Box(2.0, 0.2, 0.2), "a", (1.0, 2.0, 3.0), turned(2, math.pi / 2))
    points, normals, _ = sample_union([body], 500, np.random.default_rng(0))
    np.testing.assert_allclose(points.min(0), [0.9, 1.0, 3.0], atol=0.02)
    np.testing.assert_allclose(points.max(0), [1.1, 3.0, 3.2], atol=0.02)
    assert body.inside(points).all()
    assert not body.inside(points + 1e-6 * normals).any()


def test_rotations():
    for axis in range(3):
        matrix = turned(axis, 0.7)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert (matrix @ np.eye(3)[axis] == np.eye(3)[axis]).all()


@pytest.mark.parametrize("family", list(FAMILIES))
def test_families_are_closed_bodies_whose_points_are_seen_from_outside(family):
    for number in range(6):
        rng = np.random.default_rng(number)
        bodies = FAMILIES[family](rng)
        assert {body.part for body in bodies} <= set(PART_NAMES.get(family, ["body"]))
        points, normals, owner = sample_union(bodies, 1500, rng)
        assert np.isfinite(points).all()
        # A point just outside of the surface is outside of all bodies: no normal is turned and nothing hidden is left.
        outside = points + 1e-6 * normals
        assert not any(body.inside(outside).any() for body in bodies)
        # The mean normal of a closed surface is zero: no face is missing. Open shells of thin walls would fail.
        assert np.linalg.norm(normals.mean(0)) < 5 / math.sqrt(1500)
        # No body is forgotten.
        assert set(owner.tolist()) == set(range(len(bodies)))


def test_every_part_occurs():
    for family, parts in PART_NAMES.items():
        found = {body.part for number in range(20) for body in FAMILIES[family](np.random.default_rng(number))}
        assert found == set(parts)
