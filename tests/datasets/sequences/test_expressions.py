import numpy as np
import pytest

from pyg_samsa.datasets.sequences.expressions import Shape, sample_expressions
from pyg_samsa.datasets.sequences.listops import evaluate
from pyg_samsa.errors import ConfigError


def test_values_lengths_and_distinctness():
    counted = []
    sequences, values = sample_expressions(200, Shape(10, 60, 5, 4), 3, counted.append)
    assert sum(counted) == len(sequences) == len(values) == 200
    assert all(10 < len(sequence) < 60 for sequence in sequences)
    assert [evaluate(sequence.tolist()) for sequence in sequences] == values
    assert len({sequence.tobytes() for sequence in sequences}) == 200


def test_the_seed_decides():
    first, again, other = (sample_expressions(5, Shape(10, 60, 5, 4), seed, lambda _: None)[0] for seed in (0, 0, 1))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "shape", [Shape(500, 100, 10, 10), Shape(50, 2000, 2, 10), Shape(0, 10, 3, 3), Shape(1, 9, 3, 1)]
)
def test_impossible_forms_are_refused(shape):
    with pytest.raises(ConfigError):
        shape.check()


def test_too_many_expressions_are_refused():
    with pytest.raises(ConfigError, match="rows"):
        sample_expressions(10**6, Shape(3, 5, 2, 2), 0, lambda _: None)
