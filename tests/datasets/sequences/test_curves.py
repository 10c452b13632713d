import numpy as np
import pytest

from pyg_samsa.datasets.sequences.curves import SIDE, sample_pictures


@pytest.mark.parametrize("matched", [True, False])
def test_pictures_come_in_pairs_and_show_two_discs(matched):
    counted = []
    pictures = sample_pictures(40, 6, np.random.default_rng(0), counted.append, matched=matched)
    assert pictures.shape == (40, SIDE, SIDE)
    assert pictures.dtype == np.uint8
    assert sum(counted) == 40
    # Discs are the brightest; dashes are darker, and most of a picture is black.
    assert (pictures.max((1, 2)) == 255).all()
    assert ((pictures == 255).sum((1, 2)) < 40).all()
    assert (pictures == 0).mean() > 0.5


def test_the_generator_decides():
    first, again = (sample_pictures(4, 4, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, sample_pictures(4, 4, np.random.default_rng(6)))
