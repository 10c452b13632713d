from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from pyg_samsa.predict.molecule_kernel import KernelNumbers, KernelRows, negative_likelihood, search_numbers

NUMBERS = KernelNumbers(0.7, 1.3, 0.9, 0.4, 0.05)


def rows(count=12, properties=3, fragments=5, seed=0, unseen=0):
    draw = np.random.default_rng(seed)
    counts = draw.integers(0, 4, (count, fragments)).astype(np.uint8)
    totals = counts.sum(1) + draw.integers(0, unseen + 1, count)
    return KernelRows(draw.normal(size=(count, properties)).astype(np.float32), counts, totals.astype(float))


def literal(a, b, numbers):
    """The equation, one pair of molecules after the other."""
    found = np.empty((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            distance = sum((float(p) - float(q)) ** 2 for p, q in zip(a.z[i], b.z[j], strict=True))
            base = 1 + distance / (2 * numbers.alpha * numbers.length_scale**2)
            shared = sum(min(int(p), int(q)) for p, q in zip(a.counts[i], b.counts[j], strict=True))
            union = a.totals[i] + b.totals[j] - shared
            overlap = shared / union if union else 1.0
            found[i, j] = numbers.variance * base**-numbers.alpha
            found[i, j] += numbers.overlap * overlap if a.counts.shape[1] else 0.0
    return found


@pytest.mark.parametrize("shape", [{}, {"properties": 0}, {"fragments": 0}, {"unseen": 3}])
def test_the_kernel_is_that_of_the_equation(shape):
    training, given = rows(**shape), rows(7, seed=1, **shape)
    np.testing.assert_allclose(given.pairs(training).kernel(NUMBERS), literal(given, training, NUMBERS), rtol=1e-6)
    np.testing.assert_allclose(
        training.pairs(training).kernel(NUMBERS), literal(training, training, NUMBERS), rtol=1e-6
    )


def test_large_counts_are_added_in_parts(monkeypatch):
    training, given = rows(), rows(7, seed=1)
    expected = given.overlaps(training)
    monkeypatch.setattr("pyg_samsa.predict.molecule_kernel._UNARY", 3)
    np.testing.assert_allclose(given.overlaps(training), expected, rtol=1e-12)


def test_molecules_without_fragments_are_alike():
    empty = KernelRows(np.zeros((2, 1), np.float32), np.zeros((2, 3), np.uint8), np.zeros(2))
    assert empty.overlaps(empty).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    full = KernelRows(np.zeros((1, 1), np.float32), np.array([[0, 255, 3]], np.uint8), np.array([258.0]))
    assert full.overlaps(full).tolist() == [[1.0]]
    assert empty.overlaps(full).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("with_overlaps", [True, False])
def test_the_gradient_of_the_likelihood(with_overlaps):
    training = rows(20)
    target = np.random.default_rng(2).normal(size=20)
    distances = training.squared_distances(training)
    overlaps = training.overlaps(training) if with_overlaps else None
    logs = np.log(list(vars(NUMBERS).values()))
    value, gradient = negative_likelihood(logs, distances, overlaps, target)
    if with_overlaps:
        kernel = training.pairs(training).kernel(NUMBERS) + NUMBERS.noise * np.eye(20)
        expected = 0.5 * target @ np.linalg.solve(kernel, target) + 0.5 * np.linalg.slogdet(kernel)[1]
        assert value == pytest.approx(expected, rel=1e-6)
    for place in range(5):
        step = np.zeros(5)
        step[place] = 1e-5
        above, below = (negative_likelihood(logs + s, distances, overlaps, target)[0] for s in (step, -step))
        assert gradient[place] == pytest.approx((above - below) / 2e-5, abs=1e-5)


def test_the_search_finds_what_matters():
    training = rows(150)
    properties, fragments = np.sin(training.z[:, 0]), training.counts[:, 0].astype(float)
    of_properties = search_numbers(training.pairs(training), (properties - properties.mean()) / properties.std())
    of_fragments = search_numbers(training.pairs(training), (fragments - fragments.mean()) / fragments.std())
    assert of_properties.variance / of_properties.overlap > 10 * of_fragments.variance / of_fragments.overlap
    noise = np.random.default_rng(3).normal(size=150)
    assert search_numbers(training.pairs(training), noise).noise > 10 * of_properties.noise


def test_pairs_are_not_changed_by_accident():
    pairs = rows().pairs(rows())
    with pytest.raises(FrozenInstanceError):
        pairs.distances = pairs.overlaps
