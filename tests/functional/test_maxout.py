"""SFT's score and probability: edge cases, and the literal reference."""

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.maxout import (
    LEAKS,
    leak_mass,
    leaky_probability,
    leaky_softmax_weights,
    leaky_weights,
    maxout_score,
)


@pytest.mark.parametrize(("n", "k", "channels"), [(1, 1, 1), (3, 5, 4), (5, 1, 7)], ids=str)
def test_the_score_is_the_reference(same, normal, n, k, channels):
    query, key = normal(n, channels), normal(k, channels)
    same(maxout_score(query, key), reference.maxout_score(query, key), query, key)


def test_leading_dimensions_and_strides(same, normal):
    query, key = normal(4, 3, 2).transpose(0, 1), normal(2, 3, 5).permute(1, 2, 0)
    literal = torch.stack([reference.maxout_score(q, k) for q, k in zip(query, key, strict=True)])
    same(maxout_score(query, key), literal, query, key)


def test_without_kernel_the_gradient_is_the_same(same, normal, monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.maxout._has_sign_kernel", lambda grad: False)
    query, key = normal(3, 4), normal(2, 4)
    same(maxout_score(query, key), reference.maxout_score(query, key), query, key)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (3, 0), (0, 0)])
def test_no_queries_or_keys(n, k):
    query, key = torch.zeros(n, 2, requires_grad=True), torch.zeros(k, 2, requires_grad=True)
    out = maxout_score(query, key)
    assert out.shape == (n, k)
    out.sum().backward()
    assert query.grad.shape == query.shape
    assert not key.grad.any()


def test_gradcheck(normal):
    assert gradcheck(maxout_score, (normal(2, 3), normal(4, 3)))


def test_equal_channels_share_the_gradient():
    query = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    key = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    one, other = torch.autograd.grad(maxout_score(query, key).sum(), (query, key))
    assert one.item() == other.item() > 0


def test_scores_of_normal_channels_are_standardised():
    torch.manual_seed(0)
    scores = maxout_score(torch.randn(400, 64, dtype=torch.float64), torch.randn(400, 64, dtype=torch.float64))
    assert abs(float(scores.mean())) < 0.1
    assert abs(float(scores.std()) - 1) < 0.1


def test_large_values_stay_exact():
    query, key = torch.tensor([[1e30, -1e30]], dtype=torch.float64), torch.tensor([[-1e30, 1e30]], dtype=torch.float64)
    torch.testing.assert_close(maxout_score(query, key), reference.maxout_score(query, key))


@pytest.mark.parametrize(
    "key", [torch.zeros(2, 3), torch.zeros(1, 2, 4), torch.zeros(4)], ids=lambda key: str(key.shape)
)
def test_keys_that_do_not_fit_are_an_error(key):
    with pytest.raises(ShapeError, match="key"):
        maxout_score(torch.zeros(2, 4), key)


@pytest.mark.parametrize("mode", LEAKS)
@pytest.mark.parametrize("score", ["maxout", "softmax"])
def test_probabilities_are_the_reference(same, normal, mode, score):
    scores, values, leak = normal(4, 3), normal(3, 2), normal(3)
    make = leaky_weights if score == "maxout" else leaky_softmax_weights
    weights, mass = make(scores, leak_mass(leak, mode))
    same((weights @ values) / mass, reference.leaky_attention(scores, values, leak, mode, score), scores, values, leak)


def test_a_row_without_positive_score_is_zero():
    assert not leaky_probability(torch.tensor([[-1.0, 0.0]]), torch.tensor(0.0)).any()


def test_softmax_weights_do_not_overflow():
    weights, mass = leaky_softmax_weights(torch.tensor([[1e4, -1e4]]), torch.tensor(1e30))
    assert (weights / mass).tolist() == [[1.0, 0.0]]


def test_without_a_leak_softmax_is_softmax(normal):
    scores = normal(3, 4, grad=False)
    weights, mass = leaky_softmax_weights(scores, scores.new_zeros(()))
    torch.testing.assert_close(weights / mass, scores.softmax(-1))


def test_unknown_leaks_and_wrong_masses_are_errors():
    with pytest.raises(ConfigError, match="leak"):
        leak_mass(torch.zeros(2), "drip")
    with pytest.raises(ShapeError, match="leak"):
        leaky_probability(torch.zeros(2, 3, 4), torch.zeros(3))
