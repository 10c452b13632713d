import numpy as np
import pytest

from pyg_samsa.datasets.points.shape_families import FAMILIES, PART_NAMES


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_and_extent_of_every_family(family):
    parts = set()
    for seed in range(5):
        bodies = FAMILIES[family](np.random.default_rng(seed))
        parts |= {body.part for body in bodies}
    assert len(parts) > 1 or family not in PART_NAMES
    assert family not in PART_NAMES or parts <= set(PART_NAMES[family])


def test_families_of_parts_are_families():
    assert set(PART_NAMES) <= set(FAMILIES)
    assert all(len(set(parts)) == len(parts) > 1 for parts in PART_NAMES.values())
