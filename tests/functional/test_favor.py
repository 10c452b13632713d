"""The parts of linear attention in pieces: maps, exponents, features and their sums."""

import math

import pytest
import torch

from pyg_samsa.functional.favor import (
    LinearAttention,
    Maps,
    Rows,
    divide,
    key_exponents,
    make_maps,
    project,
    query_features,
    with_one,
)
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import flt


@pytest.fixture
def rows(normal):
    return Rows(normal(5, 2, 3), normal(5, 2, 3), normal(5, 2, 4), normal(5, 2, 4))


@pytest.fixture
def weights(normal):
    return normal(2, 6, 7), normal(2, 2)


def extended(rows, ratio, head):
    """Queries and keys of a head with the waves of their positions, divided by the fourth root of C."""
    waves, scale = rows.waves[:, head], 3**0.25
    query = torch.cat([rows.query[:, head], scale * waves * ratio[head].repeat(2)], dim=1)
    return query / scale, torch.cat([rows.key[:, head], scale * waves], dim=1) / scale


def test_query_features_are_those_of_the_reference(rows, weights):
    projection, ratio = weights
    fast = query_features(rows, make_maps(projection, 3, ratio), 0.1)
    for head in range(2):
        query, _ = extended(rows, ratio, head)
        for i in range(5):
            x = query[i : i + 1]
            literal = flt.positive_features(x, projection[head], flt.query_stabilizer(x, projection[head]), 0.0)
            torch.testing.assert_close(fast[head, i : i + 1], math.sqrt(6) * literal + 0.1)


def test_key_exponents_are_those_of_the_reference_but_for_the_length_of_the_waves(rows, weights):
    projection, ratio = weights
    fast = key_exponents(rows, make_maps(projection, 3, ratio))
    for head in range(2):
        _, key = extended(rows, ratio, head)
        literal = key @ projection[head].T - key.square().sum(1, keepdim=True) / 2
        lengths = rows.waves[:, head].square().sum(1, keepdim=True) / 2
        torch.testing.assert_close(fast[head], literal + lengths)


def test_maps_without_an_encoding(normal):
    maps = make_maps(normal(2, 6, 3), 3, None)
    assert maps.query_waves is None
    assert maps.key_waves is None
    out = project(torch.ones(4, 2, 3, dtype=torch.float64), *maps)
    torch.testing.assert_close(out, maps.content.sum(1, keepdim=True).expand(2, 4, 6))


def test_taking_rows(rows):
    some = rows.take(torch.tensor([4, 0]))
    torch.testing.assert_close(some.value, rows.value[[4, 0]])
    torch.testing.assert_close(some.waves, rows.waves[[4, 0]])
    assert Rows(*rows[:3], None).take(slice(1, 2)).waves is None


def test_one_and_division_undo_each_other(normal):
    value = normal(4, 2, 3)
    torch.testing.assert_close(divide(5.0 * with_one(value)), value)


@pytest.mark.parametrize("tokens", [1, 4, 5])
def test_pieces_do_not_change_the_sum(rows, weights, monkeypatch, tokens):
    maps, upstream = make_maps(weights[0], 3, weights[1]), torch.randn(5, 2, 4, dtype=torch.float64)

    def run():
        out = LinearAttention.apply(*rows, *maps, RaggedIndex(torch.tensor([0, 3, 5])), 1e-3)
        return out, *torch.autograd.grad(out, (*rows, *weights), upstream, retain_graph=True)

    whole = run()
    monkeypatch.setattr("pyg_samsa.functional.favor._TOKENS", tokens)
    torch.testing.assert_close(run(), whole, rtol=1e-9, atol=1e-9)


def test_gradients_that_nobody_wants_are_not_computed(rows, weights):
    detached = Maps(*(tensor.detach() for tensor in make_maps(weights[0], 3, weights[1])))
    out = LinearAttention.apply(*rows[:3], rows.waves.detach(), *detached, RaggedIndex(torch.tensor([0, 5])), 1e-3)
    out.sum().backward()
    assert rows.query.grad is not None
    assert rows.waves.grad is None
    assert weights[0].grad is None


def test_gradients_are_finite_differences(rows, weights):
    def run(query, key, value, waves, projection, ratio):
        maps, index = make_maps(projection, 3, ratio), RaggedIndex(torch.tensor([0, 3, 5]))
        return LinearAttention.apply(query, key, value, waves, *maps, index, 0.0)

    assert torch.autograd.gradcheck(run, (*rows, *weights))
